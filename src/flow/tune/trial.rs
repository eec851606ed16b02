//! A trial: how fast bytes are delivered under one mark.
//!
//! The sample is that of draft-cheng-iccrg-delivery-rate-estimation: what was delivered between the
//! admission of a block and its completion, over that time. Under a level that is at its mark that is
//! a mark of bytes, however they come: one by one, or in bunches, once a round trip or as many as a
//! device has channels. What was in flight when the mark was changed is no part of it: a trial begins
//! with the first completion of a block that was admitted under the mark, and counts blocks that are
//! admitted from then on, as many as are in flight at a time.

use std::time::Duration;

use super::Completion;

/// A rate of fewer blocks is none.
const FEWEST_BLOCKS: u64 = 8;
/// Nor is one over less time: threads are not woken more evenly than that.
const SHORTEST: Duration = Duration::from_millis(25);
/// A level that was not at its mark for longer than the rest was held back by something else.
pub(super) const LEAST_HELD: f64 = 0.8;

#[derive(Clone, Debug)]
pub(super) struct Trial {
    since: Duration,
    /// in bytes of the blocks that count
    until: u64,
    begun: Option<Begun>,
    /// of all blocks since it began
    bytes: u64,
    /// of the blocks that count: their own bytes, and the sums of their samples
    counted: u64,
    delivered: f64,
    took_s: f64,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Duration,
    held: Duration,
}

/// What a trial came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Delivered {
    /// bytes a second
    pub rate: f64,
    /// that it took
    pub bytes: u64,
    /// it was the mark that held the rate back, not the source
    pub is_bound: bool,
}

impl Trial {
    /// Of a mark that holds since `since`.
    pub fn new(mark_bytes: u64, block_bytes: u64, since: Duration) -> Trial {
        let until = (FEWEST_BLOCKS * block_bytes).max(mark_bytes);
        Trial { until, since, begun: None, bytes: 0, counted: 0, delivered: 0.0, took_s: 0.0 }
    }

    /// The same mark once more: what is in flight is under it already.
    pub fn begun(mut self, done: &Completion) -> Trial {
        self.begun = Some(Begun { at: done.completed_at, held: done.held });
        self
    }

    /// A completion; what the trial came to, where it was the last one.
    pub fn told(&mut self, done: &Completion) -> Option<Delivered> {
        self.bytes += done.bytes;
        let Some(begun) = self.begun else {
            if done.admitted.at >= self.since {
                self.begun = Some(Begun { at: done.completed_at, held: done.held });
            }
            return None;
        };
        if done.admitted.at < begun.at {
            return None;
        }
        self.counted += done.bytes;
        self.delivered += (done.delivered - done.admitted.delivered) as f64;
        self.took_s += done.completed_at.saturating_sub(done.admitted.at).as_secs_f64();
        let took = done.completed_at.saturating_sub(begun.at);
        if self.counted < self.until || took < SHORTEST {
            return None;
        }
        let held = done.held.saturating_sub(begun.held).as_secs_f64();
        let is_bound = held >= LEAST_HELD * took.as_secs_f64();
        Some(Delivered { rate: self.delivered / self.took_s.max(1e-9), bytes: self.bytes, is_bound })
    }
}
