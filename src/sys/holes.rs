//! Where a file has data and holes: lseek(2) with SEEK_DATA and SEEK_HOLE.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::unistd::{Whence, lseek};

/// The extent that begins at `from`, whether it is data, and where it ends. A hole at the end
/// reaches as far as the file does now, which is nowhere once it has been cut short of `from`; a
/// file system that can't tell holes says that all is data. Moves the
/// descriptor's position.
pub fn extent_at(fd: BorrowedFd<'_>, from: u64) -> Result<(bool, Range<u64>), Errno> {
    let offset = i64::try_from(from).map_err(|_| Errno::EFBIG)?;
    let data = match lseek(fd, offset, Whence::SeekData) {
        Ok(data) => data as u64,
        Err(Errno::ENXIO) => return hole_to_the_end(fd, from),
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok((true, from..u64::MAX)),
        Err(errno) => return Err(errno),
    };
    if data > from {
        return Ok((false, from..data));
    }
    match lseek(fd, offset, Whence::SeekHole) {
        Ok(hole) => Ok((true, from..hole as u64)),
        Err(Errno::ENXIO) => hole_to_the_end(fd, from),
        Err(errno) => Err(errno),
    }
}

fn hole_to_the_end(fd: BorrowedFd<'_>, from: u64) -> Result<(bool, Range<u64>), Errno> {
    let size = fstat(fd)?.st_size as u64;
    Ok((false, from..size.max(from)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_hole_at_the_end_reaches_as_far_as_the_file() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10_000).unwrap();
        assert_eq!(extent_at(file.as_fd(), 0), Ok((false, 0..10_000)));
        file.set_len(3_000).unwrap();
        assert_eq!(extent_at(file.as_fd(), 4_096), Ok((false, 4_096..4_096)));
    }
}
