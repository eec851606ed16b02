//! `--resume` of a tree with a journal that can't be used, with a target or a source that is another now:
//! what is refused, before anything is touched, and what is copied anew.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::resume_refused::kill_once_recorded;
use crate::support::report::number;
use crate::support::tree::{Fingerprint, Tree, assert_same};
use crate::support::*;
use nix::sys::signal::Signal;

const LEN: u64 = 12 * MIB;

/// A copy of a tree that was stopped in its middle, once `so_many` names were in a directory of its target;
/// all that was complete is recorded.
fn stopped(dir: &Scratch, options: &[&str], so_many: usize) -> impl Fn() -> Highwater + use<> {
    let (source, target) = (dir.path("source"), dir.path("target"));
    let options: Vec<String> = options.iter().map(|option| option.to_string()).collect();
    let copy =
        move || bounded_copy().args(&options).args(["--resume", "--json", "-"]).args([&source, &target]);
    let mut running = copy().args(["--simulate", "bandwidth=10M/s"]).start();
    let directories = ["a", "b", "d"].map(|name| dir.path("target").join(name));
    let count = |directory: &PathBuf| fs::read_dir(directory).map_or(0, Iterator::count);
    let journal = dir.path(".target.highwater-journal");
    let recorded = || fs::metadata(&journal).is_ok_and(|journal| journal.len() > 1024);
    wait_for("names in the target and a record", || {
        running.has_ended() || directories.iter().any(|d| count(d) >= so_many) && recorded()
    });
    running.signal(Signal::SIGTERM);
    running.wait().assert_code(143);
    copy
}

/// A tree of small files and a large one, of which something is recorded after a few files.
fn small_and_large(dir: &Scratch) {
    let mut tree = Tree::new(dir.path("source"));
    tree.dir("d");
    (0..200).for_each(|nth| drop(tree.file(format!("d/{nth}"), bytes(nth, 50_000))));
    tree.file("large", bytes(100, 4 * MIB + 5));
    tree.symlink("d/link", "1");
    tree.built();
}

fn print_of(dir: &Scratch) -> Fingerprint {
    Fingerprint::of(&dir.path("target")).without(&["atime"])
}

#[test]
fn a_journal_of_something_else_or_that_was_changed_is_refused_and_nothing_is_touched() {
    let dir = Scratch::new();
    small_and_large(&dir);
    Tree::new(dir.path("other")).file("file", bytes(7, 1000));
    let copy = stopped(&dir, &["-r"], 5);
    let path = dir.path(".target.highwater-journal");
    let (journal, before, all) = (fs::read(&path).unwrap(), print_of(&dir), names(&dir.dir()));
    let refused = |copy: Highwater, said: &str| {
        let journal = fs::read(&path).unwrap();
        copy.run().assert_failed(&["journal", said]);
        assert_same(&print_of(&dir), &before, said);
        assert!(fs::read(&path).unwrap() == journal, "{said}: the journal was touched");
        assert_eq!(names(&dir.dir()), all, "{said}");
    };
    let resume = |source: &str| bounded_copy().arg("--resume").args([dir.path(source), dir.path("target")]);
    refused(resume("other").arg("-r"), "is of another copy");
    refused(resume("other").args(["-r", "-T"]), "is of another copy");
    refused(resume("source").arg("-a"), "of this copy with other options");
    refused(resume("source").args(["-r", "--exclude", "*.o"]), "of this copy with other options");
    let changed = |at: usize, said: &str| {
        let mut bytes = journal.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        refused(copy(), said);
    };
    changed(9, "is of version 257 of its format");
    changed(2, "is no journal of highwater's");
    changed(70, "is damaged at byte 0");
    changed(512 + 60, "is damaged at byte 512");
    for cut in [10, 47, 100] {
        fs::write(&path, &journal[..cut]).unwrap();
        refused(copy(), "is cut short");
    }
    // As far as it goes it is believed.
    fs::write(&path, &journal[..journal.len() - 1]).unwrap();
    copy().run().assert_ok();
    assert_copied(&dir, "cut at its end");
}

