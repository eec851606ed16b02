//! `highwater stress` on targets that do as they are told: what it reports, what it leaves, what it refuses.

use std::fs;
use std::path::Path;

use crate::support;
use crate::support::command::quoted;
use crate::support::report::{at, number, text};
use crate::support::*;
use nix::sys::resource::Resource;
use serde_json::Value;

const SIZE: u64 = 24 * MIB;
const BLOCK: u64 = 4096;

fn stress(engine: &str) -> Highwater {
    Highwater::stress().args(["--engine", engine, "--json", "-", "-q"])
}

/// All of `size` was checked and is good.
#[track_caller]
fn assert_all_good(report: &Value, size: u64) {
    for name in ["lost", "stale", "torn", "misdirected", "corrupt", "unreadable", "unsynced"] {
        assert_eq!(number(report, &format!("check.{name}")), 0, "{name}");
    }
    assert_eq!(number(report, "check.blocks"), size / BLOCK);
    assert_eq!(number(report, "check.good"), size / BLOCK);
    assert_eq!(text(report, "outcome"), "ok");
}

#[test]
fn a_directory_is_written_to_checked_and_left_as_it_was() {
    for engine in engines() {
        let dir = Scratch::new();
        fs::create_dir(dir.path("target")).unwrap();
        let outcome = stress(engine).args(["--size", "24M"]).arg(dir.path("target")).run();
        outcome.assert_silent();
        let report = outcome.json();
        assert_all_good(&report, SIZE);
        assert_eq!((text(&report, "command"), number(&report, "bytes")), ("stress", SIZE));
        assert_eq!(number(&report, "stress.rounds"), 1);
        let (peak, mark) =
            (number(&report, "flow.peak_in_flight_bytes"), number(&report, "flow.high_water_bytes"));
        assert!(peak <= mark, "{peak} of {mark}");
        let levels = at(&report, "stress.levels").as_array().unwrap();
        assert!(
            !levels.is_empty() && levels.iter().all(|level| number(level, "most_bytes") <= mark),
            "{report}"
        );
        assert_eq!(names(&dir.path("target")), Vec::<std::ffi::OsString>::new());
        assert_eq!(names(&dir.dir()), ["target"]);
    }
}

#[test]
fn it_goes_round_for_as_long_as_is_asked() {
    for engine in engines() {
        let dir = Scratch::new();
        let args = ["--size", "8M", "--for", "700ms", "--sync-every", "50ms"];
        let outcome = stress(engine).args(args).arg(dir.path("file")).run();
        outcome.assert_silent();
        let report = outcome.json();
        assert_all_good(&report, 8 * MIB);
        assert!(number(&report, "stress.rounds") > 1 && number(&report, "bytes") > 8 * MIB, "{report}");
        assert!(number(&report, "latency.sync.count") > 1);
        assert_eq!(names(&dir.dir()), Vec::<std::ffi::OsString>::new());
    }
}

#[test]
fn what_is_kept_can_be_checked_later_and_elsewhere() {
    for engine in engines() {
        let dir = Scratch::new();
        fs::create_dir(dir.path("mnt")).unwrap();
        let mnt = dir.path("mnt");
        stress(engine).args(["--size", "8M", "--keep"]).arg(&mnt).run().assert_silent();
        assert!(dir.path("mnt.highwater-state").exists());
        let outcome = stress(engine).arg("--check").arg(&mnt).run();
        outcome.assert_silent();
        assert_all_good(&outcome.json(), 8 * MIB);
        // Mounted somewhere else, with its state elsewhere.
        fs::rename(&mnt, dir.path("elsewhere")).unwrap();
        fs::rename(dir.path("mnt.highwater-state"), dir.path("state")).unwrap();
        let check = || stress(engine).arg("--check").arg("--state").arg(dir.path("state"));
        check().arg(dir.path("elsewhere")).run().assert_silent();
        let file = dir.path("elsewhere").join(&names(&dir.path("elsewhere"))[0]);
        // A block that is overwritten behind its back.
        let mut bytes = fs::read(&file).unwrap();
        bytes[5 * 4096..6 * 4096].fill(0);
        fs::write(&file, bytes).unwrap();
        let outcome = check().arg(dir.path("elsewhere")).run();
        outcome.assert_code(3);
        assert_eq!(number(&outcome.json(), "check.lost"), 1);
        assert_eq!(
            at(&outcome.json(), "check.ranges").to_string(),
            r#"[{"fault":"lost","length":4096,"offset":20480}]"#
        );
        let line = format!("{} at byte 20480: 4 KiB (1 blocks) lost", quoted(&file));
        assert!(outcome.stderr.contains(&line), "{}", outcome.stderr);
    }
}

