//! `--atomic`: whoever looks at a name sees the whole old content or the whole new, whatever happens,
//! and the new file is to the system what the old one was.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use crate::support::command::{binary_for_everyone, quoted};
use crate::support::disk::system;
use crate::support::trace::traced;
use crate::support::tree::*;
use crate::support::*;

const LEN: u64 = 3 * MIB + 4321;

fn atomic() -> Highwater {
    bounded_copy().arg("--atomic")
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

/// Owner, permissions, times and attributes of one file.
fn print_of(path: &Path) -> Fingerprint {
    Fingerprint::of(path).without(&["atime", "data", "content", "size"])
}

#[test]
fn what_belongs_to_the_old_file_belongs_to_the_new_one() {
    for fs in Fs::ALL {
        need_fs!(fs);
        need_tool!("setfacl");
        let disk = LoopDisk::new(fs, 64 * MIB);
        let mut tree = Tree::new(disk.path("d"));
        tree.file("plain", "old").mode(0o4751).owner(5, 6).xattr("user.name", b"value");
        tree.file("labelled", "old").owner(7, 8).xattr("security.highwater", b"label");
        tree.file("listed", "old").mode(0o640).owner(5, 6);
        system("setfacl", &["-m", "u:9:rw,m::rw", tree.path("listed").to_str().unwrap()]);
        // What the directory gives new files is not what the old ones had.
        system("setfacl", &["-d", "-m", "u:10:rwx", tree.path("").to_str().unwrap()]);
        write_file(&disk.path("source"), 1, LEN);
        for name in ["plain", "labelled", "listed"] {
            let target = tree.path(name);
            let (before, old) = (print_of(&target).without(&["mtime"]), inode(&target));
            atomic().args([&disk.path("source"), &target]).run().assert_silent();
            assert_holds(&target, 1, LEN);
            assert_same(&print_of(&target).without(&["mtime"]), &before, &format!("{name} on {fs:?}"));
            assert_ne!(inode(&target), old, "it is another file");
        }
        assert_eq!(names(&disk.path("d")), ["labelled", "listed", "plain"]);
    }
}

#[test]
fn what_options_take_from_the_source_is_the_sources() {
    need_root!();
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("d"));
    tree.file("s", "new")
        .mode(0o604)
        .owner(1, 2)
        .xattr("user.from", b"source")
        .times((1, 1), (1_000_000_000, 7));
    tree.file("t", "old").mode(0o750).owner(3, 4).xattr("user.name", b"value");
    atomic()
        .args(["--preserve=mode,ownership,timestamps,xattr"])
        .args([tree.path("s"), tree.path("t")])
        .run()
        .assert_silent();
    let got = fs::metadata(tree.path("t")).unwrap();
    assert_eq!((got.mode() & 0o7777, got.uid(), got.gid()), (0o604, 1, 2));
    assert_eq!((got.mtime(), got.mtime_nsec()), (1_000_000_000, 7));
    let xattrs = xattrs(&tree.path("t"));
    assert_eq!(xattrs.keys().map(String::as_str).collect::<Vec<_>>(), ["user.from", "user.name"]);
    assert_eq!(fs::read(tree.path("t")).unwrap(), b"new");
}

#[test]
fn a_new_file_is_as_without_it() {
    let dir = Scratch::new();
    for (name, seed, len) in [("empty", 0, 0), ("small", 1, 777), ("large", 2, LEN)] {
        write_file(&dir.path(name), seed, len);
        fs::set_permissions(dir.path(name), fs::Permissions::from_mode(0o754)).unwrap();
        atomic().umask(0o027).args([dir.path(name), dir.path("copy")]).run().assert_silent();
        assert_holds(&dir.path("copy"), seed, len);
        assert_eq!(mode(&dir.path("copy")), 0o750);
        fs::remove_file(dir.path("copy")).unwrap();
    }
    atomic().args(["-".as_ref(), dir.path("copy").as_os_str()]).input(&bytes(3, LEN)).run().assert_silent();
    assert_holds(&dir.path("copy"), 3, LEN);
    assert_eq!(names(&dir.dir()), ["copy", "empty", "large", "small"]);
}

