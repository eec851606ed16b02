//! Against real files, on the temporary directory's file system and on a tmpfs; as root and as
//! another user where that is to be had.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::copy::options::Keep;
use crate::sys::at;

const ALL: Keep = Keep {
    permissions: Permissions::Keep,
    ownership: true,
    timestamps: true,
    links: true,
    xattrs: Demand::Wanted,
    require: true,
    reduce_diagnostics: false,
};

fn options(keep: Keep) -> Options {
    Options { keep, ..Options::default() }
}

/// A directory on each file system that may treat attributes in its own way.
fn places() -> Vec<TempDir> {
    let mut places = vec![tempfile::tempdir().unwrap()];
    places.extend(tempfile::tempdir_in("/dev/shm"));
    places
}

/// user::rw-, user:12345:rw-, group::r--, mask::rw-, other::---
fn acl() -> Vec<u8> {
    let mut acl = 2u32.to_le_bytes().to_vec();
    let none = u32::MAX;
    for (tag, may, id) in [(1u16, 6u16, none), (2, 6, 12345), (4, 4, none), (16, 6, none), (32, 0, none)] {
        acl.extend(tag.to_le_bytes());
        acl.extend(may.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

/// What can be said of a file.
#[derive(Debug, PartialEq, Eq)]
struct State {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    xattrs: Vec<(String, Vec<u8>)>,
}

fn state(path: &Path) -> State {
    let stat = fs::symlink_metadata(path).unwrap();
    let mut xattrs: Vec<_> = xattr::list(path)
        .map(|names| {
            names.map(|name| (name.to_str().unwrap().to_owned(), xattr::get(path, &name).unwrap().unwrap()))
        })
        .into_iter()
        .flatten()
        .filter(|(name, _)| name != "security.selinux")
        .collect();
    xattrs.sort();
    State {
        mode: stat.mode() & 0o7777,
        owner: (stat.uid(), stat.gid()),
        modified: (stat.mtime(), stat.mtime_nsec()),
        xattrs,
    }
}

/// One copy of `a` as `b` in a directory, as the walk would make it, without content.
struct Case<'a> {
    directory: &'a Path,
    options: Options,
    /// say what the target is like once it is made
    says_made: bool,
}

impl Case<'_> {
    fn run(&self) -> (bool, Vec<Error>) {
        let open = File::open(self.directory).unwrap();
        let open = open.as_fd();
        let (a, b) = (OsStr::new("a"), OsStr::new("b"));
        let stat = crate::sys::stat::at(open, a, false).unwrap();
        let before = crate::sys::stat::at(open, b, false).ok();
        let mut made_with = making(&stat, &self.options);
        if before.is_none() {
            make(open, b, &mut made_with);
        }
        let made = crate::sys::stat::at(open, b, false).unwrap();
        let handles = (at::open_handle(open, a).unwrap(), at::open_handle(open, b).unwrap());
        let readable = |fd: &std::os::fd::OwnedFd, writes: bool| {
            // What cannot be opened, as the right to is another one than to change it.
            File::options().read(!writes).write(writes).open(at::path_of(fd)).ok()
        };
        let files = match stat.kind {
            Kind::Regular => (readable(&handles.0, false), WRITER.take().or(readable(&handles.1, true))),
            Kind::Directory => (readable(&handles.0, false), readable(&handles.1, false)),
            _ => (None, None),
        };
        fn handle<'a>(
            kind: Kind,
            directory: BorrowedFd<'a>,
            name: &'a OsStr,
            path: BorrowedFd<'a>,
            file: Option<&'a File>,
        ) -> Handle<'a> {
            match (kind, file) {
                (Kind::Symlink, _) => Handle::Link(directory, name),
                (_, Some(file)) => Handle::File(file.as_fd()),
                (_, None) => Handle::Path(path),
            }
        }
        let told = RefCell::new(Vec::new());
        let subject = Subject {
            source: handle(stat.kind, open, a, handles.0.as_fd(), files.0.as_ref()),
            target: handle(made.kind, open, b, handles.1.as_fd(), files.1.as_ref()),
            stat: &stat,
            before: before.as_ref(),
            made: self.says_made.then_some(&made).filter(|_| before.is_none()),
            made_with,
            inherits: inherits(Handle::File(open)),
            paths: &|| (PathBuf::from("a"), PathBuf::from("b")),
        };
        let kept = keep(&subject, &self.options, &mut |error| told.borrow_mut().push(error));
        (kept, told.into_inner())
    }
}

