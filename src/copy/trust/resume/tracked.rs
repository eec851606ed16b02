//! A file that is being copied, as the journal sees it: what it hashes to on its way, how far it is,
//! and under which name it can be found again should the copy be killed.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use crate::digest::{Collector, UNIT_BYTES, Unit};
use crate::engine::{Digester, Follower, Ledger, Simulated, post};
use crate::error::{Cause, Error, Op};
use crate::journal::{FileId, Identity, Started};
use crate::latency;
use crate::sys;
use crate::sys::stat::{Kind, Stat};

use super::Resume;
use super::again::Partial;
use crate::copy::content::source::Source;
use crate::copy::content::target::{Part, PartName, Step, Target, rename_part};
use crate::copy::names::entry::{At, Entry};
use crate::copy::names::same::parent_of;
use crate::copy::work::run::Run;

/// What a partial file's name begins with.
const PREFIX: &str = ".highwater-part-";

/// A file that the journal follows, until [`Tracked::whole`] or [`Tracked::give_up`].
pub(in crate::copy) struct Tracked {
    id: FileId,
    /// the copy goes on behind so many bytes
    pub base: u64,
    place: Option<Arc<Place>>,
    /// of which nothing was told yet
    collector: Option<Collector>,
    /// the next unit to be told
    next: u64,
}

/// The directory and the name that a file has until it is complete.
pub(in crate::copy) type Named = (OwnedFd, OsString);

/// Where a file is.
pub(super) struct Place {
    /// a descriptor of its own: closing the copy's must not wait for a sync
    file: OwnedFd,
    /// its file system is not synced as a whole
    alone: bool,
    shown: PathBuf,
    part: Option<Mutex<Naming>>,
    simulated: Option<Arc<Simulated>>,
    /// the errno of the first sync of it that failed, [`WELL`] or [`SETTLED`]
    lost: AtomicI32,
}

/// No sync of a file has failed yet; one that does is a failure of its copy.
const WELL: i32 = 0;
/// Its copy is over: a sync that fails is told by who made it.
const SETTLED: i32 = -1;

struct Naming {
    directory: OwnedFd,
    /// what it is called so far; None: nothing
    now: Option<OsString>,
    /// what it is called once that is recorded
    name: OsString,
    is_named: bool,
    is_synced: bool,
    /// it gets no name any more
    is_closed: bool,
}

/// What a source is known again by. A device has nothing but its number.
pub(super) fn identity(stat: &Stat) -> Identity {
    let time = |time: sys::stat::Time| (time.seconds, time.nanoseconds);
    match stat.kind {
        Kind::Block => {
            let (major, minor) = stat.represents;
            Identity { inode: 0, size: 0, modified: (i64::from(major), minor), changed: (0, 0) }
        }
        _ => Identity {
            inode: stat.inode,
            size: stat.size,
            modified: time(stat.modified),
            changed: time(stat.changed),
        },
    }
}

/// Follows the copy of a file whose ends are open, where there is a journal.
pub(in crate::copy) fn track(
    run: &Run<'_>,
    entry: &Entry<'_>,
    source: &Source,
    target: &Target,
    partial: Option<Partial>,
) -> Option<Tracked> {
    let resume = run.resume()?;
    let stores = |kind| matches!(kind, Kind::Regular | Kind::Block);
    if !stores(source.stat.kind) || !stores(target.kind) || source.edge.base != Some(0) {
        return None;
    }
    let at = target.place(entry.target()?);
    let (now, name, is_named) = match target.part() {
        Part::Has(part) if partial.is_some() => (Some(part), part.name.clone(), true),
        Part::Has(part) => (Some(part), fresh(), false),
        Part::Unnamed => (None, fresh(), false),
        Part::Never => (None, OsString::new(), false),
    };
    let part = name.as_bytes().to_vec();
    let started =
        Started { path: entry.key(), source: identity(&source.stat), inode: target.stat().ok()?.inode, part };
    let is_at_once = target.was_created();
    let place = match is_at_once {
        true => None,
        false => {
            let naming = match name.is_empty() {
                true => None,
                false => Some(naming(at, now, name, is_named).ok()?),
            };
            Some(Arc::new(place(run, entry, target, naming).ok()?))
        }
    };
    let mut state = resume.lock();
    let (id, base) = match partial {
        Some(partial) => {
            let base = partial.base();
            (state.log.go_on(started, partial.begun, partial.before, base)?, base)
        }
        None => (state.log.start(started)?, 0),
    };
    match &place {
        Some(place) => drop(state.places.insert(id, Arc::clone(place))),
        // It is whole or not there: nothing is said of it before.
        None => drop(state.log.finish(id)),
    }
    Some(Tracked { id, base, place, collector: Some(Collector::new(base)), next: base / UNIT_BYTES })
}

