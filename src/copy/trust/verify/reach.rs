//! Opening a copy again, by the names that led to it when it was made.
//!
//! No symbolic link that was planted since is followed, and what is opened must be the very file that
//! was copied to: else it would be another one that is told to be right.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::space::FileSystem;
use crate::sys::stat::{Kind, Stat};

use crate::copy::options::Options;
use crate::copy::tree::directory::Place;
use crate::copy::trust::evidence::Item;

/// Opens the copy for reading, and says what it is now. An error of [`Op::Verify`] says that the copy
/// is not there, any other that it can't be looked at.
pub(super) fn open(base: &Place, item: &Item, options: &Options) -> Result<(OwnedFd, Stat), Error> {
    let errno = |op, errno: Errno| Error::new(op, &item.target, Cause::Errno(errno as i32));
    let gone = |cause| Error::new(Op::Verify, &item.target, cause).with(&item.source);
    let handle = handle(base, item, options).map_err(|no| match no {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV => gone(Cause::Errno(no as i32)),
        no => errno(Op::Open, no),
    })?;
    let stat = sys::stat::of(handle.as_fd()).map_err(|no| errno(Op::Stat, no))?;
    let kind = if item.is_device { Kind::Block } else { Kind::Regular };
    if stat.kind != kind || stat.id() != item.id && has_lasting_inodes(&handle) {
        return Err(gone(Cause::Replaced));
    }
    let file = sys::temporary::reopen(handle.as_fd(), OFlag::O_RDONLY).map_err(|no| errno(Op::Open, no))?;
    // Of the file itself: a handle knows less.
    let stat = sys::stat::of(file.as_fd()).map_err(|no| errno(Op::Stat, no))?;
    Ok((file, stat))
}

/// Where one and the same file always says the same number; in user space, and over a network, it may
/// get another one once it is forgotten.
fn has_lasting_inodes(handle: &OwnedFd) -> bool {
    let known = [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Btrfs, FileSystem::Tmpfs];
    sys::space::file_system(handle.as_fd()).is_ok_and(|(kind, _)| known.contains(&kind))
}

/// A handle on the copy. The operand is whatever it was when it was typed; below it symbolic links
/// are followed only as far as they stay below it, as they were for writing.
fn handle(base: &Place, item: &Item, options: &Options) -> Result<OwnedFd, Errno> {
    let (operand, below) = item.names.split_first().expect("a copy has a name");
    let Some((name, directories)) = below.split_last() else {
        return sys::at::open(base.as_fd(), operand, OFlag::O_PATH, 0);
    };
    let root = sys::at::open_place(base.as_fd(), operand, true)?;
    let mut path = PathBuf::new();
    let mut place: Option<OwnedFd> = None;
    for directory in directories {
        path.push(directory);
        let above = place.as_ref().unwrap_or(&root);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let opened = match sys::at::open_place(above.as_fd(), directory, false) {
            Err(Errno::ELOOP | Errno::ENOTDIR) if options.keep_directory_symlink => {
                sys::at::open_place(above.as_fd(), directory, true)
            }
            Err(Errno::ELOOP | Errno::ENOTDIR) => sys::at::open_beneath(root.as_fd(), &path, flags),
            opened => opened,
        }?;
        place = Some(opened);
    }
    let above = place.as_ref().unwrap_or(&root);
    match is_link(above, name)? {
        true => sys::at::open_beneath(root.as_fd(), &path.join(name), OFlag::O_PATH),
        false => sys::at::open_handle(above.as_fd(), name),
    }
}

fn is_link(place: &OwnedFd, name: &OsStr) -> Result<bool, Errno> {
    sys::stat::at(place.as_fd(), name, false).map(|stat| stat.kind == Kind::Symlink)
}
