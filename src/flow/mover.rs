//! Who moves a high-water mark: one that looks for the knee, or one that gives way.

use super::gentle::Gentle;
use super::tune::{Bound, Completion, Tuned, Tuner};

/// See the module.
#[derive(Debug)]
pub(super) enum Mover {
    /// to the knee
    Tuner(Box<Tuner>),
    /// out of others' way
    Gentle(Box<Gentle>),
}

impl Mover {
    pub fn mark_bytes(&self) -> u64 {
        match self {
            Mover::Tuner(tuner) => tuner.mark_bytes(),
            Mover::Gentle(gentle) => gentle.mark_bytes(),
        }
    }

    pub fn completed(&mut self, done: &Completion) -> Option<u64> {
        match self {
            Mover::Tuner(tuner) => tuner.completed(done),
            Mover::Gentle(gentle) => gentle.completed(done),
        }
    }

    pub fn tuned(&self) -> Tuned {
        match self {
            Mover::Tuner(tuner) => tuner.tuned(),
            Mover::Gentle(gentle) => gentle.tuned(),
        }
    }

    pub fn bound(&self) -> Bound {
        match self {
            Mover::Tuner(tuner) => tuner.bound(),
            Mover::Gentle(gentle) => gentle.bound(),
        }
    }
}
