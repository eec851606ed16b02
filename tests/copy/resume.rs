//! `--resume`: a copy that is killed at any moment and run again until it is done ends as one that
//! was not killed. More than 200 kills by `kill -9`, over files, trees and devices; how much is copied twice
//! for a kill is counted in `resume_counts`, with as much to copy as shows it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::report::number;
use crate::support::tree::{Fingerprint, Tree, assert_same};
use crate::support::*;
use nix::sys::signal::Signal;

/// How often each of three tests kills at least.
const KILLS: u32 = 68;

/// A copy may be killed so late, in ms.
const LATEST_MS: u64 = 450;

/// Runs the same command again and again, killing it at random moments, until it is done; then its
/// report, and how often it was killed. `check` is called after each kill.
///
/// The journal is the last thing to go: where it was there and is gone, the copy is done, also where it
/// was killed on its way out, before it could say so. Then there is no report.
fn until_done(
    args: &[&str],
    journal: &Path,
    rng: &mut fastrand::Rng,
    check: &dyn Fn(),
) -> (Option<serde_json::Value>, u32) {
    let mut was_there = false;
    for kills in 0.. {
        assert!(kills < 500, "no progress");
        let mut copy = bounded_copy().args(["--resume", "--json", "-"]).args(args).start();
        // On a machine that has much else to do it takes longer to come anywhere.
        let latest_ms = LATEST_MS + 20 * u64::from(kills);
        let deadline = Instant::now() + Duration::from_millis(rng.u64(5..latest_ms));
        while Instant::now() < deadline && !copy.has_ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !copy.has_ended() {
            copy.signal(Signal::SIGKILL);
        }
        let outcome = copy.wait();
        check();
        if outcome.signal != Some(libc::SIGKILL) {
            assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
            return (Some(outcome.json()), kills);
        }
        if was_there && !journal.exists() {
            return (None, kills + 1);
        }
        was_there |= journal.exists();
    }
    unreachable!()
}

fn journal_of(target: &Path) -> PathBuf {
    target.with_file_name(format!(".{}.highwater-journal", target.file_name().unwrap().display()))
}

#[test]
fn a_file_that_is_killed_again_and_again_is_whole_in_the_end() {
    let began = Instant::now();
    need_fs!(Fs::Ext4);
    const LEN: u64 = 20 * MIB + 12_345;
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let disk = LoopDisk::new(Fs::Ext4, 256 * MIB);
    let target = disk.path("target");
    let mut rng = fastrand::Rng::with_seed(11);
    let mut kills = 0;
    for round in 0.. {
        if kills >= KILLS {
            break;
        }
        // A new file; one that is overwritten; one that is replaced as a whole.
        let (atomic, exists) = [(false, false), (false, true), (true, true)][round % 3];
        let _ = fs::remove_file(&target);
        if exists {
            write_file(&target, 2, LEN + 100_000);
        }
        let whole_or_old = || {
            if atomic {
                let content = fs::read(&target).unwrap();
                let is_old = content.len() as u64 == LEN + 100_000 && content == bytes(2, LEN + 100_000);
                assert!(is_old || content == bytes(1, LEN), "neither old nor new, {} bytes", content.len());
            } else if !exists && target.exists() {
                assert_holds(&target, 1, LEN);
            }
        };
        let (source, to) = (dir.path("source"), target.to_str().unwrap().to_owned());
        let mut args = vec!["--limit-rate", "40M", source.to_str().unwrap(), &to];
        if atomic {
            args.insert(0, "--atomic");
        }
        let (_, killed) = until_done(&args, &journal_of(&target), &mut rng, &whole_or_old);
        assert_holds(&target, 1, LEN);
        let left = names(&disk.dir()).into_iter().filter(|name| name != "lost+found");
        assert_eq!(left.collect::<Vec<_>>(), ["target"], "what else is left");
        kills += killed;
    }
    println!("{kills} kills in {:?}", began.elapsed());
}

