//! `--atomic` and kill -9 at any moment: while somebody keeps looking, and after it, each name holds
//! the whole old content or the whole new, and the next run leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::tree::*;
use crate::support::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn atomic() -> Highwater {
    bounded_copy().arg("--atomic")
}

/// Kills so many copies, each at a random moment within the time that a whole one takes: as long as the
/// first one took, and less where they turn out to be faster.
fn kill_at_random(kills: u32, mut start: impl FnMut(u32) -> Running) {
    let began = Instant::now();
    start(0).wait().assert_ok();
    let mut whole = began.elapsed();
    let seed = fastrand::u64(..);
    println!("seed {seed}, a whole copy takes {whole:?}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut round, mut killed) = (0, 0);
    while killed < kills {
        round += 1;
        let running = start(round);
        std::thread::sleep(whole.mul_f64(random.f64()));
        // Until it is waited for, what has ended can be killed, too.
        kill(Pid::from_raw(running.pid()), Signal::SIGKILL).unwrap();
        let ended = running.wait();
        if ended.signal.is_some() {
            killed += 1;
        } else {
            ended.assert_ok();
            whole = whole.mul_f64(0.9);
        }
    }
}

/// Runs `work` while `look` is called again and again; how often.
fn while_looking(look: impl Fn() + std::marker::Sync, work: impl FnOnce()) -> u64 {
    /// Also where `work` panics.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (done, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                look();
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        {
            let _done = Done(&done);
            work();
        }
        looking.join().unwrap();
    });
    looks.into_inner()
}

/// Asserts that a file is one of these, from its first byte to its last.
#[track_caller]
fn assert_is_one_of(path: &Path, contents: &[Vec<u8>]) {
    let held = fs::read(path).unwrap();
    let is_one = contents.contains(&held);
    assert!(
        is_one,
        "{} holds {} bytes that are neither the old ones nor the new",
        path.display(),
        held.len()
    );
}

#[test]
fn a_file_is_the_old_one_or_the_new_one_whenever_its_copy_is_killed() {
    for options in
        [&["--engine", "plain"][..], &["--direct", "never"], &["--direct", "always", "--sync", "none"]]
    {
        let dir = Scratch::new();
        let contents: Vec<_> = (0..2).map(|i| bytes(i, 5 * MIB + 4321 * i)).collect();
        let source = |round: u32| dir.path(["s0", "s1"][round as usize % 2]);
        (0..2).for_each(|i| fs::write(source(i), &contents[i as usize]).unwrap());
        let target = dir.path("t");
        fs::write(&target, &contents[1]).unwrap();
        let looks = while_looking(
            || assert_is_one_of(&target, &contents),
            || {
                kill_at_random(30, |round| atomic().args(options).args([&source(round), &target]).start());
            },
        );
        assert!(looks > 100, "{looks}");
        atomic().args(options).args([&source(0), &target]).run().assert_silent();
        assert_bytes(&fs::read(&target).unwrap(), &contents[0]);
        assert_eq!(names(&dir.dir()), ["s0", "s1", "t"]);
    }
}

const FILES: u64 = 48;

fn content(version: u64, file: u64) -> Vec<u8> {
    bytes(2 * file + version, 700 * file + 40 * version + 1)
}

fn name(file: u64) -> PathBuf {
    format!("d{}/{file}", file % 4).into()
}

/// Every name of the tree is the old or the new one, and where it isn't new, it is there.
fn assert_each_is_whole(root: &Path) {
    for file in 0..FILES {
        assert_is_one_of(&root.join(name(file)), &[content(0, file), content(1, file)]);
    }
    let link = fs::read_link(root.join("link")).unwrap();
    assert!(["0", "1"].map(Path::new).contains(&&*link), "{}", link.display());
}