/// Asserts that the copy is done: the same tree, and nothing else.
#[track_caller]
fn assert_copied(dir: &Scratch, what: &str) {
    let own = ["atime", "mtime", "data"];
    let (got, want) = (print_of(dir), Fingerprint::of(&dir.path("source")));
    assert_same(&got.without(&own), &want.without(&own), what);
    assert!(!dir.path(".target.highwater-journal").exists(), "{what}: the journal");
}

#[test]
fn every_bit_of_a_journal_of_a_tree_counts() {
    let dir = Scratch::new();
    small_and_large(&dir);
    let path = dir.path(".target.highwater-journal");
    let mut rng = fastrand::Rng::with_seed(6);
    let mut refused = 0;
    for _ in 0..12 {
        let copy = stopped(&dir, &["-r"], 5);
        let (mut journal, before) = (fs::read(&path).unwrap(), print_of(&dir));
        let (at, bit) = (rng.usize(0..journal.len()), rng.u32(0..8));
        journal[at] ^= 1 << bit;
        fs::write(&path, &journal).unwrap();
        let what = format!("bit {bit} of byte {at} of {}", journal.len());
        let outcome = copy().run();
        match outcome.code {
            Some(0) => assert_copied(&dir, &what),
            Some(1) => {
                refused += 1;
                outcome.assert_failed(&["journal"]);
                assert_same(&print_of(&dir), &before, &what);
                assert!(fs::read(&path).unwrap() == journal, "{what}: the journal was touched");
                fs::remove_file(&path).unwrap();
            }
            code => panic!("{what}: {code:?} {}", outcome.stderr),
        }
        fs::remove_dir_all(dir.path("target")).unwrap();
    }
    assert!(refused > 0, "no bit of twelve was missed");
}

#[test]
fn a_file_of_a_tree_that_was_altered_is_noticed_and_copied_anew() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("source"));
    tree.dir("d");
    (0..200).for_each(|nth| drop(tree.file(format!("d/{nth}"), bytes(nth, 200_000))));
    tree.built();
    let copy = stopped(&dir, &["-r"], 10);
    let (parts, there): (Vec<_>, Vec<_>) =
        names(&dir.path("target/d")).into_iter().partition(|name| name.to_string_lossy().starts_with('.'));
    assert!((3..200).contains(&there.len()), "{there:?}");
    let (altered, others) = (dir.path("target/d").join(&there[0]), there.len() as u64 - 1);
    // The same file, length and times: only its content tells.
    let times = fs::metadata(&altered).unwrap();
    let another = [!fs::read(&altered).unwrap()[150_000]];
    let file = fs::File::options().write(true).open(&altered).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &another, 150_000).unwrap();
    file.set_modified(times.modified().unwrap()).unwrap();
    drop(file);
    let outcome = copy().run();
    outcome.assert_ok();
    let said = format!("'{}' is not as this copy left it; it is copied anew", altered.display());
    assert!(outcome.stderr.contains(&said), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    let believed = number(&outcome.json(), "resumed.believed_bytes");
    // Besides, of the altered one what precedes the place; and a part may be whole that had no name yet.
    let most = others + 1 + parts.len() as u64;
    assert!(
        (others * 200_000..=most * 200_000).contains(&believed),
        "{believed} of {others} others, {parts:?}"
    );
    for nth in 0..200 {
        assert_holds(&dir.path(&format!("target/d/{nth}")), nth, 200_000);
    }
}