thread_local! {
    /// Open for writing since it was made: its mode may not allow that any more.
    static WRITER: RefCell<Option<File>> = const { RefCell::new(None) };
}

fn make(directory: BorrowedFd<'_>, name: &OsStr, making: &mut Making) {
    use nix::fcntl::OFlag;
    match making.kind {
        Kind::Regular => {
            let file =
                at::open(directory, name, OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY, making.mode);
            WRITER.set(Some(file.unwrap().into()));
        }
        Kind::Directory => {
            at::make_directory(directory, name, making.mode).unwrap();
            let made = crate::sys::stat::at(directory, name, false).unwrap();
            if made.mode & 0o700 != 0o700 {
                let open = at::open_handle(directory, name).unwrap();
                Handle::Path(open.as_fd()).set_mode(made.mode | 0o700).unwrap();
                making.restore = Some(made.mode);
            }
        }
        Kind::Symlink => at::make_symlink(OsStr::new("elsewhere"), directory, name).unwrap(),
        kind => at::make_node(directory, name, kind.mode_bits(), making.mode, (0, 0)).unwrap(),
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn old(path: &Path) {
    let file = File::open(path).unwrap();
    let moment = crate::sys::stat::Time { seconds: 1_234_567_890, nanoseconds: 123_456_789 };
    Handle::File(file.as_fd()).set_times(moment, moment).unwrap();
}

/// Runs `test` on each file system, with and without knowing what was made.
fn everywhere(keep: Keep, mut test: impl FnMut(Case<'_>, &Path, &Path)) {
    for says_made in [false, true] {
        for place in places() {
            let directory = place.path();
            let case = Case { directory, options: options(keep), says_made };
            test(case, &directory.join("a"), &directory.join("b"));
            WRITER.take();
        }
    }
}

/// Runs the test `name` of this module as another user. False: here is that user, or nobody who
/// could become him.
fn as_another(name: &str) -> bool {
    if !is_root() {
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let name = format!("copy::metadata::tests::{name}");
    let run = Command::new(program).args(["--exact", &name]).uid(12345).gid(12345).output();
    match run {
        Ok(run) => {
            let text = String::from_utf8_lossy(&run.stdout);
            assert!(run.status.success(), "as another user: {text}");
            assert!(text.contains("1 passed"), "{text}");
        }
        Err(error) => eprintln!("not run as another user: {error}"),
    }
    true
}

#[test]
fn everything_is_kept_of_a_file() {
    as_another("everything_is_kept_of_a_file");
    everywhere(ALL, |case, a, b| {
        fs::write(a, "content").unwrap();
        xattr::set(a, "user.one", b"1").unwrap();
        xattr::set(a, "user.large", &[7; 3000]).unwrap();
        if is_root() {
            std::os::unix::fs::chown(a, Some(12345), Some(54321)).unwrap();
        }
        for mode in [0o6751, 0o444, 0o400, 0o640, 0o000] {
            if mode & 0o400 == 0 && !is_root() {
                continue;
            }
            chmod(a, mode);
            old(a);
            let _ = fs::remove_file(b);
            assert_eq!(case.run(), (true, vec![]), "new, {mode:o}");
            assert_eq!(state(b), state(a), "new, {mode:o}");
        }
        chmod(a, 0o604);
        old(a);
        fs::remove_file(b).unwrap();
        fs::write(b, "old content").unwrap();
        chmod(b, 0o6777);
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b), state(a), "existing");
    });
}

#[test]
fn everything_is_kept_of_directories_and_nodes() {
    everywhere(ALL, |case, a, b| {
        fs::create_dir(a).unwrap();
        if is_root() {
            std::os::unix::fs::chown(a, Some(12345), Some(54321)).unwrap();
        }
        xattr::set(a, "user.one", b"1").unwrap();
        for mode in [0o755, 0o3571, 0o2555] {
            chmod(a, mode);
            old(a);
            assert_eq!(case.run(), (true, vec![]), "{mode:o}");
            assert_eq!(state(b), state(a), "{mode:o}");
            fs::remove_dir(b).unwrap();
        }
        fs::remove_dir(a).unwrap();
        nix::unistd::mkfifo(a, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        chmod(a, 0o624);
        if is_root() {
            std::os::unix::fs::chown(a, Some(12345), Some(54321)).unwrap();
        }
        let handle = at::open_handle(at::WORKING_DIRECTORY, a.as_os_str()).unwrap();
        let moment = crate::sys::stat::Time { seconds: -5, nanoseconds: 7000 };
        Handle::Path(handle.as_fd()).set_times(moment, moment).unwrap();
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b), state(a));
    });
}

#[test]
fn a_link_gets_owner_times_and_attributes_and_what_it_points_to_nothing() {
    everywhere(ALL, |case, a, b| {
        let other = a.with_file_name("elsewhere");
        fs::write(&other, "").unwrap();
        old(&other);
        let before = state(&other);
        symlink("elsewhere", a).unwrap();
        if is_root() {
            std::os::unix::fs::lchown(a, Some(12345), Some(54321)).unwrap();
            xattr::set(a, "trusted.x", b"1").unwrap_or_default();
        }
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b), state(a));
        assert_eq!(state(&other), before);
    });
}

