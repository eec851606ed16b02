//! What a copy tells: the JSON report with DESIGN's names, the latency table, HdrHistogram's two
//! formats, progress. And that it says nothing where nothing was asked.

use std::fs;

use crate::support::report::{at, number, text, truth};
use crate::support::*;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use serde_json::Value;

const LEN: u64 = 6 * MIB + 1234;

/// A copy of `LEN` bytes that can't be a clone.
fn copy(dir: &Scratch) -> Highwater {
    write_file(&dir.path("source"), 1, LEN);
    Highwater::copy().args(["--reflink=never"]).args([dir.path("source"), dir.path("target")])
}

#[track_caller]
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Asserts a latency block: its names, and percentiles that rise, with null where too few samples
/// stand behind one.
#[track_caller]
fn assert_latency(latency: &Value, counted: bool) {
    let names = "count mean_ns min_ns p50_ns p90_ns p99_ns p99_9_ns p99_99_ns p99_999_ns p99_9999_ns max_ns";
    let mut want: Vec<&str> = names.split(' ').collect();
    want.sort();
    let mut got = keys(latency);
    got.sort();
    assert_eq!(got, want);
    assert_eq!(number(latency, "count") > 0, counted, "{latency}");
    let rising: Vec<f64> = names.split(' ').skip(2).filter_map(|name| at(latency, name).as_f64()).collect();
    assert!(rising.is_sorted(), "{latency}");
    if number(latency, "count") < 10_000 {
        assert_eq!(at(latency, "p99_999_ns"), &Value::Null, "{latency}");
    }
}

fn check_report(report: &Value, engine: &str) {
    assert_eq!(number(report, "schema"), 1);
    assert_eq!(text(report, "command"), "copy");
    assert_eq!(text(report, "outcome"), "ok");
    assert_eq!((number(report, "bytes"), number(report, "files")), (LEN, 1));
    let elapsed = at(report, "elapsed_s").as_f64().unwrap();
    let rate = at(report, "throughput_bytes_per_s").as_f64().unwrap();
    assert!(elapsed > 0.0 && (rate * elapsed / LEN as f64 - 1.0).abs() < 0.01, "{rate} * {elapsed}");
    let ring = number(report, "ring.block_bytes") * number(report, "ring.buffers");
    assert_eq!(truth(report, "ring.registered"), engine == "ring");
    let [high, low, peak] = ["high_water_bytes", "low_water_bytes", "peak_in_flight_bytes"]
        .map(|name| number(report, &format!("flow.{name}")));
    assert!(peak > 0 && peak <= high && high <= ring && low < high, "{report}");
    number(report, "flow.backpressure_events");
    number(report, "flow.drain_events");
    assert!(at(report, "flow.paused_s").as_f64().unwrap() >= 0.0);
    assert_eq!(text(report, "path.method"), engine);
    truth(report, "path.source_direct");
    truth(report, "path.target_direct");
    assert_latency(at(report, "latency.read"), true);
    assert_latency(at(report, "latency.write"), true);
    assert_latency(at(report, "latency.sync"), true);
    let intervals = at(report, "intervals").as_array().unwrap();
    let bytes: u64 = intervals.iter().map(|interval| number(interval, "bytes")).sum();
    assert_eq!(bytes, LEN, "{report}");
    let writes: u64 = intervals.iter().map(|interval| number(interval, "latency.write.count")).sum();
    assert_eq!(writes, number(report, "latency.write.count"));
    assert!(text(&intervals[0], "histograms.write").starts_with("HIST"), "{report}");
    assert!(number(report, "process.peak_rss_bytes") > 0);
    assert!(at(report, "process.user_s").is_number() && at(report, "process.system_s").is_number());
    assert_eq!(at(report, "errors"), &Value::Array(vec![]));
}

#[test]
fn the_json_report_on_stdout_is_one_object_with_stable_names() {
    for engine in engines() {
        let dir = Scratch::new();
        let outcome = copy(&dir).args(["--engine", engine, "--json", "-"]).run();
        check_report(&outcome.assert_silent().json(), engine);
        assert_holds(&dir.path("target"), 1, LEN);
    }
}

