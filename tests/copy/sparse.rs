//! Holes: kept, made of zeros, or filled, as `--sparse` says; and clones, which keep all at once.

use std::fs;
use std::path::Path;

use crate::support::report::text;
use crate::support::*;

const LEN: u64 = 8 * MIB;
const DATA: [std::ops::Range<u64>; 2] = [MIB..2 * MIB, 5 * MIB..6 * MIB];

fn copy(options: &[&str], source: &Path, target: &Path) {
    Highwater::copy().args(options).args(["--reflink=never"]).args([source, target]).run().assert_silent();
    assert_same_content(source, target);
}

/// A file whose data has zeros in it and no holes.
fn write_with_zeros(path: &Path) {
    let mut data = bytes(1, LEN);
    data[2 * MIB as usize..5 * MIB as usize].fill(0);
    fs::write(path, data).unwrap();
}

fn check_every_mode(dir: &Path) {
    let [sparse, zeros, target] = ["sparse", "zeros", "target"].map(|name| dir.join(name));
    write_sparse(&sparse, 1, LEN, &DATA);
    write_with_zeros(&zeros);
    for engine in engines() {
        for direct in ["auto", "never"] {
            let how = ["--engine", engine, "--direct", direct];
            let run = |sparse: &str, source: &Path| {
                let _ = fs::remove_file(&target);
                copy(&[&how[..], &["--sparse", sparse]].concat(), source, &target);
                data_extents(&target)
            };
            assert_eq!(run("auto", &sparse), DATA, "auto keeps the holes: {how:?}");
            assert_eq!(run("auto", &zeros), [0..LEN], "auto makes none: {how:?}");
            assert_eq!(run("always", &sparse), DATA, "always keeps the holes: {how:?}");
            assert_eq!(run("always", &zeros), [0..2 * MIB, 5 * MIB..LEN], "always makes them: {how:?}");
            run("never", &sparse);
            assert!(allocated_bytes(&target) >= LEN, "never leaves none: {how:?}");
        }
    }
}

#[test]
fn holes_are_as_asked_on_ext4() {
    need_fs!(Fs::Ext4);
    check_every_mode(&LoopDisk::exact(Fs::Ext4, 64 * MIB).dir());
}

#[test]
fn holes_are_as_asked_on_xfs() {
    need_fs!(Fs::Xfs);
    check_every_mode(&LoopDisk::exact(Fs::Xfs, 64 * MIB).dir());
}

#[test]
fn holes_are_as_asked_on_btrfs() {
    need_fs!(Fs::Btrfs);
    check_every_mode(&LoopDisk::exact(Fs::Btrfs, 64 * MIB).dir());
}

#[test]
fn holes_are_as_asked_on_tmpfs() {
    need_root!();
    check_every_mode(&Tmpfs::new(64 * MIB).dir());
}

#[test]
fn a_file_that_is_one_hole_stays_one() {
    let dir = Scratch::new();
    for engine in engines() {
        let (source, target) = (dir.path("source"), dir.path(engine));
        write_sparse(&source, 1, LEN + 5, &[]);
        copy(&["--engine", engine], &source, &target);
        assert_eq!(data_extents(&target), []);
    }
}

#[test]
fn a_file_that_begins_or_ends_with_a_hole_keeps_its_length() {
    let dir = Scratch::new();
    for (name, data) in [("begins", 7 * MIB..LEN + 5), ("ends", 0..MIB)] {
        write_sparse(&dir.path(name), 1, LEN + 5, std::slice::from_ref(&data));
        let target = dir.path(&format!("{name}-copied"));
        copy(&["--sparse", "auto"], &dir.path(name), &target);
        let extents = data_extents(&target);
        assert_eq!((extents.len(), extents[0].start), (1, data.start), "{name}: {extents:?}");
    }
}

#[test]
fn old_data_does_not_shine_through_the_holes() {
    let dir = Scratch::new();
    write_sparse(&dir.path("source"), 1, LEN, &DATA);
    for sparse in ["auto", "always", "never"] {
        write_file(&dir.path("target"), 2, LEN + MIB);
        copy(&["--sparse", sparse], &dir.path("source"), &dir.path("target"));
    }
}

