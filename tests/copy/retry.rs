//! Faults on the way: what is tried again and what is not, targets that are full for a while, devices
//! and file systems that are gone in the middle. In each: the message, the exit code, what is left.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::command::quoted;
use crate::support::disk::system;
use crate::support::report::{number, text};
use crate::support::*;
use nix::sys::signal::Signal;

const LEN: u64 = 3 * MIB + 4321;

fn copy(engine: &str, options: &[&str], source: &Path, target: &Path) -> Highwater {
    bounded_copy().args(["--engine", engine, "--json", "-"]).args(options).args([source, target])
}

/// Blocks that FUSE does not split, so that an error of one request is one of a read or a write.
const WHOLE: [&str; 2] = ["--block-size", "128K"];

#[test]
fn an_error_of_the_nth_read_or_write_is_a_failure_or_is_tried_again() {
    need_fuse!();
    for engine in engines() {
        for on in [On::Read, On::Write] {
            for nth in [1, 2, 8, 21] {
                let disk = FaultyDisk::new([Fault::Nth(on, nth, libc::EIO)]);
                let dir = Scratch::new();
                let (source, target) = match on {
                    On::Read => (disk.path("source"), dir.path("target")),
                    _ => (dir.path("source"), disk.path("target")),
                };
                match on {
                    On::Read => disk.put("source", bytes(1, LEN)),
                    _ => write_file(&source, 1, LEN),
                }
                let outcome = copy(engine, &WHOLE, &source, &target).run();
                outcome.assert_failed(&["error", "Input/output error"]);
                assert_eq!(number(&outcome.json(), "retries"), 0);
                assert!(!target.exists(), "nothing is left of it");
                disk.set_faults([Fault::Nth(on, nth, libc::EIO)]);
                let outcome = copy(engine, &["--retry", "2"], &source, &target).args(WHOLE).run();
                outcome.assert_ok();
                assert_eq!(outcome.stderr.lines().count(), 1, "told once: {}", outcome.stderr);
                assert!(outcome.stderr.contains("trying again in 100 ms (1 of 2)"), "{}", outcome.stderr);
                assert_eq!(number(&outcome.json(), "retries"), 1);
                assert_holds(&target, 1, LEN);
            }
        }
    }
}

#[test]
fn a_failed_fsync_or_close_is_never_tried_again() {
    need_fuse!();
    for engine in engines() {
        for (on, words) in [(On::Fsync, "failed to sync"), (On::Close, "failed to close")] {
            let disk = FaultyDisk::new([Fault::Errno(on, 0..0, libc::EIO)]);
            let dir = Scratch::new();
            write_file(&dir.path("source"), 1, LEN);
            let outcome = copy(engine, &["--retry", "5"], &dir.path("source"), &disk.path("target")).run();
            outcome.assert_failed(&[words, &quoted(&disk.path("target")), "Input/output error"]);
            assert_eq!(number(&outcome.json(), "retries"), 0);
        }
    }
}

#[test]
fn an_error_that_stays_is_told_once_for_each_attempt_and_then_a_failure() {
    need_fuse!();
    for engine in engines() {
        // Many blocks meet it at once.
        let disk = FaultyDisk::new([Fault::Errno(On::Read, MIB..LEN, libc::EIO)]);
        disk.put("source", bytes(1, LEN));
        let dir = Scratch::new();
        let start = Instant::now();
        let outcome = copy(engine, &["--retry", "2"], &disk.path("source"), &dir.path("target")).run();
        outcome.assert_failed(&["error reading", &quoted(&disk.path("source")), "Input/output error"]);
        assert!(start.elapsed() >= Duration::from_millis(300), "100 ms and 200 ms were waited");
        for attempt in ["(1 of 2)", "(2 of 2)"] {
            assert_eq!(outcome.stderr.matches(attempt).count(), 1, "{}", outcome.stderr);
        }
        assert!(number(&outcome.json(), "retries") >= 2);
        assert_eq!(names(&dir.dir()), [""; 0]);
    }
}

