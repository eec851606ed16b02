//! `copy -a` keeps all that a file is, on every file system; `-r` alone makes files anew, as umask
//! and the target's own directories have it.

// A list of ranges of a file often has one.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::support::disk::{Mount, system};
use crate::support::tree::*;
use crate::support::*;

/// A time with nanoseconds that no clock gives by itself.
const THEN: Time = (1_234_567_890, 123_456_789);
/// 1963.
const BEFORE_1970: Time = (-200_000_000, 987_654_321);
/// 2310, beyond 32 bits.
const FAR: Time = (10_729_260_000, 1);

/// A tree with one of everything. The image of what is lost in a copy.
fn everything(root: &Path) {
    let mut tree = Tree::new(root);
    tree.file("plain", bytes(1, 70_001)).mode(0o644).times((THEN.0 - 5, 999_999_999), THEN);
    tree.file("empty", "").mode(0o600).times(FAR, THEN);
    tree.file("large", bytes(2, 3 * MIB + 17)).times(THEN, FAR);
    tree.file("old", "x").times(BEFORE_1970, (-1, 1));
    tree.file("closed", "secret").mode(0o000);
    for mode in [0o4755, 0o2711, 0o6777, 0o1644, 0o7000, 0o004] {
        tree.file(format!("mode-{mode:o}"), format!("{mode}")).owner(54_321, 65_432).mode(mode);
    }
    tree.file("nobody's", "by ids without a name").owner(3_000_000_000, 2_999_999_999);

    tree.symlink("dangling", "no/such/name").times(THEN, BEFORE_1970).owner(54_321, 1);
    tree.symlink("absolute", "/etc/hostname").times(FAR, THEN);
    tree.symlink("relative", "inner/deep/file");
    tree.symlink("to-directory", "inner").owner(7, 8);
    tree.symlink("long", "x/".repeat(500));
    tree.symlink("odd", OsStr::from_bytes(b" \n\xff"));
    tree.node("fifo", libc::S_IFIFO, (0, 0)).mode(0o622).owner(1, 2).times(THEN, THEN);
    tree.node("socket", libc::S_IFSOCK, (0, 0)).mode(0o750).times(THEN, BEFORE_1970);
    tree.node("character", libc::S_IFCHR, (1, 3)).mode(0o666).times(THEN, FAR);
    tree.node("block", libc::S_IFBLK, (7, 300)).owner(0, 6).mode(0o660).times(THEN, THEN);

    tree.dir("inner/deep").mode(0o1777).times(BEFORE_1970, THEN);
    tree.file("inner/deep/file", bytes(3, 4096)).times(THEN, THEN);
    tree.dir("inner").owner(11, 12).mode(0o2750).times(THEN, BEFORE_1970);
    tree.dir("empty-directory").mode(0o4711).times(THEN, FAR);
    tree.dir("unreadable").mode(0o700);
    tree.file("unreadable/file", "x").mode(0o400);
    tree.dir("writable-by-nobody").mode(0o555).times(THEN, THEN);
    tree.file("writable-by-nobody/file", "x").mode(0o444).times(THEN, THEN);

    tree.link("inner/deep/link-to-large", "large");
    tree.link("empty-directory-is-not-a-link", "large");
    tree.link("link-to-symlink", "dangling");
    tree.link("inner/link-to-fifo", "fifo");
    tree.link("inner/link-to-closed", "closed");

    write_sparse(&tree.path("sparse"), 4, 8 * MIB, &[MIB..MIB + 65536, 4 * MIB..5 * MIB]);
    write_sparse(&tree.path("hole"), 5, 3 * MIB + 1, &[]);
    write_sparse(&tree.path("hole-first"), 6, 2 * MIB + 4096, &[2 * MIB..2 * MIB + 4096]);
    fs::write(tree.path("zeros"), vec![0; 300_000]).unwrap();

    tree.file("x".repeat(255), "a name of 255 bytes");
    tree.dir("d".repeat(255)).times(THEN, THEN);
    tree.file(OsStr::from_bytes(b"\xff\xfe not UTF-8"), "x");
    tree.dir(OsStr::from_bytes(b"dir\x80")).mode(0o751);
    tree.file(OsStr::from_bytes(b"dir\x80/\n"), "x").mode(0o640);
    tree.file("line\nline", "x");
    tree.file("-r", "a name like an option");
    tree.file(" '\"\\*?[$`", "x");
    tree.root().owner(21, 22).mode(0o3771).times(THEN, BEFORE_1970);
    tree.built();
}

