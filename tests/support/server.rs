//! A file server that copies by itself, served by FUSE from inside the test: a tree in memory, with
//! the page cache before it as network file systems have one. It counts what it is asked, and says
//! of each copy what it is told to say.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::*;

use super::Scratch;

/// What the server makes of a request to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// all of it
    Whole,
    /// no more than so many bytes
    Short(u64),
    /// this errno
    Errno(i32),
    /// nothing is copied, and so many bytes more than asked for are claimed
    Claim(u32),
    /// the source is cut to so many bytes first
    Cut(u64),
    /// the source is continued to so many bytes with 0x47 ('G') first
    Grow(u64),
    /// all of it, after this time
    Slow(Duration),
}

/// How often something was asked for, and how many bytes it came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub calls: u64,
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.calls += 1;
        self.bytes += bytes;
    }
}

/// What the server has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub copies: Count,
    pub reads: Count,
    pub writes: Count,
}

/// A server, unmounted on Drop.
pub struct Server {
    _session: BackgroundSession,
    scratch: Scratch,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// An empty one. Copies beginning at the given offsets or past them are answered so, the last
    /// that fits; all before the first of them are made whole.
    pub fn new(answers: impl Into<Vec<(u64, Answer)>>) -> Server {
        let mut state = State { answers: answers.into(), ..State::default() };
        let root = Node { is_directory: true, mode: 0o755, ..Node::default() };
        state.nodes.insert(INodeNo::ROOT.0, root);
        let state = Arc::new(Mutex::new(state));
        let scratch = Scratch::new();
        let mount_point = scratch.path("server");
        std::fs::create_dir(&mount_point).unwrap();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("highwater-test".into())];
        config.n_threads = Some(2);
        let session = spawn_mount(Served(state.clone()), &mount_point, &config).unwrap();
        Server { _session: session, scratch, state }
    }

    /// `name` on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path("server").join(name)
    }

    /// Puts a file there, and directories above it.
    pub fn put(&self, name: &str, data: Vec<u8>) {
        let mut state = self.lock();
        let (above, name) = name.rsplit_once('/').unwrap_or(("", name));
        let mut at = INodeNo::ROOT.0;
        for part in above.split('/').filter(|part| !part.is_empty()) {
            let there = state.find(at, OsStr::new(part));
            at = there.unwrap_or_else(|| state.create(at, OsStr::new(part), 0o755, true).unwrap());
        }
        let ino = state.create(at, OsStr::new(name), 0o644, false).unwrap();
        state.node(ino).data = data;
    }

    /// Puts a file into its root of which this range is a hole.
    pub fn put_sparse(&self, name: &str, data: Vec<u8>, hole: Range<u64>) {
        self.put(name, data);
        let mut state = self.lock();
        let ino = state.find(INodeNo::ROOT.0, OsStr::new(name)).unwrap();
        state.node(ino).hole = hole;
    }

    /// The bytes of a file as the server has them, if it is there.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let mut at = INodeNo::ROOT.0;
        for part in Path::new(name) {
            at = state.find(at, part)?;
        }
        Some(state.node(at).data.clone())
    }

    /// The names in its root.
    pub fn names(&self) -> Vec<OsString> {
        let of_root = |(parent, _): &&(u64, OsString)| *parent == INodeNo::ROOT.0;
        self.lock().names.keys().filter(of_root).map(|(_, name)| name.clone()).collect()
    }

    /// What it has seen so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        super::disk::unmount(&self.scratch.path("server"));
    }
}

#[derive(Default)]
struct Node {
    is_directory: bool,
    mode: u16,
    data: Vec<u8>,
    hole: Range<u64>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<(u64, OsString), u64>,
    nodes: BTreeMap<u64, Node>,
    answers: Vec<(u64, Answer)>,
    counts: Counts,
}

impl State {
    fn find(&self, parent: u64, name: &OsStr) -> Option<u64> {
        self.names.get(&(parent, name.into())).copied()
    }

    fn node(&mut self, ino: u64) -> &mut Node {
        self.nodes.get_mut(&ino).unwrap()
    }

    fn create(&mut self, parent: u64, name: &OsStr, mode: u32, is_directory: bool) -> Option<u64> {
        if self.find(parent, name).is_some() {
            return None;
        }
        let ino = INodeNo::ROOT.0 + self.nodes.len() as u64;
        self.names.insert((parent, name.into()), ino);
        self.nodes.insert(ino, Node { is_directory, mode: (mode & 0o7777) as u16, ..Node::default() });
        Some(ino)
    }

