//! What can't be meant or can't be done: each with its exit code (2 for a wrong command line, 1 for
//! a failure), a message that names the path and the kernel's reason, and nothing harmed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::command::{binary_for_everyone, quoted};
use crate::support::*;
use nix::sys::resource::Resource;

/// A wrong command line: exit 2, the words on stderr, an existing target untouched, no new one.
#[track_caller]
fn check_usage(options: &[&str], words: &[&str]) {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 70_000);
    write_file(&dir.path("old"), 2, 50_000);
    for target in ["old", "new"] {
        let copy = Highwater::copy().current_dir(dir.dir()).args(options).args(["source", target]);
        copy.run().assert_usage(words);
    }
    assert_eq!(names(&dir.dir()), ["old", "source"]);
    assert_holds(&dir.path("old"), 2, 50_000);
}

#[test]
fn a_low_water_mark_not_below_the_high_one_is_refused() {
    check_usage(&["--low-water", "2MiB", "--high-water", "1MiB"], &["--low-water", "--high-water"]);
    check_usage(&["--low-water", "1MiB", "--high-water", "1MiB"], &["--low-water", "--high-water"]);
}

#[test]
fn a_block_larger_than_the_mark_is_refused() {
    check_usage(&["--block-size", "2MiB", "--high-water", "1MiB"], &["--block-size", "--high-water"]);
}

#[test]
fn a_mark_above_the_ring_is_refused() {
    let ring = ["--block-size", "64KiB", "--buffers", "4", "--high-water", "1MiB"];
    check_usage(&ring, &["--high-water", "--buffers"]);
}

#[test]
fn sizes_of_zero_are_refused() {
    for option in ["--block-size", "--buffers", "--high-water", "--limit-rate"] {
        check_usage(&[option, "0"], &[option]);
    }
}

#[test]
fn negative_sizes_are_refused() {
    for option in ["--block-size", "--buffers", "--high-water", "--low-water", "--limit-rate"] {
        check_usage(&[&format!("{option}=-1")], &[option, "-1"]);
    }
}

#[test]
fn sizes_that_are_none_are_refused_and_repeated() {
    for size in ["5 MiBB", "MiB", "", "1e3x", "99999999999999999999", "16EiB", "1.5.2M", "ten"] {
        check_usage(&["--high-water", size], &["--high-water", size]);
    }
}

#[test]
fn words_that_are_none_are_refused_and_repeated() {
    for option in ["--direct", "--engine", "--sparse", "--reflink", "--sync", "--progress"] {
        check_usage(&[&format!("{option}=perhaps")], &[option, "perhaps"]);
    }
    check_usage(&["--no-such-option"], &["--no-such-option"]);
}

#[test]
fn a_command_line_without_source_or_target_is_refused() {
    Highwater::copy().run().assert_usage(&[]);
    Highwater::copy().arg("source").run().assert_usage(&[]);
}

#[test]
fn a_missing_source_is_named() {
    let dir = Scratch::new();
    let (source, target) = (dir.path("missing"), dir.path("target"));
    let outcome = Highwater::copy().args([&source, &target]).run();
    outcome.assert_failed(&[&quoted(&source), "No such file or directory"]);
    assert_eq!(names(&dir.dir()), [""; 0]);
    write_file(&target, 1, 5000);
    Highwater::copy().args([&source, &target]).run().assert_failed(&[&quoted(&source)]);
    assert_holds(&target, 1, 5000);
    let outcome = Highwater::copy().arg("").arg(&target).run();
    outcome.assert_failed(&["''", "No such file or directory"]);
    assert_holds(&target, 1, 5000);
}

#[test]
fn a_missing_source_whose_name_is_not_utf_8_is_named() {
    let dir = Scratch::new();
    let source = dir.dir().join(OsStr::from_bytes(b"missing-\xff-name"));
    let outcome = Highwater::copy().args(["--json", "-"]).args([&source, &dir.path("target")]).run();
    outcome.assert_failed(&["missing-", "-name", "No such file or directory"]);
    let report = outcome.json();
    assert_eq!(report::text(&report, "outcome"), "failed");
    let hex: String = source.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report::text(&report, "errors.0.path_bytes").to_lowercase(), hex);
    assert_eq!(report::text(&report, "errors.0.path"), source.to_string_lossy());
}