#[test]
fn each_file_of_a_tree_is_the_old_one_or_the_new_one_whenever_its_copy_is_killed() {
    let dir = Scratch::new();
    for version in 0..2 {
        let mut tree = Tree::new(dir.path(["s0", "s1"][version as usize]));
        (0..4).for_each(|i| drop(tree.dir(format!("d{i}"))));
        (0..FILES).for_each(|file| drop(tree.file(name(file), content(version, file))));
        tree.symlink("link", format!("{version}"));
    }
    let source = |round: u32| dir.path(["s0", "s1"][round as usize % 2]);
    let target = dir.path("t");
    bounded_copy().arg("-a").args([&source(1), &target]).run().assert_silent();
    for options in [&["--sync", "file"][..], &["--sync", "none", "--jobs", "1"], &["-b", "--suffix=~"]] {
        let copy = |round| atomic().arg("-rT").args(options).args([&source(round), &target]);
        let looks = while_looking(
            || assert_each_is_whole(&target),
            || {
                kill_at_random(20, |round| copy(round).start());
            },
        );
        assert!(looks > 20, "{looks}");
        copy(0).run().assert_silent();
        for file in 0..FILES {
            assert_bytes(&fs::read(target.join(name(file))).unwrap(), &content(0, file));
        }
    }
    for i in 0..4 {
        let left = names(&target.join(format!("d{i}")));
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".highwater")), "{left:?}");
    }
}

// ---- leftovers, where files can't do without a name ----

fn temporaries(disk: &FaultyDisk) -> usize {
    disk.names().iter().filter(|name| name.to_string_lossy().starts_with(".highwater-tmp-")).count()
}

/// A copy that takes its time, until its file is there.
fn slow_copy(options: &[&str], source: &Path, disk: &FaultyDisk, target: &str) -> Running {
    let before = temporaries(disk);
    let copy = bounded_copy().args(options).args(["--limit-rate", "1MiB/s"]);
    let running = copy.args([source, &disk.path(target)]).start();
    wait_for("a temporary file", || temporaries(disk) > before);
    std::thread::sleep(Duration::from_millis(50));
    running
}

#[test]
fn what_a_killed_copy_has_left_is_removed_by_the_next_one_and_what_is_in_use_is_not() {
    need_fuse!();
    for options in [&[][..], &["--atomic"]] {
        let disk = FaultyDisk::new([]);
        let dir = Scratch::new();
        write_file(&dir.path("s"), 1, 3 * MIB);
        disk.put("t", b"old".to_vec());
        disk.put(".highwater-part-0123456789abcdef", b"of a journal".to_vec());
        disk.put(".highwater-tmp-mine", b"a user's".to_vec());
        let mut killed = slow_copy(options, &dir.path("s"), &disk, "new");
        let goes_on = slow_copy(options, &dir.path("s"), &disk, "other");
        killed.signal(Signal::SIGKILL);
        killed.wait();
        assert_eq!(temporaries(&disk), 3, "{:?}", disk.names());

        fs::write(dir.path("small"), vec![b'x'; 600 * KIB as usize]).unwrap();
        let outcome =
            bounded_copy().args(options).arg("-v").args([dir.path("small"), disk.path("third")]).run();
        outcome.assert_silent();
        let said = String::from_utf8(outcome.stdout.clone()).unwrap();
        assert!(said.contains("removed '") && said.contains("/.highwater-tmp-"), "{said}");
        assert_eq!(temporaries(&disk), 2, "{:?}", disk.names());
        goes_on.wait().assert_silent();
        let own = [".highwater-part-0123456789abcdef", ".highwater-tmp-mine"];
        assert_eq!(disk.names(), [&own[..], &["other", "t", "third"]].concat());
        assert_bytes(&disk.get("other").unwrap(), &bytes(1, 3 * MIB));
    }
}

#[test]
fn without_unnamed_files_too_a_file_is_the_old_one_or_the_new_one() {
    need_fuse!();
    let disk = FaultyDisk::new([]);
    let dir = Scratch::new();
    let contents: Vec<_> = (0..2).map(|i| bytes(i, MIB + 4321 * i)).collect();
    let source = |round: u32| dir.path(["s0", "s1"][round as usize % 2]);
    (0..2).for_each(|i| fs::write(source(i), &contents[i as usize]).unwrap());
    disk.put("t", contents[1].clone());
    let look = || assert!(contents.contains(&disk.get("t").unwrap()));
    while_looking(look, || {
        kill_at_random(20, |round| atomic().args([&source(round), &disk.path("t")]).start());
    });
    // A killed copy holds its file until the kernel has done away with its ring, which may be after
    // the process has ended.
    wait_for("the killed copies to be wholly gone", || {
        atomic().args([&source(0), &disk.path("t")]).run().assert_silent();
        temporaries(&disk) == 0
    });
    assert_eq!(disk.names(), ["t"]);
    assert_bytes(&disk.get("t").unwrap(), &contents[0]);
}