#[test]
fn a_device_is_written_to_only_where_its_data_may_go() {
    need!(needs::loop_devices());
    let (device, dir) = (LoopDevice::new(16 * MIB), Scratch::new());
    let state = dir.path("state");
    for engine in engines() {
        let all = || stress(engine).arg("--state").arg(&state);
        let refused = all().arg(device.path()).run();
        refused.assert_usage(&["--destroy-data", &quoted(device.path())]);
        let without = stress(engine).arg("--destroy-data").arg(device.path()).run();
        without.assert_usage(&["--state FILE", &quoted(device.path())]);
        assert!(fs::read(device.path()).unwrap().iter().all(|byte| *byte == 0));
    }
    for engine in engines() {
        let args = ["--destroy-data", "--state"];
        let outcome = stress(engine).args(args).args([&state, device.path()]).run();
        outcome.assert_silent();
        assert_all_good(&outcome.json(), 16 * MIB);
        let again = stress(engine).args(["--check", "--state"]).args([&state, device.path()]).run();
        assert_all_good(&again.json(), 16 * MIB);
        // Of another run.
        let other = dir.path("other");
        stress(engine).args(args).args([&other, device.path()]).run().assert_silent();
        let wrong = stress(engine).args(["--check", "--state"]).args([&state, device.path()]).run();
        wrong.assert_failed(&["is the state of another run", &quoted(&state)]);
    }
}

#[test]
fn a_device_that_is_mounted_is_refused() {
    need_fs!(Fs::Ext4);
    let (disk, dir) = (LoopDisk::new(Fs::Ext4, 16 * MIB), Scratch::new());
    let args = ["--destroy-data", "--state"];
    let outcome = Highwater::stress().args(args).args([&dir.path("state"), disk.device().path()]).run();
    outcome.assert_failed(&["in use", &quoted(disk.device().path())]);
    assert!(!dir.path("state").exists());
}

#[test]
fn what_can_not_be_meant_is_refused_and_nothing_is_written() {
    let dir = Scratch::new();
    let target = dir.path("target");
    let usage = |args: &[&str], words: &[&str]| {
        Highwater::stress().args(args).arg(&target).run().assert_usage(words);
    };
    usage(&["--size", "100"], &["--size", "4096"]);
    usage(&["--size", "12Q"], &["--size", "12Q"]);
    usage(&["--for", "0s"], &["--for"]);
    usage(&["--sync-every", "0s"], &["--sync-every"]);
    usage(&["--block-size", "5000"], &["--block-size", "multiple of 4096"]);
    usage(&["--high-water", "1M", "--block-size", "2M"], &["--high-water"]);
    usage(&["--limit-rate", "0"], &["--limit-rate"]);
    usage(&["--manifest", "m"], &["--manifest"]);
    usage(&["--jobs", "2"], &["--jobs"]);
    usage(&["--json", "-", "--csv", "-"], &["standard output"]);
    usage(&["--check", "--size", "1M"], &["--check", "--size"]);
    usage(&["--simulat"], &["--simulat"]);
    Highwater::stress().run().assert_usage(&["<TARGET>"]);
    assert_eq!(names(&dir.dir()), Vec::<std::ffi::OsString>::new());
}

