//! Slow targets: stalls are told while they last and measured, cliffs are dated, level, memory and page cache
//! stay flat. What is said of times is held against what the test did and when; how exact they are where nothing
//! else runs is for `scripts/stress-slow.py` to show.

use std::time::{Duration, Instant};

use crate::support::report::{at, number, text};
use crate::support::*;
use nix::sys::signal::Signal;

fn stress(engine: &str) -> Highwater {
    Highwater::stress().args(["--engine", engine, "--json", "-"])
}

/// A disk whose writes stop altogether for two seconds.
#[test]
fn a_stall_is_told_while_it_lasts_and_with_its_length() {
    need_fs!(Fs::Ext4);
    need_cgroup!("blkio");
    for engine in engines() {
        let disk = LoopDisk::new(Fs::Ext4, 256 * MIB);
        let throttle = Throttle::new(&disk.device().number(), 0);
        let args = ["--size", "32M", "--limit-rate", "10M/s", "--sync-every", "1h"];
        let command = stress(engine).args(args).arg(disk.dir()).inside(throttle.group());
        let mut running = command.start();
        running.wait_until_it_handles(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(500));
        let before = Instant::now();
        throttle.set(1);
        let stopped = Instant::now();
        wait_for("the stall to be told", || {
            running.stderr_so_far().contains("hangs: nothing has come of it for 1")
        });
        std::thread::sleep(Duration::from_secs(2).saturating_sub(stopped.elapsed()));
        let held = stopped.elapsed().as_secs_f64();
        throttle.set(0);
        wait_for("its end to be told", || running.stderr_so_far().contains("went on after"));
        let until_told = before.elapsed().as_secs_f64();
        let outcome = running.wait();
        outcome.assert_ok();
        let report = outcome.json();
        let stalls = at(&report, "stalls").as_array().unwrap();
        let lengths = stalls.iter().map(|stall| stall["length_s"].as_f64().unwrap());
        let (nth, length) = lengths.enumerate().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap();
        // A block is due every 50 ms, on a machine that is not busy.
        let (least, most) = (held - 0.5, until_told + 0.5);
        assert!((least..=most).contains(&length), "{length} s, not {least} to {most}: {stalls:?}");
        assert_eq!(text(&stalls[nth], "op"), "write");
        assert_eq!(number(&report, "check.good"), number(&report, "check.blocks"));
    }
}

#[test]
fn a_cliff_from_100_to_20_is_dated_within_two_intervals_and_a_steady_target_has_none() {
    need_fs!(Fs::Ext4);
    need_cgroup!("blkio");
    let disk = LoopDisk::new(Fs::Ext4, 512 * MIB);
    let throttle = Throttle::new(&disk.device().number(), 100 * MIB);
    let args = ["--interval", "200ms", "--direct", "always", "--sync-every", "1h", "--size"];
    let before = disk.device().written_bytes();
    let mut running = stress("auto").args(args).arg("240M").arg(disk.dir()).inside(throttle.group()).start();
    running.wait_until_it_handles(Signal::SIGINT);
    // By the device's own count, so that it does not matter how fast it was.
    wait_for("160 MiB", || disk.device().written_bytes() - before >= 160 * MIB);
    let fell = disk.device().written_bytes() - before;
    throttle.set(20 * MIB);
    let outcome = running.wait();
    outcome.assert_ok();
    let report = outcome.json();
    let cliff = report.get("cliff").unwrap_or_else(|| panic!("no cliff in {report}"));
    let rate = |name: &str| at(cliff, &format!("{name}_bytes_per_s")).as_f64().unwrap();
    let after = number(cliff, "after_bytes");
    // What was done in two intervals, and what was in flight. File systems write some of their own.
    let most = 0.4 * rate("before") + (5 * MIB) as f64;
    assert!(after.abs_diff(fell) as f64 <= most, "{fell} bytes were written when it fell: {cliff}");
    assert!(rate("before") > 1.5 * rate("after"), "{cliff}");

    let steady = Throttle::new(&disk.device().number(), 20 * MIB);
    let outcome = stress("auto").args(args).arg("64M").arg(disk.dir()).inside(steady.group()).run();
    outcome.assert_ok();
    assert!(outcome.json().get("cliff").is_none(), "{}", outcome.json());
}

