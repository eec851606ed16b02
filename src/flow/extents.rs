//! From extents to blocks: the stretches of data and holes that the source has, cut into blocks.
//!
//! Knows where the source's data lies once it is told ([`Next::Map`] asks, [`Extents::mapped`]
//! tells), and not how one finds out.

use std::ops::Range;

/// A stretch of the source, as SEEK_DATA and SEEK_HOLE tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// bytes that must be read
    Data(Range<u64>),
    /// bytes that are zero without being stored
    Hole(Range<u64>),
}

/// What becomes of the source's holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holes {
    /// nothing is written there: the target reads as zeros already
    Skip,
    /// zeros are written, so that nothing old shines through and space is really allocated
    Zeros,
}

/// A stretch of at most one block's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// from the start of the source, in bytes
    pub offset: u64,
    /// in bytes, never 0
    pub len: u32,
    /// part of a hole, to be written as zeros without being read
    pub zeros: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// ask the source what lies at `from`, then tell [`Extents::mapped`]
    Map {
        /// in bytes
        from: u64,
    },
    /// a block to move; [`Extents::take`] goes past it
    Block(Block),
    /// everything has been handed out
    Done,
}

/// The part of the source that is still to be handed out.
#[derive(Clone, Debug)]
pub struct Extents {
    block_bytes: u32,
    holes: Holes,
    /// the extent that is being cut, from the position on
    current: Extent,
    /// where the next question starts; equal to `length` when all is known
    mapped_to: u64,
    length: u64,
    /// reading to the end of file, wherever that is
    open_ended: bool,
}

impl Extents {
    /// A source without holes, or one whose holes are not asked for, of `length` bytes.
    pub fn whole(block_bytes: u32, length: u64) -> Extents {
        let current = Extent::Data(0..length);
        let holes = Holes::Skip;
        Extents { block_bytes, holes, current, mapped_to: length, length, open_ended: false }
    }

    /// A source with holes, of `length` bytes.
    pub fn sparse(block_bytes: u32, length: u64, holes: Holes) -> Extents {
        let current = Extent::Data(0..0);
        Extents { block_bytes, holes, current, mapped_to: 0, length, open_ended: false }
    }

    /// A source that is read until it ends.
    pub fn open_ended(block_bytes: u32) -> Extents {
        let mut extents = Extents::whole(block_bytes, 0);
        extents.open_end();
        extents
    }

    /// From the known length on: read until the source ends.
    pub fn open_end(&mut self) {
        self.current = Extent::Data(self.length..u64::MAX);
        self.mapped_to = u64::MAX;
        self.open_ended = true;
    }

    /// Whether blocks are handed out past every known length.
    pub fn is_open_ended(&self) -> bool {
        self.open_ended
    }

    /// The source ended: nothing more comes.
    pub fn end(&mut self) {
        let position = self.position();
        self.current = Extent::Data(position..position);
        self.mapped_to = position;
        self.length = position;
        self.open_ended = false;
    }

    /// Everything before it has been handed out or is a hole that is skipped.
    pub fn position(&self) -> u64 {
        match &self.current {
            Extent::Data(range) | Extent::Hole(range) => range.start,
        }
    }

    /// Where the next question starts.
    pub fn mapped_to(&self) -> u64 {
        self.mapped_to
    }

    /// What comes next; the same until [`Extents::take`] or [`Extents::mapped`] moves on.
    pub fn next(&self) -> Next {
        let (range, zeros) = match &self.current {
            Extent::Data(range) => (range, false),
            Extent::Hole(range) => (range, true),
        };
        if range.is_empty() {
            return match self.mapped_to < self.length {
                true => Next::Map { from: self.mapped_to },
                false => Next::Done,
            };
        }
        let len = (range.end - range.start).min(u64::from(self.block_bytes)) as u32;
        Next::Block(Block { offset: range.start, len, zeros })
    }

    /// Goes past the block that [`Extents::next`] told.
    pub fn take(&mut self, len: u32) {
        let (Extent::Data(range) | Extent::Hole(range)) = &mut self.current;
        range.start += u64::from(len);
    }

