//! A directory on the way of a walk.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;

use crate::error::Cause;
use crate::sys::at;
use crate::sys::directory::Entries;
use crate::sys::stat::{self, Id, Time};

/// A directory of the target on the way, with the directories of the sources that it copies; with
/// none of them it is to go.
pub(super) struct Level {
    /// None while there are too many of them
    pub(super) open: Option<Open>,
    /// which directories they are
    pub(super) sources: Vec<Id>,
    pub(super) target: Id,
    /// `..` does not lead back to it from the level below
    pub(super) pinned: bool,
    pub(super) entries: Entries,
    /// directories below are done; with `Pass::Delete`, now what is in this one is removed. In
    /// between it doesn't change, so its entries are found where they were.
    pub(super) removing: bool,
    /// something in it stays
    pub(super) stays: bool,
    /// the copy has given it the source's times, which removing things from it must not change
    pub(super) times: Option<(Time, Time)>,
    /// something has gone from it
    pub(super) removed: bool,
}

pub(super) struct Open {
    pub(super) sources: Vec<OwnedFd>,
    pub(super) target: OwnedFd,
}

impl Level {
    /// The root, from its beginning on.
    pub(super) fn begin(open: Open) -> Result<Level, Errno> {
        let target = stat::of(open.target.as_fd())?.id();
        let mut level = Level::of(open, target)?;
        // From the beginning, wherever the descriptor stands.
        let open = level.open.as_ref().expect("it is open");
        level.entries.resume(open.target.as_fd())?;
        Ok(level)
    }

    /// What is `open`, of which `target` is known.
    pub(super) fn of(open: Open, target: Id) -> Result<Level, Errno> {
        let id = |fd: &OwnedFd| stat::of(fd.as_fd()).map(|stat| stat.id());
        let sources = open.sources.iter().map(id).collect::<Result<_, _>>()?;
        let entries = Entries::new();
        Ok(Level {
            open: Some(open),
            sources,
            target,
            pinned: false,
            entries,
            removing: false,
            stays: false,
            times: None,
            removed: false,
        })
    }

    /// Opens it again, from the level `below`.
    pub(super) fn find_again(&mut self, below: &Level) -> Result<(), Cause> {
        let below = below.open.as_ref().expect("the deepest level is open");
        let up = |fd: &OwnedFd, id: Id| {
            let errno = |errno: Errno| Cause::Errno(errno as i32);
            let up = at::open_directory(fd.as_fd(), Path::new("..").as_os_str(), false).map_err(errno)?;
            let found = stat::of(up.as_fd()).map_err(errno)?.id();
            if found == id { Ok(up) } else { Err(Cause::Moved) }
        };
        let target = up(&below.target, self.target)?;
        let sources = below.sources.iter().zip(&self.sources);
        let sources = sources.map(|(fd, id)| up(fd, *id)).collect::<Result<_, _>>()?;
        self.entries.resume(target.as_fd()).map_err(|errno| Cause::Errno(errno as i32))?;
        self.open = Some(Open { sources, target });
        Ok(())
    }
}
