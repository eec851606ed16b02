//! The high-water and low-water marks, and the level between them.
//!
//! The level is a counted resource: bytes are taken before a read starts and given back when they
//! are written. It never exceeds the high-water mark, not by a block.

use std::time::Duration;

use thiserror::Error;

/// The marks on the in-flight bytes, checked once: block <= high <= ring and low < high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    high_bytes: u64,
    low_bytes: u64,
    /// as it was asked for
    low: Option<u64>,
    block_bytes: u64,
}

/// Marks that contradict each other, the block or the ring. All numbers are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MarksError {
    /// A mark or a block of nothing.
    #[error("block and high-water mark must be larger than 0")]
    Zero,
    /// Not even one block could ever be admitted.
    #[error("the high-water mark ({high}) is smaller than a block ({block})")]
    HighBelowBlock {
        /// the mark
        high: u64,
        /// the block
        block: u64,
    },
    /// The ring could never fill to the mark.
    #[error("the high-water mark ({high}) is larger than the ring ({ring})")]
    HighAboveRing {
        /// the mark
        high: u64,
        /// block size times number of buffers
        ring: u64,
    },
    /// Admission would never close, or never open again.
    #[error("the low-water mark ({low}) is not below the high-water mark ({high})")]
    LowNotBelowHigh {
        /// the low-water mark
        low: u64,
        /// the high-water mark
        high: u64,
    },
    /// More than one operation can move.
    #[error("a block ({block}) may be at most {most}")]
    BlockTooLarge {
        /// the block
        block: u64,
        /// the most there can be
        most: u64,
    },
    /// More buffers than can be registered.
    #[error("a ring has at most {most} buffers, not {buffers}: larger blocks make a larger ring")]
    TooManyBuffers {
        /// how many were asked for
        buffers: u64,
        /// the most there can be
        most: u64,
    },
}

impl Marks {
    /// Marks over a ring of `ring` bytes that moves blocks of at most `block` bytes.
    ///
    /// Without a `low` mark admission reopens as soon as a block fits under the high mark again,
    /// which is a low-water mark of `high - block`. A `low` of 0 is Node's 'drain'.
    pub fn new(high: u64, low: Option<u64>, block: u64, ring: u64) -> Result<Marks, MarksError> {
        if block == 0 || high == 0 {
            return Err(MarksError::Zero);
        }
        if high < block {
            return Err(MarksError::HighBelowBlock { high, block });
        }
        if high > ring {
            return Err(MarksError::HighAboveRing { high, ring });
        }
        match low {
            Some(low) if low >= high => Err(MarksError::LowNotBelowHigh { low, high }),
            low => Ok(Marks { high_bytes: high, low_bytes: 0, low, block_bytes: block }.with_high(high)),
        }
    }

    /// The same with another high-water mark, of a block at least and above the low-water mark that was
    /// asked for.
    pub(super) fn with_high(self, high_bytes: u64) -> Marks {
        assert!(
            high_bytes >= self.block_bytes && self.low.is_none_or(|low| low < high_bytes),
            "block, low <= high"
        );
        // Between `at_once` and `high` a lower level would open for less than a block.
        let at_once = high_bytes - self.block_bytes;
        Marks { high_bytes, low_bytes: self.low.unwrap_or(at_once).min(at_once), ..self }
    }

    /// The most bytes that may be in flight.
    pub fn high_bytes(&self) -> u64 {
        self.high_bytes
    }

    /// The level at which admission, once refused, opens again.
    pub fn low_bytes(&self) -> u64 {
        self.low_bytes
    }
}

/// What the level has seen since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LevelStats {
    /// the most bytes in flight at any time
    pub peak_bytes: u64,
    /// how often admission closed
    pub backpressure_events: u64,
    /// how often a write completion opened it again
    pub drain_events: u64,
    /// how long it was closed
    pub paused: Duration,
}

/// The in-flight bytes: admitted to read and not yet written.
#[derive(Clone, Debug)]
pub struct Level {
    marks: Marks,
    in_flight_bytes: u64,
    held_since: Option<Duration>,
    stats: LevelStats,
}

impl Level {
    /// An empty level under `marks`.
    pub fn new(marks: Marks) -> Level {
        Level { marks, in_flight_bytes: 0, held_since: None, stats: LevelStats::default() }
    }

    /// The marks it stands under.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// Another high-water mark, from now on. Raised, it may open admission, and true is told; lowered, it
    /// admits less, and what is above it is written first.
    pub(super) fn set_high(&mut self, high_bytes: u64, now: Duration) -> bool {
        self.marks = self.marks.with_high(high_bytes);
        self.release(0, now)
    }

    /// For how long admission was closed until `now`.
    pub(super) fn held(&self, now: Duration) -> Duration {
        self.stats(now).paused
    }

    /// Bytes admitted to read and not yet written (Node: `writableLength`).
    pub fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// Whether admission is closed: it was refused and the level has not fallen to the low mark.
    pub fn is_held(&self) -> bool {
        self.held_since.is_some()
    }

    /// Takes `bytes`, or refuses them all and closes admission.
    pub fn admit(&mut self, bytes: u64, now: Duration) -> bool {
        if self.is_held() {
            return false;
        }
        if self.in_flight_bytes + bytes > self.marks.high_bytes {
            self.hold(now);
            return false;
        }
        self.take(bytes);
        true
    }

