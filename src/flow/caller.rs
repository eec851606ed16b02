//! A pump with a caller's hand at one end: as a source, where chunks of any length are gathered
//! into blocks, or as a target, which takes blocks in order and gives them back when it likes.

use std::time::Duration;

use super::pump::Pump;
use super::slot::{Slot, State};
use super::steps::Transfer;
use super::tune::Admitted;

/// Room for a caller's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// whose buffer
    pub slot: u16,
    /// from the buffer's start, in bytes
    pub at: u32,
    /// in bytes, never 0
    pub len: u32,
}

impl Pump {
    /// Room in the block that is being gathered, or in a free buffer; None while the ring is full
    /// or once admission has ended. Tell [`Pump::fill`] what was put there.
    pub fn room(&mut self) -> Option<Place> {
        if self.closed {
            return None;
        }
        let slot = match self.gathering() {
            Some(slot) => slot,
            None => {
                let slot = self.free.pop()?;
                self.order.push_back(slot);
                self.slots[usize::from(slot)] =
                    Slot::admitted(self.extents.position(), 0, false, Admitted::default());
                slot
            }
        };
        let at = self.slots[usize::from(slot)].filled;
        Some(Place { slot, at, len: self.shape.block_bytes - at })
    }

    /// `n` bytes were put into `place`. They are in flight from now on; the high-water mark closes
    /// admission for a caller that listens, the ring bounds one that doesn't.
    pub fn fill(&mut self, place: Place, n: u32, now: Duration) {
        assert!(n <= place.len, "a caller fills at most the room there is");
        assert_eq!(self.gathering(), Some(place.slot), "room is filled before anything else is asked");
        self.extents.take(n);
        let admitted = self.level.accept(u64::from(n), now);
        let slot = &mut self.slots[usize::from(place.slot)];
        if slot.filled == 0 {
            slot.admitted = admitted;
        }
        slot.filled += n;
        slot.want = slot.filled;
        self.known_end = self.known_end.max(slot.end());
        if slot.filled == self.shape.block_bytes {
            self.filled(place.slot);
        }
    }

    /// Whether bytes are above the high-water mark, or have been and not fallen to the low one.
    pub fn is_held(&self) -> bool {
        self.level.is_held()
    }

    /// In-flight bytes (Node: `writableLength`).
    pub fn in_flight_bytes(&self) -> u64 {
        self.level.in_flight_bytes()
    }

    /// The caller has no more bytes.
    pub fn finish(&mut self) {
        self.seal();
        self.extents.end();
        self.closed = true;
    }

    /// The next block for a caller that is the target, in order, however many it still has; tell
    /// [`Pump::wrote`] with the whole length when it is done with it.
    pub fn take(&mut self) -> Option<Transfer> {
        let taken = |id: &&u16| self.slots[usize::from(**id)].is_taken();
        let next = *self.order.iter().find(|id| !taken(id))?;
        let slot = &self.slots[usize::from(next)];
        let read = matches!(slot.state, State::Read { .. });
        let comes = self.writes_go_on() && slot.offset < self.source_limit;
        (read && comes).then(|| self.submit_write(next))
    }

    /// Whether a caller that is the target has been given everything that comes.
    pub fn has_ended(&self) -> bool {
        let to_come = |id: &u16| {
            let slot = &self.slots[usize::from(*id)];
            !slot.is_taken() && slot.offset < self.source_limit
        };
        let more = self.writes_go_on() && self.order.iter().any(to_come);
        self.closed && self.reads_in_flight == 0 && !more
    }

    /// While the target is busy small chunks gather; once it waits, what there is goes out.
    pub(super) fn seal_if_waited_for(&mut self) {
        let waits = self.order.front().is_some_and(|id| self.gathering() == Some(*id));
        if waits {
            self.seal();
        }
    }

    fn seal(&mut self) {
        if let Some(id) = self.gathering() {
            match self.slots[usize::from(id)].filled {
                0 => self.release(id),
                _ => self.filled(id),
            }
        }
    }

    /// The block at the end of the order that a caller fills.
    fn gathering(&self) -> Option<u16> {
        let last = *self.order.back()?;
        let open = self.slots[usize::from(last)].state == State::Reading { submitted: false };
        (self.shape.filled_by_caller && open).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Digesting, Holes, Length, Marks, Outlet, Patience, Shape, Side, Visibility};

    fn pump(high: u64, slots: u16) -> Pump {
        Pump::new(Shape {
            block_bytes: 10,
            slots,
            marks: Marks::new(high, Some(0), 10, u64::from(slots) * 10).unwrap(),
            source: Side::ORDERED,
            target: Side::ORDERED,
            length: Length::Unknown,
            sparse: false,
            holes: Holes::Zeros,
            find_zeros: false,
            fill_blocks: true,
            filled_by_caller: true,
            visibility: Visibility::ByWrites,
            digesting: Digesting::Off,
            limit_bytes_per_s: None,
            patience: Patience::default(),
        })
    }

    const NOW: Duration = Duration::ZERO;

    fn put(pump: &mut Pump, mut n: u32) -> u32 {
        let all = n;
        while let Some(place) = pump.room().filter(|_| n > 0) {
            let part = n.min(place.len);
            pump.fill(place, part, NOW);
            n -= part;
        }
        all - n
    }

    #[test]
    fn small_chunks_gather_while_the_target_is_busy() {
        let mut pump = pump(40, 4);
        assert_eq!(put(&mut pump, 3), 3);
        let Outlet::Write(first) = pump.next_write(NOW) else { panic!("what there is goes out") };
        assert_eq!((first.offset, first.len), (0, 3));
        assert_eq!(put(&mut pump, 3) + put(&mut pump, 4), 7);
        assert_eq!(pump.next_write(NOW), Outlet::Idle, "one at a time");
        assert_eq!(pump.in_flight_bytes(), 10);
        pump.wrote(first, 3, NOW);
        let Outlet::Write(second) = pump.next_write(NOW) else { panic!("the gathered block goes out") };
        assert_eq!((second.offset, second.len), (3, 7));
        pump.wrote(second, 7, NOW);
        pump.finish();
        assert!(pump.is_finished());
        assert_eq!((pump.in_flight_bytes(), pump.completed_to()), (0, 10));
    }

    #[test]
    fn the_mark_tells_and_the_ring_bounds() {
        let mut pump = pump(20, 3);
        assert_eq!(put(&mut pump, 19), 19);
        assert!(!pump.is_held());
        assert_eq!(put(&mut pump, 100), 11, "the ring is full");
        assert!(pump.is_held());
        for held_before in [true, true, true] {
            assert_eq!(pump.is_held(), held_before);
            let Outlet::Write(t) = pump.next_write(NOW) else { panic!("a full block goes out") };
            pump.wrote(t, t.len, NOW);
        }
        assert!(!pump.is_held(), "drained to the low-water mark of 0");
    }
}
