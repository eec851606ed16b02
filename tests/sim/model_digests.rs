//! The account of what is between reading and writing: each byte is looked at once, in order.

use highwater::flow::{Digesting, Transfer};

use crate::account::{Phase, inside};
use crate::model::Model;
use crate::{Check, ensure};

impl Model {
    /// Bytes are handed out to be looked at.
    pub fn digest_begins(&mut self, t: Transfer) -> Check {
        ensure!(self.shape.digesting != Digesting::Off, "{t:?}: digested, and nobody asked");
        ensure!(!self.cancelled && !self.target_failed, "{t:?}: digested after the end was called");
        self.seal(t.slot);
        ensure!(self.digests == 0, "{t:?}: two blocks are digested at the same time");
        let early = self.slots.iter().find(|slot| {
            let undigested = matches!(slot.phase, Phase::Wanting | Phase::Reading | Phase::Filled);
            undigested && slot.offset < t.offset
        });
        ensure!(early.is_none(), "{t:?}: digested before {early:?}");
        ensure!(t.offset >= self.digested_to, "{t:?}: digested after byte {}", self.digested_to);
        let read_limit = self.read_limit;
        let slot = &mut self.slots[usize::from(t.slot)];
        ensure!(slot.phase == Phase::Filled, "{t:?}: digested, and the slot is {:?}", slot.phase);
        ensure!(slot.offset < read_limit, "{t:?}: digested behind a gap");
        ensure!((t.at, t.len) == (0, slot.filled), "{t:?}: not the block of {} bytes", slot.filled);
        inside(t, slot.offset, self.shape.block_bytes)?;
        slot.phase = Phase::Digesting;
        self.digests = 1;
        Ok(())
    }

    /// They have been looked at.
    pub fn digested(&mut self, t: Transfer) {
        self.digests = 0;
        self.digested_to = t.offset + u64::from(t.len);
        self.digested_bytes += u64::from(t.len);
        match self.shape.digesting {
            Digesting::InsteadOfWrite => {
                self.written_to = self.written_to.max(self.digested_to);
                self.block_done(t.slot);
            }
            _ => self.writable(t.slot),
        }
    }
}
