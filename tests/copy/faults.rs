//! Disks that fail, answer short, or change under the copy's hands. Each fault is made below the
//! system calls, by a FUSE file system, so that both engines meet it alike.

use std::fs;
use std::io::Write;
use std::time::Duration;

use crate::support::command::quoted;
use crate::support::report::{number, text};
use crate::support::*;

const LEN: u64 = 4 * MIB + 4321;

/// Copies from one path to another with the report on stdout.
fn copy(engine: &str, source: &std::path::Path, target: &std::path::Path) -> Outcome {
    bounded_copy().args(["--engine", engine, "--json", "-"]).args([source, target]).run()
}

#[test]
fn an_error_in_the_middle_of_the_source_is_told_with_its_place() {
    need_fuse!();
    let bad = 2 * MIB + 8192;
    for engine in engines() {
        let disk = FaultyDisk::new([Fault::Errno(On::Read, bad..bad + 4096, libc::EIO)]);
        disk.put("source", bytes(1, LEN));
        let dir = Scratch::new();
        let outcome = copy(engine, &disk.path("source"), &dir.path("target"));
        outcome.assert_failed(&[&quoted(&disk.path("source")), "Input/output error"]);
        let report = outcome.json();
        assert_eq!(text(&report, "outcome"), "failed");
        assert_eq!(text(&report, "errors.0.op"), "read");
        assert_eq!(text(&report, "errors.0.errno"), "EIO");
        assert_eq!(text(&report, "errors.0.path"), disk.path("source").to_str().unwrap());
        // The kernel may fail all of a block for a page of it.
        let told = number(&report, "errors.0.offset");
        assert!(told <= bad && bad - told < number(&report, "ring.block_bytes"), "{told}");
        assert_eq!(names(&dir.dir()), [""; 0]);
    }
}

#[test]
fn an_error_of_the_source_leaves_a_prefix_of_what_is_overwritten() {
    need_fuse!();
    for engine in engines() {
        let disk = FaultyDisk::new([Fault::Errno(On::Read, 3 * MIB..4 * MIB, libc::EIO)]);
        disk.put("source", bytes(1, LEN));
        let dir = Scratch::new();
        write_file(&dir.path("target"), 2, LEN);
        let outcome = copy(engine, &disk.path("source"), &dir.path("target"));
        outcome.assert_failed(&[&quoted(&disk.path("source")), "Input/output error"]);
        let held = fs::metadata(dir.path("target")).unwrap().len();
        assert!(held <= 3 * MIB, "{held}");
        assert_holds(&dir.path("target"), 1, held);
    }
}

#[test]
fn an_error_in_the_middle_of_the_target_is_told_with_its_place() {
    need_fuse!();
    let bad = 2 * MIB + 8192;
    for engine in engines() {
        for errno in [libc::EIO, libc::ENOSPC, libc::EDQUOT] {
            let disk = FaultyDisk::new([Fault::Errno(On::Write, bad..bad + 4096, errno)]);
            let dir = Scratch::new();
            write_file(&dir.path("source"), 1, LEN);
            let target = disk.path("target");
            let outcome = copy(engine, &dir.path("source"), &target);
            let words = std::io::Error::from_raw_os_error(errno).to_string();
            let words = words.split(" (os error").next().unwrap();
            outcome.assert_failed(&[&quoted(&target), words]);
            let report = outcome.json();
            assert_eq!(text(&report, "errors.0.op"), "write");
            let told = number(&report, "errors.0.offset");
            assert!(told <= bad && bad - told < number(&report, "ring.block_bytes"), "{told}");
            assert!(number(&report, "bytes") <= LEN - 4096);
            assert_eq!(disk.names(), [""; 0], "a new file that failed leaves no name");
        }
    }
}

#[test]
fn an_error_of_the_target_leaves_a_prefix_of_the_source_in_place() {
    need_fuse!();
    for engine in engines() {
        let disk = FaultyDisk::new([Fault::Errno(On::Write, 3 * MIB..4 * MIB, libc::EIO)]);
        disk.put("target", bytes(2, LEN));
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        copy(engine, &dir.path("source"), &disk.path("target")).assert_failed(&["Input/output error"]);
        let held = disk.get("target").unwrap();
        assert!(held.len() as u64 <= 3 * MIB, "{}", held.len());
        assert_bytes(&held, &bytes(1, LEN)[..held.len()]);
    }
}

#[test]
fn a_failing_fsync_is_a_failure() {
    need_fuse!();
    for engine in engines() {
        for sync in ["end", "file"] {
            let disk = FaultyDisk::new([Fault::Errno(On::Fsync, 0..0, libc::EIO)]);
            let dir = Scratch::new();
            write_file(&dir.path("source"), 1, LEN);
            let options = ["--engine", engine, "--sync", sync, "--json", "-"];
            let outcome = bounded_copy().args(options).args([dir.path("source"), disk.path("target")]).run();
            outcome.assert_failed(&["Input/output error"]);
            assert_eq!(text(&outcome.json(), "errors.0.op"), "sync");
            assert_eq!(text(&outcome.json(), "outcome"), "failed");
        }
    }
}

#[test]
fn fsync_is_called_as_asked() {
    need_fuse!();
    for engine in engines() {
        for (sync, want) in [("end", true), ("file", true), ("none", false)] {
            let disk = FaultyDisk::new([]);
            let dir = Scratch::new();
            write_file(&dir.path("source"), 1, LEN);
            let options = ["--engine", engine, "--sync", sync];
            let copy = bounded_copy().args(options).args([dir.path("source"), disk.path("target")]);
            copy.run().assert_silent();
            assert_bytes(&disk.get("target").unwrap(), &bytes(1, LEN));
            assert_eq!(disk.fsyncs() > 0, want, "--sync {sync}");
            assert_eq!(disk.names(), ["target"]);
        }
    }
}

