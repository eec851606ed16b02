//! What an earlier run has met is met again: whether it is done, can be gone on with, or is to be
//! done anew.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::digest::UNIT_BYTES;
use crate::error::{Cause, Error, Op};
use crate::sys;
use crate::sys::attributes::Handle;
use crate::sys::stat::{Kind, Stat};

use super::Resume;
use super::past::{Known, Stopped};
use super::tracked::identity;
use crate::copy::content::replace::{self, Spot};
use crate::copy::content::source::INTERRUPTED;
use crate::copy::content::target::PartName;
use crate::copy::events::Warning;
use crate::copy::names::decide::{Decided, Found};
use crate::copy::names::entry::{At, Entry, Stop};
use crate::copy::names::same::parent_of;
use crate::copy::tree::directory::Operand;
use crate::copy::work::run::Run;

/// What is to be done about a file.
pub(in crate::copy) enum Again {
    /// as if nothing were there
    Anew,
    /// nothing: all of it is there, in this file, so many bytes
    Whole(OwnedFd, u64),
    /// what is missing
    GoOn(Partial),
}

/// A file whose beginning is there.
pub(in crate::copy) struct Partial {
    pub(super) begun: u64,
    pub(super) before: u64,
    /// believed, in bytes
    to: u64,
    /// open for writing, and its name; None: it has its own
    pub part: Option<(OwnedFd, PartName)>,
}

impl Partial {
    /// What need not be copied again, in bytes: whole units.
    pub fn base(&self) -> u64 {
        self.to - self.to % UNIT_BYTES
    }
}

/// Looks whether a file that is to be copied has been met before. What is left of it and can't be
/// used goes.
pub(in crate::copy) fn look(run: &Run<'_>, entry: &Entry<'_>, decided: &mut Decided) -> Result<Again, Stop> {
    let Some(resume) = run.resume().filter(|resume| resume.goes_on()) else { return Ok(Again::Anew) };
    let Some(asked) = entry.target() else { return Ok(Again::Anew) };
    let stores = matches!(decided.stat.kind, Kind::Regular | Kind::Block);
    let known = bring_here(resume, run, entry, decided, asked)
        .or_else(|| known(resume, run, entry).map(|known| (known, None)));
    if let Some((known, elsewhere)) = known.filter(|_| stores) {
        // A link that is followed leads to where the part is.
        let is_link = asked.stat(false).is_ok_and(|stat| stat.kind == Kind::Symlink);
        let spot: Option<Spot> = match run.options.atomic && is_link && !entry.parent.is_new {
            true => {
                replace::existing(run, entry, asked)
                    .map_err(|(op, cause)| entry.target_error(op, cause))?
                    .place
            }
            false => None,
        };
        let at = spot.as_ref().map_or(asked, Spot::at);
        match use_known(resume, run, entry, decided, (at, elsewhere), known)? {
            Again::Anew => {}
            again => return Ok(again),
        }
    }
    // All that is in a directory of ours is ours, and what there is no record of is worth nothing.
    if let (true, Found::Something(found)) = (entry.parent.is_new, decided.found)
        && found.kind != Kind::Directory
    {
        decided.found = Found::Nothing;
        decided.replaces = run.options.atomic;
        if !run.options.atomic {
            let removed = sys::at::remove_file(asked.directory, asked.name);
            removed.map_err(|errno| entry.target_error(Op::Replace, Cause::Errno(errno as i32)))?;
        }
    }
    Ok(Again::Anew)
}

fn known(resume: &Resume, run: &Run<'_>, entry: &Entry<'_>) -> Option<Known> {
    match resume.past.as_ref()?.known(&entry.key()) {
        Ok(known) => known,
        Err(error) => {
            lost(resume, run, &error);
            None
        }
    }
}