/// Attributes, ACLs and a capability, added to `root`.
fn attributes(root: &Path) {
    let mut tree = Tree::new(root);
    tree.dir("attributes").xattr("user.of-a-directory", b"1").xattr("trusted.secret", &[0, 255]);
    tree.file("attributes/file", bytes(7, 5000))
        .xattr("user.empty", b"")
        .xattr("user.text", b"line\n\0\xff")
        .xattr("user.long", &bytes(8, 600))
        .times(THEN, THEN);
    tree.file("attributes/capable", "#!").owner(5, 5).mode(0o755).xattr("security.capability", &CAP_NET_RAW);
    tree.file("attributes/read-only", "x").xattr("user.on-read-only", b"1").mode(0o444).times(THEN, THEN);
    tree.symlink("attributes/symlink", "file").xattr("trusted.of-a-symlink", b"1");
    tree.file("attributes/acl", "x").mode(0o640).acl("u:54321:rwx,g:65432:r,m::r");
    tree.file("attributes/acl-wide", "x").acl("u:1:-,g::-,m::rwx");
    tree.dir("attributes/default").acl("u:7:r-x,d:u:54321:rwx,d:g:9:-,d:o::-");
    tree.file("attributes/default/inside", "x").mode(0o600);
    tree.dir("attributes/default/below").mode(0o700);
    tree.dir("attributes/bits").mode(0o1755).acl("d:u::rw,d:g::r,d:o::r").times(THEN, FAR);
    tree.built();
}

/// What Fingerprint says of the source before a copy is what it must say of the target after it:
/// reading changes the source's access times, and nothing else of it.
#[track_caller]
fn archives(options: &[&str], source: &Path, target: &Path) {
    let before = Fingerprint::of(source);
    Highwater::copy().umask(0o077).arg("-a").args(options).args([source, target]).run().assert_silent();
    assert_same(&Fingerprint::of(target), &before, "the target");
    let after = Fingerprint::of(source).without(&["atime"]);
    assert_same(&after, &before.clone().without(&["atime"]), "the source");
}

/// Everything from `from` to `to`, then once more over what stands there.
#[track_caller]
fn archives_everything(from: &Path, to: &Path) {
    let (source, target) = (from.join("source"), to.join("target"));
    everything(&source);
    attributes(&source);
    let print = Fingerprint::of(&source);
    assert_eq!(print.at("old")["mtime"], "-1.000000001", "the file system keeps old times");
    assert_eq!(print.at("large")["mtime"], "10729260000.000000001", "and those far away");
    assert!(print.at("attributes/capable")["xattrs"].contains("security.capability"));
    assert!(print.at("attributes/default")["xattrs"].contains("posix_acl_default"));
    assert!(print.at("sparse").contains_key("data"), "the file system keeps holes");
    archives(&["--reflink=never"], &source, &to.join("not-cloned"));
    archives(&[], &source, &target);
    Highwater::copy().arg("-aT").args([&source, &target]).run().assert_silent();
    assert_same(
        &Fingerprint::of(&target).without(&["atime"]),
        &print.without(&["atime"]),
        "the target, copied over",
    );
}

#[test]
fn everything_is_kept_on_tmpfs() {
    need_root!();
    need_tool!("setfacl");
    let disk = Tmpfs::new(64 * MIB);
    archives_everything(&disk.dir(), &disk.dir());
}

#[test]
fn everything_is_kept_on_ext4() {
    need_fs!(Fs::Ext4);
    need_tool!("setfacl");
    let disk = LoopDisk::exact(Fs::Ext4, 64 * MIB);
    archives_everything(&disk.dir(), &disk.dir());
}

#[test]
fn everything_is_kept_on_xfs() {
    need_fs!(Fs::Xfs);
    need_tool!("setfacl");
    let disk = LoopDisk::exact(Fs::Xfs, 64 * MIB);
    archives_everything(&disk.dir(), &disk.dir());
}

