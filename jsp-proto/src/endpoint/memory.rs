//! The memory that received data takes, over all connections (specification section 7, row 23).
//!
//! The sum is kept up to date by [`Endpoint::touch`]. How short memory is reaches a connection when it is touched, so
//! no packet costs a look at all of them; only those that were told to hold back credit are listed, to be told when
//! they may grant again.

use super::Endpoint;
use crate::slab::Key;
use crate::stream::Pressure;

impl Endpoint {
    fn pressure(&self) -> Pressure {
        let tenth = self.config.bounds.receive_memory / 10;
        match self.memory {
            held if held >= tenth * 9 => Pressure::NoCredit,
            held if held >= tenth * 8 => Pressure::NoTuning,
            _ => Pressure::None,
        }
    }

    /// Brings the sum in line with a connection, and the connection with the state of memory.
    pub(super) fn account_memory(&mut self, key: Key) {
        let Some(entry) = self.connections.get_mut(key) else { return };
        let memory = entry.connection.receive_memory();
        self.memory = self.memory - entry.memory + memory;
        entry.memory = memory;
        if self.memory >= self.config.bounds.receive_memory {
            self.shed();
        }
        let pressure = self.pressure();
        if let Some(entry) = self.connections.get_mut(key) {
            entry.connection.set_pressure(pressure);
            if pressure == Pressure::NoCredit && !core::mem::replace(&mut entry.holds_credit, true) {
                self.holding_credit.push(key);
            }
        }
        self.release_credit();
    }

    /// When memory has become free, those who hold credit back for want of it may grant it.
    pub(super) fn release_credit(&mut self) {
        let pressure = self.pressure();
        if pressure == Pressure::NoCredit || self.holding_credit.is_empty() {
            return;
        }
        for key in core::mem::take(&mut self.holding_credit) {
            if let Some(entry) = self.connections.get_mut(key) {
                entry.holds_credit = false;
                entry.connection.set_pressure(pressure);
                self.queue(key);
            }
        }
    }

    /// Gives up the connections with the most unread data until the bound holds. Each look at all connections ends one
    /// of them, so a peer pays for it with a handshake.
    fn shed(&mut self) {
        while self.memory >= self.config.bounds.receive_memory.max(1) {
            let worst = self.connections.iter().max_by_key(|(_, entry)| entry.memory).map(|(key, _)| key);
            let Some((key, entry)) = worst.and_then(|key| Some((key, self.connections.get_mut(key)?))) else { return };
            entry.connection.shed(self.now);
            let left = entry.connection.receive_memory();
            let freed = entry.memory.saturating_sub(left);
            entry.memory = left;
            self.memory -= freed;
            self.queue(key);
            if freed == 0 {
                return;
            }
        }
    }
}
