//! One regular file copied to another: every awkward length over every file system, both engines
//! and every way of direct I/O; what becomes of names, modes and what stood there before.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::support::report::{text, truth};
use crate::support::*;

/// Lengths around every boundary there is: sectors, pages, blocks, and several blocks with a tail.
const LENGTHS: [u64; 11] =
    [0, 1, 511, 512, 4095, 4096, 4097, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 3 * MIB + 12_345];

/// Copies every length with every engine from `dir` to itself, and asserts that it is whole.
fn copies_every_length(dir: &Path, directs: &[&str]) {
    for (direct, engine) in directs.iter().flat_map(|direct| engines().into_iter().map(move |e| (*direct, e)))
    {
        for len in LENGTHS {
            let source = dir.join(format!("source-{engine}-{len}"));
            let target = dir.join(format!("target-{engine}-{len}"));
            write_file(&source, len, len);
            let options = ["--engine", engine, "--direct", direct, "--reflink=never", "--json", "-"];
            let outcome = Highwater::copy().args(options).arg(&source).arg(&target).run();
            outcome.assert_silent();
            assert_holds(&target, len, len);
            let report = outcome.json();
            assert_eq!(text(&report, "outcome"), "ok");
            assert_eq!(text(&report, "path.method"), engine, "{len} bytes, direct {direct}");
            let sides = [truth(&report, "path.source_direct"), truth(&report, "path.target_direct")];
            match direct {
                "never" => assert_eq!(sides, [false, false], "{len} bytes"),
                "always" if len >= 4096 => assert_eq!(sides, [true, true], "{len} bytes"),
                _ => (),
            }
        }
    }
}

#[test]
fn every_length_is_whole_on_ext4() {
    need_fs!(Fs::Ext4);
    let disk = LoopDisk::new(Fs::Ext4, 96 * MIB);
    copies_every_length(&disk.dir(), &["auto", "always", "never"]);
}

#[test]
fn every_length_is_whole_on_xfs() {
    need_fs!(Fs::Xfs);
    let disk = LoopDisk::new(Fs::Xfs, 96 * MIB);
    copies_every_length(&disk.dir(), &["auto", "always", "never"]);
}

#[test]
fn every_length_is_whole_on_btrfs() {
    need_fs!(Fs::Btrfs);
    let disk = LoopDisk::new(Fs::Btrfs, 96 * MIB);
    copies_every_length(&disk.dir(), &["auto", "never"]);
}

#[test]
fn every_length_is_whole_on_tmpfs() {
    need_root!();
    let disk = Tmpfs::new(96 * MIB);
    copies_every_length(&disk.dir(), &["auto", "never"]);
}

#[test]
fn every_length_is_whole_on_the_disk_of_the_build() {
    let dir = Scratch::new();
    copies_every_length(&dir.dir(), &["auto", "never"]);
}

#[test]
fn a_small_ring_of_odd_shape_copies_whole() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 2 * MIB + 777);
    for (block, buffers, high) in [("4KiB", "2", "8KiB"), ("64KiB", "3", "64KiB"), ("1MiB", "1", "1MiB")] {
        for engine in engines() {
            let ring = ["--block-size", block, "--buffers", buffers, "--high-water", high];
            Highwater::copy()
                .args(ring)
                .args(["--engine", engine, "--direct", "never"])
                .args([dir.path("source"), dir.path("target")])
                .run()
                .assert_silent();
            assert_holds(&dir.path("target"), 1, 2 * MIB + 777);
            fs::remove_file(dir.path("target")).unwrap();
        }
    }
}

#[test]
fn a_new_file_gets_the_sources_mode_less_umask_and_setuid() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 5000);
    for (source_mode, umask, want) in [
        (0o644, 0o022, 0o644),
        (0o777, 0o022, 0o755),
        (0o6755, 0o022, 0o755),
        (0o6755, 0o077, 0o700),
        (0o1640, 0o000, 0o640),
        (0o400, 0o022, 0o400),
    ] {
        fs::set_permissions(dir.path("source"), PermissionsExt::from_mode(source_mode)).unwrap();
        let copy = Highwater::copy().umask(umask).args([dir.path("source"), dir.path("target")]);
        copy.run().assert_silent();
        assert_eq!(mode(&dir.path("target")), want, "from {source_mode:o} under {umask:o}");
        assert_holds(&dir.path("target"), 1, 5000);
        fs::remove_file(dir.path("target")).unwrap();
    }
}

#[test]
fn a_new_file_is_as_young_as_its_copy() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 5000);
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(dir.path("source")).unwrap().set_modified(old).unwrap();
    Highwater::copy().args([dir.path("source"), dir.path("target")]).run().assert_silent();
    assert!(fs::metadata(dir.path("target")).unwrap().modified().unwrap() > old);
    assert_eq!(fs::metadata(dir.path("source")).unwrap().modified().unwrap(), old);
}