#[test]
fn an_unreadable_source_is_named() {
    need_root!();
    let (dir, binary) = binary_for_everyone();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    write_file(&source, 1, 5000);
    fs::set_permissions(&source, PermissionsExt::from_mode(0o600)).unwrap();
    let copy = || Highwater::binary(&binary).arg("copy").args([&source, &target]).by_a_plain_user();
    copy().run().assert_failed(&[&quoted(&source), "Permission denied"]);
    assert!(!target.exists());
    write_file(&target, 2, 7000);
    fs::set_permissions(&target, PermissionsExt::from_mode(0o666)).unwrap();
    copy().run().assert_failed(&[&quoted(&source), "Permission denied"]);
    assert_holds(&target, 2, 7000);
}

#[test]
fn an_unwritable_target_is_named() {
    need_root!();
    let (dir, binary) = binary_for_everyone();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    write_file(&source, 1, 5000);
    write_file(&target, 2, 7000);
    fs::set_permissions(&target, PermissionsExt::from_mode(0o644)).unwrap();
    let copy = |target| Highwater::binary(&binary).arg("copy").arg(&source).arg(target).by_a_plain_user();
    copy(&target).run().assert_failed(&[&quoted(&target), "Permission denied"]);
    assert_holds(&target, 2, 7000);
    fs::create_dir(dir.path().join("closed")).unwrap();
    let new = dir.path().join("closed/new");
    copy(&new).run().assert_failed(&[&quoted(&new), "Permission denied"]);
    assert_eq!(names(&dir.path().join("closed")), [""; 0]);
}

#[test]
fn a_missing_directory_of_the_target_is_told() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 5000);
    for target in ["no/such/target", "no/", "new/"] {
        let target = dir.path(target);
        let outcome = Highwater::copy().args([&dir.path("source"), &target]).run();
        outcome.assert_failed(&[&quoted(&target)]);
        assert_eq!(names(&dir.dir()), ["source"]);
    }
    let target = dir.path("source/below-a-file");
    let outcome = Highwater::copy().args([&dir.path("source"), &target]).run();
    outcome.assert_failed(&[&quoted(&target), "Not a directory"]);
    assert_holds(&dir.path("source"), 1, 5000);
}

#[test]
fn a_directory_as_source_is_left_out() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("tree")).unwrap();
    let outcome = Highwater::copy().args([dir.path("tree"), dir.path("target")]).run();
    outcome.assert_failed(&[&quoted(&dir.path("tree"))]);
    assert_eq!(names(&dir.dir()), ["tree"]);
}

#[test]
fn a_directory_is_not_overwritten_by_a_file() {
    let dir = Scratch::new();
    fs::create_dir_all(dir.path("there/name/kept")).unwrap();
    write_file(&dir.path("name"), 1, 5000);
    let outcome = Highwater::copy().args([dir.path("name"), dir.path("there")]).run();
    outcome.assert_failed(&[&quoted(&dir.path("there/name"))]);
    assert_eq!(names(&dir.path("there/name")), ["kept"]);
}

#[test]
fn a_file_is_not_copied_onto_itself_under_any_name() {
    let dir = Scratch::new();
    write_file(&dir.path("file"), 1, 3 * MIB + 5);
    fs::hard_link(dir.path("file"), dir.path("hard")).unwrap();
    symlink("file", dir.path("soft")).unwrap();
    for (source, target) in [
        ("file", "file"),
        ("file", "./file"),
        ("file", "hard"),
        ("hard", "file"),
        ("file", "soft"),
        ("soft", "file"),
        ("soft", "hard"),
        ("file", "."),
    ] {
        let outcome = Highwater::copy().current_dir(dir.dir()).args([source, target]).run();
        outcome.assert_failed(&[&format!("'{source}'"), "same file"]);
        assert_holds(&dir.path("file"), 1, 3 * MIB + 5);
        assert_eq!(names(&dir.dir()), ["file", "hard", "soft"]);
    }
}

#[test]
fn a_file_is_not_appended_to_itself_through_standard_output() {
    let dir = Scratch::new();
    for engine in engines() {
        write_file(&dir.path("file"), 1, 3 * MIB + 5);
        let stdout = fs::File::options().append(true).open(dir.path("file")).unwrap();
        let copy = Highwater::copy().args(["--engine", engine]).arg(dir.path("file")).arg("-");
        copy.stdout(stdout).run().assert_failed(&["same file"]);
        assert_holds(&dir.path("file"), 1, 3 * MIB + 5);
    }
}

