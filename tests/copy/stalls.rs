//! Targets and sources that hang: what hangs is told while it hangs, and a second signal does not wait
//! for it.
//!
//! The disk is one of nbdkit's that pauses. The pause of 60 s runs where no test may be skipped, and with
//! `HIGHWATER_LONG_STALL=1`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::command::quoted;
use crate::support::report::{number, text};
use crate::support::*;
use nix::sys::signal::Signal;

const LEN: u64 = 24 * MIB;

/// A disk that hangs when it is told to. Fields drop in order.
struct PausingDisk {
    device: LoopDevice,
    pause: Pause,
    _nbd: Nbd,
    _dir: Scratch,
}

impl PausingDisk {
    fn new() -> PausingDisk {
        let dir = Scratch::new();
        let control = dir.path("control");
        let argument = format!("pause-control={}", control.display());
        let nbd = Nbd::new(["--filter=pause", "memory", "24M", &argument]);
        PausingDisk { device: nbd.device(), pause: Pause::at(&control), _nbd: nbd, _dir: dir }
    }

    fn path(&self) -> PathBuf {
        self.device.path().to_owned()
    }
}

fn copy(engine: &str, options: &[&str], source: &Path, target: &Path) -> Highwater {
    let rate = ["--limit-rate", "16MiB/s", "--json", "-", "--engine", engine];
    bounded_copy().args(rate).args(options).args([source, target])
}

impl Drop for PausingDisk {
    fn drop(&mut self) {
        // Where a test fails while it hangs, what stands on it could not be taken away.
        self.pause.resume();
    }
}

/// Starts it and waits until it is in its middle.
fn started(copy: Highwater) -> Running {
    let mut running = copy.start();
    running.wait_until_it_handles(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(400));
    assert!(!running.has_ended());
    running
}

/// The longest stall of a report of this kind: on what, and for how many seconds. A machine that is busy has
/// others.
#[track_caller]
fn longest(report: &serde_json::Value, op: &str) -> (PathBuf, f64) {
    let stalls = report["stalls"].as_array().unwrap().iter().filter(|stall| text(stall, "op") == op);
    let stalls = stalls.map(|stall| (text(stall, "path").into(), stall["length_s"].as_f64().unwrap()));
    stalls.max_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or_else(|| panic!("no stall: {report}"))
}

#[test]
fn what_hangs_is_told_while_it_hangs_and_when_it_goes_on() {
    need_nbd!();
    for engine in engines() {
        for (hangs, op, doing) in [("target", "write", "writing"), ("source", "read", "reading")] {
            let mut disk = PausingDisk::new();
            let dir = Scratch::new();
            let file = dir.path("file");
            let (source, target) = match hangs {
                "source" => (disk.path(), file.clone()),
                _ => {
                    write_file(&file, 1, LEN);
                    (file.clone(), disk.path())
                }
            };
            let options = ["--direct", "always", "--stall-limit", "300ms"];
            let running = started(copy(engine, &options, &source, &target));
            let (words, said_before) =
                (format!("{doing} {} at byte", quoted(&disk.path())), running.stderr_so_far().len());
            let said = |what: &str| {
                let text = running.stderr_so_far().split_off(said_before);
                text.lines().filter(|line| line.contains(&words) && line.contains(what)).count()
            };
            let before = Instant::now();
            disk.pause.pause();
            let paused = Instant::now();
            wait_for("the words at 0.3, 0.6 and 1.2 s", || said("hangs: nothing has come of it for") >= 3);
            let held = paused.elapsed().as_secs_f64();
            disk.pause.resume();
            wait_for("the word when it ends", || said("went on after") > 0);
            let until_told = before.elapsed().as_secs_f64();
            let outcome = running.wait();
            outcome.assert_ok();
            let (path, length) = longest(&outcome.json(), op);
            assert_eq!(path, disk.path());
            assert!(held >= 1.2 - 0.5, "three words after {held} s");
            // A block is due every 31 ms.
            let (least, most) = (held - 0.5, until_told + 0.5);
            assert!((least..=most).contains(&length), "{length} s, not {least} to {most}");
        }
    }
}

#[test]
fn a_sync_that_hangs_is_told() {
    need_nbd!();
    for engine in engines() {
        let mut disk = PausingDisk::new();
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        let options = ["--direct", "never", "--stall-limit", "300ms"];
        // What is written goes into the page cache, and the sync waits for it.
        disk.pause.pause();
        let command = bounded_copy().args(["--json", "-", "--engine", engine]).args(options);
        let command = command.args([dir.path("source"), disk.path()]);
        let running = command.start();
        let words = format!("syncing {} hangs", quoted(&disk.path()));
        wait_for("the word", || running.stderr_so_far().contains(&words));
        disk.pause.resume();
        let outcome = running.wait();
        outcome.assert_ok();
        assert!(outcome.stderr.contains("went on after"), "{}", outcome.stderr);
        assert_eq!(longest(&outcome.json(), "sync").0, disk.path());
        assert_holds(&disk.path(), 1, LEN);
    }
}

