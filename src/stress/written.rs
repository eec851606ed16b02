//! What of the target a run has written, and so what each block of it should hold; pure.

use std::ops::Range;

use super::checker::Expected;

/// What was written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// the round that was begun last; 0: none was
    pub generation: u64,
    /// all before it, in bytes, is of that round
    pub reached: u64,
    /// nothing behind it is
    pub is_exact: bool,
    /// something of that round was passed over, and what is behind it written
    pub has_holes: bool,
    /// could not be written: anything may be there
    pub unwritten: Vec<Range<u64>>,
    /// what is to be checked ends here
    pub end: u64,
    /// it is worth checking, also where something failed
    pub is_checked: bool,
}

impl Written {
    /// Nothing so far.
    pub fn nothing() -> Written {
        Written {
            generation: 0,
            reached: 0,
            is_exact: true,
            has_holes: false,
            unwritten: vec![],
            end: 0,
            is_checked: false,
        }
    }

    /// One more round begins.
    pub fn begin_round(&mut self) {
        self.generation += 1;
        (self.reached, self.is_exact, self.has_holes) = (0, true, false);
    }

    /// Nothing more will be written to a target of `size` bytes.
    pub fn finish(&mut self, size: u64) {
        self.end = if self.generation <= 1 && self.is_exact { self.reached } else { size };
        self.is_checked = self.generation > 0 && self.end > 0;
    }

    /// What the block at `offset` should hold.
    pub fn expected(&self, offset: u64) -> Expected {
        let newest = self.generation;
        let is_in = |range: &Range<u64>| range.contains(&offset);
        match offset < self.reached {
            _ if self.unwritten.iter().any(is_in) => Expected { durable: 0, newest },
            true => Expected::exactly(newest),
            false if self.is_exact => Expected::exactly(newest - 1),
            false => Expected { durable: newest - 1, newest },
        }
    }
}
