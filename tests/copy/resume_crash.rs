//! `--resume` after more than a kill: power cuts over disks with volatile caches, file systems that
//! crash, disks that lie; and what it costs in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::disk::Mount;
use crate::support::nbd::{self, Nbd};
use crate::support::report::number;
use crate::support::tree::{Fingerprint, Tree, assert_same};
use crate::support::*;
use nix::sys::signal::Signal;

/// A disk whose cache is lost with its server: only what was flushed is in the image.
fn volatile(image: &Path, cache: &str) -> Nbd {
    let file = format!("file={}", image.display());
    Nbd::new(["--filter=cache", "file", &file, &format!("cache={cache}")])
}

fn system(program: &str, args: &[&str]) {
    disk::system(program, args);
}

/// On a machine that has much else to do a copy may take long to come so far. What is there first may not be
/// durable yet; it is once more is written behind it.
fn wait_for_records(running: &mut Running, journal: &Path) {
    let length = || fs::metadata(journal).map_or(0, |journal| journal.len());
    for what in ["records", "records behind them"] {
        let before = length().max(1024);
        wait_for(what, || running.has_ended() || length() > before);
    }
}

/// Copies onto a file system over such a disk, cuts the power after `after`, and mounts what is left.
fn cut_the_power(
    fs: Fs,
    image: &Path,
    before: impl Fn(&Path),
    copy: impl Fn(&Path) -> Highwater,
    after: u64,
) -> Mount {
    let mut nbd = volatile(image, "writeback");
    let device = nbd.device();
    {
        let mount = Mount::new(&["-t", fs.name(), device.path().to_str().unwrap()]);
        before(&mount.dir());
        system("sync", &["-f", mount.dir().to_str().unwrap()]);
        let mut running = copy(&mount.dir()).start();
        std::thread::sleep(Duration::from_millis(after));
        wait_for_records(&mut running, &mount.dir().join(".target.highwater-journal"));
        nbd.kill();
        if !running.has_ended() {
            running.signal(Signal::SIGKILL);
        }
        running.wait();
    }
    drop(device);
    drop(nbd);
    let device = image.to_str().unwrap();
    Mount::new(&["-t", fs.name(), "-o", "loop", device])
}

/// Something is mounted here, until this is dropped.
struct Mounted<'p>(&'p Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        disk::unmount(self.0);
    }
}

/// A name of its own for the device: which number the next one over the same image gets is anybody's guess.
fn named(dir: &Scratch, device: &LoopDevice) -> PathBuf {
    let name = dir.path("device");
    let _ = fs::remove_file(&name);
    std::os::unix::fs::symlink(device.path(), &name).unwrap();
    name
}

fn made(fs: Fs, dir: &Scratch, len: u64) -> PathBuf {
    let image = dir.path(fs.name());
    fs::File::create(&image).unwrap().set_len(len).unwrap();
    let quiet = if fs == Fs::Xfs { "-q" } else { "-qF" };
    system(fs.mkfs(), &[quiet, image.to_str().unwrap()]);
    image
}

#[test]
fn a_power_cut_in_the_middle_of_a_file_costs_only_what_was_not_recorded() {
    need!(nbd::needed());
    const LEN: u64 = 40 * MIB + 777;
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    for (fs, exists) in [(Fs::Ext4, false), (Fs::Ext4, true), (Fs::Xfs, true)] {
        need_fs!(fs);
        let image = made(fs, &dir, 400 * MIB);
        // What is overwritten, by direct I/O, and not flushed comes back stale.
        let before = |mount: &Path| {
            if exists {
                write_file(&mount.join("target"), 2, LEN);
            }
        };
        let copy = |mount: &Path| {
            let copy = bounded_copy().args(["--resume", "--limit-rate", "25M", "--json", "-"]);
            copy.arg(dir.path("source")).arg(mount.join("target"))
        };
        let mount = cut_the_power(fs, &image, before, copy, 1200);
        let outcome = copy(&mount.dir()).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let believed = number(&outcome.json(), "resumed.believed_bytes");
        assert!(believed >= MIB, "{believed} bytes of {fs:?} were believed");
        assert_eq!(number(&outcome.json(), "bytes") + believed, LEN);
        assert_holds(&mount.dir().join("target"), 1, LEN);
        let left = names(&mount.dir()).into_iter().filter(|name| name != "lost+found");
        assert_eq!(left.collect::<Vec<_>>(), ["target"]);
    }
}

