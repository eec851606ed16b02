//! `--verify`: a disk that says one thing and does another is found out, and told where; an honest
//! one is not accused.

// Lists of ranges often have one.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::command::quoted;
use crate::support::report::{number, text};
use crate::support::*;
use nix::sys::signal::Signal;
use serde_json::Value;

/// What is compared as one.
const UNIT: u64 = 64 * KIB;
/// No whole number of units, blocks or sectors.
const LEN: u64 = 3 * MIB + 54_321;

const LIES: [Lie; 5] =
    [Lie::Lost, Lie::Torn, Lie::Flipped, Lie::Misdirected(-(MIB as i64)), Lie::Misdirected(64 * 4096)];

/// How the page at `offset` of the data of `seed` begins.
fn stamp(seed: u64, offset: u64) -> [u8; 8] {
    bytes(seed, offset + 8)[offset as usize..].try_into().unwrap()
}

/// Where two contents differ, in whole units, neighbours as one.
fn differences(want: &[u8], got: &[u8]) -> Vec<Range<u64>> {
    assert_eq!(want.len(), got.len());
    let mut ranges: Vec<Range<u64>> = vec![];
    for (nth, (want, got)) in want.chunks(UNIT as usize).zip(got.chunks(UNIT as usize)).enumerate() {
        let start = nth as u64 * UNIT;
        match ranges.last_mut() {
            _ if want == got => {}
            Some(last) if last.end == start => last.end = start + want.len() as u64,
            _ => ranges.push(start..start + want.len() as u64),
        }
    }
    ranges
}

/// The ranges that a report says differ, of one file.
#[track_caller]
fn told(report: &Value, path: &Path) -> Vec<Range<u64>> {
    let errors = report["errors"].as_array().unwrap();
    let mut ranges = vec![];
    for error in errors.iter().filter(|error| error["path"] == path.to_str().unwrap()) {
        assert_eq!(error["op"], "verify", "{error}");
        let start = error["offset"].as_u64().unwrap();
        ranges.push(start..start + error["length"].as_u64().unwrap_or_else(|| panic!("{error}")));
    }
    ranges
}

/// Asserts that a run found just these ranges of the target wrong, and says so to everyone.
#[track_caller]
fn assert_finds(outcome: &Outcome, target: &Path, ranges: &[Range<u64>]) {
    assert!(!ranges.is_empty(), "the disk didn't lie");
    outcome.assert_code(3);
    let report = outcome.json();
    assert_eq!(told(&report, target), ranges);
    assert_eq!((text(&report, "outcome"), number(&report, "verified.wrong_files")), ("failed", 1));
    for Range { start, end } in ranges {
        let line = format!("highwater: {} does not hold what was read from '", quoted(target));
        let place = format!("': {} bytes differ at byte {start}", end - start);
        let said = outcome.stderr.lines().any(|text| text.starts_with(&line) && text.ends_with(&place));
        assert!(said, "no word of {start}..{end} in\n{}", outcome.stderr);
    }
}

fn verify() -> Highwater {
    bounded_copy().args(["--verify", "--json", "-"])
}

// ---- disks that lie ----

#[test]
fn every_lie_of_a_disk_is_found_and_told_where() {
    need_fuse!();
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let want = bytes(1, LEN);
    let pages = [0, 4096, UNIT - 4096, 2 * MIB + 12_288, LEN / 4096 * 4096 - 4096];
    for engine in engines() {
        for lie in LIES {
            for page in pages {
                if matches!(lie, Lie::Misdirected(by) if (page as i64 + by) < 0) {
                    continue;
                }
                let disk = FaultyDisk::new([Fault::Lie { lie, stamp: stamp(1, page) }]);
                let target = disk.path("target");
                let outcome = verify().args(["--engine", engine]).args([&dir.path("source"), &target]).run();
                let mut got = disk.get("target").unwrap();
                got.resize(want.len().max(got.len()), 0);
                if got.len() > want.len() {
                    // It was put behind the end.
                    outcome.assert_code(3);
                    assert!(outcome.stderr.contains(&format!("it has {} bytes, not {LEN}", got.len())));
                    continue;
                }
                let wrong = differences(&want, &got);
                assert!(wrong.iter().any(|range| range.contains(&page)), "{lie:?} of {page}: {wrong:?}");
                assert_finds(&outcome, &target, &wrong);
            }
        }
    }
}

