//! What goes on beside writing, where it is asked for: somebody looks at every byte.
//!
//! In the order of the stream, one block after the other: so whoever digests needs no memory for
//! what came early, and knows that what did not come in between is a hole. A block waits for those
//! before it, which were read at the same time, and neither for their writes nor for its own. Its slot
//! is free once it is both written and digested.

use std::time::Duration;

use super::pump::Pump;
use super::shape::{Digesting, Shape};
use super::slot::{Look, State};
use super::steps::Transfer;

impl Pump {
    /// The bytes to look at now, always a whole block as it was filled; tell [`Pump::digested`]. None
    /// while those that come next are not there, and where nobody is to look.
    pub fn next_digest(&mut self) -> Option<Transfer> {
        let id = self.to_digest()?;
        let slot = &mut self.slots[usize::from(id)];
        slot.look = Look::Now;
        self.digests_in_flight = 1;
        Some(Transfer { slot: id, offset: slot.offset, at: 0, len: slot.filled, direct: false })
    }

    /// Whether there is anything to look at now.
    pub fn has_digest(&self) -> bool {
        self.to_digest().is_some()
    }

    fn to_digest(&self) -> Option<u16> {
        let Shape { digesting, .. } = self.shape;
        if digesting == Digesting::Off || self.digests_in_flight > 0 {
            return None;
        }
        let slot = |id: u16| &self.slots[usize::from(id)];
        let is_past = |id: u16| slot(id).is_filled() && slot(id).look == Look::Done;
        let id = *self.order.iter().find(|id| !is_past(**id))?;
        // What is with the target, or on its way there, is complete also where nothing more is written.
        let is_of_use = self.writes_go_on() || digesting == Digesting::BesideWrite && slot(id).is_taken();
        (slot(id).look == Look::Due && is_of_use && slot(id).offset < self.source_limit).then_some(id)
    }

    /// The bytes have been looked at. Whether the slot is free now: else they are still to be written.
    pub fn digested(&mut self, transfer: Transfer, now: Duration) -> bool {
        let slot = &mut self.slots[usize::from(transfer.slot)];
        assert_eq!(slot.look, Look::Now, "what is handed out is digested once");
        slot.look = Look::Done;
        self.digests_in_flight = 0;
        let is_written = slot.state == State::Written;
        if is_written {
            self.block_done(transfer.slot, now);
        }
        is_written
    }
}
