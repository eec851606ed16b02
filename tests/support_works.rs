//! The ground under the other tests: that the disks, faults and groups of `support` do what they
//! say, shown with the system's own programs. Where one of these fails, the others prove nothing.

#![allow(clippy::single_range_in_vec_init)]

mod support;

use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::disk::system;
use support::*;

fn cp(source: &std::path::Path, target: &std::path::Path) -> (bool, String) {
    let output = Command::new("cp").arg(source).arg(target).env("LC_ALL", "C").output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn data_depends_on_seed_and_offset_and_has_no_zero_page() {
    let data = bytes(1, 8 * MIB + 17);
    let mut pages: Vec<&[u8]> = data.chunks(4096).collect();
    assert!(pages.iter().all(|page| page.iter().any(|byte| *byte != 0)));
    assert!(bytes(2, 4096) != data[..4096]);
    pages.sort();
    pages.dedup();
    assert_eq!(pages.len(), 2049, "no two pages are alike");
}

#[test]
fn a_wrong_byte_is_seen() {
    let dir = Scratch::new();
    let file = dir.path("file");
    write_file(&file, 1, MIB + 5);
    assert_holds(&file, 1, MIB + 5);
    std::fs::File::options().write(true).open(&file).unwrap().write_at(b"\0", MIB + 3).unwrap();
    let seen = std::panic::catch_unwind(|| assert_holds(&file, 1, MIB + 5)).unwrap_err();
    assert!(seen.downcast_ref::<String>().unwrap().contains("wrong from byte 1048579"));
}

#[test]
fn every_file_system_mounts_and_keeps_holes() {
    for fs in Fs::ALL {
        need_fs!(fs);
        let disk = LoopDisk::new(fs, 16 * MIB);
        let file = disk.path("sparse");
        write_sparse(&file, 1, 4 * MIB, &[MIB..2 * MIB]);
        assert_eq!(data_extents(&file), [MIB..2 * MIB], "{fs:?}");
        assert_eq!(allocated_bytes(&file), MIB, "{fs:?}");
    }
}

#[test]
fn a_disk_is_gone_after_a_panic() {
    need_fs!(Fs::Ext4);
    let (mut dir, mut device) = Default::default();
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let disk = LoopDisk::new(Fs::Ext4, 16 * MIB);
        (dir, device) = (disk.dir(), disk.device().number());
        panic!("as a failing test does");
    }));
    assert!(seen.is_err());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(dir.to_str().unwrap()));
    assert!(!dir.exists());
}

#[test]
fn tmpfs_is_full_at_its_size() {
    need_root!();
    let (disk, dir) = (Tmpfs::new(MIB), Scratch::new());
    write_file(&dir.path("big"), 1, 2 * MIB);
    let (done, said) = cp(&dir.path("big"), &disk.path("big"));
    assert!(!done && said.contains("No space left on device"), "{said}");
}

#[test]
fn a_faulty_disk_without_faults_is_a_disk() {
    need_fuse!();
    let (disk, dir) = (FaultyDisk::new([]), Scratch::new());
    write_file(&dir.path("file"), 1, 3 * MIB + 1);
    assert_eq!(cp(&dir.path("file"), &disk.path("there")), (true, String::new()));
    assert_bytes(&disk.get("there").unwrap(), &bytes(1, 3 * MIB + 1));
    assert_eq!(cp(&disk.path("there"), &dir.path("back")), (true, String::new()));
    assert_holds(&dir.path("back"), 1, 3 * MIB + 1);
    std::fs::rename(disk.path("there"), disk.path("renamed")).unwrap();
    std::fs::hard_link(disk.path("renamed"), disk.path("linked")).unwrap();
    std::fs::remove_file(disk.path("renamed")).unwrap();
    assert_eq!(disk.names(), ["linked"]);
    assert_eq!(names(&disk.dir()), ["linked"]);
}

