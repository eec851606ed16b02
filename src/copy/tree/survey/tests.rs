//! Against real trees.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::copy::options::Dereference;
use crate::copy::options::Keep;
use crate::copy::tree::filter::{Filter, Rule};

/// Files and bytes, and whether that is all.
fn run(sources: &[&Path], options: &Options) -> (u64, u64, bool) {
    let sources: Vec<_> = sources.iter().map(|path| Name::Path(path.to_path_buf())).collect();
    let mut sum = (0, 0);
    let is_all = survey(&sources, options, &AtomicBool::new(false), &mut |files, bytes| {
        sum = (sum.0 + files, sum.1 + bytes);
    });
    (sum.0, sum.1, is_all)
}

fn tree() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::create_dir_all(path("d/e")).unwrap();
    fs::write(path("one"), [0; 1]).unwrap();
    fs::write(path("d/ten.o"), [0; 10]).unwrap();
    fs::write(path("d/e/hundred"), [0; 100]).unwrap();
    fs::hard_link(path("d/e/hundred"), path("d/again")).unwrap();
    symlink("one", path("link")).unwrap();
    symlink("d/e", path("way")).unwrap();
    symlink("..", path("d/up")).unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    place
}

fn recursive() -> Options {
    Options { recursive: true, dereference: Dereference::Never, ..Options::default() }
}

#[test]
fn what_would_be_copied_is_counted() {
    let place = tree();
    let root = place.path();
    let plain = recursive();
    assert_eq!(run(&[root], &plain), (8, 211, true));
    assert_eq!(run(&[&root.join("one"), &root.join("d/e")], &plain), (2, 101, true));
    assert_eq!(run(&[&root.join("missing"), &root.join("way")], &plain), (1, 0, true));
    let operands = Options { dereference: Dereference::Operands, ..plain.clone() };
    assert_eq!(run(&[&root.join("way")], &operands), (1, 100, true));
    // one, link, ten.o, hundred twice and once more by another way; no cycle, nothing that dangles
    let followed = Options { dereference: Dereference::Always, ..plain.clone() };
    assert_eq!(run(&[root], &followed), (6, 312, true));
    let links = Options { keep: Keep { links: true, ..Keep::default() }, ..plain.clone() };
    assert_eq!(run(&[root], &links), (8, 111, true));
    let flat = Options { recursive: false, ..plain.clone() };
    assert_eq!(run(&[root, &root.join("one")], &flat), (1, 1, true));
    let empty = Options { skip_data: true, ..plain };
    assert_eq!(run(&[root], &empty), (8, 0, true));
}

#[test]
fn what_is_excluded_is_not_counted() {
    let place = tree();
    let rule = |pattern: &str| Rule { include: false, pattern: OsString::from(pattern) };
    let filter = Filter::new(vec![rule("*.o"), rule("/d/e/")]).unwrap();
    assert_eq!(run(&[place.path()], &Options { filter, ..recursive() }), (6, 101, true));
}

#[test]
fn what_is_too_much_or_stopped_or_has_no_end_is_not_all() {
    let place = tempfile::tempdir().unwrap();
    let mut deep = place.path().to_path_buf();
    for _ in 0..MOST_LEVELS + 10 {
        fs::write(deep.join("f"), "1").unwrap();
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    assert_eq!(run(&[place.path()], &recursive()), (MOST_LEVELS as u64, MOST_LEVELS as u64, false));
    let none = &mut |_, _| panic!("nothing was looked at");
    let sources = [Name::Path(place.path().to_path_buf())];
    assert!(!survey(&sources, &recursive(), &AtomicBool::new(true), none));
    assert!(!survey(&[Name::Standard], &recursive(), &AtomicBool::new(false), none));
}
