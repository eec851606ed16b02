//! A device that does not exist: how long it takes for each operation, what it refuses, and when it
//! stands still. It stands in front of a real target, which does the real work.
//!
//! | file | what it knows |
//! |---|---|
//! | `spec`, `parse` | what it is like, and how that is written |
//! | `profile` | what some kinds of devices are like |
//! | `device` | the model: told an operation and the time, when it completes and with what |
//! | `duration` | distributions of latencies, replayed ones too |
//! | `halts` | when it stands still |
//! | `draw` | chance that depends on nothing but what it is for |
//!
//! Knows no clock, no descriptor, no thread. What fails depends on the seed, the file, the kind of
//! operation, its offset and how often that was tried; never on time, or on what else goes on.

mod device;
mod draw;
mod duration;
mod halts;
mod parse;
mod profile;
mod spec;

pub use device::{Device, File, Kind, Operation, Service};
pub use duration::{Replay, ReplayError, Sample};
pub use parse::{Fault, SpecError};
pub use profile::{PROFILES, Profile};
pub use spec::{Bad, Chance, Cliff, Latency, Share, Spec, Stall, Sync, Way};
