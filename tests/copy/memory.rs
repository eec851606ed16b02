//! Memory: the ring and a small constant, whatever the file's size and however slow its target.
//!
//! A child's ru_maxrss begins with what its parent held, so a test that panics with a backtrace may
//! make the others' children look large to themselves; the first failure is the one that counts.

use std::time::Duration;

use crate::support::command::binary_for_everyone;
use crate::support::report::{number, truth};
use crate::support::*;
use nix::sys::resource::Resource;

/// What a copy may hold at its peak, the program's own code not counted: 6 MiB, and what a look in a small
/// memory group counts too much, where code that was there has been given back.
const PEAK: u64 = 8 * MIB;
/// What it tells has the pages of its code in it, so many at most.
const CODE: u64 = 7 * MIB;

/// Asserts the peak of a run, as seen from outside and as it tells it.
#[track_caller]
fn assert_small(outcome: &Outcome) {
    let peak = outcome.peak_memory_bytes;
    assert!(peak > 0 && peak <= PEAK, "a peak of {} KiB", peak / KIB);
    let told = number(&outcome.json(), "process.peak_rss_bytes");
    assert!(told > 0 && told <= PEAK + CODE, "a peak of {} KiB, it says", told / KIB);
}

#[test]
fn a_large_file_needs_no_more_memory_than_a_small_one() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 256 * MIB);
    for engine in engines() {
        for direct in ["auto", "never"] {
            let options = ["--engine", engine, "--direct", direct, "--json", "-"];
            let copy = Highwater::copy().args(options).args([dir.path("source"), dir.path("target")]);
            let outcome = copy.timeout(Duration::from_secs(120)).run();
            assert_small(outcome.assert_silent());
            assert_holds(&dir.path("target"), 1, 256 * MIB);
            std::fs::remove_file(dir.path("target")).unwrap();
        }
    }
}

#[test]
fn a_pipe_that_nobody_reads_holds_no_more_than_the_mark() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 64 * MIB);
    for engine in engines() {
        let (drain, output) = std::io::pipe().unwrap();
        let report = dir.path(engine);
        let options = ["--engine", engine, "--json"];
        let copy = Highwater::copy().args(options).arg(&report).arg(dir.path("source")).arg("-");
        let running = copy.stdout(output).start();
        std::thread::sleep(Duration::from_millis(300));
        let held = running.peak_memory_so_far();
        assert!(held > 0 && held <= PEAK, "{} KiB", held / KIB);
        let copied = std::thread::spawn(move || std::io::copy(&mut { drain }, &mut std::io::sink()).unwrap());
        running.wait().assert_silent();
        assert_eq!(copied.join().unwrap(), 64 * MIB);
        let report = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
        assert!(number(&report, "flow.peak_in_flight_bytes") <= number(&report, "flow.high_water_bytes"));
        assert!(number(&report, "flow.backpressure_events") > 0);
    }
}

#[test]
fn a_throttled_disk_inside_a_small_memory_group_is_no_trouble() {
    need_fs!(Fs::Ext4);
    need_cgroup!("blkio");
    need_cgroup!("memory");
    let len = 40 * MIB;
    for fs in [Fs::Ext4, Fs::Xfs] {
        need_fs!(fs);
        let disk = LoopDisk::new(fs, 96 * MIB);
        let throttle = Throttle::new(&disk.device().number(), 20 * MIB);
        let memory = MemoryCgroup::new(32 * MIB);
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, len);
        let copy = Highwater::copy().args(["--json", "-"]).args([dir.path("source"), disk.path("target")]);
        let outcome = copy.inside(throttle.group()).inside(memory.group()).run();
        let report = outcome.assert_silent().json();
        assert_small(&outcome);
        assert_eq!(memory.failcnt(), 0, "{fs:?}: {} of 32 MiB at the peak", memory.max_usage());
        assert!(number(&report, "flow.peak_in_flight_bytes") <= number(&report, "flow.high_water_bytes"));
        assert_eq!(number(&report, "bytes"), len);
        assert!(outcome.elapsed >= Duration::from_millis(1500), "throttled: {:?}", outcome.elapsed);
        assert!(outcome.elapsed <= Duration::from_secs(10), "{:?}", outcome.elapsed);
        assert_holds(&disk.path("target"), 1, len);
    }
}