#[test]
fn standard_input_replaces_a_file_too() {
    let dir = Scratch::new();
    write_file(&dir.path("t"), 1, 999);
    fs::set_permissions(dir.path("t"), fs::Permissions::from_mode(0o641)).unwrap();
    let old = inode(&dir.path("t"));
    atomic().args(["-".as_ref(), dir.path("t").as_os_str()]).input(&bytes(2, LEN)).run().assert_silent();
    assert_holds(&dir.path("t"), 2, LEN);
    assert_eq!(mode(&dir.path("t")), 0o641);
    assert_ne!(inode(&dir.path("t")), old);
    assert_eq!(names(&dir.dir()), ["t"]);
}

// ---- order ----

/// What was done to the file before it got its name, in which order.
fn steps(calls: &[trace::Call], thread: u32, descriptor: &str, until: usize) -> Vec<&'static str> {
    let mut steps = vec![];
    for call in calls.iter().filter(|call| call.ended < until && call.descriptor() == descriptor) {
        let step = match call.name.as_str() {
            "pwrite64" => "fill",
            "ftruncate" => "cut",
            "fchown" | "fchownat" => "owner",
            "fsetxattr" => "attributes",
            "fchmod" => "mode",
            "fsync" if call.thread == thread => "fsync",
            "flock" => "lock",
            _ => continue,
        };
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    }
    steps
}

const CALLS: &str = "pwrite64,ftruncate,fchown,fchownat,fsetxattr,fchmod,utimensat,fsync,syncfs,flock,linkat,renameat,renameat2";

#[test]
fn a_file_is_whole_and_on_the_disk_before_it_has_its_name_and_then_its_directory() {
    need_root!();
    need_tool!("strace");
    for sync in ["end", "file", "none"] {
        let dir = Scratch::new();
        write_file(&dir.path("s"), 1, 100_000);
        fs::create_dir(dir.path("d")).unwrap();
        let mut tree = Tree::new(dir.path("d"));
        tree.file("t", "old").mode(0o750).owner(3, 4).xattr("user.name", b"value");
        let (outcome, calls) = traced(CALLS, |copy| {
            copy.args(["--engine", "plain", "--atomic", "--sync", sync])
                .args([dir.path("s"), dir.path("d/t")])
        });
        outcome.assert_ok();
        let renamed = calls.iter().find(|call| call.name == "renameat").unwrap();
        assert!(
            renamed.arguments.contains(".highwater-tmp-") && renamed.last_name().ends_with("d/t"),
            "{renamed:?}"
        );
        let file = calls.iter().find(|call| call.name == "pwrite64").unwrap().descriptor().to_owned();
        let steps = steps(&calls, renamed.thread, &file, renamed.began);
        assert_eq!(
            steps,
            ["owner", "fill", "attributes", "mode", "fsync", "lock"],
            "--sync {sync}: {calls:#?}"
        );
        let directory = dir.path("d").to_str().unwrap().to_owned();
        let synced = calls
            .iter()
            .any(|call| call.name == "fsync" && call.path() == directory && call.began > renamed.ended);
        assert!(synced, "its directory, --sync {sync}: {calls:#?}");
    }
}

#[test]
fn every_file_of_a_tree_is_on_the_disk_before_it_has_its_name_and_then_its_directory() {
    need_root!();
    need_tool!("strace");
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    for i in 0..7 {
        tree.dir(format!("{i}"));
    }
    for i in 0..60 {
        tree.file(format!("{}/{i}", i % 7), bytes(i, 1000 * i));
    }
    for sync in ["file", "none"] {
        for round in ["new", "old"] {
            let (outcome, calls) = traced(CALLS, |copy| {
                copy.args(["-aT", "--engine", "plain", "--atomic", "--sync", sync])
                    .args([dir.path("s"), dir.path(sync)])
            });
            outcome.assert_ok();
            let mut named = 0;
            for call in &calls {
                // A new file is linked; one that replaces another is linked elsewhere and renamed.
                let is_name = match call.name.as_str() {
                    "linkat" => !call.last_name().contains(".highwater-tmp-"),
                    "renameat" => true,
                    _ => false,
                };
                let synced = |thread: u32, before: usize| {
                    calls
                        .iter()
                        .rev()
                        .find(|sync| sync.name == "fsync" && sync.thread == thread && sync.ended < before)
                };
                if call.name == "linkat" {
                    let file =
                        call.arguments.split("/proc/self/fd/").nth(1).unwrap().split('"').next().unwrap();
                    let synced = synced(call.thread, call.began).unwrap();
                    assert_eq!(synced.descriptor(), file, "{call:?} after {synced:?}");
                }
                if is_name {
                    named += 1;
                    let directory = call.arguments.rsplit('<').next().unwrap().split('>').next().unwrap();
                    let synced = calls.iter().any(|sync| {
                        sync.name == "fsync" && sync.path() == directory && sync.began > call.ended
                    });
                    assert!(synced, "{directory} after {call:?}");
                }
            }
            assert_eq!(named, 60, "{round}");
            let base = dir.dir();
            let base = base.to_str().unwrap();
            let above = calls.iter().any(|call| call.name == "fsync" && call.path() == base);
            assert_eq!(above, round == "new", "the new directory's own name");
        }
    }
}

