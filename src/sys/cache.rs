//! How much of a file the page cache holds, having it written, and taking it out of there:
//! cachestat(2), Linux 6.5, sync_file_range(2) and posix_fadvise(2).

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

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

/// Begins to write the whole file's dirty pages back, and does not wait for them. No promise: whether
/// they are written, and whether that succeeds, is for a sync to tell.
pub fn begin_write_back(fd: BorrowedFd<'_>) {
    // SAFETY: it is given a descriptor and numbers.
    let _ = unsafe { libc::sync_file_range(fd.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Takes a file's pages out of the page cache, writing back first what has to be; the bytes that
/// stay all the same: of pages that others have locked or mapped, or that have nowhere else to be.
/// None where that can't be told, as before Linux 6.5. Fails as fdatasync(2) does.
pub fn evict(fd: BorrowedFd<'_>) -> Result<Option<u64>, Errno> {
    drop_clean(fd);
    match cached_bytes(fd) {
        Ok(0) => Ok(Some(0)),
        // Dirty ones may be among them, or it can't be known.
        _ => {
            nix::unistd::fdatasync(fd)?;
            drop_clean(fd);
            Ok(cached_bytes(fd).ok())
        }
    }
}

/// Advice only; what came of it is asked for elsewhere.
fn drop_clean(fd: BorrowedFd<'_>) {
    let _ = posix_fadvise(fd, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}
