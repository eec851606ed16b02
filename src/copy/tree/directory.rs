//! A directory of the source and its counterpart in the target, for as long as something in it is
//! still to be done.
//!
//! What belongs to a directory (times, mode) is set after all that is in it: each piece of work in
//! it holds a share, and whoever gives up the last one finishes it. A directory may be closed while
//! work goes on far below it, so that depth costs no descriptors; it is opened again through the
//! `..` of a directory below it, and must then still be the same one.

use std::ffi::{OsStr, OsString};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::{Id, Stat};

use crate::copy::metadata::{self, Handle, Making};

/// One of the sources as typed, and where it goes.
pub(in crate::copy) struct Operand {
    /// counted from 0
    pub index: usize,
    /// as typed
    pub source: PathBuf,
    /// likewise, or below the directory that was
    pub target: PathBuf,
    /// where it is a directory, both sides of it once they are open
    pub root: OnceLock<Root>,
}

/// The uppermost directory of an operand.
pub(in crate::copy) struct Root {
    pub places: Places,
    /// of the target; None where nothing is to be touched
    pub target: Option<Id>,
}

impl Operand {
    /// What it becomes, where that is a directory that is there.
    pub fn target_root(&self) -> Option<&Place> {
        self.root.get()?.places.target.as_ref()
    }
}

/// Of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::copy) enum Side {
    Source,
    Target,
}

/// Both sides of a directory, open. The target has none where nothing is to be touched.
#[derive(Clone)]
pub(in crate::copy) struct Places {
    pub source: Place,
    pub target: Option<Place>,
}

/// An open directory, or the working directory.
#[derive(Clone)]
pub(in crate::copy) enum Place {
    Working,
    Open(Arc<OwnedFd>),
    /// opened without the right to read it: names in it can be reached all the same
    Handle(Arc<OwnedFd>),
}

impl Place {
    /// Opens a directory to read it, or at least as a place for names where it may not be read.
    pub fn open(directory: BorrowedFd<'_>, name: &OsStr, follow: bool) -> Result<Place, Errno> {
        match sys::at::open_directory(directory, name, follow) {
            Err(Errno::EACCES) => {
                sys::at::open_place(directory, name, follow).map(|fd| Place::Handle(Arc::new(fd)))
            }
            opened => opened.map(|fd| Place::Open(Arc::new(fd))),
        }
    }
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Place::Working => sys::at::WORKING_DIRECTORY,
            Place::Open(fd) | Place::Handle(fd) => fd.as_fd(),
        }
    }
}

/// See the module.
pub(in crate::copy) struct Directory {
    /// None: the place where operands are, which is nobody's to finish
    pub within: Option<Within>,
    /// of the target: made by this copy
    pub is_new: bool,
    places: Mutex<Option<Places>>,
    shares: AtomicUsize,
    /// whether the target gives new files an ACL
    inherits: OnceLock<bool>,
    /// of a base: what targets' names are appended to; nothing is appended to what sources are
    shown: PathBuf,
}

/// What a directory is to the one above it.
pub(in crate::copy) struct Within {
    pub parent: Arc<Directory>,
    pub operand: Arc<Operand>,
    /// names in the parent; an operand's may be paths
    pub source_name: OsString,
    pub target_name: OsString,
    /// of the source
    pub stat: Stat,
    /// of the target, as it was found or made; None where nothing is to be touched
    pub target: Option<Stat>,
    /// how it was made, where it was
    pub making: Option<Making>,
}

impl Directory {
    /// Where operands are: sources below the working directory, targets below `target`.
    pub fn base(target: Place, shown: PathBuf) -> Arc<Directory> {
        let places = Places { source: Place::Working, target: Some(target) };
        Arc::new(Directory {
            within: None,
            is_new: false,
            places: Mutex::new(Some(places)),
            shares: AtomicUsize::new(1),
            inherits: OnceLock::new(),
            shown,
        })
    }

    /// A directory that holds a share of its parent and begins with one share of its own.
    pub fn new(within: Within, is_new: bool, places: Places) -> Arc<Directory> {
        within.parent.share();
        Arc::new(Directory {
            within: Some(within),
            is_new,
            places: Mutex::new(Some(places)),
            shares: AtomicUsize::new(1),
            inherits: OnceLock::new(),
            shown: PathBuf::new(),
        })
    }

    /// One more piece of work in it.
    pub fn share(&self) {
        self.shares.fetch_add(1, Ordering::Relaxed);
    }

