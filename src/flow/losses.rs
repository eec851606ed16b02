//! Which bytes of a source could not be read: ranges, merged where they touch, and no more of them than
//! a bound.

use std::collections::BTreeMap;
use std::ops::Range;

/// So many ranges are kept apart: less than 4 MiB of memory, whatever the source.
const MOST_RANGES: usize = 1 << 16;

/// Ranges of lost bytes, in order and apart from each other.
///
/// Once there are too many, those that are nearest to each other become one: it then says of some bytes
/// between them that they are lost, which are not. What is not in any range is never lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// ends by starts
    ranges: BTreeMap<u64, u64>,
    bytes: u64,
    /// why the first of them was lost
    errno: Option<i32>,
    is_coarse: bool,
}

impl Losses {
    /// These bytes are lost, with this errno; each is told once.
    pub fn add(&mut self, range: Range<u64>, errno: i32) {
        if range.is_empty() {
            return;
        }
        self.errno.get_or_insert(errno);
        self.bytes += range.end - range.start;
        self.cover(range);
        if self.ranges.len() > MOST_RANGES {
            self.coarsen(MOST_RANGES * 3 / 4);
        }
    }

    fn cover(&mut self, Range { mut start, mut end }: Range<u64>) {
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back().filter(|(_, to)| **to >= start) {
            self.ranges.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.ranges.insert(start, end);
    }

    fn coarsen(&mut self, most: usize) {
        self.is_coarse = true;
        let mut gap = 1;
        while self.ranges.len() > most {
            gap *= 2;
            let ranges = std::mem::take(&mut self.ranges);
            let mut merged: Option<Range<u64>> = None;
            for (start, end) in ranges {
                match &mut merged {
                    Some(last) if start - last.end <= gap => last.end = end,
                    _ => {
                        if let Some(last) = merged.replace(start..end) {
                            self.ranges.insert(last.start, last.end);
                        }
                    }
                }
            }
            self.ranges.extend(merged.map(|last| (last.start, last.end)));
        }
    }

    /// All of `others`, which lie `shift` bytes further on.
    pub fn add_all(&mut self, others: &Losses, shift: u64) {
        for range in others.ranges() {
            self.cover(range.start + shift..range.end + shift);
        }
        self.bytes += others.bytes;
        self.errno = self.errno.or(others.errno);
        self.is_coarse |= others.is_coarse;
        if self.ranges.len() > MOST_RANGES {
            self.coarsen(MOST_RANGES * 3 / 4);
        }
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }

    /// How many ranges.
    pub fn count(&self) -> usize {
        self.ranges.len()
    }

    /// How many bytes are lost.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The errno that the first of them was lost with.
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether some range holds bytes that are not lost, as there were too many of them.
    pub fn is_coarse(&self) -> bool {
        self.is_coarse
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// In whatever order: merged where they touch, and nothing else.
        #[test]
        fn ranges_merge(units in proptest::collection::vec(0u64..60, 0..60)) {
            let mut losses = Losses::default();
            let mut lost = [false; 60];
            for unit in units {
                if !std::mem::replace(&mut lost[unit as usize], true) {
                    losses.add(unit * 512..(unit + 1) * 512, 5);
                }
            }
            let mut expected: Vec<Range<u64>> = Vec::new();
            for unit in (0..60).filter(|unit| lost[*unit as usize]) {
                match expected.last_mut().filter(|last| last.end == unit * 512) {
                    Some(last) => last.end += 512,
                    None => expected.push(unit * 512..(unit + 1) * 512),
                }
            }
            prop_assert_eq!(losses.ranges().collect::<Vec<_>>(), expected);
            prop_assert_eq!(losses.bytes(), 512 * lost.iter().filter(|lost| **lost).count() as u64);
            prop_assert!(!losses.is_coarse());
        }
    }

    #[test]
    fn too_many_ranges_become_fewer_and_cover_all() {
        let mut losses = Losses::default();
        let count = 3 * MOST_RANGES as u64;
        for n in 0..count {
            losses.add(n * 8192..n * 8192 + 512, 5);
        }
        assert!(losses.count() <= MOST_RANGES && losses.is_coarse());
        assert_eq!(losses.bytes(), count * 512);
        let covers =
            |n: u64| losses.ranges().any(|range| range.start <= n * 8192 && n * 8192 + 512 <= range.end);
        assert!([0, 1, count / 2, count - 1].into_iter().all(covers));
    }
}
