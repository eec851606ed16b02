//! Trees: made with everything a file can be, and read back as a fingerprint that covers all that a
//! copy has to keep. Both by system calls that follow no symlink and leave no trace: a fingerprint
//! doesn't touch an access time.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::{self, File};
use std::hash::Hasher;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Whence, lseek};

/// A path for the C library.
pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

#[track_caller]
fn check(result: libc::c_int, what: &str, path: &Path) {
    assert!(result == 0, "{what} {}: {}", path.display(), io::Error::last_os_error());
}

/// A time as files have it: seconds and nanoseconds.
pub type Time = (i64, i64);

/// Sets both times of what stands there, a symlink too.
#[track_caller]
pub fn set_times(path: &Path, atime: Time, mtime: Time) {
    let times = [atime, mtime].map(|(tv_sec, tv_nsec)| libc::timespec { tv_sec, tv_nsec });
    // SAFETY: the path ends in a NUL, the times are two, both live over the call.
    let result = unsafe {
        libc::utimensat(libc::AT_FDCWD, c_path(path).as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW)
    };
    check(result, "utimensat", path);
}

/// Sets the owner of what stands there, a symlink too.
#[track_caller]
pub fn set_owner(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
}

/// Sets an extended attribute of what stands there, a symlink too.
pub fn set_xattr(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    let name = CString::new(name).unwrap();
    // SAFETY: both strings end in a NUL, the value has the length that is given.
    let result = unsafe {
        libc::lsetxattr(c_path(path).as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The extended attributes of what stands there, by name. ACLs and capabilities are among them; the
/// label of SELinux is the system's, not the file's.
pub fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let path = c_path(path);
    let mut names = vec![0u8; 4096];
    // SAFETY: the buffer has the length that is given.
    let len = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    names.truncate(len.max(0) as usize);
    let mut found = BTreeMap::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let name = CStr::from_bytes_with_nul(name).unwrap();
        let mut value = vec![0u8; 65536];
        // SAFETY: the buffer has the length that is given.
        let len =
            unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        value.truncate(len.max(0) as usize);
        found.insert(name.to_string_lossy().into_owned(), value);
    }
    found.remove("security.selinux");
    // XFS shows its ACLs once more, as it stores them.
    let xfs = nix::sys::statfs::statfs(path.as_c_str()).is_ok_and(|fs| fs.filesystem_type().0 == 0x5846_5342);
    found.retain(|name, _| !(xfs && name.starts_with("trusted.SGI_ACL")));
    found
}

/// Makes a FIFO, a socket or a device.
#[track_caller]
pub fn make_node(path: &Path, kind: libc::mode_t, mode: u32, device: (u32, u32)) {
    let device = libc::makedev(device.0, device.1);
    // SAFETY: the path ends in a NUL.
    check(unsafe { libc::mknod(c_path(path).as_ptr(), kind | mode, device) }, "mknod", path);
}

/// A capability as the kernel stores it: version 2, effective, CAP_NET_RAW permitted.
pub const CAP_NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A tree being made. Modes and times of directories are given at the end, when nothing changes them
/// any more.
pub struct Tree {
    root: PathBuf,
    late_modes: Vec<(PathBuf, u32)>,
    late_times: Vec<(PathBuf, Time, Time)>,
}

impl Tree {
    /// A new directory, and what is made in it from now on.
    pub fn new(root: impl Into<PathBuf>) -> Tree {
        let root = root.into();
        fs::create_dir_all(&root).unwrap();
        Tree { root, late_modes: vec![], late_times: vec![] }
    }

    /// `name` in it.
    pub fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        match name.as_ref().is_empty() {
            true => self.root.clone(),
            false => self.root.join(name.as_ref()),
        }
    }

    fn made(&mut self, name: impl AsRef<OsStr>) -> Made<'_> {
        Made { path: self.path(name), tree: self }
    }

    /// The directory itself.
    pub fn root(&mut self) -> Made<'_> {
        self.made("")
    }

    /// A directory, with all above it.
    pub fn dir(&mut self, name: impl AsRef<OsStr>) -> Made<'_> {
        fs::create_dir_all(self.path(&name)).unwrap();
        self.made(name)
    }

    /// A file with this content.
    pub fn file(&mut self, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> Made<'_> {
        fs::write(self.path(&name), content).unwrap();
        self.made(name)
    }

    /// A symlink to `to`, whatever that is.
    pub fn symlink(&mut self, name: impl AsRef<OsStr>, to: impl AsRef<Path>) -> Made<'_> {
        std::os::unix::fs::symlink(to, self.path(&name)).unwrap();
        self.made(name)
    }

    /// Another name of a file.
    pub fn link(&mut self, name: impl AsRef<OsStr>, to: impl AsRef<OsStr>) {
        fs::hard_link(self.path(to), self.path(name)).unwrap();
    }

    /// A FIFO, a socket or a device.
    pub fn node(&mut self, name: impl AsRef<OsStr>, kind: libc::mode_t, device: (u32, u32)) -> Made<'_> {
        make_node(&self.path(&name), kind, 0o640, device);
        self.made(name)
    }

    /// Gives the directories their modes and times.
    pub fn built(&mut self) {
        for (path, mode) in self.late_modes.drain(..) {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
        for (path, atime, mtime) in self.late_times.drain(..) {
            set_times(&path, atime, mtime);
        }
    }
}

