//! What is wrong with a file of our own.

use std::fmt;

use super::strerror;

/// What is wrong with the state of a stress run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateFault {
    /// There is no place for it beside the target, and none was named.
    Needed,
    /// It is a file of another kind.
    Foreign,
    /// It is of another version of the format.
    Version(u32),
    /// It was changed, or cut.
    Damaged,
    /// Another run is using it.
    InUse,
    /// It is there already, and tells of what an earlier run has left.
    Exists,
    /// The target holds the blocks of another run than it tells of; `other` is the target.
    OfOther,
    /// It tells of a run of which nothing was written.
    Empty,
}

impl fmt::Display for StateFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            StateFault::Needed => write!(out, "there is no place for a state beside it"),
            StateFault::Foreign => write!(out, "is no state of a stress run"),
            StateFault::Version(version) => write!(out, "is a state of version {version}"),
            StateFault::Damaged => write!(out, "is damaged"),
            StateFault::InUse => write!(out, "another run is using it"),
            StateFault::Exists => write!(out, "tells of what an earlier run has left"),
            StateFault::OfOther => write!(out, "is the state of another run"),
            StateFault::Empty => write!(out, "tells of nothing that was written"),
        }
    }
}

/// What is wrong with the map of a rescue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapFault {
    /// It can't be read, or written, with this errno.
    Errno(i32),
    /// This line, counted from 1, is none of a map, or doesn't follow the one before.
    Line {
        /// which
        number: u64,
    },
    /// It has no blocks.
    Empty,
    /// It has more blocks than are read.
    TooManyBlocks,
    /// It is of a source of another length.
    OtherLength {
        /// where the map ends, in bytes
        map: u64,
        /// the source's length, in bytes
        source: u64,
    },
    /// The target lacks what the map has as rescued.
    TargetLacks {
        /// where the last of that ends, in bytes
        needed: u64,
        /// the target's length, in bytes
        target: u64,
    },
    /// The source has no length that a map could be of.
    NoLength,
    /// The target is neither a file nor a block device.
    NoPlace,
}

impl fmt::Display for MapFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            MapFault::Errno(errno) => write!(out, "{}", strerror(errno)),
            MapFault::Line { number } => write!(out, "line {number} is none of a ddrescue map"),
            MapFault::Empty => write!(out, "it has no blocks"),
            MapFault::TooManyBlocks => write!(out, "it has too many blocks"),
            MapFault::OtherLength { map, source } => {
                write!(out, "it is of {map} bytes, the source has {source}")
            }
            MapFault::TargetLacks { needed, target } => {
                write!(out, "it has {needed} bytes as rescued, the target has {target}")
            }
            MapFault::NoLength => write!(out, "the source has no length"),
            MapFault::NoPlace => write!(out, "the target is neither a file nor a block device"),
        }
    }
}
