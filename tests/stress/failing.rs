//! Targets that fail, are full, are gone, lose their power or are smaller than they say: what happened until
//! then is told, and what was promised is good.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::disk::{Mount, system};
use crate::support::report::{number, text};
use crate::support::*;
use nix::sys::signal::Signal;
use serde_json::Value;

const BLOCK: u64 = 4096;

fn stress(engine: &str) -> Highwater {
    Highwater::stress().args(["--engine", engine, "--json", "-"])
}

#[test]
fn a_place_that_can_not_be_written_is_told_and_the_rest_is_written() {
    need_fuse!();
    for engine in engines() {
        // In the middle of a write.
        let bad = 5 * MIB + 200_704..5 * MIB + 204_800;
        let disk = FaultyDisk::new([Fault::Errno(On::Write, bad, libc::EIO)]);
        let outcome = stress(engine).args(["--size", "16M", "-q"]).arg(disk.path("file")).run();
        outcome.assert_failed(&["error writing", "Input/output error"]);
        let report = outcome.json();
        let check = |name: &str| number(&report, &format!("check.{name}"));
        assert_eq!((check("blocks"), number(&report, "failures")), (4096, 1));
        // No more than the block of the ring that failed.
        assert!(check("good") >= 4096 - 128 && check("good") < 4096, "{report}");
        assert_eq!(check("good") + check("unsynced"), 4096);
        assert!(disk.names().is_empty());
    }
}

#[test]
fn full_disks_and_syncs_that_fail_are_told_with_what_was_written() {
    need_fuse!();
    for engine in engines() {
        let disk = FaultyDisk::new([Fault::Errno(On::Write, 8 * MIB..64 * MIB, libc::ENOSPC)]);
        let outcome = stress(engine).args(["--size", "16M", "-q"]).arg(disk.path("file")).run();
        outcome.assert_failed(&["No space left on device"]);
        let report = outcome.json();
        assert_eq!(text(&report, "outcome"), "failed");
        assert_eq!(text(&report, "errors.0.errno"), "ENOSPC");
        assert_eq!(number(&report, "check.good"), 8 * MIB / BLOCK, "what was written until then is checked");
        assert!(disk.names().is_empty());
        disk.set_faults([Fault::Errno(On::Fsync, 0..1, libc::EIO)]);
        let dir = Scratch::new();
        let args = ["--size", "4M", "-q", "--state"];
        let outcome = stress(engine).args(args).args([dir.path("state"), disk.path("file")]).run();
        outcome.assert_failed(&["Input/output error"]);
        assert_eq!(text(&outcome.json(), "errors.0.op"), "sync");
        assert!(disk.names().is_empty());
    }
}

#[test]
fn a_run_that_meets_a_full_disk_keeps_its_file_where_that_was_asked_for_and_it_can_be_checked() {
    need_fuse!();
    for engine in engines() {
        let disk = FaultyDisk::new([Fault::Errno(On::Write, 8 * MIB..64 * MIB, libc::ENOSPC)]);
        let target = disk.path("file");
        let outcome = stress(engine).args(["--size", "16M", "-q", "--keep"]).arg(&target).run();
        outcome.assert_failed(&["No space left on device"]);
        assert_eq!(disk.names(), ["file", "file.highwater-state"]);
        let outcome = stress(engine).args(["-q", "--check"]).arg(&target).run();
        assert_eq!(number(&outcome.assert_code(0).json(), "check.good"), 8 * MIB / BLOCK);
        assert_eq!(disk.names(), ["file", "file.highwater-state"]);
    }
}

#[test]
fn a_file_system_that_shuts_down_is_told_with_what_happened_until_then() {
    need_tool!("xfs_io");
    need_fs!(Fs::Ext4);
    for engine in engines() {
        let (disk, dir) = (LoopDisk::new(Fs::Ext4, 128 * MIB), Scratch::new());
        let slowly = ["--size", "64M", "--limit-rate", "8M/s", "-q", "--state"];
        let mut running = stress(engine).args(slowly).args([dir.path("state"), disk.path("file")]).start();
        running.wait_until_it_handles(Signal::SIGINT);
        wait_for("its file", || disk.path("file").exists());
        std::thread::sleep(Duration::from_millis(600));
        disk.shut_down();
        let outcome = running.wait();
        outcome.assert_failed(&[&command::quoted(&disk.path("file")), "Input/output error"]);
        let report = outcome.json();
        assert_eq!(text(&report, "outcome"), "failed");
        assert!(number(&report, "bytes") > 0 && number(&report, "failures") > 0, "{report}");
        // What could not be removed is still told of.
        assert!(dir.path("state").exists());
    }
}

