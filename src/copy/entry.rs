//! One name of the source: what is to be done about it, decided as GNU cp decides, then done.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::{Kind, Stat};

use super::backup;
use super::directory::{Directory, Operand, Places};
use super::events::{Event, Failed, Question, Warning};
use super::file;
use super::links::{Claim, Home};
use super::make;
use super::options::{BackupKind, Dereference, Make, Options, Update};
use super::same::{self, Same};
use super::update;
use super::worker::Worker;

/// A name in an open directory.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
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
pub(super) struct Entry<'a> {
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
}

/// An entry on its way to another worker. It holds a share of its parent.
pub(super) struct Waiting {
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
        }
    }
}

impl<'a> Entry<'a> {
    pub fn is_operand(&self) -> bool {
        self.parent.is_base()
    }

    /// Whether the source may be reached through a symbolic link.
    pub fn follows(&self, options: &Options) -> bool {
        options.dereference.follows(self.is_operand())
    }

    pub fn source(&self) -> At<'a> {
        At { directory: self.places.source.as_fd(), name: self.source_name }
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

/// What the target is before the copy.
#[derive(Clone, Copy)]
pub(super) enum Found {
    Nothing,
    /// with what stat(2) says of it, or lstat(2) where its kind matters
    Something(Stat),
    /// a loop of symbolic links, to be removed by `-f`
    Loop,
}

/// What processing an entry came to.
pub(super) enum Next {
    /// it is done, or has failed and that was told
    Done,
    /// somebody else goes on with it
    Elsewhere,
    /// a directory whose entries are to be processed
    Descend(Arc<Directory>, Places),
}

/// Why an entry is not copied.
pub(super) enum Stop {
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

/// An entry that is to be copied.
pub(super) struct Decided {
    pub stat: Stat,
    /// of the target, where it is written to rather than made
    pub found: Found,
}

/// Copies an entry as far as one worker can. Failures are told here.
pub(super) fn process(worker: &mut Worker<'_>, entry: &Entry<'_>) -> Next {
    if worker.run.should_stop() {
        return Next::Done;
    }
    let decided = decide(worker, entry).and_then(|decided| {
        if is_worth_moving(entry, &decided.stat) && worker.offer(entry) {
            return Ok((decided, Claimed::Waits));
        }
        let claimed = claim(worker, entry, &decided.stat)?;
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
    let backup = match make_room(worker, entry, &mut decided) {
        Ok(backup) => backup,
        Err(error) => {
            settle(worker, entry, &decided.stat, is_claimed, false);
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
    }
    // Whoever finishes the last part of a file settles the claim on it.
    if !matches!(made, Ok(Next::Elsewhere)) {
        settle(worker, entry, &decided.stat, is_claimed, made.is_ok());
    }
    if let (Err(Stop::Failed(_)), false) = (&made, worker.run.options.dry_run) {
        unbackup(worker, entry, backup.as_deref());
    }
    made
}

/// Tells those who wait for a file with several names what became of the first.
pub(super) fn settle(worker: &Worker<'_>, entry: &Entry<'_>, stat: &Stat, claimed: bool, copied: bool) {
    if !claimed {
        return;
    }
    let run = worker.run;
    let waiting = match copied {
        true => {
            let id = entry.target().and_then(|target| target.stat(false).ok()).map(|stat| stat.id());
            let home = Home { directory: Arc::clone(entry.parent), name: entry.target_name.to_owned(), id };
            let follows = run.options.dereference.follows(true);
            run.links.copied(stat.id(), stat.links, follows, home)
        }
        false => run.links.failed(stat.id()),
    };
    waiting.into_iter().for_each(|waiting| run.queue.push(super::worker::Unit::Entry(waiting)));
}

fn tell_copied(worker: &Worker<'_>, entry: &Entry<'_>, backup: Option<&OsStr>) {
    if worker.run.tells_copies() {
        let (source, target) = (entry.source_path(), entry.target_path());
        let backup = backup.map(|name| target.with_file_name(name));
        worker.run.tell(&Event::Copied { source: &source, target: &target, backup: backup.as_deref() });
    }
}

// ---- decide ----

fn decide(worker: &Worker<'_>, entry: &Entry<'_>) -> Result<Decided, Stop> {
    let options = worker.run.options;
    let errno = |errno: Errno| Cause::Errno(errno as i32);
    let stat = entry.source().stat(entry.follows(options));
    let stat = stat.map_err(|no| entry.source_error(Op::Stat, errno(no)))?;
    if stat.kind == Kind::Directory && !options.recursive {
        return Err(entry.source_error(Op::Open, Cause::NotRecursive).into());
    }
    if entry.is_operand() && worker.run.operands.is_source_twice(entry, &stat, options) {
        let warning = Warning::SourceTwice { source: entry.source_path(), is_directory: false };
        worker.run.warn(warning);
        return Err(Stop::Fine);
    }
    let found = find(worker, entry, &stat)?;
    if let Found::Something(target) = &found {
        may_replace(worker, entry, &stat, target)?;
    }
    if entry.is_operand() && options.backup.is_none() && worker.run.operands.is_made_link(entry) {
        return Err(entry.target_error(Op::Create, Cause::ThroughCreatedLink).into());
    }
    Ok(Decided { stat, found })
}

/// Looks at the target. What is to be written through is followed, what is to be replaced is not.
fn find(worker: &Worker<'_>, entry: &Entry<'_>, stat: &Stat) -> Result<Found, Error> {
    let options = worker.run.options;
    let Some(target) = entry.target() else { return Ok(Found::Nothing) };
    let made_as_node = match stat.kind {
        Kind::Regular => false,
        Kind::Symlink => true,
        Kind::Directory => !options.keep_directory_symlink,
        _ => !options.special_contents,
    };
    let itself =
        made_as_node || options.make != Make::Copies || options.backup.is_some() || options.remove_first;
    if entry.is_new && (!itself || !entry.is_operand()) {
        return Ok(Found::Nothing);
    }
    match target.stat(!itself) {
        Ok(stat) => Ok(Found::Something(stat)),
        Err(Errno::ENOENT) => Ok(Found::Nothing),
        Err(Errno::ELOOP) if !itself && options.force => Ok(Found::Loop),
        Err(errno) => Err(Error::new(Op::Stat, entry.target_path(), Cause::Errno(errno as i32))),
    }
}

/// Whether something that is there may be replaced or written to.
fn may_replace(worker: &Worker<'_>, entry: &Entry<'_>, stat: &Stat, target: &Stat) -> Result<(), Stop> {
    let (run, options) = (worker.run, worker.run.options);
    let is_directory = stat.kind == Kind::Directory;
    if !matches!(options.update, Update::None | Update::NoneFail) {
        match same::compare(entry, stat, target, options) {
            Same::No => {}
            Same::Settled => return Err(Stop::Fine),
            Same::Yes => return Err(entry.target_error(Op::Open, Cause::SameFile).into()),
        }
    }
    if !is_directory {
        let up_to_date = update::is_up_to_date(entry, stat, target, options)?;
        if up_to_date {
            relink(worker, entry, stat)?;
        }
        let kept = match options.update {
            _ if up_to_date => true,
            Update::None => true,
            Update::NoneFail => {
                return Err(Error::new(Op::Create, entry.target_path(), Cause::Exists).into());
            }
            _ => false,
        };
        if kept {
            if up_to_date && matches!(options.update, Update::Changed | Update::Checksum) {
                make::mend(worker, entry, stat, target)?;
            }
            run.tally.skipped();
            if options.explain {
                run.tell(&Event::Skipped(&entry.target_path()));
            }
            return Err(Stop::Fine);
        }
        if options.ask && !agreed(worker, entry, target) {
            // An answer of no is a failure without words, as with cp.
            run.tally.failure();
            if options.explain {
                run.tell(&Event::Skipped(&entry.target_path()));
            }
            return Err(Stop::Fine);
        }
    }
    if is_directory != (target.kind == Kind::Directory) && options.backup.is_none() {
        let cause = if is_directory { Cause::NotDirectory } else { Cause::IsDirectory };
        return Err(entry.target_error(Op::Create, cause).into());
    }
    let numbered = matches!(&options.backup, Some(backup) if backup.kind == BackupKind::Numbered);
    if target.kind != Kind::Directory
        && entry.is_operand()
        && !numbered
        && run.operands.is_made(entry, target.id())
    {
        return Err(entry.target_error(Op::Create, Cause::JustCreated).into());
    }
    Ok(())
}

/// A file that is left alone may still be one name of several: they become links of one another.
fn relink(worker: &Worker<'_>, entry: &Entry<'_>, stat: &Stat) -> Result<(), Stop> {
    if worker.run.options.update != Update::Older || !has_several_names(worker, entry, stat) {
        return Ok(());
    }
    match worker.run.links.claim(stat.id(), stat.links, || entry.to_waiting()) {
        Claim::Copy => settle(worker, entry, stat, true, true),
        Claim::Link(home) => make::link_to(worker, entry, &home)?,
        Claim::Waits => return Err(Stop::Fine),
    }
    Ok(())
}

fn agreed(worker: &Worker<'_>, entry: &Entry<'_>, target: &Stat) -> bool {
    let options = worker.run.options;
    let Some(at) = entry.target() else { return true };
    let unwritable = target.kind != Kind::Symlink && !sys::at::is_writable(at.directory, at.name);
    worker.run.witness.ask(&Question {
        target: &entry.target_path(),
        mode: target.mode | target.kind.mode_bits(),
        unwritable,
        replaces: options.remove_first || options.force,
    })
}

/// Moves what is there out of the way, or removes it, where it is not to be written to; the name
/// of its backup.
fn make_room(
    worker: &Worker<'_>,
    entry: &Entry<'_>,
    decided: &mut Decided,
) -> Result<Option<OsString>, Error> {
    let (stat, options) = (&decided.stat, worker.run.options);
    let (Some(at), Found::Something(target)) = (entry.target(), decided.found) else { return Ok(None) };
    if target.kind == Kind::Directory {
        return Ok(None);
    }
    if let Some(wanted) = &options.backup {
        if backup::is_dots(entry.source_name) {
            return Ok(None);
        }
        if wanted.kind != BackupKind::Numbered && backup::is_of(entry, stat, &wanted.suffix) {
            return Err(entry.target_error(Op::Backup, Cause::BackupIsSource));
        }
        decided.found = Found::Nothing;
        let failed = |errno| entry.target_error(Op::Backup, Cause::Errno(errno as i32));
        return match options.dry_run {
            true => backup::name_of(at, wanted).map(Some),
            false => backup::rename_away(at, wanted),
        }
        .map_err(failed);
    }
    let replaced = options.remove_first
        || !options.skip_data
            && (options.keep.links && target.links > 1
                || options.dereference == Dereference::Never && stat.kind != Kind::Regular);
    if replaced {
        decided.found = Found::Nothing;
        if !options.dry_run {
            make::remove(worker, entry, at)?;
        }
    }
    Ok(None)
}

fn unbackup(worker: &Worker<'_>, entry: &Entry<'_>, backup: Option<&OsStr>) {
    let (Some(name), Some(at)) = (backup, entry.target()) else { return };
    let target = entry.target_path();
    if let Err(errno) = sys::at::rename(at.directory, name, at.name) {
        worker.run.fail(entry.target_error(Op::Unbackup, Cause::Errno(errno as i32)));
    } else if worker.run.options.verbose {
        worker.run.tell(&Event::Unbackup { backup: &target.with_file_name(name), target: &target });
    }
}

// ---- hard links ----

enum Claimed {
    /// to be made, and nobody waits for it
    Alone,
    /// to be made; others may wait for it
    First,
    /// to be linked to an earlier copy
    LinkTo(Home),
    /// another worker will see to it
    Waits,
}

fn has_several_names(worker: &Worker<'_>, entry: &Entry<'_>, stat: &Stat) -> bool {
    let options = worker.run.options;
    options.keep.links
        && options.make != Make::HardLinks
        && stat.kind != Kind::Directory
        && (stat.links > 1 || entry.follows(options))
}

fn claim(worker: &Worker<'_>, entry: &Entry<'_>, stat: &Stat) -> Result<Claimed, Stop> {
    let run = worker.run;
    if stat.kind == Kind::Directory {
        return match run.operands.check_directory(run, entry, stat)? {
            true => Ok(Claimed::Alone),
            false => Err(Stop::Fine),
        };
    }
    if run.options.dry_run || !has_several_names(worker, entry, stat) {
        return Ok(Claimed::Alone);
    }
    Ok(match run.links.claim(stat.id(), stat.links, || entry.to_waiting()) {
        Claim::Copy => Claimed::First,
        Claim::Link(home) => Claimed::LinkTo(home),
        Claim::Waits => Claimed::Waits,
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
            worker.run.links.forget(decided.stat.id());
            make(worker, entry, decided)
        }
        Err(error) => Err(error.into()),
    }
}

// ---- make ----

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
        Make::SymbolicLinks => make::symbolic_link(worker, entry).map_err(Stop::from),
        Make::HardLinks => make::hard_link(worker, entry).map_err(Stop::from),
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
