//! The operations: each an SQE of our own with explicit length and flags.
//!
//! tokio-uring's own fixed-buffer writes send all that a buffer ever held, not what is in it now;
//! so every length here is an argument. An operation keeps its descriptor and its buffer alive
//! until it completes.

use std::future::Future;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use io_uring::{cqueue, opcode, squeue, types};
use nix::time::{ClockId, clock_gettime};
use tokio_uring::{InFlightOneshot, OneshotOutputTransform, UnsubmittedOneshot};

use super::arena::{Buffer, Lease, View};
use super::runtime::Ring;

/// Reads and writes at the descriptor's own position: pipes, sockets, O_APPEND.
const OWN_POSITION: u64 = u64::MAX;

/// What an operation owns until it completes.
struct Held {
    _fd: Option<Arc<OwnedFd>>,
    _time: Option<Box<types::Timespec>>,
    buffer: Option<Lease>,
}

struct Unwrap;

impl OneshotOutputTransform for Unwrap {
    type Output = Done;
    type StoredData = Held;

    fn transform_oneshot_output(self, held: Held, cqe: cqueue::Entry) -> Done {
        let result = u32::try_from(cqe.result()).map_err(|_| -cqe.result());
        Done { result, buffer: held.buffer }
    }
}

/// A completion: bytes moved (or the operation's own result), or an errno; and the buffer back.
#[derive(Debug)]
pub struct Done {
    /// as the kernel said
    pub result: Result<u32, i32>,
    /// of a read or write
    pub buffer: Option<Lease>,
}

/// An operation that has been queued; a future of its completion.
///
/// It is submitted when the runtime's thread next waits. Dropping it before its completion leaks
/// the buffer until the runtime ends and is a bug of the caller: cancel and await instead.
pub struct InFlight(InFlightOneshot<Held, Unwrap>);

impl Future for InFlight {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done> {
        Pin::new(&mut self.0).poll(context)
    }
}

fn submit(fd: &Arc<OwnedFd>, buffer: Option<Lease>, entry: squeue::Entry) -> InFlight {
    let held = Held { _fd: Some(Arc::clone(fd)), _time: None, buffer };
    InFlight(UnsubmittedOneshot::new(held, Unwrap, entry).submit())
}

impl Ring {
    /// READ_FIXED into `part` (at, length) of the buffer, at `offset` or at the descriptor's own
    /// position; READ where the buffer is not registered. `flags` are RWF_ bits.
    pub fn read(
        &self,
        fd: &Arc<OwnedFd>,
        mut buffer: Buffer,
        (at, len): (u32, u32),
        offset: Option<u64>,
        flags: i32,
    ) -> InFlight {
        let address = buffer[at as usize..][..len as usize].as_mut_ptr();
        let (target, offset) = (types::Fd(fd.as_raw_fd()), offset.unwrap_or(OWN_POSITION));
        let fixed = opcode::ReadFixed::new(target, address, len, buffer.slot()).ioprio(self.priority);
        let entry = match self.is_registered() {
            true => fixed.offset(offset).rw_flags(flags).build(),
            false => opcode::Read::new(target, address, len)
                .offset(offset)
                .ioprio(self.priority)
                .rw_flags(flags)
                .build(),
        };
        submit(fd, Some(buffer.into()), entry)
    }

    /// WRITE_FIXED from `part` of the buffer; the rest as for [`Ring::read`].
    pub fn write(
        &self,
        fd: &Arc<OwnedFd>,
        buffer: View,
        (at, len): (u32, u32),
        offset: Option<u64>,
        flags: i32,
    ) -> InFlight {
        let address = buffer[at as usize..][..len as usize].as_ptr();
        let (target, offset) = (types::Fd(fd.as_raw_fd()), offset.unwrap_or(OWN_POSITION));
        let fixed = opcode::WriteFixed::new(target, address, len, buffer.slot()).ioprio(self.priority);
        let entry = match self.is_registered() {
            true => fixed.offset(offset).rw_flags(flags).build(),
            false => opcode::Write::new(target, address, len)
                .offset(offset)
                .ioprio(self.priority)
                .rw_flags(flags)
                .build(),
        };
        submit(fd, Some(buffer.into()), entry)
    }

    /// FSYNC: makes a file's data and metadata durable, as fsync(2).
    pub fn sync(&self, fd: &Arc<OwnedFd>) -> InFlight {
        submit(fd, None, opcode::Fsync::new(types::Fd(fd.as_raw_fd())).build())
    }

    /// POLL_ADD, once: waits until `fd` is ready for `events` (POLLIN, POLLOUT).
    pub fn ready(&self, fd: &Arc<OwnedFd>, events: i16) -> InFlight {
        let events = u32::from(events as u16);
        submit(fd, None, opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), events).build())
    }

    /// TIMEOUT: completes at this time, with ETIME.
    pub fn at(&self, time: Instant) -> InFlight {
        // An Instant is a time of this clock, but does not say which.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the clock is always there");
        let time = Duration::from(now) + time.saturating_duration_since(Instant::now());
        let time = Box::new(types::Timespec::from(time));
        let entry = opcode::Timeout::new(&*time).flags(types::TimeoutFlags::ABS).build();
        let held = Held { _fd: None, _time: Some(time), buffer: None };
        InFlight(UnsubmittedOneshot::new(held, Unwrap, entry).submit())
    }

    /// ASYNC_CANCEL of everything in flight on `fd` (Linux 5.19; EINVAL before). What is withdrawn
    /// completes with ECANCELED, or with what it had moved.
    pub fn withdraw(&self, fd: &Arc<OwnedFd>) -> InFlight {
        let which = types::CancelBuilder::fd(types::Fd(fd.as_raw_fd())).all();
        submit(fd, None, opcode::AsyncCancel2::new(which).build())
    }
}
