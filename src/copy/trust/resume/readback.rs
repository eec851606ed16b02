//! Reading a target back, around the page cache where that can be had: what counts is what is on the
//! disk, and a large file must not push everything else out of memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};
use nix::sys::uio::pread;

use crate::digest::UNIT_BYTES;
use crate::sys;

use crate::copy::content::source::INTERRUPTED;

/// Of one read.
const CHUNK_BYTES: usize = 8 * UNIT_BYTES as usize;
/// As much as any disk wants of direct I/O.
const ALIGN: usize = 4096;

/// See the module.
pub(super) struct ReadBack<'f> {
    file: BorrowedFd<'f>,
    direct: Option<OwnedFd>,
    memory: Vec<u8>,
    /// what is in memory: where in the file, and how much
    from: u64,
    filled: usize,
}

/// Shows `each` the first `bytes` of a file, in order. Fails with the errno and where that was;
/// ENODATA where there is less.
pub(in crate::copy) fn read_back(
    file: BorrowedFd<'_>,
    bytes: u64,
    each: &mut dyn FnMut(u64, &[u8]),
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(), (u64, i32)> {
    let mut reading = ReadBack::new(file);
    let mut at = 0;
    while at < bytes {
        if is_cancelled() {
            return Err((at, INTERRUPTED));
        }
        let wanted = UNIT_BYTES.min(bytes - at) as usize;
        let unit = reading.unit(at).map_err(|errno| (at, errno as i32))?;
        each(at, unit.get(..wanted).ok_or((at, libc::ENODATA))?);
        at += wanted as u64;
    }
    Ok(())
}

impl<'f> ReadBack<'f> {
    pub fn new(file: BorrowedFd<'f>) -> ReadBack<'f> {
        // What was recorded is on the disk: nothing has to be written back for this.
        let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        let direct = sys::temporary::reopen(file, OFlag::O_RDONLY | OFlag::O_DIRECT | OFlag::O_NONBLOCK).ok();
        let memory = vec![0; CHUNK_BYTES + ALIGN];
        ReadBack { file, direct, memory, from: 0, filled: 0 }
    }

    fn start(&self) -> usize {
        self.memory.as_ptr().align_offset(ALIGN)
    }

    /// The bytes at `from`, which a unit begins at, up to the end of the unit or of the file.
    pub fn unit(&mut self, from: u64) -> Result<&[u8], Errno> {
        let is_there = |this: &Self| {
            (this.from..this.from + this.filled as u64).contains(&from)
                && (from + UNIT_BYTES <= this.from + this.filled as u64 || this.filled < CHUNK_BYTES)
        };
        if !is_there(self) {
            self.fill(from)?;
        }
        let start = (from - self.from) as usize;
        let end = self.filled.min(start + UNIT_BYTES as usize);
        let at = self.start();
        Ok(&self.memory[at + start.min(end)..at + end])
    }

    fn fill(&mut self, from: u64) -> Result<(), Errno> {
        (self.from, self.filled) = (from, 0);
        let start = self.start();
        while self.filled < CHUNK_BYTES {
            let rest = start + self.filled..start + CHUNK_BYTES;
            let offset = (from + self.filled as u64) as i64;
            let direct = self.direct.as_ref().filter(|_| self.filled.is_multiple_of(ALIGN));
            let file = direct.map_or(self.file, |direct| direct.as_fd());
            match pread(file, &mut self.memory[rest], offset) {
                Ok(0) => break,
                Ok(read) => self.filled += read,
                Err(Errno::EINTR) => {}
                Err(Errno::EINVAL) if self.direct.take().is_some() => {}
                Err(errno) => return Err(errno),
            }
        }
        if self.direct.is_none() {
            let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
            let _ = posix_fadvise(self.file, from as i64, self.filled as i64, advice);
        }
        Ok(())
    }
}