    /// Closes admission: there was something to read and no room for it.
    pub fn hold(&mut self, now: Duration) {
        if self.held_since.is_none() {
            self.held_since = Some(now);
            self.stats.backpressure_events += 1;
        }
    }

    /// Takes `bytes` for a caller that has been told about the mark and is bounded by the ring:
    /// a stream accepts a chunk that reaches past the mark, closes, and says so.
    pub(super) fn accept(&mut self, bytes: u64, now: Duration) {
        self.take(bytes);
        if self.in_flight_bytes >= self.marks.high_bytes {
            self.hold(now);
        }
    }

    fn take(&mut self, bytes: u64) {
        self.in_flight_bytes += bytes;
        self.stats.peak_bytes = self.stats.peak_bytes.max(self.in_flight_bytes);
    }

    /// Gives back `bytes` that were admitted and will not be written: the source ended first, or
    /// the pump did. True where that opens admission again.
    pub fn give_back(&mut self, bytes: u64, now: Duration) -> bool {
        self.release(bytes, now)
    }

    /// A write completion: `bytes` have reached the target. True where it is a drain event, the
    /// one that opens admission again.
    pub fn written(&mut self, bytes: u64, now: Duration) -> bool {
        let drained = self.release(bytes, now);
        self.stats.drain_events += u64::from(drained);
        drained
    }

    fn release(&mut self, bytes: u64, now: Duration) -> bool {
        assert!(bytes <= self.in_flight_bytes, "in-flight bytes never fall below zero");
        self.in_flight_bytes -= bytes;
        if self.in_flight_bytes > self.marks.low_bytes {
            return false;
        }
        match self.held_since.take() {
            Some(since) => {
                self.stats.paused += now.saturating_sub(since);
                true
            }
            None => false,
        }
    }

    /// What was seen until `now`, a pause that still lasts included.
    pub fn stats(&self, now: Duration) -> LevelStats {
        let lasting = self.held_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        LevelStats { paused: self.stats.paused + lasting, ..self.stats }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn contradictions_are_named() {
        let check = |high, low, block, ring| Marks::new(high, low, block, ring).unwrap_err();
        assert_eq!(check(0, None, 1, 1), MarksError::Zero);
        assert_eq!(check(4, None, 0, 8), MarksError::Zero);
        assert_eq!(check(4, None, 8, 64), MarksError::HighBelowBlock { high: 4, block: 8 });
        assert_eq!(check(128, None, 8, 64), MarksError::HighAboveRing { high: 128, ring: 64 });
        assert_eq!(check(64, Some(64), 8, 64), MarksError::LowNotBelowHigh { low: 64, high: 64 });
    }

    #[test]
    fn a_low_mark_of_zero_is_nodes_drain() {
        let mut level = Level::new(Marks::new(20, Some(0), 10, 20).unwrap());
        assert!(level.admit(10, NOW) && level.admit(10, NOW));
        assert!(!level.admit(10, NOW));
        assert!(!level.written(10, NOW), "half empty is not drained");
        assert!(!level.admit(10, NOW), "held until the low mark");
        assert!(level.written(10, Duration::from_secs(3)));
        assert!(level.admit(10, NOW));
        let stats = level.stats(NOW);
        assert_eq!((stats.backpressure_events, stats.drain_events, stats.peak_bytes), (1, 1, 20));
        assert_eq!(stats.paused, Duration::from_secs(3));
    }

    #[test]
    fn without_a_low_mark_every_completion_lets_a_read_in() {
        let mut level = Level::new(Marks::new(20, None, 10, 20).unwrap());
        assert!(level.admit(10, NOW) && level.admit(10, NOW) && !level.admit(10, NOW));
        assert!(level.written(10, NOW));
        assert!(level.admit(10, NOW));
    }

    proptest! {
        /// Whatever is admitted and written, the level is the difference, never above the high
        /// mark, and admission that is closed opens exactly at the low mark.
        #[test]
        fn the_mark_is_never_exceeded(
            block in 1u64..100, buffers in 1u64..20, high in 0u64..2000, low in proptest::option::of(0u64..2000),
            steps in proptest::collection::vec((any::<bool>(), 1u64..100), 0..400),
        ) {
            let ring = block * buffers;
            let Ok(marks) = Marks::new(high, low, block, ring) else { return Ok(()) };
            let mut level = Level::new(marks);
            let mut admitted = std::collections::VecDeque::new();
            for (read, bytes) in steps {
                if read {
                    let bytes = bytes.min(block);
                    let held = level.is_held();
                    let fits = level.in_flight_bytes() + bytes <= high;
                    prop_assert_eq!(level.admit(bytes, NOW), !held && fits);
                    if !held && fits { admitted.push_back(bytes); }
                } else if let Some(bytes) = admitted.pop_front() {
                    let held = level.is_held();
                    let drained = level.written(bytes, NOW);
                    prop_assert_eq!(drained, held && level.in_flight_bytes() <= marks.low_bytes());
                }
                prop_assert_eq!(level.in_flight_bytes(), admitted.iter().sum::<u64>());
                prop_assert!(level.in_flight_bytes() <= high && high <= ring);
            }
            // Whatever happened, a drained level admits a block again: it can't lock up.
            for bytes in admitted { level.written(bytes, NOW); }
            prop_assert!(level.admit(block, NOW));
        }
    }
}