#[test]
fn what_is_left_of_a_file_that_the_source_lacks_now_goes_without_a_trace() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("source"));
    tree.dir("d");
    tree.file("d/large", bytes(1, 20 * MIB));
    tree.file("d/small", bytes(2, 100)).times((1, 1), (5, 5));
    tree.built();
    for options in [&["-a"][..], &["-a", "--atomic"]] {
        write_file(&dir.path("source/d/large"), 1, 20 * MIB);
        let copy = stopped(&dir, options, 1);
        let is_part = |name: &std::ffi::OsString| name.to_string_lossy().starts_with(".highwater-part-");
        assert!(names(&dir.path("target/d")).iter().any(is_part), "{:?}", names(&dir.path("target/d")));
        fs::remove_file(dir.path("source/d/large")).unwrap();
        copy().run().assert_ok();
        let (got, want) = (Fingerprint::of(&dir.path("target")), Fingerprint::of(&dir.path("source")));
        assert_same(&got.without(&["atime"]), &want.without(&["atime"]), &format!("{options:?}"));
        fs::remove_dir_all(dir.path("target")).unwrap();
    }
}

#[test]
fn a_part_of_a_file_with_several_names_is_found_whichever_of_them_is_met_first() {
    const LARGE: u64 = 24 * MIB;
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("source"));
    tree.dir("a");
    tree.dir("b");
    tree.file("a/file", bytes(1, LARGE));
    tree.link("b/file", "a/file");
    tree.built();
    let copy = stopped(&dir, &["-a"], 1);
    let parts = |name: &str| {
        let there = fs::read_dir(dir.path("target").join(name)).into_iter().flatten();
        there.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("-part-")).count()
    };
    let first = if parts("a") == 1 { "a" } else { "b" };
    assert_eq!(parts(first), 1);
    // Another name now, and none that was met before.
    let (was, is) = (dir.path("source").join(first), dir.path("source/z"));
    fs::rename(&was, &is).unwrap();
    let mut running = copy().args(["--limit-rate", "8M"]).start();
    running.wait_until_it_handles(Signal::SIGTERM);
    std::thread::sleep(Duration::from_secs(1));
    running.signal(Signal::SIGTERM);
    let outcome = running.wait();
    outcome.assert_code(143);
    let believed = number(&outcome.json(), "resumed.believed_bytes");
    assert!(believed > 0, "nothing was believed under another name");
    fs::rename(&is, &was).unwrap();
    let outcome = copy().run();
    let more = number(&outcome.assert_ok().json(), "resumed.believed_bytes");
    assert!(more > believed, "{more} bytes were believed, after {believed}");
    assert_eq!(number(&outcome.json(), "bytes") + more, LARGE);
    assert_eq!(["a", "b", "z"].map(parts), [0, 0, 0]);
    for name in ["a", "b"] {
        assert_holds(&dir.path("target").join(name).join("file"), 1, LARGE);
        assert_eq!(names(&dir.path("target").join(name)), ["file"]);
    }
    use std::os::unix::fs::MetadataExt;
    let inode = |name: &str| fs::metadata(dir.path("target").join(name).join("file")).unwrap().ino();
    assert_eq!(inode("a"), inode("b"));
}

#[test]
fn a_directory_that_is_another_one_now_is_refused() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("source")).unwrap();
    write_file(&dir.path("source/file"), 1, LEN);
    fs::create_dir(dir.path("target")).unwrap();
    let copy = || bounded_copy().args(["-r", "--resume"]).arg(dir.path("source")).arg(dir.path("target"));
    kill_once_recorded(copy(), &dir.path(".target.highwater-journal"));
    fs::rename(dir.path("target"), dir.path("mounted elsewhere")).unwrap();
    fs::create_dir(dir.path("target")).unwrap();
    let outcome = copy().run();
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("is not what this copy was begun with"), "{}", outcome.stderr);
    assert_eq!(names(&dir.path("target")), [""; 0]);
    fs::remove_dir(dir.path("target")).unwrap();
    let outcome = copy().run();
    assert_eq!(outcome.code, Some(1));
    fs::rename(dir.path("mounted elsewhere"), dir.path("target")).unwrap();
    copy().run().assert_code(0);
    assert_holds(&dir.path("target/source/file"), 1, LEN);
    assert_eq!(names(&dir.path("target")), ["source"]);
}
