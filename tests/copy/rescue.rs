//! Sources that can't be read everywhere: what can is copied, the rest is zeros and told, and a map
//! lets a rescue go on.
//!
//! The bad sectors are nbdkit's, whose ddrescue filter fails what a map of ddrescue has as bad: so what
//! is called bad here, and what of our own map, is said by others.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::support::command::quoted;
use crate::support::disk::system;
use crate::support::report::{number, text};
use crate::support::*;
use nix::sys::signal::Signal;

const LEN: u64 = 4 * MIB;

/// A disk with these bytes, of which these ranges can't be read.
struct BadDisk {
    device: LoopDevice,
    _nbd: Nbd,
    _dir: Scratch,
}

impl BadDisk {
    fn new(data: &[u8], bad: &[Range<u64>]) -> BadDisk {
        let dir = Scratch::new();
        let (image, map) = (dir.path("image"), dir.path("map"));
        fs::write(&image, data).unwrap();
        fs::write(&map, map_of(data.len() as u64, bad)).unwrap();
        let args = ["--filter=ddrescue".into(), "file".into(), image.display().to_string()];
        let nbd = Nbd::new(args.into_iter().chain([format!("ddrescue-mapfile={}", map.display())]));
        BadDisk { device: nbd.device(), _nbd: nbd, _dir: dir }
    }

    fn path(&self) -> &Path {
        self.device.path()
    }
}

/// A map with these ranges as bad and all else as rescued.
fn map_of(len: u64, bad: &[Range<u64>]) -> String {
    let mut text =
        String::from("# Mapfile. Created by GNU ddrescue version 1.27\n0x00000000     +               1\n");
    let mut line = |range: Range<u64>, status: char| {
        if !range.is_empty() {
            let size = range.end - range.start;
            text.push_str(&format!("0x{:08X}  0x{size:08X}  {status}\n", range.start));
        }
    };
    let mut at = 0;
    for range in bad {
        line(at..range.start, '+');
        line(range.clone(), '-');
        at = range.end;
    }
    line(at..len, '+');
    text
}

/// The data with zeros in these ranges.
fn with_zeros(data: &[u8], lost: &[Range<u64>]) -> Vec<u8> {
    let mut data = data.to_vec();
    for range in lost {
        data[range.start as usize..range.end as usize].fill(0);
    }
    data
}

/// A sector alone, two together, one at the very end of a block and one at the end of the disk.
fn some_bad() -> Vec<Range<u64>> {
    vec![4096..4608, 7168..8192, 512 * KIB - 512..512 * KIB, LEN - 512..LEN]
}

/// The pages that these ranges touch.
fn pages(bad: &[Range<u64>]) -> Vec<Range<u64>> {
    let page = |range: &Range<u64>| range.start / 4096 * 4096..range.end.next_multiple_of(4096);
    let mut pages: Vec<Range<u64>> = bad.iter().map(page).collect();
    pages.dedup();
    pages
}

#[test]
fn bad_sectors_become_zeros_and_everything_else_arrives() {
    need_nbd!();
    let data = bytes(1, LEN);
    let disk = BadDisk::new(&data, &some_bad());
    for engine in engines() {
        for (direct, lost) in [("auto", some_bad()), ("never", pages(&some_bad()))] {
            let dir = Scratch::new();
            let target = dir.path("target");
            let options = ["--engine", engine, "--direct", direct, "--on-error", "zero-fill", "--json", "-"];
            let outcome = bounded_copy().args(options).arg(disk.path()).arg(&target).run();
            outcome.assert_failed(&[&quoted(disk.path()), "at byte", "Input/output error", "are zeros in"]);
            assert_bytes(&fs::read(&target).unwrap(), &with_zeros(&data, &lost));
            let report = outcome.json();
            assert_eq!(text(&report, "outcome"), "failed");
            assert_eq!((number(&report, "failures"), number(&report, "files")), (1, 0));
            let mut told = vec![];
            for nth in 0..report["errors"].as_array().unwrap().len() {
                let at = |name| number(&report, &format!("errors.{nth}.{name}"));
                assert_eq!(text(&report, &format!("errors.{nth}.op")), "read");
                told.push(at("offset")..at("offset") + at("length"));
            }
            assert_eq!(told, lost, "{engine} {direct}");
            let bytes: u64 = lost.iter().map(|range| range.end - range.start).sum();
            let ranges = lost.len();
            let sum = format!("is not whole: {bytes} of {LEN} bytes in {ranges} ranges of");
            assert!(outcome.stderr.contains(&sum), "{sum}\n{}", outcome.stderr);
            assert_eq!(outcome.stderr.lines().count(), ranges + 1, "{}", outcome.stderr);
        }
    }
}

