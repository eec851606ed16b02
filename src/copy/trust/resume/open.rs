//! Finding the journal, or beginning one; whether it is of this copy, and of nobody else.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf, absolute};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Condvar, Mutex};

use nix::errno::Errno;

use crate::digest::UNIT_BYTES;
use crate::error::{Cause, Error, Op, errno_of};
use crate::journal::{Header, Interval, Log, Reader, Unfit};
use crate::sys;
use crate::sys::stat::{Id, Kind, Stat};

use super::past::Past;
use super::{Resume, State};
use crate::copy::job::Job;
use crate::copy::names::same::{last_component, parent_of};
use crate::copy::options::{OnError, Options};
use crate::copy::paths::Name;

impl Resume {
    /// Opens the journal of a job, or begins it, durably, before anything in the target is touched.
    /// `is_directory` tells whether TARGET is one to copy into, as far as that is not recorded.
    pub fn open(job: &Job, is_directory: impl FnOnce() -> Result<bool, Error>) -> Result<Resume, Error> {
        let Name::Path(target) = &job.target else { unreachable!("a stream is not resumed") };
        let there = sys::stat::at(sys::at::WORKING_DIRECTORY, target.as_os_str(), true).ok();
        let path = match &job.options.journal {
            Some(path) => path.clone(),
            None if there.is_some_and(|stat| stat.kind == Kind::Block) => {
                return Err(Error::new(Op::Journal, target, Cause::JournalNeeded));
            }
            None => beside(target)?,
        };
        let failed = |error: io::Error| Error::new(Op::Journal, &path, Cause::Errno(errno_of(&error)));
        let mut header = header(job, target, there.as_ref()).map_err(failed)?;
        let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(&path);
        let journal = match opened {
            Ok(journal) => journal,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                header.target_is_directory = is_directory()?;
                return Resume::begin(path, header);
            }
            Err(error) => return Err(failed(error)),
        };
        lock(&journal, &path)?;
        Resume::go_on(path, journal, header, there.as_ref())
    }

    fn begin(path: PathBuf, header: Header) -> Result<Resume, Error> {
        let failed = |error: io::Error| Error::new(Op::Journal, &path, Cause::Errno(errno_of(&error)));
        let too_long = || Error::new(Op::Journal, &path, Cause::Errno(libc::E2BIG));
        let mut nonce = [0; 16];
        File::open("/dev/urandom")
            .and_then(|mut file| io::Read::read_exact(&mut file, &mut nonce))
            .map_err(failed)?;
        let (log, first) = Log::begin(&header, nonce, Interval::default()).ok_or_else(too_long)?;
        let journal = create(&path, &first)?;
        Ok(Resume::with(path, journal, header, None, log))
    }

    fn go_on(path: PathBuf, journal: File, now: Header, there: Option<&Stat>) -> Result<Resume, Error> {
        let refused = |cause| Error::new(Op::Journal, &path, cause);
        let failed = |error: io::Error| refused(Cause::Errno(errno_of(&error)));
        let unfit = |unfit| {
            refused(match unfit {
                Unfit::Foreign => Cause::JournalForeign,
                Unfit::Version(version) => Cause::JournalVersion(version),
                Unfit::CutShort => Cause::JournalCut,
                Unfit::Damaged(at) => Cause::JournalDamaged(at),
            })
        };
        if !journal.metadata().map_err(failed)?.is_file() {
            return Err(refused(Cause::JournalForeign));
        }
        let opened = Reader::open(|offset, buffer| journal.read_at(buffer, offset)).map_err(failed)?;
        let (header, mut reader) = opened.map_err(unfit)?;
        if (&header.target, &header.sources) != (&now.target, &now.sources) {
            let other = PathBuf::from(OsStr::from_bytes(&header.target));
            return Err(refused(Cause::JournalOfOther).with(other));
        }
        if header.options != now.options || header.unit_bytes != now.unit_bytes {
            return Err(refused(Cause::JournalOptions));
        }
        let same = (header.target_inode, header.target_bytes) == (now.target_inode, now.target_bytes);
        if header.target_existed && (there.is_none() || !same) {
            let target = PathBuf::from(OsStr::from_bytes(&now.target));
            return Err(Error::new(Op::Journal, target, Cause::TargetOther).with(&path));
        }
        let reading = journal.try_clone().map_err(failed)?;
        let past = Past::read(reading, &mut reader, &directory_of(&path)).map_err(failed)?;
        let past = past.map_err(|at| unfit(Unfit::Damaged(at)))?;
        let log = Log::resume(&header, &reader, Interval::default());
        // What is torn goes, and is gone before anything is appended.
        journal.set_len(past.bytes).and_then(|()| journal.sync_all()).map_err(failed)?;
        Ok(Resume::with(path, journal, header, Some(past), log))
    }

    fn with(path: PathBuf, journal: File, header: Header, past: Option<Past>, log: Log) -> Resume {
        let id = sys::stat::of(journal.as_fd()).ok().map(|stat| stat.id());
        Resume {
            path,
            id,
            journal,
            header,
            past,
            state: Mutex::new(State { log, places: HashMap::new() }),
            changed: Condvar::new(),
            stops: AtomicBool::new(false),
            believed_bytes: AtomicU64::new(0),
            believed_files: AtomicU64::new(0),
        }
    }

    /// Whether this is the journal itself, which is not to be copied.
    pub fn is_journal(&self, id: Id) -> bool {
        self.id == Some(id)
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The copy is whole, and durable as it was asked to be.
    pub fn spent(&self) -> SpentJournal {
        SpentJournal { path: self.path.clone() }
    }
}

