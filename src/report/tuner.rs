//! How a high-water mark found itself, as reports have it.

use crate::flow::{Bound, Tuned};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

/// How a high-water mark found itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuner {
    /// what held the rate back at the end: `devices`, `ring`, `source`, `wait`, where others would have
    /// waited longer (`--gentle`), or `unknown`, where the run was too short
    pub bound_by: Cow<'static, str>,
    /// the mark at the end, in bytes
    pub high_water_bytes: u64,
    /// bytes a second under it, 0 where it was not measured
    pub rate_bytes_per_s: f64,
    /// the least that a block took of late, from its admission to the target
    pub unloaded_latency_ns: Option<u64>,
    /// `--buffers` that would not hold the rate back any more, or less, where the ring did
    pub buffers_wanted: Option<u64>,
    /// how often the mark was changed, probes included
    pub changes: u64,
    /// when it became what: all changes, or some of them where there were many
    pub marks: Vec<MarkAt>,
}

/// A high-water mark, from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarkAt {
    /// since the run began, in seconds
    pub at_s: f64,
    /// in bytes
    pub high_water_bytes: u64,
}

impl Tuner {
    /// Of a ring of so many buffers.
    pub fn new(tuned: &Tuned, buffers: u64) -> Tuner {
        let point = |(at, high_water_bytes): &(Duration, u64)| MarkAt {
            at_s: at.as_secs_f64(),
            high_water_bytes: *high_water_bytes,
        };
        Tuner {
            bound_by: Cow::Borrowed(match tuned.bound_by {
                Bound::Devices => "devices",
                Bound::Ring => "ring",
                Bound::Source => "source",
                Bound::Wait => "wait",
                Bound::Unknown => "unknown",
            }),
            high_water_bytes: tuned.marks.last().map_or(0, |(_, bytes)| *bytes),
            rate_bytes_per_s: tuned.rate_bytes_per_s,
            unloaded_latency_ns: tuned.unloaded_latency.map(|least| least.as_nanos() as u64),
            // How far the knee is behind the end of the ring is only seen from there.
            buffers_wanted: (tuned.bound_by == Bound::Ring).then_some(2 * buffers),
            changes: tuned.changes,
            marks: tuned.marks.iter().map(point).collect(),
        }
    }
}
