//! What is known of one slot, apart from what the pump knows.

use std::ops::Range;

use highwater::flow::Transfer;

use crate::{Check, ensure};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Free,
    /// a caller puts bytes here
    Gathering,
    /// bytes are missing, nothing is in flight
    Wanting,
    Reading,
    /// all its bytes are here; `window` is what is to be written next
    Full {
        searched: bool,
    },
    Writing,
    /// nothing of it is to be written any more, and somebody has still to look at it
    Written,
}

/// What is known of a slot's digest, beside its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// not asked for, not yet or any more
    Nobody,
    Due,
    Now,
}

#[derive(Clone, Debug)]
pub struct Account {
    pub phase: Phase,
    pub look: Look,
    pub offset: u64,
    pub want: u32,
    pub filled: u32,
    pub window: Range<u32>,
    /// the last write stopped inside a sector: it may begin again there
    pub realigns: bool,
    /// direct reading brought nothing new or was refused
    pub buffered: bool,
    pub zeros: bool,
    /// how many times it has been tried again since anything moved, and when it may be
    pub attempts: u32,
    pub not_before_ns: u64,
    /// it could not be read in one piece
    pub narrowed: bool,
    /// so many bytes are to become zeros
    pub lost: Option<u32>,
}

pub const FREE: Account = Account {
    phase: Phase::Free,
    look: Look::Nobody,
    offset: 0,
    want: 0,
    filled: 0,
    window: 0..0,
    realigns: false,
    buffered: false,
    zeros: false,
    attempts: 0,
    not_before_ns: 0,
    narrowed: false,
    lost: None,
};

/// Of the slot's buffer, and at its place in the stream.
pub fn inside(t: Transfer, offset: u64, block_bytes: u32) -> Check {
    ensure!(t.len > 0 && t.at + t.len <= block_bytes, "{t:?}: not inside its buffer");
    ensure!(t.offset == offset + u64::from(t.at), "{t:?}: the slot's block begins at {offset}");
    Ok(())
}

/// As direct I/O wants it.
pub fn aligned(t: Transfer, align: u32) -> Check {
    let whole = t.at.is_multiple_of(align) && t.len.is_multiple_of(align);
    let aligned = align > 1 && whole && t.offset.is_multiple_of(u64::from(align));
    ensure!(aligned, "{t:?}: direct, and not aligned to {align}");
    Ok(())
}
