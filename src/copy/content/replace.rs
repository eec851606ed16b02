//! `--atomic`: a file that is there is never written to. A new one is filled beside it and takes its
//! name once it is complete; until then whoever looks sees what was there.
//!
//! Knows what may be replaced so, and where: a symbolic link is followed to the file that it names,
//! by descriptors, within a tree only inside the target.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::error::{Cause, Op};
use crate::sys;
use crate::sys::space::FileSystem;
use crate::sys::stat::{Kind, Stat};

use crate::copy::content::target::Step;
use crate::copy::names::entry::{At, Entry};
use crate::copy::names::same::{last_component, parent_of};
use crate::copy::work::run::Run;

/// What a new file takes the place of.
#[derive(Default)]
pub(in crate::copy) struct Over {
    /// where that is; None: at the name that the target was asked for by
    pub place: Option<Spot>,
    /// the file whose owner, permissions and attributes the new one gets; None: those of any new file
    pub old: Option<Old>,
}

/// A name in a directory that is held open.
pub(in crate::copy) struct Spot {
    directory: OwnedFd,
    name: OsString,
}

impl Spot {
    pub fn at(&self) -> At<'_> {
        At { directory: self.directory.as_fd(), name: &self.name }
    }
}

/// A file that is replaced: a handle on it, which needs no right to read it.
pub(in crate::copy) struct Old {
    pub handle: OwnedFd,
    pub stat: Stat,
}

/// What the file that an entry's target names is replaced by, once `entry.target()` was seen to be
/// there. Nothing is touched; what can't be replaced is refused.
pub(in crate::copy) fn existing(run: &Run<'_>, entry: &Entry<'_>, at: At<'_>) -> Step<Over> {
    let is_link = at.stat(false).is_ok_and(|stat| stat.kind == Kind::Symlink);
    let place = match is_link {
        false => None,
        true if entry.is_operand() => Some(follow(at)?),
        true => Some(follow_inside(entry, at)?),
    };
    over(place, at, run.options.force)
}

/// The same of a path that is no tree's.
pub(in crate::copy) fn path(at: At<'_>) -> Step<Over> {
    let is_link = at.stat(false).is_ok_and(|stat| stat.kind == Kind::Symlink);
    over(if is_link { Some(follow(at)?) } else { None }, at, false)
}

fn over(place: Option<Spot>, at: At<'_>, force: bool) -> Step<Over> {
    let there = place.as_ref().map_or(at, Spot::at);
    let failed = |op| move |errno| (op, Cause::Errno(errno as i32));
    let handle = match sys::at::open_handle(there.directory, there.name) {
        // A link to nothing, or it has gone since.
        Err(Errno::ENOENT) => return Ok(Over { place, old: None }),
        opened => opened.map_err(failed(Op::Create))?,
    };
    let stat = sys::stat::of(handle.as_fd()).map_err(failed(Op::Stat))?;
    match stat.kind {
        Kind::Regular => {}
        Kind::Directory => return Err((Op::Create, Cause::IsDirectory)),
        Kind::Symlink => return Err((Op::Create, Cause::Replaced)),
        _ => return Err((Op::Create, Cause::NotAFile)),
    }
    if stat.links > 1 {
        return Err((Op::Create, Cause::SeveralNames { names: stat.links }));
    }
    // To rename over a file takes no right to write to it, but cp asks for it, and `-f` does without.
    match sys::at::may_write(there.directory, there.name) {
        Err(_) if force => return Ok(Over { place, old: None }),
        allowed => allowed.map_err(failed(Op::Create))?,
    }
    Ok(Over { place, old: Some(Old { handle, stat }) })
}

// ---- symbolic links ----

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

/// The place of the file that a symbolic link names, whether that is there or not.
pub(in crate::copy) fn follow(at: At<'_>) -> Step<Spot> {
    let failed = |errno| (Op::Create, Cause::Errno(errno as i32));
    let open = |from: BorrowedFd<'_>, path: &OsStr| sys::at::open_place(from, parent_of(path), true);
    let mut directory = open(at.directory, at.name).map_err(failed)?;
    let mut name = component(at.name)?;
    for _ in 0..=MOST_LINKS {
        let Some(content) = link_at(&directory, &name)? else { return Ok(Spot { directory, name }) };
        directory = open(directory.as_fd(), &content).map_err(failed)?;
        name = component(&content)?;
    }
    Err(failed(Errno::ELOOP))
}

/// The same inside the target's tree: where a link leads out of it, that is an error.
fn follow_inside(entry: &Entry<'_>, at: At<'_>) -> Step<Spot> {
    let outside = (Op::Create, Cause::LeadsOutside);
    let failed = |errno| match errno {
        Errno::EXDEV | Errno::ENOSYS | Errno::EPERM => outside,
        errno => (Op::Create, Cause::Errno(errno as i32)),
    };
    let root = entry.operand.target_root().ok_or(outside)?;
    let mut path: PathBuf = entry.parent.target_path_in_operand().join(at.name);
    for _ in 0..=MOST_LINKS {
        let parent = parent_of(path.as_os_str()).to_owned();
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let directory = sys::at::open_beneath(root.as_fd(), parent.as_ref(), flags).map_err(failed)?;
        let name = component(path.as_os_str())?;
        let Some(content) = link_at(&directory, &name)? else { return Ok(Spot { directory, name }) };
        if content.as_bytes().starts_with(b"/") {
            return Err(outside);
        }
        path = PathBuf::from(parent).join(content);
    }
    Err(failed(Errno::ELOOP))
}

/// What a symbolic link holds; None where there is none.
fn link_at(directory: &OwnedFd, name: &OsStr) -> Step<Option<OsString>> {
    match sys::at::read_link(directory.as_fd(), name) {
        // The text of a link in /proc is not what it leads to: that may be a pipe, or have no name.
        Ok(_) if is_proc(directory) => Err((Op::Create, Cause::NotAFile)),
        Ok(content) => Ok(Some(content)),
        Err(Errno::EINVAL | Errno::ENOENT) => Ok(None),
        Err(errno) => Err((Op::Create, Cause::Errno(errno as i32))),
    }
}

fn is_proc(directory: &OwnedFd) -> bool {
    matches!(sys::space::file_system(directory.as_fd()), Ok((FileSystem::Proc, _)))
}

fn component(path: &OsStr) -> Step<OsString> {
    match last_component(path) {
        name if matches!(name.as_bytes(), b"" | b"." | b"..") => Err((Op::Create, Cause::IsDirectory)),
        _ if path.as_bytes().ends_with(b"/") => Err((Op::Create, Cause::Errno(libc::ENOTDIR))),
        name => Ok(name.to_owned()),
    }
}
