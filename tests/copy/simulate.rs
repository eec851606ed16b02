//! A simulated device before the target: what it slows, fails, cuts short or fills up, with both
//! drivers, in one file and in trees; what is told of it; what can't be meant.
//!
//! How long things take is tested of the model, by told times (`flow::simulate`); here a slow device
//! is at least as slow as was said, and `scripts/scenarios/` compares it with the clock.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::command::quoted;
use crate::support::report::{number, text};
use crate::support::*;
use nix::sys::signal::Signal;
use serde_json::Value;

const LEN: u64 = 3 * MIB + 4321;

fn copy(engine: &str, spec: &str, source: &Path, target: &Path) -> Highwater {
    Highwater::copy().args(["--engine", engine, "--json", "-", "--simulate", spec]).args([source, target])
}

/// A directory with files of many sizes; small ones, some of a few blocks, one of many.
fn tree(dir: &Path) -> Vec<(String, u64, u64)> {
    let mut files = vec![];
    for nth in 0..120u64 {
        let len = match nth % 40 {
            0 => 900_000 + nth,
            7 => 200_000 + nth,
            _ => 1 + nth * 37,
        };
        let name = format!("{}/file-{nth}", nth % 5);
        fs::create_dir_all(dir.join(format!("{}", nth % 5))).unwrap();
        write_file(&dir.join(&name), nth, len);
        files.push((name, nth, len));
    }
    files
}

/// Which file failed at which offset, by which errno.
fn failures(report: &Value, target: &Path) -> BTreeMap<String, (u64, String)> {
    let errors = report["errors"].as_array().unwrap().iter();
    let below = |error: &Value| {
        let path = Path::new(error["path"].as_str().unwrap());
        path.strip_prefix(target).unwrap().to_str().unwrap().to_owned()
    };
    let what = |error: &Value| (error["offset"].as_u64().unwrap(), error["errno"].as_str().unwrap().into());
    errors.map(|error| (below(error), what(error))).collect()
}

#[test]
fn bandwidth_and_latency_are_kept_and_what_stood_there_is_reported() {
    for engine in engines() {
        let dir = Scratch::new();
        let (source, target) = (dir.path("source"), dir.path("target"));
        write_file(&source, 1, LEN);
        let spec = "bandwidth=8MiB/s,latency=20ms,sync-latency=100ms";
        let outcome = copy(engine, spec, &source, &target).run();
        outcome.assert_silent();
        assert_holds(&target, 1, LEN);
        // It can't be faster than the device; how much slower depends on the machine.
        let least = LEN as f64 / (8 * MIB) as f64 + 0.02 + 0.1;
        assert!(outcome.elapsed.as_secs_f64() >= least, "{engine}: {:?}", outcome.elapsed);
        let report = outcome.json();
        assert_eq!(text(&report, "simulated.spec"), spec);
        assert_eq!(text(&report, "path.method"), engine);
        assert_eq!(number(&report, "bytes"), LEN);
        assert!(number(&report, "latency.write.min_ns") >= 19_900_000);
        assert!(number(&report, "latency.sync.min_ns") >= 99_900_000);
        assert!(number(&report, "flow.peak_in_flight_bytes") <= number(&report, "flow.high_water_bytes"));
    }
    let dir = Scratch::new();
    write_file(&dir.path("a"), 1, 10);
    let report = Highwater::copy().args(["--json", "-"]).args([dir.path("a"), dir.path("b")]).run().json();
    assert_eq!(report.get("simulated"), None);
}

#[test]
fn all_workers_share_one_device() {
    let dir = Scratch::new();
    let mut bytes = 0;
    fs::create_dir(dir.path("tree")).unwrap();
    for nth in 0..40 {
        write_file(&dir.path(&format!("tree/{nth}")), nth, 50_000);
        bytes += 50_000;
    }
    for jobs in ["1", "8"] {
        let target = dir.path(jobs);
        let outcome =
            copy("auto", "bandwidth=4MiB/s", &dir.path("tree"), &target).args(["-r", "--jobs", jobs]).run();
        outcome.assert_ok();
        assert!(outcome.elapsed.as_secs_f64() >= bytes as f64 / (4 * MIB) as f64, "{:?}", outcome.elapsed);
        (0..40).for_each(|nth| assert_holds(&target.join(nth.to_string()), nth, 50_000));
    }
}