/// Something made, to be given its metadata: owner first (it clears setuid), attributes before times.
pub struct Made<'a> {
    tree: &'a mut Tree,
    path: PathBuf,
}

impl Made<'_> {
    fn is_dir(&self) -> bool {
        self.path.symlink_metadata().unwrap().is_dir()
    }

    /// With this mode.
    pub fn mode(self, mode: u32) -> Self {
        match self.is_dir() {
            true => self.tree.late_modes.push((self.path.clone(), mode)),
            false => fs::set_permissions(&self.path, PermissionsExt::from_mode(mode)).unwrap(),
        }
        self
    }

    /// With this owner.
    pub fn owner(self, uid: u32, gid: u32) -> Self {
        set_owner(&self.path, uid, gid);
        self
    }

    /// With these times, of access and of content.
    pub fn times(self, atime: Time, mtime: Time) -> Self {
        match self.is_dir() {
            true => self.tree.late_times.push((self.path.clone(), atime, mtime)),
            false => set_times(&self.path, atime, mtime),
        }
        self
    }

    /// With this extended attribute.
    #[track_caller]
    pub fn xattr(self, name: &str, value: &[u8]) -> Self {
        set_xattr(&self.path, name, value).unwrap_or_else(|e| panic!("{name} of {:?}: {e}", self.path));
        self
    }

    /// With these entries added to its ACL, as setfacl takes them.
    #[track_caller]
    pub fn acl(self, entries: &str) -> Self {
        super::disk::system("setfacl", &["-m", entries, self.path.to_str().unwrap()]);
        self
    }
}

/// What a file is: aspects by name ("type", "mode", "mtime", ...), each as text.
pub type Print = BTreeMap<&'static str, String>;

/// A tree as a copy should leave it: what stands at each path, from the root (the empty path) on.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(pub BTreeMap<Vec<u8>, Print>);

/// The aspects a copy with `-a` keeps are all of them. These are what one without `-p` has of its own.
pub const OWN: [&str; 6] = ["mode", "uid", "gid", "mtime", "atime", "xattrs"];

impl Fingerprint {
    /// Of what stands at `root`: a directory with all below, or a single file.
    #[track_caller]
    pub fn of(root: &Path) -> Fingerprint {
        let mut prints = BTreeMap::new();
        let mut inodes: BTreeMap<(u64, u64), BTreeSet<Vec<u8>>> = BTreeMap::new();
        let mut waiting = vec![vec![]];
        while let Some(relative) = waiting.pop() {
            let path = match relative.is_empty() {
                true => root.to_path_buf(),
                false => root.join(OsStr::from_bytes(&relative)),
            };
            let meta = fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            if meta.is_dir() {
                for name in list(&path) {
                    let mut below = relative.clone();
                    if !below.is_empty() {
                        below.push(b'/');
                    }
                    below.extend(name.as_bytes());
                    waiting.push(below);
                }
            } else if meta.nlink() > 1 {
                inodes.entry((meta.dev(), meta.ino())).or_default().insert(relative.clone());
            }
            prints.insert(relative, print(&path, &meta));
        }
        for names in inodes.into_values().filter(|names| names.len() > 1) {
            let shown: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
            let shown = shown.join(" = ");
            for name in &names {
                prints.get_mut(name).unwrap().insert("links", shown.clone());
            }
        }
        Fingerprint(prints)
    }

