//! The account of what goes on beside writing: each byte is looked at once, in order, and nothing is
//! complete before.

use highwater::flow::{Digesting, Transfer};

use crate::account::{Account, Look, Phase, inside};
use crate::model::Model;
use crate::{Check, ensure};

impl Model {
    /// Bytes are handed out to be looked at.
    pub fn digest_begins(&mut self, t: Transfer) -> Check {
        ensure!(self.shape.digesting != Digesting::Off, "{t:?}: digested, and nobody asked");
        self.seal(t.slot);
        ensure!(self.digests == 0, "{t:?}: two blocks are digested at the same time");
        let early = self.slots.iter().find(|slot| {
            let is_missing = matches!(slot.phase, Phase::Wanting | Phase::Reading);
            (is_missing || slot.look != Look::Nobody) && slot.offset < t.offset
        });
        ensure!(early.is_none(), "{t:?}: digested before {early:?}");
        ensure!(t.offset >= self.digested_to, "{t:?}: digested after byte {}", self.digested_to);
        let read_limit = self.read_limit;
        let slot = &mut self.slots[usize::from(t.slot)];
        let is_written = matches!(slot.phase, Phase::Writing | Phase::Written);
        let is_of_use = self.shape.digesting == Digesting::BesideWrite && is_written;
        let is_over = self.cancelled || self.target_failed;
        ensure!(!is_over || is_of_use, "{t:?}: digested after the end was called, {:?}", slot.phase);
        ensure!(slot.look == Look::Due, "{t:?}: digested, and the slot is {:?}, {:?}", slot.phase, slot.look);
        ensure!(slot.offset < read_limit, "{t:?}: digested behind a gap");
        ensure!((t.at, t.len) == (0, slot.filled), "{t:?}: not the block of {} bytes", slot.filled);
        inside(t, slot.offset, self.shape.block_bytes)?;
        slot.look = Look::Now;
        self.digests = 1;
        Ok(())
    }

    /// They have been looked at.
    pub fn digested(&mut self, t: Transfer) {
        self.digests = 0;
        self.digested_to = t.offset + u64::from(t.len);
        self.digested_bytes += u64::from(t.len);
        if self.shape.digesting == Digesting::InsteadOfWrite {
            self.written_to = self.written_to.max(self.digested_to);
        }
        let slot = &mut self.slots[usize::from(t.slot)];
        slot.look = Look::Nobody;
        if slot.phase == Phase::Written {
            self.block_done(t.slot);
        }
    }

    /// What was written before a failure or a cancellation has been looked at as well: it is complete up
    /// to the first block that was not.
    pub fn nothing_waits_for_a_digest(&self) -> Check {
        let busy = self.slots.iter().filter(|slot| slot.phase != Phase::Free);
        let first = busy.min_by_key(|slot| slot.offset);
        let waits = |slot: &&Account| slot.phase == Phase::Written && slot.offset < self.read_limit;
        let waiting = first.filter(waits).filter(|_| self.shape.digesting == Digesting::BesideWrite);
        ensure!(waiting.is_none(), "with the target, and nobody has looked at it: {waiting:?}");
        Ok(())
    }

    /// What is complete has been looked at, where that was asked for, and nobody looks at it now.
    pub fn is_digested_to(&self, completed: u64) -> Check {
        let unseen = self.slots.iter().find(|slot| slot.look != Look::Nobody && slot.offset < completed);
        ensure!(unseen.is_none(), "complete to {completed}, and nobody has looked at {unseen:?}");
        Ok(())
    }
}
