//! Slow targets: stalls are told while they last and measured, cliffs are dated, memory stays flat.

mod support;

use std::time::Duration;

use nix::sys::signal::Signal;
use support::report::number;
use support::*;

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
        throttle.set(1);
        std::thread::sleep(Duration::from_millis(1600));
        let told = running.stderr_so_far();
        assert!(told.contains("hangs: nothing has come of it for 1"), "while it lasts: {told}");
        std::thread::sleep(Duration::from_millis(400));
        throttle.set(0);
        let outcome = running.wait();
        outcome.assert_ok();
        assert!(outcome.stderr.contains("went on after"), "{}", outcome.stderr);
        let report = outcome.json();
        let stalls = report["stalls"].as_array().unwrap();
        assert_eq!(stalls.len(), 1, "{stalls:?}");
        let length = stalls[0]["length_s"].as_f64().unwrap();
        // How well it is measured on a machine with nothing else to do is for a script to show.
        assert!((1.9..2.6).contains(&length), "{length}");
        assert_eq!(stalls[0]["op"], "write");
        assert_eq!(number(&report, "check.good"), number(&report, "check.blocks"));
    }
}

#[test]
fn a_cliff_is_dated_and_a_steady_target_has_none() {
    need_fs!(Fs::Ext4);
    need_cgroup!("blkio");
    let disk = LoopDisk::new(Fs::Ext4, 512 * MIB);
    let throttle = Throttle::new(&disk.device().number(), 60 * MIB);
    let args = ["--size", "150M", "--interval", "200ms", "--direct", "always", "--sync-every", "1h"];
    let mut running = stress("auto").args(args).arg(disk.dir()).inside(throttle.group()).start();
    running.wait_until_it_handles(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(1600));
    throttle.set(12 * MIB);
    let outcome = running.wait();
    outcome.assert_ok();
    let report = outcome.json();
    let cliff = &report["cliff"];
    let at = cliff["at_s"].as_f64().unwrap_or_else(|| panic!("no cliff in {report}"));
    assert!((1.0..2.6).contains(&at), "{cliff}");
    assert!(cliff["before_bytes_per_s"].as_f64() > cliff["after_bytes_per_s"].as_f64(), "{cliff}");
    let after = cliff["after_bytes"].as_u64().unwrap();
    assert!((40 * MIB..140 * MIB).contains(&after), "{cliff}");

    let steady = Throttle::new(&disk.device().number(), 40 * MIB);
    let outcome = stress("auto").args(args).arg(disk.dir()).inside(steady.group()).run();
    outcome.assert_ok();
    let report = outcome.json();
    assert!(report.get("cliff").is_none(), "{report}");
    let memory = |name: &str| number(&report, &format!("stress.memory.{name}_bytes"));
    assert!(memory("last").abs_diff(memory("first")) <= 2 * MIB, "{}", report["stress"]["memory"]);
    assert!(number(&report, "flow.backpressure_events") > 0);
    assert!(number(&report, "flow.peak_in_flight_bytes") <= number(&report, "flow.high_water_bytes"));
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
