//! The reports as other people's tools read them.

use highwater::latency::{Kind, Recorder, Summary};
use highwater::report::HlogWriter;
use std::io::Write;
use std::process::{Command, Output};
use std::time::{Duration, UNIX_EPOCH};

const START_S: u64 = 1_700_000_000;

/// Prints a line for each interval as PyPI's `hdrhistogram` understands it: tag, start and end in
/// milliseconds since the epoch, count, least, greatest, p99.
const READER: &str = r#"
import sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 86400 * 10**9, 3))
while True:
    h = reader.get_next_interval_histogram()
    if h is None:
        break
    start, end = round(h.get_start_time_stamp()), round(h.get_end_time_stamp())
    print(h.get_tag(), start, end, h.get_total_count(), h.get_min_value(), h.get_max_value(),
          h.get_value_at_percentile(99))
"#;

#[test]
fn the_interval_log_is_read_by_python_as_it_was_recorded() {
    if !python(&["-c", "import hdrh"]).is_some_and(|output| output.status.success()) {
        return skip("the_interval_log_is_read_by_python_as_it_was_recorded", "no python3 with hdrhistogram");
    }
    let second = Duration::from_secs(1);
    let mut recorder = Recorder::new(&Kind::SERVICE, Some(second));
    for us in 1..=5_000 {
        recorder.record(Kind::Read, Duration::ZERO, us * 1_000);
        recorder.record(Kind::Write, Duration::ZERO, us * 20_000);
    }
    recorder.record(Kind::Sync, Duration::ZERO, u64::MAX);
    let mut intervals: Vec<_> = std::iter::from_fn(|| recorder.take_interval(3 * second)).collect();
    recorder.record(Kind::Write, 3 * second, 1);
    intervals.extend(recorder.finish(3 * second + second / 4).1);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.hlog");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = HlogWriter::new(file, UNIX_EPOCH + Duration::from_secs(START_S)).unwrap();
    let mut expected = String::new();
    for interval in &intervals {
        writer.interval(interval).unwrap();
        for kind in Kind::ALL {
            if let Some(histogram) = interval.histograms.get(kind) {
                let start_ms = START_S as u128 * 1_000 + interval.start.as_millis();
                let end_ms = start_ms + interval.length.as_millis();
                let Summary { count, min_ns, max_ns, .. } = interval.histograms.summary(kind);
                let (min_ns, max_ns) = (min_ns.unwrap(), max_ns.unwrap());
                let p99_ns = histogram.value_at_quantile(0.99);
                let line =
                    format!("{} {start_ms} {end_ms} {count} {min_ns} {max_ns} {p99_ns}\n", kind.name());
                expected.push_str(&line);
            }
        }
    }
    assert_eq!(expected.lines().count(), 4);

    let output = python(&["-c", READER, path.to_str().unwrap()]).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// What `python3` says, or `None` where there is none.
fn python(arguments: &[&str]) -> Option<Output> {
    Command::new("python3").args(arguments).output().ok()
}

/// Says that a test did not run; a failure where HIGHWATER_REQUIRE_ALL=1 demands that all do.
fn skip(test: &str, reason: &str) {
    // Not eprintln: the test harness would swallow it.
    std::io::stderr().write_all(format!("SKIP {test}: {reason}\n").as_bytes()).unwrap();
    let required = std::env::var_os("HIGHWATER_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "{test} was required and did not run: {reason}");
}
