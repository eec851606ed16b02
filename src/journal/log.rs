//! What is to be written down, and when: the state of a journal that grows.
//!
//! A round is: tell of what is about to be made (where anything is), make the target durable, append
//! what was complete before that began, make the journal durable. [`Log::next`] hands out one step
//! after the other, [`Log::done`] is told when it is carried out; copies go on meanwhile, and what
//! they complete is for the next round.

mod round;
mod units;

use std::collections::VecDeque;
use std::time::Duration;

use crate::digest::Digest;

use super::batch::{Header, Nonce};
use super::reader::Reader;
use super::record::{Identity, PATH_MOST, Record};
use units::Run;

/// How often a round begins.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// what is complete waits no longer for the next round
    pub time: Duration,
    /// nothing more is copied while so many bytes are complete and not recorded: with half of them a
    /// round begins, so that copies need not wait for its end
    pub bytes: u64,
}

impl Default for Interval {
    fn default() -> Interval {
        Interval { time: Duration::from_millis(250), bytes: 64 << 20 }
    }
}

/// Records are not gathered for longer where they are so many, in bytes; nor beyond twice that.
const GATHERED_BYTES: usize = 512 << 10;

/// A file that is being copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(usize);

/// What is known of a file before anything of it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// which, as in [`Record`]
    pub path: Vec<u8>,
    /// from what
    pub source: Identity,
    /// of the target
    pub inode: u64,
    /// the name that it is to have until it is complete, once that is recorded; empty: it has its own
    pub part: Vec<u8>,
}

/// What is to be done for the journal now.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// nothing before then, or before something is told
    Idle(Option<Duration>),
    /// write to the journal
    Append {
        /// where
        offset: u64,
        /// what
        bytes: &'a [u8],
    },
    /// make the journal durable
    SyncJournal,
    /// give these files the names that were recorded; tell [`Log::mute`] of one that gets none
    Name(&'a [FileId]),
    /// make durable what is with the target now, names included
    SyncTarget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Announce,
    SyncAnnounced,
    Name,
    SyncTarget,
    Append,
    SyncJournal,
    /// the journal can't be written to: nothing more is said
    Closed,
}

#[derive(Clone, Debug)]
struct File {
    started: Started,
    /// where its [`Record::Begun`] is, once it is in a batch
    begun: Option<u64>,
    before: u64,
    /// everything before it is in a batch
    claimed_to: u64,
    /// everything before it is with the target
    completed_to: u64,
    /// of what lies behind `claimed_to`, in the order of the file
    runs: VecDeque<Run>,
    /// nothing is said before it is whole
    finishing: bool,
    /// nothing is said at all
    is_mute: bool,
    /// it is complete, and so long
    whole: Option<u64>,
    /// nobody asks for it any more
    left: bool,
}