#[test]
fn other_blocks_go_on_while_one_waits_for_its_next_try() {
    need_fuse!();
    for engine in engines() {
        // One place fails until all others are written.
        const BLOCK: u64 = 128 * KIB;
        let disk = FaultyDisk::new([Fault::Errno(On::Write, 0..BLOCK, libc::EIO)]);
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        let options = ["--retry", "20", "--block-size", "128K", "--buffers", "8"];
        let running = copy(engine, &options, &dir.path("source"), &disk.path("target")).start();
        // The tail comes when all before it is there.
        wait_for("all others", || disk.written_bytes() >= (LEN / BLOCK - 1) * BLOCK);
        wait_for("the retry", || running.stderr_so_far().contains("trying again"));
        disk.set_faults([]);
        running.wait().assert_ok();
        assert_bytes(&disk.get("target").unwrap(), &bytes(1, LEN));
    }
}

#[test]
fn a_signal_ends_the_waiting_at_once() {
    need_fuse!();
    let disk = FaultyDisk::new([Fault::Errno(On::Read, 0..LEN, libc::EIO)]);
    disk.put("source", bytes(1, LEN));
    let dir = Scratch::new();
    let start = |engine| copy(engine, &["--retry", "20"], &disk.path("source"), &dir.path("target")).start();
    let mut all: Vec<Running> = engines().into_iter().map(start).collect();
    for mut running in all.drain(..) {
        wait_for("a long pause", || running.stderr_so_far().contains("trying again in 6.4"));
        let start = Instant::now();
        running.signal(Signal::SIGINT);
        running.wait().assert_code(130);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
    assert_eq!(names(&dir.dir()), [""; 0]);
}

#[test]
fn a_device_that_recovers_is_written_to_in_the_end() {
    need_nbd!();
    for engine in engines() {
        let flags = Scratch::new();
        let flag = format!("error-pwrite-file={}", flags.path("fails").display());
        let args = ["--filter=error", "memory", "8M", "error-pwrite=EIO", "error-pwrite-rate=100%", &flag];
        let nbd = Nbd::new(args);
        let device = nbd.device();
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, 8 * MIB);
        fs::write(flags.path("fails"), "").unwrap();
        let options = ["--retry", "8", "--direct", "always"];
        let running = copy(engine, &options, &dir.path("source"), device.path()).start();
        wait_for("two tries", || running.stderr_so_far().contains("(2 of 8)"));
        fs::remove_file(flags.path("fails")).unwrap();
        running.wait().assert_ok();
        assert_holds(device.path(), 1, 8 * MIB);
        // Without it nothing is believed.
        fs::write(flags.path("fails"), "").unwrap();
        let outcome = copy(engine, &["--direct", "always"], &dir.path("source"), device.path()).run();
        outcome.assert_failed(&["error writing", &quoted(device.path()), "Input/output error"]);
    }
}

// ---- full targets ----

/// A copy to a full target waits where that was asked for, and goes on once there is room.
fn check_waits(engine: &str, copy: Highwater, target: &Path, make_room: impl FnOnce()) {
    let mut running = copy.args(["--engine", engine, "--retry-full"]).start();
    wait_for("its word that it waits", || running.stderr_so_far().contains("waiting for room"));
    std::thread::sleep(Duration::from_millis(400));
    assert!(!running.has_ended(), "{}", running.stderr_so_far());
    make_room();
    let outcome = running.wait();
    outcome.assert_ok();
    assert_eq!(outcome.stderr.lines().count(), 1, "told once: {}", outcome.stderr);
    assert_holds(target, 1, 8 * MIB);
}

#[test]
fn a_full_file_system_is_waited_for_only_where_that_was_asked_for() {
    need_fs!(Fs::Ext4);
    for engine in engines() {
        let disk = LoopDisk::new(Fs::Ext4, 48 * MIB);
        let tmpfs = Tmpfs::new(12 * MIB);
        for dir in [tmpfs.dir(), disk.dir()] {
            let scratch = Scratch::new();
            let source = scratch.path("source");
            write_file(&source, 1, 8 * MIB);
            let free = nix::sys::statvfs::statvfs(&dir).unwrap();
            let free = free.blocks_available() as u64 * free.fragment_size() as u64;
            write_file(&dir.join("filler"), 2, free - 4 * MIB);
            let target = dir.join("target");
            let outcome = bounded_copy().args(["--engine", engine]).args([&source, &target]).run();
            outcome.assert_failed(&[&quoted(&target), "No space left on device"]);
            assert!(!target.exists());
            let copy = bounded_copy().args([&source, &target]);
            check_waits(engine, copy, &target, || fs::remove_file(dir.join("filler")).unwrap());
        }
    }
}

