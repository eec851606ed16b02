//! `--gentle`: others go first.

use std::fs;
use std::time::Duration;

use crate::support::report::{number, text};
use crate::support::*;
use nix::sys::signal::Signal;

/// IOPRIO_CLASS_IDLE.
const IDLE: i64 = 3;

/// The class of the I/O priority of each thread of a process, io_uring's workers included.
fn classes(pid: i32) -> Vec<i64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let ids = threads.filter_map(|thread| thread.ok()?.file_name().to_str()?.parse::<i32>().ok());
    // SAFETY: ioprio_get takes two numbers; 1 is IOPRIO_WHO_PROCESS.
    let priority = |id: i32| unsafe { libc::syscall(libc::SYS_ioprio_get, 1, id) };
    // A thread that has ended meanwhile has none.
    ids.map(priority).filter(|priority| *priority >= 0).map(|priority| priority >> 13).collect()
}

#[test]
fn a_copy_waits_for_others_and_is_whole() {
    for engine in engines() {
        for (option, expected) in [(Some("--gentle"), true), (None, false)] {
            let dir = Scratch::new();
            write_file(&dir.path("source"), 1, 8 * MIB);
            let rate = ["--limit-rate", "4MiB/s", "--engine", engine];
            let copy = bounded_copy().args(rate).args(option);
            let mut running = copy.args([dir.path("source"), dir.path("target")]).start();
            running.wait_until_it_handles(Signal::SIGINT);
            std::thread::sleep(Duration::from_millis(400));
            let classes = classes(running.pid());
            running.wait().assert_ok();
            assert_holds(&dir.path("target"), 1, 8 * MIB);
            // Those that watch and draw a line do no I/O, and began before.
            let idle = classes.iter().filter(|class| **class == IDLE).count();
            assert_eq!(idle > 0, expected, "{engine} {option:?}: {classes:?}");
        }
    }
}

#[test]
fn the_mark_begins_with_a_block_and_is_told() {
    for engine in engines() {
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, 16 * MIB);
        let args =
            ["--gentle", "--block-size", "64KiB", "--buffers", "16", "--engine", engine, "--json", "-"];
        let outcome = bounded_copy().args(args).args([dir.path("source"), dir.path("target")]).run();
        let report = outcome.assert_silent().json();
        assert_holds(&dir.path("target"), 1, 16 * MIB);
        assert_eq!(text(&report, "tuner.bound_by"), "wait", "{report}");
        assert_eq!(number(&report, "tuner.marks.0.high_water_bytes"), 64 * KIB, "{report}");
        assert!(number(&report, "flow.peak_in_flight_bytes") <= 16 * 64 * KIB, "{report}");
        assert!(number(&report, "tuner.unloaded_latency_ns") > 0, "{report}");
    }
}

#[test]
fn no_other_mark_can_be_typed_beside_it() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 1);
    for mark in ["1MiB", "auto"] {
        let args = ["--gentle", "--high-water", mark];
        let outcome = bounded_copy().args(args).args([dir.path("source"), dir.path("target")]).run();
        outcome.assert_usage(&["--gentle finds its own mark", "--high-water"]);
    }
}
