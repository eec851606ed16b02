//! Exit status 0 means the whole tree is on stable storage: shown by a crash of the file system right
//! after it. And a large tree leaves the page cache about as it was.

// A list of ranges of a file often has one.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;

use crate::support::disk::system;
use crate::support::tree::*;
use crate::support::*;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// A tree of small, large, sparse and linked files, with metadata of every kind.
fn build(root: &Path) {
    let mut tree = Tree::new(root);
    for i in 0..12 {
        tree.dir(format!("{i}/below")).mode(0o2711).times((1, 1), (1_000_000_000 + i, 7));
        for j in 0..10 {
            let name = format!("{i}/below/{j}");
            tree.file(&name, bytes(i as u64 * 10 + j, 3000 * j)).mode(0o640).times((1, 1), (2, i));
        }
        tree.symlink(format!("{i}/symlink"), "below/3").times((1, 1), (3, i));
        tree.link(format!("{i}/link"), format!("{i}/below/5"));
        tree.node(format!("{i}/fifo"), libc::S_IFIFO, (0, 0)).mode(0o600);
        tree.dir(format!("{i}/empty")).mode(0o700).owner(5, 6);
    }
    tree.file("large", bytes(99, 9 * MIB + 5)).owner(5, 6).mode(0o4755).xattr("user.name", b"value");
    write_sparse(&tree.path("sparse"), 98, 16 * MIB, &[MIB..2 * MIB]);
    tree.file("n".repeat(255), "x");
    tree.root().mode(0o750).times((1, 1), (4, 4));
    tree.built();
}

/// Copies with these options, crashes the file system, and says where what is there then differs.
fn lost_in_a_crash(fs: Fs, options: &[&str]) -> Vec<String> {
    let dir = Scratch::new();
    build(&dir.path("s"));
    let disk = LoopDisk::new(fs, 128 * MIB);
    // What stands there is on the disk, and so is no part of the question.
    fs::create_dir(disk.path("there")).unwrap();
    system("sync", &["-f", disk.dir().to_str().unwrap()]);
    let copy = Highwater::copy().arg("-a").args(options);
    copy.args([dir.path("s"), disk.path("there/t")]).run().assert_silent();
    let disk = disk.crashed(fs);
    if !disk.path("there/t").exists() {
        return vec!["all".into()];
    }
    let lost = ["atime", "data"];
    let want = Fingerprint::of(&dir.path("s")).without(&lost);
    want.differences(&Fingerprint::of(&disk.path("there/t")).without(&lost))
}

#[track_caller]
fn check_that_all_is_durable(fs: Fs) {
    for options in
        [&[][..], &["--sync", "end"], &["--sync", "file"], &["--jobs", "4"], &["--direct", "never"]]
    {
        let lost = lost_in_a_crash(fs, options);
        assert!(lost.is_empty(), "lost on {fs:?} with {options:?}:\n{}", lost.join("\n"));
    }
    let lost = lost_in_a_crash(fs, &["--sync", "none"]);
    assert!(!lost.is_empty(), "without a sync nothing is lost: this crash on {fs:?} shows nothing");
}

#[test]
fn a_tree_that_is_done_outlives_a_crash_of_ext4() {
    need_fs!(Fs::Ext4);
    need_tool!("xfs_io");
    check_that_all_is_durable(Fs::Ext4);
}

#[test]
fn a_tree_that_is_done_outlives_a_crash_of_xfs() {
    need_fs!(Fs::Xfs);
    need_tool!("xfs_io");
    check_that_all_is_durable(Fs::Xfs);
}