#[test]
fn a_file_is_overwritten_in_place_and_keeps_inode_links_and_mode() {
    for engine in engines() {
        for direct in ["auto", "never"] {
            for (old_len, new_len) in [(5 * MIB + 3, 3 * MIB + 17), (100, 3 * MIB + 17), (5 * MIB, 0), (9, 1)]
            {
                let dir = Scratch::new();
                let (source, target, link) = (dir.path("source"), dir.path("target"), dir.path("link"));
                write_file(&source, 1, new_len);
                write_file(&target, 2, old_len);
                fs::hard_link(&target, &link).unwrap();
                fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).unwrap();
                let inode = fs::metadata(&target).unwrap().ino();
                let options = ["--engine", engine, "--direct", direct];
                Highwater::copy().args(options).args([&source, &target]).run().assert_silent();
                assert_holds(&target, 1, new_len);
                assert_holds(&link, 1, new_len);
                assert_eq!((fs::metadata(&target).unwrap().ino(), mode(&target)), (inode, 0o640));
                assert_eq!(names(&dir.dir()), ["link", "source", "target"]);
            }
        }
    }
}

#[test]
fn a_directory_as_target_takes_the_file_under_its_name() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("there")).unwrap();
    write_file(&dir.path("file"), 1, 70_000);
    Highwater::copy().args([dir.path("file"), dir.path("there")]).run().assert_silent();
    assert_holds(&dir.path("there/file"), 1, 70_000);
    write_file(&dir.path("file"), 2, 60_000);
    Highwater::copy().args([dir.path("file"), dir.path("there/")]).run().assert_silent();
    assert_holds(&dir.path("there/file"), 2, 60_000);
    assert_eq!(names(&dir.path("there")), ["file"]);
}

#[test]
fn symlinks_are_followed_on_both_sides() {
    let dir = Scratch::new();
    write_file(&dir.path("file"), 1, 70_000);
    write_file(&dir.path("old"), 2, 90_000);
    symlink("file", dir.path("to-file")).unwrap();
    symlink("old", dir.path("to-old")).unwrap();
    Highwater::copy().args([dir.path("to-file"), dir.path("to-old")]).run().assert_silent();
    assert_holds(&dir.path("old"), 1, 70_000);
    assert!(fs::symlink_metadata(dir.path("to-old")).unwrap().is_symlink());
    assert_eq!(fs::read_link(dir.path("to-file")).unwrap(), Path::new("file"));
}

#[test]
fn names_are_bytes() {
    let dir = Scratch::new();
    let [source, target] =
        [&b"so\xffurce"[..], b"-\x80 \n'\""].map(|name| dir.dir().join(OsStr::from_bytes(name)));
    write_file(&source, 1, 70_000);
    Highwater::copy().args([&source, &target]).run().assert_silent();
    assert_holds(&target, 1, 70_000);
}

#[test]
fn a_name_after_two_dashes_is_a_name() {
    let dir = Scratch::new();
    write_file(&dir.path("-q"), 1, 5000);
    Highwater::copy().current_dir(dir.dir()).args(["--", "-q", "--json"]).run().assert_silent();
    assert_holds(&dir.path("--json"), 1, 5000);
}

#[test]
fn a_file_whose_size_lies_is_read_to_its_end() {
    let dir = Scratch::new();
    for source in ["/proc/filesystems", "/proc/version", "/sys/devices/system/cpu/possible"] {
        for engine in engines() {
            let target = dir.path("target");
            Highwater::copy().args(["--engine", engine, source]).arg(&target).run().assert_silent();
            let want = fs::read(source).unwrap();
            assert!(!want.is_empty());
            assert_bytes(&fs::read(&target).unwrap(), &want);
            fs::remove_file(&target).unwrap();
        }
    }
}

#[test]
fn the_null_device_is_an_empty_source() {
    let dir = Scratch::new();
    Highwater::copy().umask(0o22).arg("/dev/null").arg(dir.path("new")).run().assert_silent();
    assert_eq!(fs::read(dir.path("new")).unwrap(), b"");
    write_file(&dir.path("old"), 1, 70_000);
    Highwater::copy().arg("/dev/null").arg(dir.path("old")).run().assert_silent();
    assert_eq!(fs::read(dir.path("old")).unwrap(), b"");
}

#[test]
fn the_null_device_as_target_takes_all_and_stays_a_device() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 3 * MIB + 5);
    let before = fs::metadata("/dev/null").unwrap();
    for engine in engines() {
        let copy = Highwater::copy().args(["--engine", engine, "--json", "-"]);
        let outcome = copy.arg(dir.path("source")).arg("/dev/null").run();
        assert_eq!(report::number(&outcome.assert_silent().json(), "bytes"), 3 * MIB + 5);
    }
    let after = fs::metadata("/dev/null").unwrap();
    assert_eq!((before.mode(), before.rdev(), before.ino()), (after.mode(), after.rdev(), after.ino()));
}

#[test]
fn a_rate_bounds_the_copy() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 4 * MIB);
    for engine in engines() {
        let copy =
            Highwater::copy().args(["--engine", engine, "--limit-rate", "8MiB/s", "--block-size", "64KiB"]);
        let outcome = copy.args([dir.path("source"), dir.path("target")]).run();
        outcome.assert_silent();
        assert_holds(&dir.path("target"), 1, 4 * MIB);
        assert!(outcome.elapsed.as_millis() >= 250, "4 MiB at 8 MiB/s in {:?}", outcome.elapsed);
        fs::remove_file(dir.path("target")).unwrap();
    }
}
