//! From pieces of a stream to its units.

use blake3::Hasher;

use super::{UNIT_BYTES, Unit, closed, hasher, unit};

/// Hashes a stream from some unit on, whatever pieces it comes in. Holds the state of one unit.
#[derive(Debug)]
pub struct Collector {
    /// all before it came, or is a hole
    position: u64,
    /// of the unit that the position is in, where something of it came
    open: Option<Box<Hasher>>,
}

impl Collector {
    /// At `from` bytes from the file's start, where a unit begins.
    pub fn new(from: u64) -> Collector {
        assert!(from.is_multiple_of(UNIT_BYTES), "a stream is hashed from a unit's beginning on");
        Collector { position: from, open: None }
    }

    /// All before it came, or is a hole: in bytes from the file's start.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The bytes at `offset`, which is not before the end of those that came last; each unit that is
    /// complete now goes to `found`, in order.
    pub fn piece(&mut self, offset: u64, bytes: &[u8], found: &mut impl FnMut(Unit)) {
        assert!(offset >= self.position, "pieces come in the order of the stream");
        self.skip_to(offset, found);
        let mut rest = bytes;
        while !rest.is_empty() {
            let in_unit = self.position % UNIT_BYTES;
            let (now, later) = rest.split_at(rest.len().min((UNIT_BYTES - in_unit) as usize));
            let index = self.position / UNIT_BYTES;
            if in_unit == 0 && now.len() as u64 == UNIT_BYTES {
                found(unit(index, now));
            } else {
                let open = self.open.get_or_insert_with(|| {
                    let mut open = Box::new(hasher(index));
                    add_zeros(&mut open, in_unit);
                    open
                });
                open.update(now);
            }
            self.position += now.len() as u64;
            if self.position.is_multiple_of(UNIT_BYTES) {
                self.close(index, found);
            }
            rest = later;
        }
    }

    /// The file ends at `length`, behind all that came.
    pub fn finish(mut self, length: u64, found: &mut impl FnMut(Unit)) {
        assert!(length >= self.position, "a file ends behind what came of it");
        self.skip_to(length, found);
        let index = self.position / UNIT_BYTES;
        self.close(index, found);
    }

    /// A hole up to `offset`.
    fn skip_to(&mut self, offset: u64, found: &mut impl FnMut(Unit)) {
        let index = self.position / UNIT_BYTES;
        if let Some(open) = &mut self.open {
            let end = offset.min((index + 1) * UNIT_BYTES);
            add_zeros(open, end - self.position);
            if end.is_multiple_of(UNIT_BYTES) {
                self.close(index, found);
            }
        }
        self.position = offset;
    }

    fn close(&mut self, index: u64, found: &mut impl FnMut(Unit)) {
        if let Some(open) = self.open.take() {
            found(closed(index, &open));
        }
    }
}

fn add_zeros(open: &mut Hasher, mut len: u64) {
    const ZEROS: [u8; 4096] = [0; 4096];
    while len > 0 {
        let now = len.min(ZEROS.len() as u64);
        open.update(&ZEROS[..now as usize]);
        len -= now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Digest, Root, zeros};
    use proptest::prelude::*;

    /// Cuts `bytes` into pieces as told, leaves out the holes, and gives the units that were found.
    fn collect(bytes: &[u8], cuts: &[usize], holes: &[std::ops::Range<usize>]) -> Vec<Unit> {
        let (mut found, mut collector, mut at) = (Vec::new(), Collector::new(0), 0);
        let mut cuts = cuts.iter().copied().cycle();
        while at < bytes.len() {
            if let Some(hole) = holes.iter().find(|hole| hole.contains(&at)) {
                at = hole.end.min(bytes.len());
                continue;
            }
            let next = holes.iter().map(|hole| hole.start).filter(|start| *start > at).min();
            let end = (at + cuts.next().unwrap()).min(next.unwrap_or(usize::MAX)).min(bytes.len());
            collector.piece(at as u64, &bytes[at..end], &mut |unit| found.push(unit));
            at = end;
        }
        collector.finish(bytes.len() as u64, &mut |unit| found.push(unit));
        found
    }

    fn root(units: &[Unit], length: u64) -> Digest {
        let mut root = Root::default();
        for unit in units {
            while root.units() < unit.index {
                root.add(&zeros(root.units(), UNIT_BYTES));
            }
            root.add(unit);
        }
        while root.units() < length.div_ceil(UNIT_BYTES) {
            let left = length - root.units() * UNIT_BYTES;
            root.add(&zeros(root.units(), left.min(UNIT_BYTES)));
        }
        root.finish()
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        fastrand::Rng::with_seed(len as u64).fill(&mut bytes);
        bytes
    }

    #[test]
    fn lengths_around_units_hash_as_blake3_has_it() {
        let unit = UNIT_BYTES as usize;
        for units in [0, 1, 2, 3, 4, 5, 7, 8, 9] {
            for more in [0, 1, 1023, 1024, 1025, unit - 1] {
                let bytes = noise(units * unit + more);
                let found = collect(&bytes, &[100_000], &[]);
                let expected = *blake3::hash(&bytes).as_bytes();
                assert_eq!(root(&found, bytes.len() as u64), expected, "{units} units and {more}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// However the stream is cut and wherever it has holes: the units are those of its bytes,
        /// none is told where there is nothing but hole, and together they hash as plain BLAKE3.
        #[test]
        fn any_cut_gives_the_same_hash(
            len in 0usize..400_000, cuts in proptest::collection::vec(1usize..90_000, 1..8),
            holes in proptest::collection::vec((0usize..400_000, 1usize..150_000), 0..5),
        ) {
            let mut bytes = noise(len);
            let mut ranges = Vec::new();
            let mut holes = holes;
            holes.sort();
            for (start, hole) in holes {
                let range = start..(start + hole).min(len);
                if start < len && ranges.last().is_none_or(|last: &std::ops::Range<usize>| last.end < start) {
                    bytes[range.clone()].fill(0);
                    ranges.push(range);
                }
            }
            let found = collect(&bytes, &cuts, &ranges);
            let unit_bytes = UNIT_BYTES as usize;
            let expected: Vec<Unit> = bytes.chunks(unit_bytes).enumerate().filter(|(nth, chunk)| {
                let unit = nth * unit_bytes..nth * unit_bytes + chunk.len();
                !ranges.iter().any(|hole| hole.start <= unit.start && unit.end <= hole.end)
            }).map(|(nth, chunk)| unit(nth as u64, chunk)).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(root(&found, len as u64), *blake3::hash(&bytes).as_bytes());
        }

        /// What begins in the middle of a file has the values of its place.
        #[test]
        fn a_part_of_a_file_has_its_units(first in 0u64..4, len in 1usize..200_000) {
            let bytes = noise(4 * UNIT_BYTES as usize + len);
            let from = first * UNIT_BYTES;
            let mut found = Vec::new();
            let mut collector = Collector::new(from);
            collector.piece(from, &bytes[from as usize..], &mut |unit| found.push(unit));
            collector.finish(bytes.len() as u64, &mut |unit| found.push(unit));
            let all = collect(&bytes, &[70_000], &[]);
            prop_assert_eq!(&found[..], &all[first as usize..]);
        }
    }
}
