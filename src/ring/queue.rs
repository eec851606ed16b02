//! A ring without a runtime: one thread fills it, submits, and waits for a completion or a time, in one
//! system call. What a load needs, whose operations are all alike; its cost is part of what is measured.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::arena::{Arena, Buffer};
use crate::error::errno_of;

/// See the module. On the thread that made it.
pub struct Queue {
    ring: ManuallyDrop<IoUring>,
    /// what operations in flight use
    held: ManuallyDrop<Box<[Option<Held>]>>,
    in_flight: usize,
    registered: Option<ManuallyDrop<Arc<Arena>>>,
}

struct Held {
    _fd: Arc<OwnedFd>,
    buffer: Option<Buffer>,
}

/// An operation that has completed.
pub struct Completed {
    /// as it was given with the operation
    pub place: u16,
    /// bytes moved, or an errno
    pub result: Result<u32, i32>,
    /// back, of a read or write
    pub buffer: Option<Buffer>,
}

impl Queue {
    /// For so many operations in flight, each with a place of its own from 0 on. Fails with the
    /// kernel's errno where io_uring is refused, ENOSYS before Linux 5.11, which can't wait until a
    /// time.
    pub fn new(places: u16) -> Result<Queue, i32> {
        let entries = u32::from(places).next_power_of_two();
        // The completions' own work is done when this thread asks for them, and no interrupt is sent for
        // it (6.1); else no interrupt (5.19); EINVAL before.
        let mut best = IoUring::builder();
        best.setup_single_issuer().setup_defer_taskrun();
        let mut good = IoUring::builder();
        good.setup_coop_taskrun();
        let plain = IoUring::builder();
        let ring = match best.build(entries) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => match good.build(entries) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => plain.build(entries),
                built => built,
            },
            built => built,
        };
        let ring = ring.map_err(|error| errno_of(&error))?;
        if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
            return Err(libc::ENOSYS);
        }
        let held = (0..places).map(|_| None).collect();
        let (ring, held) = (ManuallyDrop::new(ring), ManuallyDrop::new(held));
        Ok(Queue { ring, held, in_flight: 0, registered: None })
    }

    /// Registers every buffer of the arena, which must be the one that operations then use; once.
    /// ENOMEM where RLIMIT_MEMLOCK can't hold them; it works without, too.
    pub fn register(&mut self, arena: &Arc<Arena>) -> Result<(), i32> {
        let buffer = |slot| libc::iovec {
            iov_base: arena.address(slot).cast(),
            iov_len: arena.block_bytes() as usize,
        };
        let buffers: Vec<libc::iovec> = (0..arena.buffers()).map(buffer).collect();
        // SAFETY: the arena's memory never moves, and is kept for as long as the ring.
        let registered = unsafe { self.ring.submitter().register_buffers(&buffers) };
        registered.map_err(|error| errno_of(&error))?;
        self.registered = Some(ManuallyDrop::new(Arc::clone(arena)));
        Ok(())
    }

    /// Whether buffers are registered.
    pub fn is_registered(&self) -> bool {
        self.registered.is_some()
    }

    /// READ of the first `len` bytes of the buffer from `offset`, with a place that is free.
    pub fn read(&mut self, place: u16, fd: &Arc<OwnedFd>, mut buffer: Buffer, len: u32, offset: u64) {
        let (target, address) = (types::Fd(fd.as_raw_fd()), buffer[..len as usize].as_mut_ptr());
        let entry = match self.is_registered() {
            true => opcode::ReadFixed::new(target, address, len, buffer.slot()).offset(offset).build(),
            false => opcode::Read::new(target, address, len).offset(offset).build(),
        };
        self.push(place, fd, Some(buffer), entry);
    }

    /// WRITE, likewise.
    pub fn write(&mut self, place: u16, fd: &Arc<OwnedFd>, buffer: Buffer, len: u32, offset: u64) {
        let (target, address) = (types::Fd(fd.as_raw_fd()), buffer[..len as usize].as_ptr());
        let entry = match self.is_registered() {
            true => opcode::WriteFixed::new(target, address, len, buffer.slot()).offset(offset).build(),
            false => opcode::Write::new(target, address, len).offset(offset).build(),
        };
        self.push(place, fd, Some(buffer), entry);
    }

    /// FSYNC.
    pub fn sync(&mut self, place: u16, fd: &Arc<OwnedFd>) {
        self.push(place, fd, None, opcode::Fsync::new(types::Fd(fd.as_raw_fd())).build());
    }

    fn push(&mut self, place: u16, fd: &Arc<OwnedFd>, buffer: Option<Buffer>, entry: squeue::Entry) {
        let held = Held { _fd: Arc::clone(fd), buffer };
        let before = self.held[usize::from(place)].replace(held);
        assert!(before.is_none(), "a place has one operation at a time");
        self.in_flight += 1;
        // SAFETY: what the entry points to is held until its completion.
        let pushed = unsafe { self.ring.submission().push(&entry.user_data(place.into())) };
        pushed.expect("there is an entry for every place");
    }

    /// How many have been pushed and not been seen completed.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Submits what was pushed, and waits until something has completed, at most for so long. Fails with
    /// an errno that no waiting helps against.
    pub fn wait(&mut self, at_most: Duration) -> Result<(), i32> {
        let time = types::Timespec::from(at_most);
        let arguments = types::SubmitArgs::new().timespec(&time);
        match self.ring.submitter().submit_with_args(1, &arguments) {
            Ok(_) => Ok(()),
            Err(error) => match errno_of(&error) {
                // The time is over; a signal; completions are to be seen first; no memory for a moment.
                libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN => Ok(()),
                errno => Err(errno),
            },
        }
    }

    /// The next one that has completed, without waiting.
    pub fn completed(&mut self) -> Option<Completed> {
        let entry: cqueue::Entry = self.ring.completion().next()?;
        let place = entry.user_data() as u16;
        let held = self.held[usize::from(place)].take().expect("only what is in flight completes");
        self.in_flight -= 1;
        let result = u32::try_from(entry.result()).map_err(|_| -entry.result());
        Some(Completed { place, result, buffer: held.buffer })
    }
}

