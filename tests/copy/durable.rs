//! What exit status 0 promises: by which calls a copy is made durable where syncfs(2) can't be
//! believed, that no error of a sync is lost, and that a power cut or a crash right after it loses
//! nothing.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::support::command::{BINARY, quoted};
use crate::support::disk::{Mount, system};
use crate::support::report::{number, text};
use crate::support::trace::{Call, traced, traced_by};
use crate::support::tree::*;
use crate::support::*;

/// A tree of a few directories, files, and what has no content.
fn build(root: &Path, seed: u64) {
    let mut tree = Tree::new(root);
    for i in 0..6 {
        tree.dir(format!("{i}/below"));
        (0..6)
            .for_each(|j| drop(tree.file(format!("{i}/below/{j}"), bytes(seed + i * 10 + j, 3000 * j + 1))));
        tree.symlink(format!("{i}/symlink"), "below/3");
        tree.node(format!("{i}/fifo"), libc::S_IFIFO, (0, 0));
    }
    tree.file("large", bytes(seed + 99, 9 * MIB + 5)).mode(0o640);
    tree.built();
}

/// Files (unnamed ones by their inode) and directories that were synced.
fn synced(calls: &[Call]) -> Vec<String> {
    let mut paths: Vec<_> =
        calls.iter().filter(|call| call.name == "fsync").map(|call| call.path().to_owned()).collect();
    paths.sort();
    paths
}

fn count(calls: &[Call], name: &str) -> usize {
    calls.iter().filter(|call| call.name == name).count()
}

/// Asserts that each of these directories was synced, after everything that got a name in it.
#[track_caller]
fn assert_synced_last(calls: &[Call], directories: &[PathBuf]) {
    for directory in directories {
        let directory = directory.to_str().unwrap();
        let last = calls.iter().rev().find(|call| call.name == "fsync" && call.path() == directory);
        let last = last.unwrap_or_else(|| panic!("{directory} was not synced: {:#?}", synced(calls)));
        let is_in = |call: &&Call| {
            let names = ["linkat", "mkdirat", "symlinkat", "mknodat", "renameat", "renameat2"];
            let place = call.arguments.rsplit('<').next().unwrap().split('>').next().unwrap();
            // The last place of a call is where the name is given, but for the working directory.
            names.contains(&call.name.as_str()) && place == directory && !call.arguments.contains("AT_FDCWD<")
        };
        let late = calls.iter().filter(is_in).find(|call| call.ended > last.began);
        assert!(late.is_none(), "{directory} was synced before {late:?}");
    }
}

const CALLS: &str = "openat,pwrite64,fsync,syncfs,linkat,mkdirat,symlinkat,mknodat,renameat,renameat2";

/// All directories below `root`, itself too.
fn directories(root: &Path) -> Vec<PathBuf> {
    let mut all = vec![root.to_owned()];
    let mut at = 0;
    while at < all.len() {
        let found: Vec<_> = fs::read_dir(&all[at]).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.extend(found.into_iter().filter(|path| path.symlink_metadata().unwrap().is_dir()));
        at += 1;
    }
    all
}

const FILES: usize = 37;

// ---- by which calls ----

#[test]
fn a_tree_is_synced_once_by_a_descriptor_from_before_the_first_write() {
    need_fs!(Fs::Ext4);
    need_tool!("strace");
    let dir = Scratch::new();
    build(&dir.path("s"), 0);
    let disk = LoopDisk::new(Fs::Ext4, 64 * MIB);
    let (outcome, calls) =
        traced(CALLS, |copy| copy.args(["-a", "--engine", "plain"]).args([dir.path("s"), disk.path("t")]));
    outcome.assert_ok();
    assert_eq!((count(&calls, "syncfs"), count(&calls, "fsync")), (1, 0));
    let sync = calls.iter().find(|call| call.name == "syncfs").unwrap();
    let first = calls.iter().find(|call| call.name == "pwrite64").unwrap();
    // The target's own directory, opened once more as `.`, and closed by nobody since.
    let opened = calls.iter().position(|call| {
        call.name == "openat" && call.path() == sync.path() && call.arguments.contains("\".\", O_RDONLY")
    });
    assert!(calls[opened.unwrap()].ended < first.began, "{calls:#?}");
    assert!(calls.iter().all(|call| call.name != "pwrite64" || call.ended < sync.began));
}