    /// The same without these aspects.
    pub fn without(mut self, aspects: &[&str]) -> Fingerprint {
        self.0.values_mut().for_each(|print| print.retain(|aspect, _| !aspects.contains(aspect)));
        self
    }

    /// The same without what stands at `path` and below.
    pub fn except(mut self, path: &str) -> Fingerprint {
        self.0.retain(|name, _| {
            let below = name.strip_prefix(path.as_bytes());
            below.is_none_or(|rest| !rest.is_empty() && rest[0] != b'/')
        });
        self
    }

    /// What stands at `path`.
    #[track_caller]
    pub fn at(&self, path: &str) -> &Print {
        self.0.get(path.as_bytes()).unwrap_or_else(|| panic!("nothing at {path}"))
    }

    /// The paths.
    pub fn paths(&self) -> Vec<String> {
        self.0.keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    }

    /// Where two trees differ, one line each.
    pub fn differences(&self, other: &Fingerprint) -> Vec<String> {
        let paths: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let nothing = Print::new();
        let mut lines = vec![];
        for path in paths {
            let name = format!("{:?}", String::from_utf8_lossy(path));
            let (left, right) = (self.0.get(path), other.0.get(path));
            if left.is_none() || right.is_none() {
                lines
                    .push(format!("{name}: only in the {}", if left.is_some() { "first" } else { "second" }));
                continue;
            }
            let (left, right) = (left.unwrap_or(&nothing), right.unwrap_or(&nothing));
            let aspects: BTreeSet<_> = left.keys().chain(right.keys()).collect();
            for aspect in aspects.into_iter().filter(|aspect| left.get(*aspect) != right.get(*aspect)) {
                let [left, right] = [left, right].map(|p| p.get(aspect).map_or("none", |s| s.as_str()));
                lines.push(format!("{name}: {aspect}: {left} != {right}"));
            }
        }
        lines
    }
}

/// Asserts that two trees are the same, and says where they are not.
#[track_caller]
pub fn assert_same(got: &Fingerprint, want: &Fingerprint, what: &str) {
    let differences = want.differences(got);
    let shown = differences.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{what}: wanted != got\n{shown}");
}

/// Opens for reading; without a trace where that is allowed.
fn open_silently(path: &Path, flags: libc::c_int) -> io::Result<File> {
    let open = |more| {
        let flags = flags | libc::O_NOFOLLOW | libc::O_NONBLOCK | more;
        fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
    };
    open(libc::O_NOATIME).or_else(|_| open(0))
}

/// The names in a directory that stands at `path`.
#[track_caller]
fn list(path: &Path) -> Vec<OsString> {
    let Ok(dir) = open_silently(path, libc::O_DIRECTORY) else { return vec![] };
    list_of(std::os::fd::IntoRawFd::into_raw_fd(dir))
}

