//! What trees have beyond cp: filters, updates by change or checksum, dry runs, deletion, when to
//! stop, and the report.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::command::binary_for_everyone;
use crate::support::report::{at, number, text};
use crate::support::tree::*;
use crate::support::*;

const THEN: Time = (1_000_000_000, 5);
const LATER: Time = (1_100_000_000, 6);

/// A directory with the tree `s` of these files, each of 1,000 bytes and its name's own.
fn tree_of(files: &[&str]) -> Scratch {
    let dir = Scratch::new();
    fill(&dir.path("s"), files);
    dir
}

fn fill(root: &Path, files: &[&str]) {
    let mut tree = Tree::new(root);
    for file in files {
        if let Some((above, _)) = file.rsplit_once('/') {
            tree.dir(above).times(THEN, THEN);
        }
        tree.file(file, content(file)).times(THEN, THEN);
    }
    tree.root().times(THEN, THEN);
    tree.built();
}

fn content(name: &str) -> Vec<u8> {
    bytes(name.bytes().map(u64::from).sum(), 1000)
}

fn copy(dir: &Scratch, args: &[&str]) -> Outcome {
    Highwater::copy().current_dir(dir.dir()).args(args).run()
}

/// The files below `root`, one string.
fn files(root: &Path) -> String {
    let print = Fingerprint::of(root);
    let files = print.0.iter().filter(|(_, print)| print["type"] != "directory");
    files.map(|(path, _)| String::from_utf8_lossy(path).into_owned()).collect::<Vec<_>>().join(" ")
}

/// A tree as it stands, with all that a dry run may not change.
fn still(root: &Path) -> Fingerprint {
    Fingerprint::of(root).without(&["atime"])
}

#[track_caller]
fn check_filters(filters: &[&str], want: &str) {
    let dir =
        tree_of(&["a.o", "a.c", "b/a.o", "b/x.c", "b/c/x.o", "b/c/deep.c", "core", "d/core", "d e/f.txt"]);
    let args: Vec<_> = ["-aT"].iter().chain(filters).chain(&["s", "t"]).copied().collect();
    copy(&dir, &args).assert_silent();
    assert_eq!(files(&dir.path("t")), want, "{filters:?}");
}

#[test]
fn what_is_excluded_is_not_copied() {
    check_filters(&[], "a.c a.o b/a.o b/c/deep.c b/c/x.o b/x.c core d e/f.txt d/core");
    check_filters(&["--exclude", "*.o"], "a.c b/c/deep.c b/x.c core d e/f.txt d/core");
    check_filters(&["--exclude=b"], "a.c a.o core d e/f.txt d/core");
    check_filters(&["--exclude", "core", "--exclude", "d e"], "a.c a.o b/a.o b/c/deep.c b/c/x.o b/x.c");
    check_filters(&["--exclude", "[ab].?"], "b/c/deep.c b/c/x.o b/x.c core d e/f.txt d/core");
}

#[test]
fn a_pattern_is_tied_to_the_root_and_to_directories_as_rsync_ties_it() {
    check_filters(&["--exclude", "/core"], "a.c a.o b/a.o b/c/deep.c b/c/x.o b/x.c d e/f.txt d/core");
    check_filters(&["--exclude", "/b/*.o"], "a.c a.o b/c/deep.c b/c/x.o b/x.c core d e/f.txt d/core");
    check_filters(&["--exclude", "b/**.o"], "a.c a.o b/c/deep.c b/x.c core d e/f.txt d/core");
    check_filters(&["--exclude", "core/"], "a.c a.o b/a.o b/c/deep.c b/c/x.o b/x.c core d e/f.txt d/core");
    check_filters(&["--exclude", "c/"], "a.c a.o b/a.o b/x.c core d e/f.txt d/core");
}

#[test]
fn the_first_filter_that_matches_wins() {
    check_filters(
        &["--include", "a.o", "--exclude", "*.o"],
        "a.c a.o b/a.o b/c/deep.c b/x.c core d e/f.txt d/core",
    );
    check_filters(&["--exclude", "*.o", "--include", "a.o"], "a.c b/c/deep.c b/x.c core d e/f.txt d/core");
    check_filters(&["--include", "*/", "--include", "*.c", "--exclude", "*"], "a.c b/c/deep.c b/x.c");
    check_filters(&["--include", "*.c", "--exclude", "*"], "a.c");
}