// ---- symbolic links ----

#[test]
fn a_symbolic_link_is_followed_to_the_file_that_it_names() {
    let dir = Scratch::new();
    for there in ["elsewhere/file", "elsewhere/other"] {
        fs::create_dir_all(dir.path("elsewhere")).unwrap();
        fs::write(dir.path(there), "old").unwrap();
    }
    write_file(&dir.path("source"), 1, LEN);
    fs::create_dir(dir.path("d")).unwrap();
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, dir.path(name)).unwrap();
    link("../elsewhere/file", "d/relative");
    link("relative", "d/chain");
    link(dir.path("elsewhere/other").to_str().unwrap(), "d/absolute");
    for (name, file) in [("d/chain", "elsewhere/file"), ("d/absolute", "elsewhere/other")] {
        let old = inode(&dir.path(file));
        atomic().args([dir.path("source"), dir.path(name)]).run().assert_silent();
        assert_holds(&dir.path(file), 1, LEN);
        assert_ne!(inode(&dir.path(file)), old);
        assert!(fs::symlink_metadata(dir.path(name)).unwrap().is_symlink());
    }
    assert_eq!(fs::read_link(dir.path("d/chain")).unwrap(), Path::new("relative"));
    assert_eq!(names(&dir.path("elsewhere")), ["file", "other"]);
    assert_eq!(names(&dir.path("d")), ["absolute", "chain", "relative"]);
    // Relative to where the link is, and from wherever the command is run.
    atomic().current_dir(dir.path("d")).args(["../elsewhere/file", "absolute"]).run().assert_silent();
    assert_same_content(&dir.path("elsewhere/file"), &dir.path("elsewhere/other"));
}

#[test]
fn a_symbolic_link_to_nothing_is_refused_and_a_loop_too() {
    let dir = Scratch::new();
    fs::write(dir.path("source"), "new").unwrap();
    std::os::unix::fs::symlink("nothing", dir.path("dangling")).unwrap();
    std::os::unix::fs::symlink("loop", dir.path("loop")).unwrap();
    let copy = |to: &str| atomic().args([dir.path("source"), dir.path(to)]);
    copy("dangling")
        .run()
        .assert_failed(&["not writing through dangling symlink", &quoted(&dir.path("dangling"))]);
    copy("loop").run().assert_failed(&["Too many levels of symbolic links"]);
    assert_eq!(names(&dir.dir()), ["dangling", "loop", "source"]);
    copy("dangling").env("POSIXLY_CORRECT", "1").run().assert_silent();
    assert_eq!(fs::read(dir.path("nothing")).unwrap(), b"new");
    copy("loop").arg("-f").run().assert_silent();
    assert!(fs::symlink_metadata(dir.path("loop")).unwrap().is_file());
}

