//! Block devices: their size and sectors, by ioctl.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

nix::ioctl_read! {
    /// BLKGETSIZE64
    blkgetsize64, 0x12, 114, u64
}
nix::ioctl_read_bad! {
    /// BLKSSZGET
    blksszget, 0x1268, libc::c_int
}

/// The device's length in bytes.
pub fn size_bytes(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut size = 0u64;
    // SAFETY: BLKGETSIZE64 writes one u64.
    unsafe { blkgetsize64(fd.as_raw_fd(), &mut size) }?;
    Ok(size)
}

/// The logical sector in bytes: what direct I/O must be a multiple of.
pub fn sector_bytes(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    let mut size = 0;
    // SAFETY: BLKSSZGET writes one int.
    unsafe { blksszget(fd.as_raw_fd(), &mut size) }?;
    u32::try_from(size).map_err(|_| Errno::EINVAL)
}