    fn attr(&self, ino: u64) -> FileAttr {
        let node = &self.nodes[&ino];
        let size = node.data.len() as u64;
        let time = SystemTime::UNIX_EPOCH;
        FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: (size - (node.hole.end - node.hole.start)).div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: if node.is_directory { FileType::Directory } else { FileType::RegularFile },
            perm: node.mode,
            nlink: 1,
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn write(&mut self, ino: u64, offset: usize, bytes: &[u8]) {
        let data = &mut self.node(ino).data;
        data.resize(data.len().max(offset + bytes.len()), 0);
        data[offset..][..bytes.len()].copy_from_slice(bytes);
    }
}

struct Served(Arc<Mutex<State>>);

impl Served {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

const TTL: Duration = Duration::ZERO;
const GENERATION: Generation = Generation(0);

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.lock();
        match state.find(parent.0, name) {
            Some(ino) => reply.entry(&TTL, &state.attr(ino), GENERATION),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.lock().attr(ino.0));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.lock();
        let node = state.node(ino.0);
        node.mode = mode.map_or(node.mode, |mode| (mode & 0o7777) as u16);
        if let Some(size) = size {
            node.data.resize(size as usize, 0);
        }
        reply.attr(&TTL, &state.attr(ino.0));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let mut state = self.lock();
        match state.create(parent.0, name, mode & !umask, true) {
            Some(ino) => reply.entry(&TTL, &state.attr(ino), GENERATION),
            None => reply.error(Errno::EEXIST),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut state = self.lock();
        match state.create(parent.0, name, mode & !umask, false) {
            Some(ino) => {
                reply.created(&TTL, &state.attr(ino), GENERATION, FileHandle(0), FopenFlags::empty())
            }
            None => reply.error(Errno::EEXIST),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = self.lock();
        let data = &state.nodes[&ino.0].data;
        let start = data.len().min(offset as usize);
        let end = data.len().min(start + size as usize);
        reply.data(&data[start..end]);
        state.counts.reads.add((end - start) as u64);
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut state = self.lock();
        state.write(ino.0, offset as usize, data);
        state.counts.writes.add(data.len() as u64);
        reply.written(data.len() as u32);
    }

    fn copy_file_range(
        &self,
        _: &Request,
        from: INodeNo,
        _: FileHandle,
        offset: u64,
        to: INodeNo,
        _: FileHandle,
        to_offset: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let fits = |(past, _): &&(u64, Answer)| *past <= offset;
        let answer = self.lock().answers.iter().rfind(fits).map_or(Answer::Whole, |(_, answer)| *answer);
        if let Answer::Slow(time) = answer {
            std::thread::sleep(time);
        }
        let mut state = self.lock();
        match answer {
            Answer::Cut(len) => state.node(from.0).data.truncate(len as usize),
            Answer::Grow(len) => state.node(from.0).data.resize(len as usize, b'G'),
            _ => {}
        }
        let data = &state.nodes[&from.0].data;
        let there = (data.len() as u64).saturating_sub(offset);
        let len = if let Answer::Short(most) = answer { len.min(most) } else { len };
        let bytes = data[data.len().min(offset as usize)..][..len.min(there) as usize].to_vec();
        let copied = bytes.len() as u64;
        match answer {
            Answer::Errno(errno) => {
                state.counts.copies.add(0);
                reply.error(Errno::from_i32(errno));
            }
            Answer::Claim(more) => {
                state.counts.copies.add(0);
                reply.written(len as u32 + more);
            }
            _ => {
                state.write(to.0, to_offset as usize, &bytes);
                state.counts.copies.add(copied);
                reply.written(copied as u32);
            }
        }
    }

    fn lseek(&self, _: &Request, ino: INodeNo, _: FileHandle, from: i64, whence: i32, reply: ReplyLseek) {
        let state = self.lock();
        let Node { hole, data, .. } = &state.nodes[&ino.0];
        let (from, len) = (from as u64, data.len() as u64);
        let found = match (whence == libc::SEEK_DATA, hole.contains(&from)) {
            (true, true) => hole.end,
            (true, false) | (false, true) => from,
            (false, false) if from < hole.start => hole.start,
            (false, false) => len,
        };
        match from < len && (whence != libc::SEEK_DATA || found < len) {
            true => reply.offset(found as i64),
            false => reply.error(Errno::ENXIO),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        match self.lock().names.remove(&(parent.0, name.into())) {
            Some(_) => reply.ok(),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut state = self.lock();
        if flags.contains(RenameFlags::RENAME_NOREPLACE) && state.find(new_parent.0, new).is_some() {
            return reply.error(Errno::EEXIST);
        }
        match state.names.remove(&(parent.0, name.into())) {
            Some(ino) => {
                state.names.insert((new_parent.0, new.into()), ino);
                reply.ok();
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.lock();
        let inside = state.names.iter().filter(|((parent, _), _)| *parent == ino.0);
        for (i, ((_, name), ino)) in inside.enumerate().skip(offset as usize) {
            if reply.add(INodeNo(*ino), i as u64 + 1, state.attr(*ino).kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