/// A file with several names may have been met by another one first. It gets this one, too; from that
/// the other one will be made. Its part stays where it is recorded to be, in the directory that is given
/// back, and gets this name once it is complete: until then whatever run comes next must find it there.
fn bring_here(
    resume: &Resume,
    run: &Run<'_>,
    entry: &Entry<'_>,
    decided: &mut Decided,
    at: At<'_>,
) -> Option<(Known, Option<OwnedFd>)> {
    if !run.options.keep.links || decided.stat.links < 2 || !entry.parent.is_new {
        return None;
    }
    let by_source = resume.past.as_ref()?.known_by_source(&identity(&decided.stat));
    let (known, path) = by_source.unwrap_or_else(|error| {
        lost(resume, run, &error);
        None
    })?;
    let directory = directory_of(entry.operand, &path)?;
    let own = Path::new(OsStr::from_bytes(path.get(4..)?)).file_name()?.to_owned();
    let is_there = |name: &OsStr| {
        let at = At { directory: directory.as_fd(), name };
        !name.is_empty() && find(at, known.inode, OFlag::O_RDONLY, false).is_some()
    };
    if is_there(OsStr::from_bytes(&known.part)) {
        return Some((known, Some(directory)));
    }
    if !is_there(&own) {
        return None;
    }
    if matches!(decided.found, Found::Something(found) if found.inode != known.inode) {
        sys::at::remove_file(at.directory, at.name).ok()?;
    }
    match sys::at::make_link((directory.as_fd(), &own), (at.directory, at.name), false) {
        Ok(()) | Err(Errno::EEXIST) => Some((known, None)),
        Err(_) => None,
    }
}

/// The journal can't be read any more: what it says is not believed.
fn lost(resume: &Resume, run: &Run<'_>, error: &std::io::Error) {
    run.warn(Warning::JournalLost { journal: resume.path.clone(), errno: super::past::errno(error) });
}

