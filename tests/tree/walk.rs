//! The walk: trees far deeper and directories far larger than what fits, few descriptors, loops of
//! every kind, and directories that are swapped for symlinks under its hands.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::tree::*;
use crate::support::*;
use nix::sys::resource::Resource;

/// A chain of directories called `d`, a file in each thousandth, too deep for any path. Built and
/// removed by descriptors.
struct Deep {
    top: OwnedFd,
    levels: usize,
}

const LINK: &CStr = c"d";

impl Deep {
    fn at(path: &Path) -> Deep {
        Deep { top: open_dir(libc::AT_FDCWD, &c_path(path)).unwrap(), levels: 0 }
    }

    fn build(path: &Path, levels: usize) -> Deep {
        fs::create_dir(path).unwrap();
        let mut deep = Deep::at(path);
        let mut here = deep.top.try_clone().unwrap();
        for level in 1..=levels {
            // SAFETY: an open directory, a name that ends in a NUL.
            assert_eq!(unsafe { libc::mkdirat(here.as_raw_fd(), LINK.as_ptr(), 0o755) }, 0);
            here = open_dir(here.as_raw_fd(), LINK).unwrap();
            if level % 1000 == 0 {
                let file = CString::new(format!("file-{level}")).unwrap();
                // SAFETY: as above.
                let made =
                    unsafe { libc::mknodat(here.as_raw_fd(), file.as_ptr(), libc::S_IFREG | 0o640, 0) };
                assert_eq!(made, 0);
            }
        }
        deep.levels = levels;
        deep
    }

    /// How deep it is, and how many files are where they belong.
    fn measure(&self) -> (usize, usize) {
        let mut here = self.top.try_clone().unwrap();
        let (mut level, mut files) = (0, 0);
        while let Ok(below) = open_dir(here.as_raw_fd(), LINK) {
            level += 1;
            here = below;
            if level % 1000 == 0 {
                let file = CString::new(format!("file-{level}")).unwrap();
                // SAFETY: as above.
                files += usize::from(unsafe { libc::faccessat(here.as_raw_fd(), file.as_ptr(), 0, 0) } == 0);
            }
        }
        (level, files)
    }

    /// Takes it apart from the bottom.
    fn remove(&self) {
        let mut here = self.top.try_clone().unwrap();
        let mut levels = 0;
        while let Ok(below) = open_dir(here.as_raw_fd(), LINK) {
            here = below;
            levels += 1;
        }
        for _ in 0..levels {
            let above = open_dir(here.as_raw_fd(), c"..").unwrap();
            for name in list_of(here.into_raw_fd()) {
                let name = CString::new(name.into_vec()).unwrap();
                let below = open_dir(above.as_raw_fd(), LINK).unwrap();
                // SAFETY: as above.
                unsafe { libc::unlinkat(below.as_raw_fd(), name.as_ptr(), 0) };
            }
            // SAFETY: as above.
            unsafe { libc::unlinkat(above.as_raw_fd(), LINK.as_ptr(), libc::AT_REMOVEDIR) };
            here = above;
        }
    }
}

