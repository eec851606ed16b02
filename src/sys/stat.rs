//! What an open descriptor is: statx(2).

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// The kinds of file that are copied differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// a regular file
    Regular,
    /// a directory
    Directory,
    /// a block device
    Block,
    /// a character device, FIFO or socket: bytes in order
    Stream,
}

/// The part of statx that a copy asks for.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// what it is
    pub kind: Kind,
    /// permission bits, set-id bits included
    pub mode: u32,
    /// in bytes; 0 for devices and streams
    pub size: u64,
    /// allocated, in bytes
    pub allocated_bytes: u64,
    /// names one file together with `inode`
    pub device: (u32, u32),
    /// names one file together with `device`
    pub inode: u64,
    /// which device a device node stands for
    pub represents: (u32, u32),
    /// what offset and length of direct I/O must be a multiple of, in bytes; None where the file
    /// system reports no direct I/O (Linux 6.1, STATX_DIOALIGN)
    pub direct_align: Option<u32>,
}

/// statx of `fd` itself.
pub fn of(fd: BorrowedFd<'_>) -> Result<Stat, Errno> {
    let mut raw = MaybeUninit::<libc::statx>::zeroed();
    let mask = libc::STATX_BASIC_STATS | libc::STATX_DIOALIGN;
    // SAFETY: an empty path with AT_EMPTY_PATH names `fd`; the kernel fills one statx.
    let result =
        unsafe { libc::statx(fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, mask, raw.as_mut_ptr()) };
    Errno::result(result)?;
    // SAFETY: zeroed is a valid statx, whatever part the kernel has filled.
    let raw = unsafe { raw.assume_init() };
    let kind = match u32::from(raw.stx_mode) & libc::S_IFMT {
        libc::S_IFREG => Kind::Regular,
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFBLK => Kind::Block,
        _ => Kind::Stream,
    };
    let align = raw.stx_dio_offset_align.max(raw.stx_dio_mem_align);
    let known = raw.stx_mask & libc::STATX_DIOALIGN != 0 && align > 0;
    Ok(Stat {
        kind,
        mode: u32::from(raw.stx_mode) & 0o7777,
        size: raw.stx_size,
        allocated_bytes: raw.stx_blocks * 512,
        device: (raw.stx_dev_major, raw.stx_dev_minor),
        inode: raw.stx_ino,
        represents: (raw.stx_rdev_major, raw.stx_rdev_minor),
        direct_align: known.then_some(align),
    })
}

impl Stat {
    /// Whether both descriptors reach the same bytes: one inode, or two nodes of one block device.
    pub fn is_same_file(&self, other: &Stat) -> bool {
        let inode = self.device == other.device && self.inode == other.inode;
        let device =
            self.kind == Kind::Block && other.kind == Kind::Block && self.represents == other.represents;
        inode || device
    }

    /// /dev/null, /dev/zero and their like, which never wait: major number 1.
    pub fn is_memory_device(&self) -> bool {
        self.kind == Kind::Stream && self.represents.0 == 1
    }
}
