//! A large file whose parts several workers copy, so that it is not the tail of the run.
//!
//! Only a file without a name is split: until all parts are there nobody can see that its size
//! says more than is true.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::{End, Flow, error_of};
use crate::error::{Cause, Error, Op};
use crate::flow::{Length, Losses, Pump, Shape, Side, Visibility};
use crate::sys::stat::Kind;

use crate::copy::content::file;
use crate::copy::content::open::Pair;
use crate::copy::content::remains;
use crate::copy::content::setup;
use crate::copy::content::source::INTERRUPTED;
use crate::copy::job::Method;
use crate::copy::names::entry::{self, Entry, Stop, Waiting};
use crate::copy::tree::finish;
use crate::copy::trust::evidence::{self, Digested};
use crate::copy::work::run::Run;
use crate::copy::work::worker::{Unit, Worker};

/// From this size on a file is worth splitting.
const WORTH_SPLITTING_BYTES: u64 = 2 * PART_BYTES;
/// Each part but the last has so many bytes: some tenths of a second of a fast disk.
const PART_BYTES: u64 = 64 << 20;
/// A file has no more parts than that, however long it is: they have larger ones.
const MOST_PARTS: u64 = 256;

/// A file in parts.
pub(in crate::copy) struct Parts {
    waiting: Waiting,
    sides: (Side, Side),
    /// bytes of the source
    length: u64,
    /// of each part but the last, which may have more
    part_bytes: u64,
    left: AtomicUsize,
    moved: AtomicU64,
    /// bytes that the last part ended at
    end: AtomicU64,
    state: Mutex<State>,
}

struct State {
    pair: Option<Box<Pair>>,
    failure: Option<Error>,
    losses: Losses,
    /// of each part that has been copied, where that is kept
    digested: Vec<Option<io::Result<Digested>>>,
}

/// Whether several workers may have a use for a file so long.
pub(in crate::copy) fn may_be(length: Option<u64>) -> bool {
    length.is_some_and(|length| length >= WORTH_SPLITTING_BYTES)
}

/// Whether a file is to be copied in parts.
pub(super) fn are_worthwhile(run: &Run<'_>, pair: &Pair, length: Option<u64>) -> bool {
    // A journal knows how far a file is, not which of its parts.
    run.workers > 1
        && run.resume().is_none()
        && run.job.limit_bytes_per_s.is_none()
        && pair.source.stat.kind == Kind::Regular
        && pair.source.edge.base == Some(0)
        && pair.target.has_no_name()
        && may_be(length)
}

/// Hands all parts but the first to whoever is free, and copies that one.
pub(super) fn hand_out(worker: &mut Worker<'_>, entry: &Entry<'_>, pair: Box<Pair>, sides: (Side, Side)) {
    let length = pair.source.known_length().expect("only what has a length is split");
    let part_bytes = PART_BYTES * length.div_ceil(PART_BYTES * MOST_PARTS);
    let count = (length / part_bytes) as usize;
    let failure = pair.target.set_size(length).err();
    let failure = failure.map(|(op, cause)| entry.target_error(op, cause));
    let parts = Arc::new(Parts {
        waiting: entry.to_waiting(),
        sides,
        length,
        part_bytes,
        left: AtomicUsize::new(count),
        moved: AtomicU64::new(0),
        end: AtomicU64::new(length),
        state: Mutex::new(State {
            pair: Some(pair),
            failure,
            losses: Losses::default(),
            digested: (0..count).map(|_| None).collect(),
        }),
    });
    for index in 1..count {
        worker.run.queue.push(Unit::Part(Arc::clone(&parts), index));
    }
    copy_part(worker, &parts, 0);
}

/// Copies one part; whoever copies the last one completes the file.
pub(in crate::copy) fn copy_part(worker: &mut Worker<'_>, parts: &Arc<Parts>, index: usize) {
    let run = worker.run;
    if let Err(error) = move_part(worker, parts, index) {
        let mut state = parts.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failure.get_or_insert(error);
    }
    if parts.left.fetch_sub(1, Ordering::AcqRel) == 1 {
        complete(worker, parts);
        let Waiting { parent, places, .. } = &parts.waiting;
        finish::give_up_share(run, Arc::clone(parent), Some(places.clone()));
    }
}