const OLD: &[u8] = b"what was there before";

/// Asserts that every file in `target` that has its name is the source's, or, in the directory `old` of
/// it, what was there before; there they are all.
#[track_caller]
fn assert_each_is_whole(source: &Path, target: &Path, old: Option<&str>) {
    let mut directories = vec![target.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                directories.push(path.clone());
            }
            let name = path.file_name().unwrap().to_string_lossy();
            if !kind.is_file() || name.starts_with(".highwater-") {
                continue;
            }
            let below = path.strip_prefix(target).unwrap();
            let held = fs::read(&path).unwrap();
            let is_old = old.is_some_and(|old| below.starts_with(old)) && held == OLD;
            let is_whole = is_old || held == fs::read(source.join(below)).unwrap();
            assert!(is_whole, "{}: {} bytes, neither old nor new", path.display(), held.len());
        }
    }
    if let Some(old) = old {
        let files = |root: &Path| {
            let mut names = names(&root.join(old));
            names.retain(|name| name.as_encoded_bytes().starts_with(b"f"));
            names
        };
        assert_eq!(files(target), files(source), "a name is missing");
    }
}

#[test]
fn a_tree_that_is_killed_again_and_again_is_whole_in_the_end() {
    let began = Instant::now();
    need!(needs::root());
    let dir = Scratch::new();
    let mut rng = fastrand::Rng::with_seed(12);
    let mut tree = Tree::new(dir.path("source"));
    for nth in 0..12 {
        tree.dir(format!("d{nth}/sub"));
        for file in 0..25 {
            let len = [0, 10, 4096, 20_000, 70_000, 600_000][rng.usize(0..6)];
            tree.file(format!("d{nth}/f{file}"), bytes(nth * 100 + file, len));
        }
        tree.link(format!("d{nth}/sub/hard"), format!("d{nth}/f1"));
        tree.symlink(format!("d{nth}/link"), "f2");
        tree.dir(format!("d{nth}/sub")).mode(0o555).times((1, 2), (3, 4));
    }
    tree.file("d3/f3", bytes(9, 300)).mode(0o4750).owner(5, 6).xattr("user.x", b"y");
    tree.file("big", bytes(7, 12 * MIB + 5));
    tree.node("fifo", libc::S_IFIFO, (0, 0));
    tree.built();
    let source = dir.path("source");
    let want = Fingerprint::of(&source).without(&["atime"]);
    let mut kills = 0;
    for round in 0.. {
        if kills >= KILLS {
            break;
        }
        let target = dir.path(&format!("target-{round}"));
        // Into a directory that was there, too: the command means what it meant the first time.
        let (copied, merged) = match round % 2 {
            0 => (target.clone(), false),
            _ => (target.join("source"), true),
        };
        if merged {
            fs::create_dir_all(target.join("source/d1")).unwrap();
            (0..25).for_each(|file| fs::write(target.join(format!("source/d1/f{file}")), OLD).unwrap());
        }
        let mut args = vec!["-a", source.to_str().unwrap(), target.to_str().unwrap()];
        if round % 3 == 2 {
            args.insert(0, "--atomic");
        }
        // A limit on the rate is kept by one worker; else there are several.
        if round % 4 != 3 {
            args.splice(0..0, ["--limit-rate", "25M"]);
        }
        let is_atomic = round % 3 == 2;
        let whole_or_old = || {
            if is_atomic {
                assert_each_is_whole(&source, &copied, merged.then_some("d1"));
            }
        };
        kills += until_done(&args, &journal_of(&target), &mut rng, &whole_or_old).1;
        let got = Fingerprint::of(&copied).without(&["atime"]);
        assert_same(&got, &want, &format!("{args:?}"));
        assert!(!journal_of(&target).exists());
        fs::remove_dir_all(&target).unwrap();
    }
    println!("{kills} kills in {:?}", began.elapsed());
}