#[test]
fn a_power_cut_in_the_middle_of_a_tree_is_made_good() {
    need!(nbd::needed());
    need_fs!(Fs::Ext4);
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("source"));
    for nth in 0..40 {
        tree.dir(format!("d{nth}"));
        for file in 0..20 {
            tree.file(format!("d{nth}/f{file}"), bytes(nth * 100 + file, 20_000));
        }
    }
    tree.file("large", bytes(3, 8 * MIB));
    tree.built();
    let want = Fingerprint::of(&dir.path("source")).without(&["atime"]);
    let image = made(Fs::Ext4, &dir, 400 * MIB);
    let copy = |mount: &Path| {
        let copy = bounded_copy().args(["-a", "--resume", "--simulate", "bandwidth=8M/s", "--json", "-"]);
        copy.arg(dir.path("source")).arg(mount.join("target"))
    };
    let mount = cut_the_power(Fs::Ext4, &image, |_| {}, copy, 1300);
    let outcome = copy(&mount.dir()).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let report = outcome.json();
    assert!(number(&report, "resumed.believed_bytes") > 0, "{:?}", report["resumed"]);
    let got = Fingerprint::of(&mount.dir().join("target")).without(&["atime"]);
    assert_same(&got, &want, "after a power cut");
}

#[test]
fn a_file_system_that_crashes_is_gone_on_with() {
    need!(needs::tool("xfs_io"));
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 30 * MIB);
    for fs in [Fs::Ext4, Fs::Xfs] {
        need_fs!(fs);
        let disk = LoopDisk::new(fs, 400 * MIB);
        let copy = |disk: &LoopDisk| {
            let copy = bounded_copy().args(["--resume", "--limit-rate", "20M", "--json", "-"]);
            copy.arg(dir.path("source")).arg(disk.path("target"))
        };
        let mut running = copy(&disk).start();
        std::thread::sleep(Duration::from_millis(1000));
        wait_for_records(&mut running, &disk.path(".target.highwater-journal"));
        running.signal(Signal::SIGKILL);
        running.wait();
        let disk = disk.crashed(fs);
        let outcome = copy(&disk).run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let believed = number(&outcome.json(), "resumed.believed_bytes");
        assert!(believed >= MIB, "{believed} bytes of {fs:?} were believed");
        assert_holds(&disk.path("target"), 1, 30 * MIB);
    }
}

#[test]
fn a_disk_that_lies_about_flushes_is_found_out() {
    need!(nbd::needed());
    const LEN: u64 = 16 * MIB;
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let image = dir.path("image");
    write_file(&image, 2, 24 * MIB);
    let journal = dir.path("journal");
    let copy = |device: &Path| {
        let copy = bounded_copy().args(["--resume", "--limit-rate", "20M", "--json", "-"]);
        copy.arg("--journal").arg(&journal).arg(dir.path("source")).arg(device)
    };
    {
        let mut nbd = volatile(&image, "unsafe");
        let device = nbd.device();
        let mut running = copy(&named(&dir, &device)).start();
        std::thread::sleep(Duration::from_millis(700));
        nbd.kill();
        if !running.has_ended() {
            running.signal(Signal::SIGKILL);
        }
        running.wait();
    }
    assert!(journal.exists());
    // Nothing of what was told to be safe is there.
    assert_holds(&image, 2, 24 * MIB);
    let device = LoopDevice::over(&image);
    let outcome = copy(&named(&dir, &device)).run();
    assert_eq!(outcome.code, Some(1));
    let said = "is not what this copy was begun with: is the right one mounted?";
    assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
    drop(device);
    assert_holds(&image, 2, 24 * MIB);
    fs::remove_file(&journal).unwrap();
    let device = LoopDevice::over(&image);
    copy(&named(&dir, &device)).run().assert_code(0);
    assert_holds(device.path(), 1, LEN);
}

