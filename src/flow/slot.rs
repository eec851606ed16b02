//! A slot: one buffer of the ring and what it does now. The arithmetic of continuations is here.
//!
//! Positions (`at`) are bytes from the start of the buffer; byte 0 belongs to `offset` of the stream.

use std::ops::Range;

use super::patience::Trials;
use super::tune::Admitted;

/// What a slot does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// nothing; its bytes belong to nobody
    Free,
    /// being filled; `submitted` while an operation is in flight for it
    Reading { submitted: bool },
    /// filled; where zeros are to become holes, `searched` once the next run of data is known
    Read { searched: bool },
    /// an operation is writing from it
    Writing,
    /// nothing of it is to be written any more: kept for whoever has to look at it
    Written,
}

/// Whether a slot's bytes are to be digested, once they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// nobody has to look at them, or any more
    Done,
    /// in its turn
    Due,
    /// somebody looks now: they do not change
    Now,
}

/// A transfer to submit: part of a buffer, and whether it may go around the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub at: u32,
    pub len: u32,
    pub direct: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub state: State,
    /// beside that
    pub look: Look,
    /// where byte 0 lies in the stream
    pub offset: u64,
    /// bytes of the stream that belong here, as admitted
    pub want: u32,
    /// bytes that have come so far
    pub filled: u32,
    /// the run of data that is being written; what lies before it is done
    pub window: Range<u32>,
    /// holds zeros that need not be read
    pub zeros: bool,
    /// when its first byte was
    pub admitted: Admitted,
    /// what it has met
    pub trials: Trials,
    /// where the operation in flight began
    submitted_at: u32,
    /// direct I/O moved nothing on: the rest goes through the page cache
    buffered: bool,
}

impl Slot {
    pub fn free() -> Slot {
        Slot {
            state: State::Free,
            look: Look::Done,
            offset: 0,
            want: 0,
            filled: 0,
            window: 0..0,
            zeros: false,
            admitted: Admitted::default(),
            trials: Trials::default(),
            submitted_at: 0,
            buffered: false,
        }
    }

    /// A slot that has been admitted and waits to be filled.
    pub fn admitted(offset: u64, want: u32, zeros: bool, admitted: Admitted) -> Slot {
        let state = State::Reading { submitted: false };
        Slot { state, offset, want, zeros, admitted, ..Slot::free() }
    }