#[test]
fn the_json_report_goes_into_a_file() {
    let dir = Scratch::new();
    let engine = engines()[0];
    let outcome = copy(&dir).args(["--engine", engine, "--json"]).arg(dir.path("report")).run();
    assert_bytes(&outcome.assert_silent().stdout, b"");
    check_report(&serde_json::from_slice(&fs::read(dir.path("report")).unwrap()).unwrap(), engine);
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_work() {
    let dir = Scratch::new();
    for option in ["--json", "--hlog", "--hgrm", "--csv", "--metrics", "--manifest"] {
        let outcome = copy(&dir).arg(option).arg(dir.path("no/such/report")).run();
        assert!(outcome.code.is_some_and(|code| code == 1 || code == 2), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("no/such/report"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("No such file or directory"), "{}", outcome.stderr);
        assert_eq!(names(&dir.dir()), ["source"]);
    }
}

#[test]
fn a_failed_copy_has_a_report_too() {
    let dir = Scratch::new();
    let missing = dir.path("missing");
    let outcome = Highwater::copy().args(["--json", "-"]).args([&missing, &dir.path("target")]).run();
    let report = outcome.assert_code(1).json();
    assert_eq!(text(&report, "outcome"), "failed");
    assert_eq!((number(&report, "bytes"), number(&report, "files")), (0, 0));
    let error = at(&report, "errors.0");
    assert_eq!(text(error, "path"), missing.to_str().unwrap());
    assert_eq!(text(error, "errno"), "ENOENT");
    assert!(text(error, "message").contains("No such file or directory"));
    assert!(matches!(text(error, "op"), "stat" | "open"));
}

#[test]
fn marks_are_as_asked_and_hold() {
    for engine in engines() {
        let dir = Scratch::new();
        let marks =
            ["--block-size", "128KiB", "--buffers", "8", "--high-water", "512KiB", "--low-water", "0"];
        let outcome = copy(&dir).args(marks).args(["--engine", engine, "--json", "-"]).run();
        let report = outcome.assert_silent().json();
        assert_eq!((number(&report, "ring.block_bytes"), number(&report, "ring.buffers")), (128 * KIB, 8));
        assert_eq!(number(&report, "flow.high_water_bytes"), 512 * KIB);
        assert_eq!(number(&report, "flow.low_water_bytes"), 0);
        assert!(number(&report, "flow.peak_in_flight_bytes") <= 512 * KIB);
        assert!(number(&report, "flow.backpressure_events") > 0, "6 MiB through 512 KiB");
        assert!(number(&report, "flow.drain_events") > 0);
        assert_holds(&dir.path("target"), 1, LEN);
    }
}

#[test]
fn a_mark_that_finds_itself_is_told() {
    for engine in engines() {
        let dir = Scratch::new();
        let ring = ["--block-size", "16KiB", "--buffers", "32", "--high-water", "auto"];
        let outcome = copy(&dir).args(ring).args(["--engine", engine, "--json", "-"]).run();
        let report = outcome.assert_silent().json();
        assert_holds(&dir.path("target"), 1, LEN);
        assert!(number(&report, "flow.peak_in_flight_bytes") <= 512 * KIB, "{report}");
        let known = ["devices", "ring", "source", "unknown"];
        assert!(known.contains(&text(&report, "tuner.bound_by")), "{report}");
        let bytes = |mark: &Value| number(mark, "high_water_bytes");
        let marks = at(&report, "tuner.marks").as_array().unwrap();
        assert_eq!(bytes(&marks[0]), 512 * KIB, "it begins with the ring, which is small");
        assert!(marks.iter().all(|mark| (16 * KIB..=512 * KIB).contains(&bytes(mark))), "{report}");
        assert_eq!(bytes(&marks[marks.len() - 1]), number(&report, "tuner.high_water_bytes"));
        assert!(number(&report, "tuner.changes") as usize >= marks.len() - 1, "{report}");
        assert!(number(&report, "tuner.unloaded_latency_ns") > 0, "{report}");
    }
    let outcome = copy(&Scratch::new()).args(["--json", "-"]).run();
    assert_eq!(outcome.assert_silent().json().get("tuner"), None, "a fixed mark has none");
}

#[test]
fn the_latency_table_stands_on_stderr() {
    let dir = Scratch::new();
    let outcome = copy(&dir).arg("--latency").run();
    assert_bytes(&outcome.assert_ok().stdout, b"");
    let words = ["count", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max", "read", "write", "sync"];
    for word in words {
        assert!(outcome.stderr.split_whitespace().any(|seen| seen == word), "{word}: {}", outcome.stderr);
    }
}

#[test]
fn the_hdr_histogram_log_has_its_head_and_an_interval_a_second_and_the_last_part() {
    let dir = Scratch::new();
    let rate = ["--limit-rate", "4MiB/s", "--block-size", "64KiB", "--hlog"];
    let outcome = copy(&dir).args(rate).arg(dir.path("log")).run();
    outcome.assert_silent();
    let log = fs::read_to_string(dir.path("log")).unwrap();
    assert!(log.starts_with("#["), "{log}");
    assert!(log.contains("#[Histogram log format version 1.3]"), "{log}");
    assert!(log.contains("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\""), "{log}");
    let entries: Vec<LogEntry> =
        IntervalLogIterator::new(log.as_bytes()).collect::<Result<_, _>>().expect("a log that parses");
    let intervals: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry {
            LogEntry::Interval(interval) => Some(interval),
            _ => None,
        })
        .collect();
    for tag in ["read", "write"] {
        let of =
            |tag| intervals.iter().filter(move |interval| interval.tag().is_some_and(|t| t.as_str() == tag));
        assert!(of(tag).count() >= 2, "{tag}: {log}");
        let covered: f64 = of(tag).map(|interval| interval.duration().as_secs_f64()).sum();
        assert!(covered >= 1.0 && covered <= outcome.elapsed.as_secs_f64() + 0.5, "{tag}: {covered}");
        assert!(of(tag).all(|interval| interval.encoded_histogram().starts_with("HIST")), "{log}");
    }
}

#[test]
fn the_csv_has_an_interval_of_the_length_asked_for_after_another_and_adds_up() {
    let dir = Scratch::new();
    let options = ["--limit-rate", "8MiB/s", "--block-size", "64KiB", "--interval", "100ms"];
    let files = ["--csv", "-", "--json"];
    let copy = copy(&dir).args(options).args(files).arg(dir.path("json"));
    let table = String::from_utf8(copy.run().assert_silent().stdout.clone()).unwrap();
    let report: Value = serde_json::from_slice(&fs::read(dir.path("json")).unwrap()).unwrap();
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!(names[..5], ["start_s", "length_s", "kind", "bytes", "count"]);
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let float = |cell: &str| cell.parse::<f64>().unwrap();
    for kind in ["read", "write", "sync"] {
        let of: Vec<_> = rows.iter().filter(|row| row[2] == kind).collect();
        let mut end = 0.0;
        for (nth, row) in of.iter().enumerate() {
            assert_eq!(row.len(), names.len());
            assert!((float(row[0]) - end).abs() < 0.002, "{table}");
            assert!(float(row[1]) == 0.1 || nth + 1 == of.len(), "{table}");
            end = float(row[0]) + float(row[1]);
        }
        assert!((end - at(&report, "elapsed_s").as_f64().unwrap()).abs() < 0.05, "{table}");
        let sum = |column: usize| of.iter().map(|row| row[column].parse().unwrap_or(0)).sum::<u64>();
        assert_eq!(sum(4), number(&report, &format!("latency.{kind}.count")));
        assert_eq!(sum(3), if kind == "sync" { 0 } else { LEN });
    }
    let intervals = at(&report, "intervals").as_array().unwrap();
    assert_eq!(intervals.len() * 3, rows.len());
    assert_eq!(at(&intervals[1], "start_s").as_f64(), Some(0.1));
}

#[test]
fn an_interval_too_short_to_measure_is_bad_usage() {
    let dir = Scratch::new();
    for (length, why) in [("0", "10ms or longer"), ("9ms", "10ms or longer"), ("5", "a unit is missing")] {
        let outcome = copy(&dir).args(["--interval", length]).run();
        assert!(outcome.assert_code(2).stderr.contains(why), "{}", outcome.stderr);
        assert_eq!(names(&dir.dir()), ["source"]);
    }
}

#[test]
fn standard_output_takes_one_report() {
    let dir = Scratch::new();
    let outcome = copy(&dir).args(["--metrics", "-", "--csv", "-"]).run();
    let message = "standard output can't take both --csv - and --metrics -";
    assert!(outcome.assert_code(2).stderr.contains(message), "{}", outcome.stderr);
}

#[test]
fn the_percentile_distribution_is_hdr_histograms_table() {
    let dir = Scratch::new();
    copy(&dir).arg("--hgrm").arg(dir.path("table")).run().assert_silent();
    let table = fs::read_to_string(dir.path("table")).unwrap();
    let head = table.lines().find(|line| line.contains("Percentile")).expect(&table);
    let columns: Vec<&str> = head.split_whitespace().collect();
    assert_eq!(columns, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
    let rows = table.lines().filter(|line| {
        let mut fields = line.split_whitespace().map(|field| field.parse::<f64>());
        matches!((fields.next(), fields.next(), fields.next()), (Some(Ok(_)), Some(Ok(_)), Some(Ok(_))))
    });
    assert!(rows.count() >= 2, "{table}");
    for mark in ["#[Mean", "#[Max", "#[Buckets"] {
        assert!(table.contains(mark), "{mark}: {table}");
    }
}

#[test]
fn progress_is_drawn_off_a_terminal_only_when_always() {
    let dir = Scratch::new();
    let drawn = copy(&dir).args(["--progress", "always", "--limit-rate", "8MiB/s"]).run();
    assert!(!drawn.assert_ok().stderr.is_empty());
    assert!(drawn.stderr.contains("MiB"), "{}", drawn.stderr);
    assert_bytes(&drawn.stdout, b"");
    for progress in ["auto", "never"] {
        let outcome = copy(&dir).args(["--progress", progress]).run();
        assert_bytes(&outcome.assert_silent().stdout, b"");
    }
}

#[test]
fn progress_of_a_file_in_parts_shows_the_mark_and_one_total() {
    let dir = Scratch::new();
    let source = fs::File::create(dir.path("long")).unwrap();
    source.set_len(160 * MIB).unwrap();
    let options = ["--progress", "always", "--jobs", "2", "--high-water", "2MiB"];
    let copy = Highwater::copy().args(options).args([dir.path("long"), dir.path("new")]);
    let drawn = copy.run();
    let lines: Vec<_> = drawn.assert_ok().stderr.lines().collect();
    let last = lines.iter().rfind(|line| line.contains("in flight")).expect("a line of progress");
    assert!(last.contains("/2 MiB in flight"), "{last}");
    assert!(last.contains("160 MiB of 160 MiB"), "{last}");
}

#[test]
fn debug_tells_how_each_file_was_copied() {
    let dir = Scratch::new();
    let told = |options: &[&str], from: &str| {
        let to = dir.path("told");
        let _ = fs::remove_file(&to);
        let _ = fs::remove_dir_all(&to);
        let copy = Highwater::copy().arg("--debug").arg("--reflink=never").args(options);
        String::from_utf8(copy.args([dir.path(from), to]).run().assert_ok().stdout.clone()).unwrap()
    };
    write_file(&dir.path("file"), 1, MIB);
    fs::create_dir(dir.path("tree")).unwrap();
    fs::write(dir.path("tree/small"), b"small").unwrap();
    for (options, from, engine) in [
        (&["--engine", "ring"][..], "file", "ring"),
        (&["--engine", "plain"], "file", "plain"),
        (&["-r"], "tree", "sendfile"),
        (&["-r", "--sparse", "always"], "tree", "calls"),
    ] {
        let told = told(options, from);
        let lines: Vec<_> = told.lines().collect();
        let explained = lines.iter().position(|line| line.starts_with("copy offload: ")).expect(&told);
        let wanted = format!("engine: {engine}, direct: ");
        assert!(lines[explained + 1].starts_with(&wanted), "{told}");
    }
}

#[test]
fn quiet_is_quiet_but_for_errors() {
    let dir = Scratch::new();
    let outcome = copy(&dir).arg("-q").run();
    assert_bytes(&outcome.assert_silent().stdout, b"");
    let missing = Highwater::copy().arg("-q").args([dir.path("missing"), dir.path("new")]).run();
    missing.assert_failed(&["missing", "No such file or directory"]);
}

#[test]
fn the_report_of_a_stream_counts_its_bytes() {
    for engine in engines() {
        let dir = Scratch::new();
        let options = ["--engine", engine, "--json", "-", "-"];
        let outcome = Highwater::copy().args(options).arg(dir.path("target")).input(&bytes(1, LEN)).run();
        let report = outcome.assert_silent().json();
        assert_eq!((number(&report, "bytes"), text(&report, "outcome")), (LEN, "ok"));
        assert!(number(&report, "flow.peak_in_flight_bytes") <= number(&report, "flow.high_water_bytes"));
    }
}
