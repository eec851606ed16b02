//! Targets that lie, fail, are full, are gone or lose their power: every fault is found where it is and
//! called by its name, and nothing else is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::disk::{Mount, system};
use crate::support::report::{number, text};
use crate::support::*;
use nix::sys::signal::Signal;
use serde_json::Value;

const BLOCK: u64 = 4096;
/// More than what is in flight: no block that is meant to be overwritten is written after that.
const APART: u64 = 16 * MIB;

fn stress(engine: &str) -> Highwater {
    Highwater::stress().args(["--engine", engine, "--json", "-"])
}

/// What a report says of each block.
fn named(report: &Value, blocks: u64) -> Vec<Option<String>> {
    let mut named = vec![None; blocks as usize];
    for range in report["check"]["ranges"].as_array().unwrap() {
        let start = number(range, "offset") / BLOCK;
        let end = start + number(range, "length") / BLOCK;
        (start..end).for_each(|block| named[block as usize] = Some(text(range, "fault").to_owned()));
    }
    named
}

/// `count` different blocks of the first `blocks`, by seed, apart from `taken`.
fn some(
    count: usize,
    blocks: u64,
    taken: &mut [Option<String>],
    fault: &str,
    random: &mut fastrand::Rng,
) -> Vec<u64> {
    let mut found = vec![];
    while found.len() < count {
        let block = random.u64(0..blocks);
        let place = &mut taken[block as usize];
        if place.is_none() {
            *place = Some(fault.to_owned());
            found.push(block);
        }
    }
    found
}

/// Each of `kinds` is done to `count` blocks by a disk that says it has written them, or can't read them; in one
/// round over nothing, or in rounds over earlier ones. All are found and named, and nothing else is.
fn assert_all_are_named(engine: &str, rounds: bool, kinds: &[&str], count: usize, seed: u64) {
    let blocks = (APART + 24 * MIB + 12 * (count * kinds.len()) as u64 * BLOCK) / BLOCK;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut expected = vec![None; blocks as usize];
    let mut lies = BTreeMap::new();
    let (lost, before) = if rounds { ("stale", 1) } else { ("lost", 0) };
    for (lie, fault) in [(Lie::Lost, lost), (Lie::Torn, "torn"), (Lie::Flipped, "corrupt")] {
        let count = if kinds.contains(&fault) { count } else { 0 };
        for block in some(count, blocks, &mut expected, fault, &mut random) {
            lies.insert(block * BLOCK, (lie, before));
        }
    }
    // Where it goes is written before; where it should be nothing is.
    let apart = APART / BLOCK;
    let mut misdirected = if kinds.contains(&"misdirected") { count } else { 0 };
    // Where a round was cut off by its time is not known here.
    assert!(misdirected == 0 || !rounds, "only in one round");
    while misdirected > 0 {
        let from = random.u64(apart..blocks);
        let to = from - apart;
        if expected[from as usize].is_none() && expected[to as usize].is_none() {
            expected[from as usize] = Some(lost.to_owned());
            expected[to as usize] = Some("misdirected".to_owned());
            lies.insert(from * BLOCK, (Lie::Misdirected(-(APART as i64)), before));
            misdirected -= 1;
        }
    }
    let mut faults = vec![Fault::LiesAt(lies)];
    let unreadable = if kinds.contains(&"unreadable") { count } else { 0 };
    for block in some(unreadable, blocks, &mut expected, "unreadable", &mut random) {
        faults.push(Fault::Errno(On::Read, block * BLOCK..(block + 1) * BLOCK, libc::EIO));
    }
    let disk = FaultyDisk::new(faults);
    let size = (blocks * BLOCK).to_string();
    let lasts: &[&str] = if rounds { &["--for", "4s"] } else { &[] };
    let (dir, args) = (Scratch::new(), ["--size", &size, "--quiet", "--html"]);
    let page = dir.path("page.html");
    let outcome = stress(engine).args(args).arg(&page).args(lasts).arg(disk.dir()).run();
    outcome.assert_code(3);
    let page = fs::read_to_string(page).unwrap();
    assert!(["level", "surface"].iter().all(|plot| page.contains(&format!("<figure id=\"{plot}\">"))));
    let report = outcome.json();
    assert!(!rounds || number(&report, "stress.rounds") > 2, "{}", number(&report, "stress.rounds"));
    assert_named(&report, &expected, &format!("{engine}, rounds: {rounds}, {kinds:?}, seed {seed}"));
    assert_eq!(number(&report, "failures"), 0, "{}", outcome.stderr);
    assert!(disk.names().is_empty());
}

