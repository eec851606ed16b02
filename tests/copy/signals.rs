//! Stopped in the middle, politely and not: what a signal leaves behind, what it is answered with,
//! and that a killed copy can't be taken for a whole one.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::report::{number, text};
use crate::support::*;
use nix::sys::signal::Signal;

const LEN: u64 = 64 * MIB;

/// A copy that takes eight seconds, some way in.
fn slow_copy(engine: &str, source: &Path, target: &Path) -> Running {
    let rate = ["--limit-rate", "8MiB/s", "--json", "-"];
    let copy = bounded_copy().args(["--engine", engine]).args(rate).args([source, target]);
    let mut running = copy.start();
    running.wait_until_it_handles(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(400));
    running
}

/// Asserts a polite end: the code, a report of what is complete, long before the copy would be.
#[track_caller]
fn assert_stopped(outcome: &Outcome, code: i32) {
    outcome.assert_code(code);
    assert!(outcome.elapsed < Duration::from_secs(7), "{:?}", outcome.elapsed);
    let report = outcome.json();
    assert_eq!(text(&report, "outcome"), "interrupted");
    assert!(number(&report, "bytes") < LEN);
}

#[test]
fn signals_stop_a_copy_with_their_code_and_a_new_file_has_no_name() {
    for engine in engines() {
        for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
            let dir = Scratch::new();
            write_file(&dir.path("source"), 1, LEN);
            let mut running = slow_copy(engine, &dir.path("source"), &dir.path("target"));
            assert!(!dir.path("target").exists(), "no name before it is complete");
            running.signal(signal);
            assert_stopped(&running.wait(), code);
            assert_eq!(names(&dir.dir()), ["source"], "{engine} {signal}");
        }
    }
}

#[test]
fn a_signal_cuts_a_file_overwritten_in_place_to_what_is_complete() {
    for engine in engines() {
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        write_file(&dir.path("target"), 2, LEN);
        let mut running = slow_copy(engine, &dir.path("source"), &dir.path("target"));
        assert!(fs::metadata(dir.path("target")).unwrap().len() < LEN);
        running.signal(Signal::SIGINT);
        let outcome = running.wait();
        assert_stopped(&outcome, 130);
        let held = fs::metadata(dir.path("target")).unwrap().len();
        assert!(held > 0 && held <= number(&outcome.json(), "bytes"), "{held}");
        assert_holds(&dir.path("target"), 1, held);
    }
}

#[test]
fn a_signal_leaves_no_temporary_file_where_files_without_a_name_are_missing() {
    need_fuse!();
    for engine in engines() {
        let disk = FaultyDisk::new([Fault::Slow(On::Write, Duration::from_millis(20))]);
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        let mut running = slow_copy(engine, &dir.path("source"), &disk.path("target"));
        wait_for("the first bytes", || disk.written_bytes() > 0);
        assert!(!disk.names().contains(&"target".into()), "no name before it is complete");
        running.signal(Signal::SIGINT);
        assert_stopped(&running.wait(), 130);
        assert_eq!(disk.names(), [""; 0]);
    }
}

#[test]
fn a_signal_stops_a_copy_onto_a_throttled_disk() {
    need_fs!(Fs::Ext4);
    need_cgroup!("blkio");
    let disk = LoopDisk::new(Fs::Ext4, 160 * MIB);
    let throttle = Throttle::new(&disk.device().number(), 4 * MIB);
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    for engine in engines() {
        let options = ["--engine", engine, "--direct", "always", "--json", "-"];
        let copy = bounded_copy().args(options).args([dir.path("source"), disk.path("target")]);
        let mut running = copy.inside(throttle.group()).start();
        running.wait_until_it_handles(Signal::SIGTERM);
        std::thread::sleep(Duration::from_millis(500));
        running.signal(Signal::SIGTERM);
        let outcome = running.wait();
        outcome.assert_code(143);
        assert_eq!(text(&outcome.json(), "outcome"), "interrupted");
        assert!(!disk.path("target").exists());
    }
}

/// Kills copies at moments spread over the time one takes and asserts that none of them left a file
/// of the right length that is neither the source nor, untouched, what stood there before.
fn check_kills(options: &[&str], old: Option<u64>) {
    let len = 24 * MIB + 4567;
    let dir = Scratch::new();
    fs::create_dir(dir.path("there")).unwrap();
    let (source, target) = (dir.path("source"), dir.path("there/target"));
    write_file(&source, 1, len);
    let copy = || bounded_copy().args(options).args([&source, &target]);
    let whole = copy().run();
    whole.assert_silent();
    let moments = 12;
    for moment in 0..moments {
        match old {
            Some(seed) => write_file(&target, seed, len),
            None => fs::remove_file(&target).unwrap_or_default(),
        }
        let mut running = copy().start();
        let at = whole.elapsed * moment / moments + Duration::from_millis(2);
        let start = Instant::now();
        while start.elapsed() < at {
            std::thread::sleep(Duration::from_micros(200));
        }
        if !running.has_ended() {
            running.signal(Signal::SIGKILL);
        }
        let outcome = running.wait();
        let there = names(&dir.path("there"));
        match old {
            None if there.is_empty() => assert_ne!(outcome.code, Some(0)),
            None => {
                assert_eq!(there, ["target"], "nothing else is left");
                assert_holds(&target, 1, len);
            }
            Some(seed) => {
                assert_eq!(there, ["target"], "nothing else is left");
                if fs::metadata(&target).unwrap().len() == len {
                    let untouched = std::panic::catch_unwind(|| assert_holds(&target, seed, len)).is_ok();
                    if outcome.code == Some(0) || !untouched {
                        assert_holds(&target, 1, len);
                    }
                } else {
                    assert_ne!(outcome.code, Some(0));
                }
            }
        }
    }
}

