//! `highwater stress` that is stopped or killed: what it says and leaves, and what can be checked afterwards.

use std::path::Path;
use std::time::Duration;

use crate::support::report::{number, text};
use crate::support::*;
use nix::sys::signal::Signal;

fn stress(engine: &str) -> Highwater {
    Highwater::stress().args(["--engine", engine, "--json", "-", "-q"])
}

/// Starts it, so slow that it is in its middle.
fn started(engine: &str, args: &[&str], target: &Path) -> Running {
    let slow = ["--size", "64M", "--limit-rate", "20M/s", "--sync-every", "100ms"];
    let mut running = stress(engine).args(slow).args(args).arg(target).start();
    running.wait_until_it_handles(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(700));
    assert!(!running.has_ended());
    running
}

#[test]
fn stopped_by_a_signal_it_reports_what_happened_and_removes_its_file() {
    for engine in engines() {
        for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
            let dir = Scratch::new();
            let mut running = started(engine, &[], &dir.path("file"));
            running.signal(signal);
            let outcome = running.wait();
            outcome.assert_code(code);
            let report = outcome.json();
            assert_eq!((text(&report, "outcome"), number(&report, "failures")), ("interrupted", 0));
            let written = number(&report, "bytes");
            assert!((MIB..64 * MIB).contains(&written), "{written}");
            assert_eq!(names(&dir.dir()), Vec::<std::ffi::OsString>::new());
            assert_eq!(outcome.stderr, format!("highwater: stopped by {signal}\n"));
        }
    }
}

#[test]
fn what_was_synced_before_it_was_stopped_or_killed_can_be_checked() {
    for engine in engines() {
        for signal in [Signal::SIGINT, Signal::SIGKILL] {
            let dir = Scratch::new();
            let mut running = started(engine, &["--keep"], &dir.path("file"));
            running.signal(signal);
            running.wait();
            assert_eq!(names(&dir.dir()), ["file", "file.highwater-state"]);
            let outcome = stress(engine).arg("--check").arg(dir.path("file")).run();
            outcome.assert_silent();
            let report = outcome.json();
            let (blocks, good) = (number(&report, "check.blocks"), number(&report, "check.good"));
            assert!(good > 256, "{report}");
            assert_eq!(number(&report, "check.unsynced"), blocks - good);
        }
    }
}

#[test]
fn stopped_while_it_reads_back_it_reports_what_was_checked_until_then() {
    for engine in engines() {
        let dir = Scratch::new();
        let target = dir.path("file");
        stress(engine).args(["--size", "16M", "--keep"]).arg(&target).run().assert_silent();
        let mut running = stress(engine).args(["--check", "--limit-rate", "4M/s"]).arg(&target).start();
        running.wait_until_it_handles(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(700));
        running.signal(Signal::SIGINT);
        let outcome = running.wait();
        let report = outcome.assert_code(130).json();
        let check = |name: &str| number(&report, &format!("check.{name}"));
        assert!(check("blocks") < 4096 && check("good") == check("blocks"), "{report}");
        assert_eq!((text(&report, "outcome"), number(&report, "failures")), ("interrupted", 0));
        assert_eq!(outcome.stderr, "highwater: stopped by SIGINT\n");
        // What was there stays there.
        assert_eq!(names(&dir.dir()), ["file", "file.highwater-state"]);
    }
}
