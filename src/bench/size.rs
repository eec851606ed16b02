//! How much is in flight at most, from what was typed and what was not.

use crate::flow::{Marks, MarksError};

use super::options::{Unfit, Workload};

/// Most operations in flight.
pub const MOST_DEPTH: u64 = 1024;
/// Reads and writes of a mixed load have buffers of their own.
const MOST_BUFFERS: u64 = 2 * MOST_DEPTH;
/// Largest block, in bytes.
const MOST_BLOCK: u64 = 64 << 20;
/// Most memory for all buffers, in bytes.
const MOST_MEMORY: u64 = 1 << 30;

/// What was typed; None is "whatever fits". All sizes are bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Typed {
    /// `--block-size`
    pub block_bytes: Option<u64>,
    /// `--depth`
    pub depth: Option<u64>,
    /// `--buffers`
    pub buffers: Option<u64>,
    /// `--high-water`
    pub high_water: Option<u64>,
    /// `--low-water`
    pub low_water: Option<u64>,
}

/// What is in flight at most. Its parts don't contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// of each operation, in bytes
    pub block_bytes: u32,
    /// so many operations
    pub depth: u16,
    /// in the ring: one for each operation, of a mixed load two
    pub buffers: u16,
    /// and so many bytes
    pub high_water_bytes: u64,
    /// once there are so many, none starts before so few are left
    pub low_water_bytes: Option<u64>,
}

impl Typed {
    /// Untyped values follow typed ones: the depth is what the buffers and the marks need, else
    /// `depth`; the buffers are as many as the depth needs; the high-water mark is the whole depth. Only
    /// typed values can contradict each other.
    ///
    /// # Errors
    /// That they do, or that there is too much of something.
    pub fn resolve(self, workload: Workload, depth: u64) -> Result<Size, Unfit> {
        let each = if workload.is_mixed() { 2 } else { 1 };
        let zeros = [
            (self.block_bytes, "block-size"),
            (self.depth, "depth"),
            (self.buffers, "buffers"),
            (self.high_water, "high-water"),
        ];
        if let Some((_, name)) = zeros.into_iter().find(|(typed, _)| *typed == Some(0)) {
            return Err(Unfit::Zero(name));
        }
        let untyped = workload.block_bytes().min(self.high_water.unwrap_or(u64::MAX));
        let block = self.block_bytes.unwrap_or(untyped);
        if block > MOST_BLOCK {
            return Err(Unfit::Block { most: MOST_BLOCK });
        }
        let of_marks = self.high_water.map(|high| high.div_ceil(block));
        let of_marks = of_marks.or(self.low_water.map(|low| (low / block + 1).max(depth)));
        let of_buffers = self.buffers.map(|buffers| buffers / each);
        let depth = self.depth.or(of_buffers).or(of_marks).unwrap_or(depth);
        let buffers = self.buffers.unwrap_or(depth.saturating_mul(each));
        if depth > MOST_DEPTH {
            return Err(Unfit::Depth { most: MOST_DEPTH });
        }
        if buffers > MOST_BUFFERS {
            return Err(Unfit::Buffers { most: MOST_BUFFERS });
        }
        if depth == 0 || buffers < depth * each {
            let depth = depth.max(1);
            return Err(Unfit::TooFewBuffers { buffers, depth, needed: depth * each });
        }
        if buffers * block > MOST_MEMORY {
            return Err(Unfit::Memory { most: MOST_MEMORY });
        }
        let ring = depth * block;
        let high = self.high_water.unwrap_or(ring);
        Marks::new(high, self.low_water, block, ring).map_err(|error| match error {
            MarksError::HighAboveRing { high, ring } => Unfit::HighAboveDepth { high, ring },
            other => Unfit::Marks(other),
        })?;
        Ok(Size {
            block_bytes: block as u32,
            depth: depth as u16,
            buffers: buffers as u16,
            high_water_bytes: high,
            low_water_bytes: self.low_water,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIXED: Workload = Workload::Mixed { read_percent: 50 };

    #[track_caller]
    fn check(typed: Typed, workload: Workload, block: u64, depth: u16, buffers: u16, high: u64) {
        let size = typed.resolve(workload, 32).unwrap();
        let got = (u64::from(size.block_bytes), size.depth, size.buffers, size.high_water_bytes);
        assert_eq!(got, (block, depth, buffers, high), "{typed:?}");
        assert_eq!(size.low_water_bytes, typed.low_water);
    }

    #[test]
    fn untyped_values_follow_typed_ones() {
        let (none, random) = (Typed::default(), Workload::RandRead);
        check(none, random, 4 * KIB, 32, 32, 128 * KIB);
        check(none, Workload::Write, 512 * KIB, 32, 32, 16 << 20);
        check(none, MIXED, 4 * KIB, 32, 64, 128 * KIB);
        check(Typed { depth: Some(8), ..none }, MIXED, 4 * KIB, 8, 16, 32 * KIB);
        check(Typed { buffers: Some(9), ..none }, MIXED, 4 * KIB, 4, 9, 16 * KIB);
        check(Typed { high_water: Some(64 * KIB), ..none }, random, 4 * KIB, 16, 16, 64 * KIB);
        check(Typed { high_water: Some(9 * KIB), ..none }, random, 4 * KIB, 3, 3, 9 * KIB);
        check(Typed { high_water: Some(KIB), ..none }, random, KIB, 1, 1, KIB);
        check(Typed { low_water: Some(256 * KIB), ..none }, random, 4 * KIB, 65, 65, 260 * KIB);
        check(Typed { low_water: Some(0), ..none }, random, 4 * KIB, 32, 32, 128 * KIB);
        let both = Typed { depth: Some(32), high_water: Some(8 * KIB), ..none };
        check(both, random, 4 * KIB, 32, 32, 8 * KIB);
    }

    #[test]
    fn typed_values_that_contradict_each_other_are_refused() {
        let (none, random) = (Typed::default(), Workload::RandRead);
        let check = |typed: Typed, workload, unfit| {
            assert_eq!(typed.resolve(workload, 32), Err(unfit), "{typed:?}");
        };
        check(Typed { buffers: Some(0), ..none }, random, Unfit::Zero("buffers"));
        let few = |buffers, depth, needed| Unfit::TooFewBuffers { buffers, depth, needed };
        check(Typed { depth: Some(8), buffers: Some(7), ..none }, random, few(7, 8, 8));
        check(Typed { depth: Some(8), buffers: Some(15), ..none }, MIXED, few(15, 8, 16));
        check(Typed { buffers: Some(1), ..none }, MIXED, few(1, 1, 2));
        let (high, ring) = (64 * KIB, 32 * KIB);
        let typed = Typed { depth: Some(8), high_water: Some(high), ..none };
        check(typed, random, Unfit::HighAboveDepth { high, ring });
        let typed = Typed { low_water: Some(high), high_water: Some(high), ..none };
        check(typed, random, Unfit::Marks(MarksError::LowNotBelowHigh { low: high, high }));
        let (high, block) = (KIB, 4 * KIB);
        let typed = Typed { block_bytes: Some(block), high_water: Some(high), ..none };
        check(typed, random, Unfit::Marks(MarksError::HighBelowBlock { high, block }));
        check(Typed { high_water: Some(8 << 20), ..none }, random, Unfit::Depth { most: 1024 });
        check(Typed { buffers: Some(5000), depth: Some(1), ..none }, random, Unfit::Buffers { most: 2048 });
        let memory = Typed { block_bytes: Some(64 << 20), depth: Some(17), ..none };
        check(memory, random, Unfit::Memory { most: 1 << 30 });
    }
}