#[test]
fn inside_a_tree_a_symbolic_link_is_followed_only_inside_the_target() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("s"));
    tree.dir("up");
    for name in ["inside", "up/outside", "absolute"] {
        tree.file(name, "new");
    }
    let mut tree = Tree::new(dir.path("t"));
    tree.dir("d");
    tree.file("d/file", "old").mode(0o640);
    tree.symlink("inside", "d/link");
    tree.symlink("d/link", "../d/../d/file");
    tree.dir("up");
    tree.symlink("up/outside", "../../victim");
    tree.symlink("absolute", dir.path("victim"));
    fs::write(dir.path("victim"), "victim").unwrap();
    let outcome = atomic().arg("-rT").args([dir.path("s"), dir.path("t")]).run();
    for name in ["up/outside", "absolute"] {
        outcome.assert_failed(&["not writing through", &quoted(&dir.path("t").join(name)), "leads out"]);
    }
    assert_eq!(fs::read(dir.path("victim")).unwrap(), b"victim");
    assert_eq!(fs::read(dir.path("t/d/file")).unwrap(), b"new");
    assert_eq!(mode(&dir.path("t/d/file")), 0o640);
    assert!(fs::symlink_metadata(dir.path("t/inside")).unwrap().is_symlink());
    assert_eq!(names(&dir.path("t/d")), ["file", "link"]);
    assert_eq!(names(&dir.dir()), ["s", "t", "victim"]);
}

// ---- what is refused ----

#[test]
fn what_is_no_file_is_refused_before_anything_is_touched() {
    let dir = Scratch::new();
    write_file(&dir.path("s"), 1, LEN);
    nix::unistd::mkfifo(&dir.path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path("socket")).unwrap();
    for target in [dir.path("fifo"), dir.path("socket"), "/dev/null".into(), "/dev/stdout".into()] {
        let outcome = atomic().args([&dir.path("s"), &target]).run();
        outcome.assert_failed(&["--atomic replaces regular files only", &quoted(&target)]);
        let outcome = atomic().args(["-".as_ref(), target.as_os_str()]).input(b"new").run();
        outcome.assert_failed(&["--atomic replaces regular files only", &quoted(&target)]);
    }
    assert!(fs::symlink_metadata(dir.path("fifo")).unwrap().file_type().is_fifo());
    atomic()
        .args([dir.path("s").as_os_str(), "-".as_ref()])
        .run()
        .assert_usage(&["--atomic", "standard output"]);
    assert_eq!(names(&dir.dir()), ["fifo", "s", "socket"]);
}

#[test]
fn a_block_device_is_refused() {
    need!(needs::loop_devices());
    let dir = Scratch::new();
    write_file(&dir.path("s"), 1, MIB);
    let device = LoopDevice::new(2 * MIB);
    write_file(device.path(), 2, 2 * MIB);
    let outcome = atomic().args([&dir.path("s"), device.path()]).run();
    outcome.assert_failed(&["--atomic replaces regular files only", &quoted(device.path())]);
    assert_holds(device.path(), 2, 2 * MIB);
}

#[test]
fn a_file_with_other_names_is_refused() {
    let dir = Scratch::new();
    fs::write(dir.path("s"), "new").unwrap();
    fs::write(dir.path("t"), "old").unwrap();
    fs::hard_link(dir.path("t"), dir.path("other")).unwrap();
    let copy = || atomic().args([dir.path("s"), dir.path("t")]);
    copy().run().assert_failed(&[&quoted(&dir.path("t")), "2 names", "--remove-destination"]);
    assert_eq!(fs::read(dir.path("t")).unwrap(), b"old");
    copy().arg("--remove-destination").run().assert_silent();
    assert_eq!(fs::read(dir.path("t")).unwrap(), b"new");
    assert_eq!(fs::read(dir.path("other")).unwrap(), b"old");
    assert_eq!(names(&dir.dir()), ["other", "s", "t"]);
}

#[test]
fn a_directory_that_may_not_be_written_to_is_told() {
    need_root!();
    let (dir, binary) = binary_for_everyone();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("d")).unwrap();
    for (name, mode) in [("s", 0o644), ("d/t", 0o666)] {
        fs::write(path(name), "old").unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let outcome = Highwater::binary(binary)
        .args(["copy", "--atomic"])
        .args([path("s"), path("d/t")])
        .by_a_plain_user()
        .run();
    outcome.assert_failed(&[&quoted(&path("d/t")), "new file beside", "--atomic", "Permission denied"]);
    assert_eq!(names(&path("d")), ["t"]);
    assert_eq!(fs::read(path("d/t")).unwrap(), b"old");
}

