//! What a stress run has found: of the blocks it wrote, of the device, of this process.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A lasting fall of throughput.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cliff {
    /// when it came, in seconds from the start of the run
    pub at_s: f64,
    /// after so many bytes
    pub after_bytes: u64,
    /// median before it
    pub before_bytes_per_s: f64,
    /// median from then on
    pub after_bytes_per_s: f64,
}

/// What became of the blocks that were written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// how many were checked
    pub blocks: u64,
    /// hold what was written last
    pub good: u64,
    /// don't, and nothing newer was promised: a later check of a run that was cut off
    pub unsynced: u64,
    /// hold what was there before anything was written
    pub lost: u64,
    /// hold what an earlier write wrote
    pub stale: u64,
    /// hold parts of two writes
    pub torn: u64,
    /// hold what was written to another place
    pub misdirected: u64,
    /// hold anything else
    pub corrupt: u64,
    /// could not be read
    pub unreadable: u64,
    /// where those that are not good are, in order; blocks side by side with the same fault are one
    pub ranges: Vec<BadRange>,
    /// so many more ranges there are
    pub unlisted_ranges: u64,
}

/// Blocks side by side with the same fault.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BadRange {
    /// lost, stale, torn, misdirected, corrupt or unreadable
    pub fault: String,
    /// from this byte on
    pub offset: u64,
    /// so many bytes
    pub length: u64,
}

/// What only a stress run has.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stress {
    /// the file or device, lossily where it is not UTF-8
    pub target: String,
    /// whose blocks, in hex; null where it did not come to that
    pub run: Option<String>,
    /// what they were made from
    pub seed: Option<u64>,
    /// bytes of the target that were used
    pub size_bytes: u64,
    /// rounds that were begun
    pub rounds: u64,
    /// how long it wrote, syncs included, in seconds
    pub writing_s: f64,
    /// bytes that were to be checked
    pub to_check_bytes: u64,
    /// what probing a device found, where that was asked for
    pub probe: Option<Probe>,
    /// the in-flight bytes over time
    pub levels: Vec<Level>,
    /// of this process, while it wrote
    pub memory: Option<Memory>,
    /// of the device, before it was written to; null where it can't be known
    pub health_before: Option<Health>,
    /// and after
    pub health_after: Option<Health>,
}

/// The in-flight bytes in a stretch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Level {
    /// when it began, in seconds from the start of the run
    pub start_s: f64,
    /// how long it was, in seconds
    pub length_s: f64,
    /// on average of some looks
    pub mean_bytes: u64,
    /// the most that a look has seen
    pub most_bytes: u64,
}

/// How much a device keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Probe {
    /// what it says it has
    pub announced_bytes: u64,
    /// what it keeps
    pub real_bytes: u64,
    /// after so many it begins anew
    pub wraps_after_bytes: Option<u64>,
}

/// Resident bytes of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// a second after the first write
    pub first_bytes: u64,
    /// at the last one
    pub last_bytes: u64,
    /// the most between them, of a look each second
    pub most_bytes: u64,
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// in degrees Celsius
    pub temperature_celsius: Option<i64>,
    /// its own verdict
    pub passed: Option<bool>,
    /// counters of what went wrong that are not 0, by smartctl's names
    pub troubles: BTreeMap<String, u64>,
}