#[test]
fn a_device_that_is_killed_again_and_again_is_right_in_the_end() {
    let began = Instant::now();
    need!(needs::loop_devices());
    const LEN: u64 = 20 * MIB + 512 * 3;
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let mut rng = fastrand::Rng::with_seed(13);
    let mut kills = 0;
    while kills < KILLS {
        let device = LoopDevice::new(24 * MIB);
        write_file(device.path(), 2, 24 * MIB);
        let (source, journal) = (dir.path("source"), dir.path("journal"));
        let paths = [source.to_str().unwrap(), device.path().to_str().unwrap()];
        let args = ["--limit-rate", "40M", "--journal", journal.to_str().unwrap(), paths[0], paths[1]];
        let (report, killed) = until_done(&args, &journal, &mut rng, &|| {});
        assert_holds(device.path(), 1, LEN);
        let rest = fs::read(device.path()).unwrap();
        assert_bytes(&rest[LEN as usize..], &bytes(2, 24 * MIB)[LEN as usize..]);
        assert!(!journal.exists());
        if let Some(report) = report {
            let believed = number(&report, "resumed.believed_bytes");
            assert_eq!(number(&report, "bytes") + believed, LEN, "each byte was copied or believed");
        }
        kills += killed;
    }
    println!("{kills} kills in {:?}", began.elapsed());
}

#[test]
fn a_signal_leaves_all_that_is_complete_recorded_and_says_how_to_go_on() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 40 * MIB);
    let (source, target) = (dir.path("source"), dir.path("target"));
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let paths = [&source, &target];
        let mut copy = bounded_copy().args(["--resume", "--limit-rate", "20M"]).args(paths).start();
        copy.wait_until_it_handles(signal);
        std::thread::sleep(Duration::from_millis(700));
        copy.signal(signal);
        let outcome = copy.wait();
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("run the same command again to go on"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("bytes are recorded as safe"), "{}", outcome.stderr);
        assert!(!target.exists() && journal_of(&target).exists());
        let outcome = bounded_copy().args(["--resume", "--json", "-"]).args(paths).run();
        outcome.assert_silent();
        let (report, all) = (outcome.json(), 40 * MIB);
        let believed = number(&report, "resumed.believed_bytes");
        assert!(believed >= 8 * MIB, "{believed} bytes were recorded");
        assert_eq!(number(&report, "bytes") + believed, all, "nothing that was complete is copied again");
        assert_holds(&target, 1, all);
        assert_eq!(names(&dir.dir()), ["source", "target"]);
        fs::remove_file(&target).unwrap();
    }
}

#[test]
fn what_an_earlier_run_has_copied_is_verified_and_listed_too() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("source"));
    tree.file("small", bytes(1, 3000));
    tree.file("large", bytes(2, 12 * MIB + 99));
    tree.file("last", bytes(3, 100_000));
    tree.built();
    let copy = || {
        let copy = bounded_copy().args(["-r", "--resume", "--verify", "--json", "-", "--manifest"]);
        copy.arg(dir.path("sums")).args(["source", "target"]).current_dir(dir.dir())
    };
    let mut running = copy().args(["--limit-rate", "8M"]).start();
    std::thread::sleep(Duration::from_millis(900));
    running.signal(Signal::SIGKILL);
    running.wait();
    let outcome = copy().run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let report = outcome.json();
    assert!(number(&report, "resumed.believed_bytes") > 0);
    assert_eq!(number(&report, "verified.files"), 3);
    let sums = fs::read_to_string(dir.path("sums")).unwrap();
    let mut lines: Vec<&str> = sums.lines().collect();
    lines.sort_by_key(|line| line.split_whitespace().nth(1).map(str::to_owned));
    let want = ["large", "last", "small"].map(|name| {
        let hash = blake3::hash(&fs::read(dir.path("source").join(name)).unwrap());
        format!("{hash}  target/{name}")
    });
    assert_eq!(lines, want);
}