#[test]
fn a_killed_copy_of_a_new_file_has_no_name() {
    for engine in engines() {
        for direct in ["auto", "never"] {
            check_kills(&["--engine", engine, "--direct", direct], None);
        }
    }
}

#[test]
fn a_killed_copy_in_place_never_has_the_full_length() {
    for engine in engines() {
        for direct in ["auto", "never"] {
            check_kills(&["--engine", engine, "--direct", direct], Some(2));
        }
    }
}

#[test]
fn a_copy_in_place_seen_from_outside_never_has_the_full_length_early() {
    for engine in engines() {
        let dir = Scratch::new();
        let len = 8 * MIB + 4567;
        write_file(&dir.path("source"), 1, len);
        write_file(&dir.path("target"), 2, 100);
        let rate = ["--engine", engine, "--limit-rate", "16MiB/s"];
        let mut running = bounded_copy().args(rate).args([dir.path("source"), dir.path("target")]).start();
        let mut seen = 0;
        while !running.has_ended() {
            if fs::metadata(dir.path("target")).unwrap().len() == len {
                assert_holds(&dir.path("target"), 1, len);
            } else {
                seen += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        running.wait().assert_silent();
        assert!(seen > 0);
        assert_holds(&dir.path("target"), 1, len);
    }
}

/// Asserts that SIGINT ends a command that waits, soon.
fn assert_stops_soon(mut running: Running) {
    running.wait_until_it_handles(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    running.signal(Signal::SIGINT);
    running.wait().assert_code(130);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_read_that_waits_for_an_empty_pipe_is_given_up() {
    for engine in engines() {
        let dir = Scratch::new();
        let (input, feed) = io::pipe().unwrap();
        let copy = bounded_copy().args(["--engine", engine]).arg("-").arg(dir.path("target"));
        assert_stops_soon(copy.stdin(input).start());
        assert_eq!(names(&dir.dir()), [""; 0]);
        drop(feed);
    }
}

#[test]
fn a_write_that_waits_for_a_full_pipe_is_given_up() {
    for engine in engines() {
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, 4 * MIB);
        let (drain, output) = io::pipe().unwrap();
        let copy = bounded_copy().args(["--engine", engine]).arg(dir.path("source")).arg("-");
        assert_stops_soon(copy.stdout(output).start());
        drop(drain);
    }
}

#[test]
fn pipes_that_wait_on_both_sides_are_given_up() {
    for engine in engines() {
        let (input, mut feed) = io::pipe().unwrap();
        let (drain, output) = io::pipe().unwrap();
        let copy = bounded_copy().args(["--engine", engine]).args(["-", "-"]);
        let running = copy.stdin(input).stdout(output).start();
        let feeding = std::thread::spawn(move || io::Write::write_all(&mut feed, &bytes(1, 64 * MIB)));
        assert_stops_soon(running);
        // The writer is told as well: nobody holds the pipe any more.
        assert!(feeding.join().unwrap().is_err());
        drop(drain);
    }
}

#[test]
fn opening_a_fifo_nobody_writes_to_is_given_up() {
    let dir = Scratch::new();
    nix::unistd::mkfifo(&dir.path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let mut running = bounded_copy().args([dir.path("fifo"), dir.path("target")]).start();
    std::thread::sleep(Duration::from_millis(500));
    running.signal(Signal::SIGINT);
    let outcome = running.wait();
    // It may not yet have said what it does with signals: then the kernel answers.
    assert!(outcome.code == Some(130) || outcome.signal == Some(libc::SIGINT), "{}", outcome.stderr);
    assert_eq!(names(&dir.dir()), ["fifo"]);
}

#[test]
fn a_second_signal_does_not_wait_for_the_drain() {
    need_fuse!();
    for engine in engines() {
        // What is in flight takes long to drain; what the kernel has begun it must still end.
        let disk = FaultyDisk::new([Fault::Slow(On::Write, Duration::from_millis(500))]);
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        let copy = bounded_copy().args(["--engine", engine]);
        let mut running = copy.args([dir.path("source"), disk.path("target")]).start();
        wait_for("the first bytes", || disk.written_bytes() > 0);
        running.signal(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(50));
        if !running.has_ended() {
            running.signal(Signal::SIGINT);
        }
        let outcome = running.wait();
        outcome.assert_code(130);
        assert!(!disk.names().contains(&"target".into()));
    }
}

#[test]
fn sigusr1_prints_one_line_of_progress_and_the_copy_goes_on() {
    for engine in engines() {
        let dir = Scratch::new();
        let len = 12 * MIB;
        write_file(&dir.path("source"), 1, len);
        let rate = ["--engine", engine, "--limit-rate", "8MiB/s"];
        let mut running = bounded_copy().args(rate).args([dir.path("source"), dir.path("target")]).start();
        running.wait_until_it_handles(Signal::SIGUSR1);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(running.stderr_so_far(), "");
        running.signal(Signal::SIGUSR1);
        wait_for("the line", || running.stderr_so_far().ends_with('\n'));
        let outcome = running.wait();
        outcome.assert_ok();
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("B/s"), "{}", outcome.stderr);
        assert_holds(&dir.path("target"), 1, len);
    }
}
