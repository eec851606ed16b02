//! Against real trees; what a tree holds afterwards is compared as a whole.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::Mutex;

use nix::errno::Errno;
use tempfile::TempDir;

use super::*;
use crate::copy::events::{Event, Question};
use crate::copy::options::{Delete, Dereference};
use crate::copy::tree::filter::{Filter, Rule};

#[derive(Default)]
struct Heard(Mutex<Vec<PathBuf>>);

impl Witness for Heard {
    fn tell(&self, event: &Event<'_>) {
        if let Event::Deleted(path) = event {
            // Of a very deep tree all paths together are hundreds of megabytes.
            if path.as_os_str().len() < 1000 {
                self.0.lock().unwrap().push(path.to_path_buf());
            }
        }
    }

    fn ask(&self, _: &Question<'_>) -> bool {
        true
    }
}

/// Two trees in a temporary directory: `s` and `t`.
struct Trees {
    place: TempDir,
    options: Options,
    heard: Heard,
    pairs: RefCell<Vec<(String, String)>>,
}

impl Trees {
    /// With these paths in them; one that ends with a slash is a directory.
    fn new(source: &[&str], target: &[&str]) -> Trees {
        let place = tempfile::tempdir().unwrap();
        for (root, paths) in [("s", source), ("t", target)] {
            fs::create_dir(place.path().join(root)).unwrap();
            for path in paths {
                let whole = place.path().join(root).join(path);
                match path.ends_with('/') {
                    true => fs::create_dir_all(&whole).unwrap(),
                    false => {
                        fs::create_dir_all(whole.parent().unwrap()).unwrap();
                        fs::write(&whole, path).unwrap();
                    }
                }
            }
        }
        let options = Options {
            recursive: true,
            dereference: Dereference::Never,
            delete: Some(Delete { most: None }),
            ..Options::default()
        };
        let pairs = RefCell::new(vec![("s".into(), "t".into())]);
        Trees { place, options, heard: Heard::default(), pairs }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.place.path().join(path)
    }

    fn run(&self) -> Result<u64, Vec<Error>> {
        let open = |path: &str| OwnedFd::from(File::open(self.path(path)).unwrap());
        let pairs = self.pairs.borrow();
        let pair = |(source, target): &(String, String)| Pair {
            source: open(source),
            target: open(target),
            source_path: source.into(),
            target_path: target.into(),
        };
        let cancel = Cancel::new().unwrap();
        mirror(pairs.iter().map(pair).collect(), &self.options, &cancel, &self.heard, &|_, _| Ok(()))
    }

    /// What was told, sorted.
    fn told(&self) -> Vec<PathBuf> {
        let mut told = self.heard.0.lock().unwrap().clone();
        told.sort();
        told
    }

    /// All that the target holds.
    fn left(&self) -> BTreeSet<String> {
        fn collect(root: &Path, at: &Path, into: &mut BTreeSet<String>) {
            for entry in fs::read_dir(at).unwrap() {
                let entry = entry.unwrap();
                let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                if entry.file_type().unwrap().is_dir() {
                    into.insert(path + "/");
                    collect(root, &entry.path(), into);
                } else {
                    into.insert(path);
                }
            }
        }
        let mut left = BTreeSet::new();
        collect(&self.path("t"), &self.path("t"), &mut left);
        left
    }

    fn filter(mut self, excluded: &[&str]) -> Trees {
        let rule = |pattern: &&str| Rule { include: false, pattern: OsString::from(pattern) };
        self.options.filter = Filter::new(excluded.iter().map(rule).collect()).unwrap();
        self
    }
}

