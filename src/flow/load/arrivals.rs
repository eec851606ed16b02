//! A cursor on the sequence of times at which operations of an open loop arrive.

use std::time::Duration;

use super::random::Random;
use super::{Arrival, Plan};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    /// how many there were
    pub count: u64,
    /// when the next one comes
    pub next_at: Duration,
    arrival: Arrival,
    random: Random,
    /// of the next one, in nanoseconds, unrounded
    at_ns: f64,
}

impl Arrivals {
    pub fn new(plan: &Plan) -> Arrivals {
        let arrival = plan.arrival;
        // Not the draws' numbers once more.
        let random = Random::new(plan.seed ^ 0x9E37_79B9_7F4A_7C15);
        let mut arrivals = Arrivals { count: 0, next_at: Duration::ZERO, arrival, random, at_ns: 0.0 };
        if matches!(arrival, Arrival::Poisson { .. }) {
            arrivals.advance();
        }
        arrivals
    }

    /// The next one has come.
    pub fn step(&mut self) {
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
