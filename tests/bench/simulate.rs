//! `highwater bench` with a simulated device before its target.

use std::fs;

use crate::support::report::{number, text};
use crate::support::{Highwater, MIB, Scratch, engines, names};
use serde_json::Value;

fn bench(engine: &str, spec: &str, options: &[&str]) -> (Highwater, Scratch) {
    let scratch = Scratch::new();
    let size = ["--size", "8M", "--for", "800ms", "--engine", engine, "--simulate", spec];
    let bench = Highwater::bench().args(["--json", "-", "-q"]).args(size).args(options).arg(scratch.dir());
    (bench, scratch)
}

#[track_caller]
fn report(engine: &str, spec: &str, options: &[&str], code: i32) -> Value {
    let (bench, scratch) = bench(engine, spec, options);
    let report = bench.run().assert_code(code).json();
    assert_eq!(text(&report, "simulated.spec"), spec);
    assert_eq!(names(&scratch.dir()), [""; 0], "the scratch file is gone");
    report
}

#[test]
fn what_is_measured_is_the_simulated_device() {
    for engine in engines() {
        let report_of = |spec: &str, options: &[&str]| report(engine, spec, options, 0);
        let report = report_of("latency=20ms", &["--workload", "randread", "--depth", "4"]);
        assert!(number(&report, "latency.read.min_ns") >= 19_900_000, "{report}");
        // 40 rounds of 20 ms in 800 ms, and one that is out at the end.
        assert!((4..=164).contains(&number(&report, "load.operations")), "{report}");
        let report = report_of("bandwidth=8MiB/s", &["--workload", "write", "--block-size", "64K"]);
        let most = 8 * MIB * 8 / 10 + 9 * 65536;
        assert!((MIB..=most).contains(&number(&report, "bytes")), "{report}");
        let report =
            report_of("sync-latency=30ms", &["--workload", "randwrite", "--depth", "1", "--sync-every", "1"]);
        assert!(number(&report, "latency.sync.min_ns") >= 29_900_000, "{report}");
    }
}

#[test]
fn a_stall_is_seen_by_all_that_arrive_while_it_lasts() {
    for engine in engines() {
        let spec = "stall=300ms@400ms";
        let report = report(engine, spec, &["--workload", "randread", "--rate", "200/s", "--depth", "1"], 0);
        // One operation met it; sixty waited behind.
        assert!(number(&report, "latency.read.max_ns") >= 250_000_000, "{report}");
        assert!(number(&report, "response.read.p90_ns") >= 150_000_000, "{report}");
        assert!(number(&report, "latency.read.p90_ns") < 150_000_000, "{report}");
    }
}

#[test]
fn what_fails_ends_it_and_is_told() {
    for engine in engines() {
        let report = report(engine, "latency=5ms,read-error=EIO:100%", &["--depth", "2"], 1);
        assert_eq!(text(&report, "errors.0.errno"), "EIO");
        assert_eq!(text(&report, "errors.0.op"), "read");
        let short = self::report(engine, "short=50%", &["--workload", "write", "--block-size", "64K"], 0);
        assert!(number(&short, "load.short_operations") > 0, "{short}");
    }
}

#[test]
fn what_can_not_be_meant_is_refused_before_anything_is_touched() {
    let scratch = Scratch::new();
    let file = scratch.path("file");
    fs::write(&file, [7; 65536]).unwrap();
    let outcome = Highwater::bench().args(["--simulate", "latency=5"]).arg(&file).run();
    outcome.assert_code(2);
    let message = "highwater: --simulate: a unit is missing at character 10\n  latency=5\n           ^\n\
                   Try 'highwater bench --help' for more information.\n";
    assert_eq!(outcome.stderr, message);
    assert_eq!(fs::read(&file).unwrap(), [7; 65536]);
}
