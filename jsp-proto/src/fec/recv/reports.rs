//! Which repairs the peer is to be told of, in RECOVERED frames (specification section 5.6).

use alloc::collections::VecDeque;

use crate::ranges::RangeSet;
use crate::wire::cursor::Writer;
use crate::wire::frame::write_recovered;

/// How often a repair is reported: a report is not acknowledged, so it is said again.
const TIMES: u8 = 3;
/// Repairs that wait to be reported, and so the most that one packet reports. The oldest are given up: their frames will
/// be sent again for nothing.
pub(crate) const MAX_REPORTED: usize = 256;

/// Repairs to report.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// Packet numbers and how often each is still to be reported.
    waiting: VecDeque<(u64, u8)>,
    /// Of `waiting`, to be written.
    ranges: RangeSet,
}

impl Reports {
    pub(super) fn add(&mut self, pn: u64) {
        if self.waiting.len() >= MAX_REPORTED {
            self.waiting.pop_front();
        }
        self.waiting.push_back((pn, TIMES));
    }

    /// Writes a RECOVERED frame, if there is something to report and room for it.
    pub(super) fn write(&mut self, w: &mut Writer<'_>) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        self.ranges.clear();
        for &(pn, _) in &self.waiting {
            self.ranges.insert_one(pn);
        }
        let ranges = self.ranges.iter().rev().map(|range| (range.start, range.end - 1));
        let Ok(written) = write_recovered(w, ranges) else { return false };
        let last = written.checked_sub(1).and_then(|last| self.ranges.iter().rev().nth(last));
        let lowest = last.map_or(u64::MAX, |range| range.start);
        for (_, times) in self.waiting.iter_mut().filter(|(pn, _)| *pn >= lowest) {
            *times -= 1;
        }
        self.waiting.retain(|&(_, times)| times > 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Frame;
    use crate::wire::cursor::Reader;
    use alloc::vec::Vec;

    /// The ranges of the frame that is written into this much room.
    fn written(reports: &mut Reports, room: usize) -> Option<Vec<(u64, u64)>> {
        let mut buffer = [0; 1200];
        let mut w = Writer::new(&mut buffer[..room]);
        reports.write(&mut w).then_some(())?;
        let Ok(Frame::Recovered(ranges)) = Frame::decode(&mut Reader::new(w.written())) else { panic!("no RECOVERED") };
        Some(ranges.iter().map(|range| (*range.start(), *range.end())).collect())
    }

    #[test]
    fn each_repair_is_reported_three_times() {
        let mut reports = Reports::default();
        assert_eq!(written(&mut reports, 1200), None);
        [7, 3, 4].into_iter().for_each(|pn| reports.add(pn));
        assert_eq!(written(&mut reports, 1200).unwrap(), [(7, 7), (3, 4)]);
        reports.add(9);
        assert_eq!(written(&mut reports, 1200).unwrap(), [(9, 9), (7, 7), (3, 4)]);
        assert_eq!(written(&mut reports, 1200).unwrap(), [(9, 9), (7, 7), (3, 4)]);
        assert_eq!(written(&mut reports, 1200).unwrap(), [(9, 9)]);
        assert_eq!(written(&mut reports, 1200), None);
    }

    #[test]
    fn what_found_no_room_waits() {
        let mut reports = Reports::default();
        (0..10).for_each(|pn| reports.add(pn * 4));
        assert_eq!(written(&mut reports, 3), None);
        for _ in 0..3 {
            assert_eq!(written(&mut reports, 6).unwrap(), [(36, 36), (32, 32)]);
        }
        assert_eq!(written(&mut reports, 1200).unwrap().len(), 8);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut reports = Reports::default();
        (0..10_000).for_each(|pn| reports.add(pn * 2));
        assert_eq!(reports.waiting.len(), MAX_REPORTED);
        let mut writes = 0;
        while let Some(ranges) = written(&mut reports, 1200) {
            assert!(ranges.len() <= 32 && ranges.iter().all(|&(first, _)| first >= (10_000 - 256) * 2));
            writes += 1;
        }
        assert_eq!(writes, 256 / 32 * 3);
    }
}
