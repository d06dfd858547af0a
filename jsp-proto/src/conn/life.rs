//! From the first datagram to the last: what the passing of time, the handshake and the two applications do to a
//! connection (specification sections 2.10, 2.12 and 3.8).

use alloc::boxed::Box;

use super::close::{Answer, Farewell, Life, Linger};
use super::handshake::client::Step;
use super::migrate::Arrival;
use super::{Connection, Wake, detached};
use crate::bucket::Bucket;
use crate::crypto::{Established, KeyId};
use crate::error::{AppCode, Violation};
use crate::event::{ConnectionError, Event};
use crate::observe::{HandshakePacket, Observation, Timer};
use crate::recovery::Timeout;
use crate::stats::DropReason;
use crate::stream::StreamEvent;
use crate::time::Instant;
use crate::wire::Side;
use crate::wire::header::{LongHeader, VersionNegotiation};

impl Connection {
    // ---- handshake

    /// Client: takes a long-header datagram of the server.
    pub(crate) fn handle_handshake(
        &mut self,
        now: Instant,
        header: &LongHeader<'_>,
        packet: &mut [u8],
    ) -> Result<(), DropReason> {
        let header = detached(header);
        let packet_seen = HandshakePacket::new(header.ty, header.index, header.count, packet.len());
        self.observe(|| Observation::HandshakeReceived(packet_seen));
        let Some(client) = self.client.as_mut().filter(|_| self.life.is_live()) else {
            return Err(DropReason::Unexpected);
        };
        let step = client.on_datagram(now, &header, packet, &mut self.rng);
        self.paths.in_use_mut().on_received(packet.len() as u64);
        match step {
            Step::Dropped(reason) => return Err(reason),
            Step::Progress => {}
            Step::Offer => self.events.push_back(Event::ServerKeyOffered),
            Step::Suspect => self.events.push_back(Event::PeerKeySuspect),
            Step::Established(established) => self.establish(now, &header, established),
            Step::Failed(error) => self.end(now, error),
        }
        Ok(())
    }

    /// Client: the server has proven its key, and there are keys for packets.
    fn establish(&mut self, now: Instant, header: &LongHeader<'_>, established: Established) {
        let Some(mut client) = self.client.take() else { return };
        self.paths.in_use_mut().cid = Some(self.cids.remote.start(header.scid));
        self.params_due = Some(client.patience());
        self.peer_key = client.server_key_id();
        self.secure = Some(self.secure_from(now, &established.secrets, client.rtt_sample(now)));
        if matches!(self.life, Life::Connecting) {
            self.life = Life::Open;
        }
        self.stats.handshake_time = Some(now - client.started());
        self.idle.since = now;
        // The server waits for a 1-RTT packet; a PING makes sure that one is sent, and sent again if it is lost.
        self.control.send_ping();
        for mut datagram in client.take_early() {
            // Counted when they came in; what fails here was forged or broken.
            let mut switches = Bucket::new(now, 0, 0);
            let path = self.paths.in_use().path;
            let cid = self.cids.local.first();
            let arrival = Arrival { cid, path, ecn: crate::Ecn::NotEct, switches: &mut switches };
            let _ = self.open_and_read(now, arrival, &mut datagram);
        }
    }

    /// Client: takes a version negotiation packet.
    pub(crate) fn on_version_negotiation(&mut self, packet: &VersionNegotiation<'_>) -> Result<(), DropReason> {
        let client = self.client.as_mut().filter(|_| self.life.is_live());
        client.map_or(Err(DropReason::Unexpected), |client| client.on_version_negotiation(packet))
    }

    /// Server: the client has sent a packet that only it can have made.
    pub(super) fn confirm_as_server(&mut self, now: Instant) {
        if self.server.take().is_none() {
            return;
        }
        self.paths.in_use_mut().prove();
        self.confirmed = true;
        self.supply_cids();
        self.stats.handshake_time = Some(now - self.started);
        self.events.push_back(Event::Connected);
        if self.authenticates {
            self.events.push_back(Event::PeerAuthenticated);
        }
        self.events.push_back(Event::HandshakeConfirmed);
        self.control.send_handshake_done();
        self.request_token();
    }

    /// Client: the server has sent HANDSHAKE_DONE or acknowledged a 1-RTT packet.
    pub(super) fn confirm_as_client(&mut self) {
        if self.side == Side::Client && !self.confirmed {
            self.confirmed = true;
            self.supply_cids();
            // The server's parameters may still be on their way; `Connected` comes first.
            if self.params_due.is_none() {
                self.events.push_back(Event::HandshakeConfirmed);
            }
        }
    }