#[test]
fn everything_is_kept_on_btrfs() {
    need_fs!(Fs::Btrfs);
    need_tool!("setfacl");
    let disk = LoopDisk::exact(Fs::Btrfs, 64 * MIB);
    archives_everything(&disk.dir(), &disk.dir());
}

#[test]
fn everything_is_kept_from_one_file_system_to_another() {
    need_fs!(Fs::Ext4);
    need_fs!(Fs::Xfs);
    need_tool!("setfacl");
    let (ext4, xfs) = (LoopDisk::exact(Fs::Ext4, 64 * MIB), LoopDisk::exact(Fs::Xfs, 64 * MIB));
    let memory = Tmpfs::new(64 * MIB);
    archives_everything(&ext4.dir(), &xfs.dir());
    archives(&[], &ext4.path("source"), &memory.path("target"));
    archives(&[], &xfs.path("target"), &ext4.path("from-xfs"));
}

#[test]
fn the_longest_sparse_file_is_copied_as_such() {
    for fs in [Fs::Xfs, Fs::Btrfs] {
        need_fs!(fs);
        let disk = LoopDisk::exact(fs, 64 * MIB);
        let mut tree = Tree::new(disk.path("source"));
        tree.file("longest", "begin").times(THEN, THEN);
        let file = fs::File::options().write(true).open(disk.path("source/longest")).unwrap();
        file.set_len(i64::MAX as u64).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 1 << 62).unwrap();
        set_times(&disk.path("source/longest"), THEN, THEN);
        tree.file("after", "it");
        archives(&[], &disk.path("source"), &disk.path("target"));
        assert_eq!(fs::metadata(disk.path("target/longest")).unwrap().len(), i64::MAX as u64);
    }
}

#[test]
fn hard_links_are_kept_across_the_sources_of_one_command() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("from"));
    tree.dir("a");
    tree.dir("b/deep");
    tree.file("a/file", bytes(1, 9000)).mode(0o640);
    tree.link("b/deep/link", "a/file");
    tree.link("third", "a/file");
    tree.symlink("a/symlink", "file");
    tree.link("b/symlink", "a/symlink");
    fs::create_dir(dir.path("to")).unwrap();
    let before = Fingerprint::of(&dir.path("from"));
    let copy = Highwater::copy().current_dir(dir.path("from")).arg("-a");
    copy.args(["a", "b", "third", "../to"]).run().assert_silent();
    let after = Fingerprint::of(&dir.path("to"));
    assert_same(&after.except(""), &before.except(""), "the target");
    assert_eq!(fs::metadata(dir.path("to/a/file")).unwrap().nlink(), 3);
    assert_eq!(fs::symlink_metadata(dir.path("to/a/symlink")).unwrap().nlink(), 2);
}

#[test]
fn hard_links_are_not_kept_without_being_asked_for() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("from"));
    tree.file("a", "x");
    tree.link("b", "a");
    for (options, want) in [("-r", 1), ("-rp", 1), ("-d", 2), ("--preserve=links", 2), ("-a", 2)] {
        let target = dir.path(&format!("to{options}"));
        Highwater::copy().args(["-r", options]).arg(dir.path("from")).arg(&target).run().assert_silent();
        assert_eq!(fs::metadata(target.join("a")).unwrap().nlink(), want, "{options}");
        assert_eq!(fs::read(target.join("b")).unwrap(), b"x", "{options}");
    }
}

#[test]
fn a_link_that_stands_in_the_target_is_not_written_through() {
    let dir = Scratch::new();
    let (mut from, mut to) = (Tree::new(dir.path("from")), Tree::new(dir.path("to")));
    from.file("a", "new a");
    from.file("b", "new b");
    to.file("a", "old");
    to.link("b", "a");
    to.link("other", "a");
    Highwater::copy().arg("-aT").args([dir.path("from"), dir.path("to")]).run().assert_silent();
    for (name, want) in [("a", "new a"), ("b", "new b"), ("other", "old")] {
        assert_eq!(fs::read_to_string(dir.path("to").join(name)).unwrap(), want, "{name}");
    }
}

