//! What a run tells: events as they happen, failures counted and kept, and whether what failed is tried
//! again.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Hitch, error_of};
use crate::error::{Cause, Error};
use crate::flow::{Failure, Losses, Reason, patience};
use crate::ring::errno::{Class, classify};

use crate::copy::content::open::Pair;
use crate::copy::content::source::INTERRUPTED;
use crate::copy::content::transfer::Names;
use crate::copy::events::{Event, Failed, Lost, Retried, Warning, Witness};
use crate::copy::metadata::{self, Subject};
use crate::copy::work::run::Run;

/// Who hears it, and what is kept for the report.
pub(in crate::copy) struct Telling<'a> {
    pub witness: &'a dyn Witness,
    keep_errors: bool,
    errors: Mutex<Vec<Error>>,
    warnings: Mutex<Vec<Warning>>,
    /// one event at a time
    speaking: Mutex<()>,
}

impl<'a> Telling<'a> {
    /// Every failure is kept where `keep_errors`, not only told.
    pub fn new(witness: &'a dyn Witness, keep_errors: bool) -> Telling<'a> {
        let (errors, warnings, speaking) = Default::default();
        Telling { witness, keep_errors, errors, warnings, speaking }
    }

    fn keep(&self, errors: impl IntoIterator<Item = Error>) {
        if self.keep_errors {
            self.errors.lock().unwrap_or_else(PoisonError::into_inner).extend(errors);
        }
    }

    /// Which failures there were, sorted by path, and what was warned of, in that order.
    pub fn finish(self) -> (Vec<Error>, Vec<Warning>) {
        let mut errors = self.errors.into_inner().unwrap_or_else(PoisonError::into_inner);
        errors.sort_by(|one, other| one.path.cmp(&other.path));
        (errors, self.warnings.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Run<'_> {
    pub fn tell(&self, event: &Event<'_>) {
        let _one = self.telling.speaking.lock().unwrap_or_else(PoisonError::into_inner);
        self.telling.witness.tell(event);
    }

    pub fn warn(&self, warning: Warning) {
        self.tell(&Event::Warned(&warning));
        self.telling.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    /// A failure. Where it is the answer to a demand to stop, it is none.
    pub fn fail(&self, failed: impl Into<Failed>) {
        let failed = failed.into();
        if self.cancel.is_raised() && failed.error.cause == Cause::Errno(INTERRUPTED) {
            if let Some(remains) = &failed.remains {
                self.tell(&Event::Stopped(remains));
            }
            return;
        }
        self.tally.failure();
        self.tell_failed(failed);
    }

    /// What could not be read and is zeros in the copy, which is a failure where it is anything.
    pub fn lose(&self, pair: &Pair, names: &dyn Names, losses: Losses) {
        if losses.is_empty() {
            return;
        }
        self.tally.failure();
        let (total, map) = (pair.source.known_length(), self.options.map.clone());
        let lost = Lost { source: names.source(), target: names.target(), losses, total, map };
        self.tell(&Event::Lost(&lost));
        self.telling.keep(lost.errors());
    }

    /// Whether anything is tried again.
    pub fn is_patient(&self) -> bool {
        self.options.retries > 0 || self.options.waits_for_room
    }

    /// A transfer is tried again, of a stream that begins at byte `base`.
    pub fn retry(&self, hitch: Hitch, source: &Path, target: &Path, base: u64) {
        let failure = Failure { offset: base + hitch.offset, reason: hitch.reason };
        let waits = matches!(hitch.reason, Reason::Write(errno) if classify(errno) == Class::Full);
        self.tell(&Event::Retried(&Retried {
            error: error_of(failure, None, source, target),
            attempt: hitch.attempt,
            most: (!waits).then_some(self.options.retries),
            pause: hitch.pause,
        }));
    }

    /// Whether something that failed for want of room is to be tried again: once there may be some, after
    /// a pause; `tries` counts.
    pub fn waits_for_room(&self, error: impl FnOnce() -> Error, errno: i32, tries: &mut u32) -> bool {
        let is_full = classify(errno) == Class::Full;
        if !self.options.waits_for_room || !is_full || self.should_stop() {
            return false;
        }
        *tries = tries.saturating_add(1);
        let pause = patience::pause(*tries, patience::LONGEST_PAUSE_FOR_ROOM);
        if *tries == 1 {
            let retried = Retried { error: error(), attempt: 1, most: None, pause };
            self.tell(&Event::Retried(&retried));
        }
        self.tally.retries(1);
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.should_stop() {
            thread::sleep(Duration::from_millis(20));
        }
        !self.should_stop()
    }

    fn tell_failed(&self, failed: Failed) {
        self.tell(&Event::Failed(&failed));
        self.telling.keep([failed.error]);
    }

    /// Gives a target the source's attributes; false where that failed, which was told. What could
    /// not be kept and did not have to be is told, too.
    pub fn keep_metadata(&self, subject: &Subject<'_>) -> bool {
        let kept = metadata::keep(subject, self.options, &mut |error| self.tell_failed(error.into()));
        if !kept {
            self.tally.failure();
        }
        kept
    }
}
