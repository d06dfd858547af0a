//! The flights a client has sent: each may still be answered while later ones are under way.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::crypto::{ClientHelloState, InitialKeys, KeyId};
use crate::wire::header::{Cid, LongHeader};

/// What a flight asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// The server's key, from a server that knows `Flight::key_id`.
    Key,
    /// A connection.
    Connection(ClientHelloState),
}

/// Datagrams that belong together, with what is needed to read their answer. The bytes never change: one connection
/// id seals one byte string per fragment.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) dcid: Cid,
    pub(crate) key_id: KeyId,
    pub(crate) request: Request,
    pub(crate) datagrams: Vec<Vec<u8>>,
}

impl Flight {
    /// Opens an answer to this flight that is sealed under `key_id`. A failure leaves `packet` as it was.
    pub(crate) fn open<'p>(
        &self,
        key_id: &KeyId,
        header: &LongHeader<'_>,
        packet: &'p mut [u8],
    ) -> Option<&'p mut [u8]> {
        let keys = InitialKeys::new(key_id, self.dcid.as_slice()).server(header.ty, header.scid.as_slice());
        keys.open_datagram(header.index, packet, header.payload_at).ok()
    }
}

/// How many flights stay answerable: three retries and three key fetches on top of the first.
const MAX_FLIGHTS: usize = 8;

/// All flights of an attempt and the datagrams waiting to be sent.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    flights: Vec<Flight>,
    /// The number of the first of them: numbers stay when old ones are forgotten.
    first: usize,
    queue: VecDeque<(usize, usize)>,
}

impl Flights {
    /// Adds a flight and queues it in place of whatever else was waiting.
    pub(crate) fn supersede(&mut self, flight: Flight) {
        self.queue.clear();
        self.push(flight);
    }

    /// Adds a flight and queues it.
    pub(crate) fn push(&mut self, flight: Flight) {
        if self.flights.len() == MAX_FLIGHTS {
            self.flights.remove(0);
            self.first += 1;
            self.queue.clear();
        }
        let at = self.first + self.flights.len();
        self.queue.extend((0..flight.datagrams.len()).map(|index| (at, index)));
        self.flights.push(flight);
    }

    /// Queues again what still waits for an answer: the latest hello, or all key requests.
    pub(crate) fn resend(&mut self) {
        self.queue.clear();
        let hello = self.flights.iter().rposition(|flight| matches!(flight.request, Request::Connection(_)));
        for (at, flight) in self.flights.iter().enumerate().skip(hello.unwrap_or(0)) {
            self.queue.extend((0..flight.datagrams.len()).map(|index| (self.first + at, index)));
        }
    }

    pub(crate) fn stop_sending(&mut self) {
        self.queue.clear();
    }

    /// The next datagram to send.
    pub(crate) fn next(&self) -> Option<&[u8]> {
        let &(flight, index) = self.queue.front()?;
        self.get(flight)?.datagrams.get(index).map(Vec::as_slice)
    }

    pub(crate) fn sent(&mut self) {
        self.queue.pop_front();
    }

    /// The flights that are answerable, with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Flight)> {
        (self.first..).zip(&self.flights)
    }

    pub(crate) fn hellos(&self) -> impl Iterator<Item = (usize, &Flight)> {
        self.iter().filter(|(_, flight)| matches!(flight.request, Request::Connection(_)))
    }

    pub(crate) fn get(&self, number: usize) -> Option<&Flight> {
        self.flights.get(number.checked_sub(self.first)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_flights_stay_when_old_ones_are_forgotten() {
        let mut flights = Flights::default();
        for number in 0..MAX_FLIGHTS as u8 + 2 {
            let (dcid, key_id) = (Cid::default(), KeyId::new([0; 32]));
            let datagrams = [[number].to_vec()].to_vec();
            flights.supersede(Flight { dcid, key_id, request: Request::Key, datagrams });
        }
        assert_eq!(flights.next(), Some(&[MAX_FLIGHTS as u8 + 1][..]));
        assert!(flights.get(1).is_none());
        let kept: Vec<_> = flights.iter().map(|(number, flight)| (number, flight.datagrams[0][0])).collect();
        let expected: Vec<_> = (2..MAX_FLIGHTS + 2).map(|number| (number, number as u8)).collect();
        assert_eq!(kept, expected);
        assert_eq!(flights.get(5).map(|flight| flight.datagrams[0][0]), Some(5));
        flights.resend();
        assert!(flights.next().is_some());
    }
}