    /// One less; true for the last one, which must finish the directory.
    pub fn give_up_share(&self) -> bool {
        self.shares.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether operands are in it.
    pub fn is_base(&self) -> bool {
        self.within.is_none()
    }

    /// Both sides, where they are open.
    pub fn places(&self) -> Option<Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes it as soon as nobody uses it.
    pub fn close(&self) {
        if !self.is_base() {
            *self.places.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Both sides, opened through `below`, a directory in it, where they are closed.
    pub fn reopen(&self, below: &Places) -> Result<Places, Error> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = &*places {
            return Ok(places.clone());
        }
        let within = self.within.as_ref().expect("a base is never closed");
        let source = above(&below.source, within.stat.id())
            .or_else(|_| self.open_anew(Side::Source))
            .map_err(|cause| Error::new(Op::List, self.source_path(), cause))?;
        let target = match (&below.target, &within.target) {
            (Some(below), Some(stat)) => {
                let opened = above(below, stat.id()).or_else(|_| self.open_anew(Side::Target));
                Some(opened.map_err(|cause| Error::new(Op::Open, self.target_path(), cause))?)
            }
            _ => None,
        };
        Ok(places.insert(Places { source, target }).clone())
    }

    /// What messages call the source.
    pub fn source_path(&self) -> PathBuf {
        let mut path = PathBuf::new();
        self.names().iter().rev().for_each(|within| path.push(&within.source_name));
        path
    }

    /// What messages call the target.
    pub fn target_path(&self) -> PathBuf {
        let names = self.names();
        let base = names.last().map_or(self, |top| &top.parent);
        let mut path = base.shown.clone();
        names.iter().rev().for_each(|within| path.push(&within.target_name));
        path
    }

    /// Below the operand; empty for its own directory.
    pub fn path_in_operand(&self) -> PathBuf {
        let mut path = PathBuf::new();
        self.names().iter().rev().skip(1).for_each(|within| path.push(&within.source_name));
        path
    }

    /// The target's, likewise.
    pub fn target_path_in_operand(&self) -> PathBuf {
        let mut path = PathBuf::new();
        self.names().iter().rev().skip(1).for_each(|within| path.push(&within.target_name));
        path
    }

    /// Whether what is made in the target may get an ACL from it. `places` are its own.
    pub fn inherits(&self, places: &Places) -> bool {
        *self.inherits.get_or_init(|| match &places.target {
            Some(Place::Open(fd)) => metadata::inherits(Handle::File(fd.as_fd())),
            Some(Place::Handle(fd)) => metadata::inherits(Handle::Path(fd.as_fd())),
            // Operands may be paths to anywhere.
            Some(Place::Working) | None => true,
        })
    }

    /// The same where it may be closed: what isn't known may be.
    pub fn inherits_or_may(&self) -> bool {
        match self.places() {
            Some(places) => self.inherits(&places),
            None => self.inherits.get().copied().unwrap_or(true),
        }
    }

    /// Opens one side from the operand's uppermost directory on, by names; it must still be the same.
    /// That takes as long as it is deep: where there is a directory below it that leads back, that is
    /// the way.
    pub fn open_anew(&self, side: Side) -> Result<Place, Cause> {
        let errno = |errno: Errno| Cause::Errno(errno as i32);
        let root = || self.within.as_ref()?.operand.root.get();
        let places = &root().ok_or(Cause::Moved)?.places;
        let (root, id) = match (side, &self.within) {
            (Side::Source, Some(within)) => (Some(&places.source), Some(within.stat.id())),
            (Side::Target, Some(within)) => (places.target.as_ref(), within.target.as_ref().map(Stat::id)),
            (_, None) => (None, None),
        };
        let mut place = root.ok_or(Cause::Moved)?.clone();
        let names = self.names();
        for below in names.iter().rev().skip(1) {
            let name = match side {
                Side::Source => &below.source_name,
                Side::Target => &below.target_name,
            };
            place = Place::open(place.as_fd(), name, false).map_err(errno)?;
        }
        match Some(sys::stat::of(place.as_fd()).map_err(errno)?.id()) == id {
            true => Ok(place),
            false => Err(Cause::Moved),
        }
    }

    /// The names that lead to the target from where operands go: the operand's, which may be a path,
    /// then one below the other.
    pub fn target_names(&self) -> Vec<OsString> {
        self.names().iter().rev().map(|within| within.target_name.clone()).collect()
    }

    /// What a target of this name in it is called.
    pub fn target_path_of(&self, name: &OsStr) -> PathBuf {
        self.target_path().join(name)
    }

    /// Itself and those above it, up to the operand.
    fn names(&self) -> Vec<&Within> {
        let mut names = Vec::new();
        let mut directory = self;
        while let Some(within) = &directory.within {
            names.push(within);
            directory = &within.parent;
        }
        names
    }

    /// Whether a directory with this `id` is the source of this one or of one above it.
    pub fn comes_from(&self, id: Id) -> bool {
        let mut directory = self;
        while let Some(within) = &directory.within {
            if within.stat.id() == id {
                return true;
            }
            directory = &within.parent;
        }
        false
    }
}

/// The directory that holds `place`, which must be the one that it was.
fn above(place: &Place, id: Id) -> Result<Place, Cause> {
    let errno = |errno: Errno| Cause::Errno(errno as i32);
    let opened = Place::open(place.as_fd(), OsStr::new(".."), false).map_err(errno)?;
    match sys::stat::of(opened.as_fd()).map_err(errno)?.id() == id {
        true => Ok(opened),
        false => Err(Cause::Moved),
    }
}

/// Thousands of directories may hold each other: they go one by one, not one inside the other's
/// going.
impl Drop for Directory {
    fn drop(&mut self) {
        let mut next = mem::take(&mut self.within).map(|within| within.parent);
        while let Some(mut directory) = next.and_then(Arc::into_inner) {
            next = mem::take(&mut directory.within).map(|within| within.parent);
        }
    }
}
