//! Writing: round after round, through the engine, with a thread beside that syncs and keeps the state.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Edge, End, Engine, Finished, Flow, Maker, error_of, post};
use crate::error::{Cause, Error, Op, errno_of};
use crate::flow::{Digesting, Holes, Length, Patience, Pump, Reason, Shape, Side, Visibility};
use crate::latency::Kind as Latency;
use crate::ring::errno::{Class, classify};

use super::checker::Expected;
use super::job::{Event, Report};
use super::keeper::Keeper;
use super::memory::Looks;
use super::run::Run;

/// What was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    /// the round that was begun last
    generation: u64,
    /// all before it, in bytes, is of that round
    reached: u64,
    /// nothing behind it is
    is_exact: bool,
    /// could not be written: anything may be there
    unwritten: Vec<Range<u64>>,
    /// what is to be checked ends here
    pub end: u64,
    /// it is worth checking, also where something failed
    pub is_checked: bool,
}

/// After so many places that can't be written the target is given up.
const MOST_UNWRITTEN: usize = 64;

impl Written {
    /// What the block at `offset` should hold.
    pub fn expected(&self, offset: u64) -> Expected {
        let newest = self.generation;
        let is_in = |range: &Range<u64>| range.contains(&offset);
        match offset < self.reached {
            _ if self.unwritten.iter().any(is_in) => Expected { durable: 0, newest },
            true => Expected::exactly(newest),
            false if self.is_exact => Expected::exactly(newest - 1),
            false => Expected { durable: newest - 1, newest },
        }
    }
}

/// How a round ended.
enum Ended {
    Whole,
    /// its time was over
    Cut,
    Cancelled,
    /// something failed, which was told
    Failed,
}

/// By what a round is written.
struct Means<'m, 'r, 'k> {
    engine: &'m Engine,
    edge: &'m Edge,
    side: Side,
    beside: &'m Beside<'r, 'k>,
    deadline: Option<Instant>,
}

/// What the thread beside knows of the round.
struct Beside<'r, 'k> {
    run: &'r Run<'r>,
    keeper: Mutex<&'k mut Keeper>,
    generation: AtomicU64,
    /// bytes of the round that are with the target, from the start on
    reached: AtomicU64,
}

