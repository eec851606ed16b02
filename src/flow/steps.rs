//! What a pump and its driver tell each other.

use std::time::Duration;

/// What the reading side is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// find the extent at `from`, tell [`Pump::mapped`](super::Pump::mapped); a hole ends no later than the source does
    /// now, or nobody would see that it was cut short
    Map {
        /// in bytes
        from: u64,
    },
    /// read, tell [`Pump::read`](super::Pump::read), [`Pump::retry`](super::Pump::retry) or [`Pump::troubled`](super::Pump::troubled)
    Read(Transfer),
    /// fill the slot's buffer with zeros up to `len`, tell [`Pump::read`](super::Pump::read)
    Zero(Transfer),
    /// ask again at this time, or after a completion
    Wait(Duration),
    /// ask again after a completion
    Idle,
}

/// What the writing side is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlet {
    /// set the target's size, then ask again; on failure tell [`Pump::fail`](super::Pump::fail)
    Extend {
        /// in bytes
        size: u64,
    },
    /// find the first run of data in `at..at + len` of the buffer, tell [`Pump::searched`](super::Pump::searched)
    Search {
        /// whose buffer
        slot: u16,
        /// in bytes from the buffer's start
        at: u32,
        /// in bytes
        len: u32,
    },
    /// write, tell [`Pump::wrote`](super::Pump::wrote), [`Pump::retry`](super::Pump::retry) or [`Pump::troubled`](super::Pump::troubled)
    Write(Transfer),
    /// ask again at this time, or after a completion
    Wait(Duration),
    /// ask again after a completion
    Idle,
}

/// An operation on part of a slot's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// whose buffer
    pub slot: u16,
    /// where it lies in the stream, in bytes
    pub offset: u64,
    /// where it begins in the buffer, in bytes
    pub at: u32,
    /// in bytes, never 0
    pub len: u32,
    /// around the page cache: offset, `at` and length are aligned as the side asked
    pub direct: bool,
}

/// What stopped the pump before the end of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// in the stream, in bytes
    pub offset: u64,
    /// why
    pub reason: Reason,
}

impl Failure {
    /// The same, of a stream that begins so many bytes into a longer one.
    pub fn behind(self, base: u64) -> Failure {
        Failure { offset: self.offset + base, ..self }
    }
}

/// Why the pump stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// a read failed with this errno
    Read(i32),
    /// a write failed with this errno
    Write(i32),
    /// a write took no byte
    WriteZero,
    /// setting the target's size failed with this errno
    Extend(i32),
    /// space for the target could not be allocated, with this errno
    Allocate(i32),
    /// the source could not be asked where its data lies, with this errno
    Map(i32),
    /// the source was shorter than expected
    Shrank,
    /// nobody can be had who looks at the bytes, with this errno
    Digest(i32),
}

/// What is to be seen from outside at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// bytes written to the target, or found to be zeros and left as holes there
    pub completed_bytes: u64,
    /// bytes of holes that were neither read nor written
    pub hole_bytes: u64,
    /// in-flight bytes of this pump
    pub level_bytes: u64,
    /// whether backpressure holds the reader
    pub held: bool,
}