#[test]
fn each_wrong_place_of_several_files_is_told_and_the_right_ones_are_not() {
    need_fuse!();
    let dir = Scratch::new();
    fs::create_dir(dir.path("tree")).unwrap();
    for seed in 1..=6 {
        write_file(&dir.path(&format!("tree/file{seed}")), seed, seed * 200 * KIB);
    }
    let struck = [(2, 0), (2, 4096), (2, 5 * UNIT), (5, 3 * UNIT), (5, 4 * UNIT), (5, 9 * UNIT)];
    let lies: Vec<Fault> =
        struck.map(|(seed, page)| Fault::Lie { lie: Lie::Lost, stamp: stamp(seed, page) }).into();
    for jobs in ["1", "3"] {
        let disk = FaultyDisk::new(lies.clone());
        let sources = (1..=6).map(|seed| dir.path(&format!("tree/file{seed}")));
        let outcome = verify().args(["--jobs", jobs]).args(sources).arg(disk.dir()).run();
        outcome.assert_code(3);
        let report = outcome.json();
        assert_eq!((number(&report, "verified.files"), number(&report, "verified.wrong_files")), (6, 2));
        for seed in 1..=6 {
            let name = format!("file{seed}");
            let wrong = differences(&bytes(seed, seed * 200 * KIB), &disk.get(&name).unwrap());
            assert_eq!(wrong.is_empty(), ![2, 5].contains(&seed), "{name}");
            assert_eq!(told(&report, &disk.path(&name)), wrong, "{name}");
        }
    }
}

#[test]
fn a_disk_that_lies_below_a_file_system_is_found_out() {
    need_fuse!();
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    for fs in [Fs::Ext4, Fs::Xfs] {
        need_fs!(fs);
        for lie in [Lie::Lost, Lie::Torn, Lie::Flipped] {
            for (engine, page) in engines().into_iter().cycle().zip([4096, MIB, 3 * MIB]) {
                let faulty = FaultyDisk::new([Fault::Lie { lie, stamp: stamp(1, page) }]);
                faulty.put("disk", vec![0; fs.least_bytes() as usize]);
                let disk = LoopDisk::on(LoopDevice::over(&faulty.path("disk")), fs);
                let target = disk.path("target");
                let outcome = verify().args(["--engine", engine]).args([&dir.path("source"), &target]).run();
                let unit = page / UNIT * UNIT;
                assert_finds(&outcome, &target, &[unit..(unit + UNIT).min(LEN)]);
                // Whoever believes the page cache sees nothing.
                drop(disk);
            }
        }
    }
}

#[test]
fn a_device_that_lies_is_found_out() {
    need_fs!(Fs::Ext4);
    need_fuse!();
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    for engine in engines() {
        for lie in LIES {
            let page = 2 * MIB;
            let faulty = FaultyDisk::new([Fault::Lie { lie, stamp: stamp(1, page) }]);
            faulty.put("disk", vec![0xAA; 8 * MIB as usize]);
            let device = LoopDevice::over(&faulty.path("disk"));
            let outcome =
                verify().args(["--engine", engine]).arg(dir.path("source")).arg(device.path()).run();
            let wrong = differences(&bytes(1, LEN), &faulty.get("disk").unwrap()[..LEN as usize]);
            assert!(wrong.iter().any(|range| range.contains(&page)), "{lie:?}: {wrong:?}");
            assert_finds(&outcome, device.path(), &wrong);
        }
    }
}

