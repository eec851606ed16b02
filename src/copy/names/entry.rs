//! One name of the source: what is to be done about it, decided as GNU cp decides, then done.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::{Kind, Stat};

use crate::copy::content::file;
use crate::copy::events::{Event, Failed};
use crate::copy::names::decide::{self, Decided, Found};
use crate::copy::names::links::{self, Claimed, Home, settle};
use crate::copy::names::make;
use crate::copy::names::room;
use crate::copy::names::same::parent_of;
use crate::copy::options::{Make, Options};
use crate::copy::tree::directory::{Directory, Operand, Places};
use crate::copy::trust::resume::{self, Again};
use crate::copy::work::run::Run;
use crate::copy::work::worker::Worker;

/// A name in an open directory.
#[derive(Clone, Copy)]
pub(in crate::copy) struct At<'a> {
    pub directory: BorrowedFd<'a>,
    pub name: &'a OsStr,
}

impl At<'_> {
    /// fstatat(2)
    pub fn stat(&self, follow: bool) -> Result<Stat, Errno> {
        sys::stat::at(self.directory, self.name, follow)
    }
}

/// A name of the source and the one that it gets.
pub(in crate::copy) struct Entry<'a> {
    pub parent: &'a Arc<Directory>,
    pub places: &'a Places,
    pub operand: &'a Arc<Operand>,
    pub source_name: &'a OsStr,
    pub target_name: &'a OsStr,
    /// nothing is there (operands: nothing, or a symbolic link to nothing)
    pub is_new: bool,
    /// another worker may be given it
    pub may_move: bool,
    /// the source, where it was opened ahead
    pub opened: Cell<Option<OwnedFd>>,
    /// of that very file
    pub seen: Option<Stat>,
}

/// An entry on its way to another worker. It holds a share of its parent.
pub(in crate::copy) struct Waiting {
    pub parent: Arc<Directory>,
    pub places: Places,
    pub operand: Arc<Operand>,
    pub source_name: OsString,
    pub target_name: OsString,
    pub is_new: bool,
}

impl Waiting {
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            parent: &self.parent,
            places: &self.places,
            operand: &self.operand,
            source_name: &self.source_name,
            target_name: &self.target_name,
            is_new: self.is_new,
            may_move: false,
            opened: Cell::new(None),
            seen: None,
        }
    }
}

impl<'a> Entry<'a> {
    pub fn is_operand(&self) -> bool {
        self.parent.is_base()
    }

    /// What it is known again by in another run of the same command: the operand's number, then the
    /// path below it.
    pub fn key(&self) -> Vec<u8> {
        let mut key = (self.operand.index as u32).to_be_bytes().to_vec();
        if !self.is_operand() {
            let below = self.parent.target_path_in_operand().join(self.target_name);
            key.extend_from_slice(below.as_os_str().as_bytes());
        }
        key
    }

    /// Whether the source may be reached through a symbolic link.
    pub fn follows(&self, options: &Options) -> bool {
        options.dereference.follows(self.is_operand())
    }

    pub fn source(&self) -> At<'a> {
        At { directory: self.places.source.as_fd(), name: self.source_name }
    }

    /// What the source is: the file that was opened ahead, or whatever has the name now.
    pub fn stat_source(&self, options: &Options) -> Result<Stat, Errno> {
        self.seen.map_or_else(|| self.source().stat(self.follows(options)), Ok)
    }

    /// None where nothing is to be touched and its directory isn't there.
    pub fn target(&self) -> Option<At<'a>> {
        let place = self.places.target.as_ref()?;
        Some(At { directory: place.as_fd(), name: self.target_name })
    }

    pub fn source_path(&self) -> PathBuf {
        match self.is_operand() {
            true => self.operand.source.clone(),
            false => self.parent.source_path().join(self.source_name),
        }
    }

    pub fn target_path(&self) -> PathBuf {
        match self.is_operand() {
            true => self.operand.target.clone(),
            false => self.parent.target_path().join(self.target_name),
        }
    }

    pub fn source_error(&self, op: Op, cause: Cause) -> Error {
        Error::new(op, self.source_path(), cause)
    }

    /// With the source beside it.
    pub fn target_error(&self, op: Op, cause: Cause) -> Error {
        Error::new(op, self.target_path(), cause).with(self.source_path())
    }

    /// The same, to be kept. It takes a share of the parent.
    pub fn to_waiting(&self) -> Waiting {
        self.parent.share();
        Waiting {
            parent: Arc::clone(self.parent),
            places: self.places.clone(),
            operand: Arc::clone(self.operand),
            source_name: self.source_name.to_owned(),
            target_name: self.target_name.to_owned(),
            is_new: self.is_new,
        }
    }
}

