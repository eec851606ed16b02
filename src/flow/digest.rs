//! What is between reading and writing, where it is asked for: somebody looks at every byte.
//!
//! In the order of the stream, one block after the other: so whoever digests needs no memory for
//! what came early, and knows that what did not come in between is a hole. A block waits for those
//! before it, which were read at the same time, and not for their writes.

use std::time::Duration;

use super::pump::Pump;
use super::shape::Digesting;
use super::slot::State;
use super::steps::Transfer;

impl Pump {
    /// The bytes to look at now, always a whole block as it was filled; tell [`Pump::digested`]. None
    /// while those that come next are not there, and where nobody is to look.
    pub fn next_digest(&mut self) -> Option<Transfer> {
        let id = self.to_digest()?;
        let slot = &mut self.slots[usize::from(id)];
        slot.state = State::Digesting;
        self.digests_in_flight = 1;
        Some(Transfer { slot: id, offset: slot.offset, at: 0, len: slot.filled, direct: false })
    }

    /// Whether there is anything to look at now.
    pub fn has_digest(&self) -> bool {
        self.to_digest().is_some()
    }

    fn to_digest(&self) -> Option<u16> {
        if self.shape.digesting == Digesting::Off || self.digests_in_flight > 0 || !self.writes_go_on() {
            return None;
        }
        let is_past =
            |id: &&u16| matches!(self.slots[usize::from(**id)].state, State::Read { .. } | State::Writing);
        let id = *self.order.iter().find(|id| !is_past(id))?;
        let slot = &self.slots[usize::from(id)];
        (slot.state == State::Filled && slot.offset < self.source_limit).then_some(id)
    }

    /// The bytes have been looked at: they may be written, or are done with.
    pub fn digested(&mut self, transfer: Transfer, now: Duration) {
        let state = self.slots[usize::from(transfer.slot)].state;
        assert_eq!(state, State::Digesting, "what is handed out is digested once");
        self.digests_in_flight = 0;
        match self.shape.digesting {
            Digesting::InsteadOfWrite => self.block_done(transfer.slot, now),
            Digesting::BeforeWrite | Digesting::Off => self.ready_to_write(transfer.slot),
        }
    }
}