fn move_part(worker: &mut Worker<'_>, parts: &Parts, index: usize) -> Result<(), Error> {
    let run = worker.run;
    let entry = parts.waiting.entry();
    let from = index as u64 * parts.part_bytes;
    let is_last = parts.length - from < 2 * parts.part_bytes;
    // The last one takes what has been added meanwhile, too.
    let (bytes, length) = match is_last {
        true => (parts.length - from, Length::Expected(parts.length - from)),
        false => (parts.part_bytes, Length::Exact(parts.part_bytes)),
    };
    let interrupted = || entry.target_error(Op::Write, Cause::Errno(INTERRUPTED));
    worker.be_about(&entry);
    let (mut source, mut target, pump) = {
        let mut state = parts.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failure.is_some() {
            return Ok(());
        }
        if run.cancel.is_raised() {
            return Err(interrupted());
        }
        let pair = state.pair.as_mut().expect("parts are copied before the file is complete");
        pair.source.edge.look_at_file_system();
        let engine = worker.engines.ring(run, Some(bytes))?;
        pair.goes_through(engine, false);
        let shape = setup::shape(run, engine, pair, parts.sides, length);
        let shape = Shape { visibility: Visibility::Fixed, ..shape };
        (pair.source.edge.share(), pair.target.edge.share(), Pump::under(shape, run.ledger.level()))
    };
    source.base = Some(from);
    target.base = Some(from);
    let engine = worker.engines.ring(run, Some(bytes))?;
    let (source_path, target_path) = (entry.source_path(), entry.target_path());
    let hears = |hitch| run.retry(hitch, &source_path, &target_path, from);
    let mut digests = run.evidence.as_ref().map(|evidence| evidence.of_stream(from));
    let flow = Flow::new(pump, engine.arena(), run.cancel, &run.ledger).hearing(&hears);
    let flow = match &mut digests {
        Some(digests) => flow.digested_by(digests.digester()),
        None => flow,
    };
    engine.run(&flow, &End::Edge(source), &End::Edge(target));
    let finished = flow.finish();
    let moved = finished.progress.completed_bytes;
    run.tally.bytes(moved);
    run.tally.retries(finished.retries);
    if !finished.losses.is_empty() {
        let mut state = parts.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.losses.add_all(&finished.losses, from);
    }
    run.used.add(if engine.is_ring() { Method::Ring } else { Method::Plain }, moved);
    parts.moved.fetch_add(moved, Ordering::Relaxed);
    let end = from + finished.completed_to;
    if is_last {
        parts.end.store(end, Ordering::Relaxed);
    }
    match finished.failure {
        Some(failure) => {
            let mut error = error_of(failure, Some(parts.length), &source_path, &target_path);
            error.offset = error.offset.map(|offset| offset + from);
            Err(error)
        }
        None if finished.cancelled => Err(interrupted()),
        None => {
            let digested = digests.map(|digests| digests.finish(end));
            parts.state.lock().unwrap_or_else(PoisonError::into_inner).digested[index] = digested;
            Ok(())
        }
    }
}

fn complete(worker: &mut Worker<'_>, parts: &Parts) {
    let run = worker.run;
    let entry = parts.waiting.entry();
    let (mut pair, failure, losses) = {
        let mut state = parts.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pair = state.pair.take().expect("a file is completed once");
        pair.digested =
            std::mem::take(&mut state.digested).into_iter().collect::<Option<_>>().map(evidence::join);
        (pair, state.failure.take(), std::mem::take(&mut state.losses))
    };
    let stat = pair.source.stat;
    run.used.add_direct(pair.source.edge.direct.is_some(), pair.target.edge.direct.is_some());
    let done = match failure {
        None => file::complete(run, &entry, pair, parts.end.load(Ordering::Relaxed), losses),
        Some(error) => {
            run.lose(&pair, &entry, losses);
            let written = parts.moved.load(Ordering::Relaxed);
            Err(Stop::Failed(remains::abandon(&mut pair, &entry, error, 0, written)))
        }
    };
    entry::settle_elsewhere(run, &entry, &stat, done);
}
