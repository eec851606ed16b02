//! How large the ring is and where its marks are, from what was typed and what was not.

use std::sync::Arc;

use crate::flow::{Gentle, Marks, MarksError, SharedLevel, Tuner};

/// The unit of transfer where none was typed, in bytes. Measured (512 MiB, cached, direct writes,
/// CPU of the copy): 256 KiB 146 ms, 512 KiB 127 ms, 1 MiB 123 ms, at the same wall time; a larger
/// block would leave too few of them in the ring.
pub const BLOCK_BYTES: u64 = 512 << 10;
/// The smallest unit for a file that is small itself, in bytes.
const SMALL_BLOCK_BYTES: u64 = 64 << 10;
/// The ring where nothing was typed, in bytes: registered, it fits twice into the 8 MiB that a
/// plain user may lock.
const RING_BYTES: u64 = 4 << 20;
/// Fewer buffers are no ring: nothing is read while something is written.
const FEWEST_BUFFERS: u16 = 2;
/// tokio-uring registers no more (it drops the rest without a word).
const MOST_BUFFERS: u64 = 1024;
/// A buffer's length is a 32-bit number in an SQE, and the kernel registers at most 1 GiB.
const MOST_BLOCK_BYTES: u64 = 1 << 30;

/// Who moves the high-water mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moved {
    /// nobody
    #[default]
    Never,
    /// `--high-water auto`: it finds itself, below the whole ring
    ToTheKnee,
    /// `--gentle`: it gives way to others, below the whole ring, and operations have the idle I/O priority
    ForOthers,
}

/// What was typed; None is "whatever fits". All sizes are bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Typed {
    /// `--block-size`
    pub block_bytes: Option<u64>,
    /// `--buffers`
    pub buffers: Option<u64>,
    /// `--high-water`
    pub high_water: Option<u64>,
    /// `--low-water`
    pub low_water: Option<u64>,
    /// who moves the mark
    pub moved: Moved,
}

/// A ring and its marks that don't contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// the unit of transfer, in bytes
    pub block_bytes: u32,
    /// how many buffers
    pub buffers: u16,
    /// nothing that was typed needs so many: fewer will do
    pub may_shrink: bool,
    block_typed: bool,
    high_water: Option<u64>,
    low_water: Option<u64>,
    moved: Moved,
}

impl Typed {
    /// Untyped values follow typed ones: the block is no larger than the mark, the buffers are as
    /// many as the marks need, the high-water mark is the whole ring. Only typed values can
    /// contradict each other.
    pub fn resolve(self) -> Result<Size, MarksError> {
        let Typed { block_bytes, buffers, high_water, low_water, moved } = self;
        if block_bytes == Some(0) || buffers == Some(0) || high_water == Some(0) {
            return Err(MarksError::Zero);
        }
        let least_block = high_water.map_or(1, |high| high.div_ceil(MOST_BUFFERS).next_multiple_of(4096));
        let follow = || BLOCK_BYTES.min(high_water.unwrap_or(u64::MAX)).max(least_block);
        let block = block_bytes.unwrap_or_else(follow);
        let needed = high_water.or(low_water.map(|low| low.saturating_add(block)));
        let enough = needed.unwrap_or(0).div_ceil(block).max((RING_BYTES / block).clamp(4, 256));
        let exact = high_water.map(|high| high.div_ceil(block));
        let buffers_wanted = buffers.or(exact).unwrap_or(enough);
        if block > MOST_BLOCK_BYTES {
            return Err(MarksError::BlockTooLarge { block, most: MOST_BLOCK_BYTES });
        }
        if buffers_wanted > MOST_BUFFERS {
            return Err(MarksError::TooManyBuffers { buffers: buffers_wanted, most: MOST_BUFFERS });
        }
        let size = Size {
            block_bytes: block as u32,
            buffers: buffers_wanted as u16,
            may_shrink: buffers.is_none() && needed.is_none(),
            block_typed: block_bytes.is_some(),
            high_water,
            low_water,
            moved,
        };
        size.marks(size.buffers.into()).map(|_| size)
    }
}

impl Size {
    /// No larger than a source of `length` bytes needs, where nothing that was typed asks for more:
    /// registering memory touches it all, which takes longer than copying a small file.
    pub fn for_length(self, length: Option<u64>) -> Size {
        let Some(length) = length.filter(|_| self.may_shrink) else { return self };
        let most = u64::from(self.block_bytes);
        let fitting =
            || length.max(1).checked_next_power_of_two().unwrap_or(most).clamp(SMALL_BLOCK_BYTES, most);
        let block = if self.block_typed { most } else { fitting() };
        // One more, in which the end of file is met.
        let buffers = (length.div_ceil(block) + 1).min(self.buffers.into());
        Size { block_bytes: block as u32, buffers: buffers as u16, ..self }
    }

    /// How many of `workers` can have buffers of their own, and the size of each one's ring: together
    /// they are this one, or larger where nothing that was typed holds them back.
    pub fn shared_by(self, workers: usize) -> (usize, Size) {
        let workers = workers.clamp(1, usize::from(u16::MAX)) as u16;
        let workers = if self.may_shrink { workers } else { workers.min(self.buffers) };
        let least = if self.may_shrink { FEWEST_BUFFERS } else { 1 };
        let buffers = (self.buffers / workers).max(least);
        (workers.into(), Size { buffers, ..self })
    }

