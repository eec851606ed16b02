//! `--resume`: a journal beside the target says what is durable there, so that a copy that was
//! killed can go on.
//!
//! | file | what it knows |
//! |---|---|
//! | `open` | which journal, whether it is of this copy, the lock on it |
//! | `past`, `index`, `readback` | what earlier runs have recorded, and how much of that is true now |
//! | `tracked` | a file that is being copied: its digests, its part, its records |
//! | `again` | what is to be done about a file or a directory that an earlier run has met |
//!
//! A thread writes the journal as [`Log`](crate::journal::Log) says, beside the workers.

mod again;
mod index;
mod open;
mod past;
mod readback;
mod tracked;

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::post;
use crate::error::{Op, errno_of};
use crate::journal::{FileId, Header, Log, Step};
use crate::sys::stat::Id;

use crate::copy::events::Warning;
use crate::copy::work::run::Run;

pub(in crate::copy) use again::{Again, Partial, directory_made_before, look, remove_orphans};
pub use open::SpentJournal;
pub(in crate::copy) use readback::read_back;
pub(in crate::copy) use tracked::{Syncs, Tracked, track};

use past::Past;
use tracked::Place;

/// The journal of a run.
pub(in crate::copy) struct Resume {
    path: PathBuf,
    id: Option<Id>,
    journal: File,
    header: Header,
    /// what earlier runs have left
    past: Option<Past>,
    state: Mutex<State>,
    changed: Condvar,
    stops: AtomicBool,
    /// by records that turned out to be true
    pub believed_bytes: AtomicU64,
    pub believed_files: AtomicU64,
}

struct State {
    log: Log,
    /// where the files are that the log knows
    places: HashMap<FileId, Arc<Place>>,
}

impl Resume {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// What the first command found, where this one goes on with it.
    pub fn begun_with(&self) -> Option<&Header> {
        self.past.as_ref().map(|_| &self.header)
    }

    /// Whether there was an earlier run.
    pub fn goes_on(&self) -> bool {
        self.past.is_some()
    }

    /// Nobody writes the journal.
    pub fn give_up(&self, run: &Run<'_>, errno: i32) {
        self.lock().log.close();
        run.warn(Warning::JournalLost { journal: self.path.clone(), errno });
    }

    /// The thread that writes the journal, until [`Resume::stop`].
    pub fn write(&self, run: &Run<'_>) {
        run.meter.open_post();
        let mut state = self.lock();
        loop {
            let now = run.ledger.now();
            let done = match state.log.next(now) {
                Step::Idle(_) if self.stops.load(Ordering::Acquire) => return,
                Step::Idle(None) => {
                    // A round that had nothing to say is over without a step.
                    self.changed.notify_all();
                    state = self.wait(state);
                    continue;
                }
                Step::Idle(Some(at)) => {
                    self.changed.notify_all();
                    let pause = at.saturating_sub(now);
                    state = self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
                Step::Append { offset, bytes } => {
                    let bytes = bytes.to_vec();
                    drop(state);
                    let write = || self.journal.write_all_at(&bytes, offset);
                    post::during_on(Op::Write, self.path.clone(), write).map_err(|error| errno_of(&error))
                }
                Step::SyncJournal => {
                    drop(state);
                    let sync = || self.journal.sync_data();
                    post::during_on(Op::Sync, self.path.clone(), sync).map_err(|error| errno_of(&error))
                }
                Step::Name(ids) => {
                    let ids = ids.to_vec();
                    let places: Vec<_> = ids.iter().map(|id| (*id, state.places.get(id).cloned())).collect();
                    drop(state);
                    let unnamed = places
                        .into_iter()
                        .filter(|(_, place)| !place.as_ref().is_some_and(|place| place.name_part()));
                    let unnamed: Vec<FileId> = unnamed.map(|(id, _)| id).collect();
                    let mut state = self.lock();
                    unnamed.into_iter().for_each(|id| state.log.mute(id));
                    Ok(())
                }
                Step::SyncTarget => {
                    let places: Vec<_> = state.places.values().cloned().collect();
                    drop(state);
                    self.sync_target(run, &places);
                    Ok(())
                }
            };
            state = self.lock();
            match done {
                Ok(()) => state.log.done(),
                Err(errno) => {
                    state.log.close();
                    run.warn(Warning::JournalLost { journal: self.path.clone(), errno });
                }
            }
            self.changed.notify_all();
        }
    }

    /// Makes durable what is with the target. Where that fails what was written may be lost, which
    /// no later sync would tell.
    fn sync_target(&self, run: &Run<'_>, places: &[Arc<Place>]) {
        let mut errors: Vec<_> = run.durable.checkpoint(&run.ledger).into_iter().map(Some).collect();
        errors.extend(places.iter().filter_map(|place| place.sync(&run.ledger).err()));
        if errors.is_empty() {
            return;
        }
        self.lock().log.close();
        errors.into_iter().flatten().for_each(|error| run.fail(error));
    }

    /// Ends the writing thread; first records what there is to record, where the copy is not whole.
    pub fn stop(&self, is_whole: bool) {
        let mut state = self.lock();
        if !is_whole {
            let round = state.log.hurry();
            self.changed.notify_all();
            while !state.log.is_recorded(round) {
                state = self.wait(state);
            }
        }
        self.stops.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    /// Believed without being copied again.
    fn believed(&self, bytes: u64) {
        self.believed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