#[test]
fn what_is_excluded_is_not_even_looked_at() {
    need_root!();
    let (place, binary) = binary_for_everyone();
    fill(&place.path().join("s"), &["open/file", "closed/file", "secret"]);
    fs::set_permissions(place.path().join("s/closed"), PermissionsExt::from_mode(0o000)).unwrap();
    fs::set_permissions(place.path().join("s/secret"), PermissionsExt::from_mode(0o000)).unwrap();
    let copy = Highwater::binary(&binary).args(["copy", "-r", "--exclude", "closed", "--exclude", "secret"]);
    copy.args(["s", "t"]).current_dir(place.path()).by_a_plain_user().run().assert_silent();
    assert_eq!(files(&place.path().join("t")), "open/file");
}

/// A source and a target that agree but for what the names say.
fn nearly_the_same() -> Scratch {
    let dir = Scratch::new();
    for side in ["s", "t"] {
        let mut tree = Tree::new(dir.path(side));
        tree.file("same", content("same")).times(THEN, THEN);
        tree.file("newer-there", content("x")).times(THEN, THEN);
        tree.file("older-there", content("x")).times(THEN, THEN);
        tree.file("other-size", content("x")).times(THEN, THEN);
        tree.file("other-content", content("x")).times(THEN, THEN);
        tree.file("other-time", content("same")).times(THEN, THEN);
    }
    let mut target = Tree::new(dir.path("t"));
    target.file("newer-there", content("y")).times(LATER, LATER);
    target.file("older-there", content("y")).times((5, 5), (5, 5));
    target.file("other-size", "short").times(THEN, THEN);
    target.file("other-content", content("y")).times(THEN, THEN);
    target.file("other-time", content("same")).times(LATER, LATER);
    Tree::new(dir.path("s")).file("missing-there", "x").times(THEN, THEN);
    dir
}

/// What an update writes anew, one string.
#[track_caller]
fn updated(option: &str) -> String {
    let dir = nearly_the_same();
    let before = Fingerprint::of(&dir.path("t"));
    let outcome = copy(&dir, &["-rT", "-v", option, "s", "t"]);
    outcome.assert_silent();
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    let after = Fingerprint::of(&dir.path("t"));
    let mut updated = vec![];
    for (path, print) in &after.0 {
        let name = String::from_utf8_lossy(path).into_owned();
        // Written at all: the time is the copy's.
        if print["type"] == "file" && before.0.get(path).is_none_or(|old| old["mtime"] != print["mtime"]) {
            assert_eq!(print["content"], Fingerprint::of(&dir.path("s")).at(&name)["content"], "{name}");
            assert!(said.contains(&format!("'s/{name}' -> 't/{name}'")), "{name} is said by -v: {said}");
            updated.push(name);
        }
    }
    updated.join(" ")
}

#[test]
fn an_update_writes_what_it_says() {
    assert_eq!(
        updated("--update=all"),
        "missing-there newer-there older-there other-content other-size other-time same"
    );
    assert_eq!(updated("--update=older"), "missing-there older-there");
    assert_eq!(updated("--update"), "missing-there older-there");
    assert_eq!(updated("--update=none"), "missing-there");
    assert_eq!(updated("--update=changed"), "missing-there newer-there older-there other-size other-time");
    assert_eq!(
        updated("--update=checksum"),
        "missing-there newer-there older-there other-content other-size"
    );
}

#[test]
fn an_update_that_may_not_skip_fails_for_each() {
    let dir = nearly_the_same();
    let before = still(&dir.path("t"));
    let outcome = copy(&dir, &["-rT", "--update=none-fail", "s", "t"]);
    assert_says(&outcome, &["not replacing 't/same'", "not replacing 't/other-size'"]);
    let after = still(&dir.path("t"));
    assert_eq!(after.0.len(), before.0.len() + 1, "the one that was missing");
    assert_same(&after.except("missing-there").except(""), &before.except(""), "the others");
}

#[test]
fn an_update_by_change_ends_with_nothing_to_do() {
    let dir = nearly_the_same();
    for option in ["--update=changed", "--update=checksum"] {
        copy(&dir, &["-aT", option, "s", "t"]).assert_silent();
        let again = copy(&dir, &["-aT", "-v", option, "--json", "-", "s", "t"]);
        again.assert_silent();
        assert!(!String::from_utf8_lossy(&again.stdout).contains(" -> "), "nothing is copied again");
    }
}