#[test]
fn a_signal_ends_the_waiting_for_room() {
    need_root!();
    for engine in engines() {
        let disk = Tmpfs::new(4 * MIB);
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, 8 * MIB);
        let mut running = copy(engine, &["--retry-full"], &dir.path("source"), &disk.path("target")).start();
        wait_for("its word that it waits", || running.stderr_so_far().contains("waiting for room"));
        // There never is room.
        running.signal(Signal::SIGTERM);
        let outcome = running.wait();
        outcome.assert_code(143);
        assert_eq!(text(&outcome.json(), "outcome"), "interrupted");
        assert_eq!(names(&disk.dir()), [""; 0]);
    }
}

#[test]
fn names_and_directories_wait_for_room_as_well() {
    need_root!();
    // Fifteen inodes besides the root's.
    let disk = disk::Mount::new(&["-t", "tmpfs", "-o", "size=4m,nr_inodes=16", "highwater-test"]);
    let dir = Scratch::new();
    fs::create_dir(dir.path("tree")).unwrap();
    for n in 0..10 {
        fs::create_dir(dir.path(&format!("tree/{n}"))).unwrap();
        write_file(&dir.path(&format!("tree/{n}/file")), n, 100);
    }
    let target = disk.dir().join("t");
    for n in 0..5 {
        fs::write(disk.dir().join(format!("filler{n}")), "").unwrap();
    }
    let copy = || bounded_copy().args(["-r", "--jobs", "2"]).arg(dir.path("tree"));
    copy().arg(disk.dir().join("refused")).run().assert_failed(&["cannot create", "No space left on device"]);
    fs::remove_dir_all(disk.dir().join("refused")).unwrap();
    let running = copy().arg("--retry-full").arg(&target).start();
    wait_for("its word that it waits", || running.stderr_so_far().contains("waiting for room"));
    for n in 0..5 {
        fs::remove_file(disk.dir().join(format!("filler{n}"))).unwrap();
    }
    // Ten directories, ten files and the tree's own need more than there is: room for the rest, too.
    system("mount", &["-o", "remount,nr_inodes=64", disk.dir().to_str().unwrap()]);
    running.wait().assert_ok();
    for n in 0..10 {
        assert_holds(&target.join(format!("{n}/file")), n, 100);
    }
}

#[test]
fn a_quota_that_is_used_up_is_told_and_may_be_waited_for() {
    need_fs!(Fs::Btrfs);
    need_tool!("btrfs");
    let disk = LoopDisk::new(Fs::Btrfs, 256 * MIB);
    system("btrfs", &["quota", "enable", disk.dir().to_str().unwrap()]);
    let dir = Scratch::new();
    let source = dir.path("source");
    write_file(&source, 1, 8 * MIB);
    for engine in engines() {
        let volume = disk.path(engine);
        system("btrfs", &["subvolume", "create", volume.to_str().unwrap()]);
        let limit = |size: &str| {
            system("btrfs", &["qgroup", "limit", size, volume.to_str().unwrap()]);
        };
        limit("4M");
        let target = volume.join("target");
        let outcome = copy(engine, &[], &source, &target).run();
        outcome.assert_failed(&[&quoted(&target), "Disk quota exceeded"]);
        assert!(outcome.stderr.contains("the quota there is used up"), "{}", outcome.stderr);
        assert!(!target.exists());
        check_waits(engine, bounded_copy().args([&source, &target]), &target, || limit("64M"));
    }
}

#[test]
fn a_limit_on_a_files_size_is_told_and_never_waited_for() {
    for engine in engines() {
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        let options = ["--retry-full", "--retry", "3"];
        let copy = copy(engine, &options, &dir.path("source"), &dir.path("target"));
        let outcome = copy.limit(nix::sys::resource::Resource::RLIMIT_FSIZE, MIB).run();
        outcome.assert_failed(&[&quoted(&dir.path("target")), "File too large"]);
        assert!(outcome.stderr.contains("a file size limit"), "{}", outcome.stderr);
        assert_eq!(names(&dir.dir()), ["source"]);
    }
}

