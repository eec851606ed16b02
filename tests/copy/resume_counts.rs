//! What `--resume` and its journal cost, counted: bytes that are copied twice, what is still done after a
//! signal, and what is done last of all.

use std::fs;

use crate::support::report::number;
use crate::support::trace::traced;
use crate::support::tree::{Fingerprint, Tree, assert_same};
use crate::support::*;
use nix::sys::signal::Signal;

/// What may be copied twice for each kill: the ring, and what comes between two records.
const TWICE: u64 = 4 * MIB + 64 * MIB;

#[test]
fn no_more_than_the_ring_and_one_interval_is_copied_twice() {
    need!(needs::loop_devices());
    const LEN: u64 = 256 * MIB;
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, LEN);
    let mut kills = 0;
    for done in [LEN / 3, LEN / 2, LEN * 2 / 3, LEN * 4 / 5] {
        let device = LoopDevice::new(LEN);
        let journal = dir.path("journal");
        let copy = || {
            let copy = bounded_copy().args(["--resume", "--json", "-", "--journal"]).arg(&journal);
            copy.arg(dir.path("source")).arg(device.path())
        };
        let before = device.written_bytes();
        // At full speed, so that a round has much to record.
        let mut running = copy().start();
        wait_for("so much to be written", || running.has_ended() || device.written_bytes() - before >= done);
        if running.has_ended() {
            continue;
        }
        running.signal(Signal::SIGKILL);
        running.wait();
        kills += 1;
        let written = device.written_bytes() - before;
        let report = copy().run().json();
        let believed = number(&report, "resumed.believed_bytes");
        assert!(believed > 0 && written <= believed + TWICE, "{written} bytes written, {believed} believed");
        assert_eq!(number(&report, "bytes") + believed, LEN);
        assert_holds(device.path(), 1, LEN);
    }
    assert!(kills > 0, "each was faster than it could be killed");
}

/// What a file system writes of its own: its journal, its tables.
const OVERHEAD: u64 = 16 * MIB;

#[test]
fn of_a_tree_no_more_than_the_ring_and_one_interval_is_copied_twice() {
    need_fs!(Fs::Ext4);
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("source"));
    (0..20).for_each(|nth| drop(tree.dir(format!("d{nth}"))));
    let mut len = 0;
    let mut add = |name: String, seed: u64, more: u64| {
        tree.file(name, bytes(seed, more));
        more
    };
    for nth in 0..20 {
        len += add(format!("d{nth}/large"), nth, 8 * MIB + nth);
        (0..20).for_each(|file| len += add(format!("d{nth}/{file}"), 100 * nth + file, 20 * KIB + file));
    }
    tree.built();
    let mut kills = 0;
    for done in [len / 2, len * 4 / 5] {
        let disk = LoopDisk::new(Fs::Ext4, 640 * MIB);
        let copy = || {
            let copy = bounded_copy().args(["-r", "--resume", "--json", "-"]);
            copy.arg(dir.path("source")).arg(disk.path("target"))
        };
        let sync = || disk::system("sync", &["-f", disk.dir().to_str().unwrap()]);
        sync();
        let before = disk.device().written_bytes();
        let written = || disk.device().written_bytes() - before;
        let mut running = copy().start();
        wait_for("so much to be written", || running.has_ended() || written() >= done);
        if running.has_ended() {
            running.wait().assert_ok();
            continue;
        }
        running.signal(Signal::SIGKILL);
        running.wait();
        kills += 1;
        // All that the killed one had written comes to the disk.
        sync();
        let written = written();
        let outcome = copy().run();
        let report = outcome.assert_ok().json();
        let believed = number(&report, "resumed.believed_bytes");
        let most = believed + TWICE + OVERHEAD;
        assert!(written <= most, "{written} bytes written, {believed} believed");
        assert_eq!(number(&report, "bytes") + believed, len, "each byte was copied or believed");
        let (got, want) = (Fingerprint::of(&disk.path("target")), Fingerprint::of(&dir.path("source")));
        assert_same(
            &got.without(&["atime", "mtime", "data"]),
            &want.without(&["atime", "mtime", "data"]),
            "",
        );
    }
    assert!(kills > 0, "each was faster than it could be killed");
}

/// How quick an exit is on a healthy disk is a matter of how much is still done there: no more than was
/// in flight, and what the journal's last words take.
#[test]
fn after_a_signal_the_ring_is_written_and_the_journal_made_durable_and_nothing_else() {
    need_fuse!();
    const RING: u64 = 8 * 128 * KIB;
    // A round that goes on and the last one, of three syncs each, and the file of the first.
    const SYNCS: u64 = 8;
    for engine in engines() {
        for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
            let disk = FaultyDisk::new([Fault::Slow(On::Write, std::time::Duration::from_millis(20))]);
            let dir = Scratch::new();
            write_file(&dir.path("source"), 1, 64 * MIB);
            let copy = || {
                let copy = bounded_copy().args(["--engine", engine, "--resume", "--json", "-"]);
                let copy = copy.args(["--block-size", "128K", "--buffers", "8"]);
                copy.arg(dir.path("source")).arg(disk.path("target"))
            };
            let mut running = copy().start();
            wait_for("some bytes", || disk.written_bytes() > 4 * MIB);
            let before = (disk.written_bytes(), disk.fsyncs());
            running.signal(signal);
            running.wait().assert_code(code);
            let (written, syncs) = (disk.written_bytes() - before.0, disk.fsyncs() - before.1);
            println!("{engine} {signal}: {written} bytes and {syncs} syncs after the signal");
            // It takes a moment to arrive: as much again.
            assert!(written <= 2 * RING, "{engine} {signal}: {written} bytes after the signal");
            assert!((1..=SYNCS).contains(&syncs), "{engine} {signal}: {syncs} syncs after the signal");
            disk.set_faults([]);
            let report = copy().run().assert_ok().json();
            let believed = number(&report, "resumed.believed_bytes");
            assert!(
                believed + 2 * RING >= before.0 - before.0 % RING,
                "{believed} of {} were safe",
                before.0
            );
            assert_eq!(number(&report, "bytes") + believed, 64 * MIB);
            assert_bytes(&disk.get("target").unwrap(), &bytes(1, 64 * MIB));
            assert_eq!(disk.names(), ["target"]);
        }
    }
}

/// Who is killed before it can run the same command again; after it, that would be another copy, into
/// the directory that is there by then.
#[test]
fn the_journal_goes_when_nothing_else_is_left_to_do() {
    need_tool!("strace");
    let dir = Scratch::new();
    fs::create_dir(dir.path("source")).unwrap();
    write_file(&dir.path("source/file"), 1, 3 * MIB);
    for options in [&[][..], &["--atomic"], &["--verify", "--manifest", "sums"]] {
        let (outcome, calls) = traced("write,openat,unlink,unlinkat,renameat,renameat2,fsync", |copy| {
            let copy = copy.args(["-r", "--resume", "--json", "report", "-v"]).args(options);
            copy.args(["source", "target"]).current_dir(dir.dir())
        });
        outcome.assert_ok();
        let last = calls.iter().max_by_key(|call| call.ended).unwrap();
        assert_eq!((last.name.as_str(), last.last_name()), ("unlink", "./.target.highwater-journal"));
        assert_holds(&dir.path("target/file"), 1, 3 * MIB);
        fs::remove_dir_all(dir.path("target")).unwrap();
    }
}