#[test]
fn an_owner_that_cannot_be_kept_is_told_before_anything_is_done() {
    need_root!();
    let (dir, binary) = binary_for_everyone();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("s"), "new").unwrap();
    fs::write(path("t"), "old").unwrap();
    fs::write(path("locked"), "old").unwrap();
    fs::set_permissions(path("t"), fs::Permissions::from_mode(0o666)).unwrap();
    let copy = |to: &str| {
        Highwater::binary(&binary).args(["copy", "--atomic"]).args([path("s"), path(to)]).by_a_plain_user()
    };
    let before = names(dir.path());
    copy("t").run().assert_failed(&[
        "failed to preserve ownership",
        &quoted(&path("t")),
        "Operation not permitted",
    ]);
    copy("locked").run().assert_failed(&[&quoted(&path("locked")), "Permission denied"]);
    assert_eq!(fs::read(path("t")).unwrap(), b"old");
    let own = copy("t").arg("--remove-destination");
    let user = own.uid();
    own.run().assert_ok();
    let own = copy("locked").arg("-f");
    own.run().assert_ok();
    assert_eq!(fs::read(path("t")).unwrap(), b"new");
    assert_eq!(fs::read(path("locked")).unwrap(), b"new");
    assert_eq!(fs::metadata(path("t")).unwrap().uid(), user);
    assert_eq!(names(dir.path()), before);
}

// ---- with cp's options ----