#[test]
fn an_acl_is_copied_and_a_foreign_one_removed() {
    everywhere(ALL, |case, a, b| {
        fs::write(a, "").unwrap();
        if xattr::set(a, acl::ACCESS, &acl()).is_err() {
            eprintln!("no ACLs in {}", a.display());
            return;
        }
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b), state(a));
        assert!(state(b).xattrs.iter().any(|(name, _)| name == acl::ACCESS));
        // One that the target has from before.
        xattr::remove(a, acl::ACCESS).unwrap();
        chmod(a, 0o604);
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b), state(a));
        // One that its directory gives.
        fs::remove_file(b).unwrap();
        xattr::set(a.parent().unwrap(), acl::DEFAULT, &acl()).unwrap();
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b), state(a));
        // And to a directory both.
        let (c, d) = (a.with_file_name("c"), a.with_file_name("d"));
        fs::rename(a, c).unwrap();
        fs::rename(b, d).unwrap();
        fs::create_dir(a).unwrap();
        xattr::remove(a, acl::ACCESS).unwrap();
        xattr::remove(a, acl::DEFAULT).unwrap();
        chmod(a, 0o751);
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b), state(a));
        assert!(state(b).xattrs.is_empty());
        xattr::set(a, acl::DEFAULT, &acl()).unwrap();
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b), state(a));
    });
}

#[test]
fn without_preserve_a_new_file_has_the_mode_less_the_umask() {
    let keep = Keep::default();
    everywhere(keep, |case, a, b| {
        fs::write(a, "").unwrap();
        chmod(a, 0o4777);
        xattr::set(a, "user.one", b"1").unwrap();
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b).mode, 0o777 & !umask());
        assert_eq!(state(b).xattrs, []);
        chmod(b, 0o4600);
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b).mode, 0o4600, "what was there keeps its own");
    });
    everywhere(keep, |case, a, b| {
        fs::create_dir(a).unwrap();
        chmod(a, 0o577);
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b).mode, 0o577 & !umask());
    });
    everywhere(Keep { ownership: true, xattrs: Demand::Wanted, ..keep }, |case, a, b| {
        fs::write(a, "").unwrap();
        xattr::set(a, "user.one", b"1").unwrap();
        chmod(a, 0o577);
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b).mode, 0o577 & !umask());
        assert_eq!(state(b).xattrs, state(a).xattrs);
    });
}

#[test]
fn a_plain_user_keeps_a_read_only_files_attributes_and_not_its_mode() {
    as_another("a_plain_user_keeps_a_read_only_files_attributes_and_not_its_mode");
    everywhere(Keep { xattrs: Demand::Required, ..Keep::default() }, |case, a, b| {
        fs::write(a, "").unwrap();
        xattr::set(a, "user.one", b"1").unwrap();
        chmod(a, 0o466);
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b).mode, 0o466 & !umask());
        assert_eq!(state(b).xattrs, state(a).xattrs);
    });
}

#[test]
fn no_preserve_mode_gives_what_any_new_file_gets() {
    let keep = Keep { permissions: Permissions::Fresh, ..Keep::default() };
    everywhere(keep, |case, a, b| {
        fs::write(a, "").unwrap();
        chmod(a, 0o7111);
        let _ = xattr::set(a.parent().unwrap(), acl::DEFAULT, &acl());
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!((state(b).mode, state(b).xattrs), (0o666 & !umask(), vec![]));
        chmod(b, 0o4600);
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b).mode, 0o4600);
    });
    everywhere(keep, |case, a, b| {
        fs::create_dir(a).unwrap();
        chmod(a, 0o511);
        assert_eq!(case.run(), (true, vec![]));
        assert_eq!(state(b).mode, 0o777 & !umask());
    });
}