    /// The end of what has come, in the stream.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.filled)
    }

    /// Everything before it in this slot is done, in the stream.
    pub fn done_to(&self) -> u64 {
        match self.look {
            Look::Done => self.offset + u64::from(self.window.start),
            Look::Due | Look::Now => self.offset,
        }
    }

    /// Whether all of it has been handed out to be written, to a caller that takes blocks.
    pub fn is_taken(&self) -> bool {
        matches!(self.state, State::Writing | State::Written)
    }

    /// Whether its bytes are there, or more are to come.
    pub fn is_filled(&self) -> bool {
        matches!(self.state, State::Read { .. } | State::Writing | State::Written)
    }

    fn aligned(&self, at: u32, align: u32) -> bool {
        // Where the block doesn't begin at a multiple, no position is one in both stream and buffer.
        let both = self.offset.is_multiple_of(u64::from(align)) && at.is_multiple_of(align);
        align > 1 && !self.buffered && both
    }

    /// The next read: what is missing. Under direct I/O it begins at a multiple of `align` and asks
    /// for whole sectors, as far as `capacity`:
    ///
    /// ```text
    /// want 10,000, align 512, 3,000 have come: 3,000 = 5 * 512 + 440
    /// read again from 2,560, for 7,680 = 15 * 512 (10,240 - 2,560); what comes past 10,000 is not ours
    /// ```
    ///
    /// It goes as far as `most`, which is what is wanted, less where that could not be read, or a
    /// byte more to see whether the source ends there.
    pub fn begin_read(&mut self, align: u32, capacity: u32, most: u32) -> Part {
        let back = self.filled - self.filled % align.max(1);
        let to = most.next_multiple_of(align.max(1));
        let direct = self.aligned(back, align) && to <= capacity;
        let part = match direct {
            true => Part { at: back, len: to - back, direct },
            false => Part { at: self.filled, len: most - self.filled, direct },
        };
        self.submitted_at = part.at;
        self.state = State::Reading { submitted: true };
        part
    }

    /// `n` bytes have come; false where they end before anything new, which is the end of file once
    /// direct I/O is out of the question. A read that began again at a sector's start and came back
    /// shorter than the one before takes back what it may have overwritten.
    pub fn read(&mut self, n: u32, direct: bool) -> bool {
        self.state = State::Reading { submitted: false };
        let before = self.filled;
        self.filled = (self.submitted_at + n).min(self.want);
        if self.filled > before {
            return true;
        }
        // A direct read that went back to a sector's start and found no new byte: the end, or a
        // device that transfers less than a sector. Ask once more from the exact byte.
        let again = direct && n > 0 && !self.buffered;
        self.buffered |= again;
        again
    }

    /// The next so many bytes are filled with zeros, as they can't be read.
    pub fn begin_lost(&mut self, lost: u32) -> Part {
        self.submitted_at = self.filled;
        self.state = State::Reading { submitted: true };
        Part { at: self.filled, len: lost, direct: false }
    }

    /// The read in flight failed: where it began, anything may be in the buffer now.
    pub fn read_failed(&mut self) {
        self.filled = self.filled.min(self.submitted_at);
    }

    /// Goes on without direct I/O, which was refused.
    pub fn fall_back_to_buffered(&mut self) -> bool {
        !std::mem::replace(&mut self.buffered, true)
    }

    /// The next write: as much of the window as direct I/O can take, or all of it through the page
    /// cache: a tail that is not a whole sector is never padded.
    ///
    /// ```text
    /// window 0..10,000, align 512: 0..9,728 direct, then 9,728..10,000 buffered
    /// ```
    pub fn begin_write(&mut self, align: u32) -> Part {
        let Range { start, end } = self.window;
        let sectors = (end - start) - (end - start) % align.max(1);
        let direct = self.aligned(start, align) && sectors > 0;
        let len = if direct { sectors } else { end - start };
        self.submitted_at = start;
        self.state = State::Writing;
        Part { at: start, len, direct }
    }

    /// `n` bytes are written. A direct write that stopped inside a sector begins that sector again:
    ///
    /// ```text
    /// window 0..8,192, align 512, 700 written: the next write is 512..8,192
    /// 300 written: no sector is complete, the rest goes through the page cache, from 300 on
    /// ```
    pub fn wrote(&mut self, n: u32, direct: bool, align: u32) {
        let reached = (self.submitted_at + n).min(self.window.end);
        let whole = reached - reached % align.max(1);
        self.window.start = match direct && reached < self.window.end {
            true if whole > self.submitted_at => whole,
            true => {
                self.buffered = true;
                reached
            }
            false => reached,
        };
        self.state = State::Read { searched: true };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However short the reads, direct or not, all of the block comes, every direct read is
        /// aligned, and the end of file is told exactly once nothing is left.
        #[test]
        fn short_reads_are_continued(
            want in 1u32..5000, there in 0u32..6000, shorts in proptest::collection::vec(1u32..3000, 0..60),
            align in prop_oneof![Just(1u32), Just(512), Just(1024)], block in 0u64..3, looks_on in any::<bool>(),
        ) {
            let capacity = 5120;
            let mut slot = Slot::admitted(block * capacity as u64, want, false, Admitted::default());
            let mut shorts = shorts.into_iter();
            let mut ops = 0;
            while slot.filled < want {
                ops += 1;
                prop_assert!(ops < 200);
                let part = slot.begin_read(align, capacity, (want + u32::from(looks_on)).min(capacity));
                prop_assert!(part.at + part.len <= capacity && part.len > 0 && part.at <= slot.filled);
                if part.direct {
                    prop_assert_eq!((part.at % align, part.len % align), (0, 0));
                } else {
                    prop_assert!(part.at + part.len <= want + u32::from(looks_on));
                }
                let n = there.saturating_sub(part.at).min(part.len).min(shorts.next().unwrap_or(u32::MAX));
                if !slot.read(n, part.direct) { break; }
            }
            prop_assert_eq!(slot.filled, want.min(there));
        }

        /// However short the writes, every byte of the window is written at its place, and direct
        /// writes are aligned.
        #[test]
        fn short_writes_are_continued(
            start in 0u32..8, len in 1u32..5000, shorts in proptest::collection::vec(1u32..3000, 0..60),
            align in prop_oneof![Just(1u32), Just(512), Just(1024)],
        ) {
            let start = start * 512;
            let mut slot = Slot::admitted(1 << 20, start + len, false, Admitted::default());
            slot.filled = start + len;
            slot.window = start..start + len;
            let mut written = vec![false; (start + len) as usize];
            let mut shorts = shorts.into_iter();
            while !slot.window.is_empty() {
                let part = slot.begin_write(align);
                prop_assert!(part.len > 0 && part.at >= start && part.at + part.len <= start + len);
                if part.direct {
                    prop_assert_eq!((part.at % align, part.len % align), (0, 0));
                }
                let n = part.len.min(shorts.next().unwrap_or(u32::MAX));
                written[part.at as usize..(part.at + n) as usize].fill(true);
                slot.wrote(n, part.direct, align);
            }
            prop_assert!(written[start as usize..].iter().all(|w| *w));
            prop_assert!(!written[..start as usize].iter().any(|w| *w));
        }
    }
}
