//! Blocking reads and writes of pipes, sockets and terminals that can be withdrawn.
//!
//! The flags of an inherited descriptor are never changed, so it may block: each transfer waits
//! until the descriptor or the cancellation is ready, and moves then only what can't block.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::cancel::Cancel;

/// What POLLOUT promises to a pipe without blocking (PIPE_BUF, pipe(7)).
const SURE_BYTES: usize = 4096;

/// Waits for `events` on `fd`; ECANCELED once `cancel` is raised.
pub fn wait(fd: BorrowedFd<'_>, events: PollFlags, cancel: &Cancel) -> Result<(), Errno> {
    loop {
        let mut both = [PollFd::new(fd, events), PollFd::new(cancel.as_fd(), PollFlags::POLLIN)];
        match poll(&mut both, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
            Ok(_) if cancel.is_raised() => return Err(Errno::ECANCELED),
            Ok(_) if both[0].any().unwrap_or(true) => return Ok(()),
            Ok(_) => continue,
        }
    }
}

/// Reads from the descriptor's own position; 0 is the end.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8], cancel: &Cancel) -> Result<usize, Errno> {
    loop {
        wait(fd, PollFlags::POLLIN, cancel)?;
        match nix::unistd::read(fd, buffer) {
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            result => return result,
        }
    }
}

/// Writes at the descriptor's own position, as much as goes without blocking.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8], cancel: &Cancel) -> Result<usize, Errno> {
    loop {
        wait(fd, PollFlags::POLLOUT, cancel)?;
        let sure = &bytes[..bytes.len().min(SURE_BYTES)];
        match write_now(fd, bytes) {
            Err(Errno::EAGAIN | Errno::EOPNOTSUPP | Errno::ENOSYS) => match nix::unistd::write(fd, sure) {
                Err(Errno::EAGAIN | Errno::EINTR) => continue,
                result => return result,
            },
            Err(Errno::EINTR) => continue,
            result => return result,
        }
    }
}

fn write_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    let vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: one iovec over live bytes, which pwritev2 only reads; -1 is the own position.
    let result = unsafe { libc::pwritev2(fd.as_raw_fd(), &vector, 1, -1, libc::RWF_NOWAIT) };
    Errno::result(result).map(|n| n as usize)
}
