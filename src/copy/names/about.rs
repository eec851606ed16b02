//! The names of the entry that somebody is at, for whoever watches: where nothing hangs nobody asks, so
//! they are kept as they come, in memory that is used again for the next entry.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::post::Subject;

use crate::copy::names::entry::Entry;
use crate::copy::tree::directory::{Directory, Operand};

/// See the module.
#[derive(Default)]
pub(in crate::copy) struct About(Mutex<Names>);

#[derive(Default)]
struct Names {
    of: Option<Of>,
    /// in a directory; an operand has names of its own
    source: OsString,
    target: OsString,
}

enum Of {
    Operand(Arc<Operand>),
    Within(Arc<Directory>),
}

impl About {
    /// Those of `entry`.
    pub fn of(entry: &Entry<'_>) -> Arc<About> {
        let about = Arc::new(About::default());
        about.change(entry);
        about
    }

    /// From now on those of `entry`.
    pub fn change(&self, entry: &Entry<'_>) {
        let mut names = self.lock();
        match (&names.of, entry.is_operand()) {
            (_, true) => names.of = Some(Of::Operand(Arc::clone(entry.operand))),
            (Some(Of::Within(parent)), false) if Arc::ptr_eq(parent, entry.parent) => {}
            (_, false) => names.of = Some(Of::Within(Arc::clone(entry.parent))),
        }
        let Names { source, target, .. } = &mut *names;
        for (kept, name) in [(source, entry.source_name), (target, entry.target_name)] {
            kept.clear();
            kept.push(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subject for About {
    fn source(&self) -> PathBuf {
        let names = self.lock();
        match &names.of {
            Some(Of::Operand(operand)) => operand.source.clone(),
            Some(Of::Within(parent)) => parent.source_path().join(&names.source),
            None => PathBuf::new(),
        }
    }

    fn target(&self) -> PathBuf {
        let names = self.lock();
        match &names.of {
            Some(Of::Operand(operand)) => operand.target.clone(),
            Some(Of::Within(parent)) => parent.target_path().join(&names.target),
            None => PathBuf::new(),
        }
    }
}
