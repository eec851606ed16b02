//! A file's space and size, and how long it may be: fallocate(2), ftruncate(2), statfs(2), lseek(2).

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statfs::{FsType, fstatfs};
use nix::unistd::{Whence, ftruncate, lseek};

/// Allocates space for `len` bytes at `offset` and leaves the size alone. EOPNOTSUPP where the
/// file system can't; never written out by hand as posix_fallocate does.
pub fn preallocate(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), Errno> {
    let (offset, len) = (signed(offset)?, signed(len)?);
    loop {
        match fallocate(fd, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, len) {
            Err(Errno::EINTR) => continue,
            result => return result,
        }
    }
}

/// Sets the size. What lies past it is gone, what is added reads as zeros.
pub fn set_size(fd: BorrowedFd<'_>, size: u64) -> Result<(), Errno> {
    let size = signed(size)?;
    loop {
        match ftruncate(fd, size) {
            Err(Errno::EINTR) => continue,
            result => return result,
        }
    }
}

/// The longest that the file may ever be, by what its file system can address and by RLIMIT_FSIZE. Nothing of it
/// is changed but its position: lseek(2) goes as far and says EINVAL behind that.
pub fn longest(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let (mut reached, mut beyond) = (0, i64::MAX as u64);
    while reached + 1 < beyond {
        let middle = reached + (beyond - reached) / 2;
        match lseek(fd, middle as i64, Whence::SeekSet) {
            Ok(_) => reached = middle,
            Err(Errno::EINVAL) => beyond = middle,
            Err(errno) => return Err(errno),
        }
    }
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    Ok(reached.min(limit))
}

fn signed(bytes: u64) -> Result<i64, Errno> {
    i64::try_from(bytes).map_err(|_| Errno::EFBIG)
}

/// The file systems that are told apart (statfs(2), linux/magic.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// also ext2 and ext3, which share its number
    Ext4,
    /// XFS
    Xfs,
    /// btrfs: preallocated space is never compressed there
    Btrfs,
    /// memory
    Tmpfs,
    /// a file system in user space
    Fuse,
    /// NFS
    Nfs,
    /// SMB, of any version
    Cifs,
    /// Ceph
    Ceph,
    /// processes as files
    Proc,
    /// any other
    Other,
}

/// The bytes that are free for this user where `fd` is; None where the file system counts none, as
/// some in user space don't.
pub fn free_bytes(fd: BorrowedFd<'_>) -> Result<Option<u64>, Errno> {
    let stat = fstatfs(fd)?;
    Ok((stat.blocks() > 0).then(|| stat.blocks_available() as u64 * stat.block_size() as u64))
}

/// Which file system holds `fd`, and the bytes that are free there for this user.
pub fn file_system(fd: BorrowedFd<'_>) -> Result<(FileSystem, u64), Errno> {
    let stat = fstatfs(fd)?;
    let free = stat.blocks_available() as u64 * stat.block_size() as u64;
    let kind = match stat.filesystem_type() {
        FsType(0xEF53) => FileSystem::Ext4,
        FsType(0x5846_5342) => FileSystem::Xfs,
        FsType(0x9123_683E) => FileSystem::Btrfs,
        FsType(0x0102_1994) => FileSystem::Tmpfs,
        FsType(0x6573_5546) => FileSystem::Fuse,
        FsType(0x6969) => FileSystem::Nfs,
        FsType(0xFF53_4D42 | 0xFE53_4D42) => FileSystem::Cifs,
        FsType(0x00C3_6400) => FileSystem::Ceph,
        FsType(0x9FA0) => FileSystem::Proc,
        _ => FileSystem::Other,
    };
    Ok((kind, free))
}