#[test]
fn faults_strike_where_they_are_told() {
    need_fuse!();
    let disk = FaultyDisk::new([
        Fault::Errno(On::Read, MIB..MIB + 1, libc::EIO),
        Fault::Errno(On::Write, 8192..8193, libc::ENOSPC),
        Fault::Errno(On::Fsync, 0..0, libc::EIO),
    ]);
    disk.put("file", bytes(1, 2 * MIB));
    let file = std::fs::File::options().read(true).write(true).open(disk.path("file")).unwrap();
    let mut buf = vec![0; 65536];
    assert_eq!(file.read_at(&mut buf, MIB - 100).unwrap(), 100);
    assert_eq!(file.read_at(&mut buf, MIB).unwrap_err().raw_os_error(), Some(libc::EIO));
    assert_eq!(file.write_at(&buf, 0).unwrap(), 8192);
    assert_eq!(file.write_at(&buf, 8192).unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(libc::EIO));
    disk.set_faults([Fault::Short(On::Read, 1000), Fault::Short(On::Write, 999)]);
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 1000);
    assert_eq!(file.write_at(&buf, 0).unwrap(), 999);
    disk.set_faults([Fault::Resize { when_read: MIB, to: 3 * MIB }]);
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 65536);
    assert_eq!(file.metadata().unwrap().len(), 2 * MIB);
    assert_eq!(file.read_at(&mut buf, MIB).unwrap(), 65536);
    assert_eq!(file.metadata().unwrap().len(), 3 * MIB);
    disk.set_faults([Fault::Slow(On::Write, Duration::from_millis(50))]);
    let start = Instant::now();
    assert_eq!(file.write_at(&buf, 0).unwrap(), 65536);
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_throttled_disk_is_slow() {
    need_fs!(Fs::Ext4);
    need_cgroup!("blkio");
    let disk = LoopDisk::new(Fs::Ext4, 32 * MIB);
    let throttle = Throttle::new(&disk.device().number(), 4 * MIB);
    let target = disk.path("file");
    let outcome = Highwater::binary("dd")
        .args(["if=/dev/zero", "bs=1M", "count=4", "oflag=direct"])
        .arg(format!("of={}", target.display()))
        .inside(throttle.group())
        .run();
    outcome.assert_ok();
    assert!(outcome.elapsed >= Duration::from_millis(500), "{:?}", outcome.elapsed);
}

#[test]
fn a_memory_group_counts() {
    need_cgroup!("memory");
    let dir = Scratch::new();
    let group = MemoryCgroup::new(16 * MIB);
    let to = format!("of={}", dir.path("file").display());
    let dd = ["if=/dev/zero", "bs=64K", "count=512", to.as_str()];
    Highwater::binary("dd").args(dd).inside(group.group()).run().assert_ok();
    assert!(group.max_usage() > 8 * MIB && group.max_usage() <= 16 * MIB, "{}", group.max_usage());
    assert!(group.failcnt() > 0, "the page cache meets the bound");
}

#[test]
fn a_device_is_made_written_and_read() {
    need!(needs::loop_devices());
    let device = LoopDevice::new(MIB);
    write_file(device.path(), 3, MIB);
    assert_holds(device.path(), 3, MIB);
    assert_eq!(system("blockdev", &["--getsize64", device.path().to_str().unwrap()]), "1048576");
}

#[test]
fn a_run_shows_code_signal_outputs_and_memory() {
    let outcome = Highwater::binary("sh").args(["-c", "cat; echo oops >&2; exit 3"]).input(b"in").run();
    outcome.assert_code(3);
    assert_eq!((outcome.stdout.as_slice(), outcome.stderr.as_str()), (b"in".as_slice(), "oops\n"));
    assert!(outcome.peak_memory_bytes > 0);
    let mut sleeping = Highwater::binary("sleep").arg("60").start();
    sleeping.signal(Signal::SIGTERM);
    let outcome = sleeping.wait();
    assert_eq!((outcome.code, outcome.signal), (None, Some(libc::SIGTERM)));
}

#[test]
fn a_command_that_hangs_is_killed() {
    let seen = std::panic::catch_unwind(|| {
        Highwater::binary("sleep").arg("60").timeout(Duration::from_millis(100)).run();
    });
    assert!(seen.unwrap_err().downcast_ref::<String>().unwrap().starts_with("still running after 100ms"));
}

#[test]
fn a_plain_user_runs_with_limits() {
    need_root!();
    let limit = nix::sys::resource::Resource::RLIMIT_MEMLOCK;
    let outcome = Highwater::binary("sh")
        .args(["-c", "test $(id -u) -ge 100000 && ulimit -Hl; umask"])
        .by_a_plain_user()
        .limit(limit, 8 * MIB)
        .umask(0o27)
        .run();
    outcome.assert_ok();
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), "8192\n0027\n");
}

#[test]
fn a_disk_behind_nbdkit_pauses_and_is_gone() {
    need_nbd!();
    let dir = Scratch::new();
    let control = dir.path("control");
    let argument = format!("pause-control={}", control.display());
    let mut nbd = Nbd::new(["--filter=pause", "memory", "1M", &argument]);
    let device = nbd.device();
    write_file(device.path(), 3, MIB);
    assert_holds(device.path(), 3, MIB);
    let mut pause = Pause::at(&control);
    pause.pause();
    let open = || std::fs::File::options().write(true).open(device.path()).unwrap();
    let file = open();
    let writing = std::thread::spawn(move || {
        file.write_all_at(&[1; 4096], 0).unwrap();
        file.sync_all()
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(!writing.is_finished(), "it hangs");
    pause.resume();
    writing.join().unwrap().unwrap();
    nbd.kill();
    let file = open();
    file.write_all_at(&[1; 4096], 8192).unwrap();
    file.sync_all().unwrap_err();
}