impl Drop for Deep {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Copies a tree of 10,000 levels, with the process's limits as `limited` sets them.
#[track_caller]
fn copies_deep(options: &[&str], limited: impl Fn(Highwater) -> Highwater) {
    // In memory: an ext4 takes its time for ten thousand new directories.
    let dir = Tmpfs::new(256 * MIB);
    let source = Deep::build(&dir.path("s"), 10_000);
    fs::create_dir(dir.path("t")).unwrap();
    let target = Deep::at(&dir.path("t"));
    let copy =
        Highwater::copy().current_dir(dir.dir()).args(options).args(["--sync", "none", "-T", "s", "t"]);
    limited(copy).timeout(Duration::from_secs(120)).run().assert_silent();
    assert_eq!(target.measure(), (source.levels, 10));
}

#[test]
fn a_tree_of_ten_thousand_levels_is_copied() {
    need_root!();
    copies_deep(&["-a"], |copy| copy);
}

#[test]
fn a_deep_tree_needs_few_descriptors() {
    need_root!();
    copies_deep(&["-r"], |copy| copy.limit(Resource::RLIMIT_NOFILE, 64));
    copies_deep(&["-a", "--jobs", "8"], |copy| copy.limit(Resource::RLIMIT_NOFILE, 64));
}

#[test]
fn a_deep_tree_needs_little_stack() {
    need_root!();
    copies_deep(&["-a"], |copy| copy.limit(Resource::RLIMIT_STACK, MIB));
}

#[test]
fn a_directory_of_very_many_entries_takes_no_more_memory() {
    let entries: u64 = match std::env::var_os("HIGHWATER_TEST_MILLION") {
        Some(_) => 1_000_000,
        None => 200_000,
    };
    need_root!();
    let memory = disk::Mount::new(&["-t", "tmpfs", "-o", "size=2g,nr_inodes=4m", "highwater-test"]);
    let source = memory.dir().join("s");
    fs::create_dir(&source).unwrap();
    for i in 0..entries {
        make_node(
            &source.join(format!("a-file-with-a-name-of-some-length-{i}")),
            libc::S_IFREG,
            0o644,
            (0, 0),
        );
    }
    for jobs in ["1", "4"] {
        let target = memory.dir().join("t");
        let copy = Highwater::copy().args(["-a", "--jobs", jobs, "--json", "-"]).args([&source, &target]);
        let outcome = copy.timeout(Duration::from_secs(600)).run();
        let report = outcome.assert_silent().json();
        assert_eq!(names(&target).len() as u64, entries);
        assert_eq!(report::number(&report, "files"), entries);
        let peak = report::number(&report, "process.peak_rss_bytes");
        assert!(peak < 48 * MIB, "--jobs {jobs}: {} MiB", peak / MIB);
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn wide_and_deep_at_once_goes_with_few_descriptors() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    for i in 0..60 {
        let path = format!("{i}/{}", "n/".repeat(20));
        tree.dir(path.trim_end_matches('/'));
        tree.file(format!("{path}file"), bytes(i, 30_000));
    }
    let want = Fingerprint::of(&dir.path("s")).without(&OWN);
    for jobs in ["1", "8"] {
        let target = dir.path(&format!("t{jobs}"));
        let copy = Highwater::copy().args(["-r", "--jobs", jobs]).args([&dir.path("s"), &target]);
        copy.limit(Resource::RLIMIT_NOFILE, 40).run().assert_silent();
        assert_same(&Fingerprint::of(&target).without(&OWN), &want, jobs);
    }
}

#[test]
fn too_few_descriptors_for_anything_are_told() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    for i in 0..20 {
        tree.dir(format!("{i}/a/b"));
        tree.file(format!("{i}/a/b/file"), bytes(i, 30_000));
    }
    let want = Fingerprint::of(&dir.path("s")).without(&OWN);
    for limit in 4..40 {
        let target = dir.path(&format!("t{limit}"));
        let copy = Highwater::copy().args(["-r", "--jobs", "2"]).args([&dir.path("s"), &target]);
        let outcome = copy.limit(Resource::RLIMIT_NOFILE, limit).run();
        match outcome.code {
            Some(0) => assert_same(&Fingerprint::of(&target).without(&OWN), &want, "called done"),
            Some(1) => assert!(outcome.stderr.contains("Too many open files"), "{}", outcome.stderr),
            // Not even the libraries could be loaded.
            Some(127) if limit < 6 => (),
            code => {
                panic!("{limit} descriptors: exit {code:?}, signal {:?}: {}", outcome.signal, outcome.stderr)
            }
        }
    }
}

#[test]
fn a_directory_copied_into_itself_ends() {
    for args in [["-r", "d", "d/sub"], ["-r", "d", "d"], ["-a", "d", "d/a/new"], ["-rL", "d", "d/a/b"]] {
        for jobs in ["1", "8"] {
            let dir = Scratch::new();
            let mut tree = Tree::new(dir.path("d"));
            for name in ["a", "b", "c"] {
                tree.dir(name);
                tree.file(format!("{name}/file"), bytes(1, 5000));
            }
            let copy = Highwater::copy().current_dir(dir.dir()).args(["--jobs", jobs]).args(args);
            let outcome = copy.timeout(Duration::from_secs(20)).run();
            outcome.assert_failed(&["cannot copy a directory, 'd', into itself, "]);
            let made = Fingerprint::of(&dir.dir());
            assert!(made.0.len() < 40, "{args:?} made {} files", made.0.len());
            for name in ["a", "b", "c"] {
                assert_holds(&dir.path(&format!("d/{name}/file")), 1, 5000);
            }
        }
    }
}

#[test]
fn symlinks_in_a_circle_are_told_where_they_are_followed() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    tree.dir("a/b");
    tree.symlink("a/b/up", "..");
    tree.symlink("here", ".");
    tree.symlink("self", "self");
    tree.file("a/b/file", bytes(1, 5000));
    let copy = |options| Highwater::copy().current_dir(dir.dir()).args([options, "s", "t"]).run();
    let outcome = copy("-rL");
    assert_says(
        &outcome,
        &[
            "cannot copy cyclic symbolic link 's/a/b/up'",
            "cannot copy cyclic symbolic link 's/here'",
            "cannot stat 's/self': Too many levels of symbolic links",
        ],
    );
    assert_eq!(Fingerprint::of(&dir.path("t")).paths(), ["", "a", "a/b", "a/b/file"]);
    fs::remove_dir_all(dir.path("t")).unwrap();
    copy("-a").assert_silent();
    assert_eq!(fs::read_link(dir.path("t/a/b/up")).unwrap(), Path::new(".."));
}

