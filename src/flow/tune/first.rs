//! The first completions: where the level is far too high, they tell before a mark of bytes has gone by.
//!
//! The first block has met no queue. Once twice its time has gone by, as much has come as the device has
//! in flight at a time, once or twice: by Little's law half of what came in twice the latency is the
//! knee. A mark of twice the knee is more than enough to look for it.

use std::time::Duration;

use super::Completion;
use super::trial::LEAST_HELD;

/// Fewer blocks tell nothing.
const FEWEST_BLOCKS: u32 = 4;

#[derive(Clone, Copy, Debug)]
pub(super) enum First {
    Nothing,
    Block { admitted_at: Duration, latency: Duration, blocks: u32 },
    Over,
}

impl First {
    /// A mark in bytes that is more than enough, told once.
    pub fn told(&mut self, done: &Completion, latency: Duration) -> Option<u64> {
        match self {
            First::Nothing => {
                *self = First::Block { admitted_at: done.admitted.at, latency, blocks: 1 };
                None
            }
            First::Block { admitted_at, latency, blocks } => {
                *blocks += 1;
                let took = done.completed_at.saturating_sub(*admitted_at);
                if took < 2 * *latency || *blocks < FEWEST_BLOCKS {
                    return None;
                }
                let (first_s, took_s) = (latency.as_secs_f64(), took.as_secs_f64());
                *self = First::Over;
                let is_bound = done.held.as_secs_f64() >= LEAST_HELD * took_s;
                is_bound.then(|| (2.0 * done.delivered as f64 * first_s / took_s) as u64)
            }
            First::Over => None,
        }
    }
}
