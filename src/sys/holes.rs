//! Where a file has data and holes: lseek(2) with SEEK_DATA and SEEK_HOLE.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// The extent that begins at `from`, whether it is data, and where it ends. A hole at the end
/// reaches to u64::MAX; a file system that can't tell holes says that all is data. Moves the
/// descriptor's position.
pub fn extent_at(fd: BorrowedFd<'_>, from: u64) -> Result<(bool, Range<u64>), Errno> {
    let offset = i64::try_from(from).map_err(|_| Errno::EFBIG)?;
    let data = match lseek(fd, offset, Whence::SeekData) {
        Ok(data) => data as u64,
        Err(Errno::ENXIO) => return Ok((false, from..u64::MAX)),
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok((true, from..u64::MAX)),
        Err(errno) => return Err(errno),
    };
    if data > from {
        return Ok((false, from..data));
    }
    match lseek(fd, offset, Whence::SeekHole) {
        Ok(hole) => Ok((true, from..hole as u64)),
        Err(Errno::ENXIO) => Ok((false, from..u64::MAX)),
        Err(errno) => Err(errno),
    }
}
