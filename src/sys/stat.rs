//! What a file is: statx(2) of descriptors, fstatat(2) of names.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::NixPath;

use nix::errno::Errno;

/// The kinds of file that are copied differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// a regular file
    Regular,
    /// a directory
    Directory,
    /// a symbolic link
    Symlink,
    /// a block device
    Block,
    /// a character device
    Character,
    /// a named pipe, or a pipe
    Fifo,
    /// a socket
    Socket,
    /// nothing that Linux has a name for
    Unknown,
}

impl Kind {
    /// From the type bits of a mode.
    pub fn of_mode(mode: u32) -> Kind {
        match mode & libc::S_IFMT {
            libc::S_IFREG => Kind::Regular,
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFBLK => Kind::Block,
            libc::S_IFCHR => Kind::Character,
            libc::S_IFIFO => Kind::Fifo,
            libc::S_IFSOCK => Kind::Socket,
            _ => Kind::Unknown,
        }
    }

    /// Its type bits in a mode.
    pub fn mode_bits(self) -> u32 {
        match self {
            Kind::Regular => libc::S_IFREG,
            Kind::Directory => libc::S_IFDIR,
            Kind::Symlink => libc::S_IFLNK,
            Kind::Block => libc::S_IFBLK,
            Kind::Character => libc::S_IFCHR,
            Kind::Fifo => libc::S_IFIFO,
            Kind::Socket => libc::S_IFSOCK,
            Kind::Unknown => 0,
        }
    }

    /// Bytes in order, without a length: character devices, pipes, sockets.
    pub fn is_stream(self) -> bool {
        matches!(self, Kind::Character | Kind::Fifo | Kind::Socket | Kind::Unknown)
    }
}

/// A moment: seconds since 1970 and nanoseconds past them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// negative before 1970
    pub seconds: i64,
    /// 0 to 999,999,999
    pub nanoseconds: u32,
}

/// One file of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// of its file system
    pub device: (u32, u32),
    /// there
    pub inode: u64,
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
    /// how many names it has
    pub links: u64,
    /// whose it is
    pub owner: u32,
    /// and of which group
    pub group: u32,
    /// when it was last read
    pub accessed: Time,
    /// when its content last changed
    pub modified: Time,
    /// when anything about it last changed
    pub changed: Time,
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
    let align = raw.stx_dio_offset_align.max(raw.stx_dio_mem_align);
    let known = raw.stx_mask & libc::STATX_DIOALIGN != 0 && align > 0;
    let time = |time: libc::statx_timestamp| Time { seconds: time.tv_sec, nanoseconds: time.tv_nsec };
    Ok(Stat {
        kind: Kind::of_mode(u32::from(raw.stx_mode)),
        mode: u32::from(raw.stx_mode) & 0o7777,
        size: raw.stx_size,
        allocated_bytes: raw.stx_blocks * 512,
        device: (raw.stx_dev_major, raw.stx_dev_minor),
        inode: raw.stx_ino,
        represents: (raw.stx_rdev_major, raw.stx_rdev_minor),
        links: u64::from(raw.stx_nlink),
        owner: raw.stx_uid,
        group: raw.stx_gid,
        accessed: time(raw.stx_atime),
        modified: time(raw.stx_mtime),
        changed: time(raw.stx_ctime),
        direct_align: known.then_some(align),
    })
}

/// fstatat(2) of `name` in `directory`; where it is a symbolic link, of the link unless `follow`.
/// What direct I/O needs is not asked for.
pub fn at(directory: BorrowedFd<'_>, name: &OsStr, follow: bool) -> Result<Stat, Errno> {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let mut raw = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the name ends with a zero byte and the kernel fills one stat.
    let result = name.with_nix_path(|name| unsafe {
        libc::fstatat(directory.as_raw_fd(), name.as_ptr(), raw.as_mut_ptr(), flags)
    })?;
    Errno::result(result)?;
    // SAFETY: it was filled.
    let raw = unsafe { raw.assume_init() };
    let device = |number| (libc::major(number), libc::minor(number));
    Ok(Stat {
        kind: Kind::of_mode(raw.st_mode),
        mode: raw.st_mode & 0o7777,
        size: raw.st_size as u64,
        allocated_bytes: raw.st_blocks as u64 * 512,
        device: device(raw.st_dev),
        inode: raw.st_ino,
        represents: device(raw.st_rdev),
        links: raw.st_nlink,
        owner: raw.st_uid,
        group: raw.st_gid,
        accessed: Time { seconds: raw.st_atime, nanoseconds: raw.st_atime_nsec as u32 },
        modified: Time { seconds: raw.st_mtime, nanoseconds: raw.st_mtime_nsec as u32 },
        changed: Time { seconds: raw.st_ctime, nanoseconds: raw.st_ctime_nsec as u32 },
        direct_align: None,
    })
}

impl Stat {
    /// What names the file itself, whatever it is called.
    pub fn id(&self) -> Id {
        Id { device: self.device, inode: self.inode }
    }

    /// Whether both descriptors reach the same bytes: one inode, or two nodes of one block device.
    pub fn is_same_file(&self, other: &Stat) -> bool {
        let inode = self.device == other.device && self.inode == other.inode;
        let device =
            self.kind == Kind::Block && other.kind == Kind::Block && self.represents == other.represents;
        inode || device
    }

    /// /dev/null, /dev/zero and their like, which never wait: major number 1.
    pub fn is_memory_device(&self) -> bool {
        self.kind == Kind::Character && self.represents.0 == 1
    }
}