#[test]
fn what_is_removed_first_without_it_is_replaced() {
    let dir = Scratch::new();
    fs::write(dir.path("s"), "new").unwrap();
    fs::write(dir.path("file"), "old").unwrap();
    std::os::unix::fs::symlink("file", dir.path("link")).unwrap();
    nix::unistd::mkfifo(&dir.path("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    for name in ["link", "fifo"] {
        atomic().arg("--remove-destination").args([dir.path("s"), dir.path(name)]).run().assert_silent();
        assert!(fs::symlink_metadata(dir.path(name)).unwrap().is_file());
        assert_eq!(fs::read(dir.path(name)).unwrap(), b"new");
    }
    assert_eq!(fs::read(dir.path("file")).unwrap(), b"old");
    assert_eq!(names(&dir.dir()), ["fifo", "file", "link", "s"]);
}

#[test]
fn a_backup_is_another_name_until_the_name_itself_is_taken_over() {
    let dir = Scratch::new();
    fs::create_dir(dir.path("d")).unwrap();
    let copy = |control: &str, content: &str| {
        fs::write(dir.path("s"), content).unwrap();
        let copy = atomic().current_dir(dir.dir()).args(["-v", control, "s", "d/t"]).run();
        copy.assert_silent();
        String::from_utf8(copy.stdout).unwrap()
    };
    fs::write(dir.path("d/t"), "0").unwrap();
    let old = inode(&dir.path("d/t"));
    assert_eq!(copy("--backup=simple", "1"), "'s' -> 'd/t' (backup: 'd/t~')\n");
    assert_eq!(inode(&dir.path("d/t~")), old);
    copy("--backup=simple", "2");
    copy("--backup=numbered", "3");
    assert_eq!(copy("--backup=existing", "4"), "'s' -> 'd/t' (backup: 'd/t.~2~')\n");
    let content = |name: &str| fs::read_to_string(dir.path("d").join(name)).unwrap();
    assert_eq!(names(&dir.path("d")), ["t", "t.~1~", "t.~2~", "t~"]);
    assert_eq!(["t", "t.~1~", "t.~2~", "t~"].map(content), ["4", "2", "3", "1"]);
}

#[test]
fn a_copy_that_fails_leaves_the_old_file_and_no_backup() {
    need_fuse!();
    let disk = FaultyDisk::new([Fault::Errno(On::Read, MIB..2 * MIB, libc::EIO)]);
    disk.put("s", bytes(1, LEN));
    let dir = Scratch::new();
    fs::create_dir(dir.path("d")).unwrap();
    write_file(&dir.path("d/t"), 2, 777);
    let old = inode(&dir.path("d/t"));
    for options in [&[][..], &["-b"], &["--remove-destination"], &["-a"]] {
        let copy = atomic().current_dir(dir.dir()).args(options).arg(disk.path("s")).arg("d/t");
        let outcome = copy.run();
        outcome.assert_failed(&["error reading", "Input/output error"]);
        outcome.assert_failed(&["'d/t' is as it was"]);
        assert_holds(&dir.path("d/t"), 2, 777);
        assert_eq!(inode(&dir.path("d/t")), old);
        assert_eq!(names(&dir.path("d")), ["t"], "{options:?}");
    }
}

#[test]
fn a_full_disk_and_a_signal_leave_the_old_file() {
    need_root!();
    let dir = Scratch::new();
    write_file(&dir.path("s"), 1, 16 * MIB);
    let small = Tmpfs::new(4 * MIB);
    write_file(&small.path("t"), 2, MIB);
    let outcome = atomic().args([dir.path("s"), small.path("t")]).run();
    outcome.assert_failed(&["No space left on device"]);
    outcome.assert_failed(&[&quoted(&small.path("t")), "is as it was"]);
    assert_holds(&small.path("t"), 2, MIB);
    assert_eq!(names(&small.dir()), ["t"]);

    write_file(&dir.path("t"), 2, MIB);
    let mut running = atomic().args(["--limit-rate", "4MiB/s"]).args([dir.path("s"), dir.path("t")]).start();
    running.wait_until_it_handles(nix::sys::signal::Signal::SIGINT);
    std::thread::sleep(std::time::Duration::from_millis(300));
    running.signal(nix::sys::signal::Signal::SIGINT);
    let outcome = running.wait();
    outcome.assert_code(130);
    assert!(outcome.stderr.contains("is as it was"), "{}", outcome.stderr);
    assert_holds(&dir.path("t"), 2, MIB);
    assert_eq!(names(&dir.dir()), ["s", "t"]);
}

#[test]
fn files_that_are_left_alone_stay_the_same_files() {
    let dir = Scratch::new();
    fs::write(dir.path("s"), "new").unwrap();
    fs::write(dir.path("t"), "old").unwrap();
    set_times(&dir.path("s"), (1, 1), (1, 1));
    let old = inode(&dir.path("t"));
    for option in ["-n", "-u", "--update=none", "--attributes-only"] {
        atomic().arg(option).args([dir.path("s"), dir.path("t")]).run().assert_silent();
        assert_eq!(
            (inode(&dir.path("t")), fs::read(dir.path("t")).unwrap()),
            (old, b"old".to_vec()),
            "{option}"
        );
    }
    atomic().args([dir.path("t"), dir.path("t")]).run().assert_failed(&["are the same file"]);
    assert_eq!(names(&dir.dir()), ["s", "t"]);
}

/// A tree of everything, of which `old` says what is in its files.
fn everything(root: &Path, old: &str) {
    let mut tree = Tree::new(root);
    for i in 0..4 {
        tree.dir(format!("d{i}"));
    }
    for i in 0..20 {
        tree.file(format!("d{}/{i}", i % 4), format!("{old} {i}")).mode(0o640);
    }
    tree.file("several", format!("{old} several"));
    tree.link("d1/several", "several");
    tree.symlink("link", old);
    tree.node("fifo", libc::S_IFIFO, (0, 0)).mode(0o600);
    tree.node("d2/device", libc::S_IFCHR, (1, old.len() as u32));
    tree.symlink("d3/was a file", old);
    tree.built();
}

#[test]
fn a_tree_over_another_becomes_the_same_as_without_it() {
    need_root!();
    let dir = Scratch::new();
    everything(&dir.path("s"), "newer");
    for name in ["t", "want"] {
        everything(&dir.path(name), "old");
        let was = dir.path(name).join("d3/was a file");
        fs::remove_file(&was).unwrap();
        fs::write(&was, "file").unwrap();
    }
    for options in [&["-aT"][..], &["-aT", "--jobs", "1"], &["-aT", "--remove-destination"], &["-aTb"]] {
        Highwater::copy().args(options).args([dir.path("s"), dir.path("want")]).run().assert_silent();
        atomic().args(options).args([dir.path("s"), dir.path("t")]).run().assert_silent();
        let want = Fingerprint::of(&dir.path("want")).without(&["atime"]);
        assert_same(&Fingerprint::of(&dir.path("t")).without(&["atime"]), &want, &format!("{options:?}"));
    }
}
