//! The pump's writing side: which block may go to the target now, and what came of it.

use std::ops::Range;
use std::time::Duration;

use super::pump::Pump;
use super::shape::{Length, Visibility};
use super::slot::{Look, State};
use super::steps::{Outlet, Reason, Transfer};

impl Pump {
    /// What the writing side is to do at `now`.
    pub fn next_write(&mut self, now: Duration) -> Outlet {
        let depth = if self.shape.target.ordered { 1 } else { self.shape.target.depth };
        if !self.writes_go_on() || self.writes_in_flight >= depth {
            return Outlet::Idle;
        }
        self.seal_if_waited_for();
        let candidates = if self.shape.target.ordered { 1 } else { self.order.len() };
        let ready = (0..candidates.min(self.order.len())).filter(|&nth| self.may_write(nth));
        let trials = |nth: usize| &self.slots[usize::from(self.order[nth])].trials;
        let Some(nth) = ready.clone().find(|&nth| trials(nth).is_due(now)) else {
            return ready.map(|nth| trials(nth).due()).min().map_or(Outlet::Idle, Outlet::Wait);
        };
        let id = self.order[nth];
        let slot = &self.slots[usize::from(id)];
        if slot.state == (State::Read { searched: false }) {
            let at = slot.window.end;
            return Outlet::Search { slot: id, at, len: slot.filled - at };
        }
        let end = slot.offset + u64::from(slot.window.end);
        if let Some(size) = self.size_to_show(end) {
            self.visible = size;
            return Outlet::Extend { size };
        }
        self.visible = self.visible.max(end);
        Outlet::Write(self.submit_write(id))
    }

    pub(super) fn submit_write(&mut self, id: u16) -> Transfer {
        self.writes_in_flight += 1;
        let align = self.shape.target.align;
        let slot = &mut self.slots[usize::from(id)];
        let part = slot.begin_write(align);
        let offset = slot.offset + u64::from(part.at);
        Transfer { slot: id, offset, at: part.at, len: part.len, direct: part.direct }
    }

    /// A block may overtake others only while the source is known to go on behind it: the last one
    /// waits until it is the first, so that no full length ever covers a gap.
    fn may_write(&self, nth: usize) -> bool {
        let slot = &self.slots[usize::from(self.order[nth])];
        let read = matches!(slot.state, State::Read { .. });
        let last = slot.end() >= self.guarded_end() && self.shape.visibility != Visibility::Fixed;
        read && slot.offset < self.source_limit && (nth == 0 || !last)
    }

    /// The length that must not show before everything below it is written: the expected one, even
    /// where the source turns out to have grown past it, then as far as the source is known to go.
    fn guarded_end(&self) -> u64 {
        match self.shape.length {
            Length::Expected(n) if self.completed_to() < n => n,
            _ => self.known_end,
        }
    }

    /// The size to set before a write that ends at `end`, where one is to be set. With a length of
    /// 100 MiB, blocks of 1 MiB, a step of 16 MiB and 30 MiB complete: 46 MiB; near the end 99 MiB,
    /// and the last block's write itself moves the size to its final value.
    fn size_to_show(&self, end: u64) -> Option<u64> {
        let Visibility::Ahead { step } = self.shape.visibility else { return None };
        let block = u64::from(self.shape.block_bytes);
        let last_block = self.guarded_end().saturating_sub(1) / block * block;
        let ahead = (self.completed_to() + step).min(last_block);
        (end > self.visible && ahead >= end).then_some(ahead)
    }

    /// The answer to [`Outlet::Search`]: the first run of data, in bytes from the buffer's start,
    /// or nothing but zeros.
    pub fn searched(&mut self, id: u16, run: Option<Range<u32>>, now: Duration) {
        let goes_on = self.writes_go_on();
        let slot = &mut self.slots[usize::from(id)];
        assert_eq!(slot.state, State::Read { searched: false }, "what is searched has been read");
        slot.state = State::Read { searched: true };
        match run {
            Some(run) => slot.window = run,
            // The flow may have finished by now: nobody comes to look at it.
            None if slot.look != Look::Done && !goes_on => {}
            None => self.block_done(id, now),
        }
    }

    /// A write completed with `n` bytes.
    pub fn wrote(&mut self, transfer: Transfer, n: u32, now: Duration) {
        if n == 0 {
            return self.failed(transfer, Reason::WriteZero, now);
        }
        let align = self.shape.target.align;
        let find_zeros = self.shape.find_zeros;
        let slot = &mut self.slots[usize::from(transfer.slot)];
        assert_eq!(slot.state, State::Writing, "a write completes once");
        assert!(n <= transfer.len, "a write takes at most what it was given");
        self.writes_in_flight -= 1;
        slot.wrote(n, transfer.direct, align);
        slot.moved_on();
        if slot.window.is_empty() {
            match find_zeros && slot.window.end < slot.filled {
                true => slot.state = State::Read { searched: false },
                false => self.block_done(transfer.slot, now),
            }
        }
    }

    /// Nothing is left to write of it. A drain event, unless somebody has still to look at it: the block
    /// is with the target and its bytes are in flight no more.
    pub(super) fn block_done(&mut self, id: u16, now: Duration) {
        let slot = &mut self.slots[usize::from(id)];
        if slot.look != Look::Done {
            slot.state = State::Written;
            return;
        }
        let bytes = u64::from(slot.filled);
        self.level.written(bytes, slot.admitted, now);
        self.completed_bytes += bytes;
        self.release(id);
    }
}