/// A directory that is seen at another place as well, until it is dropped.
struct Bound(PathBuf);

impl Bound {
    fn new(directory: &Path, at: PathBuf) -> Bound {
        fs::create_dir_all(&at).unwrap();
        system("mount", &["--bind", directory.to_str().unwrap(), at.to_str().unwrap()]);
        Bound(at)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        crate::support::disk::unmount(&self.0);
    }
}

#[test]
fn each_file_system_of_a_target_is_synced_once_by_a_descriptor_from_before_its_first_write() {
    need_fs!(Fs::Ext4);
    need_fs!(Fs::Xfs);
    need_tool!("strace");
    let dir = Scratch::new();
    for place in ["s", "s/other", "s/other/below"] {
        let mut tree = Tree::new(dir.path(place));
        (0..4).for_each(|nth| drop(tree.file(format!("{nth}"), bytes(nth, 9000))));
    }
    let (outer, inner) = (LoopDisk::new(Fs::Ext4, 64 * MIB), LoopDisk::new(Fs::Xfs, 64 * MIB));
    let bound = Bound::new(&inner.dir(), outer.path("t/other"));
    let (outcome, calls) =
        traced(CALLS, |copy| copy.args(["-rT", "--engine", "plain"]).args([dir.path("s"), outer.path("t")]));
    outcome.assert_silent();
    let root = outer.path("t").to_str().unwrap().to_owned();
    let is_inner = |call: &Call| call.path().starts_with(&format!("{root}/other"));
    assert_eq!((count(&calls, "syncfs"), count(&calls, "fsync")), (2, 0), "{calls:#?}");
    for inside in [false, true] {
        let there = |call: &&Call| is_inner(call) == inside;
        let sync = calls.iter().filter(|call| call.name == "syncfs").find(there).expect("a sync of each");
        let writes: Vec<&Call> = calls.iter().filter(|call| call.name == "pwrite64").filter(there).collect();
        assert_eq!(writes.len(), if inside { 8 } else { 4 }, "{calls:#?}");
        let is_it = |call: &&Call| call.path() == sync.path() && call.arguments.contains("\".\", O_RDONLY");
        let opened = calls.iter().filter(|call| call.name == "openat").find(is_it).expect("it was opened");
        for write in writes {
            assert!(
                opened.ended < write.began && write.ended < sync.began,
                "{write:?}, {opened:?}, {sync:?}"
            );
        }
    }
    drop(bound);
    assert_same_content(&dir.path("s/other/below/3"), &inner.path("below/3"));
    assert_eq!(names(&outer.path("t")), ["0", "1", "2", "3", "other"]);
}

#[test]
fn on_an_old_kernel_each_file_and_directory_is_synced_by_itself() {
    need_fs!(Fs::Ext4);
    need_tool!("strace");
    need_tool!("setarch");
    let dir = Scratch::new();
    build(&dir.path("s"), 0);
    let disk = LoopDisk::new(Fs::Ext4, 64 * MIB);
    // Linux says that it is 2.6 to such a process (personality(2), UNAME26).
    let (outcome, calls) = traced_by(&["setarch", "--uname-2.6", BINARY, "copy"], CALLS, |copy| {
        copy.args(["-a", "--engine", "plain"]).args([dir.path("s"), disk.path("t")])
    });
    outcome.assert_ok();
    let targets = directories(&disk.path("t"));
    assert_eq!(count(&calls, "syncfs"), 0);
    assert_eq!(count(&calls, "fsync"), FILES + targets.len() + 1, "{:#?}", synced(&calls));
    assert_synced_last(&calls, &targets);
    assert_synced_last(&calls, &[disk.dir()]);
}