/// The names in an open directory, which is closed.
pub fn list_of(dir: RawFd) -> Vec<OsString> {
    let mut names = vec![];
    // SAFETY: the descriptor is open and handed over; the stream is closed once, after its last use,
    // and an entry's name is read before the next one is asked for.
    unsafe {
        let stream = libc::fdopendir(dir);
        assert!(!stream.is_null());
        loop {
            let entry = libc::readdir64(stream);
            if entry.is_null() {
                break;
            }
            let name = CStr::from_ptr((*entry).d_name.as_ptr()).to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        libc::closedir(stream);
    }
    names
}

fn print(path: &Path, meta: &fs::Metadata) -> Print {
    let mut print = Print::new();
    let kind = meta.file_type();
    let name = match () {
        _ if kind.is_file() => "file",
        _ if kind.is_dir() => "directory",
        _ if kind.is_symlink() => "symlink",
        _ if kind.is_fifo() => "fifo",
        _ if kind.is_socket() => "socket",
        _ if kind.is_char_device() => "character device",
        _ => "block device",
    };
    print.insert("type", name.into());
    print.insert("mode", format!("{:o}", meta.mode() & 0o7777));
    print.insert("uid", meta.uid().to_string());
    print.insert("gid", meta.gid().to_string());
    // Reading a symlink leaves a trace, ours too, unless it is younger than any reader.
    if !kind.is_symlink() || meta.accessed().is_ok_and(|atime| atime > std::time::SystemTime::now()) {
        print.insert("atime", format!("{}.{:09}", meta.atime(), meta.atime_nsec()));
    }
    print.insert("mtime", format!("{}.{:09}", meta.mtime(), meta.mtime_nsec()));
    let attributes = xattrs(path);
    if !attributes.is_empty() {
        print.insert("xattrs", format!("{attributes:02x?}"));
    }
    if kind.is_symlink() {
        print.insert("target", format!("{:?}", fs::read_link(path).unwrap()));
    } else if kind.is_char_device() || kind.is_block_device() {
        print.insert("rdev", format!("{}:{}", libc::major(meta.rdev()), libc::minor(meta.rdev())));
    } else if kind.is_file() {
        print.insert("size", meta.len().to_string());
        match open_silently(path, 0) {
            Ok(file) => {
                let extents = extents_of(&file, meta);
                print.insert("content", content(&file, meta.len(), &extents));
                if meta.blocks() * 512 < meta.len() {
                    print.insert("data", format!("{extents:?}"));
                }
            }
            Err(error) => drop(print.insert("content", error.to_string())),
        }
    }
    print
}

/// Where a file holds data. Only a file with less than its size allocated is asked for its holes,
/// once it is on the disk.
fn extents_of(file: &File, meta: &fs::Metadata) -> Vec<(u64, u64)> {
    if meta.blocks() * 512 >= meta.len() {
        return vec![(0, meta.len())];
    }
    let _ = file.sync_all();
    let (mut extents, mut at) = (vec![], 0);
    while at < meta.len() as i64 {
        let Ok(start) = lseek(file, at, Whence::SeekData) else { break };
        let end = lseek(file, start, Whence::SeekHole).unwrap();
        extents.push((start as u64, end as u64));
        at = end;
    }
    extents
}

/// A hash of all pages that are not zero, with their places: the same whatever is a hole.
fn content(file: &File, len: u64, extents: &[(u64, u64)]) -> String {
    const PAGE: u64 = 4096;
    let mut hasher = DefaultHasher::new();
    let mut page = [0; PAGE as usize];
    let mut done = None;
    for &(start, end) in extents {
        let (first, last) = (start / PAGE, end.min(len).div_ceil(PAGE));
        for number in first.max(done.map_or(0, |done: u64| done + 1))..last {
            done = Some(number);
            let mut filled = 0;
            while filled < page.len() {
                match file.read_at(&mut page[filled..], number * PAGE + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) => return error.to_string(),
                }
            }
            if page[..filled].iter().any(|byte| *byte != 0) {
                hasher.write_u64(number);
                hasher.write(&page[..filled]);
            }
        }
    }
    format!("{:016x}", hasher.finish())
}

/// Opens a directory below an open one.
pub fn open_dir(at: RawFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the name ends in a NUL; what is returned is a descriptor of our own or -1.
    match unsafe { libc::openat(at, name.as_ptr(), flags) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: open, and nobody else's.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// `highwater` under the name of `cp`, to be called with cp's own command line.
pub struct Cp {
    dir: super::Scratch,
}

impl Cp {
    /// A link to the binary.
    pub fn new() -> Cp {
        let dir = super::Scratch::new();
        std::os::unix::fs::symlink(super::command::BINARY, dir.path("cp")).unwrap();
        Cp { dir }
    }

    /// Runs it in `dir`.
    #[track_caller]
    pub fn run(&self, dir: &Path, args: &[&str]) -> super::Outcome {
        super::Highwater::binary(self.dir.path("cp")).named("cp").current_dir(dir).args(args).run()
    }
}

/// Asserts exit code 1 and that each of these lines is said once, `highwater: ` before it.
#[track_caller]
pub fn assert_says(outcome: &super::Outcome, lines: &[&str]) {
    outcome.assert_code(1);
    for line in lines {
        let line = format!("highwater: {line}");
        let times = outcome.stderr.lines().filter(|said| **said == line).count();
        assert_eq!(times, 1, "how often {line:?} is said in:\n{}", outcome.stderr);
    }
}
