//! `highwater compare` and `highwater report` as a user runs them: verdicts, exit statuses, and what is
//! no report.

use std::fs;

use crate::support::command::BINARY;
use crate::support::recorded::recorded;
use crate::support::*;
use serde_json::{Value, json};

/// Intervals of so many writes each, around `ns`, never twice the same.
fn writes(intervals: u64, ns: u64) -> Vec<Vec<u64>> {
    (0..intervals)
        .map(|i| (0..200).map(|n| ns + ns * ((i * 7919 + n * 104_729) % 400) / 1_000).collect())
        .collect()
}

fn run_of(intervals: u64, ns: u64) -> Value {
    recorded("bench", &[("write", writes(intervals, ns))])
}

/// `highwater JOB` in a directory with these reports in it.
fn job(job: &str, reports: &[(&str, Value)], args: &[&str]) -> (Scratch, Outcome) {
    let dir = Scratch::new();
    for (name, report) in reports {
        fs::write(dir.path(name), report.to_string()).unwrap();
    }
    let outcome = Highwater::binary(BINARY).arg(job).args(args).current_dir(dir.dir()).run();
    (dir, outcome)
}

fn stdout(outcome: &Outcome) -> String {
    String::from_utf8(outcome.stdout.clone()).unwrap()
}

/// The row of a name below a heading, its words.
#[track_caller]
fn row<'a>(table: &'a str, heading: &str, name: &str) -> Vec<&'a str> {
    let below = table.lines().skip_while(|line| *line != heading);
    let row = below.skip(1).find(|line| line.trim_start().starts_with(&format!("{name} ")));
    row.unwrap_or_else(|| panic!("no {name} below {heading}: {table}")).split_whitespace().collect()
}

#[test]
fn a_run_that_is_slower_is_worse_and_one_that_is_faster_better() {
    let reports = [("a.json", run_of(30, 1_000_000)), ("b.json", run_of(30, 1_200_000))];
    let (_dir, outcome) = job("compare", &reports, &["a.json", "b.json"]);
    let table = stdout(outcome.assert_code(0));
    for name in ["mean", "p50", "p90", "p99", "p99.9"] {
        let row = row(&table, "write, service time", name);
        assert_eq!(row.last(), Some(&"worse"), "{table}");
        let ratio: f64 = row[5].parse().unwrap();
        assert!((ratio - 1.2).abs() < 0.02, "{table}");
    }
    let max = row(&table, "write, service time", "max");
    assert_eq!(max.len(), 6, "shown and not judged: {table}");
    assert!(
        table.lines().any(|line| line.starts_with("throughput") && line.ends_with("no difference shown")),
        "{table}"
    );

    let (_dir, outcome) = job("compare", &reports, &["b.json", "a.json", "--fail-on", "worse"]);
    let table = stdout(outcome.assert_code(0));
    assert_eq!(row(&table, "write, service time", "p50").last(), Some(&"better"));
    let (_dir, outcome) = job("compare", &reports, &["--fail-on", "worse", "a.json", "b.json"]);
    assert_eq!(row(&stdout(outcome.assert_code(1)), "write, service time", "p50").last(), Some(&"worse"));
}

#[test]
fn the_same_run_shows_no_difference_and_has_the_reports_numbers() {
    let (_dir, outcome) =
        job("compare", &[("a.json", run_of(30, 1_000_000))], &["a.json", "a.json", "--fail-on", "worse"]);
    let table = stdout(outcome.assert_code(0));
    assert!(!table.contains("worse") && !table.contains("better"), "{table}");
    let p99 = row(&table, "write, service time", "p99");
    assert_eq!(p99[1..3], p99[3..5], "{table}");
    assert_eq!((p99[5], p99[9..].join(" ").as_str()), ("1.000", "no difference shown"), "{table}");
}

#[test]
fn many_runs_are_each_compared_with_the_first() {
    let reports = [("a.json", run_of(20, 1_000)), ("b.json", run_of(20, 1_500)), ("c.json", run_of(20, 700))];
    let (_dir, outcome) = job("compare", &reports, &["a.json", "b.json", "c.json"]);
    let table = stdout(outcome.assert_code(0));
    let (first, second) = table.split_once("\n\n").expect(&table);
    assert_eq!(row(first, "write, service time", "p90").last(), Some(&"worse"));
    assert_eq!(row(second, "write, service time", "p90").last(), Some(&"better"));
}

#[test]
fn few_intervals_and_few_samples_show_no_difference_and_say_why() {
    let reports = [("a.json", run_of(30, 1_000)), ("b.json", run_of(9, 9_000))];
    let (_dir, outcome) = job("compare", &reports, &["a.json", "b.json", "--fail-on", "worse"]);
    let table = stdout(outcome.assert_code(0));
    assert!(table.contains("no difference shown: b has 9 intervals, and it takes 10"), "{table}");
    assert!(!table.contains("worse"), "{table}");

    let few = || recorded("bench", &[("write", (0..20).map(|n| vec![1_000 + n]).collect())]);
    let (_dir, outcome) = job("compare", &[("a.json", few()), ("b.json", few())], &["a.json", "b.json"]);
    let table = stdout(outcome.assert_code(0));
    assert_eq!(
        row(&table, "write, service time", "p99"),
        ["p99", "-", "-", "-", "too", "few", "samples"],
        "{table}"
    );
}