#[test]
fn file_by_file_every_directory_that_got_a_name_is_synced_too() {
    need_root!();
    need_tool!("strace");
    let dir = Scratch::new();
    build(&dir.path("deep/er/s"), 0);
    fs::write(dir.path("single"), "x").unwrap();
    for directory in ["t/0", "into/there"] {
        fs::create_dir_all(dir.path(directory)).unwrap();
    }
    let traced = |args: &[&str]| {
        let (outcome, calls) = traced(CALLS, |copy| {
            copy.args(["--engine", "plain", "--sync", "file"]).args(args).current_dir(dir.dir())
        });
        outcome.assert_ok();
        assert_eq!(count(&calls, "syncfs"), 0);
        calls
    };
    // Directories that were there and get new names.
    let calls = traced(&["-aT", "deep/er/s", "t"]);
    let targets = directories(&dir.path("t"));
    assert_eq!(count(&calls, "fsync"), FILES + targets.len(), "{:#?}", synced(&calls));
    assert_synced_last(&calls, &targets);
    // Several operands in one that was there, and one below it.
    let calls = traced(&["-a", "single", "deep/er/s", "into/there"]);
    assert_synced_last(&calls, &[dir.path("into/there"), dir.path("into/there/s/0")]);
    // Directories that lead to an operand.
    fs::create_dir(dir.path("parents")).unwrap();
    let calls = traced(&["-a", "--parents", "deep/er/s", "single", "parents"]);
    let made = ["parents", "parents/deep", "parents/deep/er", "parents/deep/er/s"];
    assert_synced_last(&calls, &made.map(|name| dir.path(name)));
    // A directory that something went from, once more, and not what went.
    fs::create_dir(dir.path("t/1/gone")).unwrap();
    fs::write(dir.path("t/1/gone/file"), "").unwrap();
    let calls = traced(&["-aT", "--delete", "deep/er/s", "t"]);
    let times =
        |name: &str| synced(&calls).iter().filter(|path| **path == *dir.path(name).to_str().unwrap()).count();
    assert_eq!(["t", "t/1", "t/1/gone", "t/2"].map(times), [1, 2, 0, 1]);
    // Attributes of a file that is up to date.
    set_times(&dir.path("single"), (1, 1), (5, 5));
    let calls = traced(&["--preserve=timestamps", "--update=checksum", "single", "into/there"]);
    assert_eq!(synced(&calls), [dir.path("into/there/single").to_str().unwrap()]);
}

#[test]
fn a_directory_that_may_be_written_to_and_not_read_is_no_failure() {
    need_root!();
    use std::os::unix::fs::PermissionsExt;
    let (dir, binary) = command::binary_for_everyone();
    fs::create_dir(dir.path().join("incoming")).unwrap();
    fs::set_permissions(dir.path().join("incoming"), fs::Permissions::from_mode(0o733)).unwrap();
    for sync in ["end", "file"] {
        let copy = Highwater::binary(&binary).args(["copy", "--sync", sync, "/etc/passwd"]);
        copy.arg(dir.path().join("incoming")).by_a_plain_user().run().assert_silent();
        let copied = dir.path().join("incoming/passwd");
        assert_same_content(Path::new("/etc/passwd"), &copied);
        fs::remove_file(copied).unwrap();
    }
}

#[test]
fn a_device_is_synced_itself() {
    need!(needs::loop_devices());
    need_tool!("strace");
    let dir = Scratch::new();
    write_file(&dir.path("s"), 1, MIB);
    let device = LoopDevice::new(2 * MIB);
    for options in [&[][..], &["--sync", "file"], &["-a", "--copy-contents"]] {
        let (outcome, calls) = traced(CALLS, |copy| {
            copy.args(["--engine", "plain"]).args(options).args([&dir.path("s"), device.path()])
        });
        outcome.assert_ok();
        let is_it = |call: &Call| call.name == "fsync" && call.path() == device.path().to_str().unwrap();
        let last = calls.iter().filter(|call| call.name == "pwrite64").map(|call| call.ended).max().unwrap();
        assert!(
            calls.iter().any(|call| is_it(call) && call.began > last),
            "{options:?}: {:#?}",
            synced(&calls)
        );
    }
}

