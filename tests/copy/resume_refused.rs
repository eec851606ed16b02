//! `--resume` with a journal that can't be used, with a target or a source that is another now: what
//! is refused, before anything is touched, and what is copied anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::report::number;
use crate::support::*;
use nix::sys::signal::Signal;

const LEN: u64 = 12 * MIB;

/// Kills a copy of 12 MiB in its middle, once there are records in its journal.
pub fn kill_once_recorded(copy: Highwater, journal: &Path) {
    let mut copy = copy.args(["--limit-rate", "4M"]).start();
    let recorded = || fs::metadata(journal).is_ok_and(|journal| journal.len() > 1024);
    wait_for("a record", || copy.has_ended() || recorded());
    std::thread::sleep(Duration::from_millis(300));
    assert!(!copy.has_ended());
    copy.signal(Signal::SIGKILL);
    copy.wait();
    // Its ring ends a little after it, and what was in flight with it.
    wait_until_closed(journal);
}

/// A copy of `source` to `target` that was killed, with something recorded, and its journal.
struct Killed {
    dir: Scratch,
}

impl Killed {
    fn new() -> Killed {
        let dir = Scratch::new();
        write_file(&dir.path("source"), 1, LEN);
        let killed = Killed { dir };
        kill_once_recorded(killed.copy(), &killed.journal());
        killed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path(name)
    }

    fn journal(&self) -> PathBuf {
        self.path(".target.highwater-journal")
    }

    fn copy(&self) -> Highwater {
        bounded_copy().args(["--resume", "--json"]).arg(self.path("report")).args(self.paths())
    }

    fn paths(&self) -> [PathBuf; 2] {
        [self.path("source"), self.path("target")]
    }

    /// Everything that is there but the report, and what is in it.
    fn all(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let paths = names(&self.dir.dir()).into_iter().filter(|name| name != "report");
        let paths: Vec<PathBuf> = paths.map(|name| self.dir.dir().join(name)).collect();
        paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    /// Asserts that the command says this, ends so, and has touched nothing.
    #[track_caller]
    fn assert_refused(&self, copy: Highwater, code: i32, said: &str) {
        let before = self.all();
        let outcome = copy.run();
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(said), "{}", outcome.stderr);
        assert!(self.all() == before, "something was touched");
    }

    #[track_caller]
    fn assert_ends_right(&self) -> serde_json::Value {
        let outcome = self.copy().run();
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert_holds(&self.path("target"), 1, LEN);
        assert_eq!(names(&self.dir.dir()), ["report", "source", "target"]);
        serde_json::from_slice(&fs::read(self.path("report")).unwrap()).unwrap()
    }
}

#[test]
fn a_journal_of_something_else_is_refused() {
    let killed = Killed::new();
    write_file(&killed.path("other"), 3, 1000);
    let copy = || bounded_copy().arg("--resume");
    let [source, target] = killed.paths();
    killed.assert_refused(copy().args([&killed.path("other"), &target]), 1, "is of another copy");
    killed.assert_refused(copy().args([&source, &killed.path("other"), &target]), 1, "");
    killed.assert_refused(copy().arg("-p").args([&source, &target]), 1, "of this copy with other options");
    fs::remove_file(killed.path("other")).unwrap();
    // Said another way, it is the same copy.
    let outcome = copy().args(["source", "./target"]).arg("-v").current_dir(killed.dir.dir()).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_holds(&target, 1, LEN);
}

#[test]
fn a_journal_that_was_changed_is_refused_and_one_that_is_cut_is_believed_as_far_as_it_goes() {
    let killed = Killed::new();
    let journal = fs::read(killed.journal()).unwrap();
    let put = |bytes: &[u8]| fs::write(killed.journal(), bytes).unwrap();
    let flipped = |at: usize| {
        let mut bytes = journal.clone();
        bytes[at] ^= 1;
        put(&bytes);
    };
    flipped(9);
    killed.assert_refused(killed.copy(), 1, "is of version 257 of its format");
    flipped(2);
    killed.assert_refused(killed.copy(), 1, "is no journal of highwater's");
    flipped(70);
    killed.assert_refused(killed.copy(), 1, "is damaged at byte 0");
    flipped(512 + 60);
    killed.assert_refused(killed.copy(), 1, "is damaged at byte 512");
    for cut in [10, 47, 100] {
        put(&journal[..cut]);
        killed.assert_refused(killed.copy(), 1, "is cut short");
    }
    put(b"these are the notes of somebody who likes names that begin with a dot, in many words");
    killed.assert_refused(killed.copy(), 1, "is no journal of highwater's");
    put(&journal[..journal.len() - 1]);
    killed.assert_ends_right();
}

#[test]
fn every_bit_of_a_journal_counts() {
    let killed = Killed::new();
    let journal = fs::read(killed.journal()).unwrap();
    let part = names(&killed.dir.dir()).into_iter().find(|name| name.to_string_lossy().contains("-part-"));
    let part =
        part.map(|name| (killed.dir.dir().join(&name), fs::read(killed.dir.dir().join(&name)).unwrap()));
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..25 {
        let _ = fs::remove_file(killed.path("target"));
        if let Some((path, bytes)) = &part {
            fs::write(path, bytes).unwrap();
        }
        let mut bytes = journal.clone();
        let at = rng.usize(0..bytes.len());
        bytes[at] ^= 1 << rng.u32(0..8);
        fs::write(killed.journal(), bytes).unwrap();
        let outcome = killed.copy().run();
        match outcome.code {
            Some(0) => assert_holds(&killed.path("target"), 1, LEN),
            Some(1) => assert!(!killed.path("target").exists(), "bit {at}: {}", outcome.stderr),
            code => panic!("bit {at}: {code:?} {}", outcome.stderr),
        }
    }
}

