//! The account of transfers that failed: what the pump may make of each.

use std::ops::Range;

use highwater::flow::{Length, Reason, Transfer, Trouble, Verdict};

use crate::account::Phase;
use crate::model::Model;
use crate::{Check, ensure};

/// What kind of trouble the simulated errnos are.
pub fn trouble(errno: i32) -> Trouble {
    match errno {
        libc::EIO => Trouble::Fault,
        libc::ENOSPC => Trouble::Full,
        _ => Trouble::Final,
    }
}

impl Model {
    /// An operation failed with this errno, and the pump has judged.
    pub fn judged(&mut self, t: Transfer, reason: Reason, verdict: &Verdict, now_ns: u64) -> Check {
        let (Reason::Read(errno) | Reason::Write(errno)) = reason else {
            return Err(format!("{reason:?} of a transfer"));
        };
        let (trouble, patience) = (trouble(errno), self.shape.patience);
        let slot = self.slots[usize::from(t.slot)].clone();
        let reading = slot.phase == Phase::Reading;
        let ordered = if reading { self.shape.source.ordered } else { self.shape.target.ordered };
        let waits = trouble == Trouble::Full && !reading && patience.waits_for_room;
        let faulty = trouble == Trouble::Fault && !ordered;
        let again = waits || faulty && !slot.narrowed && slot.attempts < patience.retries;
        let known = match self.shape.length {
            Length::Exact(n) | Length::Expected(n) => n,
            Length::Unknown => 0,
        };
        let exists = slot.offset + u64::from(slot.want) <= known;
        let narrows = faulty && reading && exists && patience.zero_fill.is_some();
        match verdict {
            Verdict::Again { attempt, pause } => {
                ensure!(again, "{t:?}: tried again, {slot:?}");
                ensure!(*attempt == slot.attempts + 1, "{t:?}: attempt {attempt} follows {}", slot.attempts);
                let longest = if waits { 1000 } else { 10_000 };
                let expected = (100u128 << slot.attempts.min(16)).min(longest);
                ensure!(pause.as_millis() == expected, "{t:?}: a pause of {pause:?}");
                self.give_back(t, reading);
                let slot = &mut self.slots[usize::from(t.slot)];
                (slot.attempts, slot.not_before_ns) = (*attempt, now_ns + pause.as_nanos() as u64);
                Ok(())
            }
            Verdict::Narrowed => {
                ensure!(narrows && !again, "{t:?}: narrowed, {slot:?}");
                self.give_back(t, reading);
                self.slots[usize::from(t.slot)].narrowed = true;
                Ok(())
            }
            Verdict::Lost(range) => {
                ensure!(narrows && !again, "{t:?}: given up, {slot:?}");
                self.give_back(t, reading);
                self.lose(t, range)
            }
            Verdict::Failed => {
                ensure!(!again && !narrows, "{t:?}: failed, and could have gone on: {slot:?}");
                self.failed(t, reason);
                Ok(())
            }
        }
    }

    fn give_back(&mut self, t: Transfer, reading: bool) {
        self.again(t, false);
        let slot = &mut self.slots[usize::from(t.slot)];
        if reading {
            slot.filled = slot.filled.min(t.at);
        }
    }

    /// Only what was refused may be lost, and no more than one unit at a time.
    fn lose(&mut self, t: Transfer, range: &Range<u64>) -> Check {
        let unit = self.shape.patience.zero_fill.map_or(1, u64::from);
        let slot = &mut self.slots[usize::from(t.slot)];
        let (start, end) = (slot.offset + u64::from(slot.filled), slot.offset + u64::from(slot.want));
        let refused = t.offset <= range.start && range.end <= t.offset + u64::from(t.len);
        ensure!(refused && !range.is_empty(), "{range:?} lost, and {t:?} was refused");
        ensure!(range.start == start && range.end <= end, "{range:?} lost, and {start}..{end} is wanted");
        ensure!(range.start / unit == (range.end - 1) / unit, "{range:?} lost, in units of {unit}");
        ensure!(u64::from(t.len) <= unit, "{range:?} lost, and only {t:?} was tried");
        (slot.lost, slot.narrowed) = (Some((range.end - range.start) as u32), true);
        Ok(())
    }
}
