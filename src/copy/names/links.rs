//! Files with several names: copied once, then linked. The one table that grows with the tree: by
//! the files met so far whose other names were not.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::stat::{Id, Kind, Stat};

use crate::copy::names::entry::{Entry, Stop, Waiting};
use crate::copy::names::make;
use crate::copy::options::{Make, Update};
use crate::copy::tree::directory::Directory;
use crate::copy::work::run::Run;
use crate::copy::work::worker::{Unit, Worker};

/// Where a file was copied to.
#[derive(Clone)]
pub(in crate::copy) struct Home {
    pub directory: Arc<Directory>,
    pub name: OsString,
    /// of the copy
    pub id: Option<Id>,
}

/// What is to be done about a name of a file.
pub(in crate::copy) enum Claim {
    /// it is the first: copy it, then tell [`Links::copied`] or [`Links::failed`]
    Copy,
    /// it was copied: link to it
    Link(Home),
    /// another worker is copying it and will see to this name, too
    Waits,
}

enum State {
    Copying(Vec<Waiting>),
    Copied {
        home: Home,
        /// names that have not been met
        missing: u64,
    },
}

#[derive(Default)]
pub(in crate::copy) struct Links {
    table: Mutex<HashMap<Id, State>>,
}

impl Links {
    /// Claims the file `id`, one of whose `names` is this. `waiting` is for the case that another
    /// worker is at it.
    pub fn claim(&self, id: Id, names: u64, waiting: impl FnOnce() -> Waiting) -> Claim {
        let mut table = self.lock();
        match table.get_mut(&id) {
            None => {
                table.insert(id, State::Copying(Vec::new()));
                Claim::Copy
            }
            Some(State::Copying(waiters)) => {
                waiters.push(waiting());
                Claim::Waits
            }
            Some(State::Copied { home, missing }) => {
                let home = home.clone();
                // Links that are followed meet a file more often than it has names.
                *missing = missing.saturating_sub(1);
                if *missing == 0 && names > 1 {
                    table.remove(&id);
                }
                Claim::Link(home)
            }
        }
    }

    /// The first name was copied; who waits may be linked now.
    pub fn copied(&self, id: Id, names: u64, follows_links: bool, home: Home) -> Vec<Waiting> {
        let mut table = self.lock();
        let Some(State::Copying(waiters)) = table.remove(&id) else { return Vec::new() };
        let missing = if follows_links { u64::MAX } else { names.saturating_sub(1) };
        if missing > 0 {
            table.insert(id, State::Copied { home, missing });
        }
        waiters
    }

    /// It was not; who waits must try anew.
    pub fn failed(&self, id: Id) -> Vec<Waiting> {
        match self.lock().remove(&id) {
            Some(State::Copying(waiters)) => waiters,
            _ => Vec::new(),
        }
    }

    /// The copy can't have more names: another one is to be made, which those met from now on are
    /// linked to. False where somebody is making one already.
    pub fn claim_anew(&self, id: Id) -> bool {
        let mut table = self.lock();
        match table.get(&id) {
            Some(State::Copying(_)) => false,
            _ => {
                table.insert(id, State::Copying(Vec::new()));
                true
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Id, State>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// ---- names of the tree ----

/// A file that is left alone may still be one name of several: they become links of one another.
pub(super) fn relink(worker: &Worker<'_>, entry: &Entry<'_>, stat: &Stat) -> Result<(), Stop> {
    if worker.run.options.update != Update::Older || !has_several_names(worker, entry, stat) {
        return Ok(());
    }
    match worker.run.links.claim(stat.id(), stat.links, || entry.to_waiting()) {
        Claim::Copy => settle(worker.run, entry, stat, true, true),
        Claim::Link(home) => make::link_to(worker, entry, &home)?,
        Claim::Waits => return Err(Stop::Fine),
    }
    Ok(())
}

/// Tells those who wait for a file with several names what became of the first.
pub(in crate::copy) fn settle(run: &Run<'_>, entry: &Entry<'_>, stat: &Stat, claimed: bool, copied: bool) {
    if !claimed {
        return;
    }
    let waiting = match copied {
        true => {
            let id = entry.target().and_then(|target| target.stat(false).ok()).map(|stat| stat.id());
            let home = Home { directory: Arc::clone(entry.parent), name: entry.target_name.to_owned(), id };
            let follows = run.options.dereference.follows(true);
            run.links.copied(stat.id(), stat.links, follows, home)
        }
        false => run.links.failed(stat.id()),
    };
    waiting.into_iter().for_each(|waiting| run.queue.push(Unit::Entry(waiting)));
}

/// What claiming a name came to.
pub(in crate::copy) enum Claimed {
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

/// Claims a name that is to be copied.
pub(in crate::copy) fn claim(worker: &Worker<'_>, entry: &Entry<'_>, stat: &Stat) -> Result<Claimed, Stop> {
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