#[test]
fn what_cannot_be_read_back_is_told_and_what_lies_behind_it_is_still_compared() {
    need_fuse!();
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    for engine in engines() {
        let bad = 10 * UNIT..10 * UNIT + 4096;
        let disk = FaultyDisk::new([
            Fault::Errno(On::Read, bad.clone(), libc::EIO),
            Fault::Lie { lie: Lie::Lost, stamp: stamp(1, 9 * UNIT) },
            Fault::Lie { lie: Lie::Lost, stamp: stamp(1, 40 * UNIT) },
        ]);
        let target = disk.path("target");
        let outcome = verify().args(["--engine", engine]).args([&dir.path("source"), &target]).run();
        outcome.assert_code(3);
        let line =
            format!("highwater: error reading back {} at byte 655360: Input/output error", quoted(&target));
        assert!(outcome.stderr.lines().any(|said| said == line), "{}", outcome.stderr);
        let report = outcome.json();
        let errors = report["errors"].as_array().unwrap();
        let places: Vec<_> =
            errors.iter().map(|error| (error["offset"].as_u64(), error["length"].as_u64())).collect();
        let (differs, unreadable) = ((Some(9 * UNIT), Some(UNIT)), (Some(bad.start), None));
        assert_eq!(places.len(), 3, "{errors:?}");
        for place in [differs, unreadable, (Some(40 * UNIT), Some(UNIT))] {
            assert!(places.contains(&place), "{place:?} in {errors:?}");
        }
    }
}

// ---- disks that don't ----

/// A tree of what is odd: nothing, hardly anything, holes everywhere, no whole block, many names.
fn odd_tree(dir: &Path) -> (u64, u64) {
    fs::create_dir_all(dir.join("deep/er")).unwrap();
    let data = |at: u64| at..at + 40_960;
    write_sparse(&dir.join("holes"), 1, 3 * MIB + 777, &[data(0), data(200_704), data(2 * MIB)]);
    write_sparse(&dir.join("hole"), 1, 300_000, &[]);
    write_sparse(&dir.join("hole at the end"), 1, 1 << 30, &[data(4096)]);
    let lens = [0, 1, 511, 512, 4097, UNIT - 1, UNIT, UNIT + 1, 512 * KIB, MIB + 1, 9 * MIB + 5];
    for (seed, len) in lens.into_iter().enumerate() {
        write_file(&dir.join(format!("deep/er/{len}")), seed as u64, len);
    }
    File::create(dir.join("zeros")).unwrap().write_all_at(&vec![0; 500_000], 0).unwrap();
    fs::hard_link(dir.join("zeros"), dir.join("deep/zeros")).unwrap();
    symlink("../zeros", dir.join("deep/link")).unwrap();
    let bytes = 3 * MIB + 777 + 300_000 + (1 << 30) + lens.iter().sum::<u64>() + 500_000;
    (4 + lens.len() as u64, bytes)
}

fn assert_verified(outcome: &Outcome, files: u64, bytes: u64) {
    let report = outcome.assert_ok().json();
    let verified = ["files", "bytes", "wrong_files"].map(|name| number(&report, &format!("verified.{name}")));
    assert_eq!(verified, [files, bytes, 0]);
}

#[test]
fn an_honest_disk_is_not_accused() {
    let dir = Scratch::new();
    let (files, sum) = odd_tree(&dir.path("tree"));
    let check = |to: PathBuf, options: &[&str]| {
        for options in [options, &["--block-size", "100000"], &["--direct", "never", "--jobs", "2"]] {
            let _ = fs::remove_dir_all(&to);
            let outcome = verify().arg("-a").args(options).args([&dir.path("tree"), &to]).run();
            outcome.assert_silent();
            assert_verified(&outcome, files, sum);
        }
    };
    for engine in engines() {
        check(dir.path(engine), &["--engine", engine]);
        check(dir.path(engine), &["--engine", engine, "--sync", "none", "--sparse", "always"]);
        check(dir.path(engine), &["--engine", engine, "--sync", "file", "--atomic"]);
    }
    for fs in Fs::ALL {
        need_fs!(fs);
        let disk = LoopDisk::new(fs, 96 * MIB);
        check(disk.path("target"), &["--sparse", "always"]);
        check(disk.path("target"), &["--sync", "none"]);
    }
}

#[test]
fn where_there_is_nothing_but_memory_it_says_so_once() {
    need_root!();
    let dir = Scratch::new();
    let (files, sum) = odd_tree(&dir.path("tree"));
    let disk = Tmpfs::new(64 * MIB);
    let outcome = verify().arg("-a").args([&dir.path("tree"), &disk.path("target")]).run();
    assert_verified(&outcome, files, sum);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert!(lines.len() == 1 && lines[0].contains("is on a file system in memory"), "{}", outcome.stderr);
    assert!(text(&outcome.json(), "notes.0").contains("in memory"));
}

