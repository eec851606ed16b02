//! A round: which step comes next, and what each batch says.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use super::super::batch::{self, HEAD_BYTES};
use super::super::record::{Record, fitting};
use super::units::{Run, take};
use super::{FileId, GATHERED_BYTES, Log, Phase, Started, Step};

impl Log {
    /// The journal can't be written to, or the target not be made durable: nothing more is said.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
        (self.announced, self.gathered, self.claims) = Default::default();
        self.files.iter_mut().flatten().for_each(|file| file.runs = VecDeque::new());
    }

    /// What is to be done at `now`; the same until [`Log::done`], while it isn't [`Step::Idle`].
    pub fn next(&mut self, now: Duration) -> Step<'_> {
        if self.phase == Phase::Idle {
            match self.due() {
                Some(at) if at <= now => self.begin_round(),
                at => return Step::Idle(at),
            }
        }
        match self.phase {
            Phase::Announce | Phase::Append => Step::Append { offset: self.end, bytes: &self.batch },
            Phase::SyncAnnounced | Phase::SyncJournal => Step::SyncJournal,
            Phase::Name => Step::Name(&self.named),
            Phase::SyncTarget => Step::SyncTarget,
            Phase::Idle | Phase::Closed => Step::Idle(None),
        }
    }

    /// When the next round is to begin; None while there is nothing to say.
    pub(super) fn due(&self) -> Option<Duration> {
        let oldest = self.oldest?;
        let at_once = self.hurried
            || !self.announced.is_empty()
            || self.unrecorded_bytes >= self.interval.bytes / 2
            || self.gathered.len() >= GATHERED_BYTES;
        Some(if at_once { Duration::ZERO } else { oldest + self.interval.time })
    }

    fn begin_round(&mut self) {
        self.rounds.0 += 1;
        self.hurried = false;
        let new: Vec<FileId> = (0..self.files.len()).map(FileId).filter(|id| self.needs_name(*id)).collect();
        self.batch = vec![0; HEAD_BYTES];
        self.batch.append(&mut self.announced);
        for id in &new {
            self.begin_file(*id);
        }
        self.named = new;
        match self.batch.len() > HEAD_BYTES {
            true => {
                self.announcements.0 += 1;
                self.frame();
                self.phase = Phase::Announce;
            }
            false => self.claim(),
        }
    }

    /// Whether a file is to get its part name in this round.
    fn needs_name(&self, id: FileId) -> bool {
        let Some(file) = &self.files[id.0] else { return false };
        let is_new = file.begun.is_none() && !file.started.part.is_empty() && !file.left;
        is_new && !file.finishing && file.completed_to >= self.unit_bytes
    }

    /// Puts a file's first record into the batch.
    fn begin_file(&mut self, id: FileId) {
        let at = self.end + self.batch.len() as u64;
        let file = self.files[id.0].as_mut().expect("it is there");
        let Started { path, source, inode, part } = &file.started;
        Record::Begun { source: *source, inode: *inode, part, path }.write(&mut self.batch);
        (file.begun, file.before) = (Some(at), at);
    }

    /// Gathers what is complete now, to be recorded once the target is durable.
    fn claim(&mut self) {
        self.claimed_bytes = self.unrecorded_bytes;
        self.oldest = None;
        let fitting = fitting(&self.gathered);
        let rest = self.gathered.split_off(fitting);
        self.batch = vec![0; HEAD_BYTES];
        self.batch.extend(mem::replace(&mut self.gathered, rest));
        for id in (0..self.files.len()).map(FileId) {
            self.claim_file(id);
        }
        if !self.gathered.is_empty() {
            self.oldest = Some(Duration::ZERO);
        }
        match self.batch.len() > HEAD_BYTES {
            true => {
                self.frame();
                self.phase = Phase::SyncTarget;
            }
            false => self.end_round(),
        }
    }

    fn claim_file(&mut self, id: FileId) {
        let unit_bytes = self.unit_bytes;
        let Some(file) = self.files[id.0].as_ref().filter(|file| !file.left && !file.is_mute) else { return };
        let whole = file.whole;
        let units = whole.map_or(file.completed_to / unit_bytes, |length| length.div_ceil(unit_bytes));
        // A new file is told of once it has a name.
        let is_named = file.begun.is_some() || file.started.part.is_empty() || whole.is_some();
        let has_more = units * unit_bytes > file.claimed_to && !file.runs.is_empty();
        if !is_named || whole.is_none() && (file.finishing || !has_more) {
            return;
        }
        if file.begun.is_none() {
            // It has its own name.
            self.files[id.0].as_mut().expect("it is there").started.part.clear();
            self.begin_file(id);
        }
        let file = self.files[id.0].as_mut().expect("it is there");
        let begun = file.begun.expect("it was begun just now");
        loop {
            let wanted = units - file.claimed_to / unit_bytes;
            let Run { zeros, digests } = take(&mut file.runs, wanted);
            let (before, from, at) = (file.before, file.claimed_to, self.end + self.batch.len() as u64);
            let taken = zeros + digests.len() as u64;
            let is_last = taken == wanted || file.runs.is_empty();
            let digests = digests.as_flattened();
            file.claimed_to += taken * unit_bytes;
            file.before = at;
            match whole.filter(|_| is_last) {
                Some(length) => {
                    Record::Whole { begun, before, from, zeros, length, digests }.write(&mut self.batch);
                    return self.wholes.push(id);
                }
                None => Record::Durable { begun, before, from, zeros, digests }.write(&mut self.batch),
            }
            if is_last {
                return;
            }
        }
    }

    fn frame(&mut self) {
        self.number += 1;
        batch::frame(&mut self.batch, self.number, self.nonce);
    }

    /// The step that [`Log::next`] told is carried out.
    pub fn done(&mut self) {
        match self.phase {
            Phase::Announce | Phase::Append => {
                self.end += self.batch.len() as u64;
                self.phase = match self.phase {
                    Phase::Announce => Phase::SyncAnnounced,
                    _ => Phase::SyncJournal,
                };
            }
            Phase::SyncAnnounced => {
                self.announcements.1 = self.announcements.0;
                match self.named.is_empty() {
                    true => self.claim(),
                    false => self.phase = Phase::Name,
                }
            }
            Phase::Name => {
                self.named.clear();
                self.claim();
            }
            Phase::SyncTarget => self.phase = Phase::Append,
            Phase::SyncJournal => self.end_round(),
            Phase::Idle | Phase::Closed => {}
        }
    }

    fn end_round(&mut self) {
        self.rounds.1 = self.rounds.0;
        self.unrecorded_bytes -= self.claimed_bytes;
        self.claimed_bytes = 0;
        self.phase = Phase::Idle;
        for id in mem::take(&mut self.wholes) {
            self.files[id.0] = None;
        }
        for file in &mut self.files {
            if file.as_ref().is_some_and(|file| file.left) {
                *file = None;
            }
        }
    }
}
