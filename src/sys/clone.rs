//! Reflinks: ioctl_ficlone(2).

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

nix::ioctl_write_int_bad! {
    /// FICLONE
    ficlone, libc::FICLONE
}

/// Makes `target` share all of `source`'s blocks. EOPNOTSUPP, EXDEV, EINVAL, ETXTBSY where that
/// can't be; the target is then as it was.
pub fn clone_file(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: the argument of FICLONE is a descriptor by value; no memory is passed.
    unsafe { ficlone(target.as_raw_fd(), source.as_raw_fd()) }.map(drop)
}
