//! Whether a name of the source is copied, decided as GNU cp decides.

use std::cell::Cell;

use nix::errno::Errno;

use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::stat::{Kind, Stat};

use crate::copy::events::{Event, Question, Warning};
use crate::copy::names::entry::{Entry, Stop};
use crate::copy::names::links;
use crate::copy::names::make;
use crate::copy::names::same::{self, Same};
use crate::copy::names::update;
use crate::copy::options::{BackupKind, Make, Update};
use crate::copy::trust::resume::Partial;
use crate::copy::work::worker::Worker;

/// What the target is before the copy.
#[derive(Clone, Copy)]
pub(in crate::copy) enum Found {
    Nothing,
    /// with what stat(2) says of it, or lstat(2) where its kind matters
    Something(Stat),
    /// a loop of symbolic links, to be removed by `-f`
    Loop,
}

/// An entry that is to be copied.
pub(in crate::copy) struct Decided {
    pub stat: Stat,
    /// of the target, where it is written to rather than made
    pub found: Found,
    /// what is there keeps its name until what is made takes it over (`--atomic`)
    pub replaces: bool,
    /// an earlier run has begun it, and this is where that goes on
    pub partial: Cell<Option<Partial>>,
}

/// Looks at both sides of a name.
pub(in crate::copy) fn decide(worker: &Worker<'_>, entry: &Entry<'_>) -> Result<Decided, Stop> {
    let options = worker.run.options;
    let errno = |errno: Errno| Cause::Errno(errno as i32);
    let stat = entry.stat_source(options);
    let stat = stat.map_err(|no| entry.source_error(Op::Stat, errno(no)))?;
    if stat.kind == Kind::Directory && !options.recursive {
        return Err(entry.source_error(Op::Open, Cause::NotRecursive).into());
    }
    if worker.run.resume().is_some_and(|resume| resume.is_journal(stat.id())) {
        return Err(Stop::Fine);
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
    Ok(Decided { stat, found, replaces: false, partial: Cell::new(None) })
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
    if entry.is_new && !worker.run.goes_on() && (!itself || !entry.is_operand()) {
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
            links::relink(worker, entry, stat)?;
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

fn agreed(worker: &Worker<'_>, entry: &Entry<'_>, target: &Stat) -> bool {
    let options = worker.run.options;
    let Some(at) = entry.target() else { return true };
    let unwritable = target.kind != Kind::Symlink && sys::at::may_write(at.directory, at.name).is_err();
    worker.run.telling.witness.ask(&Question {
        target: &entry.target_path(),
        mode: target.mode | target.kind.mode_bits(),
        unwritable,
        replaces: options.remove_first || options.force,
    })
}