#[test]
fn how_long_syncs_take_is_reported() {
    let dir = Scratch::new();
    build(&dir.path("s"), 0);
    let report = |options: &[&str], to: &str| {
        let copy = bounded_copy().args(["-r", "--json", "-"]).args(options);
        copy.args([dir.path("s"), dir.path(to)]).run().assert_silent().json()
    };
    assert_eq!(number(&report(&["--sync", "none"], "none"), "latency.sync.count"), 0);
    assert_eq!(number(&report(&["--sync", "end"], "end"), "latency.sync.count"), 1);
    let file = report(&["--sync", "file"], "file");
    assert_eq!(
        number(&file, "latency.sync.count"),
        (FILES + directories(&dir.path("file")).len() + 1) as u64
    );
    assert!(number(&file, "latency.sync.max_ns") > 0);
}

// ---- errors ----

/// Copies ten files to a FUSE disk that fails one sync; what it told, and the report.
#[test]
fn one_failed_fsync_of_many_is_one_failed_file_and_never_tried_again() {
    need_fuse!();
    for options in [&[][..], &["--sync", "file"], &["--atomic"], &["--atomic", "--sync", "none"]] {
        for nth in [1, 4, 10] {
            let disk = FaultyDisk::new([Fault::Nth(On::Fsync, nth, libc::EIO)]);
            let dir = Scratch::new();
            let sources: Vec<_> = (0..10).map(|i| dir.path(&format!("{i}"))).collect();
            sources.iter().zip(0..).for_each(|(source, seed)| write_file(source, seed, 3000));
            let copy = bounded_copy().args(["--json", "-"]).args(options).args(&sources);
            let outcome = copy.arg(disk.dir()).run();
            outcome.assert_failed(&["failed to sync", "Input/output error", "may be lost"]);
            let report = outcome.json();
            assert_eq!((number(&report, "failures"), number(&report, "files")), (1, 9), "{options:?}, {nth}");
            assert_eq!(text(&report, "errors.0.op"), "sync");
            let lost = text(&report, "errors.0.path").rsplit('/').next().unwrap().to_owned();
            let expected: Vec<_> = (0..10)
                .map(|i| std::ffi::OsString::from(format!("{i}")))
                .filter(|name| *name != *lost)
                .collect();
            assert_eq!(disk.names(), expected, "what could not be synced has no name");
            assert_eq!(disk.fsyncs(), 10);
        }
    }
}

#[test]
fn an_error_of_close_is_a_failure() {
    need_fuse!();
    for options in [&[][..], &["--atomic"]] {
        let disk = FaultyDisk::new([Fault::Errno(On::Close, 0..0, libc::EDQUOT)]);
        let dir = Scratch::new();
        write_file(&dir.path("s"), 1, 3000);
        let outcome = bounded_copy().args(options).args([dir.path("s"), disk.path("t")]).run();
        outcome.assert_failed(&["failed to close", &quoted(&disk.path("t")), "Disk quota exceeded"]);
    }
}

#[test]
fn one_failed_close_of_many_is_one_failed_file() {
    need_fuse!();
    for nth in [1, 4, 10] {
        let disk = FaultyDisk::new([Fault::Nth(On::Close, nth, libc::EIO)]);
        let dir = Scratch::new();
        let sources: Vec<_> = (0..10).map(|i| dir.path(&format!("{i}"))).collect();
        sources.iter().zip(0..).for_each(|(source, seed)| write_file(source, seed, 3000));
        let copy = bounded_copy().args(["--json", "-"]).args(&sources);
        let outcome = copy.arg(disk.dir()).run();
        outcome.assert_failed(&["failed to close", "Input/output error"]);
        let report = outcome.json();
        assert_eq!((number(&report, "failures"), number(&report, "files")), (1, 9), "{nth}");
        assert_eq!(text(&report, "errors.0.op"), "close");
    }
}

/// ext4 over a disk that fails every write when told to. Fields drop in order.
struct FailingDisk {
    mount: Mount,
    _device: LoopDevice,
    _nbd: Nbd,
    flags: Scratch,
}