fn set(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

fn paths(paths: &[&str]) -> Vec<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

const SOURCE: &[&str] = &["a", "d/b", "d/e/"];
const TARGET: &[&str] = &["a", "x", "d/b", "d/y", "d/e/z/f/g", "d/e/z/h", "w/"];

#[test]
fn what_the_source_lacks_goes_and_nothing_else() {
    let trees = Trees::new(SOURCE, TARGET);
    assert_eq!(trees.run(), Ok(7));
    assert_eq!(trees.left(), set(&["a", "d/", "d/b", "d/e/"]));
    let gone = ["t/d/e/z", "t/d/e/z/f", "t/d/e/z/f/g", "t/d/e/z/h", "t/d/y", "t/w", "t/x"];
    assert_eq!(trees.told(), paths(&gone));
    assert_eq!(trees.run(), Ok(0));
}

#[test]
fn a_dry_run_tells_the_same_and_removes_nothing() {
    let mut trees = Trees::new(SOURCE, TARGET);
    trees.options.dry_run = true;
    let before = trees.left();
    assert_eq!(trees.run(), Ok(7));
    assert_eq!(trees.left(), before);
    let told = trees.told();
    trees.options.dry_run = false;
    trees.heard = Heard::default();
    assert_eq!(trees.run(), Ok(7));
    assert_eq!(trees.told(), told);
}

#[test]
fn where_more_would_go_than_may_nothing_does() {
    let mut trees = Trees::new(SOURCE, TARGET);
    let before = trees.left();
    for dry_run in [true, false] {
        trees.options.dry_run = dry_run;
        trees.options.delete = Some(Delete { most: Some(6) });
        let refused = Error::new(Op::Delete, "t", Cause::TooManyDeletions { found: 7, most: 6 });
        assert_eq!(trees.run(), Err(vec![refused]));
        assert_eq!((trees.left(), trees.told()), (before.clone(), vec![]));
    }
    trees.options.delete = Some(Delete { most: Some(7) });
    assert_eq!(trees.run(), Ok(7));
}

#[test]
fn what_is_excluded_stays_with_the_directories_that_hold_it() {
    for dry_run in [true, false] {
        let mut trees = Trees::new(SOURCE, &["x", "y/k/a.o", "y/l/b", "d/z.o", "cache/q/r", "a"])
            .filter(&["*.o", "/cache/"]);
        trees.options.dry_run = dry_run;
        assert_eq!(trees.run(), Ok(3));
        assert_eq!(trees.told(), paths(&["t/x", "t/y/l", "t/y/l/b"]));
        if !dry_run {
            assert_eq!(
                trees.left(),
                set(&["a", "cache/", "cache/q/", "cache/q/r", "d/", "d/z.o", "y/", "y/k/", "y/k/a.o"])
            );
        }
    }
}

#[test]
fn an_empty_source_is_refused_where_something_would_go() {
    let trees = Trees::new(&[], &["a"]);
    let refused = Error::new(Op::Delete, "s", Cause::EmptySource).with("t");
    assert_eq!(trees.run(), Err(vec![refused]));
    assert_eq!(trees.left(), set(&["a"]));
    assert_eq!(Trees::new(&[], &[]).run(), Ok(0));
}

#[test]
fn another_kind_of_file_counts_as_there() {
    let trees = Trees::new(&["a/", "b", "c"], &["a", "b/x", "d"]);
    symlink("nowhere", trees.path("s/l")).unwrap();
    fs::write(trees.path("t/l"), "").unwrap();
    assert_eq!(trees.run(), Ok(1));
    assert_eq!(trees.left(), set(&["a", "b/", "b/x", "l"]));
}

#[test]
fn links_of_the_target_are_removed_and_never_followed() {
    let trees = Trees::new(&["d/a", "e/a"], &["d/a", "f/b"]);
    fs::create_dir_all(trees.path("outside/sub")).unwrap();
    fs::write(trees.path("outside/sub/precious"), "").unwrap();
    symlink("../outside", trees.path("t/l")).unwrap();
    symlink("../../outside/sub", trees.path("t/f/m")).unwrap();
    // A directory of the source that is a link in the target.
    symlink("../outside/sub", trees.path("t/e")).unwrap();
    assert_eq!(trees.run(), Ok(4));
    assert_eq!(trees.told(), paths(&["t/f", "t/f/b", "t/f/m", "t/l"]));
    assert_eq!(trees.left(), set(&["d/", "d/a", "e"]));
    assert!(trees.path("outside/sub/precious").exists());
}

#[test]
fn a_source_that_is_followed_is_compared_where_it_leads() {
    let mut trees = Trees::new(&["a"], &["a", "l/kept", "l/sub/x", "l/gone"]);
    fs::create_dir_all(trees.path("outside/sub")).unwrap();
    fs::write(trees.path("outside/kept"), "").unwrap();
    symlink("../outside", trees.path("s/l")).unwrap();
    assert_eq!(trees.run(), Ok(0), "the link itself is there");
    trees.options.dereference = Dereference::Always;
    assert_eq!(trees.run(), Ok(2));
    assert_eq!(trees.told(), paths(&["t/l/gone", "t/l/sub/x"]));
}

#[test]
fn what_is_in_any_source_of_a_target_stays() {
    let trees = Trees::new(&["a", "sub/c"], &["a", "b", "sub/c", "sub/d", "sub/n", "x", "o/p"]);
    fs::create_dir_all(trees.path("r/q")).unwrap();
    fs::write(trees.path("r/b"), "").unwrap();
    fs::write(trees.path("r/q/d"), "").unwrap();
    fs::create_dir_all(trees.path("p")).unwrap();
    fs::write(trees.path("p/p"), "").unwrap();
    for order in [false, true] {
        let mut pairs: Vec<(String, String)> = [("s", "t"), ("r", "t"), ("r/q", "t/sub"), ("p", "t/o")]
            .map(|(s, t)| (s.into(), t.into()))
            .into();
        if order {
            pairs.reverse();
        }
        trees.pairs.replace(pairs);
        assert_eq!(trees.run(), Ok(if order { 0 } else { 2 }));
        assert_eq!(trees.left(), set(&["a", "b", "o/", "o/p", "sub/", "sub/c", "sub/d"]));
    }
}

#[test]
fn a_cancelled_mirror_removes_nothing() {
    let trees = Trees::new(SOURCE, TARGET);
    let before = trees.left();
    let open = |path: &str| OwnedFd::from(File::open(trees.path(path)).unwrap());
    let pair =
        Pair { source: open("s"), target: open("t"), source_path: "s".into(), target_path: "t".into() };
    let cancel = Cancel::new().unwrap();
    cancel.raise();
    assert_eq!(mirror(vec![pair], &trees.options, &cancel, &trees.heard, &|_, _| Ok(())), Ok(0));
    assert_eq!(trees.left(), before);
}

/// Makes `depth` directories in each other and `files` in each, below the open directory.
fn dig(root: &Path, depth: usize, files: &[&str]) {
    let mut here = OwnedFd::from(File::open(root).unwrap());
    for _ in 0..depth {
        for file in files {
            let flags = nix::fcntl::OFlag::O_CREAT | nix::fcntl::OFlag::O_WRONLY;
            at::open(here.as_fd(), OsStr::new(file), flags, 0o600).unwrap();
        }
        at::make_directory(here.as_fd(), OsStr::new("d"), 0o700).unwrap();
        here = at::open_directory(here.as_fd(), OsStr::new("d"), false).unwrap();
    }
}

#[test]
fn a_tree_that_is_deeper_than_there_are_descriptors_is_mirrored() {
    // Twice what a path may be long, and four times the usual limit of descriptors.
    let depth = 1_000;
    let trees = Trees::new(&["a"], &["a"]);
    dig(&trees.path("s"), depth / 2, &[]);
    dig(&trees.path("t"), depth, &["b"]);
    // Of one half the files are to go, the other half as a whole.
    let half = depth as u64 / 2;
    assert_eq!(trees.run(), Ok(half + half * 2));
    assert_eq!(trees.run(), Ok(0));
    // The library would remove what is left by recursion.
    let clear = Trees::new(&["a"], &[]);
    let open = |path: PathBuf| OwnedFd::from(File::open(path).unwrap());
    for root in ["s", "t"] {
        let (source, target) = (open(clear.path("s")), open(trees.path(root)));
        let pair = Pair { source, target, source_path: "s".into(), target_path: root.into() };
        let cancel = Cancel::new().unwrap();
        assert_eq!(mirror(vec![pair], &clear.options, &cancel, &clear.heard, &|_, _| Ok(())), Ok(half));
    }
}

#[test]
fn a_source_that_cannot_be_read_vetoes_everything() {
    // Nothing can be looked up in a file.
    let trees = Trees::new(&["a", "d/b"], &["a", "x", "d/b", "d/y"]);
    let before = trees.left();
    let source = OwnedFd::from(File::open(trees.path("s/a")).unwrap());
    let target = OwnedFd::from(File::open(trees.path("t")).unwrap());
    let pair = Pair { source, target, source_path: "s".into(), target_path: "t".into() };
    let cancel = Cancel::new().unwrap();
    let errors = mirror(vec![pair], &trees.options, &cancel, &trees.heard, &|_, _| Ok(())).unwrap_err();
    let not_a_directory = Cause::Errno(Errno::ENOTDIR as i32);
    assert!(errors.iter().all(|error| error.op == Op::Stat && error.cause == not_a_directory), "{errors:?}");
    assert_eq!((trees.left(), trees.told()), (before, vec![]));
}

#[test]
fn a_directory_that_a_plain_user_may_not_read_vetoes_everything() {
    if crate::sys::attributes::is_root() {
        let program = std::env::current_exe().unwrap();
        let name = "copy::mirror::tests::a_directory_that_a_plain_user_may_not_read_vetoes_everything";
        let run = std::process::Command::new(program).args(["--exact", name]).uid(12345).gid(12345).output();
        match run {
            Ok(run) => assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout)),
            Err(error) => eprintln!("not run as another user: {error}"),
        }
        return;
    }
    let trees = Trees::new(&["a", "d/b"], &["a", "x", "d/b", "d/y"]);
    let before = trees.left();
    fs::set_permissions(trees.path("s/d"), fs::Permissions::from_mode(0o0)).unwrap();
    let refused = Error::new(Op::List, "s/d", Cause::Errno(libc::EACCES));
    assert_eq!(trees.run(), Err(vec![refused]));
    assert_eq!((trees.left(), trees.told()), (before, vec![]));
    fs::set_permissions(trees.path("s/d"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn another_file_system_in_the_target_is_left_and_told() {
    // A mount of one's own needs a namespace of one's own, and that only root is sure to get.
    let mounted = std::process::Command::new("unshare").args(["-m", "true"]).status();
    if !crate::sys::attributes::is_root() || !mounted.is_ok_and(|status| status.success()) {
        return eprintln!("not run: no mount namespaces here");
    }
    if std::env::var_os("MIRROR_TEST_MOUNTS").is_none() {
        let name = "copy::mirror::tests::another_file_system_in_the_target_is_left_and_told";
        let run = std::process::Command::new("unshare")
            .args(["-m", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env("MIRROR_TEST_MOUNTS", "1")
            .output()
            .unwrap();
        return assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    }
    let trees = Trees::new(&["a", "m/"], &["a", "m/", "n/o/", "x"]);
    fs::create_dir(trees.path("bound")).unwrap();
    let mount = |words: &[&str], at: &str| {
        let run = std::process::Command::new("mount").args(words).arg(trees.path(at)).status();
        assert!(run.unwrap().success());
    };
    mount(&["-t", "tmpfs", "tmpfs"], "t/m");
    mount(&["--bind", trees.path("bound").to_str().unwrap()], "t/n/o");
    fs::write(trees.path("t/m/precious"), "").unwrap();
    fs::write(trees.path("t/n/o/precious"), "").unwrap();
    let left_alone = |path: &str| Error::new(Op::Delete, path, Cause::Errno(libc::EXDEV));
    let mut errors = trees.run().unwrap_err();
    errors.sort_by(|one, other| one.path.cmp(&other.path));
    assert_eq!(errors, vec![left_alone("t/m"), left_alone("t/n/o")]);
    assert_eq!(trees.told(), paths(&["t/x"]));
    assert_eq!(trees.left(), set(&["a", "m/", "m/precious", "n/", "n/o/", "n/o/precious"]));
    for at in ["t/m", "t/n/o"] {
        assert!(std::process::Command::new("umount").arg(trees.path(at)).status().unwrap().success());
    }
}
