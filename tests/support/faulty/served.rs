//! The faulty disk's answers to the kernel, one method a request.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use fuser::*;

use super::{Fault, On, State, Transfer};

/// What FUSE serves.
pub struct Served(pub Arc<Mutex<State>>);

impl Served {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The length an operation has, after the time it takes; never slept with the lock held.
    fn strike(&self, on: On, offset: u64, len: usize) -> Result<usize, Errno> {
        let arrived = Instant::now();
        let (time, result) = self.lock().strike(on, offset, len);
        std::thread::sleep(time);
        if let (On::Read | On::Write, Some(log)) = (on, &mut self.lock().log) {
            log.push(Transfer { arrived, answered: Instant::now() });
        }
        result
    }
}

/// Nothing is cached: the kernel asks each time.
const TTL: Duration = Duration::ZERO;
const GENERATION: Generation = Generation(0);

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Without it the kernel serialises direct writes; with it, it makes EIO of a short one.
        let short = |fault: &Fault| {
            matches!(fault, Fault::Short(..) | Fault::Errno(On::Write, ..) | Fault::Nth(On::Write, ..))
        };
        if !self.lock().faults.iter().any(short) {
            let _ = config.add_capabilities(InitFlags::FUSE_ASYNC_DIO);
        }
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
                match state.store(ino, offset, &data[..len]) {
                    Some(()) => reply.written(len as u32),
                    None => reply.error(Errno::ENOENT),
                }
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        match self.strike(On::Close, 0, 0) {
            Ok(_) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
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