#[test]
fn a_device_that_goes_away_is_told_with_what_happened_until_then() {
    need_nbd!();
    for engine in engines() {
        let (mut nbd, dir) = (Nbd::new(["memory", "64M"]), Scratch::new());
        let device = nbd.device();
        let args = ["--destroy-data", "--limit-rate", "20M/s", "-q", "--state"];
        let mut running = stress(engine).args(args).args([&dir.path("state"), device.path()]).start();
        running.wait_until_it_handles(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(600));
        nbd.kill();
        let outcome = running.wait();
        assert!(matches!(outcome.code, Some(1 | 3)), "{:?} {}", outcome.code, outcome.stderr);
        let report = outcome.json();
        assert_eq!(text(&report, "outcome"), "failed");
        assert!(number(&report, "bytes") > 0 && number(&report, "failures") > 0);
        assert!(outcome.stderr.contains("Input/output error"), "{}", outcome.stderr);
    }
}

/// A disk whose cache loses what was not flushed once its server is killed.
fn volatile(image: &Path) -> Nbd {
    let plugin = format!("file={}", image.display());
    Nbd::new(["--filter=cache", "file", &plugin, "cache=writeback"])
}

/// Writes at 16 MiB/s for two seconds, until the power goes.
fn lean_until_the_power_goes(engine: &str, args: &[&str], state: &Path, target: &Path, nbd: &mut Nbd) {
    let slowly = ["--limit-rate", "16M/s", "--sync-every", "150ms", "--keep", "--state"];
    let command = stress(engine).args(args).args(slowly).args([state, target]);
    let mut running = command.start();
    running.wait_until_it_handles(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(2200));
    nbd.kill();
    running.signal(Signal::SIGKILL);
    running.wait();
}

/// What was synced is all good, and found wrong where it is not.
fn assert_synced_is_good(engine: &str, state: &Path, target: &Path) -> Value {
    let check = || stress(engine).args(["--check", "-q", "--state"]).args([state, target]).run();
    let outcome = check();
    outcome.assert_silent();
    let report = outcome.json();
    assert!(number(&report, "check.good") > 0, "{report}");
    // The same as if the disk had lost what it called safe.
    let file = fs::File::options().write(true).open(target).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 4096], 0).unwrap();
    file.sync_all().unwrap();
    let outcome = check();
    outcome.assert_code(3);
    assert_eq!(number(&outcome.json(), "check.lost"), 1);
    report
}

/// In rounds of 12 MiB over each other, synced in their middle, or in one that is cut off.
fn cut_on_a_file_system(fs: Fs, args: &[&str], assert: impl Fn(&Value)) {
    for engine in engines() {
        let dir = Scratch::new();
        let (image, state) = (dir.path("image"), dir.path("state"));
        std::fs::File::create(&image).unwrap().set_len(fs.least_bytes().max(128 * MIB)).unwrap();
        system(fs.mkfs(), &[if fs == Fs::Ext4 { "-Fq" } else { "-fq" }, image.to_str().unwrap()]);
        {
            let mut nbd = volatile(&image);
            let device = nbd.device();
            {
                let mount = Mount::new(&["-t", fs.name(), device.path().to_str().unwrap()]);
                lean_until_the_power_goes(engine, args, &state, &mount.dir().join("file"), &mut nbd);
            }
            drop(device);
        }
        let mount = Mount::new(&["-t", fs.name(), "-o", "loop", image.to_str().unwrap()]);
        assert(&assert_synced_is_good(engine, &state, &mount.dir().join("file")));
    }
}

/// Some of the one round was promised, and not all.
fn assert_some_is_unsynced(report: &Value) {
    let check = |name: &str| number(report, &format!("check.{name}"));
    assert_eq!((number(report, "stress.rounds"), check("blocks")), (1, 64 * MIB / BLOCK));
    assert!(check("unsynced") > 0 && check("good") + check("unsynced") == check("blocks"), "{report}");
}

