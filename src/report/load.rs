//! What a bench adds to a run's report: the load, and what became of operations besides their times.

use super::Latency;
use crate::latency::Summary;
use serde::{Deserialize, Serialize};

/// The load of a bench.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// as typed: `randread`, `mixed:70`
    pub workload: String,
    /// on what: `scratch`, `file` or `device`
    pub ground: String,
    /// so much of it, in bytes
    pub size_bytes: u64,
    /// of each operation
    pub block_bytes: u64,
    /// most operations in flight
    pub depth: u64,
    /// operations a second that were meant to start; null in a closed loop
    pub rate_per_s: Option<f64>,
    /// `fixed` or `poisson`; null in a closed loop
    pub arrival: Option<String>,
    /// how long operations were begun, in seconds, as asked
    pub length_s: f64,
    /// a sync after so many writes
    pub sync_every: Option<u64>,
    /// of all that is random
    pub seed: u64,
    /// most bytes a second that were to start
    pub limit_bytes_per_s: Option<u64>,
    /// that have completed, syncs not counted
    pub operations: u64,
    /// a second, over the run
    pub operations_per_s: f64,
    /// that moved less than a block
    pub short_operations: u64,
    /// that were out when nobody waited any longer; they are in the histograms with their age, a lower
    /// bound
    pub outstanding_operations: u64,
    /// the age of the oldest of them, in seconds
    pub outstanding_oldest_s: f64,
    /// that arrived in an open loop and were not submitted before its end; they are in the histograms of
    /// response times and of admission with their age, a lower bound
    pub waiting_operations: u64,
    /// the most that waited at once
    pub most_waiting_operations: u64,
}

/// Loads one after the other, each heavier than the one before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sweep {
    /// in the order of their load
    pub steps: Vec<SweepStep>,
    /// which step, counted from 0, has the most throughput for its latency
    pub knee: Option<usize>,
    /// what was to be kept
    pub goal: Option<SweepGoal>,
    /// which step has the most throughput of those that keep the goal
    pub best: Option<usize>,
}

/// A percentile and its limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepGoal {
    /// `p99`, of response times where there are some
    pub percentile: String,
    /// at most so much, in nanoseconds
    pub limit_ns: u64,
}

/// One load of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepStep {
    /// most operations in flight
    pub depth: u64,
    /// operations a second that were meant to start; null in a closed loop
    pub rate_per_s: Option<f64>,
    /// that have completed, syncs not counted
    pub operations: u64,
    /// a second
    pub operations_per_s: f64,
    /// bytes a second
    pub throughput_bytes_per_s: f64,
    /// its halves differed by less than a tenth
    pub steady: bool,
    /// that were not submitted before its end
    pub waiting_operations: u64,
    /// service times
    pub latency: Latency,
    /// response times, of an open loop
    pub response: Option<Latency>,
}

impl SweepStep {
    /// What `pick` finds in the times that count: response times where there are some, of reads or of
    /// writes, whichever are worse.
    pub fn worst(&self, pick: impl Fn(&Summary) -> Option<u64>) -> Option<u64> {
        let times = self.response.as_ref().unwrap_or(&self.latency);
        Summary::worst([&times.read, &times.write], pick)
    }
}