#[test]
fn an_update_by_checksum_mends_the_metadata_of_what_it_leaves() {
    let dir = tree_of(&["file"]);
    copy(&dir, &["-aT", "s", "t"]).assert_silent();
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(dir.path("t/file")).unwrap());
    fs::set_permissions(dir.path("s/file"), PermissionsExt::from_mode(0o751)).unwrap();
    set_times(&dir.path("s/file"), LATER, LATER);
    copy(&dir, &["-aT", "--update=checksum", "s", "t"]).assert_silent();
    assert_same(&still(&dir.path("t")), &still(&dir.path("s")), "the target");
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&fs::metadata(dir.path("t/file")).unwrap()), inode);
}

/// A line of a dry run as `-v` says it of what is done.
fn as_done(line: &str) -> String {
    line.trim_start_matches("would copy ").replace("would delete ", "deleted ")
}

#[test]
fn a_dry_run_touches_nothing_and_tells_all() {
    let dir = nearly_the_same();
    let mut target = Tree::new(dir.path("t"));
    target.file("extra", "x");
    target.dir("extra-directory");
    target.file("extra-directory/file", "x");
    for options in [
        &["-aT", "-v"][..],
        &["-aT", "-v", "--delete"],
        &["-aT", "-v", "--delete", "--update=checksum", "--exclude", "same"],
        &["-rT", "-v", "--remove-destination", "--backup"],
    ] {
        let before = still(&dir.dir());
        let run = |dry: &[&str]| {
            let args: Vec<_> = options.iter().chain(dry).chain(&["s", "t"]).copied().collect();
            let outcome = copy(&dir, &args);
            outcome.assert_silent();
            let said = String::from_utf8(outcome.stdout).unwrap();
            let mut lines: Vec<_> = said.lines().map(as_done).collect();
            lines.sort();
            lines
        };
        let told = run(&["--dry-run"]);
        assert_same(&still(&dir.dir()), &before, &format!("a dry run of {options:?}"));
        assert!(!told.is_empty());
        // What is told is what is done. The original is put back after it.
        let kept = Scratch::new();
        disk::system("cp", &["-a", dir.path("t").to_str().unwrap(), kept.path("t").to_str().unwrap()]);
        assert_eq!(run(&[]), told, "{options:?}");
        fs::remove_dir_all(dir.path("t")).unwrap();
        disk::system("cp", &["-a", kept.path("t").to_str().unwrap(), dir.path("t").to_str().unwrap()]);
    }
}

#[test]
fn a_dry_run_into_nothing_makes_nothing() {
    let dir = tree_of(&["a", "b/c"]);
    let outcome = copy(&dir, &["-a", "--dry-run", "-v", "s", "new"]);
    outcome.assert_silent();
    let said = String::from_utf8(outcome.stdout).unwrap();
    for line in ["'s' -> 'new'", "'s/a' -> 'new/a'", "'s/b' -> 'new/b'", "'s/b/c' -> 'new/b/c'"] {
        assert!(said.lines().any(|said| as_done(said) == line), "{line} in {said}");
    }
    assert_eq!(names(&dir.dir()), ["s"]);
    copy(&dir, &["-a", "--dry-run", "missing", "new"]).assert_failed(&["cannot stat 'missing'"]);
}

/// A source, a target with more, and something beside both.
fn with_extras() -> Scratch {
    let dir = tree_of(&["kept", "d/kept"]);
    fill(&dir.path("t"), &["kept", "extra", "d/kept", "d/extra", "gone/deep/file", "x.o"]);
    fill(&dir.path("outside"), &["file"]);
    symlink("../outside", dir.path("t/link")).unwrap();
    symlink("../../outside/file", dir.path("t/d/link")).unwrap();
    dir
}

#[test]
fn delete_makes_the_target_a_mirror() {
    let dir = with_extras();
    let outside = still(&dir.path("outside"));
    copy(&dir, &["-aT", "--delete", "s", "t"]).assert_silent();
    assert_same(&still(&dir.path("t")), &still(&dir.path("s")), "the target");
    assert_same(&still(&dir.path("outside")), &outside, "what symlinks pointed to");
}

#[test]
fn delete_into_a_directory_deletes_below_the_sources_name_only() {
    let dir = with_extras();
    fs::create_dir(dir.path("to")).unwrap();
    fs::rename(dir.path("t"), dir.path("to/s")).unwrap();
    fs::write(dir.path("to/neighbour"), "x").unwrap();
    copy(&dir, &["-a", "--delete", "s", "to"]).assert_silent();
    assert_same(&still(&dir.path("to/s")), &still(&dir.path("s")), "the target");
    assert_eq!(names(&dir.path("to")), ["neighbour", "s"]);
}

