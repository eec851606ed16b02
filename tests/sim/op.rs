//! Operations in flight, and what may become of them.

use highwater::flow::Transfer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Zero,
    Write,
    Digest,
    Map { from: u64 },
    Search { slot: u16, at: u32, len: u32 },
    Extend { size: u64 },
}

/// An operation in flight, or a question to the source that takes time.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    pub kind: Kind,
    pub transfer: Transfer,
    /// when it completes, where time decides
    pub due_ns: u64,
    /// bytes of a write that have reached the target before its completion
    pub applied: u32,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Full,
    /// at most so many bytes
    Short(u32),
    Interrupted,
    DirectRefused,
    Fails(i32),
    Nothing,
}

/// What a question led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Idle,
    Until(u64),
    /// the last of the operations in flight is new
    Begun,
}
