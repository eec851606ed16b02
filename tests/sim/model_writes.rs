//! The account of the writing side: searches and writes.

use std::ops::Range;

use highwater::flow::{Shape, Transfer};

use crate::account::{FREE, Look, Phase, aligned, inside};
use crate::model::Model;
use crate::{Check, ensure};

impl Model {
    /// A block that is gathered goes out because the target waits for it.
    pub fn seal(&mut self, id: u16) {
        if self.slots[usize::from(id)].phase == Phase::Gathering {
            self.full(id);
        }
    }

    /// A search for data is handed out.
    pub fn search_begins(&mut self, id: u16, at: u32, len: u32) -> Check {
        self.seal(id);
        let slot = &self.slots[usize::from(id)];
        ensure!(slot.phase == Phase::Full { searched: false }, "slot {id} searched, and is {:?}", slot.phase);
        ensure!((at, len) == (slot.window.end, slot.filled - at) && len > 0, "slot {id}: searched at {at}");
        Ok(())
    }

    pub fn searched(&mut self, id: u16, run: Option<Range<u32>>) {
        let slot = &mut self.slots[usize::from(id)];
        slot.phase = Phase::Full { searched: true };
        match run {
            Some(run) => (slot.window, slot.realigns) = (run, false),
            None if slot.look != Look::Nobody && (self.cancelled || self.target_failed) => {}
            None => self.block_done(id),
        }
    }

    pub fn block_done(&mut self, id: u16) {
        let slot = &mut self.slots[usize::from(id)];
        if slot.look != Look::Nobody {
            slot.phase = Phase::Written;
            return;
        }
        self.level -= u64::from(self.slots[usize::from(id)].filled);
        self.slots[usize::from(id)] = FREE;
    }

    /// A write is handed out, to a caller or to a target that is at `cursor` if it is ordered.
    pub fn write_begins(&mut self, t: Transfer, cursor: u64, caller: bool) -> Check {
        self.seal(t.slot);
        let Shape { target, block_bytes, .. } = self.shape;
        ensure!(!self.cancelled && !self.target_failed, "{t:?}: a write begins after the end was called");
        ensure!(caller || !target.ordered || self.writes == 0, "{t:?}: two writes to an ordered target");
        ensure!(caller || self.writes < target.depth, "{t:?}: {} writes are in flight", self.writes);
        ensure!(!target.ordered || t.offset == cursor, "{t:?}: the ordered target is at {cursor}");
        let slot = &mut self.slots[usize::from(t.slot)];
        let ready = Phase::Full { searched: true };
        ensure!(slot.phase == ready, "{t:?}: written from a slot that is {:?}", slot.phase);
        ensure!(slot.offset < self.read_limit, "{t:?}: written behind a gap");
        inside(t, slot.offset, block_bytes)?;
        let Range { start, end } = slot.window;
        let again = slot.realigns && t.at <= start && start - t.at < target.align;
        ensure!(t.at == start || again, "{t:?}: not where it stopped, at {start}");
        ensure!(t.at + t.len <= end, "{t:?}: bytes written that are not there, from {end} on");
        if t.direct {
            aligned(t, target.align)?;
        }
        (slot.phase, slot.window.start) = (Phase::Writing, t.at);
        self.writes += 1;
        self.written_to = self.written_to.max(t.offset + u64::from(t.len));
        Ok(())
    }

    /// A write completed with `n` bytes.
    pub fn wrote(&mut self, t: Transfer, n: u32) {
        self.writes -= 1;
        let slot = &mut self.slots[usize::from(t.slot)];
        slot.window.start = t.at + n;
        slot.attempts = 0;
        slot.realigns = t.direct && n < t.len;
        slot.phase = Phase::Full { searched: true };
        if slot.window.is_empty() {
            match self.shape.find_zeros && slot.window.end < slot.filled {
                true => slot.phase = Phase::Full { searched: false },
                false => self.block_done(t.slot),
            }
        }
    }
}
