//! Mode, owner, times and extended attributes of a file that is at hand: fchmod(2), fchownat(2),
//! utimensat(2), xattr(7). No symbolic link is followed by any of it.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid};
use xattr::FileExt;

use super::stat::{self, Stat, Time};

/// How a file is at hand.
#[derive(Clone, Copy, Debug)]
pub enum Handle<'a> {
    /// an open file or directory
    File(BorrowedFd<'a>),
    /// what O_PATH has opened, and no symbolic link
    Path(BorrowedFd<'a>),
    /// a symbolic link, by its name in its directory
    Link(BorrowedFd<'a>, &'a OsStr),
}

/// A path that leads to what `fd` has open.
fn by_proc(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

impl Handle<'_> {
    /// statx(2)
    pub fn stat(&self) -> Result<Stat, Errno> {
        match *self {
            Handle::File(fd) | Handle::Path(fd) => stat::of(fd),
            Handle::Link(directory, name) => stat::at(directory, name, false),
        }
    }

    /// Sets permission bits, set-id bits included. EOPNOTSUPP of a symbolic link: it has none.
    pub fn set_mode(&self, mode: u32) -> Result<(), Errno> {
        let mode = Mode::from_bits_truncate(mode);
        match *self {
            Handle::File(fd) => nix::sys::stat::fchmod(fd, mode),
            // fchmod takes no such descriptor, and fchmodat2 is of Linux 6.6.
            Handle::Path(fd) => {
                nix::sys::stat::fchmodat(fd, by_proc(fd).as_str(), mode, FchmodatFlags::FollowSymlink)
            }
            Handle::Link(..) => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Sets owner and group, where given. Of anything but a directory the set-id bits go.
    pub fn set_owner(&self, owner: Option<u32>, group: Option<u32>) -> Result<(), Errno> {
        let (owner, group) = (owner.map(Uid::from_raw), group.map(Gid::from_raw));
        match *self {
            Handle::File(fd) => nix::unistd::fchown(fd, owner, group),
            Handle::Path(fd) => nix::unistd::fchownat(fd, "", owner, group, AtFlags::AT_EMPTY_PATH),
            Handle::Link(directory, name) => {
                nix::unistd::fchownat(directory, name, owner, group, AtFlags::AT_SYMLINK_NOFOLLOW)
            }
        }
    }

    /// Sets the times of access and change.
    pub fn set_times(&self, accessed: Time, modified: Time) -> Result<(), Errno> {
        let time = |time: Time| TimeSpec::new(time.seconds, i64::from(time.nanoseconds));
        let (accessed, modified) = (time(accessed), time(modified));
        match *self {
            Handle::File(fd) => nix::sys::stat::futimens(fd, &accessed, &modified),
            // AT_EMPTY_PATH is of Linux 5.8 here.
            Handle::Path(fd) => {
                let (path, follow) = (by_proc(fd), UtimensatFlags::FollowSymlink);
                nix::sys::stat::utimensat(fd, path.as_str(), &accessed, &modified, follow)
            }
            Handle::Link(directory, name) => {
                let flags = UtimensatFlags::NoFollowSymlink;
                nix::sys::stat::utimensat(directory, name, &accessed, &modified, flags)
            }
        }
    }

    /// The names of its extended attributes, as far as this process may see them.
    pub fn xattrs(&self) -> Result<xattr::XAttrs, Errno> {
        match self.route() {
            Route::Fd(fd) => fd.list_xattr(),
            Route::Path(path) => xattr::list_deref(path),
            Route::Link(path) => xattr::list(path),
        }
        .map_err(errno)
    }

    /// The value of one; None where there is none.
    pub fn xattr(&self, name: &OsStr) -> Result<Option<Vec<u8>>, Errno> {
        match self.route() {
            Route::Fd(fd) => fd.get_xattr(name),
            Route::Path(path) => xattr::get_deref(path, name),
            Route::Link(path) => xattr::get(path, name),
        }
        .map_err(errno)
    }

    /// Sets one, whether it was there or not.
    pub fn set_xattr(&self, name: &OsStr, value: &[u8]) -> Result<(), Errno> {
        match self.route() {
            Route::Fd(fd) => fd.set_xattr(name, value),
            Route::Path(path) => xattr::set_deref(path, name, value),
            Route::Link(path) => xattr::set(path, name, value),
        }
        .map_err(errno)
    }

    /// Removes one; ENODATA where there is none.
    pub fn remove_xattr(&self, name: &OsStr) -> Result<(), Errno> {
        match self.route() {
            Route::Fd(fd) => fd.remove_xattr(name),
            Route::Path(path) => xattr::remove_deref(path, name),
            Route::Link(path) => xattr::remove(path, name),
        }
        .map_err(errno)
    }

    /// How the calls for extended attributes get there: none takes an O_PATH descriptor or a
    /// directory to start from before Linux 6.13.
    fn route(&self) -> Route<'_> {
        match *self {
            Handle::File(fd) => Route::Fd(Open(fd)),
            Handle::Path(fd) => Route::Path(by_proc(fd).into()),
            Handle::Link(directory, name) if directory.as_raw_fd() == libc::AT_FDCWD => {
                Route::Link(name.into())
            }
            Handle::Link(directory, name) => Route::Link(Path::new(&by_proc(directory)).join(name)),
        }
    }
}

enum Route<'a> {
    Fd(Open<'a>),
    Path(PathBuf),
    Link(PathBuf),
}

/// An open file as the crate wants it.
struct Open<'a>(BorrowedFd<'a>);

impl AsRawFd for Open<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl FileExt for Open<'_> {}

fn errno(error: std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// The umask, as it was when first asked for.
pub fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| shown_umask().unwrap_or_else(swapped_umask))
}

/// As proc_pid_status(5) shows it (Linux 4.7), without a moment in which other threads have none.
fn shown_umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

/// As umask(2) says it, which must set one to say what it was. Files that other threads make in
/// between lack the permissions that this one takes: none is too open.
fn swapped_umask() -> u32 {
    let umask = nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    nix::sys::stat::umask(umask);
    umask.bits()
}

/// Whether this process may be expected to change owners, and what belongs to others.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_umask_is_the_one_that_children_get() {
        let shell = std::process::Command::new("sh").args(["-c", "umask"]).output().unwrap();
        let shell = u32::from_str_radix(String::from_utf8(shell.stdout).unwrap().trim(), 8).unwrap();
        assert_eq!(shown_umask(), Some(shell));
        assert_eq!(umask(), shell);
    }
}
