//! A file system that fails as told: one directory of files in memory, served by FUSE from inside
//! the test. Below the kernel's system calls, so that a ring meets the faults as well as pread does.
//!
//! Every read and write reaches it as the command made it (FOPEN_DIRECT_IO), split at 128 KiB and
//! without a page cache between. It has no O_TMPFILE, no fallocate and no SEEK_HOLE, as many
//! network file systems have not.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::*;

use super::Scratch;

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Read,
    Write,
    Fsync,
}

/// One fault, of every file of the disk.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This errno for what touches a byte of the range; an fsync touches all.
    Errno(On, Range<u64>, i32),
    /// No more than so many bytes at a time.
    Short(On, usize),
    /// Each one takes this long.
    Slow(On, Duration),
    /// Once byte `when_read` of the file is asked for, its length becomes `to`: cut, or continued
    /// with 0x47 ('G').
    Resize { when_read: u64, to: u64 },
}

/// A disk with faults, unmounted on Drop.
pub struct FaultyDisk {
    // Dropped first: unmounts.
    _session: BackgroundSession,
    scratch: Scratch,
    state: Arc<Mutex<State>>,
}

impl FaultyDisk {
    /// An empty disk with these faults.
    pub fn new(faults: impl Into<Vec<Fault>>) -> FaultyDisk {
        let state = Arc::new(Mutex::new(State { faults: faults.into(), ..State::default() }));
        let scratch = Scratch::new();
        let mount_point = scratch.path("faulty");
        std::fs::create_dir(&mount_point).unwrap();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("highwater-test".into())];
        config.n_threads = Some(4);
        let session = spawn_mount(Served(state.clone()), &mount_point, &config).unwrap();
        FaultyDisk { _session: session, scratch, state }
    }

    /// Where it is mounted.
    pub fn dir(&self) -> PathBuf {
        self.scratch.path("faulty")
    }

    /// `name` in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Puts a file there.
    pub fn put(&self, name: &str, data: Vec<u8>) {
        self.lock().create(OsStr::new(name), 0o644).unwrap().data = data;
    }

    /// The bytes of a file, as the disk has them, if it is there.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let ino = state.names.get(OsStr::new(name))?;
        Some(state.files[ino].data.clone())
    }

    /// The names in it.
    pub fn names(&self) -> Vec<OsString> {
        self.lock().names.keys().cloned().collect()
    }

    /// How many bytes have been written to it.
    pub fn written_bytes(&self) -> u64 {
        self.lock().written_bytes
    }

    /// How many fsyncs of files it has seen.
    pub fn fsyncs(&self) -> u64 {
        self.lock().fsyncs
    }

    /// Other faults, from now on.
    pub fn set_faults(&self, faults: impl Into<Vec<Fault>>) {
        self.lock().faults = faults.into();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

#[derive(Default)]
struct File {
    data: Vec<u8>,
    mode: u16,
    links: u32,
    mtime: Option<SystemTime>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<OsString, u64>,
    files: BTreeMap<u64, File>,
    last_ino: u64,
    faults: Vec<Fault>,
    written_bytes: u64,
    fsyncs: u64,
}

impl State {
    fn create(&mut self, name: &OsStr, mode: u32) -> Option<&mut File> {
        if self.names.contains_key(name) {
            return None;
        }
        self.last_ino += 1;
        let ino = self.last_ino + 1;
        self.names.insert(name.into(), ino);
        let file = File { mode: (mode & 0o7777) as u16, links: 1, ..File::default() };
        Some(self.files.entry(ino).or_insert(file))
    }

    fn attr(&self, ino: INodeNo) -> Option<FileAttr> {
        let root = File { mode: 0o777, links: 2, ..File::default() };
        let file = if ino == INodeNo::ROOT { &root } else { self.files.get(&ino.0)? };
        let kind = if ino == INodeNo::ROOT { FileType::Directory } else { FileType::RegularFile };
        let time = file.mtime.unwrap_or(SystemTime::UNIX_EPOCH);
        let size = file.data.len() as u64;
        Some(FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm: file.mode,
            nlink: file.links,
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn entry(&self, name: &OsStr) -> Option<FileAttr> {
        self.attr(INodeNo(*self.names.get(name)?))
    }

    /// What the faults make of an operation: how long it takes, and its errno or its length.
    fn strike(&self, on: On, offset: u64, len: usize) -> (Duration, Result<usize, Errno>) {
        let (mut time, mut result) = (Duration::ZERO, Ok(len));
        for fault in &self.faults {
            match fault {
                Fault::Slow(what, slow) if *what == on => time += *slow,
                Fault::Short(what, most) if *what == on => result = result.map(|len| len.min(*most)),
                Fault::Errno(what, range, errno) if *what == on => {
                    // What stands before a bad range is done, as a disk does it: short.
                    let hit = range.start < offset + len as u64 && offset < range.end;
                    if on == On::Fsync || hit && range.start <= offset {
                        result = Err(Errno::from_i32(*errno));
                    } else if hit {
                        result = result.map(|len| len.min((range.start - offset) as usize));
                    }
                }
                _ => (),
            }
        }
        (time, result)
    }

    /// Lengths that change under the reader's hands, each once.
    fn resize(&mut self, ino: INodeNo, offset: u64, len: u64) {
        let mut sizes = vec![];
        self.faults.retain(|fault| match fault {
            Fault::Resize { when_read, to } if *when_read < offset + len => {
                sizes.push(*to);
                false
            }
            _ => true,
        });
        if let Some(file) = self.files.get_mut(&ino.0) {
            sizes.into_iter().for_each(|to| file.data.resize(to as usize, b'G'));
        }
    }
}

struct Served(Arc<Mutex<State>>);

impl Served {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The length an operation has, after the time it takes; never slept with the lock held.
    fn strike(&self, on: On, offset: u64, len: usize) -> Result<usize, Errno> {
        let (time, result) = self.lock().strike(on, offset, len);
        std::thread::sleep(time);
        result
    }
}

/// Nothing is cached: the kernel asks each time.
const TTL: Duration = Duration::ZERO;
const GENERATION: Generation = Generation(0);

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Without it the kernel serialises direct writes.
        let _ = config.add_capabilities(InitFlags::FUSE_ASYNC_DIO);
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.lock().entry(name) {
            Some(attr) => reply.entry(&TTL, &attr, GENERATION),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.lock().attr(ino) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(Errno::ENOENT),
        }
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
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut state = self.lock();
        if let Some(file) = state.files.get_mut(&ino.0) {
            if let Some(mode) = mode {
                file.mode = (mode & 0o7777) as u16;
            }
            if let Some(size) = size {
                file.data.resize(size as usize, 0);
            }
            match mtime {
                Some(TimeOrNow::SpecificTime(time)) => file.mtime = Some(time),
                Some(TimeOrNow::Now) => file.mtime = Some(SystemTime::now()),
                None => (),
            }
        }
        match state.attr(ino) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn mknod(&self, _: &Request, _: INodeNo, name: &OsStr, mode: u32, umask: u32, _: u32, reply: ReplyEntry) {
        let mut state = self.lock();
        match state.create(name, mode & !umask).is_some() {
            true => reply.entry(&TTL, &state.entry(name).unwrap(), GENERATION),
            false => reply.error(Errno::EEXIST),
        }
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let mut state = self.lock();
        if state.create(name, mode & !umask).is_none() && flags & libc::O_EXCL != 0 {
            return reply.error(Errno::EEXIST);
        }
        let attr = state.entry(name).unwrap();
        reply.created(&TTL, &attr, GENERATION, FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
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
        self.lock().resize(ino, offset, size.into());
        match self.strike(On::Read, offset, size as usize) {
            Ok(len) => {
                let state = self.lock();
                let Some(file) = state.files.get(&ino.0) else { return reply.error(Errno::ENOENT) };
                let start = file.data.len().min(offset as usize);
                let end = file.data.len().min(start + len);
                reply.data(&file.data[start..end]);
            }
            Err(errno) => reply.error(errno),
        }
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
        match self.strike(On::Write, offset, data.len()) {
            Ok(len) => {
                let mut state = self.lock();
                state.written_bytes += len as u64;
                let Some(file) = state.files.get_mut(&ino.0) else { return reply.error(Errno::ENOENT) };
                let (start, end) = (offset as usize, offset as usize + len);
                file.data.resize(file.data.len().max(end), 0);
                file.data[start..end].copy_from_slice(&data[..len]);
                reply.written(len as u32);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.lock().fsyncs += 1;
        match self.strike(On::Fsync, 0, 0) {
            Ok(_) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let mut state = self.lock();
        match state.names.remove(name) {
            // The data stays for whoever has it open: the kernel renames nothing here.
            Some(ino) => {
                state.files.get_mut(&ino).unwrap().links -= 1;
                reply.ok();
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn link(&self, _: &Request, ino: INodeNo, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut state = self.lock();
        if state.names.contains_key(name) {
            return reply.error(Errno::EEXIST);
        }
        state.names.insert(name.into(), ino.0);
        state.files.get_mut(&ino.0).unwrap().links += 1;
        reply.entry(&TTL, &state.entry(name).unwrap(), GENERATION);
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let mut state = self.lock();
        if flags.contains(RenameFlags::RENAME_NOREPLACE) && state.names.contains_key(new) {
            return reply.error(Errno::EEXIST);
        }
        match state.names.remove(name) {
            Some(ino) => {
                if let Some(old) = state.names.insert(new.into(), ino) {
                    state.files.get_mut(&old).unwrap().links -= 1;
                }
                reply.ok();
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.lock();
        for (i, (name, ino)) in state.names.iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(*ino), i as u64 + 1, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }
}
