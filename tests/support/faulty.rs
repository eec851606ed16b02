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
use std::time::{Duration, Instant, SystemTime};

use fuser::*;

mod served;
use served::Served;

use super::Scratch;

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Read,
    Write,
    Fsync,
    Close,
}

/// What a disk makes of a page that it says it has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// what was there before stays
    Lost,
    /// it goes to another place, so many bytes on
    Misdirected(i64),
    /// its second half is lost
    Torn,
    /// one bit is another
    Flipped,
}

/// One fault, of every file of the disk.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This errno for what touches a byte of the range; an fsync or close touches all.
    Errno(On, Range<u64>, i32),
    /// This errno for the nth one, counted from 1, over all files; as a disk tells of what it has lost,
    /// once.
    Nth(On, u32, i32),
    /// No more than so many bytes at a time.
    Short(On, usize),
    /// Each one takes this long.
    Slow(On, Duration),
    /// They take these times in turn, from the first again after the last.
    Varied(On, Arc<[Duration]>),
    /// The page that begins with `stamp` is written, as the disk says, and this becomes of it.
    Lie { lie: Lie, stamp: [u8; 8] },
    /// The pages at these offsets are written, as the disk says, and this becomes of each once it has been
    /// written so many times before.
    LiesAt(BTreeMap<u64, (Lie, u32)>),
    /// Once byte `when_read` of the file is asked for, its length becomes `to`: cut, or continued
    /// with 0x47 ('G').
    Resize { when_read: u64, to: u64 },
}

impl Fault {
    fn lies_at(&mut self) -> Option<&mut BTreeMap<u64, (Lie, u32)>> {
        match self {
            Fault::LiesAt(lies) => Some(lies),
            _ => None,
        }
    }

    fn lie(&self) -> Option<(Lie, [u8; 8])> {
        match self {
            Fault::Lie { lie, stamp } => Some((*lie, *stamp)),
            _ => None,
        }
    }
}

/// A read or write as the disk had it.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub arrived: Instant,
    /// just before its answer went out
    pub answered: Instant,
}

/// A disk with faults, unmounted on Drop.
pub struct FaultyDisk {
    _session: BackgroundSession,
    scratch: Scratch,
    state: Arc<Mutex<State>>,
}

impl FaultyDisk {
    /// An empty disk with these faults.
    pub fn new(faults: impl Into<Vec<Fault>>) -> FaultyDisk {
        FaultyDisk::served_by(4, faults)
    }

    /// The same, with as many threads as may be in flight without waiting for each other.
    pub fn served_by(threads: usize, faults: impl Into<Vec<Fault>>) -> FaultyDisk {
        let state = Arc::new(Mutex::new(State { faults: faults.into(), ..State::default() }));
        let scratch = Scratch::new();
        let mount_point = scratch.path("faulty");
        std::fs::create_dir(&mount_point).unwrap();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("highwater-test".into())];
        config.n_threads = Some(threads);
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

    /// The reads and writes since this was asked last, in the order of their answers.
    pub fn take_log(&self) -> Vec<Transfer> {
        self.lock().log.replace(vec![]).unwrap_or_default()
    }

    /// Other faults, from now on.
    pub fn set_faults(&self, faults: impl Into<Vec<Fault>>) {
        self.lock().faults = faults.into();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        // The session would try once and leave it mounted, its server gone.
        super::disk::unmount(&self.dir());
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
    /// how many have taken one of the times in turn
    varied: usize,
    /// the reads and writes, where they are kept
    log: Option<Vec<Transfer>>,
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
    fn strike(&mut self, on: On, offset: u64, len: usize) -> (Duration, Result<usize, Errno>) {
        let (mut time, mut result) = (Duration::ZERO, Ok(len));
        for fault in &mut self.faults {
            match fault {
                Fault::Nth(what, left, errno) if *what == on && *left > 0 => {
                    *left -= 1;
                    if *left == 0 {
                        result = Err(Errno::from_i32(*errno));
                    }
                }
                Fault::Slow(what, slow) if *what == on => time += *slow,
                Fault::Varied(what, times) if *what == on => {
                    time += times[self.varied % times.len()];
                    self.varied += 1;
                }
                Fault::Short(what, most) if *what == on => result = result.map(|len| len.min(*most)),
                Fault::Errno(what, range, errno) if *what == on => {
                    // What stands before a bad range is done, as a disk does it: short.
                    let hit = range.start < offset + len as u64 && offset < range.end;
                    if matches!(on, On::Fsync | On::Close) || hit && range.start <= offset {
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

    /// Stores what is written, as far as the disk is honest.
    fn store(&mut self, ino: INodeNo, offset: u64, data: &[u8]) -> Option<()> {
        const PAGE: usize = 4096;
        let lies: Vec<(Lie, [u8; 8])> = self.faults.iter().filter_map(Fault::lie).collect();
        let mut lies_at: Vec<&mut BTreeMap<u64, (Lie, u32)>> =
            self.faults.iter_mut().filter_map(Fault::lies_at).collect();
        let file = self.files.get_mut(&ino.0)?;
        let mut put = |at: u64, bytes: &[u8]| {
            let range = at as usize..at as usize + bytes.len();
            file.data.resize(file.data.len().max(range.end), 0);
            file.data[range].copy_from_slice(bytes);
        };
        if lies.is_empty() && lies_at.is_empty() {
            put(offset, data);
            return Some(());
        }
        put(offset + data.len() as u64, &[]);
        for (nth, page) in data.chunks(PAGE).enumerate() {
            let at = offset + (nth * PAGE) as u64;
            let stamped = lies.iter().find(|(_, stamp)| page.starts_with(stamp)).map(|(lie, _)| *lie);
            let placed = lies_at.iter_mut().find_map(|lies| match lies.get_mut(&at)? {
                (lie, 0) => Some(*lie),
                (_, before) => {
                    *before -= 1;
                    None
                }
            });
            match stamped.or(placed) {
                None => put(at, page),
                Some(Lie::Lost) => {}
                Some(Lie::Misdirected(by)) => put(at.strict_add_signed(by), page),
                Some(Lie::Torn) => put(at, &page[..page.len() / 2]),
                Some(Lie::Flipped) => {
                    let mut page = page.to_vec();
                    page[100] ^= 0x10;
                    put(at, &page);
                }
            }
        }
        Some(())
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
