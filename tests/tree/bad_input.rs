//! Trees that can't be copied, or not whole: each with its exact message and exit code, nothing
//! harmed, and all the rest copied.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::command::binary_for_everyone;
use crate::support::disk::{Mount, system};
use crate::support::tree::*;
use crate::support::*;

/// `s` with a file, a directory with a file, and a symlink, in a directory of its own.
fn small_tree() -> Scratch {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.dir());
    tree.dir("s/d");
    tree.file("s/x", bytes(1, 5000));
    tree.file("s/d/y", bytes(2, 70_000));
    tree.symlink("s/l", "x");
    dir
}

fn copy(dir: &Path, args: &[&str]) -> Outcome {
    Highwater::copy().current_dir(dir).args(args).run()
}

/// Runs both names on the same and asserts the same words, as either says them.
#[track_caller]
fn check_failure(dir: &Path, args: &[&str], line: &str) {
    let before = Fingerprint::of(dir).without(&["atime"]);
    let outcome = Cp::new().run(dir, args);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), format!("cp: {line}\n").as_str()));
    assert_says(&copy(dir, args), &[line]);
    assert_same(&Fingerprint::of(dir).without(&["atime"]), &before, "the trees, after it failed");
}

/// A wrong command line: exit 2, of cp's name 1, with cp's own words and its hint.
#[track_caller]
fn check_usage(args: &[&str], line: &str) {
    let dir = small_tree();
    let before = Fingerprint::of(&dir.dir()).without(&["atime"]);
    let outcome = Cp::new().run(&dir.dir(), args);
    let want = format!("cp: {line}\nTry 'cp --help' for more information.\n");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), want.as_str()), "cp {args:?}");
    let outcome = copy(&dir.dir(), args);
    outcome.assert_code(2);
    let said = outcome.stderr.lines().next().unwrap_or_default().to_owned();
    assert_eq!(said, format!("highwater: {line}"), "highwater copy {args:?}");
    assert_same(&Fingerprint::of(&dir.dir()).without(&["atime"]), &before, "the trees");
}

#[test]
fn operands_that_lack_are_asked_for() {
    check_usage(&[], "missing file operand");
    check_usage(&["-a"], "missing file operand");
    check_usage(&["x"], "missing destination file operand after 'x'");
    check_usage(&["-r", "it's"], "missing destination file operand after \"it's\"");
    check_usage(&["-t", "s"], "missing file operand");
    check_usage(&["-T", "s/x"], "missing destination file operand after 's/x'");
    check_usage(&["-T", "a", "b", "c"], "extra operand 'c'");
}

#[test]
fn options_that_are_none_are_refused() {
    check_usage(&["--no-such", "a", "b"], "unrecognized option '--no-such'");
    check_usage(&["-y", "a", "b"], "invalid option -- 'y'");
    check_usage(&["-ry", "a", "b"], "invalid option -- 'y'");
    check_usage(&["a", "b", "-S"], "option requires an argument -- 'S'");
    check_usage(&["a", "b", "--suffix"], "option '--suffix' requires an argument");
    check_usage(&["--archive=yes", "a", "b"], "option '--archive' doesn't allow an argument");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    check_usage(&["-ls", "a", "b"], "cannot make both hard and symbolic links");
    check_usage(&["--parents", "s/x", "new"], "with --parents, the destination must be a directory");
    check_usage(&["-b", "-n", "a", "b"], "--backup is mutually exclusive with -n or --update=none-fail");
}

#[test]
fn an_abbreviation_stands_for_one_option_of_cp() {
    let dir = small_tree();
    let cp = |args: &[&str]| Cp::new().run(&dir.dir(), args);
    for (option, possible) in [
        ("--re", "'--recursive' '--remove-destination' '--reflink'"),
        ("--no", "'--no-clobber' '--no-dereference' '--no-preserve' '--no-target-directory'"),
        ("--ver", "'--verbose' '--version'"),
        ("--s", "'--sparse' '--strip-trailing-slashes' '--suffix' '--symbolic-link'"),
    ] {
        let outcome = cp(&[option, "s", "t"]);
        outcome.assert_code(1);
        let said = outcome.stderr.lines().next().unwrap_or_default().to_owned();
        assert_eq!(said, format!("cp: option '{option}' is ambiguous; possibilities: {possible}"));
        copy(&dir.dir(), &[option, "s", "t"]).assert_usage(&[option, "is ambiguous"]);
    }
    // Those of cp that ours would make ambiguous, were they looked at: --delete, --include, --progress,
    // --resume, --retry, --atomic, --verify, --sync.
    for args in
        ["--rec", "--arc", "-r --der", "-r --verb", "-r --i", "-r --pres=all", "-r --at", "-r --sp=auto"]
    {
        let mut args: Vec<_> = args.split(' ').collect();
        args.extend(["s", "t"]);
        cp(&args).assert_silent();
        assert!(dir.path("t/d/y").exists(), "{args:?}");
        fs::remove_dir_all(dir.path("t")).unwrap();
    }
}