impl FailingDisk {
    fn new() -> FailingDisk {
        let flags = Scratch::new();
        let flag = format!("error-pwrite-file={}", flags.path("fails").display());
        let errors = ["error-pwrite=EIO", "error-pwrite-rate=100%", &flag];
        let nbd = Nbd::new(["--filter=error", "memory", "128M"].into_iter().chain(errors));
        let device = nbd.device();
        let path = device.path().to_str().unwrap();
        // A journal that can't be written would make all of it read-only, which nobody could overlook.
        system("mkfs.ext4", &["-Fq", "-O", "^has_journal", "-E", "lazy_itable_init=0", path]);
        let mount = Mount::new(&["-t", "ext4", "-o", "errors=continue", path]);
        FailingDisk { mount, _device: device, _nbd: nbd, flags }
    }

    fn dir(&self) -> PathBuf {
        self.mount.dir()
    }

    /// Whether writes fail from now on.
    fn fails(&self, fails: bool) {
        let flag = self.flags.path("fails");
        if fails { fs::write(flag, "").unwrap() } else { fs::remove_file(flag).unwrap() }
    }
}

#[test]
fn what_could_not_be_written_back_after_its_file_was_closed_is_a_failure() {
    need_nbd!();
    need_fs!(Fs::Ext4);
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    (0..40).for_each(|i| drop(tree.file(format!("{i}"), bytes(i, 64 * KIB))));
    let disk = FailingDisk::new();
    system("sync", &["-f", disk.dir().to_str().unwrap()]);
    // Long enough for files to be closed while others are still to come.
    let target = disk.dir().join("t");
    let copy = bounded_copy().args(["-r", "--direct", "never", "--simulate", "bandwidth=1MiB/s"]);
    let running = copy.args([&dir.path("s"), &target]).start();
    wait_for("some files", || fs::read_dir(&target).is_ok_and(|names| names.count() >= 15));
    disk.fails(true);
    // Somebody else writes all of it back, and is the first to hear that it failed.
    let heard = std::process::Command::new("sync").arg("-f").arg(disk.dir()).output().unwrap();
    disk.fails(false);
    assert!(!heard.status.success(), "nothing was lost: this disk shows nothing");
    let outcome = running.wait();
    let words = [
        "failed to sync the file system of",
        &quoted(&target),
        "Input/output error",
        "of this copy or of others",
    ];
    outcome.assert_failed(&words);
}

#[test]
fn a_disk_that_fails_at_the_end_is_a_failure_each_way() {
    need_nbd!();
    need_fs!(Fs::Ext4);
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    (0..10).for_each(|i| drop(tree.file(format!("{i}"), bytes(i, 20 * KIB))));
    for options in [&["-r"][..], &["-r", "--sync", "file"], &["-r", "--atomic"]] {
        let disk = FailingDisk::new();
        system("sync", &["-f", disk.dir().to_str().unwrap()]);
        disk.fails(true);
        let copy = bounded_copy().args(["--direct", "never"]).args(options);
        let outcome = copy.args([dir.path("s"), disk.dir().join("t")]).run();
        disk.fails(false);
        outcome.assert_failed(&["failed to sync", "Input/output error"]);
    }
}

// ---- the power goes ----

/// A disk whose cache forgets, with a file system.
struct Volatile {
    mount: Option<Mount>,
    device: Option<LoopDevice>,
    nbd: Nbd,
    raw: PathBuf,
    fs: Fs,
    _dir: Scratch,
}

impl Volatile {
    fn new(fs: Fs) -> Volatile {
        let dir = Scratch::new();
        let raw = dir.path("disk.raw");
        fs::File::create(&raw).unwrap().set_len(if fs == Fs::Xfs { 320 * MIB } else { 128 * MIB }).unwrap();
        system(fs.mkfs(), &[if fs == Fs::Ext4 { "-Fq" } else { "-fq" }, raw.to_str().unwrap()]);
        let nbd = Nbd::new(["--filter=cache", "file", raw.to_str().unwrap(), "cache=writeback"]);
        let device = nbd.device();
        let mount = Mount::new(&["-t", fs.name(), device.path().to_str().unwrap()]);
        Volatile { mount: Some(mount), device: Some(device), nbd, raw, fs, _dir: dir }
    }