fn naming(at: At<'_>, now: Option<&PartName>, name: OsString, is_named: bool) -> Result<Naming, Errno> {
    let directory = match now {
        Some(part) => part.directory.try_clone().map_err(|_| Errno::EMFILE)?,
        None => sys::at::open_place(at.directory, parent_of(at.name), true)?,
    };
    let now = now.map(|part| part.name.clone());
    Ok(Naming { directory, now, name, is_named, is_synced: false, is_closed: false })
}

fn place(run: &Run<'_>, entry: &Entry<'_>, target: &Target, part: Option<Naming>) -> Result<Place, Errno> {
    let file = target.edge.file.try_clone().map_err(|_| Errno::EMFILE)?;
    let alone = target.kind == Kind::Block || !run.durable.is_synced_whole(target.device);
    let (part, simulated) = (part.map(Mutex::new), target.edge.simulated.clone());
    Ok(Place { file, alone, shown: entry.target_path(), part, simulated, lost: AtomicI32::new(WELL) })
}

fn fresh() -> OsString {
    // The hasher's keys are random, and others each time.
    let random = RandomState::new().hash_one(std::process::id());
    format!("{PREFIX}{random:016x}").into()
}

impl Place {
    fn naming(&self) -> Option<MutexGuard<'_, Naming>> {
        self.part.as_ref().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives it its part's name; false where it can't have one.
    pub fn name_part(&self) -> bool {
        let Some(mut naming) = self.naming() else { return false };
        if !naming.is_named && !naming.is_closed {
            let directory = naming.directory.as_fd();
            naming.is_named = match &naming.now {
                None => sys::temporary::name(self.file.as_fd(), directory, &naming.name).is_ok(),
                Some(now) => rename_part((directory, now), (directory, &naming.name)).is_ok(),
            };
        }
        naming.is_named
    }

    /// Makes it durable, its part's name included, where its file system is not synced as a whole. Where
    /// that fails nothing more may be recorded; who tells of it is the file's copy, or, where that is over,
    /// whoever gets the error here.
    pub fn sync(&self, ledger: &Ledger) -> Result<(), Option<Error>> {
        if !self.alone {
            return Ok(());
        }
        let started = ledger.now();
        let sync = || Simulated::sync(self.simulated.as_deref(), || nix::unistd::fdatasync(&self.file));
        let synced = post::during_on(Op::Sync, self.shown.clone(), sync).and_then(|()| match self.naming() {
            Some(mut naming) if naming.is_named && !naming.is_synced => {
                let opened = sys::at::open_directory(naming.directory.as_fd(), OsStr::new("."), false)?;
                naming.is_synced = true;
                match nix::unistd::fsync(&opened) {
                    Err(Errno::EINVAL) => Ok(()),
                    synced => synced,
                }
            }
            _ => Ok(()),
        });
        ledger.record(latency::Kind::Sync, started);
        synced.map_err(|errno| {
            let errno = errno as i32;
            let before = self.lost.compare_exchange(WELL, errno, Ordering::AcqRel, Ordering::Acquire);
            (before == Err(SETTLED)).then(|| Error::new(Op::Sync, &self.shown, Cause::Errno(errno)))
        })
    }

    /// Fails where a sync has failed, with which something may be lost that no later one tells of.
    fn synced(&self) -> Step<()> {
        match self.lost.load(Ordering::Acquire) {
            WELL | SETTLED => Ok(()),
            errno => Err((Op::Sync, Cause::Errno(errno))),
        }
    }
}

/// Whether a file was synced as it should be, for its copy to ask.
pub(in crate::copy) struct Syncs(Option<Arc<Place>>);

impl Syncs {
    /// Fails where a round could not sync it. No later sync would tell of that: the copy has failed.
    pub fn are_well(&self) -> Step<()> {
        self.0.as_ref().map_or(Ok(()), |place| place.synced())
    }