#[test]
fn a_directory_gets_its_time_after_its_content() {
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("from"));
    for i in 0..40 {
        tree.dir(format!("{i}/a/b")).times(THEN, (THEN.0 + i, 5));
        tree.dir(format!("{i}/a")).times(THEN, (THEN.0 - i, 6));
        tree.dir(format!("{i}")).times(THEN, (i, 7));
        for name in ["x", "a/y", "a/b/z"] {
            tree.file(format!("{i}/{name}"), bytes(1, 20_000));
        }
    }
    tree.root().times(THEN, THEN);
    tree.built();
    archives(&[], &dir.path("from"), &dir.path("to"));
}

/// The modes of the whole tree at `root`, as "name mode" each.
fn modes(root: &Path) -> Vec<String> {
    let print = Fingerprint::of(root);
    print.0.iter().map(|(name, p)| format!("{} {}", String::from_utf8_lossy(name), p["mode"])).collect()
}

/// A tree of modes that a plain copy must not keep as they are.
fn tree_of_modes(root: &Path) {
    let mut tree = Tree::new(root);
    for mode in [0o777, 0o4755, 0o2755, 0o1644, 0o400, 0o070] {
        tree.file(format!("f{mode:o}"), "x").mode(mode);
    }
    for mode in [0o777, 0o1777, 0o2775, 0o500, 0o750] {
        tree.dir(format!("d{mode:o}")).mode(mode);
        tree.file(format!("d{mode:o}/file"), "x").mode(0o666);
    }
    tree.root().mode(0o775);
    tree.built();
}

#[test]
fn a_copy_without_p_makes_modes_of_source_and_umask() {
    need_root!();
    let dir = Scratch::new();
    tree_of_modes(&dir.path("from"));
    let set: Vec<_> = ["uid", "gid"].into();
    system("chown", &["-R", "5:6", dir.path("from").to_str().unwrap()]);
    tree_of_modes(&dir.path("from"));
    for (umask, want) in [
        (
            0o022,
            " 755|d1777 1755|d1777/file 644|d2775 755|d2775/file 644|d500 500|d500/file 644|d750 750|\
             d750/file 644|d777 755|d777/file 644|f1644 644|f2755 755|f400 400|f4755 755|f70 50|f777 755",
        ),
        (
            0o077,
            " 700|d1777 1700|d1777/file 600|d2775 700|d2775/file 600|d500 500|d500/file 600|d750 700|\
             d750/file 600|d777 700|d777/file 600|f1644 600|f2755 700|f400 400|f4755 700|f70 0|f777 700",
        ),
    ] {
        let target = dir.path(&format!("to-{umask:o}"));
        Highwater::copy().umask(umask).arg("-r").args([&dir.path("from"), &target]).run().assert_silent();
        assert_eq!(modes(&target).join("|"), want, "umask {umask:o}");
        let print = Fingerprint::of(&target);
        assert!(print.0.values().all(|p| set.iter().all(|id| p[id] == "0")), "new files are the copier's");
        assert!(print.0.values().all(|p| *p["mtime"] > *"1600000000"), "and as young as the copy");
    }
}

#[test]
fn a_setgid_directory_hands_its_group_down() {
    need_root!();
    let dir = Scratch::new();
    tree_of_modes(&dir.path("from"));
    let mut target = Tree::new(dir.path("to"));
    target.root().owner(0, 77).mode(0o2775);
    target.built();
    let copy = Highwater::copy().umask(0o022).arg("-r");
    copy.args([dir.path("from"), dir.path("to/new")]).run().assert_silent();
    let print = Fingerprint::of(&dir.path("to/new"));
    for (name, aspects) in &print.0 {
        let name = String::from_utf8_lossy(name);
        assert_eq!(aspects["gid"], "77", "{name}");
        let setgid = u32::from_str_radix(&aspects["mode"], 8).unwrap() & 0o2000 != 0;
        assert_eq!(setgid, aspects["type"] == "directory", "setgid of {name}: {}", aspects["mode"]);
    }
    // With -a they are what the source was.
    archives(&[], &dir.path("from"), &dir.path("to/kept"));
}