/// What processing an entry came to.
pub(in crate::copy) enum Next {
    /// it is done, or has failed and that was told
    Done,
    /// somebody else goes on with it
    Elsewhere,
    /// a directory whose entries are to be processed
    Descend(Arc<Directory>, Places),
}

/// Why an entry is not copied.
pub(in crate::copy) enum Stop {
    /// there is nothing to do, which is fine
    Fine,
    /// it failed
    Failed(Box<Failed>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(Box::new(error.into()))
    }
}

/// Copies an entry as far as one worker can. Failures are told here.
pub(in crate::copy) fn process(worker: &mut Worker<'_>, entry: &Entry<'_>) -> Next {
    if worker.run.should_stop() {
        return Next::Done;
    }
    let decided = decide::decide(worker, entry).and_then(|decided| {
        if is_worth_moving(entry, &decided.stat) && worker.offer(entry) {
            return Ok((decided, Claimed::Waits));
        }
        let claimed = links::claim(worker, entry, &decided.stat)?;
        Ok((decided, claimed))
    });
    let done = match decided {
        Ok((_, Claimed::Waits)) => return Next::Elsewhere,
        Ok((decided, claimed)) => carry_out(worker, entry, decided, claimed),
        Err(stop) => Err(stop),
    };
    match done {
        Ok(next) => next,
        Err(Stop::Fine) => Next::Done,
        Err(Stop::Failed(failed)) => {
            worker.run.fail(*failed);
            Next::Done
        }
    }
}

/// From this size on, in bytes, a file is handed to a worker that waits for something to do. Smaller
/// ones aren't: most of what they take is the lock on the directory that they are made in, for which
/// workers would only wait (50,000 empty files in one directory of ext4: one worker 2.2 s, two 4.5 s).
const WORTH_MOVING_BYTES: u64 = 64 << 10;

fn is_worth_moving(entry: &Entry<'_>, stat: &Stat) -> bool {
    entry.may_move && stat.kind == Kind::Regular && stat.size >= WORTH_MOVING_BYTES
}

/// Makes room for what is to be made, and makes it.
fn carry_out(
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    mut decided: Decided,
    claimed: Claimed,
) -> Result<Next, Stop> {
    let is_claimed = matches!(claimed, Claimed::First);
    if let (Claimed::LinkTo(home), Found::Something(found), true) =
        (&claimed, decided.found, worker.run.goes_on())
        && home.id == Some(found.id())
    {
        // An earlier run has linked it.
        worker.run.count_file();
        return Ok(Next::Done);
    }
    if worker.run.goes_on() && decided.stat.kind != Kind::Directory && !matches!(claimed, Claimed::LinkTo(_))
    {
        match resume::look(worker.run, entry, &mut decided) {
            Ok(Again::Anew) => {}
            Ok(Again::GoOn(partial)) => decided.partial.set(Some(partial)),
            Ok(Again::Whole(file, length)) => {
                let kept = file::keep_believed(worker.run, entry, &file, length);
                settle(worker.run, entry, &decided.stat, is_claimed, kept.is_ok());
                kept?;
                worker.run.count_file();
                return Ok(Next::Done);
            }
            Err(stop) => {
                settle(worker.run, entry, &decided.stat, is_claimed, false);
                return Err(stop);
            }
        }
    }
    let backup = match room::make(worker, entry, &mut decided) {
        Ok(backup) => backup,
        Err(error) => {
            settle(worker.run, entry, &decided.stat, is_claimed, false);
            return Err(error.into());
        }
    };
    if decided.stat.kind != Kind::Directory {
        tell_copied(worker, entry, backup.as_deref());
    }
    let made = match claimed {
        Claimed::LinkTo(home) => link(worker, entry, &decided, &home),
        _ => make(worker, entry, &decided),
    };
    if let (Ok(_), true) = (&made, entry.is_operand()) {
        worker.run.operands.made(entry);
        let was_there = matches!(decided.found, Found::Something(found) if found.kind == Kind::Directory);
        if !was_there && !worker.run.options.dry_run {
            worker.run.durable.expect_name_in(parent_of(entry.target_name));
        }
    }
    // Whoever finishes the last part of a file settles the claim on it.
    if !matches!(made, Ok(Next::Elsewhere)) {
        settle(worker.run, entry, &decided.stat, is_claimed, made.is_ok());
    }
    if let (Err(Stop::Failed(_)), false) = (&made, worker.run.options.dry_run) {
        room::give_back(worker, entry, backup.as_deref());
    }
    made
}