#[test]
fn a_directory_met_again_over_symlinks_is_copied_each_time() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    tree.dir("one");
    tree.file("one/file", bytes(1, 5000));
    tree.symlink("two", "one");
    tree.symlink("three", "two");
    Highwater::copy().arg("-rL").args([dir.path("s"), dir.path("t")]).run().assert_silent();
    for name in ["one", "two", "three"] {
        assert_holds(&dir.path(&format!("t/{name}/file")), 1, 5000);
    }
    assert!(Fingerprint::of(&dir.path("t")).0.values().all(|print| print["type"] != "symlink"));
}

#[test]
fn one_file_system_stays_on_one() {
    need_root!();
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    tree.dir("mounted").mode(0o711);
    tree.file("file", "x");
    tree.built();
    let mount = disk::Mount::new(&["-t", "tmpfs", "highwater-test"]);
    fs::write(mount.dir().join("other"), "x").unwrap();
    disk::system(
        "mount",
        &["--bind", mount.dir().to_str().unwrap(), dir.path("s/mounted").to_str().unwrap()],
    );
    let copy =
        |options: &[&str], to| Highwater::copy().current_dir(dir.dir()).args(options).args(["s", to]).run();
    let outcomes = [copy(&["-ax"], "t"), copy(&["-a"], "all")];
    disk::unmount(&dir.path("s/mounted"));
    for outcome in outcomes {
        outcome.assert_silent();
    }
    assert_eq!(Fingerprint::of(&dir.path("t")).paths(), ["", "file", "mounted"]);
    assert_eq!(Fingerprint::of(&dir.path("all")).paths(), ["", "file", "mounted", "mounted/other"]);
}

/// Swaps `name` in `dir` for a symlink to `to` and back, over and over, until it is told to stop.
fn swap(dir: &Path, name: &str, to: &Path, stop: &AtomicBool) -> u64 {
    let (real, link) = (dir.join(name), dir.join(".link"));
    let mut swaps = 0;
    let exchange = |a: &Path, b: &Path| {
        // SAFETY: paths that end in a NUL.
        unsafe {
            libc::renameat2(
                libc::AT_FDCWD,
                c_path(a).as_ptr(),
                libc::AT_FDCWD,
                c_path(b).as_ptr(),
                libc::RENAME_EXCHANGE,
            )
        }
    };
    let _ = fs::remove_file(&link);
    symlink(to, &link).unwrap();
    while !stop.load(Ordering::Relaxed) {
        // The directory may not be there (yet, any more): then nothing is swapped.
        if exchange(&link, &real) == 0 {
            swaps += 1;
            if swaps % 3 == 0 {
                std::thread::yield_now();
            }
            let _ = exchange(&link, &real);
        }
    }
    swaps
}