#[test]
fn words_that_an_option_does_not_know_are_refused() {
    let dir = small_tree();
    for (args, line) in [
        ("--sparse=maybe", "invalid argument 'maybe' for '--sparse'"),
        ("--preserve=nothing", "invalid argument 'nothing' for '--preserve'"),
        ("--no-preserve=nothing", "invalid argument 'nothing' for '--no-preserve'"),
        ("--reflink=maybe", "invalid argument 'maybe' for '--reflink'"),
        ("--update=sometimes", "invalid argument 'sometimes' for '--update'"),
        ("--backup=bad", "invalid argument 'bad' for 'backup type'"),
    ] {
        let outcome = Cp::new().run(&dir.dir(), &["-r", args, "s", "t"]);
        outcome.assert_code(1);
        assert_eq!(outcome.stderr.lines().next(), Some(format!("cp: {line}").as_str()), "{args}");
        copy(&dir.dir(), &["-r", args, "s", "t"]).assert_usage(&[line]);
        assert!(!dir.path("t").exists());
    }
}

#[test]
fn a_target_that_is_no_directory_is_told() {
    let dir = small_tree();
    fs::write(dir.path("f"), "kept").unwrap();
    check_failure(
        &dir.dir(),
        &["-t", "missing", "s/x"],
        "target directory 'missing': No such file or directory",
    );
    check_failure(&dir.dir(), &["-t", "f", "s/x"], "target directory 'f': Not a directory");
    check_failure(&dir.dir(), &["s/x", "s/d/y", "f"], "target 'f': Not a directory");
    check_failure(&dir.dir(), &["-r", "s", "s/x", "new"], "target 'new': No such file or directory");
    let both = "cannot combine --target-directory (-t) and --no-target-directory (-T)";
    let outcome = Cp::new().run(&dir.dir(), &["-t", "s", "-T", "f"]);
    assert_eq!((outcome.code, outcome.stderr), (Some(1), format!("cp: {both}\n")));
    copy(&dir.dir(), &["-t", "s", "-T", "f"]).assert_usage(&[both]);
    check_failure(&dir.dir(), &["-r", "s", "f"], "cannot overwrite non-directory 'f' with directory 's'");
    check_failure(
        &dir.dir(),
        &["s/x", "no/such"],
        "cannot create regular file 'no/such': No such file or directory",
    );
    check_failure(
        &dir.dir(),
        &["-r", "s", "no/such"],
        "cannot create directory 'no/such': No such file or directory",
    );
    check_failure(&dir.dir(), &["s/x", "s/d/new/"], "cannot create regular file 's/d/new/': Not a directory");
}

#[test]
fn a_source_that_is_not_there_is_told_and_the_others_are_copied() {
    let dir = small_tree();
    fs::create_dir(dir.path("t")).unwrap();
    check_failure(&dir.dir(), &["-a", "missing", "t"], "cannot stat 'missing': No such file or directory");
    check_failure(&dir.dir(), &["", "t"], "cannot stat '': No such file or directory");
    check_failure(&dir.dir(), &["s/x/below", "t"], "cannot stat 's/x/below': Not a directory");
    check_failure(&dir.dir(), &["s", "t"], "-r not specified; omitting directory 's'");
    let outcome = copy(&dir.dir(), &["-a", "missing", "s/x", "gone", "s/d", "t"]);
    let lines = ["missing", "gone"].map(|name| format!("cannot stat '{name}': No such file or directory"));
    assert_says(&outcome, &[&lines[0], &lines[1]]);
    assert_holds(&dir.path("t/x"), 1, 5000);
    assert_holds(&dir.path("t/d/y"), 2, 70_000);
}