    fn dir(&self) -> PathBuf {
        self.mount.as_ref().unwrap().dir()
    }

    /// The power goes, and comes back.
    fn cut(&mut self) -> LoopDisk {
        self.nbd.kill();
        // Whatever is written now goes nowhere.
        drop(self.mount.take());
        drop(self.device.take());
        LoopDisk::mounted(LoopDevice::over(&self.raw), self.fs)
    }
}

/// What is lost of a tree when the power goes right after its copy.
fn lost_in_a_power_cut(fs: Fs, options: &[&str]) -> Vec<String> {
    let dir = Scratch::new();
    build(&dir.path("s"), 0);
    let mut disk = Volatile::new(fs);
    build(&disk.dir().join("old"), 1000);
    system("sync", &["-f", disk.dir().to_str().unwrap()]);
    for target in ["new", "old"] {
        let copy = bounded_copy().arg("-aT").args(options);
        copy.args([dir.path("s"), disk.dir().join(target)]).run().assert_silent();
    }
    let disk = disk.cut();
    let want = Fingerprint::of(&dir.path("s")).without(&["atime", "data"]);
    let lost = |target: &str| match disk.path(target).exists() {
        true => want.differences(&Fingerprint::of(&disk.path(target)).without(&["atime", "data"])),
        false => vec![format!("all of {target}")],
    };
    [lost("new"), lost("old")].concat()
}

#[test]
fn a_tree_that_is_done_outlives_a_power_cut() {
    need_nbd!();
    for fs in [Fs::Ext4, Fs::Xfs] {
        need_fs!(fs);
        for options in [&[][..], &["--sync", "file"], &["--atomic"], &["--atomic", "--sync", "none"]] {
            let lost = lost_in_a_power_cut(fs, options);
            assert!(lost.is_empty(), "lost on {fs:?} with {options:?}:\n{}", lost.join("\n"));
        }
    }
    let lost = lost_in_a_power_cut(Fs::Ext4, &["--sync", "none"]);
    assert!(!lost.is_empty(), "without a sync nothing is lost: this cut shows nothing");
}

#[test]
fn a_file_that_is_done_outlives_a_power_cut() {
    need_nbd!();
    for fs in [Fs::Ext4, Fs::Xfs] {
        need_fs!(fs);
        for options in [
            &[][..],
            &["--sync", "file"],
            &["--atomic"],
            &["--direct", "never"],
            &["--atomic", "--sync", "none"],
        ] {
            let dir = Scratch::new();
            write_file(&dir.path("s"), 1, 9 * MIB + 77);
            let mut disk = Volatile::new(fs);
            write_file(&disk.dir().join("old"), 2, 10 * MIB);
            system("sync", &["-f", disk.dir().to_str().unwrap()]);
            for target in ["new", "old"] {
                let copy = bounded_copy().args(options);
                copy.args([dir.path("s"), disk.dir().join(target)]).run().assert_silent();
            }
            let disk = disk.cut();
            for target in ["new", "old"] {
                assert!(disk.path(target).exists(), "{target} on {fs:?} with {options:?}");
                assert_holds(&disk.path(target), 1, 9 * MIB + 77);
            }
        }
    }
}