impl Drop for Queue {
    /// What is still in flight keeps its memory, and its descriptors, for ever.
    fn drop(&mut self) {
        if self.in_flight > 0 {
            return;
        }
        // SAFETY: each is dropped once, here, and not used again; the ring before what it uses.
        unsafe {
            ManuallyDrop::drop(&mut self.ring);
            ManuallyDrop::drop(&mut self.held);
            if let Some(arena) = &mut self.registered {
                ManuallyDrop::drop(arena);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::Instant;

    #[test]
    fn what_is_pushed_completes_with_its_place_and_its_buffer() {
        let Ok(mut queue) = Queue::new(3) else { return };
        let arena = Arena::new(4096, 2).unwrap();
        let _ = queue.register(&arena);
        let file = tempfile::tempfile().unwrap();
        let fd = Arc::new(OwnedFd::from(file.try_clone().unwrap()));
        let mut buffer = arena.buffer(1);
        buffer.fill(7);
        queue.write(2, &fd, buffer, 4096, 0);
        let drained = |queue: &mut Queue| loop {
            queue.wait(Duration::from_secs(10)).unwrap();
            if let Some(Completed { place, result, buffer }) = queue.completed() {
                break (place, result, buffer.map(|buffer| buffer.slot()));
            }
        };
        assert_eq!(drained(&mut queue), (2, Ok(4096), Some(1)));
        queue.sync(0, &fd);
        assert_eq!(drained(&mut queue), (0, Ok(0), None));
        queue.read(1, &fd, arena.buffer(0), 4096, 1 << 20);
        assert_eq!(drained(&mut queue), (1, Ok(0), Some(0)), "the end of the file");
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes).unwrap();
        assert_eq!(queue.in_flight(), 0);
    }

    #[test]
    fn it_waits_no_longer_than_told() {
        let Ok(mut queue) = Queue::new(1) else { return };
        let began = Instant::now();
        queue.wait(Duration::from_millis(20)).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(20));
        assert!(queue.completed().is_none());
    }
}