/// What is left to be done about an entry that somebody else has gone on with.
pub(in crate::copy) fn settle_elsewhere(
    run: &Run<'_>,
    entry: &Entry<'_>,
    stat: &Stat,
    done: Result<(), Stop>,
) {
    if done.is_ok() && entry.is_operand() {
        run.operands.made(entry);
    }
    settle(run, entry, stat, true, done.is_ok());
    if let Err(Stop::Failed(failed)) = done {
        run.fail(*failed);
    }
}

fn tell_copied(worker: &Worker<'_>, entry: &Entry<'_>, backup: Option<&OsStr>) {
    if worker.run.tells_copies() {
        let (source, target) = (entry.source_path(), entry.target_path());
        let backup = backup.map(|name| target.with_file_name(name));
        worker.run.tell(&Event::Copied { source: &source, target: &target, backup: backup.as_deref() });
    }
}

fn make(worker: &mut Worker<'_>, entry: &Entry<'_>, decided: &Decided) -> Result<Next, Stop> {
    let options = worker.run.options;
    let kind = decided.stat.kind;
    if kind == Kind::Directory {
        return make::directory(worker, entry, decided);
    }
    if options.dry_run {
        worker.run.tally.file();
        return Ok(Next::Done);
    }
    let made = match options.make {
        Make::SymbolicLinks => make::symbolic_link(worker, entry, decided.replaces).map_err(Stop::from),
        Make::HardLinks => make::hard_link(worker, entry, decided.replaces).map_err(Stop::from),
        Make::Copies if kind == Kind::Regular || options.special_contents && kind != Kind::Symlink => {
            return file::copy(worker, entry, decided);
        }
        Make::Copies if kind == Kind::Symlink => make::symlink(worker, entry, decided).map_err(Stop::from),
        Make::Copies if kind == Kind::Unknown => Err(entry.source_error(Op::Open, Cause::UnknownKind).into()),
        Make::Copies => make::node(worker, entry, decided).map_err(Stop::from),
    };
    made.map(|()| {
        worker.run.count_file();
        Next::Done
    })
}

/// Links to an earlier copy, or makes one of its own where that can't be had.
fn link(worker: &mut Worker<'_>, entry: &Entry<'_>, decided: &Decided, home: &Home) -> Result<Next, Stop> {
    match make::link_to(worker, entry, home) {
        Ok(()) => {
            worker.run.count_file();
            Ok(Next::Done)
        }
        // The file can't have more names, or the first copy is on another file system.
        Err(error) if matches!(error.errno(), Some(libc::EMLINK | libc::EXDEV)) => {
            let is_claimed = worker.run.links.claim_anew(decided.stat.id());
            let made = make(worker, entry, decided);
            if !matches!(made, Ok(Next::Elsewhere)) {
                settle(worker.run, entry, &decided.stat, is_claimed, made.is_ok());
            }
            made
        }
        Err(error) => Err(error.into()),
    }
}