/// The report names these blocks so, and no others.
#[track_caller]
fn assert_named(report: &Value, expected: &[Option<String>], what: &str) {
    let named = named(report, expected.len() as u64);
    let pairs = named.iter().zip(expected).enumerate();
    let wrong: Vec<_> = pairs.filter(|(_, (named, expected))| named != expected).collect();
    assert!(wrong.is_empty(), "{what}: {} wrong: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    for fault in ["lost", "stale", "torn", "corrupt", "misdirected", "unreadable"] {
        let count = expected.iter().filter(|expected| expected.as_deref() == Some(fault)).count() as u64;
        assert_eq!(number(report, &format!("check.{fault}")), count, "{what}: {fault}");
    }
}

const IN_ONE_ROUND: [&str; 5] = ["lost", "torn", "corrupt", "misdirected", "unreadable"];
const IN_ROUNDS: [&str; 4] = ["stale", "torn", "corrupt", "unreadable"];

/// In one round, over nothing, and in many, over earlier ones.
#[test]
fn every_fault_of_a_lying_disk_is_named() {
    need_fuse!();
    for engine in engines() {
        assert_all_are_named(engine, false, &IN_ONE_ROUND, 100, 7);
        assert_all_are_named(engine, true, &IN_ROUNDS, 100, 8);
    }
}

/// For `scripts/nightly-stress.sh`: takes a minute or two.
#[test]
#[ignore = "takes minutes"]
fn a_thousand_faults_of_each_kind_singly_and_mixed_are_named() {
    need_fuse!();
    for engine in engines() {
        for (rounds, kinds) in [(false, &IN_ONE_ROUND[..]), (true, &IN_ROUNDS[..])] {
            assert_all_are_named(engine, rounds, kinds, 1000, 9);
            kinds.iter().for_each(|kind| assert_all_are_named(engine, rounds, &[kind], 1000, 10));
        }
    }
}

/// Behind nbdkit's eval plugin, a script for each 4 KiB.
#[test]
fn every_fault_of_a_disk_behind_nbdkit_is_named() {
    need_nbd!();
    let dir = Scratch::new();
    let image = dir.path("image");
    fs::File::create(&image).unwrap().set_len(4 * MIB).unwrap();
    let (blocks, apart) = (MIB * 4 / BLOCK, MIB * 3 / BLOCK);
    let mut random = fastrand::Rng::with_seed(11);
    let mut expected = vec![None; blocks as usize];
    // What is misdirected goes 3 MiB back, where it is not written over: the marks let no more than 1 MiB in flight.
    let from: Vec<u64> = some(8, blocks - apart, &mut expected, "misdirected", &mut random);
    let from: Vec<u64> = from.into_iter().map(|to| to + apart).collect();
    from.iter().for_each(|block| expected[*block as usize] = Some("lost".to_owned()));
    let mut case = |fault: &str, count| {
        let blocks = some(count, blocks, &mut expected, fault, &mut random);
        blocks.iter().map(|block| (block * BLOCK).to_string()).collect::<Vec<_>>().join("|")
    };
    let (lost, torn, corrupt, unreadable) =
        (case("lost", 8), case("torn", 8), case("corrupt", 8), case("unreadable", 8));
    let misdirected = from.iter().map(|block| (block * BLOCK).to_string()).collect::<Vec<_>>().join("|");
    let (image, back) = (image.display(), apart * BLOCK);
    let put = format!("dd of={image} bs=4096 iflag=fullblock oflag=seek_bytes conv=notrunc status=none");
    let pwrite = format!(
        "pwrite=case $4 in {lost}) cat >/dev/null;; {torn}) head -c 2048 | {put} seek=$4;; \
         {corrupt}) {put} seek=$4; printf changed! | {put} seek=$(($4 + 1000));; \
         {misdirected}) {put} seek=$(($4 - {back}));; *) {put} seek=$4;; esac"
    );
    let pread = format!(
        "pread=case $4 in {unreadable}) echo 'EIO worn out' >&2; exit 1;; esac; \
         dd if={image} bs=4096 iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none"
    );
    let nbd =
        Nbd::new(["--filter=blocksize", "eval", "maxdata=4096", "get_size=echo 4194304", &pread, &pwrite]);
    let device = nbd.device();
    let args = ["--destroy-data", "-q", "--block-size", "256K", "--buffers", "4", "--state"];
    let outcome = stress("auto").args(args).args([&dir.path("state"), device.path()]).run();
    outcome.assert_code(3);
    assert_named(&outcome.json(), &expected, "nbdkit");
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