    /// Server: a duplicate of the client's first message came in.
    pub(crate) fn on_repeated_hello(&mut self, now: Instant, bytes: u64) {
        if let Some(server) = &mut self.server {
            self.paths.in_use_mut().on_received(bytes);
            server.repeat(now);
        }
    }

    /// Client: the id of the key the program is asked about.
    pub(crate) fn offered_key(&self) -> Option<&crate::crypto::PublicKey> {
        self.client.as_ref()?.offered_key()
    }

    pub(crate) fn trust_key(&mut self, now: Instant) {
        if let Some(client) = &mut self.client {
            client.trust_offer(now, &mut self.rng);
        }
    }

    pub(crate) fn reject_key(&mut self, now: Instant) {
        if self.offered_key().is_some() {
            self.end(now, ConnectionError::KeyRejected);
        }
    }

    /// The key of the peer: for a client the server's, for a server the client's once it is proven.
    pub(crate) fn peer_key_id(&self) -> Option<KeyId> {
        self.peer_key.filter(|_| self.side == Side::Client || self.confirmed)
    }

    // ---- closing

    /// Delivers what was accepted, then says goodbye.
    pub(crate) fn close(&mut self, now: Instant, code: AppCode, reason: &[u8]) {
        if !matches!(self.life, Life::Connecting | Life::Open) {
            return;
        }
        self.life = Life::Flushing(Farewell::app(code, reason));
        self.linger = Some(Linger::new(now, self.config.transport.linger));
        self.finish_flush(now);
    }

    /// Says goodbye at once.
    pub(crate) fn abort(&mut self, now: Instant, code: AppCode, reason: &[u8]) {
        if self.life.is_live() {
            self.cut_flush_short(now);
            self.say_farewell(now, Farewell::app(code, reason));
        }
    }

    /// The peer broke the protocol.
    pub(super) fn fail(&mut self, now: Instant, violation: Violation, frame_type: u64) {
        if self.life.is_live() {
            let Violation { error, reason } = violation;
            self.say_farewell(now, Farewell::Transport { error, frame_type, reason });
        }
    }

    /// A flush that has nothing left to deliver is over. A client without keys has not delivered anything yet.
    pub(super) fn finish_flush(&mut self, now: Instant) {
        let Life::Flushing(farewell) = &self.life else { return };
        let idle_client = self.client.is_some() && self.streams.is_flushed();
        if idle_client || self.secure.is_some() && self.streams.is_flushed() && !self.control.wants_to_send() {
            let farewell = farewell.clone();
            self.say_farewell(now, farewell);
        }
    }

    /// Progress gives a flush more time.
    pub(super) fn extend_linger(&mut self, now: Instant) {
        if let Some(linger) = &mut self.linger {
            linger.extend(now);
        }
    }

    /// A flush ends before its time: if it has not delivered everything, that is how the connection ended.
    fn cut_flush_short(&mut self, now: Instant) {
        if let (Life::Flushing(Farewell::App { code, .. }), Some(linger)) = (&self.life, self.linger)
            && !self.streams.is_flushed()
        {
            self.error.get_or_insert_with(|| Box::new(linger.undelivered(now, *code)));
        }
    }

    fn say_farewell(&mut self, now: Instant, farewell: Farewell) {
        let error = farewell.as_error();
        if self.secure.is_none() {
            // Without keys there is nothing the peer would believe.
            self.end(now, error);
            return;
        }
        self.error.get_or_insert_with(|| Box::new(error));
        self.life = Life::Closing { farewell, answer: Answer::first() };
        self.stop(now);
        self.repeat_at = self.secure.as_ref().map(|secure| now + secure.recovery.pto_base());
        if !self.paths.in_use().allows(u64::from(self.stats.datagram_size)) {
            self.tell_closed();
        }
    }

    /// The peer says goodbye. If it has everything that a close of this side was to deliver, that close is complete.
    pub(super) fn on_farewell(&mut self, now: Instant, close: &crate::wire::frame::Close<'_>) {
        let error = match &self.life {
            Life::Flushing(farewell) if self.streams.is_flushed() => farewell.as_error(),
            _ => super::close::peer_error(close),
        };
        self.end(now, error);
    }

