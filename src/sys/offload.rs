//! Copies that a file system makes by itself: copy_file_range(2).

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::copy_file_range;

/// Above 2 GiB some file systems have answered wrongly (NEWS of GNU coreutils 9.x); half of that is
/// safe and no slower.
const MOST_BYTES: u64 = 1 << 30;

/// Has up to `len` bytes at `offset` copied to the same offset of `target`, at most 1 GiB; how many
/// were, 0 at the source's end. Moves neither descriptor's position.
///
/// EXDEV, EOPNOTSUPP, ENOSYS where that can't be; EIO also where more is claimed than was asked for.
pub fn copy_range(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    offset: u64,
    len: u64,
) -> Result<u64, Errno> {
    let len = len.min(MOST_BYTES);
    let mut from = i64::try_from(offset).map_err(|_| Errno::EFBIG)?;
    let mut to = from;
    let copied = copy_file_range(source, Some(&mut from), target, Some(&mut to), len as usize)? as u64;
    if copied <= len { Ok(copied) } else { Err(Errno::EIO) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    #[test]
    fn a_range_goes_to_the_same_place_and_ends_with_the_source() {
        let (mut source, mut target) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        source.write_all(b"0123456789").unwrap();
        assert_eq!(copy_range(source.as_fd(), target.as_fd(), 4, u64::MAX), Ok(6));
        assert_eq!(copy_range(source.as_fd(), target.as_fd(), 10, 5), Ok(0));
        let mut held = Vec::new();
        target.read_to_end(&mut held).unwrap();
        assert_eq!(held, b"\0\0\0\x00456789");
    }
}