fn use_known(
    resume: &Resume,
    run: &Run<'_>,
    entry: &Entry<'_>,
    decided: &Decided,
    (at, elsewhere): (At<'_>, Option<OwnedFd>),
    known: Known,
) -> Result<Again, Stop> {
    let part = find_part(at, elsewhere, &known);
    let own = || find(at, known.inode, OFlag::O_RDONLY, entry.is_operand());
    let is_part = part.is_some();
    let file = match &part {
        Some((file, ..)) => file.try_clone().ok(),
        None => own(),
    };
    let is_same = known.source == identity(&decided.stat);
    let past = resume.past.as_ref().expect("something is known");
    let belief = match (&file, is_same) {
        (Some(file), true) => {
            let belief = past.belief(&known, file.as_fd(), &|| run.cancel.is_raised());
            match belief {
                Ok(belief) => Some(belief),
                Err(Stopped::Cancelled) => {
                    return Err(entry.target_error(Op::Read, Cause::Errno(INTERRUPTED)).into());
                }
                Err(Stopped::Journal(error)) => {
                    lost(resume, run, &error);
                    None
                }
            }
        }
        _ => None,
    };
    let is_device = matches!(decided.found, Found::Something(found) if found.kind == Kind::Block);
    let altered = match &belief {
        Some(belief) => belief.altered,
        // A part that was never recorded is not there after a crash.
        None => is_same && known.begun.is_none() && file.is_none() && decided.stat.links < 2,
    };
    if let (true, true, Some(0)) = (is_device, altered, belief.map(|belief| belief.to)) {
        let error = Error::new(Op::Journal, entry.target_path(), Cause::TargetOther);
        return Err(error.with(&resume.path).into());
    }
    if altered {
        run.warn(Warning::Altered { target: entry.target_path() });
    }
    let belief = belief.filter(|belief| belief.to > 0 || belief.is_whole);
    match belief {
        Some(belief) if belief.is_whole && !is_part => {
            resume.believed(belief.to);
            resume.believed_files.fetch_add(1, Ordering::Relaxed);
            run.meter.add_bytes(belief.to);
            let file = file.expect("it was read back");
            return Ok(Again::Whole(file, belief.to));
        }
        Some(belief) if known.begun.is_some() => {
            let begun = known.begun.expect("it was looked at");
            let partial = |part| {
                let partial = Partial { begun, before: belief.before, to: belief.to, part };
                resume.believed(partial.base());
                run.meter.add_bytes(partial.base());
                partial
            };
            if !is_part && known.part.is_empty() {
                return Ok(Again::GoOn(partial(None)));
            }
            // One that may not be written to is of no use.
            if let Some((_, PartName { directory, name, .. })) = &part
                && let at = (At { directory: directory.as_fd(), name })
                && let Some(file) = find(at, known.inode, OFlag::O_RDWR, false)
            {
                let part = part.map(|(_, name)| (file, name));
                return Ok(Again::GoOn(partial(part)));
            }
        }
        _ => {}
    }
    if let Some((_, PartName { directory, name, .. })) = part {
        let _ = sys::at::remove_file(directory.as_fd(), &name);
    }
    Ok(Again::Anew)
}

/// The part beside `at`, or `elsewhere`: open, and its name.
fn find_part(at: At<'_>, elsewhere: Option<OwnedFd>, known: &Known) -> Option<(OwnedFd, PartName)> {
    if known.part.is_empty() || known.part.contains(&b'/') {
        return None;
    }
    let name = OsStr::from_bytes(&known.part).to_owned();
    let beside = sys::at::open_place(at.directory, parent_of(at.name), true).ok()?;
    let (directory, into) = match elsewhere {
        Some(elsewhere) => (elsewhere, Some(beside)),
        None => (beside, None),
    };
    let file = find(At { directory: directory.as_fd(), name: &name }, known.inode, OFlag::O_RDONLY, false)?;
    Some((file, PartName { directory, name, into }))
}

/// What is at `at`, where it is the one that it was. A device has no number that says so.
fn find(at: At<'_>, inode: u64, access: OFlag, follow: bool) -> Option<OwnedFd> {
    let link = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    let file = sys::at::open(at.directory, at.name, access | link | OFlag::O_NONBLOCK, 0).ok()?;
    let stat = sys::stat::of(file.as_fd()).ok()?;
    (stat.kind == Kind::Block || stat.kind == Kind::Regular && stat.inode == inode).then_some(file)
}

// ---- directories ----

/// Whether a directory that is there was made by an earlier run.
pub(in crate::copy) fn directory_made_before(
    run: &Run<'_>,
    entry: &Entry<'_>,
    found: &Stat,
) -> Result<bool, Error> {
    let Some(resume) = run.resume().filter(|resume| resume.goes_on()) else { return Ok(false) };
    if entry.parent.is_new {
        return Ok(true);
    }
    let made = resume.past.as_ref().map_or(Ok(None), |past| past.made(&entry.key()));
    match made.unwrap_or_else(|error| {
        lost(resume, run, &error);
        None
    }) {
        Some(inode) if inode == 0 || inode == found.inode => Ok(true),
        Some(_) if entry.is_operand() => {
            Err(Error::new(Op::Journal, entry.target_path(), Cause::TargetOther).with(&resume.path))
        }
        _ => Ok(false),
    }
}

impl Resume {
    /// A directory is about to be made in one that was there before: that is recorded first.
    pub fn will_make(&self, run: &Run<'_>, entry: &Entry<'_>) {
        if entry.parent.is_new {
            return;
        }
        let mut state = self.lock();
        let Some(number) = state.log.will_make(&entry.key(), run.ledger.now()) else { return };
        self.changed.notify_all();
        while !state.log.is_announced(number) {
            state = self.wait(state);
        }
    }

    /// It was made.
    pub fn made(&self, run: &Run<'_>, entry: &Entry<'_>, made: &Stat) {
        if !entry.parent.is_new {
            self.lock().log.made(&entry.key(), made.inode, run.ledger.now());
            self.changed.notify_all();
        }
    }
}

// ---- what is left ----

/// The directory of the target that a recorded path is in, where it is of this operand.
fn directory_of(operand: &Operand, path: &[u8]) -> Option<OwnedFd> {
    let (index, below) = path.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*index) as usize != operand.index {
        return None;
    }
    let below = OsStr::from_bytes(below);
    if below.is_empty() {
        let parent = parent_of(operand.target.as_os_str());
        return sys::at::open_place(sys::at::WORKING_DIRECTORY, parent, true).ok();
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    sys::at::open_beneath(operand.target_root()?.as_fd(), Path::new(parent_of(below)), flags).ok()
}

/// All is copied: parts of files that the source lacks now go.
pub(in crate::copy) fn remove_orphans(run: &Run<'_>, operands: &[Arc<Operand>]) {
    let Some(resume) = run.resume() else { return };
    let Some(past) = &resume.past else { return };
    let removed = past.parts(|path, inode, part| {
        let name = OsStr::from_bytes(part);
        let Some(directory) = operands.iter().find_map(|operand| directory_of(operand, path)) else { return };
        let is_it = |stat: Stat| stat.kind == Kind::Regular && stat.inode == inode;
        if part.contains(&b'/') || !sys::stat::at(directory.as_fd(), name, false).is_ok_and(is_it) {
            return;
        }
        // The directory is complete, with the times that it is to have.
        let before = sys::stat::of(directory.as_fd());
        if sys::at::remove_file(directory.as_fd(), name).is_ok()
            && let Ok(stat) = before
        {
            let _ = Handle::Path(directory.as_fd()).set_times(stat.accessed, stat.modified);
            let _ = run.durable.directory(directory.as_fd(), stat.device, &run.ledger);
        }
    });
    if let Err(error) = removed {
        lost(resume, run, &error);
    }
}
