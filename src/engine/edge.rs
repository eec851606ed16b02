//! The two ends of a stream: a descriptor that operations go to, or a caller's hand.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::uio::{pread, pwrite};
use nix::unistd::isatty;

use crate::flow::Transfer;
use crate::ring::Arena;
use crate::sys::space::{self, FileSystem};
use crate::sys::stat::{Kind, Stat};
use crate::sys::{device, temporary};

use super::settle::Way;
use super::simulated::Simulated;

/// `--direct`: around the page cache or through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direct {
    /// around it where that is of use and possible
    #[default]
    Auto,
    /// or fail
    Always,
    /// through the page cache
    Never,
}
/// Makes the bytes of a stream: given where they lie in it and a buffer, it fills the buffer's beginning
/// and says how far; 0 is the end of the stream. It is not to wait for anything.
pub type Maker = Box<dyn Fn(u64, &mut [u8]) -> usize + Send + std::marker::Sync>;

/// One end.
pub enum End {
    /// operations on a descriptor
    Edge(Edge),
    /// a caller that fills or empties buffers itself and wakes the flow
    Caller,
    /// as a target, nothing: the bytes are digested, and that is the end of them
    Nowhere,
    /// as a source, nothing: the bytes are made as they are asked for
    Made(Maker),
}

/// A descriptor, twice where direct I/O is used: what direct I/O can't take (a tail that is no
/// whole sector) goes through the page cache of the same file.
#[derive(Debug)]
pub struct Edge {
    /// through the page cache
    pub file: Arc<OwnedFd>,
    /// the same file opened with O_DIRECT
    pub direct: Option<Arc<OwnedFd>>,
    /// where the stream's byte 0 lies; None: wherever the descriptor stands, moving it
    pub base: Option<u64>,
    /// may wait for ever (pipe, socket, terminal): withdrawn when the copy is cancelled
    pub may_block: bool,
    /// moved by pread(2) and pwrite(2) also where there is a ring. Linux 6.18 goes on with a short read or
    /// write of a FUSE file by itself, but from where that began, and reports the full length: of a read
    /// the rest of the buffer holds the first bytes again, of a write they are overwritten by the rest, and
    /// the error that cut it short is lost
    pub by_call: bool,
    /// ask where the source's data lies; else all of it is data
    pub has_holes: bool,
    /// space is allocated for each extent before it is written
    pub preallocate: bool,
    /// RWF_ bits for operations through the page cache; cleared once they are refused
    pub flags: AtomicI32,
    /// a device that does not exist stands before it
    pub simulated: Option<Arc<Simulated>>,
}

impl Edge {
    /// A descriptor as it is, used from `base` on or from wherever it stands: no direct I/O, no
    /// holes, nothing allocated, no flags.
    pub fn new(file: OwnedFd, base: Option<u64>, stat: &Stat) -> Edge {
        let may_block = isatty(&file).unwrap_or(false) || (stat.kind.is_stream() && !stat.is_memory_device());
        let by_call = matches!(space::file_system(file.as_fd()), Ok((FileSystem::Fuse, _)));
        let (file, flags) = (Arc::new(file), AtomicI32::new(0));
        let (direct, has_holes, preallocate, simulated) = (None, false, false, None);
        Edge { file, direct, base, may_block, by_call, has_holes, preallocate, flags, simulated }
    }

    /// A regular file used from its start on, by calls; a ring wants [`Edge::look_at_file_system`],
    /// too.
    pub fn of_file(file: OwnedFd) -> Edge {
        let (file, flags) = (Arc::new(file), AtomicI32::new(0));
        let (direct, has_holes, preallocate, simulated) = (None, false, false, None);
        let (base, may_block, by_call) = (Some(0), false, false);
        Edge { file, direct, base, may_block, by_call, has_holes, preallocate, flags, simulated }
    }

    /// Finds out what a ring must know of its file system.
    pub fn look_at_file_system(&mut self) {
        self.by_call = matches!(space::file_system(self.file.as_fd()), Ok((FileSystem::Fuse, _)));
    }

    /// Opens the same file with O_DIRECT, too, for `access`; the alignment that it asks for, or None
    /// where it can't be had.
    pub fn open_direct(&mut self, stat: &Stat, access: OFlag) -> Option<u32> {
        let (twin, align) = open_direct(self.file.as_fd(), stat, access)?;
        self.direct = Some(Arc::new(twin));
        Some(align)
    }