#[test]
fn nothing_is_told_quietly_or_without_a_limit_or_of_a_pipe_that_waits() {
    need_nbd!();
    let mut disk = PausingDisk::new();
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    for options in [&["-q", "--stall-limit", "200ms"], &["--direct=always", "--stall-limit", "0s"]] {
        let running = started(copy("auto", options, &dir.path("source"), &disk.path()));
        disk.pause.pause();
        std::thread::sleep(Duration::from_millis(700));
        disk.pause.resume();
        running.wait().assert_silent();
    }
    let (input, feed) = std::io::pipe().unwrap();
    // Nothing else that may take long.
    let options = ["--stall-limit", "300ms", "--sync", "none", "-"];
    let running = bounded_copy().args(options).arg(dir.path("target")).stdin(input).start();
    std::thread::sleep(Duration::from_millis(900));
    drop(feed);
    running.wait().assert_silent();
}

/// With the engine and the way that wait for nothing in the kernel that can't be interrupted; see the
/// README's limits for the others.
#[test]
fn a_target_that_hangs_does_not_hold_the_second_signal() {
    need_nbd!();
    need_uring!();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut disk = PausingDisk::new();
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        let mut running = started(copy("ring", &["--direct", "always"], &dir.path("source"), &disk.path()));
        disk.pause.pause();
        std::thread::sleep(Duration::from_millis(200));
        running.signal(signal);
        std::thread::sleep(Duration::from_millis(400));
        assert!(!running.has_ended(), "what is in flight is waited for");
        running.signal(signal);
        // The disk hangs until it has ended.
        let outcome = running.wait();
        disk.pause.resume();
        outcome.assert_code(code);
        assert!(outcome.stderr.contains("stopped at once"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&quoted(&disk.path())), "{}", outcome.stderr);
    }
}

/// Where a thread can't be interrupted the kernel keeps the process, and the word comes at once.
#[test]
fn the_second_signal_is_answered_also_where_the_kernel_keeps_the_process() {
    need_nbd!();
    let mut disk = PausingDisk::new();
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let mut running = started(copy("plain", &["--direct", "always"], &dir.path("source"), &disk.path()));
    disk.pause.pause();
    std::thread::sleep(Duration::from_millis(200));
    running.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(400));
    running.signal(Signal::SIGTERM);
    // The disk hangs until it is said.
    wait_for("the word", || running.stderr_so_far().contains("stopped at once"));
    disk.pause.resume();
    running.wait().assert_code(143);
}

#[test]
fn on_a_healthy_disk_the_first_signal_ends_the_copy_in_less_than_a_second() {
    need_fs!(Fs::Ext4);
    for engine in engines() {
        let disk = LoopDisk::new(Fs::Ext4, 64 * MIB);
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        let took = || {
            let mut running = started(copy(engine, &[], &dir.path("source"), &disk.path("target")));
            let start = Instant::now();
            running.signal(Signal::SIGINT);
            running.wait().assert_code(130);
            start.elapsed()
        };
        // A machine that is busy may be late, but not each time.
        assert!((0..5).any(|_| took() < Duration::from_secs(1)), "never");
    }
}

/// What it does of its own besides, and waits for: a sync takes no time where there is only memory. How many
/// syncs there are is counted elsewhere.
#[test]
fn with_a_journal_too_the_first_signal_ends_the_copy_in_less_than_a_second() {
    need_root!();
    for engine in engines() {
        for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
            for (options, name) in [(&["--resume"][..], "file"), (&["--resume", "-r"], "tree")] {
                let took = || {
                    let (dir, disk) = (Scratch::new(), Tmpfs::new(64 * MIB));
                    write_file(&dir.path("file"), 1, LEN);
                    std::fs::create_dir(dir.path("tree")).unwrap();
                    (0..240).for_each(|nth| write_file(&dir.path(&format!("tree/{nth}")), nth, 100 * KIB));
                    let copy = || copy(engine, options, &dir.path(name), &disk.path("target"));
                    let mut running = started(copy().args(["--simulate", "bandwidth=16M/s"]));
                    let start = Instant::now();
                    running.signal(signal);
                    running.wait().assert_code(code);
                    let took = start.elapsed();
                    let report = copy().run().assert_ok().json();
                    assert!(number(&report, "resumed.believed_bytes") > 0, "nothing was durable: {report}");
                    took
                };
                // A machine that is busy may be late, but not each time.
                assert!((0..5).any(|_| took() < Duration::from_secs(1)), "never: {engine} {options:?}");
            }
        }
    }
}

#[test]
fn a_pause_of_a_minute_is_outlasted() {
    need_nbd!();
    if !needs::are_required() && std::env::var_os("HIGHWATER_LONG_STALL").is_none() {
        return;
    }
    std::thread::scope(|scope| {
        for engine in engines() {
            scope.spawn(move || outlasts_a_minute(engine));
        }
    });
}

fn outlasts_a_minute(engine: &str) {
    let mut disk = PausingDisk::new();
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let command = copy(engine, &["--direct", "always"], &dir.path("source"), &disk.path());
    let running = started(command.timeout(Duration::from_secs(120)));
    disk.pause.pause();
    std::thread::sleep(Duration::from_secs(60));
    assert!(running.stderr_so_far().contains("nothing has come of it for 30 s"));
    disk.pause.resume();
    let outcome = running.wait();
    let (_, length) = longest(&outcome.json(), "write");
    assert!(length > 59.0, "{length}");
    assert_eq!(number(&outcome.json(), "failures"), 0);
    outcome.assert_ok();
    assert_holds(&disk.path(), 1, LEN);
}