/// A directory outside of all that is copied, with everything a careless copy would change or take.
fn outside(path: &Path) -> Fingerprint {
    let mut tree = Tree::new(path);
    tree.file("file", "SECRET, outside").mode(0o600).times((5, 0), (5, 0));
    tree.dir("below").mode(0o700).times((5, 0), (5, 0));
    tree.file("below/file", "SECRET, below").mode(0o600).times((5, 0), (5, 0));
    tree.root().mode(0o711).times((5, 0), (5, 0));
    tree.built();
    Fingerprint::of(path).without(&["atime"])
}

/// The source of these copies: the same names as outside, in a directory that is swapped.
fn inside(path: &Path) {
    let mut tree = Tree::new(path);
    for i in 0..30 {
        tree.file(format!("first-{i}"), "x");
    }
    tree.dir("swapped/below").owner(7, 8).mode(0o2775).times((9, 9), (9, 9)).xattr("user.a", b"1");
    tree.file("swapped/file", "inside").owner(7, 8).mode(0o4755).xattr("user.a", b"1").times((9, 9), (9, 9));
    tree.file("swapped/below/file", "inside").owner(7, 8).mode(0o666).times((9, 9), (9, 9));
    tree.file("swapped/new", "inside");
    tree.file("swapped/below/new", "inside");
    tree.dir("swapped").owner(7, 8).mode(0o777).times((9, 9), (9, 9)).xattr("user.a", b"1");
    tree.built();
}

/// Copies for some seconds, with all options given, while a thread swaps in `at` of the tree.
fn copies_while_swapped(dir: &Path, options: &[&[&str]], swapped_in: &Path, mut after: impl FnMut(&Outcome)) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| swap(swapped_in, "swapped", &dir.join("outside"), &stop));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(4) {
                for options in options {
                    let copy = Highwater::copy().current_dir(dir).args(*options).args(["--sync", "none"]);
                    after(&copy.args(["-T", "s", "t"]).run());
                }
            }
        }));
        stop.store(true, Ordering::Relaxed);
        let swaps = swapper.join().unwrap();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(swaps > 1000, "only {swaps} swaps");
    });
}

#[test]
fn nothing_outside_is_touched_while_directories_of_the_target_are_swapped_for_symlinks() {
    need_root!();
    let dir = Scratch::new();
    let before = outside(&dir.path("outside"));
    inside(&dir.path("s"));
    inside(&dir.path("t"));
    copies_while_swapped(
        &dir.dir(),
        &[&["-a"], &["-r"], &["-a", "--jobs", "4"]],
        &dir.path("t"),
        |outcome| {
            assert!(outcome.signal.is_none() && matches!(outcome.code, Some(0 | 1)), "{}", outcome.stderr);
            let after = Fingerprint::of(&dir.path("outside")).without(&["atime"]);
            assert_same(&after, &before, "what is outside");
        },
    );
}

#[test]
fn nothing_outside_is_copied_while_directories_of_the_source_are_swapped_for_symlinks() {
    need_root!();
    let dir = Scratch::new();
    let before = outside(&dir.path("outside"));
    inside(&dir.path("s"));
    copies_while_swapped(
        &dir.dir(),
        &[&["-a"], &["-r"], &["-a", "--jobs", "4"]],
        &dir.path("s"),
        |outcome| {
            assert!(outcome.signal.is_none() && matches!(outcome.code, Some(0 | 1)), "{}", outcome.stderr);
            let Ok(meta) = fs::symlink_metadata(dir.path("t")) else { return };
            assert!(meta.is_dir() && meta.nlink() > 1);
            for (path, print) in Fingerprint::of(&dir.path("t")).0 {
                let path = dir.path("t").join(String::from_utf8(path).unwrap());
                if print["type"] == "file" {
                    assert_ne!(&fs::read(&path).unwrap()[..1], b"S", "{}: from outside", path.display());
                }
            }
            assert_same(
                &Fingerprint::of(&dir.path("outside")).without(&["atime"]),
                &before,
                "what is outside",
            );
            fs::remove_dir_all(dir.path("t")).unwrap();
        },
    );
}
