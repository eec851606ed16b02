//! SOURCE... and TARGET: what each source becomes, and what operands may not do to each other.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::{Id, Kind, Stat};

use crate::copy::events::Warning;
use crate::copy::names::backup;
use crate::copy::names::entry::{At, Entry};
use crate::copy::names::same::{is_one_name, last_component};
use crate::copy::options::{Options, TargetIs};
use crate::copy::tree::directory::{Directory, Operand, Place};
use crate::copy::work::run::Run;

/// Where the sources go.
pub(in crate::copy) struct Destination {
    /// what targets' names are relative to
    pub base: Arc<Directory>,
    /// the sources go into it; else TARGET is the one source's own new name
    pub is_directory: bool,
    /// TARGET is not there, or is a symbolic link to nothing
    pub is_missing: bool,
    shown: PathBuf,
}

/// Finds out what TARGET is. It may be `recorded` whether it was a directory to copy into when the
/// copy was begun: then it is one now, or is not, whatever has been made there since.
pub(in crate::copy) fn destination(
    target: &Path,
    sources: usize,
    options: &Options,
    recorded: Option<bool>,
) -> Result<Destination, Error> {
    let itself = |is_missing| Destination {
        base: Directory::base(Place::Working, PathBuf::new()),
        is_directory: false,
        is_missing,
        shown: target.to_owned(),
    };
    if options.target_is == TargetIs::Name || recorded == Some(false) {
        let found = sys::stat::at(sys::at::WORKING_DIRECTORY, target.as_os_str(), true);
        return Ok(itself(matches!(found, Err(Errno::ENOENT))));
    }
    let op = match options.target_is {
        TargetIs::Directory => Op::TargetDirectory,
        _ => Op::Target,
    };
    match sys::at::open_place(sys::at::WORKING_DIRECTORY, target.as_os_str(), true) {
        Ok(place) => Ok(Destination {
            base: Directory::base(Place::Handle(Arc::new(place)), target.to_owned()),
            is_directory: true,
            is_missing: false,
            shown: target.to_owned(),
        }),
        Err(errno) if options.target_is == TargetIs::Directory || sources > 1 => {
            Err(Error::new(op, target, Cause::Errno(errno as i32)))
        }
        Err(errno) => Ok(itself(errno == Errno::ENOENT)),
    }
}

impl Destination {
    /// What a source becomes: its operand, and the name of the target relative to the base.
    pub fn operand(&self, index: usize, source: &Path, options: &Options) -> (Arc<Operand>, OsString) {
        let name = match self.is_directory {
            false => self.own_name(source, options),
            // Copies of `x/..` go right into TARGET, not beside it.
            true => match last_component(source.as_os_str()) {
                name if name == ".." || name.is_empty() => OsStr::new(".").to_owned(),
                name => name.to_owned(),
            },
        };
        let shown = match self.is_directory {
            true if name == "." && !matches!(last_component(source.as_os_str()).as_encoded_bytes(), b".") => {
                self.shown.join("")
            }
            true => self.shown.join(&name),
            false => PathBuf::from(&name),
        };
        let operand = Operand { index, source: source.to_owned(), target: shown, root: OnceLock::new() };
        (Arc::new(operand), name)
    }

    /// TARGET as typed. Copying a regular file to its own name with `--force` and `--backup` makes
    /// the backup, as cp has it.
    fn own_name(&self, source: &Path, options: &Options) -> OsString {
        let typed = self.shown.as_os_str();
        if let (Some(backup), true, false) = (&options.backup, options.force, self.is_missing)
            && source == self.shown
        {
            let at = At { directory: sys::at::WORKING_DIRECTORY, name: typed };
            let is_regular = at.stat(true).is_ok_and(|stat| stat.kind == Kind::Regular);
            if let (true, Ok(name)) = (is_regular, backup::path_for(at, backup)) {
                return name;
            }
        }
        typed.to_owned()
    }
}