#[test]
fn a_default_acl_of_the_target_rules_new_files_and_not_kept_ones() {
    need_fs!(Fs::Ext4);
    need_tool!("setfacl");
    let disk = LoopDisk::new(Fs::Ext4, 64 * MIB);
    tree_of_modes(&disk.path("from"));
    Tree::new(disk.path("to")).root().acl("d:u::rwx,d:u:54321:rwx,d:g::r-x,d:o::-");
    let copy = Highwater::copy().umask(0o077).arg("-r");
    copy.args([disk.path("from"), disk.path("to/new")]).run().assert_silent();
    let new = Fingerprint::of(&disk.path("to/new"));
    for (name, print) in &new.0 {
        let (name, xattrs) = (String::from_utf8_lossy(name), print.get("xattrs").cloned());
        let xattrs = xattrs.unwrap_or_default();
        assert!(xattrs.contains("posix_acl_access"), "{name} takes the default ACL as its own");
        assert_eq!(xattrs.contains("posix_acl_default"), print["type"] == "directory", "{name}");
    }
    assert_eq!(new.at("f777")["mode"], "770", "the ACL stands in for umask 077");
    assert_eq!(new.at("f400")["mode"], "400");
    archives(&[], &disk.path("from"), &disk.path("to/kept"));
    Highwater::copy().arg("-rp").args([disk.path("from"), disk.path("to/p")]).run().assert_silent();
    let kept = Fingerprint::of(&disk.path("to/p")).0;
    assert!(kept.values().all(|print| !print.contains_key("xattrs")), "-p: no ACL that the source hasn't");
}

#[test]
fn setuid_and_setgid_are_dropped_where_the_owner_cannot_be_kept() {
    need_root!();
    let (dir, binary) = command::binary_for_everyone();
    let mut tree = Tree::new(dir.path().join("from"));
    for mode in [0o4755, 0o2755, 0o6775, 0o755] {
        tree.file(format!("{mode:o}"), "x").mode(mode).times(THEN, THEN);
    }
    tree.dir("directory").mode(0o2755).times(THEN, THEN);
    tree.root().mode(0o755).times(THEN, THEN);
    tree.built();
    let (source, target) = (dir.path().join("from"), dir.path().join("to"));
    let copy = Highwater::binary(&binary).arg("copy").arg("-a").args([&source, &target]);
    copy.umask(0o022).by_a_plain_user().run().assert_silent();
    let got = Fingerprint::of(&target);
    for (name, mode) in [("4755", "755"), ("2755", "755"), ("6775", "775"), ("755", "755")] {
        assert_eq!(got.at(name)["mode"], mode, "{name}");
        assert_ne!(got.at(name)["uid"], "0");
        assert_eq!(got.at(name)["mtime"], "1234567890.123456789", "the time is kept all the same");
    }
    assert_eq!(got.at("directory")["mode"], "755");
}

#[test]
fn a_plain_user_keeps_setuid_of_own_files() {
    need_root!();
    let (dir, binary) = command::binary_for_everyone();
    let source = dir.path().join("from");
    let mut tree = Tree::new(&source);
    tree.file("setuid", "x");
    let copy = Highwater::binary(&binary).arg("copy").arg("-a").args([&source, &dir.path().join("to")]);
    let copy = copy.by_a_plain_user();
    let uid = copy.uid();
    tree.file("setuid", "x").owner(uid, 65534).mode(0o6755);
    tree.root().owner(uid, 65534);
    copy.run().assert_silent();
    assert_eq!(Fingerprint::of(&dir.path().join("to")).at("setuid")["mode"], "6755");
}

#[test]
fn a_target_without_attributes_fails_only_whoever_demands_them() {
    need_root!();
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("from"));
    tree.file("file", bytes(1, 5000)).xattr("user.name", b"value").times(THEN, THEN).mode(0o751);
    tree.dir("below").xattr("user.name", b"value");
    let bare = Mount::new(&["-t", "ramfs", "highwater-test"]);
    assert!(set_xattr(&bare.dir(), "user.x", b"").is_err(), "ramfs has no attributes");

    let copy = |option: &str, to: &str| {
        Highwater::copy().args(["-r", option]).args([dir.path("from"), bare.dir().join(to)]).run()
    };
    copy("-a", "a").assert_silent();
    let want = Fingerprint::of(&dir.path("from")).without(&["xattrs", "atime"]);
    assert_same(&Fingerprint::of(&bare.dir().join("a")).without(&["atime"]), &want, "all but attributes");
    copy("--preserve=all", "all").assert_silent();
    let demanded = copy("--preserve=xattr", "xattr");
    demanded.assert_failed(&["setting attributes for ", "file': Operation not supported"]);
    assert_holds(&bare.dir().join("xattr/file"), 1, 5000);
}