impl File {
    /// Nothing of it is complete.
    fn new(started: Started) -> File {
        File {
            started,
            begun: None,
            before: 0,
            claimed_to: 0,
            completed_to: 0,
            runs: VecDeque::new(),
            finishing: false,
            is_mute: false,
            whole: None,
            left: false,
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Log {
    interval: Interval,
    unit_bytes: u64,
    nonce: Nonce,
    number: u64,
    /// where the next batch goes
    end: u64,
    phase: Phase,
    files: Vec<Option<File>>,
    /// records of what is about to be made
    announced: Vec<u8>,
    /// records of what is complete, for the next round
    gathered: Vec<u8>,
    /// records for this round, once the target is durable
    claims: Vec<u8>,
    /// that are whole by this round's claims
    wholes: Vec<FileId>,
    named: Vec<FileId>,
    batch: Vec<u8>,
    unrecorded_bytes: u64,
    claimed_bytes: u64,
    oldest: Option<Duration>,
    hurried: bool,
    /// rounds that began and ended
    rounds: (u64, u64),
    /// batches of announcements that were begun and are durable
    announcements: (u64, u64),
}

impl Log {
    /// A new journal, and its first batch, to be written at its start and made durable before
    /// anything in the target is touched. None where the header is too long for one.
    pub fn begin(header: &Header, nonce: Nonce, interval: Interval) -> Option<(Log, Vec<u8>)> {
        let first = header.batch(nonce)?;
        Some((Log::from(header, interval, nonce, 0, first.len() as u64), first))
    }

    /// A journal that was read to its end, where it is to go on.
    pub fn resume(header: &Header, reader: &Reader, interval: Interval) -> Log {
        Log::from(header, interval, reader.nonce(), reader.number(), reader.believed_to())
    }

    fn from(header: &Header, interval: Interval, nonce: Nonce, number: u64, end: u64) -> Log {
        Log {
            interval,
            unit_bytes: u64::from(header.unit_bytes),
            nonce,
            number,
            end,
            phase: Phase::Idle,
            files: Vec::new(),
            announced: Vec::new(),
            gathered: Vec::new(),
            claims: Vec::new(),
            wholes: Vec::new(),
            named: Vec::new(),
            batch: Vec::new(),
            unrecorded_bytes: 0,
            claimed_bytes: 0,
            oldest: None,
            hurried: false,
            rounds: (0, 0),
            announcements: (0, 0),
        }
    }

    // ---- what copies tell ----

    /// A file is going to be copied from its beginning. None where its path is too long to be
    /// recorded.
    pub fn start(&mut self, started: Started) -> Option<FileId> {
        self.add(File::new(started))
    }

    /// A file goes on behind its first `believed` bytes, whole units, that earlier records hold:
    /// its [`Record::Begun`] is at `begun`, the last one that says something of those bytes at
    /// `before`.
    pub fn go_on(&mut self, started: Started, begun: u64, before: u64, believed: u64) -> Option<FileId> {
        assert!(believed.is_multiple_of(self.unit_bytes), "what is believed is whole units");
        let (begun, claimed_to, completed_to) = (Some(begun), believed, believed);
        self.add(File { begun, before, claimed_to, completed_to, ..File::new(started) })
    }

    fn add(&mut self, file: File) -> Option<FileId> {
        if file.started.path.len().max(file.started.part.len()) > PATH_MOST {
            return None;
        }
        let free = self.files.iter().position(Option::is_none).unwrap_or(self.files.len());
        if free == self.files.len() {
            self.files.push(None);
        }
        self.files[free] = Some(file);
        Some(FileId(free))
    }

    fn file(&mut self, id: FileId) -> &mut File {
        self.files[id.0].as_mut().expect("a file that was not left is there")
    }

    /// The next units of the file, in its order. They may be anywhere yet.
    pub fn digested(&mut self, id: FileId, digests: &[Digest]) {
        if self.is_silent(id) {
            return;
        }
        let runs = &mut self.file(id).runs;
        if runs.is_empty() {
            runs.push_back(Run::default());
        }
        runs.back_mut().expect("there is one").digests.extend(digests);
    }

    /// The next units of the file are zeros, which may be a hole.
    pub fn zeros(&mut self, id: FileId, units: u64) {
        if self.is_silent(id) || units == 0 {
            return;
        }
        let runs = &mut self.file(id).runs;
        match runs.back_mut() {
            Some(run) if run.digests.is_empty() => run.zeros += units,
            _ => runs.push_back(Run { zeros: units, digests: Vec::new() }),
        }
    }

    fn is_silent(&mut self, id: FileId) -> bool {
        self.phase == Phase::Closed || self.file(id).is_mute
    }

    /// Everything before `to` is with the target.
    pub fn completed(&mut self, id: FileId, to: u64, now: Duration) {
        if self.is_silent(id) {
            return;
        }
        let file = self.file(id);
        let more = to.saturating_sub(file.completed_to);
        file.completed_to += more;
        if more > 0 {
            self.something_new(more, now);
        }
    }

    /// All of the file's content is with the target: nothing more is said of it before
    /// [`Log::whole`]. True where it has a part name, or is about to get it, which it is to keep
    /// until it is recorded as whole; else it never gets one, and must have its own name before.
    pub fn finish(&mut self, id: FileId) -> bool {
        let file = self.file(id);
        file.finishing = true;
        file.begun.is_some() && !file.started.part.is_empty() && !file.is_mute
    }

    /// All of the file, so long, is with the target, its attributes included; what was digested
    /// reaches to its end. After [`Log::finish`]; the file is left with that. The round in which it
    /// is recorded.
    pub fn whole(&mut self, id: FileId, length: u64, now: Duration) -> u64 {
        if self.is_silent(id) {
            self.leave(id);
            return self.rounds.0;
        }
        let file = self.file(id);
        let more = length.saturating_sub(file.completed_to);
        (file.completed_to, file.whole) = (length, Some(length));
        let is_one_run = file.runs.len() <= 1 && file.runs.front().is_none_or(|run| run.zeros == 0);
        if file.begun.is_none() && is_one_run {
            let file = self.files[id.0].take().expect("it is there");
            let digests = file.runs.front().map(|run| &run.digests[..]).unwrap_or_default();
            self.write_copied(&file.started, length, digests);
        }
        self.something_new(more, now);
        self.ticket()
    }

    /// A file was copied at once, and has its name.
    pub fn copied(&mut self, started: &Started, length: u64, digests: &[Digest], now: Duration) {
        if self.phase != Phase::Closed && started.path.len() <= PATH_MOST {
            self.write_copied(started, length, digests);
            self.something_new(length, now);
        }
    }

    fn write_copied(&mut self, started: &Started, length: u64, digests: &[Digest]) {
        let Started { path, source, inode, .. } = started;
        let digests = digests.as_flattened();
        Record::Copied { source: *source, inode: *inode, length, path, digests }.write(&mut self.gathered);
    }

    /// A directory is about to be made; as soon as [`Log::is_announced`] says so of the number that
    /// is given back, it may be. None where its path is too long.
    pub fn will_make(&mut self, path: &[u8], now: Duration) -> Option<u64> {
        if path.len() > PATH_MOST || self.is_closed() {
            return None;
        }
        Record::Made { inode: 0, path }.write(&mut self.announced);
        self.something_new(0, now);
        Some(self.announcements.0 + 1)
    }

    /// It was made.
    pub fn made(&mut self, path: &[u8], inode: u64, now: Duration) {
        if self.is_closed() {
            return;
        }
        Record::Made { inode, path }.write(&mut self.gathered);
        self.something_new(0, now);
    }

    /// Nothing more is said of a file that is not whole: it is going away, or is left as it is.
    pub fn leave(&mut self, id: FileId) {
        let is_in_round = !matches!(self.phase, Phase::Idle | Phase::Closed);
        let file = &mut self.files[id.0];
        match (is_in_round, file) {
            (true, Some(file)) => (file.left, file.runs) = (true, VecDeque::new()),
            (_, file) => *file = None,
        }
    }

    /// A file can't get its part name: nothing is said of it.
    pub fn mute(&mut self, id: FileId) {
        let file = self.file(id);
        (file.is_mute, file.runs) = (true, VecDeque::new());
    }

    /// What was told so far is recorded as soon as may be; the round in which.
    pub fn hurry(&mut self) -> u64 {
        if self.oldest.is_none() {
            return self.rounds.0;
        }
        self.hurried = true;
        self.ticket()
    }

    /// The round that will have what is told now.
    fn ticket(&self) -> u64 {
        match self.phase {
            // What is complete has yet to be gathered.
            Phase::Announce | Phase::SyncAnnounced | Phase::Name => self.rounds.0,
            _ => self.rounds.0 + 1,
        }
    }

    fn something_new(&mut self, bytes: u64, now: Duration) {
        self.unrecorded_bytes += bytes;
        self.oldest.get_or_insert(now);
    }

    // ---- what copies ask ----

    /// Whether a round is over, for good or because there will be no more.
    pub fn is_recorded(&self, round: u64) -> bool {
        self.rounds.1 >= round || self.is_closed()
    }

    /// Whether what [`Log::will_make`] told is durable, or will never be.
    pub fn is_announced(&self, number: u64) -> bool {
        self.announcements.1 >= number || self.is_closed()
    }

    /// Whether copies are to wait until more is recorded.
    pub fn is_full(&self) -> bool {
        !self.is_closed()
            && (self.unrecorded_bytes >= self.interval.bytes || self.gathered.len() >= 2 * GATHERED_BYTES)
    }

    /// Whether the journal was given up.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether there is anything to record.
    pub fn has_news(&self) -> bool {
        self.oldest.is_some()
    }

    /// Whether a round is due at once.
    pub fn is_urgent(&self) -> bool {
        self.due() == Some(Duration::ZERO)
    }

    /// How much of a file is in a batch, in bytes; None where it was not begun.
    pub fn recorded_to(&self, id: FileId) -> Option<u64> {
        let file = self.files[id.0].as_ref().filter(|file| !file.is_mute && !self.is_closed())?;
        file.begun.map(|_| file.claimed_to)
    }
}

#[cfg(test)]
mod tests;
