//! Staying on one mount: openat2(2).

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

/// Opens the directory `name` in `directory` for reading its entries. EXDEV where something is
/// mounted on it, bind mounts included (before Linux 5.6 they aren't noticed); ELOOP or ENOTDIR
/// where it is a symbolic link.
pub fn open_directory(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let resolve =
        ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_BENEATH;
    loop {
        match openat2(directory, name, OpenHow::new().flags(flags).resolve(resolve)) {
            // A rename somewhere raced with it.
            Err(Errno::EAGAIN) => continue,
            // No such call, or none that a sandbox lets through.
            Err(Errno::ENOSYS | Errno::EPERM) => return openat(directory, name, flags, Mode::empty()),
            result => return result,
        }
    }
}