    /// Hands out the last `len` bytes again: they did not come.
    pub fn go_back(&mut self, len: u32) {
        let (Extent::Data(range) | Extent::Hole(range)) = &mut self.current;
        range.start -= u64::from(len);
    }

    /// The answer to [`Next::Map`]: the extent that begins there. What reaches past the length is
    /// cut off; an extent that doesn't move on counts as data to the end, so that a source which
    /// changes under the questions costs time and never a byte.
    pub fn mapped(&mut self, extent: Extent) {
        let from = self.mapped_to;
        let clip = |range: Range<u64>| from..range.end.min(self.length);
        let extent = match extent {
            Extent::Data(range) => Extent::Data(clip(range)),
            Extent::Hole(range) => Extent::Hole(clip(range)),
        };
        let (Extent::Data(range) | Extent::Hole(range)) = &extent;
        if range.end <= from {
            self.current = Extent::Data(from..self.length);
            self.mapped_to = self.length;
            return;
        }
        self.mapped_to = range.end;
        self.current = match extent {
            Extent::Hole(range) if self.holes == Holes::Skip => Extent::Data(range.end..range.end),
            extent => extent,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hand_out(mut extents: Extents, map: &[bool], unit: u64) -> Vec<Block> {
        let mut blocks = Vec::new();
        loop {
            match extents.next() {
                Next::Done => return blocks,
                Next::Block(block) => {
                    extents.take(block.len);
                    blocks.push(block);
                }
                Next::Map { from } => {
                    let first = (from / unit) as usize;
                    let run = map[first..].iter().take_while(|data| **data == map[first]).count() as u64;
                    let range = from..from + run * unit;
                    extents.mapped(if map[first] { Extent::Data(range) } else { Extent::Hole(range) });
                }
            }
        }
    }

    proptest! {
        /// The blocks are in order and disjoint, none larger than a block, none across the edge of
        /// an extent, and together they are the data (and the holes, where those are zeros).
        #[test]
        fn blocks_are_the_extents(
            map in proptest::collection::vec(any::<bool>(), 1..40), unit in 1u64..50,
            block in 1u32..100, cut in 0u64..50, zeros in any::<bool>(),
        ) {
            let length = (map.len() as u64 * unit).saturating_sub(cut.min(unit - 1));
            let holes = if zeros { Holes::Zeros } else { Holes::Skip };
            let blocks = hand_out(Extents::sparse(block, length, holes), &map, unit);
            let mut seen = vec![None; length as usize];
            let mut end = 0;
            for b in blocks {
                prop_assert!(b.len > 0 && b.len <= block && b.offset >= end);
                end = b.offset + u64::from(b.len);
                for byte in b.offset..end { seen[byte as usize] = Some(b.zeros); }
            }
            for (byte, seen) in seen.iter().enumerate() {
                let expected = match map[byte / unit as usize] {
                    true => Some(false),
                    false => zeros.then_some(true),
                };
                prop_assert_eq!(*seen, expected, "byte {}", byte);
            }
        }

        /// Whatever a changing source answers, the blocks end at the length.
        #[test]
        fn nonsense_answers_end(answers in proptest::collection::vec((any::<bool>(), 0u64..300, 0u64..300), 0..50)) {
            let mut extents = Extents::sparse(16, 200, Holes::Skip);
            let mut answers = answers.into_iter();
            let mut end = 0;
            loop {
                match extents.next() {
                    Next::Done => break,
                    Next::Block(block) => {
                        prop_assert!(block.offset >= end);
                        end = block.offset + u64::from(block.len);
                        prop_assert!(end <= 200);
                        extents.take(block.len);
                    }
                    Next::Map { .. } => {
                        let (data, start, end) = answers.next().unwrap_or((true, 0, u64::MAX));
                        extents.mapped(if data { Extent::Data(start..end) } else { Extent::Hole(start..end) });
                    }
                }
            }
        }
    }
}
