//! What bench refuses, and what it says and leaves behind when something goes wrong.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::support;
use crate::support::command::BINARY;
use crate::support::disk::system;
use crate::support::report::{at, number, text};
use crate::support::{
    Fault, FaultyDisk, Fs, Highwater, LoopDevice, MIB, Nbd, On, Pause, Scratch, Tmpfs, engines,
};

fn quick() -> Highwater {
    Highwater::bench().args(["--for", "200ms", "--size", "8M"])
}

fn quick_of(workload: &str) -> Highwater {
    Highwater::bench().args(["--for", "200ms", "--workload", workload])
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_touched() {
    let scratch = Scratch::new();
    let cases: [(&[&str], &str); 33] = [
        (&["--rate", "0"], "--rate must be larger than 0"),
        (&["--rate", "fast"], "a rate is operations a second: 500/s, 1.5K/s"),
        (&["--for", "0"], "--for must be larger than 0"),
        (&["--for", "5"], "a unit is missing at character 2"),
        (&["--depth", "0"], "--depth must be larger than 0"),
        (&["--depth", "1025"], "--depth may be at most 1024"),
        (&["--block-size", "0"], "--block-size must be larger than 0"),
        (&["--block-size", "65M"], "--block-size may be at most 64 MiB"),
        (&["--block-size", "64M", "--depth", "17"], "--buffers times --block-size may be at most 1 GiB"),
        (&["--buffers", "0"], "--buffers must be larger than 0"),
        (&["--buffers", "4", "--depth", "8"], "--buffers (4) are fewer than --depth (8) needs (8)"),
        (&["--workload", "mixed:50", "--buffers", "15", "--depth", "8"], "--depth (8) needs (16)"),
        (&["--high-water", "2K", "--block-size", "4K"], "(2 KiB) must be at least --block-size (4 KiB)"),
        (
            &["--high-water", "64K", "--depth", "8"],
            "--high-water (64 KiB) is more than --depth times --block-size (32 KiB)",
        ),
        (&["--high-water", "64K", "--low-water", "64K"], "(64 KiB) must be below --high-water (64 KiB)"),
        (&["--high-water", "auto"], "--sweep measures one depth after the other"),
        (&["--sweep", "--low-water", "4K"], "below any --low-water"),
        (&["--limit-rate", "0"], "--limit-rate must be larger than 0"),
        (
            &["--limit-rate", "4M/s", "--rate", "2K/s"],
            "--rate times --block-size (7.81 MiB/s) is more than --limit-rate (4.00 MiB/s)",
        ),
        (&["--sweep", "--rate", "1K/s", "--limit-rate", "1G"], "--sweep raises the rate"),
        (&["--jobs", "2"], "--jobs is of copies"),
        (&["--size", "1K"], "--size must be at least --block-size"),
        (&["--sync-every", "0", "--workload", "write"], "--sync-every must be larger than 0"),
        (&["--sync-every", "5"], "--sync-every needs a workload that writes"),
        (&["--workload", "mixed:100"], "mixed:PCT is reads in a hundred, 1 to 99"),
        (&["--workload", "rnadread"], "possible: read, write, randread, randwrite, mixed:PCT"),
        (&["--arrival", "poisson"], "--rate"),
        (&["--goal", "p99=5ms"], "--sweep"),
        (&["--sweep", "--goal", "p99.5=5ms"], "no percentile is called 'p99.5'; known: p50, p90, p99, p99.9"),
        (&["--sweep", "--goal", "p99"], "a goal is PERCENTILE=TIME: p99=5ms"),
        (&["--sweep", "--goal", "p99=5"], "a unit is missing at character 2"),
        (&["--sweep", "--hlog", "l"], "--sweep is of many loads"),
        (&["--manifest", "m"], "--manifest is of files that are copied"),
    ];
    for (args, words) in cases {
        let outcome = Highwater::bench().args(args).arg(scratch.dir()).run();
        outcome.assert_usage(&[words]);
        assert_eq!(outcome.stdout, b"", "{args:?}");
    }
    Highwater::bench().run().assert_usage(&["<TARGET>"]);
    assert_eq!(fs::read_dir(scratch.dir()).unwrap().count(), 0);
}

#[test]
fn outputs_go_to_different_places_and_never_over_the_target() {
    let scratch = Scratch::new();
    fs::write(scratch.path("target"), vec![b'x'; MIB as usize]).unwrap();
    fs::write(scratch.path("old"), "old").unwrap();
    fs::hard_link(scratch.path("old"), scratch.path("again")).unwrap();
    for (outputs, words) in [
        (["--json", "new", "--csv", "./new"], "--json and --csv can't both go to './new'"),
        (["--hlog", "old", "--html", "again"], "--hlog and --html can't both go to 'again'"),
        (["--hgrm", "free", "--metrics", "target"], "--metrics would write over 'target'"),
    ] {
        let command = quick().args(outputs).arg("target").current_dir(scratch.dir());
        command.run().assert_usage(&[words]);
    }
    let copy = Highwater::copy().args(["--json", "target", "target", "copy"]).current_dir(scratch.dir());
    copy.run().assert_usage(&["--json would write over 'target'"]);
    assert_eq!(support::names(&scratch.dir()), ["again", "old", "target"]);
    assert_eq!(fs::read(scratch.path("old")).unwrap(), b"old");
    assert_eq!(fs::metadata(scratch.path("target")).unwrap().len(), MIB);
    let nowhere = quick().args(["--json", "/dev/null", "--csv", "/dev/null"]).arg(scratch.dir());
    nowhere.run().assert_ok();
}

#[test]
fn an_output_that_cannot_be_written_on_is_told_and_the_run_goes_on() {
    need_root!();
    // Two pages, and each output wants more than one.
    let (scratch, disk) = (Scratch::new(), Tmpfs::new(8 << 10));
    let path = |name: &str| disk.dir().join(name);
    let mut command = Highwater::bench().args(["--for", "2s", "--interval", "10ms", "--size", "8M", "-q"]);
    for output in ["hlog", "csv", "metrics"] {
        command = command.arg(format!("--{output}")).arg(path(output));
    }
    let outcome = command.args(["--json", "-"]).arg(scratch.dir()).run();
    let full = |output: &str, end: &str| {
        format!("cannot write '{}': No space left on device{end}", path(output).display())
    };
    let early = "; it ends early";
    let report = outcome.assert_code(1).json();
    for message in [full("hlog", early), full("csv", early), full("metrics", "")] {
        assert!(outcome.stderr.lines().any(|line| line.ends_with(&message)), "{}", outcome.stderr);
    }
    assert_eq!(text(&report, "outcome"), "ok");
    assert!(at(&report, "intervals").as_array().unwrap().len() >= 100, "{report}");
}

#[test]
fn a_file_truncated_under_a_run_ends_it_and_is_told_so() {
    let scratch = Scratch::new();
    let file = scratch.path("target");
    for engine in engines() {
        fs::write(&file, vec![b'x'; MIB as usize]).unwrap();
        let args = ["--json", "-", "-q", "--for", "30s", "--rate", "500", "--engine", engine];
        let mut running = Highwater::bench().args(args).arg(&file).start();
        running.wait_until_it_handles(nix::sys::signal::Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(300));
        fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
        let outcome = running.wait();
        let words = ["ended at byte ", ", before its 1048576 bytes: it was truncated while being measured"];
        outcome.assert_failed(&words);
        let report = outcome.json();
        assert_eq!(text(&report, "outcome"), "failed");
        assert!(number(&report, "latency.read.count") > 0, "{report}");
        assert!(at(&report, "elapsed_s").as_f64().unwrap() < 20.0, "{report}");
    }
}

#[test]
fn no_room_for_the_scratch_file_is_told_with_its_size() {
    need_root!();
    let disk = Tmpfs::new(16 * MIB);
    let outcome = Highwater::bench().args(["--size", "32M"]).arg(disk.dir()).run();
    let directory = support::command::quoted(&disk.dir());
    let words = format!("cannot make a scratch file of 32 MiB in {directory}: No space left on device");
    outcome.assert_failed(&[&words, "make it smaller by --size"]);
    system("mount", &["-o", "remount,ro", disk.dir().to_str().unwrap()]);
    let words = format!("cannot make a scratch file in {directory}: Read-only file system");
    quick().arg(disk.dir()).run().assert_failed(&[&words]);
}

#[test]
fn a_directory_that_is_not_ones_own_is_told() {
    need_root!();
    let scratch = Scratch::new();
    let directory = support::command::quoted(&scratch.dir());
    for workload in ["randread", "copy:/dev/null"] {
        let bench = quick_of(workload).by_a_plain_user().arg(scratch.dir());
        let words = format!("cannot make a scratch file in {directory}: Permission denied");
        bench.run().assert_failed(&[&words]);
    }
    assert_eq!(support::names(&scratch.dir()), [""; 0]);
}

#[test]
fn no_room_for_a_copy_is_told_and_nothing_is_left() {
    need_root!();
    let (scratch, disk) = (Scratch::new(), Tmpfs::new(4 * MIB));
    fs::write(scratch.path("source"), vec![7; 8 * MIB as usize]).unwrap();
    let workload = format!("copy:{}", scratch.path("source").display());
    let outcome = Highwater::bench().args(["--workload", &workload, "--json", "-"]).arg(disk.dir()).run();
    let report = outcome.assert_code(1).json();
    assert!(outcome.stderr.contains(": No space left on device"), "{}", outcome.stderr);
    assert_eq!((text(&report, "outcome"), text(&report, "errors.0.errno")), ("failed", "ENOSPC"));
    assert_eq!(support::names(&disk.dir()), [""; 0]);
}

#[test]
fn a_signal_while_the_scratch_file_is_made_leaves_none() {
    need_fuse!();
    for engine in engines() {
        // 8 MiB in writes of 128 KiB: minutes.
        let disk = FaultyDisk::new([Fault::Slow(On::Write, Duration::from_secs(2))]);
        let mut running = quick().args(["--engine", engine, "--json", "-"]).arg(disk.dir()).start();
        support::wait_for("the scratch file", || !disk.names().is_empty());
        running.wait_until_it_handles(nix::sys::signal::Signal::SIGINT);
        running.signal(nix::sys::signal::Signal::SIGINT);
        let outcome = running.wait();
        outcome.assert_code(130);
        let said = "highwater: stopped before anything was measured; no scratch file is left\n";
        assert_eq!((outcome.stderr.as_str(), &outcome.stdout[..]), (said, &b""[..]));
        assert_eq!(disk.names(), Vec::<std::ffi::OsString>::new());
    }
}

#[test]
fn a_signal_ends_copies_with_a_report_and_leaves_none() {
    let scratch = Scratch::new();
    fs::write(scratch.path("source"), vec![7; 2 * MIB as usize]).unwrap();
    fs::create_dir(scratch.path("target")).unwrap();
    let workload = format!("copy:{}", scratch.path("source").display());
    let args = ["--json", "-", "-q", "--for", "60s", "--limit-rate", "1M", "--block-size", "64K"];
    let mut running =
        Highwater::bench().args(args).args(["--workload", &workload]).arg(scratch.path("target")).start();
    running.wait_until_it_handles(nix::sys::signal::Signal::SIGINT);
    support::wait_for("a copy", || !support::names(&scratch.path("target")).is_empty());
    std::thread::sleep(Duration::from_millis(300));
    running.signal(nix::sys::signal::Signal::SIGINT);
    let report = running.wait().assert_code(130).json();
    assert_eq!(text(&report, "outcome"), "interrupted");
    assert_eq!(support::names(&scratch.path("target")), [""; 0]);
}

#[test]
fn what_exists_is_not_written_over_unless_that_is_permitted() {
    need!(support::needs::loop_devices());
    let scratch = Scratch::new();
    let (file, device) = (scratch.path("file"), LoopDevice::new(MIB));
    fs::write(&file, vec![b'x'; MIB as usize]).unwrap();
    for target in [&file, device.path()] {
        let write = || Highwater::bench().args(["--for", "100ms", "--workload", "randwrite"]).arg(target);
        write().run().assert_failed(&["exists, and what it holds would be written over", "--destroy-data"]);
        write().arg("--destroy-data").run().assert_ok();
        Highwater::bench().args(["--for", "100ms"]).arg(target).run().assert_ok();
    }
    let gone = scratch.path("gone");
    quick().arg(&gone).run().assert_failed(&["cannot stat", "No such file or directory"]);
    quick().arg("/dev/null").run().assert_failed(&["is neither a file nor a directory nor a block device"]);
    let size = ["--size", "2M", "--for", "100ms"];
    Highwater::bench()
        .args(size)
        .arg(&file)
        .run()
        .assert_failed(&["has 1048576 bytes, fewer than the 2097152"]);
}

#[test]
fn a_file_system_is_not_written_over_even_with_permission() {
    need_fs!(Fs::Ext4);
    let device = LoopDevice::new(16 * MIB);
    system("mkfs.ext4", &["-Fq", device.path().to_str().unwrap()]);
    let before = fs::read(device.path()).unwrap();
    let args = ["--for", "100ms", "--workload", "write", "--destroy-data"];
    let refused = Highwater::bench().args(args).arg(device.path()).run();
    refused.assert_failed(&["holds ext4, and is not written over even with --destroy-data"]);
    // Where wipefs is missing nobody knows.
    let hidden = format!(
        "mount -t tmpfs none /usr/sbin; mount --bind /usr/sbin /sbin; exec {BINARY} bench {} {}",
        args.join(" "),
        device.path().display()
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &hidden]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("wipefs (util-linux) is not installed"), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
    assert!(before == fs::read(device.path()).unwrap(), "nothing was written");
}

#[test]
fn a_target_that_vanishes_ends_the_run_with_a_report() {
    need_nbd!();
    for engine in engines() {
        let mut nbd = Nbd::new(["memory", "16M"]);
        let args = ["--json", "-", "-q", "--for", "30s", "--rate", "200", "--engine", engine];
        let mut running = Highwater::bench().args(args).arg(nbd.file()).start();
        running.wait_until_it_handles(nix::sys::signal::Signal::SIGINT);
        std::thread::sleep(Duration::from_secs(1));
        nbd.kill();
        let outcome = running.wait();
        outcome.assert_failed(&["error reading ", " at byte "]);
        let report = outcome.json();
        assert_eq!(text(&report, "outcome"), "failed");
        assert_eq!(at(&report, "errors")[0]["op"], "read");
        assert!(number(&report, "latency.read.count") > 20, "{report}");
        assert!(at(&report, "elapsed_s").as_f64().unwrap() < 15.0, "{report}");
    }
}

#[test]
fn what_hangs_to_the_end_is_told_with_its_age() {
    need_nbd!();
    let scratch = Scratch::new();
    let socket = scratch.path("pause");
    let control = format!("pause-control={}", socket.display());
    let nbd = Nbd::new(["--filter=pause", "memory", "16M", &control]);
    let mut pause = Pause::at(&socket);
    let json = scratch.path("report.json");
    let args = ["-q", "--for", "2s", "--rate", "100", "--depth", "4"];
    let mut running = Highwater::bench().args(args).arg("--json").arg(&json).arg(nbd.file()).start();
    running.wait_until_it_handles(nix::sys::signal::Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(500));
    pause.pause();
    support::wait_for("the report", || fs::read(&json).is_ok_and(|report| report.ends_with(b"\n")));
    pause.resume();
    let outcome = running.wait();
    // They are waited for 10 s at its end, and were out before.
    outcome.assert_failed(&["4 operations were still out at the end, the oldest for 1"]);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(text(&report, "outcome"), "failed");
    assert_eq!(number(&report, "load.outstanding_operations"), 4);
    let age = at(&report, "load.outstanding_oldest_s").as_f64().unwrap();
    assert!((10.0..20.0).contains(&age), "{age}");
    assert_eq!(number(&report, "latency.read.max_ns") / 1_000_000_000, age as u64);
    let (done, waiting) = (number(&report, "load.operations"), number(&report, "load.waiting_operations"));
    assert_eq!((number(&report, "response.read.count"), done + waiting + 4), (200, 200), "{report}");
}