/// What the operands were and became, where there are several.
#[derive(Default)]
pub(in crate::copy) struct Operands {
    several: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// the operands that each file is, by their index and name
    sources: HashMap<Id, Vec<(usize, OsString)>>,
    made: HashSet<(OsString, Id)>,
    directories: HashMap<Id, (usize, OsString)>,
}

impl Operands {
    pub fn new(sources: usize) -> Operands {
        Operands { several: sources > 1, ..Operands::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the same name was an operand before. The same operand may be asked about again, by the
    /// worker that it was handed to.
    pub fn is_source_twice(&self, entry: &Entry<'_>, stat: &Stat, options: &Options) -> bool {
        if !self.several {
            return false;
        }
        let mut state = self.lock();
        let index = entry.operand.index;
        let names = state.sources.entry(stat.id()).or_default();
        let at = |name| At { directory: sys::at::WORKING_DIRECTORY, name };
        let twice = stat.kind != Kind::Directory
            && options.backup.is_none()
            && names.iter().any(|(other, name)| *other != index && is_one_name(at(name), entry.source()));
        if !twice && names.iter().all(|(other, _)| *other != index) {
            names.push((index, entry.source_name.to_owned()));
        }
        twice
    }

    /// Remembers what an operand has become.
    pub fn made(&self, entry: &Entry<'_>) {
        if let (true, Some(at)) = (self.several, entry.target())
            && let Ok(stat) = at.stat(false)
        {
            self.lock().made.insert((entry.target_name.to_owned(), stat.id()));
        }
    }

    /// Whether this target was made from another operand.
    pub fn is_made(&self, entry: &Entry<'_>, id: Id) -> bool {
        self.several && self.lock().made.contains(&(entry.target_name.to_owned(), id))
    }

    /// Whether it is a symbolic link that was made from another operand.
    pub fn is_made_link(&self, entry: &Entry<'_>) -> bool {
        let stat = match entry.target() {
            Some(at) if self.several => at.stat(false),
            _ => return false,
        };
        stat.is_ok_and(|stat| stat.kind == Kind::Symlink && self.is_made(entry, stat.id()))
    }

    /// Whether a directory of the source may be copied: not where it holds the target, and not
    /// again under another name. False where it was copied already.
    pub fn check_directory(&self, run: &Run<'_>, entry: &Entry<'_>, stat: &Stat) -> Result<bool, Error> {
        let operand = entry.operand;
        if operand.root.get().is_some_and(|root| root.target == Some(stat.id())) {
            let error = Error::new(Op::Open, &operand.source, Cause::IntoItself);
            return Err(error.with(&operand.target));
        }
        if !self.several {
            return Ok(true);
        }
        let earlier = {
            let mut state = self.lock();
            let earlier = state.directories.get(&stat.id()).filter(|(index, _)| *index < operand.index);
            let earlier = earlier.map(|(_, name)| name.clone());
            if entry.is_operand() && earlier.is_none() {
                state.directories.insert(stat.id(), (operand.index, entry.target_name.to_owned()));
            }
            earlier
        };
        let Some(earlier) = earlier else { return Ok(true) };
        if entry.is_operand() && earlier == entry.target_name {
            run.warn(Warning::SourceTwice { source: operand.source.clone(), is_directory: true });
            return Ok(false);
        }
        if entry.follows(run.options) {
            return Ok(true);
        }
        let base = base_of(entry.parent);
        Err(entry.target_error(Op::MakeLink, Cause::HardLinkToDirectory).with(base.target_path_of(&earlier)))
    }
}

fn base_of(directory: &Arc<Directory>) -> &Arc<Directory> {
    let mut base = directory;
    while let Some(within) = &base.within {
        base = &within.parent;
    }
    base
}

/// Whether `directory`, a place that operands go to, still is what it was opened as.
pub(in crate::copy) fn place_of(directory: &Arc<Directory>) -> Place {
    directory.places().and_then(|places| places.target).unwrap_or(Place::Working)
}