#[test]
fn the_same_seed_gives_the_same_faults_whatever_else_differs() {
    let dir = Scratch::new();
    let source = dir.path("source");
    let files = tree(&source);
    let mut runs = vec![];
    for (engine, jobs) in [("ring", "1"), ("ring", "8"), ("plain", "1"), ("auto", "3"), ("auto", "8")] {
        if !engines().contains(&engine) && engine != "auto" {
            continue;
        }
        let target = dir.path(&format!("{engine}-{jobs}"));
        let spec = "error=EIO:10%,short=20%,latency=lognormal:1ms:1,seed=7";
        let outcome =
            copy(engine, spec, &source, &target).args(["-r", "--block-size", "64K", "--jobs", jobs]).run();
        outcome.assert_code(1);
        let report = outcome.json();
        let failed = failures(&report, &target);
        assert_eq!(number(&report, "failures"), failed.len() as u64);
        for (name, seed, len) in &files {
            match failed.contains_key(name) {
                true => assert!(!target.join(name).exists(), "{name}"),
                false => assert_holds(&target.join(name), *seed, *len),
            }
        }
        // Of several faults of one file the first in time is told.
        let failed: BTreeMap<_, _> = failed.into_iter().map(|(name, (_, errno))| (name, errno)).collect();
        runs.push(failed);
    }
    assert!((5..60).contains(&runs[0].len()), "{:?}", runs[0]);
    assert!(runs.iter().all(|run| *run == runs[0]), "{runs:#?}");
    let other = dir.path("other");
    let outcome = copy("auto", "error=EIO:10%,short=20%,seed=8", &source, &other).arg("-r").run();
    let names: Vec<_> = failures(&outcome.json(), &other).into_keys().collect();
    assert_ne!(names, runs[0].keys().cloned().collect::<Vec<_>>(), "another seed");
}

#[test]
fn what_fails_by_chance_is_tried_again_and_comes_whole() {
    for engine in engines() {
        let dir = Scratch::new();
        let source = dir.path("source");
        let files = tree(&source);
        let target = dir.path("target");
        let outcome = copy(engine, "error=EIO:20%,short=30%,seed=3", &source, &target)
            .args(["-r", "--block-size", "64K", "--retry", "20", "--jobs", "8"])
            .run();
        outcome.assert_ok();
        assert!(number(&outcome.json(), "retries") > 10);
        assert_eq!(outcome.json()["errors"], Value::Array(vec![]));
        files.iter().for_each(|(name, seed, len)| assert_holds(&target.join(name), *seed, *len));
    }
}

#[test]
fn short_transfers_lose_nothing() {
    for engine in engines() {
        for direct in ["auto", "never"] {
            let dir = Scratch::new();
            let (source, target) = (dir.path("source"), dir.path("target"));
            write_file(&source, 5, LEN);
            let outcome = copy(engine, "short=70%", &source, &target)
                .args(["--verify", "--block-size", "64K", "--direct", direct])
                .run();
            outcome.assert_code(0);
            assert_holds(&target, 5, LEN);
            // Nearly each block took two writes or more.
            assert!(number(&outcome.json(), "latency.write.count") > LEN / (64 * KIB) * 3 / 2);
        }
    }
}

#[test]
fn it_is_full_where_that_was_said() {
    for engine in engines() {
        let dir = Scratch::new();
        let (source, target) = (dir.path("source"), dir.path("target"));
        write_file(&source, 2, LEN);
        let outcome = copy(engine, "full=1234567", &source, &target).args(["--direct", "never"]).run();
        outcome.assert_failed(&["error writing", &quoted(&target), "No space left on device"]);
        assert!(!target.exists());
        let report = outcome.json();
        assert_eq!(failures(&report, &dir.dir())["target"].1, "ENOSPC");
        assert_eq!(number(&report, "bytes"), MIB, "whole blocks");
        // What is overwritten in place keeps what is right, to the byte.
        write_file(&target, 9, 10);
        let outcome = copy(engine, "full=1234567", &source, &target).args(["--direct", "never"]).run();
        outcome.assert_failed(&["No space left on device"]);
        outcome.assert_failed(&[&quoted(&target), "holds the first 1234567 bytes"]);
        assert_bytes(&fs::read(&target).unwrap(), &bytes(2, 1_234_567));
        // Its own size fits.
        let fits = format!("full={LEN}");
        copy(engine, &fits, &source, &target).args(["--direct", "never"]).run().assert_silent();
        assert_holds(&target, 2, LEN);
    }
}