#[test]
fn a_file_where_a_directory_is_needed_is_told_and_the_reverse() {
    let dir = small_tree();
    let mut target = Tree::new(dir.path("t"));
    target.dir("x");
    target.file("x/kept", "kept");
    target.file("d", "kept");
    let before = Fingerprint::of(&dir.path("t")).without(&["atime"]);
    for options in ["-aT", "-rT", "-rfT", "-rT --remove-destination"] {
        let args: Vec<_> = options.split(' ').chain(["s", "t"]).collect();
        assert_says(
            &copy(&dir.dir(), &args),
            &[
                "cannot overwrite directory 't/x' with non-directory 's/x'",
                "cannot overwrite non-directory 't/d' with directory 's/d'",
            ],
        );
        assert_eq!(fs::read_link(dir.path("t/l")).unwrap(), Path::new("x"), "the rest is copied");
        fs::remove_file(dir.path("t/l")).unwrap();
        let after = Fingerprint::of(&dir.path("t")).without(&["atime"]);
        assert_same(&after.except(""), &before.clone().except(""), "what stood there");
    }
}

#[test]
fn what_a_plain_user_may_not_read_is_told_and_the_rest_is_copied() {
    need_root!();
    let (place, binary) = binary_for_everyone();
    let mut tree = Tree::new(place.path().join("s"));
    tree.dir("closed").mode(0o711);
    tree.file("closed/below", "x");
    tree.dir("listed").mode(0o744);
    tree.file("listed/below", "x");
    tree.file("secret", "x").mode(0o600);
    tree.dir("open/below");
    tree.file("open/below/file", bytes(1, 5000));
    tree.root().mode(0o755);
    tree.built();
    for jobs in ["1", "4"] {
        let target = format!("t-{jobs}");
        let copy = Highwater::binary(&binary).args(["copy", "--jobs", jobs, "-a", "s", &target]);
        let outcome = copy.current_dir(place.path()).by_a_plain_user().run();
        assert_says(
            &outcome,
            &[
                "cannot access 's/closed': Permission denied",
                "cannot stat 's/listed/below': Permission denied",
                "cannot open 's/secret' for reading: Permission denied",
            ],
        );
        let target = place.path().join(target);
        assert_holds(&target.join("open/below/file"), 1, 5000);
        assert_eq!(names(&target), ["closed", "listed", "open"]);
        assert_eq!(mode(&target.join("closed")), 0o711, "a directory gets its mode, read or not");
    }
}

#[test]
fn what_a_plain_user_may_not_write_is_told() {
    need_root!();
    let (place, binary) = binary_for_everyone();
    let mut tree = Tree::new(place.path());
    tree.dir("s");
    tree.file("s/x", "x");
    tree.dir("t/closed").mode(0o755);
    tree.file("t/old", "kept").mode(0o644);
    tree.built();
    let run = |args: &[&str]| {
        let copy = Highwater::binary(&binary).arg("copy").args(args);
        copy.current_dir(place.path()).by_a_plain_user().run()
    };
    assert_says(
        &run(&["-r", "s", "t/closed/new"]),
        &["cannot create directory 't/closed/new': Permission denied"],
    );
    assert_says(&run(&["s/x", "t/old"]), &["cannot create regular file 't/old': Permission denied"]);
    assert_eq!(fs::read(place.path().join("t/old")).unwrap(), b"kept");
    assert_says(&run(&["-f", "s/x", "t/old"]), &["cannot remove 't/old': Permission denied"]);
    assert_eq!(fs::read(place.path().join("t/old")).unwrap(), b"kept");
}

#[test]
fn a_file_system_that_is_read_only_is_told() {
    need_root!();
    let dir = small_tree();
    let disk = Mount::new(&["-t", "tmpfs", "highwater-test"]);
    fs::create_dir(disk.dir().join("t")).unwrap();
    fs::write(disk.dir().join("t/x"), "kept").unwrap();
    system("mount", &["-o", "remount,ro", disk.dir().to_str().unwrap()]);
    let at = |name: &str| disk.dir().join(name).to_str().unwrap().to_owned();
    let line = format!("cannot create directory '{}': Read-only file system", at("t/s"));
    assert_says(&copy(&dir.dir(), &["-a", "s", &at("t")]), &[&line]);
    let line = format!("cannot create regular file '{}': Read-only file system", at("t/x"));
    assert_says(&copy(&dir.dir(), &["s/x", &at("t")]), &[&line]);
    assert_eq!(fs::read(at("t/x")).unwrap(), b"kept");
}

