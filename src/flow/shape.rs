//! What a pump must know before it starts.

use super::extents::Holes;
use super::marks::Marks;
use super::patience::Patience;

/// One end of the pump.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// in order and one operation at a time (pipes, sockets, O_APPEND), not at offsets
    pub ordered: bool,
    /// what direct I/O wants offset, length and buffer position to be a multiple of, in bytes;
    /// 1 where this side goes through the page cache
    pub align: u32,
    /// the cap on operations in flight on this side, at least 1
    pub depth: u16,
}

impl Side {
    /// A file or device through the page cache.
    pub const SEEKABLE: Side = Side { ordered: false, align: 1, depth: u16::MAX };
    /// A pipe, a socket, a character device.
    pub const ORDERED: Side = Side { ordered: true, align: 1, depth: 1 };
}

/// How long the source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// in bytes, for good: a device. Nothing is read past it
    Exact(u64),
    /// in bytes, as stat told: less is an error, more is copied to its end
    Expected(u64),
    /// read to the end of file, one block at a time
    Unknown,
}

/// How the size that the target shows moves ahead of what is complete. It never reaches the
/// length that is known before everything else is written, so a copy that is killed leaves no
/// file of the right length with wrong content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// The target has no size of its own to move: a device, a pipe.
    Fixed,
    /// Writes move it.
    ByWrites,
    /// It is set ahead of the writes by at most so many bytes ([`Outlet::Extend`](super::Outlet::Extend)): space is
    /// allocated already, and a write that needn't extend the file need not wait for others.
    Ahead {
        /// in bytes
        step: u64,
    },
}

/// Whether somebody looks at each byte that was read ([`Pump::next_digest`](super::Pump::next_digest)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digesting {
    /// by nobody
    #[default]
    Off,
    /// once, in the order of the stream, while it may be written: it is complete after both
    BesideWrite,
    /// once, in the order of the stream, and that is the end of it: there is no target
    InsteadOfWrite,
}

/// What the pump must know before it starts; it never changes.
#[derive(Clone, Debug)]
pub struct Shape {
    /// the unit of transfer and the size of each buffer, in bytes
    pub block_bytes: u32,
    /// how many buffers there are
    pub slots: u16,
    /// on the in-flight bytes
    pub marks: Marks,
    /// where bytes come from
    pub source: Side,
    /// where bytes go to
    pub target: Side,
    /// of the source
    pub length: Length,
    /// ask where the source has holes
    pub sparse: bool,
    /// what becomes of those holes
    pub holes: Holes,
    /// search what was read for runs of zeros and leave them as holes
    pub find_zeros: bool,
    /// a short read from an ordered source is continued until the block is full; else it is passed
    /// on at once, as a pipe to a pipe should be
    pub fill_blocks: bool,
    /// bytes come by [`Pump::room`](super::Pump::room) and [`Pump::fill`](super::Pump::fill), never by [`Pump::next_read`](super::Pump::next_read)
    pub filled_by_caller: bool,
    /// how the target's size is kept from lying
    pub visibility: Visibility,
    /// whether somebody looks at the bytes on their way
    pub digesting: Digesting,
    /// bytes a second, at most
    pub limit_bytes_per_s: Option<u64>,
    /// with what fails
    pub patience: Patience,
}
