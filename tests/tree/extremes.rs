//! Limits of file systems that a tree may meet: names of one file, inode numbers past 32 bits, a
//! user's quota.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::disk::{Mount, system};
use crate::support::tree::*;
use crate::support::*;

/// The names that one file can have on ext4.
const MOST_NAMES_ON_EXT4: usize = 65_000;

#[test]
fn a_file_of_more_names_than_the_target_allows_is_copied_once_more() {
    need_fs!(Fs::Ext4);
    const NAMES: usize = MOST_NAMES_ON_EXT4 + 500;
    let memory = Mount::new(&["-t", "tmpfs", "-o", "size=256m,nr_inodes=200k", "highwater-test"]);
    let (source, target) = (memory.dir().join("s"), LoopDisk::new(Fs::Ext4, 64 * MIB));
    fs::create_dir(&source).unwrap();
    fs::write(source.join("0"), b"one file of very many names").unwrap();
    for name in 1..NAMES {
        fs::hard_link(source.join("0"), source.join(name.to_string())).unwrap();
    }
    for jobs in ["1", "2"] {
        let copied = target.path(jobs);
        let copy = Highwater::copy().args(["-a", "--sync=none", "--jobs", jobs]).arg(&source).arg(&copied);
        copy.run().assert_silent();
        let (mut names, mut inodes) = (0, std::collections::BTreeMap::new());
        for entry in fs::read_dir(&copied).unwrap() {
            let entry = entry.unwrap();
            names += 1;
            let links = inodes.entry(entry.metadata().unwrap().ino()).or_insert(0);
            *links += 1;
            if *links == 1 {
                assert_eq!(fs::read(entry.path()).unwrap(), b"one file of very many names");
            }
        }
        assert_eq!(names, NAMES);
        assert_eq!(inodes.len(), 2, "{inodes:?}");
        assert!(inodes.values().any(|links| *links == MOST_NAMES_ON_EXT4), "{inodes:?}");
    }
}

#[test]
fn inodes_that_differ_in_their_upper_half_only_are_not_taken_for_one_file() {
    need_fs!(Fs::Xfs);
    // Four groups of 1 TiB, whose inodes are numbered from multiples of 2^31 on; directories take turns.
    let device = LoopDevice::new((4 << 40) - 4096 * MIB);
    let path = device.path().to_str().unwrap();
    system("mkfs.xfs", &["-fqK", "-d", "agcount=4", "-l", "size=64m", path]);
    let disk = Mount::new(&["-t", "xfs", path]);
    let mut tree = Tree::new(disk.dir().join("s"));
    for directory in 0..8 {
        tree.dir(format!("{directory}"));
        for file in 0..4 {
            let name = format!("{directory}/{file}");
            tree.file(&name, name.repeat(100));
            tree.link(format!("{name}-too"), &name);
        }
    }
    tree.built();
    let mut lower = std::collections::BTreeMap::<u32, u64>::new();
    let inode = |n| fs::metadata(disk.dir().join(format!("s/{}/{}", n / 4, n % 4))).unwrap().ino();
    let meet =
        (0..32).map(inode).any(|inode| lower.insert(inode as u32, inode).is_some_and(|other| other != inode));
    assert!(meet, "no two inodes are alike in their lower half: {lower:x?}");
    let scratch = Scratch::new();
    for target in [scratch.path("t"), disk.dir().join("t")] {
        Highwater::copy()
            .args(["-a", "--reflink=never"])
            .arg(disk.dir().join("s"))
            .arg(&target)
            .run()
            .assert_silent();
        assert_same(
            &Fingerprint::of(&target).without(&["atime"]),
            &Fingerprint::of(&disk.dir().join("s")).without(&["atime"]),
            "the target",
        );
    }
}

#[test]
fn a_quota_that_is_used_up_leaves_whole_files_and_names_the_others() {
    need_fs!(Fs::Btrfs);
    const FILES: u64 = 40;
    const LEN: u64 = 100 * KIB;
    let (scratch, disk) = (Scratch::new(), LoopDisk::new(Fs::Btrfs, 256 * MIB));
    let mut tree = Tree::new(scratch.path("s"));
    for file in 0..FILES {
        tree.file(file.to_string(), bytes(file, LEN));
    }
    tree.built();
    let target = disk.path("t");
    let (root, limited) = (disk.dir(), target.to_str().unwrap());
    system("btrfs", &["subvolume", "create", limited]);
    system("btrfs", &["quota", "enable", root.to_str().unwrap()]);
    system("btrfs", &["qgroup", "limit", "2M", limited]);
    let copy = Highwater::copy().args(["-rT", "--json", "-"]);
    let outcome = copy.args([&scratch.path("s"), &target]).run();
    outcome.assert_failed(&["Disk quota exceeded"]);
    let mut whole = 0;
    for file in 0..FILES {
        let copied = target.join(file.to_string());
        let there = copied.symlink_metadata().is_ok();
        if there {
            assert_holds(&copied, file, LEN);
            whole += 1;
        }
        let name = command::quoted(&copied);
        let told = outcome.stderr.lines().any(|line| line.contains(&name) && line.contains("quota"));
        assert_eq!(told, !there, "{file} is whole or named");
    }
    assert!((1..=20).contains(&whole), "{whole} files fit");
    let report = outcome.json();
    assert_eq!(report::number(&report, "files"), whole);
    let errors = report::at(&report, "errors").as_array().unwrap();
    assert_eq!(errors.len() as u64, FILES - whole);
    assert!(errors.iter().all(|error| error["errno"] == "EDQUOT"), "{errors:?}");
}
