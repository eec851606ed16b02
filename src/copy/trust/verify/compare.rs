//! What is read back against what was copied, unit by unit.

use std::io;
use std::ops::Range;

use crate::digest::{Collector, Digest, UNIT_BYTES, Unit, zeros};

use crate::copy::trust::evidence::{Reader, Stream, Units};

/// Compares as the bytes come. Knows how long both are; a unit that one of them has no data for is
/// zeros.
pub(super) struct Comparison<'c> {
    collector: Collector,
    judge: Judge<'c>,
}

struct Judge<'c> {
    expected: Reader<'c>,
    /// of both, in bytes
    end: u64,
    /// wrong, and not told yet: its neighbour may be, too
    wrong: Option<Range<u64>>,
    count: usize,
    differs: &'c mut (dyn FnMut(Range<u64>) + Send),
    failed: Option<io::Error>,
}

impl<'c> Comparison<'c> {
    /// Of `end` bytes with what `streams` say; `differs` is told each range, as large as it can be.
    pub fn new(
        units: &'c Units,
        streams: &[Stream],
        end: u64,
        differs: &'c mut (dyn FnMut(Range<u64>) + Send),
    ) -> Comparison<'c> {
        let expected = Reader::new(units, streams.to_vec());
        let judge = Judge { expected, end, wrong: None, count: 0, differs, failed: None };
        Comparison { collector: Collector::new(0), judge }
    }

    /// Bytes of the copy at `offset`, behind all that came.
    pub fn piece(&mut self, offset: u64, bytes: &[u8]) {
        let Comparison { collector, judge } = self;
        collector.piece(offset, bytes, &mut |unit| judge.found(unit));
    }

    /// The unit before `from` can't be read; what comes next lies behind it.
    pub fn go_past(&mut self, from: u64) -> io::Result<()> {
        let Comparison { collector, judge } = self;
        let (unreadable, before) = (from / UNIT_BYTES - 1, from - UNIT_BYTES);
        let collector = std::mem::replace(collector, Collector::new(from));
        // Else what came last is the beginning of this very unit.
        if collector.position() <= before {
            collector.finish(before, &mut |unit| judge.found(unit));
        }
        judge.expected_until(unreadable);
        if let Some((at, _)) = judge.expected.peek()?
            && at == unreadable
        {
            judge.expected.advance();
        }
        Ok(())
    }

    /// All of the copy has come: in how many ranges it differs. Fails where what was copied can't be
    /// read again.
    pub fn finish(self) -> io::Result<usize> {
        let Comparison { collector, mut judge } = self;
        let end = judge.end.max(collector.position());
        collector.finish(end, &mut |unit| judge.found(unit));
        judge.expected_until(u64::MAX);
        judge.tell();
        match judge.failed {
            Some(error) => Err(error),
            None => Ok(judge.count),
        }
    }
}