    /// The same, where nothing of the copy is left to do.
    pub fn settle(self) -> Step<()> {
        let Some(place) = self.0 else { return Ok(()) };
        let _ = place.lost.compare_exchange(WELL, SETTLED, Ordering::AcqRel, Ordering::Acquire);
        place.synced()
    }
}

impl Tracked {
    /// Who is to see the bytes of the flow, and how far it is.
    pub fn watch<'a>(&'a mut self, resume: &'a Resume, ledger: &'a Ledger) -> (Digester<'a>, Follower<'a>) {
        let Tracked { id, base, collector, next, .. } = self;
        let (id, base) = (*id, *base);
        let collector = collector.as_mut().expect("a file is copied once");
        let digester = move |offset, bytes: &[u8]| {
            collector.piece(base + offset, bytes, &mut |unit| resume.digested(id, next, unit));
        };
        let follower = move |to| resume.completed(id, base + to, ledger);
        (Box::new(digester), Box::new(follower))
    }

    /// What became of the syncs of its rounds.
    pub fn syncs(&self) -> Syncs {
        Syncs(self.place.clone())
    }

    /// All of its content, so much, is with the target. Where it has a part's name, as which it
    /// must be recorded before it gets its own.
    pub fn finish(&mut self, resume: &Resume, length: u64) -> bool {
        if let Some(collector) = self.collector.take() {
            collector.finish(length, &mut |unit| resume.digested(self.id, &mut self.next, unit));
        }
        let mut state = resume.lock();
        let missing = length.div_ceil(UNIT_BYTES).saturating_sub(self.next);
        state.log.zeros(self.id, missing);
        state.log.finish(self.id)
    }

    /// It is whole, with its attributes; after [`Tracked::finish`], and where that said so `waits`
    /// until this is recorded. Else it must have its own name. What it is called meanwhile.
    pub fn whole(self, resume: &Resume, length: u64, waits: bool, ledger: &Ledger) -> Option<Named> {
        let mut state = resume.lock();
        let had_news = state.log.has_news();
        let round = state.log.whole(self.id, length, ledger.now());
        if waits {
            state.log.hurry();
        }
        if !had_news || state.log.is_urgent() {
            resume.changed.notify_all();
        }
        while waits && !state.log.is_recorded(round) {
            state = resume.wait(state);
        }
        while !waits && state.log.is_full() {
            state = resume.wait(state);
        }
        state.places.remove(&self.id);
        drop(state);
        self.named()
    }

    /// It can't be completed now: records what there is of it, so that another run can go on. How
    /// many bytes are recorded, and what it is called.
    pub fn suspend(self, resume: &Resume) -> (Option<u64>, Option<Named>) {
        let mut state = resume.lock();
        let round = state.log.hurry();
        resume.changed.notify_all();
        while !state.log.is_recorded(round) {
            state = resume.wait(state);
        }
        let recorded = state.log.recorded_to(self.id);
        drop(state);
        (recorded.filter(|bytes| *bytes > 0), self.give_up(resume))
    }

    /// Nothing more is said of it. What it is called.
    pub fn give_up(self, resume: &Resume) -> Option<Named> {
        let mut state = resume.lock();
        state.log.leave(self.id);
        state.places.remove(&self.id);
        drop(state);
        self.named()
    }

    fn named(&self) -> Option<Named> {
        let mut naming = self.place.as_ref()?.naming()?;
        naming.is_closed = true;
        if !naming.is_named {
            return None;
        }
        Some((naming.directory.try_clone().ok()?, naming.name.clone()))
    }
}

impl Resume {
    fn digested(&self, id: FileId, next: &mut u64, unit: Unit) {
        let mut state = self.lock();
        state.log.zeros(id, unit.index - *next);
        state.log.digested(id, &[unit.digest]);
        *next = unit.index + 1;
    }

    /// Waits where too much is not recorded yet.
    fn completed(&self, id: FileId, to: u64, ledger: &Ledger) {
        let mut state = self.lock();
        let had_news = state.log.has_news();
        state.log.completed(id, to, ledger.now());
        if !had_news || state.log.is_urgent() {
            self.changed.notify_all();
        }
        while state.log.is_full() {
            state = self.wait(state);
        }
    }
}
