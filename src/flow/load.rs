//! Which operation of a load comes next, and when: closed loop or open.
//!
//! In a closed loop an operation starts when there is a place for it. In an open one operations arrive
//! at their own times, whatever the target does; one that finds no place waits, and its time counts
//! from its arrival. Those that wait are not kept: two cursors go over the same sequence of arrivals,
//! one at what has arrived, one at what was submitted, and what lies between them waits. So a backlog
//! of any length takes the same few bytes, and it is counted to the operation.
//!
//! The marks are those of a copy, on the bytes of what is in flight; a read completes there, too.

mod arrivals;
mod random;

use std::time::Duration;

use super::marks::{Level, LevelStats, Marks};
use super::pace::Pace;
use arrivals::Arrivals;

pub use random::Random;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// reads a block
    Read,
    /// writes a block
    Write,
    /// makes what was written durable
    Sync,
}

/// When operations start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// closed loop: as soon as there is a place
    Closed,
    /// open loop: at even times
    Fixed {
        /// so many a second, more than 0
        per_s: f64,
    },
    /// open loop: at random times, exponentially distributed gaps (a Poisson process)
    Poisson {
        /// so many a second in the mean, more than 0
        per_s: f64,
    },
}

impl Arrival {
    /// The rate of an open loop.
    pub fn per_s(self) -> Option<f64> {
        match self {
            Arrival::Closed => None,
            Arrival::Fixed { per_s } | Arrival::Poisson { per_s } => Some(per_s),
        }
    }
}

/// What a load consists of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// so many of a hundred operations are reads, the rest writes
    pub read_percent: u8,
    /// blocks in random order; else one after the other, and from the start again
    pub random: bool,
    /// of each operation, in bytes
    pub block_bytes: u32,
    /// how many there are, at least 1
    pub blocks: u64,
    /// so many operations are in flight at most, at least 1
    pub depth: u16,
    /// and at most so many bytes, a block or more; what is beyond `depth` blocks says nothing
    pub high_water_bytes: u64,
    /// once that is reached none starts until so few are in flight, below it; None: until there is room
    pub low_water_bytes: Option<u64>,
    /// at most so many bytes a second start
    pub limit_bytes_per_s: Option<u64>,
    /// when they start
    pub arrival: Arrival,
    /// none starts, or arrives, from this time on
    pub length: Duration,
    /// nor more than so many, syncs not counted
    pub operations: u64,
    /// after so many writes comes a sync
    pub sync_every: Option<u64>,
    /// of all that is random
    pub seed: u64,
}

/// One operation, to be submitted now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operation {
    /// counted from 0, a sync's like that of the write before it
    pub number: u64,
    /// what it does
    pub action: Action,
    /// where, in bytes
    pub offset: u64,
    /// when it was meant to start, in an open loop
    pub intended: Option<Duration>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// this is submitted
    Start(Operation),
    /// nothing, before this time or a completion
    Wait(Duration),
    /// nothing, before a completion: no place is free, or the marks hold it
    Full,
    /// nothing any more; what is in flight is to be waited for
    Done,
}

/// So many operations wait at most; where more would, the load ends. The target is so far behind by
/// then that nothing more would be learned.
pub const MOST_WAITING: u64 = 1 << 20;

/// See the module. Time is a `Duration` since the load began, never going back.
#[derive(Clone, Debug)]
pub struct Load {
    plan: Plan,
    draws: Random,
    next_block: u64,
    writes: u64,
    /// of the last write, its sync comes next
    sync: Option<Operation>,
    in_flight: u16,
    level: Level,
    pace: Option<Pace>,
    submitted: Arrivals,
    arrived: Arrivals,
    most_waiting: u64,
    /// at the last look there was no place
    was_full: bool,
    /// from the end on: for so many there was a place then
    last_places: Option<u16>,
    ended: Option<Duration>,
    overrun: bool,
}

impl Load {
    /// At its start.
    ///
    /// # Panics
    /// Where the plan's marks contradict each other.
    pub fn new(plan: Plan) -> Load {
        let block_bytes = u64::from(plan.block_bytes);
        let ring_bytes = u64::from(plan.depth) * block_bytes;
        let high_bytes = plan.high_water_bytes.min(ring_bytes);
        let marks = Marks::new(high_bytes, plan.low_water_bytes, block_bytes, ring_bytes);
        let level = Level::new(marks.expect("marks are checked before"));
        let pace = plan.limit_bytes_per_s.map(Pace::new);
        let arrivals = Arrivals::new(&plan);
        let (draws, submitted, arrived) = (Random::new(plan.seed), arrivals.clone(), arrivals);
        let (next_block, writes, sync, in_flight, most_waiting) = (0, 0, None, 0, 0);
        let (was_full, last_places, ended, overrun) = (false, None, None, false);
        Load {
            plan,
            draws,
            next_block,
            writes,
            sync,
            in_flight,
            level,
            pace,
            submitted,
            arrived,
            most_waiting,
            was_full,
            last_places,
            ended,
            overrun,
        }
    }