    /// Whether others go first.
    pub fn is_gentle(&self) -> bool {
        self.moved == Moved::ForOthers
    }

    /// One buffer, for work without a ring.
    pub fn for_calls(self) -> Size {
        Size { buffers: 1, ..self }
    }

    /// The marks over rings that came out with so many buffers.
    pub fn marks(&self, buffers: u32) -> Result<Marks, MarksError> {
        let block = u64::from(self.block_bytes);
        let ring = u64::from(buffers) * block;
        Marks::new(self.high_water.unwrap_or(ring), self.low_water, block, ring)
    }

    /// A level over them, whose mark finds itself where that was asked for. It begins where it would
    /// be if it didn't, or at the ring that there is where nothing is typed: from there it loses nothing
    /// before it knows more.
    pub fn level(&self, buffers: u32) -> Result<Arc<SharedLevel>, MarksError> {
        let marks = self.marks(buffers)?;
        let block = u64::from(self.block_bytes);
        let least = self.low_water.map_or(1, |low| (low / block + 1).min(buffers.into()) as u32);
        let start = (RING_BYTES / block).clamp(FEWEST_BUFFERS.into(), buffers.max(2).into()) as u32;
        Ok(match self.moved {
            Moved::Never => SharedLevel::new(marks),
            Moved::ToTheKnee => SharedLevel::tuned(marks, Tuner::new(block, least, buffers, start)),
            Moved::ForOthers => SharedLevel::gentle(marks, Gentle::new(block, least, buffers)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    fn check(typed: Typed, block: u64, buffers: u16, high: u64, low: u64) {
        let size = typed.resolve().unwrap();
        let marks = size.marks(size.buffers.into()).unwrap();
        let got = (u64::from(size.block_bytes), size.buffers, marks.high_bytes(), marks.low_bytes());
        assert_eq!(got, (block, buffers, high, low), "{typed:?}");
    }

    #[test]
    fn untyped_values_follow_typed_ones() {
        let none = Typed::default();
        let block = BLOCK_BYTES;
        check(none, block, 8, 4 * MIB, 4 * MIB - block);
        check(Typed { block_bytes: Some(MIB), ..none }, MIB, 4, 4 * MIB, 3 * MIB);
        check(Typed { buffers: Some(3), ..none }, block, 3, 3 * block, 2 * block);
        check(Typed { high_water: Some(64 * MIB), ..none }, block, 128, 64 * MIB, 64 * MIB - block);
        check(Typed { high_water: Some(64 * KIB), ..none }, 64 * KIB, 1, 64 * KIB, 0);
        check(Typed { high_water: Some(1 << 30), ..none }, MIB, 1024, 1 << 30, (1 << 30) - MIB);
        check(Typed { low_water: Some(8 * MIB), ..none }, block, 17, 8 * MIB + block, 8 * MIB);
        check(Typed { high_water: Some(5 * MIB), low_water: Some(0), ..none }, block, 10, 5 * MIB, 0);
    }

    #[test]
    fn a_small_source_gets_a_small_ring() {
        let size = Typed::default().resolve().unwrap();
        let ring = |length| {
            let size = size.for_length(Some(length));
            (u64::from(size.block_bytes), size.buffers)
        };
        assert_eq!(ring(0), (64 * KIB, 1));
        assert_eq!(ring(1), (64 * KIB, 2));
        assert_eq!(ring(100_000), (128 * KIB, 2));
        assert_eq!(ring(BLOCK_BYTES), (BLOCK_BYTES, 2));
        assert_eq!(ring(MIB), (BLOCK_BYTES, 3));
        assert_eq!(ring(1 << 40), (BLOCK_BYTES, 8));
        assert_eq!(size.for_length(None), size);
        let buffers = Typed { buffers: Some(8), ..Typed::default() }.resolve().unwrap();
        assert_eq!(buffers.for_length(Some(1)), buffers, "what was typed stands");
        let block =
            Typed { block_bytes: Some(1000), ..Typed::default() }.resolve().unwrap().for_length(Some(1500));
        assert_eq!((block.block_bytes, block.buffers), (1000, 3));
    }

    #[test]
    fn typed_values_that_contradict_each_other_are_refused() {
        let none = Typed::default();
        let check = |typed: Typed, error| assert_eq!(typed.resolve().unwrap_err(), error, "{typed:?}");
        check(Typed { high_water: Some(0), ..none }, MarksError::Zero);
        check(Typed { buffers: Some(0), ..none }, MarksError::Zero);
        let (block, high) = (2 * MIB, MIB);
        let typed = Typed { block_bytes: Some(block), high_water: Some(high), ..none };
        check(typed, MarksError::HighBelowBlock { high, block });
        let high = 5 * MIB;
        let typed = Typed { buffers: Some(2), high_water: Some(high), ..none };
        check(typed, MarksError::HighAboveRing { high, ring: 2 * BLOCK_BYTES });
        let typed = Typed { low_water: Some(high), high_water: Some(high), ..none };
        check(typed, MarksError::LowNotBelowHigh { low: high, high });
        check(
            Typed { buffers: Some(2000), ..none },
            MarksError::TooManyBuffers { buffers: 2000, most: 1024 },
        );
    }
}