#[test]
fn a_manifest_shows_what_a_disk_that_lies_about_flushes_has_lost() {
    need!(nbd::needed());
    need_fs!(Fs::Ext4);
    need_tool!("b3sum");
    let dir = Scratch::new();
    let sizes = [("a", 10), ("b", 70_000), ("sub/c", 3 * MIB), ("sub/new", 5000)];
    let mut tree = Tree::new(dir.path("source"));
    tree.dir("sub");
    for (seed, (name, len)) in (1..).zip(sizes) {
        tree.file(name, bytes(seed, len));
    }
    tree.built();
    let image = made(Fs::Ext4, &dir, 400 * MIB);
    {
        // Copies of before, which are on the disk for good.
        let mount = Mount::new(&["-o", "loop", image.to_str().unwrap()]);
        fs::create_dir_all(mount.dir().join("target/sub")).unwrap();
        for (name, len) in &sizes[..3] {
            write_file(&mount.dir().join("target").join(name), 9, *len);
        }
    }
    let sums = dir.path("sums");
    let check = |mount: &Path| {
        let mut b3sum = std::process::Command::new("b3sum");
        let output = b3sum.arg("--check").arg(&sums).current_dir(mount).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    {
        let mut nbd = volatile(&image, "unsafe");
        let device = nbd.device();
        let mount = Mount::new(&["-t", "ext4", device.path().to_str().unwrap()]);
        let copy = bounded_copy().args(["-rT", "--manifest"]).arg(&sums).arg(dir.path("source"));
        copy.arg("target").current_dir(mount.dir()).run().assert_silent();
        assert!(check(&mount.dir()).0, "as long as there is power all is well");
        nbd.kill();
        drop(mount);
        drop(device);
    }
    let mount = Mount::new(&["-o", "loop", image.to_str().unwrap()]);
    let (is_right, said) = check(&mount.dir());
    assert!(!is_right);
    for (name, len) in sizes {
        assert!(said.contains(&format!("target/{name}: FAILED")), "{name} in:\n{said}");
        if name != "sub/new" {
            assert_holds(&mount.dir().join("target").join(name), 9, len);
        }
    }
}

/// A file system whose disk keeps nothing of what it says it has flushed: of all that the journal, on another
/// disk, and the manifest say to be safe, nothing is there after the power was cut.
#[test]
fn after_a_cut_of_a_disk_that_lies_about_flushes_a_resumed_tree_and_its_manifest_show_what_is_lost() {
    need!(nbd::needed());
    need_fs!(Fs::Ext4);
    need_tool!("b3sum");
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("source"));
    tree.dir("d");
    (0..100).for_each(|nth| drop(tree.file(format!("d/{nth}"), bytes(nth, 100_000))));
    tree.built();
    let image = made(Fs::Ext4, &dir, 400 * MIB);
    let sums = dir.path("sums");
    let copy = |mount: &Path| {
        let copy =
            bounded_copy().args(["-r", "--resume", "--json", "-", "--journal"]).arg(dir.path("journal"));
        let copy = copy.arg("--manifest").arg(&sums).arg(dir.path("source"));
        copy.arg("target").current_dir(mount)
    };
    // One that the copy is told by its place, whatever is mounted there.
    let place = dir.path("place");
    fs::create_dir(&place).unwrap();
    let mounted = |device: &str, options: &[&str]| {
        let options = options.iter().copied().chain([device, place.to_str().unwrap()]);
        system("mount", &options.collect::<Vec<_>>());
        Mounted(&place)
    };
    let kept: Vec<String> = {
        let mut nbd = volatile(&image, "unsafe");
        let device = nbd.device();
        let _mount = mounted(device.path().to_str().unwrap(), &[]);
        let mut running = copy(&place).args(["--simulate", "bandwidth=8M/s"]).start();
        wait_for_records(&mut running, &dir.path("journal"));
        running.signal(Signal::SIGTERM);
        running.wait().assert_code(143);
        let sums = fs::read_to_string(&sums).unwrap();
        nbd.kill();
        sums.lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect()
    };
    assert!((1..100).contains(&kept.len()), "{kept:?}");
    let _mount = mounted(image.to_str().unwrap(), &["-o", "loop"]);
    let check = || {
        let mut b3sum = std::process::Command::new("b3sum");
        let output = b3sum.arg("--check").arg(&sums).current_dir(&place).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (is_right, told) = check();
    assert!(!is_right, "{told}");
    let outcome = copy(&place).run();
    outcome.assert_ok();
    for name in &kept {
        assert!(told.contains(&format!("{name}: FAILED")), "{name} in:\n{told}");
        let said = format!("'{name}' is not as this copy left it; it is copied anew");
        assert!(outcome.stderr.contains(&said), "{said}\n{}", outcome.stderr);
    }
    assert_eq!(number(&outcome.json(), "resumed.believed_bytes"), 0);
    assert_eq!(number(&outcome.json(), "bytes"), 100 * 100_000);
    let (is_right, told) = check();
    assert!(is_right && told.lines().count() == 100, "{told}");
}

#[test]
fn an_overwritten_device_that_comes_back_stale_is_made_good() {
    need!(nbd::needed());
    const LEN: u64 = 32 * MIB;
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let image = dir.path("image");
    write_file(&image, 2, LEN);
    let copy = |device: &Path| {
        let copy = bounded_copy().args(["--resume", "--limit-rate", "16M", "--direct", "always"]);
        let copy = copy.args(["--json", "-", "--journal"]).arg(dir.path("journal"));
        copy.arg(dir.path("source")).arg(device)
    };
    let written = {
        let mut nbd = volatile(&image, "writeback");
        let device = nbd.device();
        let mut running = copy(&named(&dir, &device)).start();
        std::thread::sleep(Duration::from_millis(1200));
        wait_for_records(&mut running, &dir.path("journal"));
        nbd.kill();
        if !running.has_ended() {
            running.signal(Signal::SIGKILL);
        }
        running.wait();
        device.written_bytes()
    };
    let left = fs::read(&image).unwrap();
    let (old, new) = (bytes(2, LEN), bytes(1, LEN));
    let pages = |what: &[u8]| left.chunks(4096).zip(what.chunks(4096)).filter(|(a, b)| a == b).count() as u64;
    let durable = 4096 * pages(&new);
    assert!(
        durable > 0 && durable < written,
        "{durable} bytes are there of {written} written: nothing stale"
    );
    assert_eq!(pages(&old) + pages(&new), LEN / 4096, "each page is the old one or the new one");
    let device = LoopDevice::over(&image);
    let outcome = copy(&named(&dir, &device)).run();
    let report = outcome.assert_ok().json();
    let believed = number(&report, "resumed.believed_bytes");
    assert!(believed > 0 && believed <= durable, "{believed} bytes are believed, {durable} are there");
    assert_eq!(number(&report, "bytes") + believed, LEN);
    assert_holds(device.path(), 1, LEN);
}

#[test]
fn a_copy_that_is_resumed_needs_no_more_memory_than_another() {
    need_cgroup!("memory");
    need_fs!(Fs::Ext4);
    const LEN: u64 = 200 * MIB;
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let disk = LoopDisk::new(Fs::Ext4, 320 * MIB);
    let copy = || {
        let copy = bounded_copy().args(["--resume", "--direct", "always", "--json", "-"]);
        copy.arg(dir.path("source")).arg(disk.path("target"))
    };
    let mut running = copy().start();
    let part = |name: &std::ffi::OsString| name.to_string_lossy().starts_with(".highwater-part-");
    wait_for("a part", || running.has_ended() || names(&disk.dir()).iter().any(part));
    std::thread::sleep(Duration::from_millis(150));
    if !running.has_ended() {
        running.signal(Signal::SIGKILL);
    }
    running.wait();
    let outcome = copy().run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.peak_memory_bytes <= 8 * MIB, "a peak of {} KiB", outcome.peak_memory_bytes / KIB);
    assert_holds(&disk.path("target"), 1, LEN);
}

#[test]
fn a_tree_that_is_resumed_needs_no_more_memory_than_a_small_one() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("source"));
    for nth in 0..30 {
        tree.dir(format!("d{nth}"));
        for file in 0..300 {
            tree.file(format!("d{nth}/a-name-that-is-not-too-short-{file}"), bytes(file, 100));
        }
    }
    tree.built();
    let copy = || {
        let copy = bounded_copy().args(["-r", "--resume", "--json", "-"]);
        copy.arg(dir.path("source")).arg(dir.path("target"))
    };
    let mut running = copy().start();
    wait_for("much to be copied", || {
        running.has_ended() || dir.path("target").read_dir().is_ok_and(|there| there.count() >= 20)
    });
    if !running.has_ended() {
        running.signal(Signal::SIGKILL);
    }
    running.wait();
    let outcome = copy().run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.peak_memory_bytes <= 8 * MIB, "a peak of {} KiB", outcome.peak_memory_bytes / KIB);
    let (got, want) = (Fingerprint::of(&dir.path("target")), Fingerprint::of(&dir.path("source")));
    let of_its_own = ["atime", "mtime"];
    assert_same(&got.without(&of_its_own), &want.without(&of_its_own), "resumed");
}
