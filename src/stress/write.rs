//! Writing: round after round, through the engine.

use std::ops::Range;
use std::time::Instant;

use crate::engine::{Edge, End, Engine, Finished, Flow, Maker, error_of};
use crate::error::{Cause, Error, Op};
use crate::flow::{Failure, Length, Pump, Reason, Side};
use crate::ring::errno::{Class, classify};

use super::beside::Beside;
use super::job::{Event, Report};
use super::keeper::Keeper;
use super::run::Run;
use super::written::Written;

/// After so many places that can't be written the target is given up.
const MOST_UNWRITTEN: usize = 64;

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

impl Run<'_> {
    /// Writes for as long as is asked, then syncs. What fails is told.
    pub fn write(&self, engine: &Engine, keeper: &mut Keeper, report: &mut Report) -> Written {
        let start = Instant::now();
        let mut written = Written::nothing();
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
        let beside = Beside::new(self, keeper);
        let means = Means { engine, edge: &edge, side, beside: &beside, deadline };
        let looks = beside.during(|| self.write_rounds(&means, &mut written));
        report.rounds = written.generation;
        report.interrupted |= self.is_cancelled();
        let will_be_gone = self.target.is_made && !self.job.keep;
        if written.generation > 0 && !(report.interrupted && will_be_gone) {
            self.tell(self.end(&beside, &written));
        }
        report.memory = looks.finish();
        report.writing = start.elapsed();
        report.written_bytes = self.ledger.meter().look().completed;
        let closed = edge.close();
        self.tell(
            closed.map_err(|errno| Error::new(Op::Close, &self.target.path, Cause::Errno(errno as i32))),
        );
        written.finish(self.target.size);
        written
    }

    fn tell(&self, done: Result<(), Error>) {
        if let Err(error) = done {
            self.fail(error);
        }
    }

    fn write_rounds(&self, means: &Means<'_, '_, '_>, written: &mut Written) {
        let Means { beside, deadline, .. } = *means;
        loop {
            if let Err(error) = beside.begin_round(written.generation + 1) {
                return self.fail(error);
            }
            written.begin_round();
            (self.hears)(&Event::Round(written.generation));
            match self.write_round(means, written) {
                Ended::Whole if deadline.is_some_and(|deadline| Instant::now() < deadline) => {}
                Ended::Whole => return,
                Ended::Cut | Ended::Cancelled | Ended::Failed => return,
            }
            // So that the state of the next round promises all of this one.
            if let Err(error) = beside.sync() {
                return self.fail(error);
            }
        }
    }

    fn write_round(&self, means: &Means<'_, '_, '_>, written: &mut Written) -> Ended {
        let whole = 0..self.target.size;
        let mut left = vec![whole];
        let ended = loop {
            let Some(range) = left.pop() else { break Ended::Whole };
            let finished = self.write_range(means, range.clone(), written);
            let reached = range.start + finished.completed_to;
            if !written.has_holes {
                written.reached = reached;
            }
            match finished.failure.map(|failure| failure.behind(range.start)) {
                None if finished.cancelled => break Ended::Cancelled,
                None if reached < range.end => break Ended::Cut,
                None => {}
                Some(failure) => {
                    self.fail(error_of(failure, None, &self.target.path, &self.target.path));
                    if !can_pass_over(failure, written) {
                        break Ended::Failed;
                    }
                    // This block can't be written: what is behind it, and before that what was not yet.
                    let block = u64::from(means.engine.arena().block_bytes());
                    let start = range.start + (failure.offset - range.start) / block * block;
                    let end = (start + block).min(range.end);
                    written.unwritten.push(start..end);
                    written.has_holes = true;
                    let parts = [end..range.end, reached.min(start)..start];
                    left.extend(parts.into_iter().filter(|part| !part.is_empty()));
                }
            }
        };
        match ended {
            Ended::Whole => written.reached = self.target.size,
            Ended::Cut => written.is_exact = !written.has_holes,
            Ended::Cancelled | Ended::Failed => written.is_exact = false,
        }
        ended
    }

    fn write_range(&self, means: &Means<'_, '_, '_>, range: Range<u64>, written: &Written) -> Finished {
        let Means { engine, edge, side, beside, deadline } = *means;
        let (pattern, generation, has_holes) = (self.pattern, written.generation, written.has_holes);
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
        let shape = self.shape(arena, Side::SEEKABLE, side, Length::Unknown);
        let flow = Flow::new(Pump::under(shape, self.ledger.level()), arena, &self.cancel, &self.ledger);
        let flow = flow.followed_by(Box::new(move |to| {
            if !has_holes {
                beside.has_come_to(base + to);
            }
        }));
        let mut edge = edge.share();
        edge.base = Some(base);
        engine.run(&flow, &End::Made(make), &End::Edge(edge));
        flow.finish()
    }

    /// All that was written is made durable, and the state says so.
    fn end(&self, beside: &Beside<'_, '_>, written: &Written) -> Result<(), Error> {
        self.ledger.meter().begin_sync();
        beside.sync()?;
        let first_hole = written.unwritten.iter().map(|range| range.start).min();
        let synced = written.reached.min(first_hole.unwrap_or(u64::MAX));
        beside.promise(synced, written.is_exact && written.unwritten.is_empty())
    }
}

/// Whether only some block is bad, and not too many are.
fn can_pass_over(failure: Failure, written: &Written) -> bool {
    matches!(failure.reason, Reason::Write(errno) if classify(errno) == Class::Fault)
        && written.unwritten.len() < MOST_UNWRITTEN
}