// ---- gone in the middle ----

/// Starts a copy of 24 MiB that takes three seconds, has something happen in its middle, and waits.
fn in_the_middle(copy: Highwater, happens: impl FnOnce()) -> Outcome {
    let mut running = copy.args(["--limit-rate", "8MiB/s"]).start();
    running.wait_until_it_handles(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(400));
    assert!(!running.has_ended());
    happens();
    running.wait()
}

#[test]
fn a_device_that_is_gone_in_the_middle_is_a_failure_on_either_side() {
    need_nbd!();
    for engine in engines() {
        for side in ["source", "target"] {
            let mut nbd = Nbd::new(["memory", "24M"]);
            let device = nbd.device();
            let dir = Scratch::new();
            let file = dir.path("file");
            let (source, target) = match side {
                "source" => (device.path(), file.as_path()),
                _ => {
                    write_file(&file, 1, 24 * MIB);
                    (file.as_path(), device.path())
                }
            };
            let outcome = in_the_middle(copy(engine, &["--direct", "always"], source, target), || nbd.kill());
            outcome.assert_failed(&[&quoted(device.path()), "Input/output error"]);
            assert_eq!(text(&outcome.json(), "outcome"), "failed");
            assert_eq!(file.exists(), side == "target", "a new file has no name");
        }
    }
}

#[test]
fn a_file_system_that_shuts_down_in_the_middle_is_a_failure() {
    need_tool!("xfs_io");
    for fs in [Fs::Ext4, Fs::Xfs] {
        need_fs!(fs);
        for engine in engines() {
            let disk = LoopDisk::new(fs, 64 * MIB);
            let dir = Scratch::new();
            write_file(&dir.path("source"), 1, 24 * MIB);
            let copy = copy(engine, &["--retry", "1"], &dir.path("source"), &disk.path("target"));
            let outcome = in_the_middle(copy, || disk.shut_down());
            outcome.assert_failed(&[&quoted(&disk.path("target")), "Input/output error"]);
            let disk = disk.mounted_again(fs);
            assert!(!disk.path("target").exists(), "it has no name");
        }
    }
}

#[test]
fn a_target_that_is_unmounted_lazily_in_the_middle_is_a_failure_and_leaves_nothing() {
    need_fs!(Fs::Ext4);
    for engine in engines() {
        let disk = LoopDisk::new(Fs::Ext4, 64 * MIB);
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, 24 * MIB);
        let copy = copy(engine, &[], &dir.path("source"), &disk.path("target"));
        // What the name of the target leads to is another file system now.
        let outcome = in_the_middle(copy, || {
            system("umount", &["-l", disk.dir().to_str().unwrap()]);
        });
        outcome.assert_failed(&["cannot create", &quoted(&disk.path("target")), "cross-device"]);
        assert_eq!(names(&disk.dir()), [""; 0]);
        let again = disk::Mount::new(&[disk.device().path().to_str().unwrap()]);
        assert_eq!(names(&again.dir()), ["lost+found"]);
    }
}

#[test]
fn none_of_this_needs_more_memory() {
    need_fuse!();
    for engine in engines() {
        let dir = Scratch::new();
        let disk = FaultyDisk::new([Fault::Errno(On::Read, 2 * MIB..LEN, libc::EIO)]);
        disk.put("source", bytes(1, LEN));
        let options = ["--retry", "2", "--on-error", "zero-fill"];
        let copy = copy(engine, &options, &disk.path("source"), &dir.path("target"));
        let outcome = copy.run();
        outcome.assert_failed(&["is not whole"]);
        assert!(outcome.peak_memory_bytes <= 8 * MIB, "{}", outcome.peak_memory_bytes);
        let held = fs::read(dir.path("target")).unwrap();
        assert_bytes(&held[..2 * MIB as usize], &bytes(1, 2 * MIB));
        assert!(held[2 * MIB as usize..].iter().all(|byte| *byte == 0));
        assert_eq!(held.len() as u64, LEN);
    }
}