#[test]
fn a_large_file_in_parts_is_verified_inside_a_small_memory_group() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("tree")).unwrap();
    let len = 200 * MIB + 12_345;
    write_file(&dir.path("tree/large"), 1, len);
    for small in 0..300 {
        fs::write(dir.path(&format!("tree/{small}")), small.to_string()).unwrap();
    }
    for engine in engines() {
        let copy =
            verify().args(["-r", "--jobs", "2", "--engine", engine, "--manifest"]).arg(dir.path("sums"));
        let copy = copy.args([dir.path("tree"), dir.path(engine)]).timeout(Duration::from_secs(120));
        let outcome = copy.run();
        outcome.assert_silent();
        let report = outcome.json();
        let verified = ["verified.files", "verified.wrong_files"].map(|name| number(&report, name));
        assert_eq!(verified, [301, 0]);
        assert!(outcome.peak_memory_bytes <= 12 * MIB, "a peak of {} KiB", outcome.peak_memory_bytes / KIB);
        let sums = fs::read_to_string(dir.path("sums")).unwrap();
        let hash = blake3::Hasher::new().update(&bytes(1, len)).finalize();
        let line = format!("{hash}  {}\n", dir.path(engine).join("large").display());
        assert!(sums.contains(&line), "{line}");
        assert_eq!(sums.lines().count(), 301);
        fs::remove_dir_all(dir.path(engine)).unwrap();
    }
}

#[test]
fn a_part_that_is_wrong_is_found() {
    need_fs!(Fs::Ext4);
    need_fuse!();
    let dir = Scratch::new();
    let len = 140 * MIB;
    write_file(&dir.path("source"), 1, len);
    let page = 130 * MIB + 4096;
    let faulty = FaultyDisk::new([Fault::Lie { lie: Lie::Flipped, stamp: stamp(1, page) }]);
    faulty.put("disk", vec![0; 200 * MIB as usize]);
    let disk = LoopDisk::on(LoopDevice::over(&faulty.path("disk")), Fs::Ext4);
    let target = disk.path("target");
    let copy = verify().args(["--jobs", "2"]).args([&dir.path("source"), &target]);
    let outcome = copy.timeout(Duration::from_secs(120)).run();
    assert_finds(&outcome, &target, &[130 * MIB..130 * MIB + UNIT]);
}

#[test]
fn a_device_is_verified_as_far_as_it_was_written() {
    need!(needs::loop_devices());
    let dir = Scratch::new();
    let device = LoopDevice::new(8 * MIB);
    for engine in engines() {
        for len in [0, 1, 513, UNIT, LEN, 8 * MIB] {
            write_sparse(&dir.path("source"), 1, len, &[0..len.min(4096), len / 2 / 4096 * 4096..len]);
            let outcome =
                verify().args(["--engine", engine]).arg(dir.path("source")).arg(device.path()).run();
            assert_verified(outcome.assert_silent(), 1, len);
        }
    }
}

// ---- what is verified, and what is not ----

#[test]
fn only_what_was_copied_is_verified() {
    let dir = Scratch::new();
    for (name, seed) in [("a", 1), ("b", 2)] {
        write_file(&dir.path(name), seed, LEN);
    }
    fs::create_dir(dir.path("to")).unwrap();
    write_file(&dir.path("to/a"), 3, LEN);
    let files = [dir.path("a"), dir.path("b"), dir.path("to")];
    let outcome = verify().arg("--update=none").args(&files).run();
    assert_verified(outcome.assert_silent(), 1, LEN);
    let outcome = verify().args(["--dry-run"]).args(&files).run();
    assert_verified(&outcome, 0, 0);
    assert_holds(&dir.path("to/a"), 3, LEN);
    let outcome = verify().args(["-l", "--remove-destination"]).args(&files).run();
    assert_verified(outcome.assert_silent(), 0, 0);
    let input = bounded_copy().args(["--verify", "--json"]).arg(dir.path("report")).arg("-");
    input.arg(dir.path("piped")).input(&bytes(1, LEN)).run().assert_silent();
    let report = serde_json::from_slice(&fs::read(dir.path("report")).unwrap()).unwrap();
    assert_eq!(number(&report, "verified.bytes"), LEN);
    assert_holds(&dir.path("piped"), 1, LEN);
}