#[test]
fn after_a_power_cut_in_a_later_round_what_was_synced_is_all_good() {
    need_nbd!();
    need_fs!(Fs::Xfs);
    cut_on_a_file_system(Fs::Xfs, &["--size", "12M", "--for", "30s"], |report| {
        assert!(number(report, "stress.rounds") > 1, "{report}");
    });
}

#[test]
fn after_a_power_cut_on_ext4_what_was_synced_is_told_from_what_was_not() {
    need_nbd!();
    need_fs!(Fs::Ext4);
    cut_on_a_file_system(Fs::Ext4, &["--size", "64M"], assert_some_is_unsynced);
}

#[test]
fn after_a_power_cut_of_a_device_what_was_synced_is_told_from_what_was_not() {
    need_nbd!();
    for engine in engines() {
        let dir = Scratch::new();
        let (image, state) = (dir.path("image"), dir.path("state"));
        fs::File::create(&image).unwrap().set_len(64 * MIB).unwrap();
        {
            let mut nbd = volatile(&image);
            let device = nbd.device();
            lean_until_the_power_goes(engine, &["--destroy-data"], &state, device.path(), &mut nbd);
        }
        let device = LoopDevice::over(&image);
        assert_some_is_unsynced(&assert_synced_is_good(engine, &state, device.path()));
    }
}

/// A device of 64 MiB that keeps less. nbdkit's eval plugin makes it: offsets wrap, or what goes beyond is
/// dropped.
fn fake(wraps: bool, real: u64, image: &Path) -> Nbd {
    let image = image.display();
    let (pread, pwrite) = match wraps {
        true => (
            format!(
                "dd if={image} bs=4096 iflag=skip_bytes,count_bytes skip=$(($4 % {real})) count=$3 status=none"
            ),
            format!("dd of={image} bs=4096 oflag=seek_bytes seek=$(($4 % {real})) conv=notrunc status=none"),
        ),
        false => (
            format!(
                "if [ $4 -ge {real} ]; then head -c $3 /dev/zero; else dd if={image} bs=4096 \
                 iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none; fi"
            ),
            format!(
                "if [ $4 -ge {real} ]; then cat >/dev/null; else dd of={image} bs=4096 oflag=seek_bytes seek=$4 \
                 conv=notrunc status=none; fi"
            ),
        ),
    };
    // No request crosses the border: they are cut to 4 KiB.
    let (pread, pwrite) = (format!("pread={pread}"), format!("pwrite={pwrite}"));
    Nbd::new(["--filter=blocksize", "eval", "maxdata=4096", "get_size=echo 4194304", &pread, &pwrite])
}

#[test]
fn fake_capacity_is_found_by_probing() {
    need_nbd!();
    for (wraps, real) in [(true, 3_000_000 / 4096 * 4096), (false, 2 * MIB + 40960)] {
        let dir = Scratch::new();
        let image = dir.path("image");
        fs::File::create(&image).unwrap().set_len(4 * MIB).unwrap();
        let nbd = fake(wraps, real, &image);
        let device = nbd.device();
        let args = ["--destroy-data", "--probe", "-q", "--state"];
        let outcome = stress("auto").args(args).args([&dir.path("state"), device.path()]).run();
        outcome.assert_code(3);
        let report = outcome.json();
        assert_eq!(number(&report, "stress.probe.announced_bytes"), 4 * MIB);
        assert_eq!(number(&report, "stress.probe.real_bytes"), real);
        assert_eq!(report["stress"]["probe"]["wraps_after_bytes"].as_u64(), wraps.then_some(real));
        let words = format!("says it has 4194304 bytes and keeps {real} of them");
        assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    }
    let (device, dir) = (LoopDevice::new(16 * MIB), Scratch::new());
    let args = ["--destroy-data", "--probe", "-q", "--state"];
    let outcome = stress("auto").args(args).args([&dir.path("state"), device.path()]).run();
    outcome.assert_ok();
    assert_eq!(number(&outcome.json(), "stress.probe.real_bytes"), 16 * MIB);
    assert_eq!(number(&outcome.json(), "check.good"), 4096);
}