/// A plain user's copy of 32 MiB under a limit of locked memory, and its target.
fn plain_users_copy(memlock: u64, options: &[&str]) -> Outcome {
    let (dir, binary) = binary_for_everyone();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    write_file(&source, 1, 32 * MIB);
    let copy = Highwater::binary(binary).args(["copy", "--engine", "ring", "--json", "-"]).args(options);
    let copy = copy.args([&source, &target]).by_a_plain_user().limit(Resource::RLIMIT_MEMLOCK, memlock);
    let outcome = copy.run();
    outcome.assert_ok();
    assert_holds(&target, 1, 32 * MIB);
    outcome
}

#[test]
fn a_plain_user_with_8_mib_of_locked_memory_has_registered_buffers() {
    need_root!();
    need_uring!();
    let outcome = plain_users_copy(8 * MIB, &[]);
    let report = outcome.assert_silent().json();
    assert!(truth(&report, "ring.registered"), "{report}");
}

#[test]
fn an_untyped_ring_is_halved_until_it_fits() {
    need_root!();
    need_uring!();
    let outcome = plain_users_copy(2 * MIB, &[]);
    let report = outcome.assert_silent().json();
    assert!(truth(&report, "ring.registered"), "{report}");
    assert!(number(&report, "ring.block_bytes") * number(&report, "ring.buffers") < 2 * MIB, "{report}");
}

#[test]
fn a_typed_ring_that_cannot_be_locked_works_unregistered_and_says_so() {
    need_root!();
    need_uring!();
    let outcome = plain_users_copy(8 * MIB, &["--block-size", "1MiB", "--buffers", "16"]);
    let report = outcome.json();
    assert!(!truth(&report, "ring.registered"), "{report}");
    assert_eq!((number(&report, "ring.block_bytes"), number(&report, "ring.buffers")), (MIB, 16));
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("highwater: "), "{}", outcome.stderr);
}

/// Bytes of `path` in the page cache, all of it written back first.
fn cached(path: &std::path::Path) -> u64 {
    use std::os::fd::AsFd;
    let file = std::fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    highwater::sys::cache::cached_bytes(file.as_fd()).unwrap()
}

/// Drops what the page cache has of `path`.
fn drop_cached(path: &std::path::Path) {
    let file = std::fs::File::open(path).unwrap();
    file.sync_all().unwrap();
    nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
}

#[test]
fn a_large_cold_file_leaves_the_page_cache_about_as_it_was() {
    need_fs!(Fs::Ext4);
    need_fs!(Fs::Xfs);
    const LEN: u64 = 64 * MIB;
    for fs in [Fs::Ext4, Fs::Xfs] {
        let disk = LoopDisk::new(fs, 512 * MIB);
        write_file(&disk.path("source"), 1, LEN);
        let grown = |options: &[&str], target: &str| {
            drop_cached(&disk.path("source"));
            let copy = Highwater::copy().args(["--reflink=never"]).args(options);
            copy.args([disk.path("source"), disk.path(target)]).run().assert_silent();
            cached(&disk.path("source")) + cached(&disk.path(target))
        };
        let left = grown(&[], "durable");
        assert!(left <= LEN / 10, "{left} bytes of {LEN} are cached on {fs:?}");
        let left = grown(&["--sync", "none"], "prompt");
        assert!(left > LEN, "the page cache takes a copy that isn't synced: {left} bytes");
        assert_holds(&disk.path("durable"), 1, LEN);
    }
}
