//! CoDel (RFC 8289): which datagrams a queue drops when it takes them out.

use std::time::Duration;

use jsp_proto::Instant;

const TARGET: Duration = Duration::from_millis(5);
const INTERVAL: Duration = Duration::from_millis(100);
/// A queue that holds no more than one packet is never too long.
const MAX_PACKET: u64 = 1500;

/// The state of one queue.
#[derive(Debug, Default)]
pub(crate) struct Codel {
    first_above: Option<Instant>,
    dropping: bool,
    drop_next: Instant,
    count: u32,
    last_count: u32,
}

impl Codel {
    /// Whether to drop the datagram that is being taken out after this time in the queue, with `left` bytes behind it.
    /// Ask again for the one that comes in its place.
    pub(crate) fn drops(&mut self, now: Instant, sojourn: Duration, left: u64) -> bool {
        let too_long = self.is_too_long(now, sojourn, left);
        if !self.dropping {
            if too_long {
                self.dropping = true;
                // Soon after the last time the rate of drops starts where it was.
                let recent = now - self.drop_next < INTERVAL * 16;
                let before = self.count - self.last_count;
                self.count = if before > 1 && recent { before } else { 1 };
                self.last_count = self.count;
                self.drop_next = now + self.spacing();
            }
            return too_long;
        }
        if !too_long {
            self.dropping = false;
            return false;
        }
        if now < self.drop_next {
            return false;
        }
        self.count += 1;
        self.drop_next += self.spacing();
        true
    }

    /// The queue is empty.
    pub(crate) fn empty(&mut self) {
        self.first_above = None;
        self.dropping = false;
    }

    fn is_too_long(&mut self, now: Instant, sojourn: Duration, left: u64) -> bool {
        if sojourn < TARGET || left <= MAX_PACKET {
            self.first_above = None;
            return false;
        }
        now >= *self.first_above.get_or_insert(now + INTERVAL)
    }

    fn spacing(&self) -> Duration {
        INTERVAL.div_f64(f64::from(self.count).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The milliseconds at which datagrams are dropped, one taken out per millisecond after this time in the queue.
    fn drops(codel: &mut Codel, ms: std::ops::Range<u32>, sojourn: Duration) -> Vec<u32> {
        ms.filter(|ms| codel.drops(Instant::ZERO + MS * *ms, sojourn, 9_000)).collect()
    }

    #[test]
    fn drops_come_faster_while_the_queue_stays_long() {
        let mut codel = Codel::default();
        assert!(drops(&mut codel, 0..1_000, 4 * MS).is_empty());
        // 100 ms above the target, then after 100, 100/√2, 100/√3 ... ms.
        assert_eq!(drops(&mut codel, 1_000..1_400, 6 * MS), [1_100, 1_200, 1_271, 1_329, 1_379]);
        // Below the target once, and it takes an interval again, but then it goes on at the rate it had.
        assert!(drops(&mut codel, 1_400..1_401, 4 * MS).is_empty());
        assert_eq!(drops(&mut codel, 1_401..1_600, 6 * MS), [1_501, 1_551, 1_596]);
    }

    #[test]
    fn a_queue_of_one_packet_is_not_too_long() {
        let mut codel = Codel::default();
        assert!((0..1_000).all(|ms| !codel.drops(Instant::ZERO + MS * ms, 50 * MS, MAX_PACKET)));
    }
}