#[test]
fn after_a_power_cut_in_the_middle_each_file_is_the_old_one_or_the_new_one() {
    need_nbd!();
    for fs in [Fs::Ext4, Fs::Xfs] {
        need_fs!(fs);
        for sync in ["end", "none"] {
            let dir = Scratch::new();
            let content =
                |version: u64, file: u64| bytes(2 * file + version, 3000 * file + 100 * version + 1);
            let mut tree = Tree::new(dir.path("s"));
            (0..60).for_each(|file| drop(tree.file(format!("{file}"), content(1, file))));
            let mut disk = Volatile::new(fs);
            let mut tree = Tree::new(disk.dir().join("t"));
            (0..60).for_each(|file| drop(tree.file(format!("{file}"), content(0, file))));
            system("sync", &["-f", disk.dir().to_str().unwrap()]);
            let slowly = ["--simulate", "bandwidth=3MiB/s"];
            let copy = bounded_copy().args(["-rT", "--atomic", "--sync", sync]).args(slowly);
            let running = copy.args([dir.path("s"), disk.dir().join("t")]).start();
            let is_new = |file: u64| {
                fs::read(disk.dir().join(format!("t/{file}"))).is_ok_and(|held| held == content(1, file))
            };
            // Somebody else makes names last, which makes nothing last of what they stand for.
            let directory = fs::File::open(disk.dir().join("t")).unwrap();
            wait_for("some files", || {
                directory.sync_all().unwrap();
                (0..60).filter(|file| is_new(*file)).count() > 10
            });
            directory.sync_all().unwrap();
            drop(directory);
            let disk = disk.cut();
            drop(running);
            let mut new = 0;
            for file in 0..60 {
                let held = fs::read(disk.path(&format!("t/{file}"))).unwrap();
                let is_new = held == content(1, file);
                assert!(
                    is_new || held == content(0, file),
                    "{file} is neither, {} bytes, on {fs:?}",
                    held.len()
                );
                new += u32::from(is_new);
            }
            assert!(new < 60, "all of it was there before the cut");
        }
    }
}

#[test]
fn a_copy_that_is_done_outlives_a_crash_of_its_file_system() {
    need_tool!("xfs_io");
    for fs in [Fs::Ext4, Fs::Xfs] {
        need_fs!(fs);
        for options in [&[][..], &["--sync", "file"], &["--atomic"], &["--atomic", "--sync", "none"]] {
            let dir = Scratch::new();
            build(&dir.path("s"), 0);
            write_file(&dir.path("file"), 1, 9 * MIB + 77);
            let disk = LoopDisk::new(fs, 128 * MIB);
            build(&disk.path("old"), 1000);
            write_file(&disk.path("old file"), 2, 10 * MIB);
            system("sync", &["-f", disk.dir().to_str().unwrap()]);
            for target in ["new", "old"] {
                bounded_copy()
                    .arg("-aT")
                    .args(options)
                    .args([dir.path("s"), disk.path(target)])
                    .run()
                    .assert_silent();
            }
            for target in ["new file", "old file"] {
                bounded_copy()
                    .args(options)
                    .args([dir.path("file"), disk.path(target)])
                    .run()
                    .assert_silent();
            }
            let disk = disk.crashed(fs);
            let want = Fingerprint::of(&dir.path("s")).without(&["atime", "data"]);
            for target in ["new", "old"] {
                let got = Fingerprint::of(&disk.path(target)).without(&["atime", "data"]);
                assert_same(&got, &want, &format!("{target} on {fs:?} with {options:?}"));
            }
            for target in ["new file", "old file"] {
                assert_holds(&disk.path(target), 1, 9 * MIB + 77);
            }
        }
    }
}

// ---- memory ----

#[test]
fn many_files_on_their_way_to_the_disk_stay_inside_64_mib() {
    need_cgroup!("memory");
    need_fs!(Fs::Ext4);
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    for i in 0..20 {
        tree.dir(format!("{i}"));
        (0..40).for_each(|j| drop(tree.file(format!("{i}/{j}"), bytes(i * 40 + j, 20 * KIB))));
    }
    let disk = LoopDisk::new(Fs::Ext4, 128 * MIB);
    for options in [&["--sync", "file"][..], &["--atomic"], &["--sync", "end"]] {
        for round in 0..2 {
            println!("{options:?}, round {round}");
            let copy = bounded_copy().arg("-aT").args(options);
            copy.args([dir.path("s"), disk.path("t")]).run().assert_silent();
        }
        fs::remove_dir_all(disk.path("t")).unwrap();
    }
    std::io::stdout().flush().unwrap();
}
