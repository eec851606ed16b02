//! `--manifest`: the checksums of what was copied, in the format of b3sum, which agrees.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::command::quoted;
use crate::support::report::number;
use crate::support::*;
use nix::sys::signal::Signal;

/// The lines that b3sum would write for these files, by the crate that it is made of.
fn expected(dir: &Path, names: &[&str]) -> Vec<String> {
    let line = |name: &&str| {
        let hash = blake3::hash(&fs::read(dir.join(name)).unwrap());
        let escaped = name.replace('\\', "\\\\").replace('\n', "\\n");
        let mark = if escaped == **name { "" } else { "\\" };
        format!("{mark}{hash}  {escaped}")
    };
    let mut lines: Vec<String> = names.iter().map(line).collect();
    lines.sort();
    lines
}

fn sorted(text: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> = String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What `b3sum --check` makes of a manifest: whether all of it is right.
fn b3sum_agrees(manifest: &[u8], dir: &Path) -> bool {
    use std::io::Write;
    let mut b3sum = Command::new("b3sum");
    b3sum.arg("--check").current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = b3sum.spawn().unwrap();
    child.stdin.take().unwrap().write_all(manifest).unwrap();
    child.wait().unwrap().success()
}

#[test]
fn b3sum_agrees_with_the_checksums_of_a_tree() {
    need_tool!("b3sum");
    let dir = Scratch::new();
    fs::create_dir_all(dir.path("s/sub")).unwrap();
    write_file(&dir.path("s/large"), 1, 130 * MIB + 7);
    write_sparse(&dir.path("s/holes"), 2, 5 * MIB + 1, &[4096..8192, 1_000_000 / 4096 * 4096..2 * MIB]);
    write_sparse(&dir.path("s/hole"), 2, 1000, &[]);
    for (name, len) in [("sub/a b", 1), ("sub/new\nline", 70_000), ("back\\slash", 65_536), ("sub/empty", 0)]
    {
        write_file(&dir.path("s").join(name), 3, len);
    }
    fs::hard_link(dir.path("s/sub/a b"), dir.path("s/sub/link")).unwrap();
    let names =
        ["t/large", "t/holes", "t/hole", "t/sub/a b", "t/sub/new\nline", "t/back\\slash", "t/sub/empty"];
    for engine in engines() {
        for options in [["--jobs", "1"], ["--jobs", "2"], ["--block-size", "70001"], ["--sparse", "always"]] {
            let copy = Highwater::copy().args(["-a", "--engine", engine, "--manifest", "sums"]).args(options);
            copy.args(["s", "t"]).current_dir(dir.dir()).run().assert_silent();
            let manifest = fs::read(dir.path("sums")).unwrap();
            let mut lines = sorted(&manifest);
            // Of a file with two names the one that it was copied to.
            lines.iter_mut().for_each(|line| *line = line.replace("t/sub/link", "t/sub/a b"));
            assert_eq!(lines, expected(&dir.dir(), &names));
            assert!(b3sum_agrees(&manifest, &dir.dir()));
            fs::write(dir.path("t/sub/a b"), "?").unwrap();
            assert!(!b3sum_agrees(&manifest, &dir.dir()), "a check that can fail");
            fs::remove_dir_all(dir.path("t")).unwrap();
        }
    }
}

#[test]
fn the_list_goes_to_standard_output_and_says_what_was_copied_from_a_pipe() {
    let dir = Scratch::new();
    let data = bytes(1, 3 * MIB + 17);
    let hash = blake3::hash(&data);
    let copy = Highwater::copy().args(["--manifest", "-", "-", "piped"]).current_dir(dir.dir()).input(&data);
    let outcome = copy.run();
    assert_eq!(String::from_utf8_lossy(&outcome.assert_silent().stdout), format!("{hash}  piped\n"));
    let copy = Highwater::copy().args(["--manifest", "sums", "piped", "-"]).current_dir(dir.dir()).run();
    assert_bytes(&copy.assert_silent().stdout, &data);
    assert_eq!(fs::read_to_string(dir.path("sums")).unwrap(), format!("{hash}  -\n"));
    // What -v tells must not get between the lines.
    let copy =
        Highwater::copy().args(["-v", "--manifest", "-", "piped", "again"]).current_dir(dir.dir()).run();
    assert_eq!(String::from_utf8_lossy(&copy.assert_ok().stdout), format!("{hash}  again\n"));
    assert_eq!(copy.stderr, "'piped' -> 'again'\n");
}

#[test]
fn only_what_was_copied_is_listed() {
    let dir = Scratch::new();
    fs::create_dir_all(dir.path("s")).unwrap();
    fs::create_dir_all(dir.path("t")).unwrap();
    for name in ["s/old", "t/old", "s/new"] {
        write_file(&dir.path(name), 1, 100);
    }
    let list = |args: &[&str]| {
        let copy = Highwater::copy().args(["--manifest", "sums"]).args(args).current_dir(dir.dir());
        copy.run().assert_ok();
        sorted(&fs::read(dir.path("sums")).unwrap())
    };
    assert_eq!(list(&["-rT", "--dry-run", "s", "t"]), [""; 0]);
    assert_eq!(list(&["-rT", "--update=none", "s", "t"]), expected(&dir.dir(), &["t/new"]));
    assert_eq!(list(&["-r", "-l", "s", "linked"]), [""; 0]);
    // cp has it, too.
    let cp = Highwater::binary(command::BINARY).named("cp").args(["--manifest=sums", "s/new", "u"]);
    cp.current_dir(dir.dir()).run().assert_silent();
    assert_eq!(sorted(&fs::read(dir.path("sums")).unwrap()), expected(&dir.dir(), &["u"]));
}

#[test]
fn a_name_that_is_no_text_is_listed_as_b3sum_would_and_told() {
    let dir = Scratch::new();
    let name = OsStr::from_bytes(b"caf\xe9");
    write_file(&dir.path("source"), 1, 10);
    let copy = Highwater::copy().args(["--manifest", "sums", "source"]).arg(name).current_dir(dir.dir());
    let outcome = copy.run();
    outcome.assert_ok();
    assert!(outcome.stderr.contains("b3sum --check can't find 'caf"), "{}", outcome.stderr);
    let hash = blake3::hash(&bytes(1, 10));
    assert_eq!(fs::read_to_string(dir.path("sums")).unwrap(), format!("{hash}  caf\u{fffd}\n"));
}

#[test]
fn a_stopped_copy_leaves_whole_lines_of_whole_files() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("s")).unwrap();
    for nth in 0..400 {
        write_file(&dir.path(&format!("s/{nth}")), nth, 50_000);
    }
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let copy = Highwater::copy().args(["-r", "--limit-rate", "10M", "--manifest", "sums", "s", "t"]);
        let mut running = copy.current_dir(dir.dir()).start();
        let sums = || fs::read_to_string(dir.path("sums")).unwrap_or_default();
        wait_for("some files", || sums().lines().count() > 30);
        running.signal(signal);
        running.wait();
        let sums = sums();
        assert!(sums.ends_with('\n'));
        let names: Vec<&str> = sums.lines().map(|line| line.split_once("  ").unwrap().1).collect();
        assert!(names.len() < 400, "it was stopped");
        assert_eq!(sorted(sums.as_bytes()), expected(&dir.dir(), &names));
        fs::remove_dir_all(dir.path("t")).unwrap();
        fs::remove_file(dir.path("sums")).unwrap();
    }
}

