//! Which operation of a load comes next, and when: closed loop or open.
//!
//! In a closed loop an operation starts when there is a place for it. In an open one operations arrive
//! at their own times, whatever the target does; one that finds no place waits, and its time counts
//! from its arrival. Those that wait are not kept: two cursors go over the same sequence of arrivals,
//! one at what has arrived, one at what was submitted, and what lies between them waits. So a backlog
//! of any length takes the same few bytes, and it is counted to the operation.

use std::time::Duration;

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
    /// nothing, before a completion
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
    pub fn new(plan: Plan) -> Load {
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
        if places == 0 || self.last_places == Some(0) {
            self.was_full = true;
            return if is_over { self.end(now) } else { Next::Full };
        }
        let is_last = self.submitted.count == self.plan.operations;
        let is_closed = self.plan.arrival == Arrival::Closed;
        let sync = self.sync.take();
        if sync.is_none() && self.waiting() == 0 {
            match is_closed {
                _ if is_over || is_last => return self.end(now),
                true => {}
                false => return Next::Wait(self.submitted.next_at.min(self.plan.length)),
            }
        }
        self.was_full = false;
        self.in_flight += 1;
        if let Some(left) = &mut self.last_places {
            *left -= 1;
        }
        Next::Start(sync.unwrap_or_else(|| self.submit()))
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

    /// An operation has completed: its place is free.
    pub fn completed(&mut self) {
        assert!(self.in_flight > 0, "only what was started completes");
        self.in_flight -= 1;
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

/// A cursor on the sequence of arrivals.
#[derive(Clone, Debug)]
struct Arrivals {
    count: u64,
    next_at: Duration,
    arrival: Arrival,
    random: Random,
    /// of the next one, in nanoseconds, unrounded
    at_ns: f64,
}

impl Arrivals {
    fn new(plan: &Plan) -> Arrivals {
        let arrival = plan.arrival;
        // Not the draws' numbers once more.
        let random = Random::new(plan.seed ^ 0x9E37_79B9_7F4A_7C15);
        let mut arrivals = Arrivals { count: 0, next_at: Duration::ZERO, arrival, random, at_ns: 0.0 };
        if matches!(arrival, Arrival::Poisson { .. }) {
            arrivals.advance();
        }
        arrivals
    }

    fn step(&mut self) {
        self.count += 1;
        self.advance();
    }

    fn advance(&mut self) {
        self.at_ns = match self.arrival {
            Arrival::Closed => return,
            // Computed from the start each time, so that nothing adds up.
            Arrival::Fixed { per_s } => self.count as f64 * 1e9 / per_s,
            Arrival::Poisson { per_s } => self.at_ns - (1.0 - self.random.unit()).ln() * 1e9 / per_s,
        };
        self.next_at = Duration::from_nanos(self.at_ns.round() as u64);
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): small, and
/// any seed does.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of 0 to `bound` - 1, by the high part of a product (Lemire); the bias is below bound / 2^64.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// One of [0, 1).
    fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