#[test]
fn a_dangling_symlink_is_not_written_through() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 5000);
    symlink("nowhere", dir.path("dangling")).unwrap();
    let outcome = Highwater::copy().args([dir.path("source"), dir.path("dangling")]).run();
    outcome.assert_failed(&[&quoted(&dir.path("dangling"))]);
    assert_eq!(names(&dir.dir()), ["dangling", "source"]);
}

#[test]
fn a_loop_of_symlinks_is_told() {
    let dir = Scratch::new();
    symlink("loop", dir.path("loop")).unwrap();
    let outcome = Highwater::copy().args([dir.path("loop"), dir.path("target")]).run();
    outcome.assert_failed(&[&quoted(&dir.path("loop")), "Too many levels of symbolic links"]);
    assert_eq!(names(&dir.dir()), ["loop"]);
}

#[test]
fn direct_io_demanded_of_what_has_none_is_refused() {
    let dir = Scratch::new();
    for engine in engines() {
        let always = || Highwater::copy().args(["--engine", engine, "--direct", "always"]);
        let outcome = always().arg("-").arg(dir.path("target")).input(&bytes(1, 5000)).run();
        outcome.assert_code(1);
        let outcome = always().arg("/proc/filesystems").arg(dir.path("target")).run();
        outcome.assert_failed(&["'/proc/filesystems'"]);
        assert_eq!(names(&dir.dir()), [""; 0]);
    }
}

/// Asserts that `target`, overwritten in place by a copy that failed, is a beginning of the source
/// no longer than what the report says was written.
fn assert_cut_to_its_prefix(target: &std::path::Path, report: &serde_json::Value, at_most: u64) {
    let told = report::number(report, "bytes");
    let held = fs::metadata(target).unwrap().len();
    assert!(held <= told && told <= at_most, "{held} bytes stand, {told} told, {at_most} fit");
    assert_holds(target, 1, held);
}

#[test]
fn a_full_file_system_is_told_with_what_was_written() {
    need_root!();
    for engine in engines() {
        let (dir, disk) = (Scratch::new(), Tmpfs::new(2 * MIB));
        write_file(&dir.path("source"), 1, 8 * MIB);
        let copy = |target| {
            let copy = bounded_copy().args(["--engine", engine, "--json", "-"]);
            copy.arg(dir.path("source")).arg(target).run()
        };
        let new = disk.path("new");
        let outcome = copy(&new);
        outcome.assert_failed(&[&quoted(&new), "No space left on device"]);
        let report = outcome.json();
        assert_eq!(report::text(&report, "errors.0.errno"), "ENOSPC");
        assert!(report::number(&report, "bytes") <= 2 * MIB);
        assert_eq!(names(&disk.dir()), [""; 0], "a new file that failed leaves no name");
        let old = disk.path("old");
        write_file(&old, 2, MIB);
        let outcome = copy(&old);
        outcome.assert_failed(&[&quoted(&old), "No space left on device"]);
        assert!(outcome.stderr.contains("is as it was"), "{}", outcome.stderr);
        assert_holds(&old, 2, MIB);
        let piped = bounded_copy().args(["--engine", engine, "--json", "-", "-"]).arg(&old);
        let outcome = piped.input(&bytes(1, 8 * MIB)).run();
        outcome.assert_failed(&[&quoted(&old), "No space left on device"]);
        assert!(outcome.stderr.contains("holds the first"), "{}", outcome.stderr);
        assert_cut_to_its_prefix(&old, &outcome.json(), 2 * MIB);
    }
}

#[test]
fn a_limit_on_file_size_is_told() {
    for engine in engines() {
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, 4 * MIB);
        for (limit, target) in [(MIB, "new"), (MIB + 100, "new"), (MIB + 100, "old")] {
            let target = dir.path(target);
            if target.ends_with("old") {
                write_file(&target, 2, MIB);
            }
            let copy = bounded_copy().args(["--engine", engine, "--json", "-"]);
            let copy = copy.args([&dir.path("source"), &target]);
            let outcome = copy.limit(Resource::RLIMIT_FSIZE, limit).run();
            outcome.assert_failed(&[&quoted(&target), "File too large"]);
            match target.ends_with("old") {
                true => assert_cut_to_its_prefix(&target, &outcome.json(), limit),
                false => assert_eq!(names(&dir.dir()), ["source"]),
            }
        }
    }
}
