//! What becomes of a transfer that failed: how often it is tried again and when, and how a block that
//! can't be read is narrowed down to the sectors that can't.
//!
//! A transfer is tried again after a pause, which doubles from one try to the next; all others go on
//! meanwhile. A block that still can't be read is read in halves, these in halves, down to a unit;
//! a unit that can't be read becomes zeros, and behind it the pieces grow again:
//!
//! ```text
//! block of 8 units, unit 5 is bad:  01234567 fails, 0123, 4567 fails, 45 fails, 4, 5 fails: zeros, 6, 7
//! ```
//!
//! What is in order (a pipe, a tape) is never tried again after a fault: nobody knows what was consumed.

use std::ops::Range;
use std::time::Duration;

use super::pump::Pump;
use super::shape::Length;
use super::slot::{Slot, State};
use super::steps::{Reason, Transfer};

/// The pause before the first new try; each one after it is twice as long.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause after a fault is longer.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Nor is one for a target that is full: space comes at any time, and asking costs little.
pub const LONGEST_PAUSE_FOR_ROOM: Duration = Duration::from_secs(1);

/// How much is borne with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// a transfer that failed is tried again so many times
    pub retries: u32,
    /// a target without room is waited for, however long that takes
    pub waits_for_room: bool,
    /// what can't be read of a source whose length is known becomes zeros, in units of so many bytes:
    /// a multiple of the source's alignment. None: it is a failure
    pub zero_fill: Option<u32>,
}

/// What kind of failure a transfer met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// this range at this time: another try, or a part of it, may do
    Fault,
    /// the target has no room
    Full,
    /// another try would end the same way
    Final,
}

/// What the pump makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// it is handed out again
    Again {
        /// how many times it has been tried again, this one included
        attempt: u32,
        /// in how long
        pause: Duration,
    },
    /// it is read in pieces
    Narrowed,
    /// these bytes of the stream can't be read and become zeros
    Lost(Range<u64>),
    /// it is the failure that ends the stream
    Failed,
}

/// What a slot has met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trials {
    attempts: u32,
    /// the next try is not to be made before
    not_before: Duration,
    /// reads are of so many bytes at most, since one of more could not be had; such a block is not
    /// paused for any more
    piece: Option<u32>,
    /// so many bytes are lost; zeros take their place next
    lost: u32,
}

/// The pause before the `attempt`th new try, counted from 1.
pub fn pause(attempt: u32, longest: Duration) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    (FIRST_PAUSE * (1 << doublings)).min(longest)
}

impl Pump {
    /// The operation failed. What comes of it is told, so that whoever waits can be told why.
    pub fn troubled(
        &mut self,
        transfer: Transfer,
        reason: Reason,
        trouble: Trouble,
        now: Duration,
    ) -> Verdict {
        let patience = self.shape.patience;
        let reading = matches!(self.slots[usize::from(transfer.slot)].state, State::Reading { .. });
        let side = if reading { self.shape.source } else { self.shape.target };
        let trials = &mut self.slots[usize::from(transfer.slot)].trials;
        let longest = match trouble {
            Trouble::Full if !reading && patience.waits_for_room => Some(LONGEST_PAUSE_FOR_ROOM),
            Trouble::Fault if side.ordered || trials.piece.is_some() => None,
            Trouble::Fault if trials.attempts < patience.retries => Some(LONGEST_PAUSE),
            _ => None,
        };
        if let Some(longest) = longest {
            trials.attempts = trials.attempts.saturating_add(1);
            let attempt = trials.attempts;
            let pause = pause(attempt, longest);
            trials.not_before = now + pause;
            self.give_back(transfer, reading);
            return Verdict::Again { attempt, pause };
        }
        match patience.zero_fill.filter(|_| reading && trouble == Trouble::Fault && !side.ordered) {
            Some(unit) if self.is_known_to_exist(transfer.slot) => {
                self.give_back(transfer, reading);
                self.narrow(transfer, unit)
            }
            _ => {
                self.failed(transfer, reason, now);
                Verdict::Failed
            }
        }
    }

    /// It is not in flight any more; where a read began, anything may be in the buffer.
    fn give_back(&mut self, transfer: Transfer, reading: bool) {
        self.retry(transfer);
        if reading {
            self.slots[usize::from(transfer.slot)].read_failed();
        }
    }

    /// Only what a source is known to have can be replaced by zeros: behind its end there would be no
    /// end of them.
    fn is_known_to_exist(&self, slot: u16) -> bool {
        let slot = &self.slots[usize::from(slot)];
        match self.shape.length {
            Length::Exact(length) | Length::Expected(length) => slot.offset + u64::from(slot.want) <= length,
            Length::Unknown => false,
        }
    }

    fn narrow(&mut self, transfer: Transfer, unit: u32) -> Verdict {
        let slot = &mut self.slots[usize::from(transfer.slot)];
        let start = slot.end();
        let end = (transfer.offset + u64::from(transfer.len)).min(slot.offset + u64::from(slot.want));
        let first = start / u64::from(unit);
        let units = end.div_ceil(u64::from(unit)) - first;
        if units > 1 {
            slot.trials.piece = Some((units / 2) as u32 * unit);
            return Verdict::Narrowed;
        }
        slot.trials.piece = Some(unit);
        slot.trials.lost = (end - start) as u32;
        Verdict::Lost(start..end)
    }
}

impl Trials {
    /// Whether the next try may be made.
    pub fn is_due(&self, now: Duration) -> bool {
        self.not_before <= now
    }

    /// When that is.
    pub fn due(&self) -> Duration {
        self.not_before
    }

    /// Bytes that are lost, which zeros are to take the place of next.
    pub fn lost(&self) -> Option<u32> {
        Some(self.lost).filter(|lost| *lost > 0)
    }
}

impl Slot {
    /// How far the next read goes, in bytes from the buffer's start.
    pub fn read_to(&self, unit: Option<u32>) -> u32 {
        let (Some(piece), Some(unit)) = (self.trials.piece, unit) else { return self.want };
        // The unit that the read begins in counts as a whole one.
        let into_unit = (self.end() % u64::from(unit)) as u32;
        self.want.min(self.filled.saturating_add(piece - into_unit))
    }

    /// An operation has moved something: what comes next starts afresh, and is read in larger pieces.
    /// Not so behind what was lost: bad units have neighbours.
    pub fn moved_on(&mut self) {
        let was_lost = self.trials.lost().is_some();
        let piece = self.trials.piece.map(|piece| if was_lost { piece } else { piece.saturating_mul(2) });
        self.trials = Trials { piece, ..Trials::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let pauses = [1, 2, 3, 7, 8, u32::MAX].map(|attempt| pause(attempt, LONGEST_PAUSE).as_millis());
        assert_eq!(pauses, [100, 200, 400, 6400, 10_000, 10_000]);
    }
}