#[test]
fn what_is_excluded_is_not_deleted() {
    let dir = with_extras();
    copy(&dir, &["-aT", "--delete", "--exclude", "*.o", "--exclude", "gone", "s", "t"]).assert_silent();
    assert_eq!(files(&dir.path("t")), "d/kept gone/deep/file kept x.o");
}

#[test]
fn a_source_that_was_not_read_whole_vetoes_deletion() {
    need_root!();
    let (place, binary) = binary_for_everyone();
    let (source, target) = (place.path().join("s"), place.path().join("t"));
    fill(&source, &["a", "closed/file", "secret"]);
    let run = |options: &[&str]| {
        let copy = Highwater::binary(&binary).args(["copy", "-rT"]).args(options).args(["s", "t"]);
        copy.current_dir(place.path()).by_a_plain_user()
    };
    for (unreadable, words) in [("closed", "cannot access 's/closed'"), ("secret", "cannot open 's/secret'")]
    {
        let copy = run(&["--delete"]);
        fill(&target, &["extra", "closed/extra"]);
        for dir in ["t", "t/closed"] {
            set_owner(&place.path().join(dir), copy.uid(), 65534);
        }
        fs::set_permissions(source.join(unreadable), PermissionsExt::from_mode(0o000)).unwrap();
        copy.run().assert_failed(&[words, "Permission denied"]);
        let left = files(&target);
        assert!(left.contains("extra") && left.contains("closed/extra"), "{left}");
        fs::set_permissions(source.join(unreadable), PermissionsExt::from_mode(0o755)).unwrap();
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn a_missing_or_empty_source_deletes_nothing() {
    let dir = with_extras();
    let before = still(&dir.path("t"));
    copy(&dir, &["-aT", "--delete", "missing", "t"]).assert_failed(&["cannot stat 'missing'"]);
    assert_same(&still(&dir.path("t")), &before, "the target");
    fs::create_dir(dir.path("empty")).unwrap();
    let outcome = copy(&dir, &["-aT", "--delete", "empty", "t"]);
    assert_ne!(outcome.code, Some(0), "an empty source is a disk that isn't mounted");
    assert!(outcome.stderr.contains("'empty'"), "{}", outcome.stderr);
    assert_eq!(files(&dir.path("t")), "d/extra d/kept d/link extra gone/deep/file kept link x.o");
}

#[test]
fn delete_needs_directories_to_compare() {
    let dir = with_extras();
    let before = still(&dir.dir());
    for args in [&["-a", "--delete", "s/kept", "t"][..], &["-a", "--delete", "s", "s/kept", "t"]] {
        let outcome = copy(&dir, args);
        assert!(matches!(outcome.code, Some(1 | 2)), "{args:?}: {:?}", outcome.code);
        assert!(outcome.stderr.contains("--delete"), "{}", outcome.stderr);
        assert_same(&still(&dir.dir()), &before, "everything");
    }
    copy(&dir, &["--delete", "s", "t"]).assert_usage(&["--delete", "-r"]);
    assert_same(&still(&dir.dir()), &before, "everything");
}

#[test]
fn more_than_the_most_is_not_deleted() {
    // Of these the target has more: extra, x.o, link, d/extra, d/link, gone, gone/deep, gone/deep/file.
    for most in [8, 100, 7, 1, 0] {
        let dir = with_extras();
        let before = still(&dir.path("t")).0.len();
        let outcome = copy(&dir, &["-aT", "--delete", "--max-delete", &most.to_string(), "s", "t"]);
        if most >= 8 {
            outcome.assert_silent();
            assert_same(&still(&dir.path("t")), &still(&dir.path("s")), "the target");
        } else {
            assert_ne!(outcome.code, Some(0));
            assert!(outcome.stderr.contains("--max-delete"), "{}", outcome.stderr);
            assert_eq!(still(&dir.path("t")).0.len(), before, "nothing goes where more than {most} would");
        }
    }
}

#[test]
fn the_first_error_stops_where_that_is_asked_for() {
    let dir = tree_of(&["a", "b", "c", "d", "e"]);
    for blocked in ["a", "b", "c", "d", "e"] {
        fill(&dir.path("t"), &[&format!("{blocked}/in-the-way")]);
    }
    let errors = |option: &str| {
        let outcome = copy(&dir, &["-rT", "--jobs", "1", &format!("--on-error={option}"), "s", "t"]);
        outcome.assert_code(1);
        outcome.stderr.lines().filter(|line| line.contains("cannot overwrite directory")).count()
    };
    assert_eq!(errors("continue"), 5);
    assert_eq!(errors("stop"), 1);
    copy(&dir, &["-r", "--on-error=perhaps", "s", "t"]).assert_usage(&["--on-error", "perhaps"]);
}

#[test]
fn the_report_totals_the_tree() {
    let dir = tree_of(&["a", "b/c", "b/d"]);
    symlink("a", dir.path("s/link")).unwrap();
    fs::hard_link(dir.path("s/a"), dir.path("s/hard")).unwrap();
    let report = copy(&dir, &["-a", "--json", "-", "s", "t"]).assert_silent().json();
    assert_eq!(text(&report, "outcome"), "ok");
    assert_eq!(number(&report, "bytes"), 3000, "a hard link is no content");
    assert!(matches!(number(&report, "files"), 3..=5), "{report}");
    assert_eq!(at(&report, "errors").as_array().unwrap().len(), 0);
    let file = dir.path("report.json");
    let outcome = copy(&dir, &["-a", "--json", file.to_str().unwrap(), "s", "u"]);
    assert_eq!(outcome.assert_silent().stdout, b"");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(number(&report, "bytes"), 3000);
}

#[test]
fn the_report_has_each_error_once_in_the_order_of_paths() {
    let dir = tree_of(&["a", "b", "c/d", "c/e", "z", "fine"]);
    for blocked in ["z", "a", "c/e", "b", "c/d"] {
        fill(&dir.path("t"), &[&format!("{blocked}/in-the-way")]);
    }
    for jobs in ["1", "4"] {
        let outcome = copy(&dir, &["-rT", "--jobs", jobs, "--json", "-", "s", "t"]);
        outcome.assert_code(1);
        let report = outcome.json();
        assert_eq!(text(&report, "outcome"), "failed");
        assert_eq!((number(&report, "files"), number(&report, "bytes")), (1, 1000));
        let errors = at(&report, "errors").as_array().unwrap();
        let paths: Vec<_> = errors.iter().map(|error| error["path"].as_str().unwrap()).collect();
        let mut sorted = paths.clone();
        sorted.sort();
        assert_eq!(paths, sorted, "--jobs {jobs}");
        assert_eq!(paths.len(), 5);
        for (path, want) in paths.iter().zip(["a", "b", "c/d", "c/e", "z"]) {
            assert!(path.ends_with(want), "{path} instead of {want}");
        }
        assert!(errors.iter().all(|error| !error["message"].as_str().unwrap().is_empty()));
    }
}

#[test]
fn no_clobber_never_overwrites_what_came_meanwhile() {
    let dir = tree_of(
        &(0..100).map(|i| format!("{i}")).collect::<Vec<_>>().iter().map(|s| s.as_str()).collect::<Vec<_>>(),
    );
    let (stop, theirs) = (AtomicBool::new(false), Mutex::new(vec![]));
    let (mut made, mut copied) = (0, 0);
    std::thread::scope(|scope| {
        // Makes files of its own in the target, each only where none is, as -n has to.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for i in (0..100).rev() {
                    // Slowly, or all of them are there before the program has begun.
                    std::thread::sleep(Duration::from_micros(50));
                    let mut options = fs::File::options();
                    options.read(true).write(true).create_new(true);
                    if let Ok(file) = options.open(dir.path(&format!("t/{i}"))) {
                        file.write_all_at(b"theirs", 0).unwrap();
                        theirs.lock().unwrap().push(file);
                    }
                }
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(4) {
                for option in ["-n", "--update=none"] {
                    fs::create_dir(dir.path("t")).unwrap();
                    let outcome = copy(&dir, &["-rT", option, "--sync", "none", "s", "t"]);
                    assert!(matches!(outcome.code, Some(0 | 1)), "{}", outcome.stderr);
                    fs::rename(dir.path("t"), dir.path("done")).unwrap();
                    for file in theirs.lock().unwrap().drain(..) {
                        let mut got = [0; 7];
                        let len = file.read_at(&mut got, 0).unwrap();
                        assert_eq!(&got[..len], b"theirs", "written over");
                        made += 1;
                    }
                    copied += (0..100)
                        .filter(|i| {
                            fs::read(dir.path(&format!("done/{i}"))).unwrap() == content(&i.to_string())
                        })
                        .count();
                    fs::remove_dir_all(dir.path("done")).unwrap();
                }
            }
        }));
        stop.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert!(made > 100 && copied > 100, "the other made {made} files, {copied} were copied");
}
