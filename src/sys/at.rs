//! Names in open directories: openat(2) and its family. A name here is one component, and what is
//! opened by it is never reached through a symbolic link, except where that is asked for.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag};
use nix::sys::stat::{Mode, SFlag};
use nix::unistd::UnlinkatFlags;

/// The working directory, as a directory that names are relative to.
pub const WORKING_DIRECTORY: BorrowedFd<'static> = AT_FDCWD;

/// openat(2), close-on-exec. With one component and O_NOFOLLOW among the flags nothing outside of
/// `directory` can be reached; an interrupted open (a FIFO that waits) is EINTR.
pub fn open(directory: BorrowedFd<'_>, name: &OsStr, flags: OFlag, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    nix::fcntl::openat(directory, name, flags, Mode::from_bits_truncate(mode))
}

/// Opens a directory for reading its entries and as a place for names; ELOOP or ENOTDIR where it
/// is a symbolic link, unless `follow`.
pub fn open_directory(directory: BorrowedFd<'_>, name: &OsStr, follow: bool) -> Result<OwnedFd, Errno> {
    let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    open(directory, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY | link, 0)
}

/// The same only as a place for names, which needs no right to read it.
pub fn open_place(directory: BorrowedFd<'_>, name: &OsStr, follow: bool) -> Result<OwnedFd, Errno> {
    let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    open(directory, name, OFlag::O_PATH | OFlag::O_DIRECTORY | link, 0)
}

/// A handle on whatever `name` is, a symbolic link included, without opening it.
pub fn open_handle(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    open(directory, name, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)
}

/// openat2(2) of a path below `root`, following symbolic links that stay below it. EXDEV where one
/// leads out, ENOSYS or EPERM where the kernel or its policy has no openat2 (Linux 5.6).
pub fn open_beneath(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    // openat2 refuses what means nothing.
    let terminal = if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NOCTTY };
    let flags = flags | OFlag::O_CLOEXEC | terminal;
    loop {
        match nix::fcntl::openat2(root, path, OpenHow::new().flags(flags).resolve(resolve)) {
            // A rename somewhere below raced with the walk (openat2(2)).
            Err(Errno::EAGAIN) => continue,
            result => return result,
        }
    }
}

/// mkdirat(2); the umask applies.
pub fn make_directory(directory: BorrowedFd<'_>, name: &OsStr, mode: u32) -> Result<(), Errno> {
    nix::sys::stat::mkdirat(directory, name, Mode::from_bits_truncate(mode))
}

/// mknodat(2) of a FIFO, a device or a socket: `kind` is S_IF bits; the umask applies.
pub fn make_node(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    kind: u32,
    mode: u32,
    (major, minor): (u32, u32),
) -> Result<(), Errno> {
    let (kind, mode) = (SFlag::from_bits_truncate(kind), Mode::from_bits_truncate(mode));
    nix::sys::stat::mknodat(directory, name, kind, mode, libc::makedev(major, minor))
}

/// symlinkat(2)
pub fn make_symlink(content: &OsStr, directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    nix::unistd::symlinkat(content, directory, name)
}

/// readlinkat(2), whole.
pub fn read_link(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OsString, Errno> {
    nix::fcntl::readlinkat(directory, name)
}

/// linkat(2); where `from` is a symbolic link, of what it points to if `follow`.
pub fn make_link(
    (from_directory, from): (BorrowedFd<'_>, &OsStr),
    (directory, name): (BorrowedFd<'_>, &OsStr),
    follow: bool,
) -> Result<(), Errno> {
    let flags = if follow { AtFlags::AT_SYMLINK_FOLLOW } else { AtFlags::empty() };
    nix::unistd::linkat(from_directory, from, directory, name, flags)
}

/// unlinkat(2) of anything but a directory.
pub fn remove_file(directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    nix::unistd::unlinkat(directory, name, UnlinkatFlags::NoRemoveDir)
}

/// unlinkat(2) of an empty directory.
pub fn remove_directory(directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    nix::unistd::unlinkat(directory, name, UnlinkatFlags::RemoveDir)
}

/// renameat(2) within `directory`, over what `to` names.
pub fn rename(directory: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    move_over((directory, from), (directory, to))
}

/// The same from one directory to another.
pub fn move_over(from: (BorrowedFd<'_>, &OsStr), to: (BorrowedFd<'_>, &OsStr)) -> Result<(), Errno> {
    nix::fcntl::renameat(from.0, from.1, to.0, to.1)
}

/// renameat2(2) with RENAME_NOREPLACE: EEXIST where `to` is taken; EINVAL where the file system
/// can't do without replacing.
pub fn rename_new(directory: BorrowedFd<'_>, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    move_new((directory, from), (directory, to))
}

/// The same from one directory to another.
pub fn move_new(from: (BorrowedFd<'_>, &OsStr), to: (BorrowedFd<'_>, &OsStr)) -> Result<(), Errno> {
    nix::fcntl::renameat2(from.0, from.1, to.0, to.1, RenameFlags::RENAME_NOREPLACE)
}

/// faccessat(2) with the effective ids: whether `name` may be written to, or why not.
pub fn may_write(directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    nix::unistd::faccessat(directory, name, nix::unistd::AccessFlags::W_OK, AtFlags::AT_EACCESS)
}

/// A path that leads to what `fd` has open, for calls that take no descriptor.
pub fn path_of(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}