#[test]
fn a_full_device_is_shared_by_all_files() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("tree")).unwrap();
    (0..20).for_each(|nth| write_file(&dir.path(&format!("tree/{nth:02}")), nth, 10_000));
    let target = dir.path("target");
    let outcome = copy("auto", "full=75000", &dir.path("tree"), &target).args(["-r", "--jobs", "1"]).run();
    outcome.assert_code(1);
    let report = outcome.json();
    assert_eq!((number(&report, "files"), number(&report, "failures")), (7, 13));
    let (mut whole, mut cut) = (0, 0);
    for (name, (offset, errno)) in failures(&report, &target) {
        assert_eq!(errno, "ENOSPC", "{name}");
        cut += u64::from(offset == 5000);
        whole += u64::from(offset == 0);
    }
    assert_eq!((whole, cut), (12, 1));
}

#[test]
fn a_bad_place_is_told_and_what_is_before_it_is_right() {
    for engine in engines() {
        let dir = Scratch::new();
        let (source, target) = (dir.path("source"), dir.path("target"));
        write_file(&source, 2, LEN);
        write_file(&target, 9, 10);
        let outcome = copy(engine, "write-error=EIO@2M", &source, &target).args(["--retry", "1"]).run();
        outcome.assert_failed(&["error writing", &quoted(&target), "at byte 2097152", "Input/output error"]);
        assert_eq!(number(&outcome.json(), "retries"), 1);
        assert_bytes(&fs::read(&target).unwrap(), &bytes(2, 2 * MIB));
        // Read back, it is what verify tells of.
        let outcome = copy(engine, "read-error=EIO@2M", &source, &target).arg("--verify").run();
        outcome.assert_code(3);
        let failed = failures(&outcome.json(), &dir.dir());
        assert_eq!(failed, BTreeMap::from([("target".into(), (2 * MIB, "EIO".into()))]));
        assert_holds(&target, 2, LEN);
    }
}

#[test]
fn a_failed_sync_is_a_failed_copy() {
    for engine in engines() {
        let dir = Scratch::new();
        let (source, target) = (dir.path("source"), dir.path("target"));
        write_file(&source, 2, LEN);
        let outcome = copy(engine, "sync-error=EIO:100%", &source, &target).run();
        outcome.assert_failed(&["sync", &quoted(&target), "Input/output error"]);
        assert!(!target.exists());
        copy(engine, "sync-error=EIO:100%", &source, &target).args(["--sync", "none"]).run().assert_silent();
        fs::remove_file(&target).unwrap();
        let outcome = copy(engine, "sync-error=ENOSPC:100%", &source, &target).arg("-r").run();
        outcome.assert_failed(&["No space left on device"]);
    }
}

#[test]
fn a_stall_is_told_while_it_lasts() {
    for engine in engines() {
        let dir = Scratch::new();
        let (source, target) = (dir.path("source"), dir.path("target"));
        write_file(&source, 2, LEN);
        let outcome = copy(engine, "bandwidth=4MiB/s,stall=1500ms@1900ms", &source, &target)
            .args(["--stall-limit", "500ms", "--block-size", "64K"])
            .run();
        // 0.76 s of work meet no stall but one that begins at 1.9 s, should the machine be slow.
        outcome.assert_ok();
        let outcome = copy(engine, "bandwidth=4MiB/s,stall=1500ms@1800ms", &source, &target)
            .args(["--stall-limit", "500ms", "--block-size", "64K", "--limit-rate", "1500K/s"])
            .run();
        outcome.assert_ok();
        assert_holds(&target, 2, LEN);
        let report = outcome.json();
        // A sync may take long, too, on a disk that others use.
        let writes = |stall: &&serde_json::Value| stall["op"] == "write";
        let stalls: Vec<_> = report["stalls"].as_array().unwrap().iter().filter(writes).collect();
        assert_eq!(stalls.len(), 1, "{report}\n{}", outcome.stderr);
        assert_eq!(text(stalls[0], "path"), target.to_str().unwrap());
        assert!(outcome.stderr.contains(&format!("writing {}", quoted(&target))), "{}", outcome.stderr);
    }
}

