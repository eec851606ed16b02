//! The intervals of a run as its JSON report has them: how many bytes, which percentiles, and the
//! histograms themselves, so that a run can be drawn again and compared from its report alone.

use super::encoded::{decode, encode};
use super::{Command, Latency};
use crate::latency::{Kind, Packed, Row, Summary, Timeline};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What happened in a stretch of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// when it began, in seconds from the start of the run
    pub start_s: f64,
    /// how long it was, in seconds
    pub length_s: f64,
    /// bytes that count as the run's own: written ones of a copy, all of a bench
    pub bytes: u64,
    /// bytes that were read
    #[serde(default)]
    pub read_bytes: u64,
    /// bytes that were written
    #[serde(default)]
    pub write_bytes: u64,
    /// service times
    pub latency: Latency,
    /// response times, of an open loop
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Latency>,
    /// how long operations waited to be submitted, in an open loop
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<Summary>,
    /// the histograms of nanoseconds of which there are samples, by the tags of HdrHistogram logs
    /// (`read`, `response-read`, `admission` ..., see [`Kind::name`]), in HdrHistogram's V2 encoding,
    /// deflated, in base64
    pub histograms: BTreeMap<String, String>,
}

/// The intervals of a run of `command`, an open loop or not.
pub fn intervals(timeline: &Timeline, command: Command, is_open: bool) -> Vec<Interval> {
    timeline.rows().iter().map(|row| Interval::of(row, command, is_open)).collect()
}

impl Interval {
    fn of(row: &Row, command: Command, is_open: bool) -> Interval {
        let Row { read_bytes, write_bytes, .. } = *row;
        let unpacked = Kind::ALL.map(|kind| row.get(kind).map(Packed::unpack));
        let summary = |kind: Kind| unpacked[kind as usize].as_ref().map(Summary::of).unwrap_or_default();
        let summaries = |kinds: [Kind; 3]| {
            let [read, write, sync] = kinds.map(summary);
            Latency { read, write, sync }
        };
        let encoded = Kind::ALL.iter().zip(&unpacked).filter_map(|(kind, histogram)| {
            let histogram = histogram.as_ref()?;
            Some((kind.name().to_owned(), encode(histogram)))
        });
        Interval {
            start_s: row.start.as_secs_f64(),
            length_s: row.length.as_secs_f64(),
            bytes: if command == Command::Bench { read_bytes + write_bytes } else { write_bytes },
            read_bytes,
            write_bytes,
            latency: summaries(Kind::SERVICE),
            response: is_open.then(|| summaries(Kind::RESPONSE)),
            admission: is_open.then(|| summary(Kind::Admission)),
            histograms: encoded.collect(),
        }
    }

    /// The histogram of `tag` in nanoseconds; None where it has no samples, or can't be read.
    pub fn histogram(&self, tag: &str) -> Option<Histogram<u64>> {
        decode(self.histograms.get(tag)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Recorder;
    use serde_json::json;
    use std::time::Duration;

    fn timeline() -> Timeline {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(&Kind::ALL, Some(second));
        let mut timeline = Timeline::default();
        recorder.record(Kind::Write, second / 2, 1_000);
        recorder.record(Kind::ResponseWrite, second / 2, 1_900);
        recorder.record(Kind::Admission, second / 2, 900);
        recorder.moved(Kind::Write, second / 2, 4096);
        recorder.moved(Kind::Read, second / 2, 512);
        timeline.push(&recorder.take_interval(second).unwrap());
        timeline.push(&recorder.finish(second + second / 2).1.unwrap());
        timeline
    }

    #[test]
    fn an_interval_is_the_object_that_was_promised() {
        let one = |ns: Option<u64>| {
            json!({"count": u64::from(ns.is_some()), "mean_ns": ns.map(|ns| ns as f64), "min_ns": ns,
                "p50_ns": null, "p90_ns": null, "p99_ns": null, "p99_9_ns": null, "p99_99_ns": null,
                "p99_999_ns": null, "p99_9999_ns": null, "max_ns": ns})
        };
        let kinds = |write| json!({"read": one(None), "write": one(write), "sync": one(None)});
        let intervals = intervals(&timeline(), Command::Bench, true);
        let tags: Vec<&str> = intervals[0].histograms.keys().map(String::as_str).collect();
        assert_eq!(tags, ["admission", "response-write", "write"]);
        for (tag, ns) in [("write", 1_000), ("response-write", 1_900), ("admission", 900)] {
            let histogram = intervals[0].histogram(tag).unwrap();
            assert_eq!((histogram.len(), histogram.min(), histogram.max()), (1, ns, ns));
        }
        let mut written = serde_json::to_value(&intervals).unwrap();
        written[0]["histograms"] = json!({});
        let expected = json!([
            {"start_s": 0.0, "length_s": 1.0, "bytes": 4608, "read_bytes": 512, "write_bytes": 4096,
                "latency": kinds(Some(1_000)), "response": kinds(Some(1_900)), "admission": one(Some(900)),
                "histograms": {}},
            {"start_s": 1.0, "length_s": 0.5, "bytes": 0, "read_bytes": 0, "write_bytes": 0,
                "latency": kinds(None), "response": kinds(None), "admission": one(None), "histograms": {}},
        ]);
        assert_eq!(written, expected);
    }

    #[test]
    fn intervals_of_a_copy_count_what_was_written_and_have_service_times_alone() {
        let copied = intervals(&timeline(), Command::Copy, false);
        assert_eq!((copied[0].bytes, copied[0].response, copied[0].admission), (4096, None, None));
        let text = serde_json::to_string(&copied).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Interval>>(&text).unwrap(), copied);
        assert_eq!(copied[0].histogram("sync"), None);
    }
}
