//! A file that has no name until it is complete: O_TMPFILE and linkat(2).

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::linkat;

/// A new unnamed file in the directory `path` below `directory`, open for reading and writing. `mode` is subject to the
/// umask. EOPNOTSUPP, EISDIR or ENOENT where the file system or the kernel has none.
pub fn unnamed(directory: BorrowedFd<'_>, path: &OsStr, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    openat(directory, path, flags, Mode::from_bits_truncate(mode))
}

/// Gives the unnamed file its name. EEXIST where the name is taken, never replaced.
pub fn name(fd: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    let by_proc = format!("/proc/self/fd/{}", fd.as_raw_fd());
    match linkat(AT_FDCWD, by_proc.as_str(), directory, name, AtFlags::AT_SYMLINK_FOLLOW) {
        // Without /proc: by the descriptor itself, which Linux before 6.10 allows root only.
        Err(Errno::ENOENT | Errno::EACCES) => linkat(fd, "", directory, name, AtFlags::AT_EMPTY_PATH),
        result => result,
    }
}

/// Another description of the same file, with flags and a position of its own.
pub fn reopen(fd: BorrowedFd<'_>, flags: OFlag) -> Result<OwnedFd, Errno> {
    let by_proc = format!("/proc/self/fd/{}", fd.as_raw_fd());
    open(by_proc.as_str(), flags | OFlag::O_CLOEXEC, Mode::empty())
}
