//! Drives a load: operations of one kind or mixed on one file, and how long each took.
//!
//! Which one comes next, and when, is [`flow::load`](crate::flow::load)'s business. Two drivers: over a
//! ring, and over pread and pwrite with a thread for each operation in flight. Both work beside the
//! thread that asks, so that an operation that hangs, or a system call, keeps nobody from telling of it:
//! what is out when patience ends is recorded with its age, which is a lower bound.

mod board;
mod content;
mod plain;
mod queue;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::error::{Cause, Error, Op};
use crate::flow::load::{Action, Arrival, Operation, Plan};
use crate::flow::{LevelStats, Marks, simulate};
use crate::latency::{Interval, Kind, Totals};
use crate::ring::Arena;
use crate::sys;
use crate::sys::cancel::Cancel;

use super::{Choice, News, Note, Service, Simulated, Stall, Stalls};
use board::Board;

/// What a load is told.
pub struct Setup {
    /// which operations
    pub plan: Plan,
    /// how many there are, one at least for each operation in flight, two where they read and write
    pub buffers: u16,
    /// on what; opened with O_DIRECT where the page cache is to be gone around
    pub file: Arc<OwnedFd>,
    /// what messages call it
    pub path: PathBuf,
    /// a device that does not exist stands before it
    pub simulated: Option<Arc<Simulated>>,
    /// which driver
    pub choice: Choice,
    /// how long an interval is
    pub interval: Option<Duration>,
    /// nothing has completed for so long: that is a stall. Zero: none is one
    pub stall_limit: Duration,
    /// how long is waited, after the end, for what is still out
    pub patience: Duration,
}

/// Hears of a load while it lasts, on the thread that asked for it.
pub trait Witness {
    /// An interval is over.
    fn interval(&mut self, interval: &Interval);
    /// Something hangs, or goes on.
    fn news(&mut self, news: &News);
}

/// Operations that never completed, as far as anybody waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// how many
    pub count: u64,
    /// the age of the oldest, from its submission
    pub oldest: Duration,
}

/// What a load came to.
pub struct Outcome {
    /// of every operation, those that are outstanding with their age
    pub latency: Totals,
    /// until nothing more was begun and what was in flight had completed
    pub elapsed: Duration,
    /// that have completed, syncs not counted
    pub operations: u64,
    /// that were read
    pub read_bytes: u64,
    /// that were written
    pub write_bytes: u64,
    /// operations that moved fewer bytes than a block
    pub short: u64,
    /// that were submitted and are still out
    pub outstanding: Outstanding,
    /// that arrived in an open loop, and were not submitted before its end
    pub waiting: u64,
    /// the most that waited at once
    pub most_waiting: u64,
    /// that held
    pub marks: Marks,
    /// of the bytes in flight
    pub level: LevelStats,
    /// it ended early, as more than [`MOST_WAITING`](crate::flow::load::MOST_WAITING) would have waited
    pub overrun: bool,
    /// it was stopped from outside
    pub interrupted: bool,
    /// operations that failed; the first one ends the load
    pub failures: u64,
    /// the first of them
    pub errors: Vec<Error>,
    /// when nothing completed for longer than the limit
    pub stalls: Vec<Stall>,
    /// io_uring did the work
    pub is_ring: bool,
    /// with registered buffers
    pub registered: bool,
    /// how many buffers there were
    pub buffers: u16,
    /// what could not be had
    pub notes: Vec<Note>,
}

/// How often the thread that asked looks around.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// No driver sleeps for longer, so that it sees when it is to stop.
const NAP: Duration = Duration::from_millis(50);

/// What drivers tell the thread that asked.
enum Message {
    Interval(Box<Interval>),
    Finished,
}