impl Run<'_> {
    /// Writes for as long as is asked, then syncs. What fails is told.
    pub fn write(&self, engine: &Engine, keeper: &mut Keeper, report: &mut Report) -> Written {
        let start = Instant::now();
        let mut written = Written { is_exact: true, ..Written::default() };
        let (edge, side) = match self.target.to_write(self.job.direct) {
            Ok(edge) => edge,
            Err(error) => {
                self.fail(error);
                return written;
            }
        };
        report.direct.0 = edge.direct.is_some();
        if self.job.lasts.is_none() {
            self.ledger.meter().set_total(self.target.size);
        }
        let deadline = self.job.lasts.map(|lasts| start + lasts);
        let beside = Beside {
            run: self,
            keeper: Mutex::new(keeper),
            generation: AtomicU64::new(0),
            reached: AtomicU64::new(0),
        };
        let beside = &beside;
        let (stop, stopped) = channel();
        let memory = thread::scope(|scope| {
            let syncer = thread::Builder::new().name("sync".into());
            let syncer = match syncer.spawn_scoped(scope, move || beside.look_after(start, &stopped)) {
                Ok(syncer) => syncer,
                Err(error) => {
                    self.fail(Error::new(Op::Setup, "a thread", Cause::Errno(errno_of(&error))));
                    return Looks::default();
                }
            };
            let means = Means { engine, edge: &edge, side, beside, deadline };
            self.write_rounds(&means, &mut written);
            drop(stop);
            syncer.join().unwrap_or_default()
        });
        report.rounds = written.generation;
        report.interrupted |= self.is_cancelled();
        let will_be_gone = self.target.is_made && !self.job.keep;
        if written.generation > 0 && !(report.interrupted && will_be_gone) {
            self.end(beside, &written);
        }
        report.memory = memory.finish();
        report.writing = start.elapsed();
        report.written_bytes = self.ledger.meter().look().completed;
        if let Err(errno) = edge.close() {
            self.fail(Error::new(Op::Close, &self.target.path, Cause::Errno(errno as i32)));
        }
        let first = written.generation <= 1;
        written.end = if first && written.is_exact { written.reached } else { self.target.size };
        written.is_checked = written.generation > 0 && written.end > 0;
        written
    }

    fn write_rounds(&self, means: &Means<'_, '_, '_>, written: &mut Written) {
        let Means { beside, deadline, .. } = *means;
        loop {
            if let Err(error) = beside.begin_round(written.generation + 1) {
                return self.fail(error);
            }
            written.generation += 1;
            written.reached = 0;
            written.is_exact = true;
            (self.hears)(&Event::Round(written.generation));
            match self.write_round(means, written) {
                Ended::Whole if deadline.is_some_and(|deadline| Instant::now() < deadline) => {}
                Ended::Whole | Ended::Cut => return,
                Ended::Cancelled | Ended::Failed => {
                    written.is_exact = false;
                    return;
                }
            }
            // So that the state of the next round promises all of this one.
            if let Err(errno) = beside.sync() {
                return self.fail(self.sync_failed(errno));
            }
        }
    }

    fn write_round(&self, means: &Means<'_, '_, '_>, written: &mut Written) -> Ended {
        let engine = means.engine;
        let block = u64::from(engine.arena().block_bytes());
        let mut holes = false;
        let whole = 0..self.target.size;
        let mut next = vec![whole];
        while let Some(range) = next.pop() {
            let finished = self.write_range(means, range.clone(), holes, written);
            let reached = range.start + finished.completed_to;
            if !holes {
                written.reached = reached;
            }
            let Some(failure) = finished.failure.map(|failure| failure.behind(range.start)) else {
                match finished.cancelled {
                    true => return Ended::Cancelled,
                    false if reached < range.end => return Ended::Cut,
                    false => continue,
                }
            };
            self.fail(error_of(failure, None, &self.target.path, &self.target.path));
            let is_fault = matches!(failure.reason, Reason::Write(errno) if classify(errno) == Class::Fault);
            if !is_fault || written.unwritten.len() >= MOST_UNWRITTEN {
                return Ended::Failed;
            }
            // This block can't be written: those before it that were not, and those behind it.
            let start = range.start + (failure.offset - range.start) / block * block;
            let end = (start + block).min(range.end);
            written.unwritten.push(start..end);
            holes = true;
            next.extend(
                [end..range.end, reached.min(start)..start].into_iter().filter(|range| !range.is_empty()),
            );
        }
        written.reached = self.target.size;
        Ended::Whole
    }

    fn write_range(
        &self,
        means: &Means<'_, '_, '_>,
        range: Range<u64>,
        holes: bool,
        written: &Written,
    ) -> Finished {
        let Means { engine, edge, side, beside, deadline } = *means;
        let (pattern, generation) = (self.pattern, written.generation);
        let (base, length) = (range.start, range.end - range.start);
        let make: Maker = Box::new(move |offset, bytes| {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return 0;
            }
            let len = bytes.len().min((length - offset) as usize);
            pattern.fill(base + offset, generation, &mut bytes[..len]);
            len
        });
        let arena = engine.arena();
        let shape = Shape {
            block_bytes: arena.block_bytes(),
            slots: arena.buffers(),
            marks: self.marks,
            source: Side::SEEKABLE,
            target: side,
            length: Length::Unknown,
            sparse: false,
            holes: Holes::Zeros,
            find_zeros: false,
            fill_blocks: true,
            filled_by_caller: false,
            visibility: Visibility::Fixed,
            digesting: Digesting::Off,
            limit_bytes_per_s: self.job.limit_bytes_per_s,
            patience: Patience::default(),
        };
        let flow = Flow::new(Pump::under(shape, self.ledger.level()), arena, &self.cancel, &self.ledger);
        let flow = flow.followed_by(Box::new(move |to| {
            if !holes {
                beside.reached.store(base + to, Ordering::Release);
            }
        }));
        let mut edge = edge.share();
        edge.base = Some(base);
        engine.run(&flow, &End::Made(make), &End::Edge(edge));
        flow.finish()
    }

    /// All that was written is made durable, and the state says so.
    fn end(&self, beside: &Beside<'_, '_>, written: &Written) {
        self.ledger.meter().begin_sync();
        if let Err(errno) = beside.sync() {
            return self.fail(self.sync_failed(errno));
        }
        let first_hole = written.unwritten.iter().map(|range| range.start).min();
        let synced = written.reached.min(first_hole.unwrap_or(u64::MAX));
        let is_complete = written.is_exact && written.unwritten.is_empty();
        let saved = beside.keeper().save(|state| {
            state.synced = synced;
            state.is_complete = is_complete;
        });
        if let Err(error) = saved {
            self.fail(error);
        }
    }

    fn sync_failed(&self, errno: i32) -> Error {
        Error::new(Op::Sync, &self.target.path, Cause::Errno(errno))
    }
}

impl<'k> Beside<'_, 'k> {
    fn keeper(&self) -> MutexGuard<'_, &'k mut Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state says that this round has begun, before anything of it is written.
    fn begin_round(&self, generation: u64) -> Result<(), Error> {
        let mut keeper = self.keeper();
        keeper.save(|state| {
            (state.generation, state.synced, state.is_complete) = (generation, 0, false);
        })?;
        self.reached.store(0, Ordering::Release);
        self.generation.store(generation, Ordering::Release);
        Ok(())
    }

    /// fsync(2) of the target.
    fn sync(&self) -> Result<(), i32> {
        let started = self.run.ledger.now();
        let synced = post::during(Op::Sync, || self.run.target.sync());
        self.run.ledger.record(Latency::Sync, started);
        synced.map_err(|errno| errno as i32)
    }

    /// The thread's life: syncs from time to time, and looks how much memory the process has.
    fn look_after(&self, start: Instant, stopped: &Receiver<()>) -> Looks {
        self.run.ledger.meter().open_post();
        let path = self.run.target.path.clone();
        post::be_about(Arc::new((path.clone(), path)));
        let tick = self.run.job.sync_every.min(Duration::from_secs(1));
        let (mut synced, mut looks) = (Instant::now(), Looks::default());
        while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
            looks.look(start.elapsed());
            if synced.elapsed() < self.run.job.sync_every {
                continue;
            }
            let (generation, reached) =
                (self.generation.load(Ordering::Acquire), self.reached.load(Ordering::Acquire));
            if let Err(errno) = self.sync() {
                self.run.fail(self.run.sync_failed(errno));
                return looks;
            }
            synced = Instant::now();
            let mut keeper = self.keeper();
            let is_news = keeper.state.generation == generation && keeper.state.synced < reached;
            if is_news && let Err(error) = keeper.save(|state| state.synced = reached) {
                drop(keeper);
                self.run.fail(error);
                return looks;
            }
        }
        looks
    }
}