#[test]
fn two_copies_by_one_journal_are_one_too_many() {
    let killed = Killed::new();
    let mut first = killed.copy().args(["--limit-rate", "3M"]).start();
    wait_for("its lock", || first.has_ended() || is_locked(&killed.journal()));
    let second = killed.copy().run();
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("another copy is using the journal"), "{}", second.stderr);
    first.signal(Signal::SIGTERM);
    assert_eq!(first.wait().code, Some(143));
    killed.assert_ends_right();
}

#[test]
fn a_part_that_was_altered_is_noticed_and_copied_anew() {
    let killed = Killed::new();
    let part = names(&killed.dir.dir()).into_iter().find(|name| name.to_string_lossy().contains("-part-"));
    let part = killed.dir.dir().join(part.expect("a part"));
    let mut bytes = fs::read(&part).unwrap();
    bytes[100] ^= 1;
    // The same file, so that only its content tells.
    fs::File::options().write(true).open(&part).unwrap().sync_all().unwrap();
    std::os::unix::fs::FileExt::write_all_at(
        &fs::File::options().write(true).open(&part).unwrap(),
        &bytes[..200],
        0,
    )
    .unwrap();
    let outcome = killed.copy().run();
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stderr.contains("is not as this copy left it; it is copied anew"), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1);
    assert_holds(&killed.path("target"), 1, LEN);
}

#[test]
fn a_source_that_changed_is_copied_anew() {
    let killed = Killed::new();
    write_file(&killed.path("source"), 7, LEN);
    let outcome = killed.copy().run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_holds(&killed.path("target"), 7, LEN);
    assert_eq!(names(&killed.dir.dir()), ["report", "source", "target"]);
    let report = serde_json::from_slice(&fs::read(killed.path("report")).unwrap()).unwrap();
    assert_eq!(number(&report, "resumed.believed_bytes"), 0);
}

#[test]
fn what_can_not_be_resumed_is_a_usage_error() {
    let dir = Scratch::new();
    write_file(&dir.path("a"), 1, 100);
    fs::create_dir(dir.path("d")).unwrap();
    let check = |args: &[&str], said: &str| {
        let before = names(&dir.dir());
        let outcome = bounded_copy().args(args).current_dir(dir.dir()).run();
        assert_eq!(outcome.code, Some(2), "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(said), "{args:?}: {}", outcome.stderr);
        assert_eq!(names(&dir.dir()), before);
    };
    for option in ["-n", "-u", "--backup", "-i", "--dry-run", "--parents", "--attributes-only", "-l", "-s"] {
        check(&["--resume", option, "a", "d"], "--resume can't be combined with");
    }
    check(&["--resume", "a", "-"], "can't go on with a pipe");
    check(&["--resume", "-", "a"], "can't go on with a pipe");
    check(&["--journal", "j", "a", "b"], "only with --resume");
    check(&["--resume", "a", "/"], "--journal FILE");
    if needs::loop_devices().is_ok() {
        let device = LoopDevice::new(MIB);
        check(&["--resume", "a", device.path().to_str().unwrap()], "--journal FILE");
    }
}

#[test]
fn a_journal_that_can_not_be_made_stops_the_copy_before_it_begins() {
    let dir = Scratch::new();
    write_file(&dir.path("a"), 1, 100);
    let journal = dir.path("no/such/place");
    let outcome =
        bounded_copy().args(["--resume", "--journal"]).args([&journal, &dir.path("a"), &dir.path("b")]).run();
    outcome.assert_code(1);
    assert!(outcome.stderr.contains("cannot use the journal"), "{}", outcome.stderr);
    assert_eq!(names(&dir.dir()), ["a"]);
}

#[test]
fn a_journal_without_room_is_given_up_and_the_copy_goes_on() {
    need!(needs::root());
    let dir = Scratch::new();
    write_file(&dir.path("source"), 1, 30 * MIB);
    let small = Tmpfs::new(8192);
    let journal = small.path("journal");
    let copy = bounded_copy().args(["--resume", "--limit-rate", "20M", "--journal"]).arg(&journal);
    let outcome = copy.args([dir.path("source"), dir.path("target")]).run();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("the copy goes on, and can't be resumed from here"),
        "{}",
        outcome.stderr
    );
    assert_holds(&dir.path("target"), 1, 30 * MIB);
    assert_eq!(names(&dir.dir()), ["source", "target"]);
    assert!(!journal.exists());
}

/// The journal of a copy from `/` would be part of what is copied.
#[test]
fn the_journal_itself_is_not_copied() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("all")).unwrap();
    write_file(&dir.path("all/a"), 1, 1000);
    let copy = bounded_copy().args(["-rT", "--resume"]).args([dir.path("all"), dir.path("all/../target")]);
    copy.run().assert_code(0);
    let journal = dir.path("all/journal");
    let copy = bounded_copy().args(["-rT", "--resume", "--journal"]).arg(&journal);
    copy.args([dir.path("all"), dir.path("other")]).run().assert_code(0);
    assert_eq!(names(&dir.path("other")), ["a"]);
    assert!(!Path::new(&journal).exists());
}
