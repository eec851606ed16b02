//! How much there is to copy, for the progress line's total: a walk of the sources that runs ahead
//! of the copy and decides nothing. It ignores whatever it can't read, and is bounded: of a tree
//! too large or too deep the total is not known, only what was found of it.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::at;
use crate::sys::directory::Entries;
use crate::sys::stat::{self, Id, Kind, Stat};

use crate::copy::options::{Make, Options};
use crate::copy::paths::Name;

/// So many entries are looked at.
const MOST_ENTRIES: u64 = 4 << 20;
/// So many directories in each other, which are all open.
const MOST_LEVELS: usize = 128;
/// So many files with several names are remembered.
const MOST_LINKS: usize = 64 << 10;
/// What was found is told each so many entries.
const TOLD_EACH: u64 = 1024;

/// Walks `sources` and adds up what `options` would copy of them: `found` is given files and bytes
/// to add to what it was given before. A file is anything but a directory; its bytes are counted
/// where it is a regular one and they will be copied. True: that was all of it. False: there is
/// more, or `stop` was raised.
pub(in crate::copy) fn survey(
    sources: &[Name],
    options: &Options,
    stop: &AtomicBool,
    found: &mut dyn FnMut(u64, u64),
) -> bool {
    let links = HashSet::new();
    let mut survey =
        Survey { options, stop, found, links, entries: MOST_ENTRIES, files: 0, bytes: 0, is_all: true };
    for source in sources {
        match source {
            Name::Path(path) => survey.operand(path.as_os_str()),
            // Nobody knows how much comes from there.
            Name::Standard => survey.is_all = false,
        }
    }
    survey.tell();
    survey.is_all
}

struct Survey<'a> {
    options: &'a Options,
    stop: &'a AtomicBool,
    found: &'a mut dyn FnMut(u64, u64),
    /// of files with several names, those that were met
    links: HashSet<Id>,
    /// how many more may be looked at
    entries: u64,
    /// found and not told yet
    files: u64,
    bytes: u64,
    is_all: bool,
}

/// A directory on the way.
struct Level {
    directory: OwnedFd,
    id: Id,
    entries: Entries,
}

impl Survey<'_> {
    fn operand(&mut self, path: &OsStr) {
        let follow = self.options.dereference.follows(true);
        let Ok(stat) = stat::at(at::WORKING_DIRECTORY, path, follow) else { return };
        if stat.kind != Kind::Directory {
            self.count(&stat);
        } else if self.options.recursive
            && let Some(level) = open(at::WORKING_DIRECTORY, path, follow)
        {
            self.tree(level);
        }
    }

    /// All below one directory.
    fn tree(&mut self, root: Level) {
        let device = root.id.device;
        // Of the entry at hand, below the operand.
        let mut path = PathBuf::new();
        let mut levels = vec![root];
        while let Some(level) = levels.last_mut() {
            if self.entries == 0 || self.stop.load(Ordering::Relaxed) {
                self.is_all = false;
                return;
            }
            let entry = level.entries.next(level.directory.as_fd());
            let Ok(Some(entry)) = entry else {
                levels.pop();
                path.pop();
                continue;
            };
            self.entries -= 1;
            if self.entries.is_multiple_of(TOLD_EACH) {
                self.tell();
            }
            path.push(entry.name);
            let below = self.entry(level.directory.as_fd(), entry.name, entry.kind, &path);
            let below = below.filter(|below| !self.options.one_file_system || below.id.device == device);
            // The copy enters no directory that it is in.
            let below = below.filter(|below| levels.iter().all(|level| level.id != below.id));
            match below {
                Some(below) if levels.len() < MOST_LEVELS => levels.push(below),
                Some(_) => {
                    self.is_all = false;
                    path.pop();
                }
                None => drop(path.pop()),
            }
        }
    }

    /// Counts a file, or opens a directory to go on in.
    fn entry(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        kind: Option<Kind>,
        path: &Path,
    ) -> Option<Level> {
        let follow = self.options.dereference.follows(false);
        let is_known = kind.is_some_and(|kind| kind != Kind::Symlink || !follow);
        let stat = match kind {
            // Nothing more is to be known of these.
            Some(kind) if is_known && kind != Kind::Regular => None,
            _ => Some(stat::at(directory, name, follow).ok()?),
        };
        let kind = stat.map(|stat| stat.kind).or(kind)?;
        if !self.options.filter.takes(path, kind == Kind::Directory) {
            return None;
        }
        match (kind, stat) {
            (Kind::Directory, _) => return open(directory, name, follow),
            (_, Some(stat)) => self.count(&stat),
            (_, None) => self.files += 1,
        }
        None
    }

    fn count(&mut self, stat: &Stat) {
        let moves = self.options.make == Make::Copies && !self.options.skip_data;
        // The second name of a file becomes one more name of its copy.
        if self.options.keep.links && stat.links > 1 {
            if self.links.len() == MOST_LINKS {
                self.is_all = false;
            } else if !self.links.insert(stat.id()) {
                self.files += 1;
                return;
            }
        }
        self.files += 1;
        if moves && stat.kind == Kind::Regular {
            self.bytes += stat.size;
        }
    }

    fn tell(&mut self) {
        if (self.files, self.bytes) != (0, 0) {
            (self.found)(self.files, self.bytes);
        }
        (self.files, self.bytes) = (0, 0);
    }
}

fn open(directory: BorrowedFd<'_>, name: &OsStr, follow: bool) -> Option<Level> {
    let directory = at::open_directory(directory, name, follow).ok()?;
    let id = stat::of(directory.as_fd()).ok()?.id();
    Some(Level { directory, id, entries: Entries::new() })
}