#[test]
fn sizes_states_and_targets_that_do_not_fit_are_told_and_nothing_is_left() {
    let dir = Scratch::new();
    let state = dir.path("state");
    let check =
        |target: &Path| Highwater::stress().arg("--check").arg("--state").args([&state, target]).run();
    Highwater::stress()
        .args(["--size", "1000T"])
        .arg(dir.dir())
        .run()
        .assert_failed(&["1000 TiB", "No space"]);
    Highwater::stress().arg(dir.path("no/such")).run().assert_failed(&["No such file"]);
    assert_eq!(names(&dir.dir()), Vec::<std::ffi::OsString>::new());
    Highwater::stress()
        .arg("--check")
        .arg(dir.path("never"))
        .run()
        .assert_failed(&["No such file", "never.highwater-state"]);

    write_file(&dir.path("file"), 1, MIB);
    Highwater::stress().arg(dir.path("file")).run().assert_usage(&["--destroy-data"]);
    let beyond = ["--destroy-data", "--size", "2M"];
    Highwater::stress().args(beyond).arg(dir.path("file")).run().assert_usage(&["1048576 bytes", "2097152"]);
    fs::write(&state, b"a letter to my aunt").unwrap();
    check(&dir.path("file")).assert_failed(&["is no state", &quoted(&state)]);
    let over =
        Highwater::stress().args(["--destroy-data", "--state"]).args([&state, &dir.path("file")]).run();
    over.assert_failed(&["is no state", &quoted(&state)]);
    assert_eq!(fs::read(&state).unwrap(), b"a letter to my aunt");
    assert_holds(&dir.path("file"), 1, MIB);

    let mut of_version_9 = b"HWSTRESS".to_vec();
    of_version_9.extend(9u32.to_le_bytes());
    of_version_9.resize(16384, 0);
    fs::write(&state, of_version_9).unwrap();
    check(&dir.path("file")).assert_failed(&["version 9"]);
    fs::remove_file(&state).unwrap();

    stress("auto")
        .args(["--size", "1M", "--keep", "--state"])
        .args([&state, &dir.path("kept")])
        .run()
        .assert_silent();
    let again = Highwater::stress().args(["--size", "1M", "--state"]).args([&state, &dir.path("new")]).run();
    again.assert_failed(&["an earlier run", &quoted(&state)]);
    assert!(!dir.path("new").exists());
    fs::File::options().write(true).open(dir.path("kept")).unwrap().set_len(8192).unwrap();
    check(&dir.path("kept")).assert_failed(&["8192", "1048576"]);
    let mut damaged = fs::read(&state).unwrap();
    damaged[40] ^= 1;
    damaged[8192 + 40] ^= 1;
    fs::write(&state, damaged).unwrap();
    check(&dir.path("kept")).assert_failed(&["damaged"]);
}

/// What smartctl 7.3 says of a SATA disk by `--json --info --health --attributes`, at so many degrees, with so many
/// reallocated sectors; shortened in its tables.
fn smartctl_says(celsius: u64, reallocated: u64) -> String {
    format!(
        r#"{{"json_format_version":[1,0],
"smartctl":{{"version":[7,3],"svn_revision":"5338","argv":["smartctl","--json"],"exit_status":0}},
"device":{{"name":"/dev/sda","info_name":"/dev/sda [SAT]","type":"sat","protocol":"ATA"}},
"model_name":"WDC WD40EFRX-68N32N0","user_capacity":{{"blocks":7814037168,"bytes":4000787030016}},
"smart_status":{{"passed":true}},
"ata_smart_attributes":{{"revision":16,"table":[
{{"id":1,"name":"Raw_Read_Error_Rate","value":200,"worst":200,"thresh":51,"raw":{{"value":0,"string":"0"}}}},
{{"id":5,"name":"Reallocated_Sector_Ct","value":200,"worst":200,"thresh":140,"raw":{{"value":{reallocated},"string":"{reallocated}"}}}},
{{"id":197,"name":"Current_Pending_Sector","value":200,"worst":200,"thresh":0,"raw":{{"value":0,"string":"0"}}}}]}},
"power_on_time":{{"hours":26504}},"temperature":{{"current":{celsius}}}}}
"#
    )
}

