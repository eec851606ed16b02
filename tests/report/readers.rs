//! The reports as other people's tools read them.

use highwater::latency::{Kind, Recorder, Summary};
use highwater::report::HlogWriter;
use serde_json::Value;
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
    let mut recorder = Recorder::new(&Kind::ALL, Some(second));
    for us in 1..=5_000 {
        recorder.record(Kind::Read, Duration::ZERO, us * 1_000);
        recorder.record(Kind::Write, Duration::ZERO, us * 20_000);
    }
    recorder.record(Kind::Sync, Duration::ZERO, u64::MAX);
    recorder.record(Kind::ResponseRead, Duration::ZERO, 17_180_000_000);
    recorder.record(Kind::ResponseWrite, Duration::ZERO, 2_000_000_000);
    recorder.record(Kind::ResponseSync, Duration::ZERO, 60_000_000_000);
    recorder.record(Kind::Admission, Duration::ZERO, 1);
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
    let tags = "read write sync response-read response-write response-sync admission write";
    assert_eq!(
        expected.lines().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>().join(" "),
        tags
    );

    let output = python(&["-c", READER, path.to_str().unwrap()]).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// Prints every sample of every family as the OpenMetrics parser of Prometheus's own client for Python
/// understands it; it refuses wrong names, types, units, orders and a missing end.
const PARSER: &str = r#"
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families

for family in text_string_to_metric_families(open(sys.argv[1]).read()):
    for s in family.samples:
        labels = ",".join(f"{name}={value}" for name, value in sorted(s.labels.items()))
        print(family.type, family.unit or "-", s.name, labels or "-", repr(float(s.value)))
"#;

#[test]
fn the_metrics_are_read_by_prometheus_as_the_json_has_them() {
    let test = "the_metrics_are_read_by_prometheus_as_the_json_has_them";
    if !python(&["-c", "import prometheus_client"]).is_some_and(|output| output.status.success()) {
        return skip(test, "no python3 with prometheus_client");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("source"), vec![7; 1_500_000]).unwrap();
    let copied = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["copy", "--reflink=never", "--block-size", "4K", "--json", "json", "--metrics", "metrics"])
        .args(["source", "target"])
        .current_dir(folder.path())
        .status();
    assert!(copied.unwrap().success());
    let json: Value = serde_json::from_slice(&std::fs::read(path("json")).unwrap()).unwrap();

    let output = python(&["-c", PARSER, path("metrics").to_str().unwrap()]).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let read = String::from_utf8(output.stdout).unwrap();
    let value = |head: &str| -> Option<f64> {
        let line = read.lines().find(|line| line.rsplit_once(' ').is_some_and(|(words, _)| words == head))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    assert_eq!(value("info - highwater_run_info command=copy,outcome=ok"), Some(1.0), "{read}");
    for (head, pointer) in [
        ("gauge seconds highwater_elapsed_seconds -", "/elapsed_s"),
        ("gauge bytes_per_second highwater_throughput_bytes_per_second -", "/throughput_bytes_per_s"),
        ("counter bytes highwater_bytes_total -", "/bytes"),
        ("counter - highwater_files_total -", "/files"),
        ("gauge bytes highwater_high_water_bytes -", "/flow/high_water_bytes"),
        ("counter - highwater_backpressure_events_total -", "/flow/backpressure_events"),
        ("counter seconds highwater_cpu_seconds_total mode=user", "/process/user_s"),
        ("counter seconds highwater_cpu_seconds_total mode=system", "/process/system_s"),
    ] {
        let (read_value, wanted) =
            (value(head).expect(head), json.pointer(pointer).unwrap().as_f64().unwrap());
        // serde_json's reading may be off by the last bit.
        assert!((read_value - wanted).abs() <= wanted * 1e-12, "{head}: {read_value} {wanted}");
    }
    for operation in ["read", "write", "sync"] {
        let of = |name: &str| json.pointer(&format!("/latency/{operation}/{name}")).unwrap().as_f64();
        let summary = |rest: String| value(&format!("summary seconds highwater_service_time_seconds{rest}"));
        assert_eq!(summary(format!("_count operation={operation}")), of("count"), "{read}");
        for (quantile, name) in [("0.5", "p50_ns"), ("0.99", "p99_ns"), ("0.9999", "p99_99_ns")] {
            let seconds = summary(format!(" operation={operation},quantile={quantile}"));
            assert_eq!(seconds, of(name).map(|ns| ns / 1e9), "{operation} {quantile}: {read}");
        }
        let max = value(&format!("gauge seconds highwater_service_time_max_seconds operation={operation}"));
        assert_eq!(max, of("max_ns").map(|ns| ns / 1e9), "{read}");
    }
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
