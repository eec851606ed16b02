//! Names for what has no name of its own yet, and what a killed copy has left under such names.
//!
//! A file under a temporary name is locked (flock(2)) for as long as its copy goes on; the kernel
//! gives the lock up with the process. What can be locked is nobody's any more. Links and nodes have
//! no lock: they stand under such a name for a moment only, and whoever makes one makes it again
//! where it is gone.
//!
//! Partial files that a journal knows by name begin with `.highwater-part-` and are not in this
//! family: nothing here ever removes them.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::sys;
use crate::sys::attributes::is_root;
use crate::sys::directory::Entries;
use crate::sys::stat::{Id, Kind, Stat};

/// What a temporary name begins with; sixteen hexadecimal digits follow.
const PREFIX: &str = ".highwater-tmp-";
const DIGITS: usize = 16;

/// A name that nobody is likely to have; where somebody has it, another one.
pub(in crate::copy) fn fresh() -> OsString {
    // The hasher's keys are random, and others each time.
    let random = RandomState::new().hash_one(std::process::id());
    format!("{PREFIX}{random:016x}").into()
}

/// Whether `name` is one that [`fresh`] gives.
fn is_temporary(name: &OsStr) -> bool {
    name.as_bytes().strip_prefix(PREFIX.as_bytes()).is_some_and(|digits| {
        digits.len() == DIGITS && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// A new file in `directory` under a temporary name, locked.
pub(in crate::copy) fn create(directory: BorrowedFd<'_>, mode: u32) -> Result<(OwnedFd, OsString), Errno> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
    loop {
        let name = fresh();
        let file = match sys::at::open(directory, &name, flags, mode) {
            Err(Errno::EEXIST) => continue,
            opened => opened?,
        };
        let is_ours = lock(&file);
        // Somebody cleaned up between the two calls.
        if is_ours && sys::stat::of(file.as_fd())?.links > 0 {
            return Ok((file, name));
        }
    }
}

/// Gives an unnamed file a temporary name beside `path` in `directory`, and locks it; the new path.
pub(in crate::copy) fn link(
    file: &OwnedFd,
    directory: BorrowedFd<'_>,
    path: &OsStr,
) -> Result<OsString, Errno> {
    lock(file);
    loop {
        let temporary = crate::copy::names::same::beside(path, &fresh());
        match sys::temporary::name(file.as_fd(), directory, &temporary) {
            Err(Errno::EEXIST) => continue,
            named => return named.map(|()| temporary),
        }
    }
}

/// Whether nobody else has it locked. Where there are no locks nobody can take it for a leftover.
fn lock(file: &OwnedFd) -> bool {
    sys::lock::try_exclusive(file.as_fd()).unwrap_or(true)
}

// ---- leftovers ----

/// So many directories are remembered as looked through. One that is forgotten is looked through once
/// more where it is written to again.
const REMEMBERED: usize = 64;

/// Removes what killed copies have left in the directories that a run writes to.
#[derive(Default)]
pub(in crate::copy) struct Leftovers {
    looked_through: Mutex<VecDeque<Id>>,
}

impl Leftovers {
    /// Looks through a directory, unless that was just done, and tells of each name that goes. Whatever can't be
    /// looked at or removed stays, for another run to remove: it harms no copy.
    pub fn clean(&self, directory: BorrowedFd<'_>, removed: &mut dyn FnMut(&OsStr)) {
        let Ok(stat) = sys::stat::of(directory) else { return };
        {
            let mut looked_through = self.looked_through.lock().unwrap_or_else(PoisonError::into_inner);
            if looked_through.contains(&stat.id()) {
                return;
            }
            looked_through.truncate(REMEMBERED - 1);
            looked_through.push_front(stat.id());
        }
        let Ok(directory) = sys::at::open_directory(directory, OsStr::new("."), false) else { return };
        let mut entries = Entries::new();
        while let Ok(Some(entry)) = entries.next(directory.as_fd()) {
            if is_temporary(entry.name) && remove(directory.as_fd(), entry.name) {
                removed(entry.name);
            }
        }
    }
}

/// Removes a leftover; false where it isn't one, or can't be removed.
fn remove(directory: BorrowedFd<'_>, name: &OsStr) -> bool {
    let Ok(stat) = sys::stat::at(directory, name, false) else { return false };
    // What root copies may belong to others already.
    let is_ours = is_root() || stat.owner == nix::unistd::geteuid().as_raw();
    if !is_ours || stat.kind == Kind::Directory {
        return false;
    }
    // Held until the name is gone: who is about to lock it sees that then.
    let _lock = match stat.kind {
        Kind::Regular => match locked(directory, name, &stat) {
            Some(file) => Some(file),
            None => return false,
        },
        _ => None,
    };
    sys::at::remove_file(directory, name).is_ok()
}

/// The file, open and locked, where nobody else uses it.
fn locked(directory: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> Option<OwnedFd> {
    let open = |flags| sys::at::open(directory, name, flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK, 0);
    let file = open(OFlag::O_RDONLY).or_else(|_| open(OFlag::O_WRONLY)).ok()?;
    let is_free = sys::lock::try_exclusive(file.as_fd()) == Ok(true);
    let is_it = || sys::stat::of(file.as_fd()).is_ok_and(|now| now.id() == stat.id() && now.links > 0);
    let has_it = || sys::stat::at(directory, name, false).is_ok_and(|now| now.id() == stat.id());
    (is_free && is_it() && has_it()).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn only_names_of_this_family_are_recognised() {
        assert!(is_temporary(&fresh()));
        assert_ne!(fresh(), fresh());
        for name in [
            ".highwater-part-0123456789abcdef",
            ".highwater-tmp-0123456789abcde",
            ".highwater-tmp-0123456789abcdef0",
            ".highwater-tmp-0123456789abcdeF",
            ".highwater-tmp-notes for the boss",
            "highwater-tmp-0123456789abcdef",
            ".highwater-tmp-",
        ] {
            assert!(!is_temporary(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn what_nobody_uses_any_more_goes_and_the_rest_stays() {
        let place = tempfile::tempdir().unwrap();
        let open = File::open(place.path()).unwrap();
        let (used, used_name) = create(open.as_fd(), 0o600).unwrap();
        let (left, left_name) = create(open.as_fd(), 0o400).unwrap();
        drop(left);
        let others = [".highwater-part-0123456789abcdef", ".highwater-tmp-mine", "file"];
        others.iter().for_each(|name| drop(File::create(place.path().join(name)).unwrap()));
        let link = fresh();
        std::os::unix::fs::symlink("nowhere", place.path().join(&link)).unwrap();
        let directory = fresh();
        fs::create_dir(place.path().join(&directory)).unwrap();

        let leftovers = Leftovers::default();
        let mut removed = Vec::new();
        leftovers.clean(open.as_fd(), &mut |name| removed.push(name.to_owned()));
        removed.sort();
        let mut expected = vec![left_name, link];
        expected.sort();
        assert_eq!(removed, expected);
        let mut names: Vec<_> =
            fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let mut expected: Vec<OsString> = others.iter().map(Into::into).collect();
        expected.extend([used_name, directory]);
        expected.sort();
        assert_eq!(names, expected);

        drop(used);
        leftovers
            .clean(open.as_fd(), &mut |name| panic!("{name:?} in a directory that was just looked through"));
    }
}