#[test]
fn what_is_zeros_is_verified_as_such_and_never_listed() {
    need_nbd!();
    let disk = BadDisk::new(&bytes(1, LEN), &some_bad());
    for engine in engines() {
        let dir = Scratch::new();
        let (target, manifest) = (dir.path("target"), dir.path("manifest"));
        let options =
            ["--engine", engine, "--on-error", "zero-fill", "--verify", "--json", "-", "--manifest"];
        let copy = bounded_copy().args(options).arg(&manifest).arg(disk.path()).arg(&target);
        let outcome = copy.run();
        outcome.assert_failed(&["is not whole"]);
        assert_eq!(text(&outcome.json(), "errors.0.op"), "read");
        assert_eq!(fs::read_to_string(&manifest).unwrap(), "", "it is not the source's checksum");
        assert_bytes(&fs::read(&target).unwrap(), &with_zeros(&bytes(1, LEN), &some_bad()));
    }
}

#[test]
fn without_zero_fill_a_bad_sector_is_a_failure_and_leaves_no_file() {
    need_nbd!();
    let disk = BadDisk::new(&bytes(1, LEN), &some_bad());
    for engine in engines() {
        let dir = Scratch::new();
        let copy = bounded_copy().args(["--engine", engine]).arg(disk.path()).arg(dir.path("target"));
        copy.run().assert_failed(&[&quoted(disk.path()), "Input/output error"]);
        assert_eq!(names(&dir.dir()), [""; 0]);
    }
}

#[test]
fn zeros_replace_what_a_device_held_before() {
    need_nbd!();
    let data = bytes(1, LEN);
    let disk = BadDisk::new(&data, &some_bad());
    for engine in engines() {
        let target = LoopDevice::new(LEN);
        write_file(target.path(), 2, LEN);
        let options = ["--engine", engine, "--on-error", "zero-fill"];
        let outcome = bounded_copy().args(options).arg(disk.path()).arg(target.path()).run();
        outcome.assert_failed(&["is not whole"]);
        assert_bytes(&fs::read(target.path()).unwrap(), &with_zeros(&data, &some_bad()));
    }
}

#[test]
fn of_very_many_bad_ranges_some_are_told_and_all_are_counted_in_little_memory() {
    need_nbd!();
    let data = bytes(1, LEN);
    let bad: Vec<Range<u64>> = (0..500).map(|n| n * 8192..n * 8192 + 512).collect();
    let disk = BadDisk::new(&data, &bad);
    let dir = Scratch::new();
    let options = ["--on-error", "zero-fill", "--json", "-", "--map"];
    let copy = bounded_copy().args(options).arg(dir.path("map")).arg(disk.path()).arg(dir.path("target"));
    let outcome = copy.run();
    outcome.assert_failed(&["and in 490 ranges more"]);
    assert_eq!(outcome.stderr.lines().count(), 12, "{}", outcome.stderr);
    assert_eq!(outcome.json()["errors"].as_array().unwrap().len(), 500);
    assert_bytes(&fs::read(dir.path("target")).unwrap(), &with_zeros(&data, &bad));
    assert_eq!(blocks(&dir.path("map")), blocks_of(&map_of(LEN, &bad)));
}