/// The journal of a copy that is whole. It is the last thing to go: who is killed before that can run the
/// same command again, and it means what it meant; after it, that would be another copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentJournal {
    path: PathBuf,
}

impl SpentJournal {
    /// Removes it.
    pub fn remove(self) -> Result<(), Error> {
        std::fs::remove_file(&self.path)
            .map_err(|error| Error::new(Op::Remove, &self.path, Cause::Errno(errno_of(&error))))
    }
}

/// `.NAME.highwater-journal` in the directory that holds TARGET.
fn beside(target: &Path) -> Result<PathBuf, Error> {
    let target =
        named(target).map_err(|error| Error::new(Op::Target, target, Cause::Errno(errno_of(&error))))?;
    if !is_named(&target) {
        return Err(Error::new(Op::Journal, target, Cause::JournalNeeded));
    }
    let mut name = OsString::from(".");
    name.push(last_component(target.as_os_str()));
    name.push(".highwater-journal");
    Ok(Path::new(parent_of(target.as_os_str())).join(name))
}

/// TARGET by a path that ends in its name; `/` has none.
fn named(target: &Path) -> io::Result<PathBuf> {
    if is_named(target) { Ok(target.to_owned()) } else { std::fs::canonicalize(target) }
}

fn is_named(path: &Path) -> bool {
    !matches!(last_component(path.as_os_str()).as_bytes(), b"" | b"." | b"..")
}

fn directory_of(path: &Path) -> PathBuf {
    parent_of(path.as_os_str()).into()
}

/// What this command is about.
fn header(job: &Job, target: &Path, there: Option<&Stat>) -> io::Result<Header> {
    let bytes = |path: &Path| absolute(path).map(|path| path.into_os_string().into_encoded_bytes());
    let sources = job.sources.iter().map(|source| match source {
        Name::Path(path) => bytes(path),
        Name::Standard => unreachable!("a stream is not resumed"),
    });
    let is_device = there.is_some_and(|stat| stat.kind == Kind::Block);
    let target_bytes = match is_device {
        true => File::open(target).and_then(|file| Ok(sys::device::size_bytes(file.as_fd())?))?,
        false => 0,
    };
    Ok(Header {
        unit_bytes: UNIT_BYTES as u32,
        options: *blake3::hash(meaning(&job.options).as_bytes()).as_bytes(),
        target_existed: there.is_some(),
        target_is_directory: false,
        // A file may have been replaced by the copy itself.
        target_inode: there.filter(|stat| stat.kind == Kind::Directory).map_or(0, |stat| stat.inode),
        target_bytes,
        // Beside it the journal is found by its name, wherever both are mounted now.
        target: match &job.options.journal {
            Some(_) => bytes(target)?,
            None => last_component(named(target)?.as_os_str()).as_encoded_bytes().to_vec(),
        },
        sources: sources.collect::<io::Result<_>>()?,
    })
}

/// All that the options say of the result, in some words: not what they say of the way there.
fn meaning(options: &Options) -> String {
    let mut options = options.clone();
    (options.verbose, options.explain, options.journal) = (false, false, None);
    (options.direct, options.offload, options.sync) = Default::default();
    options.on_error = OnError::default();
    format!("{options:?}")
}

/// A new journal with its first bytes. It has its name once it is whole and durable.
fn create(path: &Path, first: &[u8]) -> Result<File, Error> {
    let failed = |error: io::Error| Error::new(Op::Journal, path, Cause::Errno(errno_of(&error)));
    let fill = |file: File| -> io::Result<File> {
        file.write_all_at(first, 0)?;
        file.sync_all()?;
        Ok(file)
    };
    let (cwd, directory) = (sys::at::WORKING_DIRECTORY, directory_of(path));
    let journal = match sys::temporary::unnamed(cwd, directory.as_os_str(), 0o600) {
        Ok(file) => {
            let journal = fill(file.into()).map_err(failed)?;
            lock(&journal, path)?;
            sys::temporary::name(journal.as_fd(), cwd, path.as_os_str()).map_err(|errno| match errno {
                // Somebody was faster.
                Errno::EEXIST => Error::new(Op::Journal, path, Cause::JournalInUse),
                errno => failed(errno.into()),
            })?;
            journal
        }
        Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => {
            let options = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
            let journal = options.map_err(failed)?;
            lock(&journal, path)?;
            fill(journal).map_err(failed)?
        }
        Err(errno) => return Err(failed(errno.into())),
    };
    let opened: OwnedFd =
        sys::at::open_directory(cwd, directory.as_os_str(), true).map_err(|errno| failed(errno.into()))?;
    match nix::unistd::fsync(&opened) {
        Ok(()) | Err(Errno::EINVAL) => Ok(journal),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// Held until the process ends, however it does.
fn lock(journal: &File, path: &Path) -> Result<(), Error> {
    match sys::lock::try_exclusive(journal.as_fd()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(Op::Journal, path, Cause::JournalInUse)),
        // Where there are no locks nobody can be kept out.
        Err(Errno::ENOLCK | Errno::EOPNOTSUPP) => Ok(()),
        Err(errno) => Err(Error::new(Op::Journal, path, Cause::Errno(errno as i32))),
    }
}
