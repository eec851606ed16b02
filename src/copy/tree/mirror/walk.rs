//! One pass over one target and its sources.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys::attributes::Handle;
use crate::sys::cancel::Cancel;
use crate::sys::directory::Entries;
use crate::sys::stat::{self, Kind};
use crate::sys::{at, mounts};

use super::level::{Level, Open};
use super::{Root, Sync};
use crate::copy::events::{Event, Witness};
use crate::copy::options::{Dereference, Options};

/// So many directories of a path are open at once.
const OPEN_LEVELS: usize = 32;

/// What a walk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// to count what the sources lack, and see that all of them can be read
    Count,
    /// to tell of it
    Tell,
    /// to remove it
    Delete,
}

/// An entry of the target.
struct Met {
    name: OsString,
    is_directory: bool,
    /// which sources have such a name, and whether that is a directory or may lead to one
    there: Vec<(usize, Kind)>,
}

/// A pass that goes on.
pub(super) struct Walk<'a> {
    pass: Pass,
    roots: &'a [Root<'a>],
    options: &'a Options,
    cancel: &'a Cancel,
    witness: &'a dyn Witness,
    sync: &'a Sync<'a>,
    levels: Vec<Level>,
    /// of the entry at hand, below the root
    relative: PathBuf,
    /// which root
    at: usize,
    count: u64,
    errors: Vec<Error>,
}