    /// The same once more, for a flow of its own.
    pub fn share(&self) -> Edge {
        let flags = AtomicI32::new(self.flags.load(Ordering::Relaxed));
        let (file, direct, simulated) = (Arc::clone(&self.file), self.direct.clone(), self.simulated.clone());
        let Edge { base, may_block, by_call, has_holes, preallocate, .. } = *self;
        Edge { file, direct, base, may_block, by_call, has_holes, preallocate, flags, simulated }
    }

    /// Closes it, and hears what close(2) has to say. No operation may be in flight.
    pub fn close(self) -> Result<(), Errno> {
        let close = |file| match Arc::try_unwrap(file) {
            Ok(file) => nix::unistd::close(file),
            Err(_) => panic!("an edge is closed with nothing in flight"),
        };
        let direct = self.direct.map_or(Ok(()), close);
        close(self.file).and(direct)
    }

    /// fsync(2).
    pub fn sync(&self) -> Result<(), Errno> {
        Simulated::sync(self.simulated.as_deref(), || nix::unistd::fsync(self.file.as_fd()))
    }

    pub(super) fn fd(&self, transfer: Transfer) -> &Arc<OwnedFd> {
        match &self.direct {
            Some(direct) if transfer.direct => direct,
            _ => &self.file,
        }
    }

    pub(super) fn offset(&self, transfer: Transfer) -> Option<u64> {
        self.base.map(|base| base + transfer.offset)
    }

    /// Carries a transfer out by pread(2) or pwrite(2), or by read(2) or write(2) where the descriptor's own
    /// position counts.
    pub(super) fn call(&self, arena: &Arc<Arena>, way: Way, transfer: Transfer) -> Result<u32, i32> {
        self.serve(way, transfer, |len| {
            let part = transfer.at as usize..(transfer.at + len) as usize;
            match way {
                Way::Read => self.read(transfer, &mut arena.buffer(transfer.slot)[part]),
                Way::Write => self.write(transfer, &arena.view(transfer.slot)[part]),
            }
        })
    }

    fn read(&self, transfer: Transfer, bytes: &mut [u8]) -> Result<usize, Errno> {
        match self.offset(transfer) {
            Some(offset) => pread(self.fd(transfer), bytes, offset as i64),
            None => nix::unistd::read(self.fd(transfer), bytes),
        }
    }

    fn write(&self, transfer: Transfer, bytes: &[u8]) -> Result<usize, Errno> {
        match self.offset(transfer) {
            Some(offset) => pwrite(self.fd(transfer), bytes, offset as i64),
            None => nix::unistd::write(self.fd(transfer), bytes),
        }
    }

    /// Carries a transfer out by `call`, which is told how many bytes to move; not before the device
    /// before it is ready, where there is one.
    pub(super) fn serve(
        &self,
        way: Way,
        transfer: Transfer,
        call: impl FnOnce(u32) -> Result<usize, Errno>,
    ) -> Result<u32, i32> {
        let called = |len| call(len).map(|n| n as u32).map_err(|errno| errno as i32);
        let Some(simulated) = &self.simulated else { return called(transfer.len) };
        let service = simulated.begin_transfer(way, transfer, self.base.unwrap_or(0));
        let result = service.outcome.and_then(called);
        service.wait();
        result
    }

    pub(super) fn flags(&self, transfer: Transfer) -> i32 {
        match transfer.direct {
            true => 0,
            false => self.flags.load(Ordering::Relaxed),
        }
    }

    /// Goes on without flags; false where there were none.
    pub(super) fn clear_flags(&self) -> bool {
        self.flags.swap(0, Ordering::Relaxed) != 0
    }
}

/// Opens the same file once more with O_DIRECT, for `access`, and the alignment that it asks for, in
/// bytes; None where that can't be had.
pub fn open_direct(file: BorrowedFd<'_>, stat: &Stat, access: OFlag) -> Option<(OwnedFd, u32)> {
    let align = match stat.kind {
        Kind::Block => device::sector_bytes(file).ok(),
        // A file system that reports no alignment (before Linux 6.1, or FUSE, NFS) may still take
        // O_DIRECT; a page is enough for all of them. One that reports "none" refuses the open.
        _ => stat.direct_align.or(Some(4096)),
    }?;
    let twin = temporary::reopen(file, access | OFlag::O_DIRECT).ok()?;
    Some((twin, align))
}