    /// The connection ends without a word: the peer said goodbye, is gone, or was never there.
    pub(super) fn end(&mut self, now: Instant, error: ConnectionError) {
        if !self.life.is_live() {
            return;
        }
        self.error.get_or_insert_with(|| Box::new(error));
        self.life = if self.secure.is_some() { Life::Draining } else { Life::Over };
        self.stop(now);
        self.tell_closed();
    }

    /// A farewell is not acknowledged; one that is lost would leave a quiet peer waiting for its idle timeout.
    fn repeat_farewell(&mut self, now: Instant) {
        self.repeat_at = None;
        if let (Life::Closing { answer, .. }, Some(secure)) = (&mut self.life, &self.secure) {
            answer.repeat();
            let next = now + secure.recovery.pto_base();
            self.repeat_at = Some(next).filter(|&next| self.close_at.is_some_and(|end| next < end));
        }
    }

    /// What all endings share.
    fn stop(&mut self, now: Instant) {
        if !self.known {
            // The program never heard of this attempt, so there is nobody to tell of its end.
            self.events.clear();
            self.told_closed = true;
            self.discarded = true;
        }
        let patience = self.secure.as_ref().map(|secure| secure.recovery.pto_base().saturating_mul(3));
        self.close_at = patience.map(|patience| now + patience);
        self.streams.close_all();
        self.free_fec();
        self.client = None;
        self.server = None;
        self.linger = None;
        self.paced_until = None;
    }

    /// Tells the program, once.
    pub(super) fn tell_closed(&mut self) {
        if !core::mem::replace(&mut self.told_closed, true) {
            self.events.push_back(Event::Closed);
        }
    }

    /// The program wants nothing of this connection any more.
    pub(crate) fn discard(&mut self, now: Instant) {
        self.abort(now, AppCode::ZERO, b"");
        self.streams.drop_unread();
        self.discarded = true;
    }

