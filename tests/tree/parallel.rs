//! However many workers: the same tree, the same words, the same exit status.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::support::command::binary_for_everyone;
use crate::support::report::number;
use crate::support::tree::*;
use crate::support::*;
use fastrand::Rng;

const JOBS: [&str; 3] = ["1", "2", "8"];

/// A tree of some hundred files over directories of every depth, with links across them, all with
/// times of their own.
fn many_files(root: &Path) {
    let mut rng = Rng::with_seed(5);
    let mut tree = Tree::new(root);
    let mut dirs = vec![String::new()];
    for i in 0..60 {
        let above = rng.choice(&dirs).unwrap().clone();
        let dir = format!("{above}{i}/");
        tree.dir(dir.trim_end_matches('/')).times((1_000_000_000 + i, 1), (1_100_000_000 + i, 2));
        dirs.push(dir);
    }
    let mut files: Vec<String> = vec![];
    for i in 0..600 {
        let name = format!("{}f{i}", rng.choice(&dirs).unwrap());
        match rng.u32(..10) {
            0 if !files.is_empty() => tree.link(name, rng.choice(&files).unwrap()),
            1 => drop(tree.symlink(name, "f1").times((1, 1), (2, i))),
            2 => drop(tree.node(name, libc::S_IFIFO, (0, 0)).times((1, 1), (3, i))),
            _ => {
                let len = rng.choice([0, 1, 4096, 30_000, 200_000]).unwrap();
                let mode = rng.choice([0o644, 0o600, 0o755, 0o444]).unwrap();
                tree.file(&name, bytes(i as u64, len)).mode(mode).times((4_000_000_000, i), (5 + i, i));
                files.push(name);
            }
        }
    }
    tree.built();
}

/// The lines in order, without the target's name.
fn lines(text: &str, target: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().map(|line| line.replace(target, "T")).collect();
    lines.sort();
    lines
}

#[test]
fn any_number_of_workers_makes_the_same_tree_and_says_the_same() {
    let dir = Scratch::new();
    many_files(&dir.path("s"));
    let want = Fingerprint::of(&dir.path("s")).without(&["atime"]);
    let mut said = vec![];
    for jobs in JOBS {
        let target = format!("target-{jobs}");
        let copy = Highwater::copy().current_dir(dir.dir()).args(["-av", "--jobs", jobs, "s", &target]);
        let outcome = copy.run();
        outcome.assert_silent();
        assert_same(&Fingerprint::of(&dir.path(&target)).without(&["atime"]), &want, jobs);
        said.push(lines(&String::from_utf8(outcome.stdout).unwrap(), &target));
    }
    assert_eq!(said[0].len(), want.0.len(), "-v names everything once");
    assert!(said[0].contains(&"'s' -> 'T'".into()), "{:?}", &said[0][..3]);
    assert!(said.iter().all(|each| *each == said[0]), "-v says the same, whatever --jobs");
}

#[test]
fn any_number_of_workers_meets_the_same_errors() {
    need_root!();
    let (place, binary) = binary_for_everyone();
    let (mut source, mut target) = (Tree::new(place.path().join("s")), vec![]);
    for i in 0..40 {
        source.dir(format!("{i}/open"));
        source.file(format!("{i}/open/file"), bytes(i, 10_000));
        source.dir(format!("{i}/closed")).mode(if i % 4 == 0 { 0o000 } else { 0o755 });
        source.file(format!("{i}/secret"), "x").mode(if i % 5 == 0 { 0o000 } else { 0o644 });
        source.file(format!("{i}/in-the-way"), "x");
        source.dir(format!("{i}/dir-in-the-way"));
    }
    source.built();
    let mut seen = vec![];
    for jobs in JOBS {
        let name = format!("target-{jobs}");
        let copy = Highwater::binary(&binary).args(["copy", "-r", "--jobs", jobs, "-T", "s", &name]);
        let copy = copy.current_dir(place.path()).umask(0o022).by_a_plain_user();
        let mut tree = Tree::new(place.path().join(&name));
        tree.root().owner(copy.uid(), 65534);
        for i in 0..40 {
            tree.dir(format!("{i}")).owner(copy.uid(), 65534);
            if i % 3 == 0 {
                tree.dir(format!("{i}/in-the-way"));
                tree.file(format!("{i}/dir-in-the-way"), "x");
            }
        }
        let outcome = copy.run();
        outcome.assert_code(1);
        seen.push(lines(&outcome.stderr, &name));
        target.push(Fingerprint::of(&place.path().join(&name)).without(&["atime", "mtime", "uid", "gid"]));
    }
    let count = |words: &str| seen[0].iter().filter(|line| line.contains(words)).count();
    assert_eq!(count("cannot access 's/"), 10, "{:#?}", seen[0]);
    assert_eq!(count("/secret' for reading: Permission denied"), 8);
    assert_eq!(count("cannot overwrite directory 'T/"), 14);
    assert_eq!(count("cannot overwrite non-directory 'T/"), 14);
    for (i, jobs) in JOBS.iter().enumerate() {
        assert_eq!(seen[i], seen[0], "what --jobs {jobs} says");
        assert_same(&target[i], &target[0], &format!("what --jobs {jobs} makes"));
    }
    assert_holds(&place.path().join("target-8/3/open/file"), 3, 10_000);
}

