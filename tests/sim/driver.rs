//! Drives a world through a plan, by the seed: what is asked when, what completes in which order
//! and how. The contract is that of the drivers in production.

use std::sync::Arc;

use fastrand::Rng;
use highwater::flow::SharedLevel;

use crate::op::{Asked, Kind, Op, Outcome};
use crate::plan::{Interleaving, Plan};
use crate::subject::{Bug, Subject};
use crate::verdict;
use crate::world::World;
use crate::{Check, ensure};

/// Far more than any plan takes; a pump that needs them all doesn't end.
const STEPS_MOST: u64 = 200_000;

pub struct Driver<'a> {
    plan: &'a Plan,
    rng: Rng,
    pub world: World,
    /// both sides had nothing to do since something last changed
    reader_idle: bool,
    writer_idle: bool,
    digester_idle: bool,
    reader_waits_until: Option<u64>,
    writer_waits_until: Option<u64>,
    /// virtual time in which nothing was in flight
    paced_ns: u64,
    given: u64,
    ended: bool,
}

impl<'a> Driver<'a> {
    pub fn new(plan: &'a Plan, bug: Option<Bug>, traced: bool) -> Driver<'a> {
        Driver::of(plan, Subject::new(plan.shape.clone(), bug), traced)
    }

    /// Of a pump that shares `level` with others.
    pub fn under(plan: &'a Plan, level: &Arc<SharedLevel>, traced: bool) -> Driver<'a> {
        Driver::of(plan, Subject::under(plan.shape.clone(), level), traced)
    }

    fn of(plan: &'a Plan, subject: Subject, traced: bool) -> Driver<'a> {
        let mut world = World::new(plan, subject);
        world.trace = traced.then(Vec::new);
        Driver {
            plan,
            rng: Rng::with_seed(plan.seed.rotate_left(32)),
            world,
            reader_idle: false,
            writer_idle: false,
            digester_idle: false,
            reader_waits_until: None,
            writer_waits_until: None,
            paced_ns: 0,
            given: 0,
            ended: false,
        }
    }

    pub fn run(&mut self) -> Check {
        while !self.world.subject.is_finished() {
            self.time_passes(self.world.steps);
            self.turn()?;
            ensure!(!self.is_stuck(), "a deadlock: nothing is in flight and nobody has anything to do");
        }
        self.end()
    }

    /// Asks, or tells, as the plan's interleaving has it. The pump must not be finished.
    pub fn turn(&mut self) -> Check {
        ensure!(self.world.steps < STEPS_MOST, "no end after {STEPS_MOST} steps");
        match self.plan.interleaving {
            Interleaving::Ring => self.turn_of_a_ring(),
            Interleaving::Threads => self.turn_of_a_thread(),
        }
    }

    /// Nothing is in flight, nobody has anything to do, and no time is waited for.
    pub fn is_stuck(&self) -> bool {
        let idle = self.reader_idle && self.writer_idle && self.digester_idle;
        let idle = idle && self.waits_until().is_none();
        idle && self.world.ops.is_empty() && !self.world.subject.is_finished()
    }

    fn waits_until(&self) -> Option<u64> {
        self.reader_waits_until.into_iter().chain(self.writer_waits_until).min()
    }

    pub fn reader_is_idle(&self) -> bool {
        self.reader_idle
    }

    /// Once the pump is finished.
    pub fn end(&mut self) -> Check {
        // A question that is still on its way may find that there is nothing to write.
        self.world.model.nothing_waits_for_a_digest()?;
        // A question to the source or the size of the target may still be on its way.
        while let Some(nth) = self.world.ops.iter().position(|op| is_question(op.kind)) {
            self.complete(nth)?;
        }
        verdict::waited(&self.world, self.plan, self.paced_ns)?;
        verdict::at_the_end(&mut self.world, self.plan)
    }

    /// The plan's events that don't depend on any operation.
    pub fn time_passes(&mut self, steps: u64) {
        if self.plan.cancel_at_step.is_some_and(|at| steps >= at) && !self.world.model.cancelled {
            self.world.cancel();
            self.something_changed();
        }
        if let Some(change) = self.plan.change.filter(|change| steps >= change.at_step) {
            self.world.source.len = change.to_bytes;
        }
    }

    /// Whoever had nothing to do asks again.
    pub fn something_changed(&mut self) {
        (self.reader_idle, self.writer_idle) = (false, false);
        (self.reader_waits_until, self.writer_waits_until) = (None, None);
        self.digester_idle = false;
    }

    /// Writes until none is left, then reads; whatever then becomes possible has to wait for a
    /// completion, so one must be on its way.
    fn turn_of_a_ring(&mut self) -> Check {
        self.ask_writes()?;
        (self.reader_idle, self.reader_waits_until) = (false, None);
        while !self.reader_idle && self.reader_waits_until.is_none() {
            self.ask_read()?;
            if self.world.ops.last().is_some_and(|op| matches!(op.kind, Kind::Map { .. } | Kind::Zero)) {
                self.complete(self.world.ops.len() - 1)?;
                self.ask_writes()?;
            }
        }
        if self.plan.shape.filled_by_caller {
            self.ask_writes()?;
        }
        self.ask_digest()?;
        match self.world.subject.is_finished() {
            true => Ok(()),
            false => self.complete_next(),
        }
    }

    fn ask_writes(&mut self) -> Check {
        (self.writer_idle, self.writer_waits_until) = (false, None);
        while !self.writer_idle {
            self.ask_write()?;
            if self.world.ops.last().is_some_and(|op| is_question(op.kind)) {
                self.complete(self.world.ops.len() - 1)?;
            }
        }
        Ok(())
    }

    fn turn_of_a_thread(&mut self) -> Check {
        let reads = !self.reader_idle && self.reader_waits_until.is_none() && !self.has_question(true);
        let writes = !self.writer_idle && !self.has_question(false);
        match self.rng.u32(0..4) {
            0 if reads => self.ask_read(),
            1 if writes => self.ask_write(),
            2 if !self.world.ops.is_empty() => self.complete_next(),
            3 if !self.digester_idle => self.ask_digest(),
            _ if reads => self.ask_read(),
            _ if writes => self.ask_write(),
            _ if !self.digester_idle => self.ask_digest(),
            _ => self.complete_next(),
        }
    }

    fn has_question(&self, reader: bool) -> bool {
        self.world.ops.iter().any(|op| is_question(op.kind) && matches!(op.kind, Kind::Map { .. }) == reader)
    }

    fn ask_read(&mut self) -> Check {
        if self.plan.shape.filled_by_caller {
            return self.caller_gives();
        }
        match self.world.ask_read()? {
            Asked::Idle => self.reader_idle = true,
            Asked::Until(at) => self.reader_waits_until = Some(at),
            Asked::Begun => self.begun(self.plan.read_ns),
        }
        Ok(())
    }

    fn caller_gives(&mut self) -> Check {
        let left = self.plan.source_bytes - self.given;
        let pump = &mut self.world.subject.pump;
        if left == 0 && !self.ended {
            pump.finish();
            self.ended = true;
            self.something_changed();
        } else if left == 0 || (self.plan.polite && pump.is_held()) {
            self.reader_idle = true;
        } else {
            let n = self.world.fill(self.rng.u64(1..=u64::from(self.plan.chunk_bytes)).min(left))?;
            self.given += u64::from(n);
            self.reader_idle = n == 0;
            self.writer_idle &= n == 0;
            self.digester_idle &= n == 0;
        }
        Ok(())
    }

    fn ask_write(&mut self) -> Check {
        match self.world.ask_write()? {
            // What a caller gathered may have been sealed by the question.
            Asked::Idle => (self.writer_idle, self.digester_idle) = (true, false),
            Asked::Until(at) => (self.writer_idle, self.writer_waits_until) = (true, Some(at)),
            Asked::Begun => self.begun(self.plan.write_ns),
        }
        Ok(())
    }

    /// One block at a time: the thread that looks asks again once it is done with one.
    fn ask_digest(&mut self) -> Check {
        match self.world.ask_digest()? {
            Asked::Idle => self.digester_idle = true,
            _ => self.begun(self.plan.write_ns),
        }
        Ok(())
    }

    fn begun(&mut self, most_ns: u64) {
        let due_ns = self.world.now_ns + self.rng.u64(0..most_ns);
        let op = self.world.ops.last_mut().expect("an operation has begun");
        op.due_ns = due_ns;
        // The other side may have something to do now: a slot was sealed, freed or taken. That lets
        // no pump in that a shared level has refused.
        self.reader_idle &= self.world.subject.pump.is_refused();
        (self.writer_idle, self.digester_idle) = (false, false);
    }

    /// What is due first completes, or time goes on to when the pace lets the reader go on.
    fn complete_next(&mut self) -> Check {
        let first = (0..self.world.ops.len()).min_by_key(|nth| self.world.ops[*nth].due_ns);
        match (first, self.waits_until()) {
            (None, None) => Ok(()),
            (None, Some(at)) => {
                ensure!(at > self.world.now_ns, "waits for a time that has passed");
                self.paced_ns += at - self.world.now_ns;
                self.world.now_ns = at;
                self.something_changed();
                Ok(())
            }
            (Some(nth), at) => {
                let due_ns = self.world.ops[nth].due_ns;
                if let Some(at) = at.filter(|at| *at < due_ns) {
                    self.world.now_ns = self.world.now_ns.max(at);
                    self.something_changed();
                    return Ok(());
                }
                self.world.now_ns = self.world.now_ns.max(due_ns);
                self.complete(nth)
            }
        }
    }

    fn complete(&mut self, nth: usize) -> Check {
        let outcome = self.outcome(nth);
        let op = self.world.ops[nth];
        if op.kind == Kind::Write && outcome != Outcome::Interrupted && self.rng.u32(0..4) == 0 {
            // Some of it reaches the target while it is still in flight, and may be all that does.
            let most = if let Outcome::Short(n) = outcome { n } else { op.transfer.len };
            if !matches!(outcome, Outcome::DirectRefused | Outcome::Nothing) {
                self.world.apply(nth, self.rng.u32(0..=most))?;
            }
        }
        self.something_changed();
        self.world.complete(nth, outcome)
    }

    fn outcome(&mut self, nth: usize) -> Outcome {
        let Op { kind, transfer: t, .. } = self.world.ops[nth];
        if kind == Kind::Write && self.plan.taken_by_caller {
            return Outcome::Full;
        }
        let faults = self.plan.faults;
        let rng = &mut self.rng;
        let happens = |rng: &mut Rng, chance: u32| chance > 0 && rng.u32(0..1024) < chance;
        match kind {
            Kind::Map { .. } | Kind::Search { .. } | Kind::Zero | Kind::Digest => Outcome::Full,
            Kind::Read if self.world.source.bad_in(t.offset, t.len).is_some() => {
                let bad = self.world.source.bad_in(t.offset, t.len).expect("it was just found");
                match (bad - t.offset) as u32 {
                    before if before > 0 && rng.bool() => Outcome::Short(before),
                    _ => Outcome::Fails(libc::EIO),
                }
            }
            Kind::Extend { size } => match self.plan.target_room {
                Some((room, libc::EFBIG)) if size > room => Outcome::Fails(libc::EFBIG),
                _ if happens(rng, faults.extend_fails) => Outcome::Fails(libc::EIO),
                _ => Outcome::Full,
            },
            Kind::Read | Kind::Write if happens(rng, faults.interrupted) => Outcome::Interrupted,
            Kind::Read | Kind::Write if t.direct && happens(rng, faults.direct_refused) => {
                Outcome::DirectRefused
            }
            Kind::Read if happens(rng, faults.read_fails) => Outcome::Fails(some_fault(rng)),
            Kind::Write if happens(rng, faults.write_fails) => Outcome::Fails(some_fault(rng)),
            Kind::Write if happens(rng, faults.write_of_nothing) => Outcome::Nothing,
            Kind::Read | Kind::Write => {
                let short = happens(rng, faults.short);
                let has_room = self.world.now_ns >= self.plan.room_comes_ns;
                let missing = |room: &(u64, i32)| room.1 != libc::ENOSPC || !has_room;
                let most = match self.plan.target_room.filter(missing) {
                    Some((room, errno)) if kind == Kind::Write && t.offset + u64::from(t.len) > room => {
                        match room.saturating_sub(t.offset) as u32 {
                            0 => return Outcome::Fails(errno),
                            fits => fits,
                        }
                    }
                    _ => t.len,
                };
                match short {
                    true => Outcome::Short(rng.u32(1..=most)),
                    false if most < t.len => Outcome::Short(most),
                    false => Outcome::Full,
                }
            }
        }
    }
}

fn some_fault(rng: &mut Rng) -> i32 {
    if rng.u32(0..4) == 0 { libc::ENXIO } else { libc::EIO }
}

/// Answered by the driver itself, not by the ring.
fn is_question(kind: Kind) -> bool {
    matches!(kind, Kind::Map { .. } | Kind::Search { .. } | Kind::Extend { .. })
}