/// What a disk's writes are held to.
enum Held {
    Bytes(u64),
    Operations(u64),
}

/// The page cache of a command that writes around it holds nothing that is not on the disk.
#[test]
fn whatever_holds_the_target_level_memory_and_page_cache_stay_flat() {
    need_fs!(Fs::Ext4);
    need_cgroup!("blkio");
    need_cgroup!("memory");
    let disk = LoopDisk::new(Fs::Ext4, 384 * MIB);
    let lean = |engine: &str, held: Held, args: &[&str]| {
        let throttle = Throttle::new(&disk.device().number(), 0);
        match held {
            Held::Bytes(per_s) => throttle.set(per_s),
            Held::Operations(per_s) => throttle.set_operations(per_s),
        }
        let memory = MemoryCgroup::new(256 * MIB);
        let command = stress(engine).args(args).args(["--sync-every", "1h"]).arg(disk.dir());
        let mut running = command.inside(throttle.group()).inside(memory.group()).start();
        let mut dirty = 0;
        while !running.has_ended() {
            dirty = dirty.max(memory.dirty_bytes());
            std::thread::sleep(Duration::from_millis(5));
        }
        let outcome = running.wait();
        outcome.assert_ok();
        (outcome.json(), dirty)
    };
    let (ring, plain) = (engines()[0], "plain");
    for (engine, held, args) in [
        (ring, Held::Bytes(5 * MIB), &["--size", "9M"][..]),
        (plain, Held::Bytes(20 * MIB), &["--size", "36M"][..]),
        (ring, Held::Bytes(100 * MIB), &["--size", "180M"][..]),
        (ring, Held::Operations(200), &["--size", "22M", "--block-size", "64K"][..]),
    ] {
        let (report, dirty) = lean(engine, held, args);
        let flow = |name: &str| number(&report, &format!("flow.{name}"));
        assert!(flow("peak_in_flight_bytes") <= flow("high_water_bytes"), "{args:?}: {}", report["flow"]);
        assert!(flow("backpressure_events") > 0, "{args:?}: it was held: {}", report["flow"]);
        let memory = |name: &str| number(&report, &format!("stress.memory.{name}_bytes"));
        assert!(
            memory("most").abs_diff(memory("first")) <= 2 * MIB,
            "{args:?}: {}",
            report["stress"]["memory"]
        );
        assert!(dirty <= 2 * MIB, "{args:?}: {dirty} bytes of the page cache are dirty");
        assert_eq!(number(&report, "check.good"), number(&report, "check.blocks"));
    }
    let through = ["--size", "32M", "--direct", "never"];
    let (_, dirty) = lean(ring, Held::Bytes(40 * MIB), &through);
    assert!(dirty > 8 * MIB, "through the page cache it would be seen: {dirty}");
}

#[test]
fn a_simulated_device_is_leant_on_like_a_real_one() {
    for engine in engines() {
        let dir = Scratch::new();
        let full = ["--size", "8M", "-q", "--simulate", "full=4MiB"];
        let outcome = stress(engine).args(full).arg(dir.path("file")).run();
        outcome.assert_failed(&["No space left on device"]);
        assert_eq!(number(&outcome.json(), "check.good"), 1024);
        let slow = ["--size", "8M", "-q", "--simulate", "bandwidth=200MiB/s,latency=1ms"];
        stress(engine).args(slow).arg(dir.path("file")).run().assert_silent();
        let wrong = Highwater::stress().args(["--simulate", "bandwith=1M"]).arg(dir.path("file")).run();
        wrong.assert_usage(&["bandwith"]);
        assert_eq!(names(&dir.dir()), Vec::<std::ffi::OsString>::new());
    }
}