/// On FUSE a ring can't be believed: io_uring itself goes on with a short read of a regular file, FUSE
/// has not moved the position (seen on 6.18), and the completion tells the full length over a buffer
/// whose second part is the first once more. Whatever engine was asked for, the bytes must be right.
#[test]
fn short_reads_and_writes_are_continued() {
    need_fuse!();
    for engine in engines() {
        for (short_read, short_write) in [(70_001, 131_072), (131_072, 70_001), (50_001, 30_003)] {
            let short = [Fault::Short(On::Read, short_read), Fault::Short(On::Write, short_write)];
            let disk = FaultyDisk::new(short);
            disk.put("source", bytes(1, LEN));
            let outcome = copy(engine, &disk.path("source"), &disk.path("target"));
            outcome.assert_silent();
            assert_bytes(&disk.get("target").unwrap(), &bytes(1, LEN));
            assert_eq!(number(&outcome.json(), "bytes"), LEN);
            assert_eq!(disk.names(), ["source", "target"]);
        }
    }
}

/// A write in the middle of which a place is bad: FUSE says how much came before it, and io_uring would go on
/// with the rest where the write began, and tell that all of it was written.
#[test]
fn a_bad_place_within_a_write_is_a_failure_and_nothing_is_written_elsewhere() {
    need_fuse!();
    for engine in engines() {
        let disk = FaultyDisk::new([Fault::Errno(On::Write, MIB + 300_000..MIB + 304_096, libc::EIO)]);
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        disk.put("target", bytes(2, 10));
        let outcome = copy(engine, &dir.path("source"), &disk.path("target"));
        outcome.assert_failed(&["error writing", "Input/output error"]);
        let target = disk.get("target").unwrap();
        assert!(target.len() as u64 <= MIB + 300_000, "{} bytes", target.len());
        assert_bytes(&target, &bytes(1, target.len() as u64));
        // A file that grows by its writes.
        for direct in ["never", "auto"] {
            let new = bounded_copy().args(["--engine", engine, "--direct", direct]);
            let outcome = new.args([dir.path("source"), disk.path("new")]).run();
            outcome.assert_failed(&["error writing", "Input/output error"]);
        }
        assert_eq!(disk.names(), ["target"]);
    }
}

#[test]
fn a_slow_disk_is_waited_for() {
    need_fuse!();
    for engine in engines() {
        let slow = Duration::from_millis(10);
        let disk = FaultyDisk::new([Fault::Slow(On::Write, slow), Fault::Slow(On::Read, slow / 2)]);
        disk.put("source", bytes(1, LEN));
        let report = copy(engine, &disk.path("source"), &disk.path("target")).assert_silent().json();
        assert_bytes(&disk.get("target").unwrap(), &bytes(1, LEN));
        assert!(number(&report, "latency.write.min_ns") >= 10_000_000);
        assert!(number(&report, "flow.peak_in_flight_bytes") <= number(&report, "flow.high_water_bytes"));
    }
}

#[test]
fn a_source_cut_while_it_is_copied_is_a_failure() {
    need_fuse!();
    for engine in engines() {
        for to in [0, MIB, 3 * MIB + 17] {
            let disk = FaultyDisk::new([Fault::Resize { when_read: 3 * MIB, to }]);
            disk.put("source", bytes(1, LEN));
            let dir = Scratch::new();
            let outcome = copy(engine, &disk.path("source"), &dir.path("target"));
            outcome.assert_failed(&[&quoted(&disk.path("source"))]);
            assert_eq!(text(&outcome.json(), "errors.0.op"), "read");
            assert_eq!(names(&dir.dir()), [""; 0]);
        }
    }
}

#[test]
fn a_source_that_grows_while_it_is_copied_is_copied_to_its_end_and_noted() {
    // On a real file system: FUSE ends an asynchronous read at the length the kernel last saw.
    for engine in engines() {
        let dir = Scratch::new();
        let (source, target) = (dir.path("source"), dir.path("target"));
        write_file(&source, 1, 8 * MIB + 17);
        let rate = ["--engine", engine, "--limit-rate", "8MiB/s"];
        let mut running = bounded_copy().args(rate).args([&source, &target]).start();
        running.wait_until_it_handles(nix::sys::signal::Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(300));
        assert!(!running.has_ended());
        let mut growing = fs::File::options().append(true).open(&source).unwrap();
        growing.write_all(&bytes(2, MIB + 3)).unwrap();
        let outcome = running.wait();
        outcome.assert_ok();
        assert_same_content(&source, &target);
        assert!(outcome.stderr.starts_with("highwater: "), "noted: {}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    }
}

#[test]
fn a_write_back_error_of_a_real_file_system_is_told() {
    need_fs!(Fs::Ext4);
    need_fuse!();
    // The device below ext4 fails from the middle on: what was taken into the page cache is lost
    // when it is written, and only fsync tells.
    for engine in engines() {
        let below = FaultyDisk::new([]);
        below.put("disk.img", vec![0; 32 << 20]);
        let disk = LoopDisk::on(LoopDevice::over(&below.path("disk.img")), Fs::Ext4);
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, 8 * MIB);
        disk::system("sync", &["-f", disk.dir().to_str().unwrap()]);
        below.set_faults([Fault::Errno(On::Write, 0..u64::MAX, libc::EIO)]);
        let outcome = bounded_copy()
            .args(["--engine", engine, "--direct", "never"])
            .args([dir.path("source"), disk.path("target")])
            .run();
        below.set_faults([]);
        outcome.assert_code(1);
        assert!(outcome.stderr.starts_with("highwater: "), "{}", outcome.stderr);
    }
}
