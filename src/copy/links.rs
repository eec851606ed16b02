//! Files with several names: copied once, then linked. The one table that grows with the tree: by
//! the files met so far whose other names were not.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::stat::Id;

use super::directory::Directory;
use super::entry::Waiting;

/// Where a file was copied to.
#[derive(Clone)]
pub(super) struct Home {
    pub directory: Arc<Directory>,
    pub name: OsString,
    /// of the copy
    pub id: Option<Id>,
}

/// What is to be done about a name of a file.
pub(super) enum Claim {
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
pub(super) struct Links {
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

    /// The copy is not there any more: another name must be copied.
    pub fn forget(&self, id: Id) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Id, State>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