impl Judge<'_> {
    /// A unit of the copy of which something is not hole.
    fn found(&mut self, unit: Unit) {
        self.expected_until(unit.index);
        let expected = match self.peek() {
            Some((index, digest)) if index == unit.index => {
                self.expected.advance();
                digest
            }
            _ => self.zeros(unit.index),
        };
        self.judge(unit.index, expected == unit.digest);
    }

    /// What was copied below unit `index` and has not come is a hole of the copy.
    fn expected_until(&mut self, index: u64) {
        while let Some((at, digest)) = self.peek()
            && at < index
            && at * UNIT_BYTES < self.end
        {
            self.expected.advance();
            self.judge(at, digest == self.zeros(at));
        }
    }

    fn peek(&mut self) -> Option<(u64, Digest)> {
        if self.failed.is_some() {
            return None;
        }
        self.expected.peek().unwrap_or_else(|error| {
            self.failed = Some(error);
            None
        })
    }

    fn zeros(&self, index: u64) -> Digest {
        zeros(index, (self.end - index * UNIT_BYTES).min(UNIT_BYTES)).digest
    }

    fn judge(&mut self, index: u64, is_right: bool) {
        if is_right {
            return;
        }
        let start = index * UNIT_BYTES;
        let end = (start + UNIT_BYTES).min(self.end);
        match &mut self.wrong {
            Some(wrong) if wrong.end == start => wrong.end = end,
            _ => {
                self.tell();
                self.wrong = Some(start..end);
            }
        }
    }

    fn tell(&mut self) {
        if let Some(wrong) = self.wrong.take() {
            self.count += 1;
            (self.differs)(wrong);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::options::Options;
    use crate::copy::trust::evidence::Evidence;
    use proptest::prelude::*;

    const UNIT: usize = UNIT_BYTES as usize;

    /// The runs of bytes that are not left out as holes, a sixteenth of a unit each.
    fn data<'b>(bytes: &'b [u8], holes: &[bool]) -> Vec<(u64, &'b [u8])> {
        let pieces = bytes.chunks(UNIT / 16).enumerate();
        let is_data =
            |(nth, piece): &(usize, &[u8])| !holes[nth % holes.len()] || piece.iter().any(|byte| *byte != 0);
        pieces.filter(is_data).map(|(nth, piece)| ((nth * UNIT / 16) as u64, piece)).collect()
    }

    /// Units that differ, those next to each other as one range.
    fn ranges(wrong: impl Iterator<Item = usize>, len: usize) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for unit in wrong {
            let (start, end) = ((unit * UNIT) as u64, (unit * UNIT + UNIT).min(len) as u64);
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        ranges
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Wherever source and copy have holes, and wherever the copy is wrong or can't be read, just
        /// the units that differ are told, and none twice.
        #[test]
        fn just_what_differs_is_told(
            len in 0usize..12 * UNIT, zeroed in proptest::collection::vec(any::<bool>(), 1..40),
            source_holes in proptest::collection::vec(any::<bool>(), 1..20),
            copy_holes in proptest::collection::vec(any::<bool>(), 1..20),
            flips in proptest::collection::vec((0usize..12 * UNIT, any::<bool>()), 0..5),
            unreadable in proptest::collection::btree_set(0usize..12, 0..3),
        ) {
            let mut source = vec![0u8; len];
            for (nth, piece) in source.chunks_mut(UNIT / 16).enumerate() {
                piece.fill(if zeroed[nth % zeroed.len()] { 0 } else { nth as u8 | 1 });
            }
            let mut copy = source.clone();
            for (at, whole) in flips.into_iter().filter(|(at, _)| *at < len) {
                let end = if whole { (at / UNIT * UNIT + UNIT).min(len) } else { at + 1 };
                copy[at..end].iter_mut().for_each(|byte| *byte ^= 1);
            }
            let evidence = Evidence::new(&Options { verify: true, ..Options::default() }).unwrap();
            let mut digests = evidence.of_stream(0);
            {
                let mut digester = digests.digester();
                data(&source, &source_holes).iter().for_each(|(offset, piece)| digester(*offset, piece));
            }
            let streams = digests.finish(len as u64).unwrap().streams;
            let mut told = Vec::new();
            let mut differs = |range| told.push(range);
            let mut comparison = Comparison::new(&evidence.units, &streams, len as u64, &mut differs);
            let mut from = 0;
            let stops = unreadable.iter().copied().filter(|unit| unit * UNIT < len);
            for (stop, is_unreadable) in stops.map(|unit| (unit * UNIT, true)).chain([(len, false)]) {
                for (offset, piece) in data(&copy, &copy_holes) {
                    if (from..stop).contains(&(offset as usize)) {
                        comparison.piece(offset, piece);
                    }
                }
                if is_unreadable {
                    from = stop + UNIT;
                    comparison.go_past(from as u64).unwrap();
                }
            }
            let count = comparison.finish().unwrap();
            let wrong = (0..len.div_ceil(UNIT)).filter(|unit| {
                let range = unit * UNIT..(unit * UNIT + UNIT).min(len);
                !unreadable.contains(unit) && source[range.clone()] != copy[range]
            });
            let expected = ranges(wrong, len);
            prop_assert_eq!(count, expected.len());
            prop_assert_eq!(told, expected);
        }
    }
}
