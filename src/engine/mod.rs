//! Drives a pump between two ends, and owns what a pump can't: draining, sync, cancellation.
//!
//! One pump, three drivers: over io_uring; over pread and pwrite on two threads, where io_uring is
//! refused; and over the same calls on the caller's own thread, for files too small for either. All
//! ask the same pump, use the same arena and settle results by the same code; none knows what the
//! bytes are for. Where a flow is digested, a thread beside the driver looks at each block while it
//! is written; what nobody has to look at the third driver leaves to the kernel to pass. Each thread has
//! a post, where whoever watches sees what hangs. What many flows share, their high-water mark first of
//! all, is a [`Ledger`]'s.

mod digest;
mod edge;
mod flow;
mod inline;
mod ledger;
mod levels;
pub mod load;
mod meter;
mod passing;
mod plain;
pub mod post;
mod read_back;
mod ring;
mod settle;
mod simulated;
mod size;
mod stalls;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

pub use digest::Digester;
pub use edge::{Direct, Edge, End, Maker, open_direct};
pub use flow::{Finished, Flow, Follower, Hitch};
pub use ledger::{Books, IntervalSink, Ledger};
pub use levels::{LevelSpan, Levels};
pub use meter::{Meter, Seen};
pub use passing::Passed;
pub use read_back::Origin;
pub use settle::error_of;
pub use simulated::{Service, Simulated, Simulator};
pub use size::{Moved, Size, Typed};
pub use stalls::{News, Stall, Stalls};

use crate::error::{Cause, Error, Op};
use crate::latency::Kind as Latency;
use crate::ring::{Arena, Ring};
use crate::sys;

/// Which driver is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// io_uring, or the plain driver where it is refused
    #[default]
    Auto,
    /// io_uring or nothing
    Ring,
    /// pread and pwrite
    Plain,
}

/// What was wanted and could not be had; the work goes on without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// io_uring is refused with this errno; the plain driver works
    NoRing(i32),
    /// buffers can't be registered, with this errno; they work unregistered
    Unregistered(i32),
}

/// Fewer buffers than this are no ring: registration is given up instead.
const FEWEST_BUFFERS: u16 = 2;

enum Kind {
    Ring(Ring),
    Plain,
}

/// A driver with its arena, for one flow at a time.
pub struct Engine {
    kind: Kind,
    arena: Arc<Arena>,
    notes: Vec<Note>,
}

impl Engine {
    /// Sets up the driver and its memory. Fails where io_uring is demanded and refused, or where
    /// there is no memory.
    pub fn open(choice: Choice, size: Size) -> Result<Engine, Error> {
        let arena = arena(size.block_bytes, size.buffers)?;
        if choice == Choice::Plain {
            return Ok(Engine { kind: Kind::Plain, arena, notes: Vec::new() });
        }
        sys::memlock::raise_to_hard();
        match Ring::new(arena.buffers()) {
            Ok(mut ring) => {
                if size.is_gentle() {
                    ring.be_idle();
                }
                Engine::registered(ring, arena, size)
            }
            Err(errno) if choice == Choice::Ring => {
                Err(Error::new(Op::Setup, "io_uring", Cause::NoRing(errno)))
            }
            Err(errno) => Ok(Engine { kind: Kind::Plain, arena, notes: vec![Note::NoRing(errno)] }),
        }
    }

    fn registered(mut ring: Ring, mut arena: Arc<Arena>, size: Size) -> Result<Engine, Error> {
        let mut notes = Vec::new();
        while let Err(errno) = ring.register(&arena) {
            let fewer = arena.buffers() / 2;
            if errno != libc::ENOMEM || !size.may_shrink || fewer < FEWEST_BUFFERS {
                notes.push(Note::Unregistered(errno));
                break;
            }
            arena = self::arena(size.block_bytes, fewer)?;
        }
        Ok(Engine { kind: Kind::Ring(ring), arena, notes })
    }

    /// The memory, as large as it came out.
    pub fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    /// What could not be had.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Whether io_uring does the work.
    pub fn is_ring(&self) -> bool {
        matches!(self.kind, Kind::Ring(_))
    }

    /// Whether the buffers are registered with it.
    pub fn is_registered(&self) -> bool {
        matches!(&self.kind, Kind::Ring(ring) if ring.is_registered())
    }

    /// Moves everything from `source` to `target`, until the flow's pump is finished: at the end,
    /// after the first failure or a cancellation, and never with an operation in flight. What came
    /// of it is in the flow.
    pub fn run(&self, flow: &Flow<'_>, source: &End, target: &End) {
        digest::beside(flow, || match &self.kind {
            Kind::Ring(ring) => ring.block_on(ring::drive(ring, flow, source, target)),
            Kind::Plain => plain::drive(flow, source, target),
        });
    }

    /// The same by calls on this thread, between descriptors that make nobody wait for long: regular
    /// files.
    pub fn run_here(&self, flow: &Flow<'_>, source: &Edge, target: &End) {
        inline::drive(flow, source, target);
    }

    /// The same where nobody is to see the bytes, from one descriptor to another: the kernel passes them
    /// by itself where it can ([`sendfile(2)`](https://man7.org/linux/man-pages/man2/sendfile.2.html)), and
    /// moves the target's own position, which is at `position`, where that is known. The arena has one buffer.
    pub fn pass_here(&self, flow: &Flow<'_>, source: &Edge, target: &End, position: Option<u64>) -> Passed {
        inline::pass(flow, source, target, position)
    }

    /// Makes `file` durable, data and metadata, and records how long that took. Not cancelled by
    /// anything. Fails with fsync's errno; what a failed sync has lost is lost (fsync(2)), so it is
    /// never tried again.
    pub fn sync(&self, flow: &Flow<'_>, file: &Arc<OwnedFd>) -> Result<(), i32> {
        let started = flow.now();
        let result = match &self.kind {
            Kind::Ring(ring) => ring.block_on(async { ring.sync(file).await.result }).map(drop),
            Kind::Plain => nix::unistd::fsync(file.as_fd()).map_err(|errno| errno as i32),
        };
        flow.record(Latency::Sync, started);
        result
    }
}

fn arena(block_bytes: u32, buffers: u16) -> Result<Arc<Arena>, Error> {
    let failed =
        |error| Error::new(Op::Setup, "the ring's memory", Cause::Errno(crate::error::errno_of(&error)));
    Arena::new(block_bytes, buffers).map_err(failed)
}