#[test]
fn one_signal_waits_for_the_device_and_a_second_one_does_not() {
    for engine in engines() {
        let dir = Scratch::new();
        let (source, target) = (dir.path("source"), dir.path("target"));
        write_file(&source, 2, LEN);
        let mut running = copy(engine, "latency=1s", &source, &target).start();
        running.wait_until_it_handles(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(300));
        running.signal(Signal::SIGINT);
        let outcome = running.wait();
        outcome.assert_code(130);
        assert!(outcome.elapsed >= Duration::from_millis(900), "{:?}", outcome.elapsed);
        assert!(number(&outcome.json(), "bytes") > 0, "what was in flight has arrived");
        assert!(!target.exists());

        let mut running = copy(engine, "latency=1h", &source, &target).start();
        running.wait_until_it_handles(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(300));
        running.signal(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(300));
        assert!(!running.has_ended());
        running.signal(Signal::SIGINT);
        let outcome = running.wait();
        outcome.assert_code(130);
        assert!(outcome.stderr.contains("stopped at once"), "{}", outcome.stderr);
        assert!(!target.exists());
    }
}

#[test]
fn pipes_resumed_copies_and_rescues_have_it_before_them_as_well() {
    for engine in engines() {
        let dir = Scratch::new();
        let target = dir.path("target");
        let outcome = Highwater::copy()
            .args(["--engine", engine, "--simulate", "short=50%,latency=1ms,seed=1", "-"])
            .arg(&target)
            .input(&bytes(4, LEN))
            .run();
        outcome.assert_silent();
        assert_holds(&target, 4, LEN);
        let source = dir.path("source");
        write_file(&source, 4, LEN);
        let outcome = Highwater::copy()
            .args(["--engine", engine, "--simulate", "short=50%", "--sync", "none"])
            .args([source.to_str().unwrap(), "-"])
            .run();
        outcome.assert_ok();
        assert_bytes(&outcome.stdout, &bytes(4, LEN));
        // The journal tells what is there; the rest is copied once the device has room.
        let resumed = dir.path("resumed");
        let resume = ["--resume", "--block-size", "64K"];
        let outcome = copy(engine, "full=2M,bandwidth=1M/s", &source, &resumed).args(resume).run();
        outcome.assert_failed(&["No space left on device"]);
        let outcome = copy(engine, "latency=1ms", &source, &resumed).args(resume).run();
        outcome.assert_code(0);
        assert!(number(&outcome.json(), "resumed.believed_bytes") >= MIB, "{}", outcome.json());
        assert_holds(&resumed, 4, LEN);
        let rescued = dir.path("rescued");
        let map = dir.path("map");
        let outcome = copy(engine, "error=EIO:30%,short=50%", &source, &rescued)
            .args(["--retry", "20", "--block-size", "64K", "--map", map.to_str().unwrap()])
            .run();
        outcome.assert_code(0);
        assert_holds(&rescued, 4, LEN);
    }
}

#[test]
fn nothing_is_cloned_past_it() {
    need_fs!(Fs::Btrfs);
    let disk = LoopDisk::new(Fs::Btrfs, 256 * MIB);
    let (source, target) = (disk.path("source"), disk.path("target"));
    write_file(&source, 2, LEN);
    let outcome = copy("auto", "seed=1", &source, &target).run();
    outcome.assert_ok();
    assert_ne!(text(&outcome.json(), "path.method"), "clone");
    let outcome = copy("auto", "seed=1", &source, &target).arg("--reflink=always").run();
    outcome.assert_usage(&["a simulated device slows bytes down, and --reflink=always copies none"]);
}