#[test]
fn a_disk_that_fills_up_holds_whole_files_and_names_the_others() {
    need_root!();
    const FILES: u64 = 60;
    const LEN: u64 = 100 * KIB;
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    for i in 0..FILES {
        tree.dir(format!("{}", i % 7));
        tree.file(format!("{}/{i}", i % 7), bytes(i, LEN));
    }
    for jobs in ["1", "4"] {
        let disk = Tmpfs::new(3 * MIB);
        let copy = Highwater::copy().args(["--jobs", jobs, "--json", "-", "-a"]);
        let outcome = copy.args([dir.path("s"), disk.path("t")]).run();
        outcome.assert_failed(&["No space left on device"]);
        let whole: Vec<_> = (0..FILES)
            .filter(|i| {
                let target = disk.path(&format!("t/{}/{i}", i % 7));
                let there = target.symlink_metadata().is_ok();
                if there {
                    assert_holds(&target, *i, LEN);
                }
                let name = command::quoted(&target);
                let told = outcome.stderr.lines().any(|l| l.contains(&name) && l.contains("No space left"));
                assert_eq!(told, !there, "{i} is whole or named, --jobs {jobs}");
                there
            })
            .collect();
        assert!((20..=30).contains(&whole.len()), "{} files fit, --jobs {jobs}", whole.len());
        let report = outcome.json();
        assert_eq!(report::number(&report, "files"), whole.len() as u64);
        assert_eq!(report::number(&report, "bytes"), whole.len() as u64 * LEN);
        let errors = report::at(&report, "errors").as_array().unwrap();
        assert_eq!(errors.len() as u64, FILES - whole.len() as u64);
        assert!(errors.iter().all(|error| error["errno"] == "ENOSPC"), "{errors:?}");
    }
}

/// Runs copies for some seconds while `meddle` runs over and over beside them; hands each outcome to
/// `check`. The target is removed between them.
fn meddled_with(meddle: impl Fn() + Sync, copy: impl Fn() -> Outcome, check: impl Fn(&Outcome)) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                meddle();
            }
        });
        // A panic in here would leave the meddler running for ever.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(3) {
                check(&copy());
            }
        }));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn a_source_that_vanishes_during_the_walk_is_told() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    for i in 0..200 {
        tree.file(format!("{i:03}"), bytes(i, 3000));
    }
    let vanishing = dir.path("s/vanishing");
    let meddle = || {
        fs::create_dir(&vanishing).unwrap();
        fs::write(vanishing.join("file"), "x").unwrap();
        fs::rename(vanishing.join("file"), dir.path("s/file")).unwrap();
        fs::remove_file(dir.path("s/file")).unwrap();
        fs::remove_dir(&vanishing).unwrap();
    };
    let run = || {
        let _ = fs::remove_dir_all(dir.path("t"));
        copy(&dir.dir(), &["-r", "--sync", "none", "s", "t"])
    };
    meddled_with(meddle, run, |outcome| {
        for line in outcome.stderr.lines() {
            let known = ["vanishing", "vanishing/file", "file"].iter().any(|name| {
                ["cannot stat", "cannot open", "cannot access"].iter().any(|what| {
                    let line = line.replace("' for reading: ", "': ");
                    line == format!("highwater: {what} 's/{name}': No such file or directory")
                })
            });
            // Its name is soon there again, which may be between a look at it and opening it.
            let replaced = "highwater: skipping file 's/vanishing', as it was replaced while being copied";
            assert!(known || line == replaced, "{line}");
        }
        outcome.assert_code(if outcome.stderr.is_empty() { 0 } else { 1 });
        for i in 0..200 {
            assert_holds(&dir.path(&format!("t/{i:03}")), i, 3000);
        }
    });
}