    /// What to do at `now`. A start takes a place, until it is told to be completed.
    pub fn next(&mut self, now: Duration) -> Next {
        self.arrive(now);
        if self.ended.is_some() {
            return Next::Done;
        }
        let places = self.plan.depth - self.in_flight;
        let is_over = now >= self.plan.length;
        if is_over {
            // What arrived in time and finds a place now is begun, though it is found a little late.
            self.last_places.get_or_insert(if self.was_full { 0 } else { places });
        }
        let is_closed = self.plan.arrival == Arrival::Closed;
        if places == 0 || self.last_places == Some(0) {
            if self.room() == 0 && (is_closed || self.waiting() > 0) {
                self.level.hold(now);
            }
            return self.full(now, is_over);
        }
        let is_last = self.submitted.count == self.plan.operations;
        let sync = self.sync.take();
        if sync.is_none() {
            if self.waiting() == 0 {
                match is_closed {
                    _ if is_over || is_last => return self.end(now),
                    true => {}
                    false => return Next::Wait(self.submitted.next_at.min(self.plan.length)),
                }
            }
            match self.pace.as_mut().map_or(Ok(()), |pace| pace.ready(now)) {
                Err(_) if is_over => return self.end(now),
                Err(at) => return Next::Wait(at.min(self.plan.length)),
                Ok(()) => {}
            }
            let block_bytes = u64::from(self.plan.block_bytes);
            if !self.level.admit(block_bytes, now) {
                return self.full(now, is_over);
            }
            if let Some(pace) = &mut self.pace {
                pace.spend(block_bytes);
            }
        }
        self.was_full = false;
        self.in_flight += 1;
        if let Some(left) = &mut self.last_places {
            *left -= 1;
        }
        Next::Start(sync.unwrap_or_else(|| self.submit()))
    }

    fn full(&mut self, now: Duration, is_over: bool) -> Next {
        self.was_full = true;
        if is_over { self.end(now) } else { Next::Full }
    }

    /// So many blocks may start before the high-water mark is reached.
    fn room(&self) -> u64 {
        let left = self.level.marks().high_bytes() - self.level.in_flight_bytes();
        left / u64::from(self.plan.block_bytes)
    }

    fn end(&mut self, now: Duration) -> Next {
        self.ended = Some(now.min(self.plan.length));
        Next::Done
    }

    /// The next one leaves those that wait.
    fn submit(&mut self) -> Operation {
        let intended = (self.plan.arrival != Arrival::Closed).then_some(self.submitted.next_at);
        self.submitted.step();
        self.draw(intended)
    }

    /// An operation that did this has completed: its place is free.
    pub fn completed(&mut self, action: Action, now: Duration) {
        assert!(self.in_flight > 0, "only what was started completes");
        self.in_flight -= 1;
        if action != Action::Sync {
            self.level.written(self.plan.block_bytes.into(), now);
        }
    }

    /// Nothing is begun any more from `now` on, whatever the plan says.
    pub fn stop(&mut self, now: Duration) {
        if self.ended.is_none() {
            self.arrive(now);
            self.ended = Some(now.min(self.plan.length));
        }
    }

    /// How many have arrived and were not submitted.
    pub fn waiting(&self) -> u64 {
        match self.plan.arrival {
            Arrival::Closed => 0,
            _ => self.arrived.count - self.submitted.count,
        }
    }

    /// The most that ever waited at once, those that could be submitted at once not counted.
    pub fn most_waiting(&self) -> u64 {
        self.most_waiting
    }

    /// Whether it ended as too many waited.
    pub fn is_overrun(&self) -> bool {
        self.overrun
    }

    /// The marks that hold.
    pub fn marks(&self) -> Marks {
        self.level.marks()
    }

    /// What the level has seen until `now`.
    pub fn level_stats(&self, now: Duration) -> LevelStats {
        self.level.stats(now)
    }

    /// How many operations are in flight.
    pub fn in_flight(&self) -> u16 {
        self.in_flight
    }

    /// After the end: the next one of those that still wait, for its age to be told.
    pub fn abandon(&mut self) -> Option<Operation> {
        if let Some(sync) = self.sync.take().filter(|sync| sync.intended.is_some()) {
            return Some(sync);
        }
        if self.waiting() == 0 {
            return None;
        }
        Some(self.submit())
    }

    fn arrive(&mut self, now: Duration) {
        if self.plan.arrival == Arrival::Closed || self.ended.is_some() {
            return;
        }
        let last = self.plan.length;
        while self.arrived.next_at <= now
            && self.arrived.next_at < last
            && self.arrived.count < self.plan.operations
        {
            if self.waiting() == MOST_WAITING {
                self.overrun = true;
                self.ended = Some(self.arrived.next_at);
                break;
            }
            self.arrived.step();
        }
        // Those that get a place now don't wait.
        let places = u64::from(self.plan.depth - self.in_flight);
        let places = if self.level.is_held() { 0 } else { places.min(self.room()) };
        self.most_waiting = self.most_waiting.max(self.waiting().saturating_sub(places));
    }

    fn draw(&mut self, intended: Option<Duration>) -> Operation {
        let Plan { read_percent, random, block_bytes, blocks, sync_every, .. } = self.plan;
        let is_read = match read_percent {
            0 => false,
            100 => true,
            percent => self.draws.below(100) < u64::from(percent),
        };
        let block = match random {
            true => self.draws.below(blocks),
            false => {
                let next = (self.next_block + 1) % blocks;
                std::mem::replace(&mut self.next_block, next)
            }
        };
        let number = self.submitted.count - 1;
        let offset = block * u64::from(block_bytes);
        let action = if is_read { Action::Read } else { Action::Write };
        let operation = Operation { number, action, offset, intended };
        if !is_read {
            self.writes += 1;
            if sync_every.is_some_and(|every| self.writes.is_multiple_of(every)) {
                self.sync = Some(Operation { action: Action::Sync, ..operation });
            }
        }
        operation
    }
}

#[cfg(test)]
mod tests;