#[test]
fn a_tree_copied_over_another_outlives_a_crash() {
    for fs in [Fs::Ext4, Fs::Xfs] {
        need_fs!(fs);
        need_tool!("xfs_io");
        let dir = Scratch::new();
        build(&dir.path("s"));
        let disk = LoopDisk::new(fs, 128 * MIB);
        build(&disk.path("t"));
        let mut tree = Tree::new(disk.path("t"));
        tree.file("large", bytes(1, 9 * MIB + 5));
        (0..12).for_each(|i| drop(tree.file(format!("{i}/below/7"), "old").mode(0o600)));
        system("sync", &["-f", disk.dir().to_str().unwrap()]);
        Highwater::copy().arg("-aT").args([dir.path("s"), disk.path("t")]).run().assert_silent();
        let disk = disk.crashed(fs);
        let lost = ["atime", "data"];
        let want = Fingerprint::of(&dir.path("s")).without(&lost);
        assert_same(
            &Fingerprint::of(&disk.path("t")).without(&lost),
            &want,
            &format!("after a crash of {fs:?}"),
        );
    }
}

#[test]
fn several_targets_directories_are_durable_too() {
    need_fs!(Fs::Ext4);
    need_tool!("xfs_io");
    let dir = Scratch::new();
    build(&dir.path("a"));
    build(&dir.path("b"));
    let disk = LoopDisk::new(Fs::Ext4, 128 * MIB);
    fs::create_dir(disk.path("t")).unwrap();
    system("sync", &["-f", disk.dir().to_str().unwrap()]);
    let copy = Highwater::copy().arg("-a").args([dir.path("a"), dir.path("b/large"), dir.path("b")]);
    copy.arg(disk.path("t")).run().assert_silent();
    let disk = disk.crashed(Fs::Ext4);
    assert_eq!(names(&disk.path("t")), ["a", "b", "large"]);
    assert_same_content(&dir.path("b/large"), &disk.path("t/large"));
    assert_same_content(&dir.path("b/11/below/9"), &disk.path("t/b/11/below/9"));
}

/// Bytes of all files below `root` that are in the page cache, all of it written back first.
fn cached(root: &Path) -> u64 {
    let each = |path: &Path| {
        let file = File::open(path).unwrap();
        file.sync_all().unwrap();
        highwater::sys::cache::cached_bytes(file.as_fd()).unwrap()
    };
    fs::read_dir(root).unwrap().map(|entry| each(&entry.unwrap().path())).sum()
}

/// Drops what the page cache has of all files below `root`.
fn drop_cached(root: &Path) {
    for entry in fs::read_dir(root).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        file.sync_all().unwrap();
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    }
}

#[test]
fn a_tree_of_large_cold_files_leaves_the_page_cache_about_as_it_was() {
    const FILES: u64 = 5;
    const LEN: u64 = 24 * MIB + 5;
    for fs in [Fs::Ext4, Fs::Xfs] {
        need_fs!(fs);
        let disk = LoopDisk::new(fs, 512 * MIB);
        fs::create_dir(disk.path("s")).unwrap();
        (0..FILES).for_each(|i| write_file(&disk.path(&format!("s/{i}")), i, LEN));
        for jobs in ["1", "4"] {
            drop_cached(&disk.path("s"));
            let target = disk.path("t");
            let copy = Highwater::copy().args(["-a", "--reflink=never", "--jobs", jobs]);
            copy.args([&disk.path("s"), &target]).run().assert_silent();
            let left = cached(&disk.path("s")) + cached(&target);
            assert!(left <= FILES * LEN / 10, "{} MiB are cached on {fs:?}, --jobs {jobs}", left / MIB);
            (0..FILES).for_each(|i| assert_holds(&target.join(format!("{i}")), i, LEN));
            fs::remove_dir_all(&target).unwrap();
        }
    }
}

#[test]
fn files_that_were_cached_stay_so() {
    need_fs!(Fs::Ext4);
    let disk = LoopDisk::new(Fs::Ext4, 256 * MIB);
    fs::create_dir(disk.path("s")).unwrap();
    (0..3).for_each(|i| write_file(&disk.path(&format!("s/{i}")), i, 8 * MIB));
    let before = cached(&disk.path("s"));
    assert_eq!(before, 24 * MIB);
    Highwater::copy().arg("-a").args([disk.path("s"), disk.path("t")]).run().assert_silent();
    assert!(cached(&disk.path("s")) >= before * 9 / 10, "a source in use isn't thrown out");
}