/// A program called smartctl that notes what it is asked, and answers by `script`.
fn put_smartctl(dir: &Scratch, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(dir.path("bin")).unwrap();
    let path = dir.path("bin/smartctl");
    fs::write(&path, format!("#!/bin/sh\ncd {}\necho \"$*\" >>asked\n{script}\n", dir.dir().display()))
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn temperature_and_smart_are_told_before_and_after_where_smartctl_is_there() {
    need!(needs::loop_devices());
    let (device, dir) = (LoopDevice::new(8 * MIB), Scratch::new());
    let args = ["--destroy-data", "--json", "report.json", "--state", "state"];
    let lean = |path: &str| {
        let lean = Highwater::stress().args(args).arg(device.path()).current_dir(dir.dir()).env("PATH", path);
        let outcome = lean.run();
        outcome.assert_ok();
        let report: Value = serde_json::from_slice(&fs::read(dir.path("report.json")).unwrap()).unwrap();
        (String::from_utf8(outcome.stdout).unwrap(), report)
    };
    let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", dir.path("bin").display());
    fs::write(dir.path("before"), smartctl_says(31, 8)).unwrap();
    fs::write(dir.path("after"), smartctl_says(44, 9)).unwrap();
    put_smartctl(&dir, "if [ -e been ]; then cat after; else cat before; touch been; fi");
    let (text, report) = lean(&path);
    let line = "31 °C before, 44 °C after; SMART passed; Reallocated_Sector_Ct 8 -> 9";
    assert!(text.lines().any(|told| told.starts_with("health") && told.ends_with(line)), "{text}");
    let health = |celsius, reallocated| {
        serde_json::json!({"temperature_celsius": celsius, "passed": true,
            "troubles": {"Reallocated_Sector_Ct": reallocated}})
    };
    assert_eq!(at(&report, "stress.health_before"), &health(31, 8));
    assert_eq!(at(&report, "stress.health_after"), &health(44, 9));
    let asked = format!("--json --info --health --attributes {}\n", device.path().display());
    assert_eq!(fs::read_to_string(dir.path("asked")).unwrap(), asked.repeat(2));

    // A device that it knows nothing of: exit status 1, and this.
    let unknown = r#"{"json_format_version":[1,0],"smartctl":{"version":[7,3],"messages":[{"string":"/dev/loop0: Unable to
detect device type","severity":"error"}],"exit_status":1}}"#;
    put_smartctl(&dir, &format!("echo '{}'; exit 1", unknown.replace('\n', " ")));
    let (text, report) = lean(&path);
    assert!(text.contains("health        unknown: the device has none that smartctl can read\n"), "{text}");
    assert_eq!(at(&report, "stress.health_before"), &Value::Null);
    put_smartctl(&dir, "kill -9 $$");
    assert!(lean(&path).0.contains("health        unknown: the device has none that smartctl can read\n"));
    if !["/usr/sbin/smartctl", "/sbin/smartctl"].iter().any(|path| Path::new(path).exists()) {
        let (text, _) = lean("/usr/bin:/bin:/usr/sbin:/sbin");
        assert!(
            text.contains("health        unknown: smartctl (smartmontools) is not installed\n"),
            "{text}"
        );
    }
}

#[test]
fn without_a_size_most_of_what_is_free_is_used_and_a_reserve_stays() {
    need_fs!(Fs::Ext4);
    // Half of little, all but 64 MiB of more.
    for (disk, reserve) in [(48 * MIB, None), (192 * MIB, Some(64 * MIB))] {
        let disk = LoopDisk::new(Fs::Ext4, disk);
        let free = nix::sys::statvfs::statvfs(&disk.dir()).unwrap();
        let free = free.blocks_available() * free.fragment_size();
        let report = stress("auto").arg(disk.dir()).run().assert_silent().json();
        let (size, wanted) = (number(&report, "stress.size_bytes"), free - reserve.unwrap_or(free / 2));
        // The name of the file takes a block of its own at most.
        assert!(size.abs_diff(wanted) <= 2 * BLOCK, "{size} of {free}");
        assert_all_good(&report, size);
        assert_eq!(names(&disk.dir()), ["lost+found"]);
    }
}

#[test]
fn where_a_file_ends_before_the_disk_does_a_larger_one_is_refused_and_none_asked_for_is_as_long_as_can_be() {
    need!(needs::loop_devices());
    // ext2 with blocks of 1 KiB has files of 16 GiB at most, as FAT has some of 4 GiB.
    let device = LoopDevice::new(20 << 30);
    support::disk::system("mkfs.ext2", &["-Fq", "-b", "1024", "-N", "64", device.path().to_str().unwrap()]);
    let mount = support::disk::Mount::new(&["-t", "ext2", device.path().to_str().unwrap()]);
    let refused = Highwater::stress().args(["--size", "17G"]).arg(mount.dir()).run();
    refused.assert_usage(&["can have no more than 17247252480 bytes", "18253611008", "--destroy-data"]);
    assert_eq!(names(&mount.dir()), ["lost+found"]);
    let dir = Scratch::new();
    let lean = || {
        Highwater::stress().args(["--json", "-"]).limit(Resource::RLIMIT_FSIZE, 8 * MIB + 1).arg(dir.dir())
    };
    lean().args(["--size", "9M"]).run().assert_usage(&["can have no more than 8388609 bytes", "9437184"]);
    let outcome = lean().run();
    outcome.assert_ok();
    let report = outcome.json();
    assert_all_good(&report, 8 * MIB);
    assert!(outcome.stderr.contains("no more than 8 MiB are used"), "{}", outcome.stderr);
    assert!(text(&report, "notes.0").contains("no more than 8 MiB are used"), "{report}");
    assert_eq!(names(&dir.dir()), Vec::<std::ffi::OsString>::new());
}