#[test]
fn a_sparse_file_goes_through_a_pipe_as_zeros() {
    let dir = Scratch::new();
    write_sparse(&dir.path("source"), 1, LEN, &DATA);
    for engine in engines() {
        let outcome = Highwater::copy().args(["--engine", engine]).arg(dir.path("source")).arg("-").run();
        outcome.assert_silent();
        assert_bytes(&outcome.stdout, &fs::read(dir.path("source")).unwrap());
    }
}

#[test]
fn a_very_long_hole_is_not_read() {
    let dir = Scratch::new();
    let len = 1 << 40;
    write_sparse(&dir.path("source"), 1, len, &[1 << 30..(1 << 30) + MIB]);
    Highwater::copy().args([dir.path("source"), dir.path("target")]).run().assert_silent();
    assert_eq!(fs::metadata(dir.path("target")).unwrap().len(), len);
    assert_eq!(data_extents(&dir.path("target")), [1 << 30..(1 << 30) + MIB]);
    write_sparse(&dir.path("want"), 1, (1 << 30) + MIB, &[1 << 30..(1 << 30) + MIB]);
    fs::File::options().write(true).open(dir.path("target")).unwrap().set_len((1 << 30) + MIB).unwrap();
    let extent = |name: &str| {
        use std::os::unix::fs::FileExt;
        let mut data = vec![0; MIB as usize];
        fs::File::open(dir.path(name)).unwrap().read_exact_at(&mut data, 1 << 30).unwrap();
        data
    };
    assert_bytes(&extent("target"), &extent("want"));
}

fn check_clones(dir: &Path) {
    let [source, target] = ["source", "target"].map(|name| dir.join(name));
    write_file(&source, 1, 3 * MIB + 5);
    let method = |reflink: &str| {
        let _ = fs::remove_file(&target);
        let copy =
            Highwater::copy().args([&format!("--reflink={reflink}"), "--json", "-"]).args([&source, &target]);
        let report = copy.run().assert_silent().json();
        assert_holds(&target, 1, 3 * MIB + 5);
        text(&report, "path.method").to_owned()
    };
    assert_eq!(method("auto"), "clone");
    assert_eq!(method("always"), "clone");
    assert_ne!(method("never"), "clone");
    // A clone is a copy: what is written to one is not seen in the other.
    assert_eq!(method("auto"), "clone");
    write_file(&source, 2, MIB);
    assert_holds(&target, 1, 3 * MIB + 5);
}

#[test]
fn a_file_is_cloned_on_btrfs() {
    need_fs!(Fs::Btrfs);
    check_clones(&LoopDisk::new(Fs::Btrfs, 64 * MIB).dir());
}

#[test]
fn a_file_is_cloned_on_xfs() {
    need_fs!(Fs::Xfs);
    check_clones(&LoopDisk::new(Fs::Xfs, 64 * MIB).dir());
}

#[test]
fn a_longer_file_is_cloned_over_in_place() {
    need_fs!(Fs::Xfs);
    let disk = LoopDisk::new(Fs::Xfs, 64 * MIB);
    write_file(&disk.path("source"), 1, MIB + 5);
    write_file(&disk.path("target"), 2, 3 * MIB);
    Highwater::copy().args([disk.path("source"), disk.path("target")]).run().assert_silent();
    assert_holds(&disk.path("target"), 1, MIB + 5);
}

#[test]
fn a_clone_demanded_where_there_is_none_is_refused() {
    need_fs!(Fs::Ext4);
    let disk = LoopDisk::new(Fs::Ext4, 16 * MIB);
    write_file(&disk.path("source"), 1, MIB);
    let target = disk.path("target");
    let outcome = Highwater::copy().args(["--reflink=always"]).arg(disk.path("source")).arg(&target).run();
    outcome.assert_failed(&["target"]);
    assert!(!target.exists());
}
