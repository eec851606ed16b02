//! How much of a file the page cache holds: cachestat(2), Linux 6.5.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

#[repr(C)]
struct Range {
    offset: u64,
    len: u64,
}

#[repr(C)]
#[derive(Default)]
struct Stat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// The same number on every architecture (include/uapi/asm-generic/unistd.h).
const SYS_CACHESTAT: libc::c_long = 451;

/// Bytes of the whole file that are in the page cache, in whole pages. ENOSYS before Linux 6.5,
/// EOPNOTSUPP on hugetlbfs, EPERM where the caller may not know.
pub fn cached_bytes(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let range = Range { offset: 0, len: 0 };
    let mut stat = Stat::default();
    // SAFETY: both pointers are to live structures of the layout in linux/mman.h.
    let result = unsafe { libc::syscall(SYS_CACHESTAT, fd.as_raw_fd(), &range, &mut stat, 0) };
    Errno::result(result)?;
    Ok(stat.cached * 4096)
}