impl<'a> Walk<'a> {
    /// A walk over any of `roots`.
    pub(super) fn new(
        pass: Pass,
        roots: &'a [Root<'a>],
        options: &'a Options,
        cancel: &'a Cancel,
        witness: &'a dyn Witness,
        sync: &'a Sync<'a>,
    ) -> Walk<'a> {
        let (levels, relative) = (Vec::new(), PathBuf::new());
        Walk {
            pass,
            roots,
            options,
            cancel,
            witness,
            sync,
            levels,
            relative,
            at: 0,
            count: 0,
            errors: vec![],
        }
    }

    /// The walk over the root `at`: how many the sources lack or were removed, and what failed.
    pub(super) fn run(mut self, at: usize) -> (u64, Vec<Error>) {
        self.at = at;
        let root = &self.roots[at];
        match self.open_root(root) {
            Ok(level) => self.levels.push(level),
            Err(errno) => self.source_failed(Op::Open, errno),
        }
        while !self.levels.is_empty() && !self.cancel.is_raised() {
            self.step();
        }
        (self.count, self.errors)
    }

    fn open_root(&self, root: &Root<'_>) -> Result<Level, Errno> {
        let clone =
            |fd: &OwnedFd| fd.try_clone().map_err(|error| Errno::from_raw(crate::error::errno_of(&error)));
        let sources = root.pairs.iter().map(|pair| clone(&pair.source)).collect::<Result<_, _>>()?;
        Level::begin(Open { sources, target: clone(&root.pairs[0].target)? })
    }

    /// The target's path of what is at hand.
    fn path(&self) -> PathBuf {
        self.roots[self.at].pairs[0].target_path.join(&self.relative)
    }

    fn source_failed(&mut self, op: Op, errno: Errno) {
        let path = self.roots[self.at].pairs[0].source_path.join(&self.relative);
        self.errors.push(Error::new(op, path, Cause::Errno(errno as i32)));
    }

    /// Not told by the pass that only counts: the next one meets it again.
    fn target_failed(&mut self, op: Op, cause: Cause) {
        if self.pass != Pass::Count {
            let path = self.path();
            self.errors.push(Error::new(op, path, cause));
        }
    }

    /// The next entry of the deepest directory.
    fn step(&mut self) {
        let Some(level) = self.levels.last_mut() else { return };
        let open = level.open.as_ref().expect("the deepest level is open");
        let (name, kind) = match level.entries.next(open.target.as_fd()) {
            Ok(Some(entry)) => (entry.name.to_owned(), entry.kind),
            Ok(None) => return self.end(),
            Err(errno) => {
                level.stays = true;
                self.target_failed(Op::List, Cause::Errno(errno as i32));
                return self.leave();
            }
        };
        let kind = kind.map_or_else(|| stat::at(open.target.as_fd(), &name, false).map(|stat| stat.kind), Ok);
        self.relative.push(&name);
        let depth = self.levels.len();
        match kind {
            Ok(kind) => self.meet(name, kind == Kind::Directory),
            // It is gone already.
            Err(Errno::ENOENT) => {}
            Err(errno) => self.keep(Op::Stat, errno),
        }
        if self.levels.len() == depth {
            self.relative.pop();
        }
    }

    fn keep(&mut self, op: Op, errno: Errno) {
        self.stay();
        self.target_failed(op, Cause::Errno(errno as i32));
    }

    fn stay(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.stays = true;
        }
    }

    fn meet(&mut self, name: OsString, is_directory: bool) {
        let level = self.levels.last().expect("there is a level");
        // What wasn't copied isn't looked after.
        if !self.options.filter.takes(&self.relative, is_directory) {
            return self.stay();
        }
        let removing = level.removing;
        let must_be_there = self.pass != Pass::Delete || removing || is_directory;
        if !must_be_there {
            return;
        }
        let open = level.open.as_ref().expect("the deepest level is open");
        let mut there = Vec::new();
        let mut failed = Vec::new();
        for (at, source) in open.sources.iter().enumerate() {
            match stat::at(source.as_fd(), &name, false) {
                Ok(stat) => there.push((at, stat.kind)),
                Err(Errno::ENOENT) => {}
                Err(errno) => failed.push(errno),
            }
        }
        if !failed.is_empty() {
            self.stay();
            return failed.into_iter().for_each(|errno| self.source_failed(Op::Stat, errno));
        }
        let met = Met { name, is_directory, there };
        match (removing, is_directory, met.there.is_empty()) {
            (true, _, true) => self.remove(&met),
            (true, _, false) => {}
            (false, true, _) => self.enter(&met),
            (false, false, false) => {}
            (false, false, true) if self.is_root(&met.name) => self.stay(),
            (false, false, true) => self.lacking(),
        }
    }

    /// What is at hand is to go, or would be.
    fn lacking(&mut self) {
        self.count += 1;
        if self.pass == Pass::Tell {
            self.witness.tell(&Event::Deleted(&self.path()));
        }
    }

    /// Whether another copy made it, so that these sources needn't have it.
    fn is_root(&self, name: &OsStr) -> bool {
        if self.roots.len() == 1 {
            return false;
        }
        let level = self.levels.last().expect("there is a level");
        let open = level.open.as_ref().expect("the deepest level is open");
        // What can't be looked at stays.
        let Ok(stat) = stat::at(open.target.as_fd(), name, false) else { return true };
        self.roots.iter().any(|root| root.target == stat.id())
    }

    /// Removes what no source has; of a directory all has gone before that is to go.
    fn remove(&mut self, met: &Met) {
        if self.is_root(&met.name) {
            return;
        }
        let level = self.levels.last_mut().expect("there is a level");
        let target = level.open.as_ref().expect("the deepest level is open").target.as_fd();
        if self.options.keep.timestamps && level.times.is_none() {
            level.times = stat::of(target).ok().map(|stat| (stat.accessed, stat.modified));
        }
        let result = match met.is_directory {
            true => at::remove_directory(target, &met.name),
            false => at::remove_file(target, &met.name),
        };
        match result {
            Ok(()) => {
                level.removed = true;
                self.count += 1;
                self.witness.tell(&Event::Deleted(&self.path()));
            }
            Err(Errno::ENOENT) => {}
            // It holds what stays, and that was told where it is a failure.
            Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::EBUSY) if met.is_directory => {}
            Err(errno) => self.target_failed(Op::Delete, Cause::Errno(errno as i32)),
        }
    }

    /// Goes down into a directory of the target.
    fn enter(&mut self, met: &Met) {
        let level = self.levels.last().expect("there is a level");
        let open = level.open.as_ref().expect("the deepest level is open");
        let target = match mounts::open_directory(open.target.as_fd(), &met.name) {
            Ok(target) => target,
            // It is another file by now.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return self.stay(),
            Err(Errno::EXDEV) => return self.keep(Op::Delete, Errno::EXDEV),
            Err(errno) => return self.keep(Op::List, errno),
        };
        let id = match stat::of(target.as_fd()) {
            Ok(stat) if stat.device == self.roots[self.at].target.device => stat.id(),
            Ok(_) => return self.keep(Op::Delete, Errno::EXDEV),
            Err(errno) => return self.keep(Op::Stat, errno),
        };
        let follow = self.options.dereference == Dereference::Always;
        let mut sources = Vec::new();
        let mut pinned = false;
        for (at, kind) in &met.there {
            let source = open.sources[*at].as_fd();
            if *kind != Kind::Directory && !(follow && *kind == Kind::Symlink) {
                continue;
            }
            // A link leads to where `..` is another directory.
            pinned |= *kind == Kind::Symlink;
            let source = match at::open_directory(source, &met.name, follow) {
                Ok(source) => source,
                Err(Errno::ENOTDIR | Errno::ENOENT | Errno::ELOOP) => continue,
                Err(errno) => {
                    self.stay();
                    return self.source_failed(Op::List, errno);
                }
            };
            // What lies on another file system was not copied: there is nothing to compare with.
            if self.options.one_file_system {
                match stat::of(source.as_fd()) {
                    Ok(stat) if stat.device == level.sources[*at].device => {}
                    Ok(_) => return self.stay(),
                    Err(errno) => {
                        self.stay();
                        return self.source_failed(Op::Stat, errno);
                    }
                }
            }
            sources.push(source);
        }
        pinned |= sources.len() != open.sources.len();
        let of_other_roots =
            self.roots.iter().enumerate().filter(|(at, root)| *at != self.at && root.target == id);
        for pair in of_other_roots.flat_map(|(_, root)| &root.pairs) {
            pinned = true;
            match pair.source.try_clone() {
                Ok(source) => sources.push(source),
                Err(error) => {
                    self.stay();
                    return self.source_failed(Op::Open, Errno::from_raw(crate::error::errno_of(&error)));
                }
            }
        }
        // There is another kind of file in the source: the copy has dealt with it.
        if sources.is_empty() && !met.there.is_empty() {
            return;
        }
        let level = match Level::of(Open { sources, target }, id) {
            Ok(level) => level,
            Err(errno) => {
                self.stay();
                return self.source_failed(Op::Stat, errno);
            }
        };
        self.push(level, pinned);
    }

    fn push(&mut self, level: Level, pinned: bool) {
        let depth = self.levels.len();
        self.levels.last_mut().expect("there is a level").pinned = pinned;
        if let Some(high) = depth.checked_sub(OPEN_LEVELS).map(|at| &mut self.levels[at])
            && !high.pinned
        {
            high.entries.suspend();
            high.open = None;
        }
        self.levels.push(level);
    }

    /// All entries of the deepest directory were met.
    fn end(&mut self) {
        let level = self.levels.last_mut().expect("there is a level");
        if self.pass != Pass::Delete || level.removing {
            return self.leave();
        }
        level.removing = true;
        level.entries = Entries::new();
        let open = level.open.as_mut().expect("the deepest level is open");
        // Opened anew, as ext4 does not go back to the beginning where a new descriptor was first
        // put at the end of a directory, by lseek(2), and read there.
        match at::open_directory(open.target.as_fd(), OsStr::new("."), false) {
            Ok(target) => open.target = target,
            Err(errno) => {
                self.target_failed(Op::List, Cause::Errno(errno as i32));
                self.leave();
            }
        }
    }

    /// Goes up from the deepest directory.
    fn leave(&mut self) {
        let below = self.levels.pop().expect("there is a level");
        if let (Some((accessed, modified)), Some(open)) = (below.times, &below.open)
            && let Err(errno) = Handle::File(open.target.as_fd()).set_times(accessed, modified)
        {
            self.target_failed(Op::SetTimes, Cause::Errno(errno as i32));
        }
        // What goes itself need not last.
        if (below.removed && (below.stays || !below.sources.is_empty()))
            && let Some(open) = &below.open
            && let Err((op, cause)) = (self.sync)(open.target.as_fd(), below.target)
        {
            self.target_failed(op, cause);
        }
        if self.levels.is_empty() {
            return;
        }
        if below.sources.is_empty() {
            match (below.stays, self.pass) {
                (true, _) => self.stay(),
                // The level above removes it.
                (false, Pass::Delete) => {}
                (false, _) => self.lacking(),
            }
        }
        let level = self.levels.last_mut().expect("there is a level");
        let result = if level.open.is_none() { level.find_again(&below) } else { Ok(()) };
        if let Err(cause) = result {
            // Nobody knows where this would go on.
            let path = self.path();
            self.errors.push(Error::new(Op::Open, path, cause));
            self.levels.clear();
        }
        self.relative.pop();
    }
}