    /// Whether nothing of the connection is needed any more.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.life, Life::Over) && (self.discarded || !self.has_events() && !self.streams.has_unread())
    }

    /// Whether nothing is ever sent again on the connection, whatever arrives; received data may still be unread.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.life, Life::Draining | Life::Over)
    }

    pub(crate) fn is_discarded(&self) -> bool {
        self.discarded
    }

    pub(crate) fn is_closed(&self) -> bool {
        !self.life.is_live()
    }

    pub(crate) fn close_reason(&self) -> Option<&ConnectionError> {
        self.error.as_deref()
    }

    // ---- time

    /// When the connection must be polled again though nothing arrives, and why.
    pub(crate) fn wake(&self) -> Option<(Instant, Wake)> {
        let mut next: Option<(Instant, Wake)> = None;
        let mut consider = |at: Option<Instant>, why| {
            if let Some(at) = at
                && next.is_none_or(|(soonest, _)| at < soonest)
            {
                next = Some((at, why));
            }
        };
        if !self.life.is_live() {
            consider(self.close_at, Wake::Close);
            consider(self.repeat_at, Wake::Close);
            return next;
        }
        consider(self.client.as_ref().and_then(|client| client.wake()), Wake::Handshake);
        consider(self.server.as_ref().map(|server| server.deadline), Wake::Handshake);
        consider(self.params_due.map(|(deadline, _)| deadline), Wake::Handshake);
        if let Some(secure) = &self.secure {
            // What the address limit holds back is not lost yet, and a probe could not be sent either.
            if self.paths.in_use().allows(u64::from(self.stats.datagram_size)) {
                consider(secure.recovery.deadline(), Wake::Loss);
                consider(secure.acks.deadline().filter(|_| secure.recovery.has_room()), Wake::Ack);
                consider(self.paced_until, Wake::Pacing);
                consider(secure.fec_tx.as_ref().and_then(|fec| fec.deadline()), Wake::Correction);
            }
            consider(self.idle_deadline(), Wake::Idle);
            consider(self.paths.deadline(), Wake::Path);
            consider(self.lull_deadline(), Wake::Path);
            consider(self.keep_alive_at(), Wake::Keepalive);
            consider(secure.recovery.rest_at(), Wake::Rest);
            consider(secure.keys.deadline(), Wake::Rest);
            consider(secure.fec_tx.as_ref().and_then(|fec| fec.rest_at()), Wake::Rest);
            consider(secure.fec_rx.as_ref().and_then(|fec| fec.deadline()), Wake::Rest);
        }
        consider(self.streams.deadline(), Wake::Stream);
        consider(self.linger.map(Linger::deadline), Wake::Close);
        next
    }

    fn idle_deadline(&self) -> Option<Instant> {
        let patience = self.secure.as_ref()?.recovery.pto_base().saturating_mul(3);
        (!self.idle.timeout.is_zero()).then(|| self.idle.since + self.idle.timeout.max(patience))
    }

    /// Does everything that is due at `now`.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        if !self.life.is_live() {
            if self.repeat_at.is_some_and(|at| now >= at) {
                self.repeat_farewell(now);
            }
            if self.close_at.is_some_and(|at| now >= at) {
                self.close_at = None;
                self.repeat_at = None;
                self.life = Life::Over;
                // A farewell that could not be sent in time is given up.
                self.tell_closed();
            }
            return;
        }
        let rng = &mut self.rng;
        if let Some(error) = self.client.as_mut().and_then(|client| client.on_timeout(now, rng)) {
            return self.end(now, error);
        }
        if self.server.as_ref().is_some_and(|server| now >= server.deadline) {
            // Nobody was told of the connection as established; it vanishes as an attempt of the client.
            let after = crate::config::bounds::HALF_OPEN_LIFETIME;
            return self.end(now, ConnectionError::NoAnswer { after });
        }
        if let Some((_, after)) = self.params_due.filter(|(deadline, _)| now >= *deadline) {
            return self.end(now, ConnectionError::NoAnswer { after });
        }
        if self.idle_deadline().is_some_and(|deadline| now >= deadline) {
            return self.end(now, ConnectionError::IdleTimeout { after: self.idle.timeout });
        }
        self.keep_alive(now);
        if self.paced_until.is_some_and(|at| now >= at) {
            self.paced_until = None;
        }
        self.on_path_timeout(now);
        self.on_lull(now);
        self.streams.on_timeout(now);
        self.rest_fec(now);
        if let Some(secure) = &mut self.secure {
            if secure.recovery.rest_at().is_some_and(|at| now >= at) {
                secure.recovery.rest();
            }
            secure.keys.on_timeout(now);
            if let Some(fec) = secure.fec_tx.as_mut().filter(|fec| fec.rest_at().is_some_and(|at| now >= at)) {
                fec.rest();
            }
        }
        if self.paths.in_use().allows(u64::from(self.stats.datagram_size)) {
            self.on_loss_timeout(now);
            self.on_correction_timeout(now);
        }
        if let (Life::Flushing(farewell), Some(linger)) = (&self.life, self.linger)
            && now >= linger.deadline()
        {
            let farewell = farewell.clone();
            self.cut_flush_short(now);
            return self.say_farewell(now, farewell);
        }
        self.finish_flush(now);
    }

    fn on_loss_timeout(&mut self, now: Instant) {
        let Some((recovery, mut writers)) = self.recovery_and_writers(now) else { return };
        let timeout = recovery.on_timeout(now, &mut |fate, record| writers.tell(fate, record));
        if timeout == Timeout::Probe {
            if let Some(fec) = writers.fec {
                fec.release_all();
            }
            self.stats.probe_timeouts += 1;
            // If no probe finds data to carry, a PING does.
            self.ask_for_ack();
            if let Some(server) = &mut self.server {
                server.repeat(now);
            }
        }
        self.follow_mtu(now);
        self.suspect_path();
        self.give_up_repairs(now);
        match timeout {
            Timeout::Nothing => {}
            Timeout::Lost => self.observe(|| Observation::TimerExpired(Timer::Loss)),
            Timeout::Probe => self.observe(|| Observation::TimerExpired(Timer::Probe)),
        }
    }
}

/// The connection's name for an event of a stream.
pub(super) fn stream_event(event: StreamEvent) -> Event {
    match event {
        StreamEvent::Opened(sid) => Event::StreamOpened(sid),
        StreamEvent::Readable(sid) => Event::StreamReadable(sid),
        StreamEvent::Writable(sid) => Event::StreamWritable(sid),
        StreamEvent::Finished(sid) => Event::StreamFinished(sid),
        StreamEvent::Reset(sid, code) => Event::StreamReset(sid, code),
        StreamEvent::Stopped(sid, code) => Event::StreamStopped(sid, code),
        StreamEvent::Outcome { sid, id, outcome } => Event::MessageOutcome { stream: sid, id, outcome },
        StreamEvent::Available(ty) => Event::StreamsAvailable(ty),
    }
}