#[test]
fn set_id_bits_do_not_outlive_the_owner() {
    if as_another("set_id_bits_do_not_outlive_the_owner") {
        return;
    }
    // A file of root's that has them and that anybody may read.
    let Some(foreign) =
        ["/usr/bin/su", "/bin/su", "/usr/bin/mount"].into_iter().map(Path::new).find(|path| {
            fs::metadata(path).is_ok_and(|stat| {
                stat.mode() & 0o4004 == 0o4004 && stat.uid() != nix::unistd::geteuid().as_raw()
            })
        })
    else {
        return eprintln!("no such file here");
    };
    let source = File::open(foreign).unwrap();
    let stat = crate::sys::stat::of(source.as_fd()).unwrap();
    let options = options(ALL);
    for place in places() {
        let b = place.path().join("b");
        let made_with = making(&stat, &options);
        let open = File::open(place.path()).unwrap();
        make(open.as_fd(), OsStr::new("b"), &mut made_with.clone());
        let target = WRITER.take().unwrap();
        let mut told = Vec::new();
        let subject = Subject {
            source: Handle::File(source.as_fd()),
            target: Handle::File(target.as_fd()),
            stat: &stat,
            before: None,
            made: None,
            made_with,
            inherits: false,
            paths: &|| unreachable!("nothing to tell"),
        };
        assert!(keep(&subject, &options, &mut |error| told.push(error)));
        assert_eq!(told, []);
        assert_eq!(state(&b).mode, stat.mode & 0o777);
        assert_eq!(state(&b).modified, state(foreign).modified);
    }
}

#[test]
fn what_cannot_be_kept_is_told_as_it_is_demanded() {
    // No such attribute can be set on a FIFO.
    let refused = Error::new(Op::SetXattr, "b", Cause::Errno(libc::EPERM));
    let cases = [
        (Keep { xattrs: Demand::Wanted, ..Keep::default() }, false, (true, vec![refused.clone()])),
        (Keep { xattrs: Demand::Wanted, reduce_diagnostics: true, ..Keep::default() }, false, (true, vec![])),
        (
            Keep { xattrs: Demand::Wanted, reduce_diagnostics: true, ..Keep::default() },
            true,
            (true, vec![refused.clone()]),
        ),
        (
            Keep { xattrs: Demand::Required, reduce_diagnostics: true, ..Keep::default() },
            false,
            (false, vec![refused]),
        ),
    ];
    for (keep_options, skip_data, expected) in cases {
        everywhere(keep_options, |mut case, a, b| {
            case.options.skip_data = skip_data;
            fs::write(a, "").unwrap();
            xattr::set(a, "user.one", b"1").unwrap();
            nix::unistd::mkfifo(b, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
            // As O_PATH: to open it would wait for a reader.
            let reader = at::open_handle(at::WORKING_DIRECTORY, b.as_os_str()).unwrap();
            let source = File::open(a).unwrap();
            let stat = crate::sys::stat::of(source.as_fd()).unwrap();
            let before = crate::sys::stat::of(reader.as_fd()).unwrap();
            let mut told = Vec::new();
            let subject = Subject {
                source: Handle::File(source.as_fd()),
                target: Handle::Path(reader.as_fd()),
                stat: &stat,
                before: Some(&before),
                made: None,
                made_with: making(&stat, &case.options),
                inherits: false,
                paths: &|| (PathBuf::from("a"), PathBuf::from("b")),
            };
            let kept = keep(&subject, &case.options, &mut |error| told.push(error));
            assert_eq!((kept, told), expected, "{keep_options:?}");
        });
    }
}

#[test]
fn files_are_made_with_what_everyone_may_have_at_once() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a");
    fs::write(&path, "").unwrap();
    chmod(&path, 0o6775);
    let file = crate::sys::stat::of(File::open(&path).unwrap().as_fd()).unwrap();
    let of = |kind, keep: Keep, special_contents| {
        let options = Options { keep, special_contents, ..Options::default() };
        let made = making(&Stat { kind, ..file }, &options);
        (made.kind, made.mode, made.omitted)
    };
    let (plain, all) = (Keep::default(), ALL);
    assert_eq!(of(Kind::Regular, plain, false), (Kind::Regular, 0o775, 0));
    assert_eq!(of(Kind::Regular, all, false), (Kind::Regular, 0o700, 0o075));
    assert_eq!(of(Kind::Directory, plain, true), (Kind::Directory, 0o6755, 0o020));
    assert_eq!(of(Kind::Directory, all, true), (Kind::Directory, 0o6700, 0o075));
    assert_eq!(of(Kind::Fifo, all, false), (Kind::Fifo, 0o6700, 0o075));
    assert_eq!(of(Kind::Fifo, plain, true), (Kind::Regular, 0o775, 0));
}