#[test]
fn latencies_are_replayed_from_a_log() {
    let dir = Scratch::new();
    let (source, target, log) = (dir.path("source"), dir.path("target"), dir.path("slow.hlog"));
    write_file(&source, 2, LEN);
    let hlog = ["--hlog", log.to_str().unwrap()];
    copy("auto", "latency=40ms", &source, &target).args(hlog).run().assert_ok();
    let spec = format!("write-latency=replay:{}", log.display());
    let outcome = copy("auto", &spec, &source, &target).run();
    outcome.assert_silent();
    let report = outcome.json();
    assert!(number(&report, "latency.write.min_ns") >= 39_900_000, "{report}");
    assert_eq!(text(&report, "simulated.spec"), spec);
}

#[test]
fn a_profile_is_a_device_of_which_spec_changes_a_part() {
    let dir = Scratch::new();
    let (source, target) = (dir.path("source"), dir.path("target"));
    write_file(&source, 2, LEN);
    let copy = |options: &[&str]| {
        Highwater::copy().args(["--json", "-"]).args(options).args([&source, &target]).run()
    };
    for name in ["hdd", "usb-stick", "sd-card", "smr", "cloud-volume", "nfs"] {
        let outcome = copy(&["--profile", name, "--simulate", "bandwidth=64M/s,cliff=32M/s@1G,seed=3"]);
        outcome.assert_silent();
        let report = outcome.json();
        let spec = text(&report, "simulated.spec");
        assert!(spec.starts_with("bandwidth=64MiB/s,cliff=32MiB/s@1GiB,"), "{spec}");
        assert!(spec.ends_with(",seed=3"), "{spec}");
    }
    let outcome = copy(&["--profile", "nfs"]);
    outcome.assert_silent();
    assert!(number(&outcome.json(), "latency.write.min_ns") >= 2_690_000);
    assert_holds(&target, 2, LEN);
    let spec = "bandwidth=500MiB/s,read-latency=250us,write-latency=2ms 700us,sync-latency=2ms 700us";
    assert_eq!(text(&outcome.json(), "simulated.spec"), spec);
    let outcome = copy(&["--profile", "floppy"]);
    outcome.assert_usage(&["invalid argument 'floppy' for '--profile'", "  - 'cloud-volume'\n"]);
}

/// Exit code 2, the message in full, and neither target touched.
#[track_caller]
fn refused(spec: &str, message: &str) {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 70_000);
    write_file(&dir.path("old"), 2, 50_000);
    for target in ["old", "new"] {
        let outcome =
            Highwater::copy().current_dir(dir.dir()).args(["--simulate", spec, "source", target]).run();
        outcome.assert_code(2);
        let hint = "Try 'highwater copy --help' for more information.";
        assert_eq!(outcome.stderr, format!("highwater: {message}\n{hint}\n"));
    }
    assert_eq!(names(&dir.dir()), ["old", "source"]);
    assert_holds(&dir.path("old"), 2, 50_000);
}

#[test]
fn what_can_not_be_meant_is_refused_at_its_character() {
    refused(
        "latency=5ms,bandwith=20MiB/s",
        "--simulate: unknown part 'bandwith' at character 13\n  latency=5ms,bandwith=20MiB/s\n              ^",
    );
    refused(
        "latency=5ms,latency=1ms",
        "--simulate: 'latency' is there already at character 13\n  latency=5ms,latency=1ms\n              ^",
    );
    refused("", "--simulate: a part is missing at character 1\n  \n  ^");
    refused(
        "stall=2s@1s",
        "--simulate: a stall that lasts until the next one at character 10\n  stall=2s@1s\n           ^",
    );
    refused(
        "error=EIO:10",
        "--simulate: a percent sign is missing at character 13\n  error=EIO:10\n              ^",
    );
    refused("latency=replay:none.hlog", "--simulate: cannot replay 'none.hlog': No such file or directory");
    refused(
        "latency=replay:source",
        "--simulate: cannot replay 'source': line 1 is none of a HdrHistogram log",
    );
}

#[test]
fn cp_has_no_such_option_of_its_own_to_abbreviate() {
    let dir = Scratch::new();
    let cp = |option: &str| {
        Highwater::binary(command::BINARY).named("cp").args([option, "a", "b"]).current_dir(dir.dir()).run()
    };
    cp("--sim=seed=1").assert_code(1);
    cp("--prof=hdd").assert_code(1);
    assert!(cp("--s=never").stderr.contains("ambiguous"), "{}", cp("--s=never").stderr);
}
