//! A HdrHistogram interval log, read to be replayed: what this program writes, or any other that
//! counts in nanoseconds.
//!
//! The file is somebody's: whatever is in it, no more is kept than is bounded here.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::flow::simulate::{Replay, ReplayError, Sample};
use crate::latency::Kind;
use crate::report::encoded::decode;

/// Why a log can't be replayed.
#[derive(Debug)]
pub enum HlogError {
    /// it can't be read
    Io(io::Error),
    /// it is longer than this
    TooLong,
    /// this line, counted from 1, is none of such a log
    Line(usize),
    /// it is one, but not to be replayed
    Replay(ReplayError),
}

impl fmt::Display for HlogError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HlogError::Io(error) => write!(out, "{error}"),
            HlogError::TooLong => write!(out, "it is longer than {} MiB", MOST_BYTES >> 20),
            HlogError::Line(number) => write!(out, "line {number} is none of a HdrHistogram log"),
            HlogError::Replay(error) => write!(out, "{error}"),
        }
    }
}

impl std::error::Error for HlogError {}

/// An hour of intervals of a second needs some 20 MiB.
const MOST_BYTES: u64 = 32 << 20;
/// The next sample stands for so much of all operations that are slower than the last one.
const STEP: f64 = 0.07;
/// The last one of them for all that are left, but for the slowest.
const MOST_SAMPLES: usize = 100;

/// Reads the latencies of one kind. A log without tags holds for each kind.
///
/// # Errors
/// Where it is no such log, or too long, or has nothing of this kind.
pub fn read_hlog(log: impl Read, kind: Kind) -> Result<Replay, HlogError> {
    let mut text = Vec::new();
    log.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(HlogError::Io)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(HlogError::TooLong);
    }
    let mut replay = Replay::default();
    let mut first = None;
    for (nth, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let wrong = || HlogError::Line(nth + 1);
        let line = std::str::from_utf8(line).map_err(|_| wrong())?.trim_end_matches('\r');
        if line.is_empty() || line.starts_with(['#', '"']) {
            continue;
        }
        let (tag, line) = match line.strip_prefix("Tag=") {
            Some(tagged) => tagged.split_once(',').map(|(tag, line)| (Some(tag), line)).ok_or_else(wrong)?,
            None => (None, line),
        };
        let columns: Vec<&str> = line.splitn(5, ',').collect();
        let [start, length, _greatest, encoded] = columns[..] else { return Err(wrong()) };
        let (start, length) = (seconds(start).ok_or_else(wrong)?, seconds(length).ok_or_else(wrong)?);
        let began = *first.get_or_insert(start);
        if tag.is_some_and(|tag| tag != kind.name()) {
            continue;
        }
        let histogram = decode(encoded.trim()).ok_or_else(wrong)?;
        let end = (start + length).saturating_sub(began);
        replay.add(end, samples(&histogram)).map_err(HlogError::Replay)?;
    }
    replay.check().map_err(HlogError::Replay)
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.trim().parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| time.as_secs() < 1 << 40)
}

/// What is in a histogram, by few enough values that keep its mean and its greatest one.
fn samples(histogram: &Histogram<u64>) -> Vec<Sample> {
    let all = histogram.len();
    let mut samples = Vec::new();
    let (mut counted, mut sum, mut up_to) = (0u64, 0u128, 0u64);
    let mut values = histogram.iter_recorded().peekable();
    while let Some(value) = values.next() {
        let (ns, count) = (value.value_iterated_to(), value.count_at_value());
        counted = counted.saturating_add(count);
        sum = sum.saturating_add(u128::from(ns) * u128::from(count));
        let is_slowest_next = values.peek().is_some_and(|next| next.value_iterated_to() == histogram.max());
        let is_enough = counted as f64 >= STEP * all.saturating_sub(up_to) as f64;
        let is_last = values.peek().is_none() || is_slowest_next;
        if is_last || is_enough && samples.len() < MOST_SAMPLES {
            up_to = up_to.saturating_add(counted);
            let mean = sum / u128::from(counted.max(1));
            samples.push(Sample { latency: Duration::from_nanos(mean as u64), up_to });
            (counted, sum) = (0, 0);
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;
    use crate::latency::Recorder;
    use crate::report::HlogWriter;

    fn log() -> Vec<u8> {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(&Kind::SERVICE, Some(second));
        for us in 1..=5000 {
            recorder.record(Kind::Write, Duration::ZERO, us * 1_000);
        }
        recorder.record(Kind::Sync, Duration::ZERO, 7_000_000);
        let mut intervals: Vec<_> = std::iter::from_fn(|| recorder.take_interval(2 * second)).collect();
        recorder.record(Kind::Write, 2 * second, 42_000_000);
        intervals.extend(recorder.finish(2 * second + second / 2).1);
        let mut log = Vec::new();
        let mut writer = HlogWriter::new(&mut log, SystemTime::UNIX_EPOCH).unwrap();
        intervals.iter().for_each(|interval| writer.interval(interval).unwrap());
        log
    }

    #[test]
    fn what_was_recorded_is_read_interval_by_interval() {
        let replay = read_hlog(&log()[..], Kind::Write).unwrap();
        let intervals: Vec<_> = replay.intervals().collect();
        let [(first_end, first), (last_end, last)] = intervals[..] else { panic!("{intervals:?}") };
        assert_eq!((first_end, last_end), (Duration::from_secs(1), Duration::from_millis(2500)));
        assert_eq!(last.len(), 1);
        assert!((last[0].latency.as_secs_f64() / 0.042 - 1.0).abs() < 0.001);
        assert!(first.len() > 20 && first.len() <= MOST_SAMPLES + 2, "{}", first.len());
        assert_eq!(first.last().unwrap().up_to, 5000);
        let mut before = 0;
        let mean: f64 = first
            .iter()
            .map(|sample| {
                let count = sample.up_to - std::mem::replace(&mut before, sample.up_to);
                sample.latency.as_secs_f64() * count as f64 / 5000.0
            })
            .sum();
        assert!((mean / 0.0025005 - 1.0).abs() < 0.002, "{mean}");
        assert!((first.last().unwrap().latency.as_secs_f64() / 0.005 - 1.0).abs() < 0.001);
    }

    #[test]
    fn what_is_no_log_is_refused_by_its_line() {
        let told = |text: &[u8], kind| read_hlog(text, kind).unwrap_err().to_string();
        assert_eq!(told(&log(), Kind::Read), "no latencies of this kind are in it");
        assert_eq!(told(b"", Kind::Read), "no latencies of this kind are in it");
        assert_eq!(told(b"#[x]\n1,2,3\n", Kind::Read), "line 2 is none of a HdrHistogram log");
        assert_eq!(told(b"1,2,3,AAAA\n", Kind::Read), "line 1 is none of a HdrHistogram log");
        assert_eq!(told(b"\xff\n", Kind::Read), "line 1 is none of a HdrHistogram log");
        assert_eq!(told(b"-1,1,1,AAAA", Kind::Read), "line 1 is none of a HdrHistogram log");
    }

    proptest! {
        #[test]
        fn any_file_may_be_offered(
            mut changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            is_log in any::<bool>(),
        ) {
            static LOG: LazyLock<Vec<u8>> = LazyLock::new(log);
            let mut text = if is_log { LOG.clone() } else { bytes };
            for (at, byte) in changes.drain(..) {
                if !text.is_empty() {
                    let at = at.index(text.len());
                    text[at] = byte;
                }
            }
            let _ = read_hlog(&text[..], Kind::Write);
        }
    }
}