#[test]
fn what_is_not_there_any_more_was_not_copied() {
    for gone in ["removed", "shortened", "replaced", "changed"] {
        let dir = Scratch::new();
        fs::create_dir(dir.path("to")).unwrap();
        write_file(&dir.path("one"), 1, 2 * MIB);
        write_file(&dir.path("two"), 2, 2 * MIB);
        let copy = verify().args(["--limit-rate", "2MiB/s", "--manifest"]).arg(dir.path("sums"));
        let running = copy.args([dir.path("one"), dir.path("two"), dir.path("to")]).start();
        let sums = || fs::read_to_string(dir.path("sums")).unwrap_or_default();
        wait_for("both copies", || sums().lines().count() == 2);
        // They are read back in this order, each slowly.
        let last = if sums().ends_with("one\n") { "one" } else { "two" };
        let struck = dir.path("to").join(last);
        match gone {
            "removed" => fs::remove_file(&struck).unwrap(),
            "shortened" => File::options().write(true).open(&struck).unwrap().set_len(MIB).unwrap(),
            "replaced" => {
                fs::remove_file(&struck).unwrap();
                symlink(dir.path(last), &struck).unwrap();
            }
            _ => File::options().write(true).open(&struck).unwrap().write_all_at(b"?", 10).unwrap(),
        }
        let outcome = running.wait();
        outcome.assert_code(3);
        let told = outcome.json()["errors"].as_array().unwrap().clone();
        let is_told =
            told.iter().any(|error| error["path"] == struck.to_str().unwrap() && error["op"] == "verify");
        assert!(is_told && told.len() == 1, "{gone}: {told:?}");
    }
}

#[test]
fn a_signal_stops_reading_back() {
    need_fuse!();
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 32 * MIB);
    for engine in engines() {
        let disk = FaultyDisk::new([Fault::Slow(On::Read, Duration::from_millis(30))]);
        let copy = verify().args(["--engine", engine, "--progress", "always", "--manifest"]);
        let mut running = copy.arg(dir.path("sums")).args([dir.path("source"), disk.path("target")]).start();
        wait_for("reading back", || running.stderr_so_far().contains(", verifying"));
        running.signal(Signal::SIGINT);
        let outcome = running.wait();
        outcome.assert_code(130);
        assert!(
            outcome.stderr.contains("1 files are complete; not all of them were verified"),
            "{}",
            outcome.stderr
        );
        assert_eq!(disk.get("target").unwrap(), bytes(1, 32 * MIB));
        assert_eq!(number(&outcome.json(), "verified.files"), 0);
    }
}

// ---- bad input ----

#[test]
fn what_cannot_be_read_back_is_refused_before_anything_is_touched() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    nix::unistd::mkfifo(&dir.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let refuse = |args: &[&str], words: &[&str]| {
        bounded_copy().arg("--verify").args(args).current_dir(dir.dir()).run().assert_usage(words);
        assert_eq!(names(&dir.dir()), ["fifo", "source"]);
    };
    refuse(&["source", "fifo"], &["--verify can't read back what goes to 'fifo'"]);
    refuse(&["source", "/dev/null"], &["--verify can't read back what goes to '/dev/null'"]);
    refuse(&["-", "/dev/null"], &["--verify can't read back what goes to '/dev/null'"]);
    refuse(&["source", "-"], &["--verify can't read back what goes to standard output"]);
    refuse(&["--reflink=always", "source", "new"], &["--verify needs the bytes", "--reflink=always"]);
}

#[test]
fn a_pipe_inside_the_target_is_not_written_to() {
    let dir = Scratch::new();
    fs::create_dir_all(dir.path("from")).unwrap();
    fs::create_dir_all(dir.path("to")).unwrap();
    write_file(&dir.path("from/fifo"), 1, LEN);
    write_file(&dir.path("from/file"), 2, LEN);
    nix::unistd::mkfifo(&dir.path("to/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let outcome = verify().args(["-rT"]).args([dir.path("from"), dir.path("to")]).run();
    outcome.assert_code(1).assert_failed(&["not writing to", &quoted(&dir.path("to/fifo")), "--verify"]);
    assert_holds(&dir.path("to/file"), 2, LEN);
    assert_eq!(number(&outcome.json(), "verified.files"), 1);
}