#[test]
fn in_a_tree_the_file_with_the_bad_sector_is_kept_and_counts_as_failed() {
    need_nbd!();
    need_fs!(Fs::Ext4);
    // Made on a good disk, then served with a bad sector in the middle of a file's data.
    let image = Scratch::new();
    let good = LoopDevice::new(16 * MIB);
    let disk = LoopDisk::on(good, Fs::Ext4);
    for (name, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        write_file(&disk.path(name), seed, MIB);
    }
    system("sync", &["-f", disk.dir().to_str().unwrap()]);
    system("umount", &[disk.dir().to_str().unwrap()]);
    let data = fs::read(disk.device().path()).unwrap();
    drop((disk, image));
    let wanted = &bytes(2, MIB)[256 * 1024..256 * 1024 + 512];
    let at = data.chunks(512).position(|sector| sector == wanted).unwrap() as u64 * 512;
    let bad = BadDisk::new(&data, &[at..at + 512]);
    let mount = disk::Mount::new(&["-o", "ro,noload", bad.path().to_str().unwrap()]);
    for engine in engines() {
        for jobs in ["1", "3"] {
            let dir = Scratch::new();
            let options =
                ["-r", "--engine", engine, "--jobs", jobs, "--on-error", "zero-fill", "--json", "-"];
            let outcome = bounded_copy().args(options).arg("-T").arg(mount.dir()).arg(dir.path("t")).run();
            outcome.assert_failed(&[&quoted(&mount.dir().join("b")), "at byte 262144"]);
            let report = outcome.json();
            assert_eq!((number(&report, "failures"), number(&report, "files")), (1, 2), "{report}");
            assert_holds(&dir.path("t/a"), 1, MIB);
            assert_holds(&dir.path("t/c"), 3, MIB);
            let lost = 256 * KIB..256 * KIB + 512;
            assert_bytes(&fs::read(dir.path("t/b")).unwrap(), &with_zeros(&bytes(2, MIB), &[lost]));
        }
    }
}

// ---- maps ----