#[test]
fn a_list_that_cannot_be_written_is_told_before_or_after() {
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 10);
    let copy = |list: &str, target: &str| {
        Highwater::copy().args(["--manifest", list, "source", target]).current_dir(dir.dir()).run()
    };
    copy("missing/sums", "new").assert_code(1);
    assert_eq!(names(&dir.dir()), ["source"], "outputs are opened before anything is done");
    let outcome = copy("/dev/full", "new");
    outcome.assert_failed(&["cannot write '/dev/full'", "No space left"]);
    assert_holds(&dir.path("new"), 1, 10);
    copy("-", "-").assert_usage(&["standard output can't take both the copy and --manifest -"]);
    let both = Highwater::copy().args(["--manifest", "-", "--json", "-", "a", "b"]).run();
    both.assert_usage(&["standard output can't take both --json - and --manifest -"]);
    let clone = Highwater::copy().args(["--manifest", "sums", "--reflink", "source", "c"]);
    clone.current_dir(dir.dir()).run().assert_usage(&["--manifest needs the bytes"]);
    assert_eq!(names(&dir.dir()), ["new", "source"]);
}

#[test]
fn checksums_that_cannot_be_kept_are_told_and_the_copies_are_made() {
    need_root!();
    let full = Tmpfs::new(64 * KIB);
    let dir = Scratch::new();
    fs::create_dir(dir.path("s")).unwrap();
    let name = |nth: u64| format!("{nth:0>100}");
    // More than what is kept of them in memory.
    for nth in 0..900 {
        fs::write(dir.path("s").join(name(nth)), nth.to_string()).unwrap();
    }
    let copy = Highwater::copy().args(["-r", "--verify", "--json", "j", "s", "t"]).current_dir(dir.dir());
    let outcome = copy.env("TMPDIR", full.dir().to_str().unwrap()).run();
    let words = ["is not verified: cannot keep checksums in", &quoted(&full.dir()), "No space left"];
    outcome.assert_failed(&words);
    let report = serde_json::from_slice(&fs::read(dir.path("j")).unwrap()).unwrap();
    let (verified, failures) = (number(&report, "verified.files"), number(&report, "failures"));
    assert!(verified > 100 && failures > 100 && verified + failures == 900, "{verified}, {failures}");
    for nth in 0..900 {
        assert_eq!(fs::read(dir.path("t").join(name(nth))).unwrap(), nth.to_string().as_bytes());
    }
}