/// Carries a load out. Raising `cancel` ends it early: what is in flight completes, as far as patience
/// goes, and the outcome tells of all that was measured.
///
/// # Errors
/// Where it can't begin: io_uring demanded and refused, no memory, no thread. What fails later is in the
/// outcome.
pub fn run(setup: Setup, witness: &mut dyn Witness, cancel: &Cancel) -> Result<Outcome, Error> {
    let Setup { plan, buffers, file, path, simulated, choice, interval, stall_limit, patience } = setup;
    let arena = super::arena(plan.block_bytes, buffers)?;
    content::fill(&arena, plan.seed);
    let kinds: &[Kind] = if plan.arrival == Arrival::Closed { &Kind::SERVICE } else { &Kind::ALL };
    let (tell, told) = channel();
    let board = Arc::new(Board::new(plan, kinds, interval, path, cancel.clone(), tell));
    let begun = begin(choice, &board, &Ground { file, simulated, arena: Arc::clone(&arena) })?;
    let mut stalls = Stalls::new(stall_limit);
    let mut over_since = None;
    loop {
        let message = told.recv_timeout(LOOK_EVERY);
        let now = board.now();
        match message {
            Ok(Message::Interval(interval)) => witness.interval(&interval),
            Ok(Message::Finished) => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("the board holds a sender"),
        }
        if !stall_limit.is_zero() {
            let news = stalls.look(now, board.waits(), |_, lane| board.what(lane));
            news.iter().for_each(|news| witness.news(news));
        }
        if now >= plan.length || cancel.is_raised() || board.has_ended() {
            let since = *over_since.get_or_insert(now);
            if now - since >= patience {
                break;
            }
        }
    }
    let (mut outcome, last) = board.finish();
    while let Ok(message) = told.try_recv() {
        if let Message::Interval(interval) = message {
            witness.interval(&interval);
        }
    }
    if let Some(last) = last {
        witness.interval(&last);
    }
    outcome.stalls = stalls.finish(board.now());
    outcome.buffers = arena.buffers();
    (outcome.is_ring, outcome.registered, outcome.notes) = begun;
    Ok(outcome)
}

/// Which buffer an operation uses at its place: reads and writes have their own, so that what is written is
/// never what was read.
fn slot(plan: &Plan, action: Action, place: u16) -> u16 {
    match action {
        Action::Write if plan.read_percent > 0 => plan.depth + place,
        _ => place,
    }
}

/// What operations go to, and their buffers.
#[derive(Clone)]
struct Ground {
    file: Arc<OwnedFd>,
    simulated: Option<Arc<Simulated>>,
    arena: Arc<Arena>,
}

impl Ground {
    /// What a simulated device makes of an operation, where there is one.
    fn begin(&self, operation: Operation, len: u32) -> Option<Service> {
        let simulated = self.simulated.as_ref()?;
        let kind = match operation.action {
            Action::Read => simulate::Kind::Read,
            Action::Write => simulate::Kind::Write,
            Action::Sync => return Some(simulated.begin_sync()),
        };
        let offset = operation.offset;
        Some(simulated.begin(simulate::Operation { kind, offset, len, whole_sectors: true }))
    }
}

/// Begins the driver's threads; whether that is a ring, whether with registered buffers, and what could
/// not be had.
fn begin(choice: Choice, board: &Arc<Board>, ground: &Ground) -> Result<(bool, bool, Vec<Note>), Error> {
    let mut notes = Vec::new();
    if choice != Choice::Plain {
        sys::memlock::raise_to_hard();
        match queue::begin(board, ground)? {
            Ok(unregistered) => {
                notes.extend(unregistered.map(Note::Unregistered));
                return Ok((true, unregistered.is_none(), notes));
            }
            Err(errno) if choice == Choice::Ring => {
                return Err(Error::new(Op::Setup, "io_uring", Cause::NoRing(errno)));
            }
            Err(errno) => notes.push(Note::NoRing(errno)),
        }
    }
    plain::begin(board, ground)?;
    Ok((false, false, notes))
}

fn no_thread(error: &std::io::Error) -> Error {
    Error::new(Op::Setup, "a thread", Cause::Errno(crate::error::errno_of(error)))
}