/// The lines of a map that are about blocks.
fn blocks_of(map: &str) -> Vec<String> {
    let lines = map.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn blocks(map: &Path) -> Vec<String> {
    blocks_of(&fs::read_to_string(map).unwrap())
}

fn rescue(map: &Path, source: &Path, target: &Path) -> Highwater {
    bounded_copy().args(["--json", "-", "--map"]).args([map, source, target])
}

/// A rescue of the disk with some bad sectors: its map, its target.
fn rescued(dir: &Scratch, engine: &str) -> (PathBuf, PathBuf) {
    let disk = BadDisk::new(&bytes(1, LEN), &some_bad());
    let (map, target) = (dir.path("map"), dir.path("target"));
    rescue(&map, disk.path(), &target)
        .args(["--engine", engine])
        .run()
        .assert_failed(&["ddrescue can go on"]);
    assert_bytes(&fs::read(&target).unwrap(), &with_zeros(&bytes(1, LEN), &some_bad()));
    assert_eq!(blocks(&map), blocks_of(&map_of(LEN, &some_bad())));
    (map, target)
}

#[test]
fn ddrescue_goes_on_with_our_map_once_the_fault_is_gone() {
    need_nbd!();
    need_tool!("ddrescue");
    for engine in engines() {
        let dir = Scratch::new();
        let (map, target) = rescued(&dir, engine);
        write_file(&dir.path("whole"), 1, LEN);
        let [source, out, map] = [dir.path("whole"), target, map].map(|path| path.display().to_string());
        system("ddrescue", &["-q", "-r1", &source, &out, &map]);
        assert_holds(Path::new(&out), 1, LEN);
        assert_eq!(blocks(Path::new(&map)), [format!("0x00000000 0x{LEN:08X} +")]);
    }
}

#[test]
fn a_rescue_goes_on_by_its_own_map_and_reads_nothing_twice() {
    need_nbd!();
    for engine in engines() {
        let dir = Scratch::new();
        let (map, target) = rescued(&dir, engine);
        // What was good is bad now, and the other way round: each must be read from where it was good.
        let bad = some_bad();
        let mut good: Vec<Range<u64>> = bad.windows(2).map(|pair| pair[0].end..pair[1].start).collect();
        good.insert(0, 0..bad[0].start);
        let disk = BadDisk::new(&bytes(1, LEN), &good);
        let outcome = rescue(&map, disk.path(), &target).args(["--engine", engine]).run();
        let report = outcome.assert_silent().json();
        assert_eq!(number(&report, "bytes"), bad.iter().map(|range| range.end - range.start).sum::<u64>());
        assert_holds(&target, 1, LEN);
        assert_eq!(blocks(&map), [format!("0x00000000 0x{LEN:08X} +")]);
        // Once more there is nothing to do.
        assert_eq!(number(&rescue(&map, disk.path(), &target).run().assert_silent().json(), "bytes"), 0);
    }
}

#[test]
fn a_rescue_that_is_stopped_keeps_what_it_has_and_goes_on() {
    for engine in engines() {
        let dir = Scratch::new();
        let len = 24 * MIB + 777;
        let (source, map, target) = (dir.path("source"), dir.path("map"), dir.path("target"));
        write_file(&source, 1, len);
        let options = ["--engine", engine, "--limit-rate", "16MiB/s"];
        let mut running = rescue(&map, &source, &target).args(options).start();
        running.wait_until_it_handles(Signal::SIGINT);
        std::thread::sleep(std::time::Duration::from_millis(500));
        running.signal(Signal::SIGINT);
        let outcome = running.wait();
        outcome.assert_code(130);
        assert!(outcome.stderr.contains("keeps them, and the map tells which"), "{}", outcome.stderr);
        let first = number(&outcome.json(), "bytes");
        let told = blocks(&map);
        assert!(told.len() == 2 && told[0].ends_with('+') && told[1].ends_with('?'), "{told:?}");
        let report = rescue(&map, &source, &target).args(["--engine", engine]).run().assert_silent().json();
        assert_holds(&target, 1, len);
        let ring = number(&report, "ring.block_bytes") * number(&report, "ring.buffers");
        let both = first + number(&report, "bytes");
        assert!((len..=len + ring).contains(&both), "{first} and then {both} of {len}");
        assert_eq!(names(&dir.dir()), ["map", "source", "target"]);
    }
}

#[test]
fn a_map_that_is_none_or_another_ones_is_refused_before_anything_is_touched() {
    let dir = Scratch::new();
    let (source, map, target) = (dir.path("source"), dir.path("map"), dir.path("target"));
    write_file(&source, 1, LEN);
    let whole = map_of(LEN, &[]);
    let check = |text: &str, words: &[&str]| {
        for old in [Some(LEN), Some(1000), None] {
            match old {
                Some(len) => write_file(&target, 2, len),
                None => fs::remove_file(&target).unwrap(),
            }
            fs::write(&map, text).unwrap();
            let outcome = rescue(&map, &source, &target).run();
            outcome.assert_usage(&["nothing was touched"]).assert_usage(words);
            assert_eq!(fs::read_to_string(&map).unwrap(), text);
            match old {
                Some(len) => assert_holds(&target, 2, len),
                None => assert!(!target.exists()),
            }
        }
    };
    check("", &["no blocks"]);
    check("what is this\n", &["line 1"]);
    check(&whole.replace('+', "!"), &["line 2"]);
    check(&whole[..whole.len() - 3], &["line 3"]);
    check(&format!("{whole}0x00000000  0x00001000  -\n"), &["line 4", "follow"]);
    check(&map_of(LEN - 512, &[]), &["belongs to another source"]);
    check(&map_of(LEN + 512, &[]), &["belongs to another source"]);
    // The target lacks what was rescued.
    write_file(&target, 2, 1000);
    fs::write(&map, &whole).unwrap();
    rescue(&map, &source, &target).run().assert_usage(&["belongs to another target"]);
    assert_holds(&target, 2, 1000);
}

#[test]
fn a_map_needs_one_source_with_a_length_and_a_place_to_be_in() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 1000);
    fs::create_dir(dir.path("d")).unwrap();
    let run = |args: &[&str]| bounded_copy().current_dir(dir.dir()).args(args).run();
    run(&["--map", "m", "-", "t"]).assert_usage(&["--map needs one file or device"]);
    run(&["--map", "m", "source", "-"]).assert_usage(&["--map needs one file or device"]);
    run(&["--map", "m", "source", "source", "d"]).assert_usage(&["--map needs one file or device"]);
    run(&["--map", "m", "-r", "source", "t"]).assert_usage(&["--map can't be used with --recursive"]);
    run(&["--map", "m", "--verify", "source", "t"]).assert_usage(&["--map can't be used with --verify"]);
    run(&["--map", "m", "--manifest", "x", "source", "t"]).assert_usage(&["used with --manifest"]);
    run(&["--map", "m", "--on-error=stop", "source", "t"]).assert_usage(&["--on-error=zero-fill"]);
    run(&["--map", "m", "/proc/self/status", "t"]).assert_usage(&["no length"]);
    run(&["--map", "m", "source", "/dev/null"]).assert_usage(&["a file or a block device"]);
    run(&["--map", "no/m", "source", "t"]).assert_failed(&["cannot use the map", "No such file"]);
    run(&["--retry", "many", "source", "t"]).assert_usage(&["invalid number 'many' for '--retry'"]);
    assert_eq!(names(&dir.dir()), ["d", "source"]);
}