#[test]
fn hard_links_met_by_several_workers_become_one_file() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    for i in 0..32 {
        tree.dir(format!("{i}"));
    }
    for group in 0..50 {
        tree.file(format!("0/{group}"), bytes(group, 20_000 + group)).mode(0o640).times((1, 1), (2, 2));
        (1..32).for_each(|i| tree.link(format!("{i}/{group}"), format!("0/{group}")));
    }
    let want = Fingerprint::of(&dir.path("s")).without(&["atime"]);
    for jobs in JOBS {
        let target = dir.path(jobs);
        for round in ["new", "over what stands there"] {
            let copy = Highwater::copy().args(["-aT", "--jobs", jobs, "--json", "-"]);
            let outcome = copy.args([&dir.path("s"), &target]).run();
            outcome.assert_silent();
            assert_same(&Fingerprint::of(&target).without(&["atime"]), &want, &format!("{jobs}, {round}"));
            assert_eq!(fs::metadata(target.join("7/7")).unwrap().nlink(), 32);
            let bytes = number(&outcome.json(), "bytes");
            let once: u64 = (0..50).map(|group| 20_000 + group).sum();
            assert_eq!(bytes, once, "each content is copied once, --jobs {jobs}, {round}");
        }
    }
}

#[test]
fn one_big_file_among_small_ones_is_whole() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    for i in 0..20 {
        tree.dir(format!("{i}"));
        (0..20).for_each(|j| drop(tree.file(format!("{i}/{j}"), bytes(i * 20 + j, 3000 + j))));
    }
    write_file(&dir.path("s/10/big"), 999, 96 * MIB + 77);
    for jobs in JOBS {
        for engine in engines() {
            let target = dir.path("t");
            let copy = Highwater::copy().args(["-r", "--jobs", jobs, "--engine", engine, "--json", "-"]);
            let outcome = copy.args(["--reflink=never"]).args([&dir.path("s"), &target]).run();
            let report = outcome.assert_silent().json();
            assert_eq!(number(&report, "files"), 401, "--jobs {jobs}, {engine}");
            assert_eq!(number(&report, "bytes"), 96 * MIB + 77 + 20 * (20 * 3000 + 190));
            assert_holds(&target.join("10/big"), 999, 96 * MIB + 77);
            for i in 0..20 {
                (0..20).for_each(|j| assert_holds(&target.join(format!("{i}/{j}")), i * 20 + j, 3000 + j));
            }
            fs::remove_dir_all(&target).unwrap();
        }
    }
}

#[test]
fn memory_does_not_grow_with_the_workers_times_the_files() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    for i in 0..100 {
        tree.dir(format!("{i}"));
        (0..50).for_each(|j| drop(tree.file(format!("{i}/{j}"), bytes(j, 10_000))));
    }
    let peaks: Vec<u64> = JOBS
        .iter()
        .map(|jobs| {
            let copy = Highwater::copy().args(["-a", "--jobs", jobs, "--json", "-"]);
            let copy = copy.args([dir.path("s"), dir.path(jobs)]).timeout(Duration::from_secs(60));
            number(&copy.run().assert_silent().json(), "process.peak_rss_bytes")
        })
        .collect();
    assert!(peaks.iter().all(|peak| *peak < 48 * MIB), "{peaks:?}");
}

#[test]
fn a_number_of_workers_that_is_none_is_refused() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("s")).unwrap();
    for jobs in ["0", "-1", "many", ""] {
        let copy = Highwater::copy().args(["-r", &format!("--jobs={jobs}")]);
        copy.args([dir.path("s"), dir.path("t")]).run().assert_usage(&["--jobs"]);
        assert!(!dir.path("t").exists());
    }
}

#[test]
fn an_operand_that_another_worker_copies_is_not_taken_for_one_that_was_copied_already() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("to")).unwrap();
    let names: Vec<String> = (0..12).map(|nth| format!("file{nth}")).collect();
    for (seed, name) in names.iter().enumerate() {
        write_file(&dir.path(name), seed as u64, 300 * KIB);
    }
    for jobs in JOBS {
        let copy = Highwater::copy().args(["--jobs", jobs]).current_dir(dir.dir());
        copy.args(&names).arg("to").run().assert_silent();
        for (seed, name) in names.iter().enumerate() {
            assert_holds(&dir.path("to").join(name), seed as u64, 300 * KIB);
            fs::remove_file(dir.path("to").join(name)).unwrap();
        }
        // One that really was is told, and once.
        let copy = Highwater::copy().args(["--jobs", jobs]).current_dir(dir.dir());
        let outcome = copy.args(&names[..3]).args([&names[1], "to"]).run();
        assert_eq!(
            outcome.assert_ok().stderr,
            "highwater: warning: source file 'file1' specified more than once\n"
        );
    }
}