#[test]
fn what_is_no_report_is_refused_with_the_reason() {
    let good = run_of(12, 1_000).to_string();
    let mut other_schema = run_of(12, 1_000);
    other_schema["schema"] = json!(2);
    let mut other_command = run_of(12, 1_000);
    other_command["command"] = json!("defragment");
    let mut no_bytes = run_of(12, 1_000);
    no_bytes.as_object_mut().unwrap().remove("bytes");
    let mut broken = run_of(12, 1_000);
    broken["intervals"][3]["histograms"]["write"] = json!("HISTnonsense");
    let cases = [
        (good[..good.len() / 2].to_owned(), "not a JSON report: EOF while parsing"),
        ("latency count mean\n".to_owned(), "not a JSON report: expected"),
        (String::new(), "there is no report in it"),
        ("[1, 2]".to_owned(), "not a report of highwater: it has no schema number"),
        (r#"{"fio version":"fio-3.33"}"#.to_owned(), "not a report of highwater: it has no schema number"),
        (other_schema.to_string(), "a report of schema 2, and this version reads schema 1"),
        (other_command.to_string(), r#"a report of another command, "defragment""#),
        (no_bytes.to_string(), "not a whole report: missing field `bytes`"),
        (broken.to_string(), "the histogram of write in interval 4 can't be read"),
    ];
    for (text, why) in cases {
        for args in
            [&["compare", "good.json", "bad.json"][..], &["report", "bad.json", "--html", "page.html"]]
        {
            let dir = Scratch::new();
            fs::write(dir.path("good.json"), &good).unwrap();
            fs::write(dir.path("bad.json"), &text).unwrap();
            let outcome = Highwater::binary(BINARY).args(args).current_dir(dir.dir()).run();
            let message = &outcome.assert_code(2).stderr;
            assert!(message.starts_with("highwater: cannot use 'bad.json': "), "{message}");
            assert!(message.contains(why), "{why}: {message}");
            assert_eq!(names(&dir.dir()), ["bad.json", "good.json"]);
        }
    }
}

#[test]
fn reports_of_two_commands_are_not_compared_and_a_missing_one_is_named() {
    let copy = recorded("copy", &[("write", writes(12, 1_000))]);
    let reports = [("a.json", run_of(12, 1_000)), ("c.json", copy)];
    let (_dir, outcome) = job("compare", &reports, &["a.json", "c.json"]);
    assert_eq!(
        outcome.assert_code(2).stderr,
        "highwater: cannot compare 'a', a report of bench, with 'c', one of copy\n"
    );
    let (_dir, outcome) = job("compare", &reports, &["a.json", "missing.json"]);
    let message = "highwater: cannot read 'missing.json': No such file or directory\n";
    assert_eq!(outcome.assert_code(2).stderr, message);
    let (_dir, outcome) = job("compare", &reports, &["a.json"]);
    outcome.assert_code(2);
}

#[test]
fn a_page_that_cannot_be_written_and_too_many_runs_are_told() {
    let reports = [("a.json", run_of(12, 1_000))];
    let (dir, outcome) = job("report", &reports, &["a.json", "--html", "no/page.html"]);
    let message = "highwater: cannot write 'no/page.html': No such file or directory\n";
    assert_eq!(outcome.assert_code(1).stderr, message);
    assert_eq!(names(&dir.dir()), ["a.json"]);
    let (_dir, outcome) = job("report", &reports, &["a.json", "--svg", "a.json"]);
    assert_eq!(outcome.assert_code(1).stderr, "highwater: cannot write 'a.json': Not a directory\n");
    let (_dir, outcome) = job("report", &reports, &[&["a.json"; 9][..], &["--html", "page.html"]].concat());
    assert!(outcome.assert_code(2).stderr.contains("9 runs are too many"), "{}", outcome.stderr);
    let (_dir, outcome) = job("report", &reports, &["a.json"]);
    assert!(outcome.assert_code(2).stderr.contains("--html"), "{}", outcome.stderr);
}

#[test]
fn a_report_is_read_before_it_is_written_over() {
    let reports = [("a.json", run_of(12, 1_000))];
    let (dir, outcome) = job("report", &reports, &["a.json", "--html", "a.json"]);
    outcome.assert_code(0);
    assert!(fs::read_to_string(dir.path("a.json")).unwrap().starts_with("<!DOCTYPE html>"));
}

#[test]
fn runs_of_one_file_are_told_apart() {
    let dir = Scratch::new();
    let lines = format!("{}\n{}\n", run_of(12, 1_000), run_of(12, 2_000));
    fs::write(dir.path("runs.json"), lines).unwrap();
    let outcome =
        Highwater::binary(BINARY).args(["compare", "runs.json", "runs.json"]).current_dir(dir.dir()).run();
    let table = stdout(outcome.assert_code(0));
    assert!(table.contains("runs.json #2"), "{table}");
}