#[test]
fn a_symlink_in_the_target_gets_no_metadata_of_the_source() {
    need_root!();
    let dir = Scratch::new();
    let mut from = Tree::new(dir.path("from"));
    from.symlink("name", "elsewhere").owner(5, 6).times(THEN, THEN);
    from.dir("directory").owner(7, 8).mode(0o700).xattr("user.a", b"1").times(THEN, THEN);
    from.built();
    let mut outside = Tree::new(dir.path("outside"));
    outside.file("file", "untouched").mode(0o640);
    fs::create_dir(dir.path("to")).unwrap();
    symlink("../outside/file", dir.path("to/name")).unwrap();
    let before = Fingerprint::of(&dir.path("outside"));
    Highwater::copy().arg("-aT").args([dir.path("from"), dir.path("to")]).run().assert_silent();
    assert_same(&Fingerprint::of(&dir.path("outside")), &before, "what the link pointed to");
    let got = Fingerprint::of(&dir.path("to"));
    assert_same(
        &got.without(&["atime"]),
        &Fingerprint::of(&dir.path("from")).without(&["atime"]),
        "the target",
    );
}

#[test]
fn what_is_kept_can_be_chosen() {
    need_root!();
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("from"));
    tree.file("file", "x").owner(5, 6).mode(0o4751).xattr("user.a", b"1").times(THEN, THEN);
    tree.link("link", "file");
    tree.symlink("symlink", "file");
    let kept = |options: &[&str]| {
        let target = dir.path("to");
        let _ = fs::remove_dir_all(&target);
        let copy = Highwater::copy().umask(0o027).arg("-r").args(options);
        copy.args([dir.path("from"), target.clone()]).run().assert_silent();
        let print = Fingerprint::of(&target);
        let file = print.at("file");
        let mut kept = vec![];
        kept.extend((file["mode"] == "4751").then_some("mode"));
        kept.extend((file["mode"] == "751").then_some("mode-without-setuid"));
        kept.extend((file["uid"] == "5").then_some("ownership"));
        kept.extend((file["mtime"] == "1234567890.123456789").then_some("timestamps"));
        kept.extend(file.contains_key("xattrs").then_some("xattr"));
        kept.extend(file.contains_key("links").then_some("links"));
        kept.join(" ")
    };
    assert_eq!(kept(&[]), "");
    assert_eq!(kept(&["-p"]), "mode ownership timestamps");
    assert_eq!(kept(&["-a"]), "mode ownership timestamps xattr links");
    assert_eq!(kept(&["--preserve=mode"]), "mode");
    assert_eq!(kept(&["--preserve=ownership"]), "ownership");
    assert_eq!(kept(&["--preserve=timestamps,xattr"]), "timestamps xattr");
    assert_eq!(kept(&["--preserve=links"]), "links");
    assert_eq!(kept(&["-a", "--no-preserve=mode"]), "ownership timestamps xattr links");
    assert_eq!(kept(&["-a", "--no-preserve=ownership,links"]), "mode timestamps xattr");
    assert_eq!(kept(&["-a", "--no-preserve=all"]), "");
    assert_eq!(kept(&["--no-preserve=all", "-p"]), "mode ownership timestamps");
}

#[test]
fn devices_and_fifos_are_made_anew_and_never_read() {
    need_root!();
    let dir = Scratch::new();
    let mut tree = Tree::new(dir.path("from"));
    tree.node("fifo", libc::S_IFIFO, (0, 0)).mode(0o600);
    tree.node("zero", libc::S_IFCHR, (1, 5)).mode(0o666);
    tree.node("socket", libc::S_IFSOCK, (0, 0));
    Highwater::copy().umask(0).arg("-r").args([dir.path("from"), dir.path("to")]).run().assert_silent();
    let aspects = ["mtime", "atime"];
    let want = Fingerprint::of(&dir.path("from")).without(&aspects);
    assert_same(&Fingerprint::of(&dir.path("to")).without(&aspects), &want, "the target");
    assert_eq!(fs::metadata(dir.path("to/fifo")).unwrap().permissions().mode() & 0o777, 0o600);
}