#[test]
fn a_file_that_is_replaced_during_the_copy_is_copied_whole_or_skipped() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("s")).unwrap();
    let lengths = [300 * KIB, 200 * KIB];
    let meddle = || {
        for (seed, len) in lengths.iter().enumerate() {
            write_file(&dir.path("new"), seed as u64, *len);
            fs::rename(dir.path("new"), dir.path("s/file")).unwrap();
        }
    };
    meddle();
    let run = || {
        let _ = fs::remove_dir_all(dir.path("t"));
        copy(&dir.dir(), &["-a", "--sync", "none", "s", "t"])
    };
    meddled_with(meddle, run, |outcome| {
        if !outcome.stderr.is_empty() {
            assert_says(outcome, &["skipping file 's/file', as it was replaced while being copied"]);
            assert!(!dir.path("t/file").exists());
            return;
        }
        outcome.assert_code(0);
        let len = fs::metadata(dir.path("t/file")).unwrap().len();
        let seed = lengths.iter().position(|each| *each == len).expect("the length of one of both");
        assert_holds(&dir.path("t/file"), seed as u64, len);
    });
}

#[test]
fn hard_links_across_the_border_of_the_copy_become_files_of_their_own() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.dir());
    tree.dir("s");
    tree.file("outside", bytes(1, 5000)).mode(0o640);
    tree.link("s/inside", "outside");
    tree.dir("t");
    tree.file("kept", "kept");
    tree.link("t/inside", "kept");
    copy(&dir.dir(), &["-aT", "s", "t"]).assert_silent();
    assert_holds(&dir.path("t/inside"), 1, 5000);
    assert_eq!(fs::metadata(dir.path("t/inside")).unwrap().nlink(), 1);
    assert_eq!(fs::metadata(dir.path("outside")).unwrap().nlink(), 2);
    assert_eq!(fs::read(dir.path("kept")).unwrap(), b"kept", "-a never writes into a file of several names");
    copy(&dir.dir(), &["-rl", "s", "linked"]).assert_silent();
    assert_eq!(fs::metadata(dir.path("outside")).unwrap().nlink(), 3);
}

#[test]
fn a_directory_meets_itself_only_to_be_told() {
    let dir = small_tree();
    fs::create_dir(dir.path("t")).unwrap();
    for (args, line) in [
        (["-r", "s", "s"], "cannot copy a directory, 's', into itself, 's/s'"),
        (["-a", "s", "s/new"], "cannot copy a directory, 's', into itself, 's/new'"),
        (["-aT", "s", "s"], "'s' and 's' are the same file"),
        (["-a", "s", "."], "'s' and './s' are the same file"),
    ] {
        let before = Fingerprint::of(&dir.dir()).without(&["atime"]);
        let outcome = copy(&dir.dir(), &args);
        assert_says(&outcome, &[line]);
        for made in ["s/s", "s/new"] {
            let _ = fs::remove_dir_all(dir.path(made));
        }
        let after = Fingerprint::of(&dir.dir()).without(&["atime"]).without(&["mtime"]);
        assert_same(&after, &before.without(&["mtime"]), line);
    }
}

#[test]
fn a_source_that_is_named_twice_is_copied_once() {
    let dir = small_tree();
    fs::create_dir(dir.path("t")).unwrap();
    let outcome = Cp::new().run(&dir.dir(), &["-rv", "s", "s/x", "s", "s/x", "t"]);
    outcome.assert_code(0);
    assert_eq!(
        outcome.stderr,
        "cp: warning: source directory 's' specified more than once\n\
         cp: warning: source file 's/x' specified more than once\n"
    );
    let said = String::from_utf8(outcome.stdout).unwrap();
    assert_eq!(said.lines().filter(|line| *line == "'s/x' -> 't/x'").count(), 1);
    assert_eq!(said.lines().filter(|line| *line == "'s' -> 't/s'").count(), 1);
    let same_name = copy(&dir.dir(), &["s/x", "s/d/../x", "t"]);
    same_name.assert_code(0);
    let _ = fs::remove_dir_all(dir.path("t"));
    fs::create_dir(dir.path("t")).unwrap();
    fs::create_dir(dir.path("u")).unwrap();
    fs::write(dir.path("u/x"), "another").unwrap();
    let outcome = copy(&dir.dir(), &["s/x", "u/x", "t"]);
    assert_says(&outcome, &["will not overwrite just-created 't/x' with 'u/x'"]);
    assert_holds(&dir.path("t/x"), 1, 5000);
}
