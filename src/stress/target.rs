//! What is written to: a file that is made for this, a file that was there, a device.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::engine::{Direct, Edge, Origin, Simulated, Simulator, post};
use crate::error::{Cause, Error, Op};
use crate::flow::Side;
use crate::scratch::{Access, Ground, Wanted};
use crate::sys;
use crate::sys::stat::{Kind, Stat};

use super::job::Job;
use super::pattern::BLOCK_BYTES;

/// What a file in a directory is called: this, and the run in sixteen hexadecimal digits.
const PREFIX: &str = "highwater-stress-";
/// Of what is free, at least so many bytes stay free where no size was typed; or half of it, where that
/// is less.
const RESERVE_BYTES: u64 = 64 << 20;
/// And this part of it.
const RESERVE_PART: u64 = 20;

/// Open.
pub(super) struct Target {
    pub file: Arc<OwnedFd>,
    pub stat: Stat,
    /// of the file or device itself
    pub path: PathBuf,
    /// bytes of it that are used, whole blocks
    pub size: u64,
    /// it was not there before
    pub is_made: bool,
    /// more is free there than a file can hold
    pub is_longest: bool,
    /// a device that does not exist stands before it
    simulated: Option<Arc<Simulated>>,
}

impl Target {
    /// Opens it for writing, or makes it, with space allocated where the file system can. Nothing of it is
    /// written to.
    pub fn open(job: &Job, run: u64) -> Result<Target, Error> {
        let found = sys::stat::at(sys::at::WORKING_DIRECTORY, job.target.as_os_str(), true);
        match found.map(|stat| stat.kind) {
            Err(Errno::ENOENT) => Target::make(&job.target, job),
            Ok(Kind::Directory) => Target::make(&job.target.join(format!("{PREFIX}{run:016x}")), job),
            _ => {
                let wanted = Wanted {
                    access: Access::Write,
                    destroy_data: job.destroy_data,
                    size_bytes: job.size_bytes,
                    scratch_bytes: 0,
                };
                let Ground { file, stat, size_bytes, path, .. } = Ground::open(&job.target, &wanted)?;
                let size = whole_blocks(size_bytes);
                if size == 0 {
                    let cause = Cause::Beyond { wanted: BLOCK_BYTES as u64, length: size_bytes };
                    return Err(Error::new(Op::Open, path, cause));
                }
                Ok(Target {
                    file: Arc::new(file),
                    stat,
                    path,
                    size,
                    is_made: false,
                    is_longest: false,
                    simulated: simulated(job),
                })
            }
        }
    }

    /// Opens what an earlier run wrote, for reading.
    pub fn open_to_check(job: &Job, written: &Path, needed: u64) -> Result<Target, Error> {
        let errno = |op, errno| Error::new(op, &job.target, Cause::Errno(errno as i32));
        let found = sys::stat::at(sys::at::WORKING_DIRECTORY, job.target.as_os_str(), true);
        let path = match found.map_err(|failed| errno(Op::Stat, failed))?.kind {
            // The file has its name from the run; where the directory is now is another matter.
            Kind::Directory => job.target.join(written.file_name().unwrap_or_default()),
            _ => job.target.clone(),
        };
        let errno = |op, errno| Error::new(op, &path, Cause::Errno(errno as i32));
        let file = sys::at::open(sys::at::WORKING_DIRECTORY, path.as_os_str(), OFlag::O_RDONLY, 0);
        let file = file.map_err(|failed| errno(Op::Open, failed))?;
        let stat = sys::stat::of(file.as_fd()).map_err(|failed| errno(Op::Stat, failed))?;
        let size = match stat.kind {
            Kind::Block => sys::device::size_bytes(file.as_fd()).map_err(|failed| errno(Op::Stat, failed))?,
            Kind::Regular => stat.size,
            _ => return Err(Error::new(Op::Open, path, Cause::NoGround)),
        };
        if size < needed {
            return Err(Error::new(Op::Verify, path, Cause::OtherLength { is: size, expected: needed }));
        }
        Ok(Target {
            file: Arc::new(file),
            stat,
            path,
            size: needed,
            is_made: false,
            is_longest: false,
            simulated: simulated(job),
        })
    }

    fn make(path: &Path, job: &Job) -> Result<Target, Error> {
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |errno: Errno| Error::new(Op::MakeScratch, directory, Cause::Errno(errno as i32));
        let sized = |errno| Error { length: job.size_bytes, ..failed(errno) };
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
        let file = sys::at::open(sys::at::WORKING_DIRECTORY, path.as_os_str(), flags, 0o600);
        let file = file.map_err(failed)?;
        let allocate = || {
            let free = sys::space::free_bytes(file.as_fd()).map_err(sized)?;
            let longest = sys::space::longest(file.as_fd()).map_err(sized)?;
            let wanted = job.size_bytes.or(free.map(most_of)).ok_or_else(|| sized(Errno::ENOSPC))?;
            // Where nothing is counted it shows while it is written.
            if free.is_some_and(|free| wanted > free) {
                return Err(sized(Errno::ENOSPC));
            }
            if job.size_bytes.is_some() && wanted > longest {
                return Err(Error::new(Op::MakeScratch, directory, Cause::BeyondFile { wanted, longest }));
            }
            let size = whole_blocks(wanted.min(longest));
            if size == 0 {
                return Err(sized(Errno::ENOSPC));
            }
            allocate(&file, size).map_err(sized)?;
            sync_directory(directory).map_err(sized)?;
            let stat = sys::stat::of(file.as_fd()).map_err(sized)?;
            Ok((size, wanted > longest, stat))
        };
        match allocate() {
            Ok((size, is_longest, stat)) => Ok(Target {
                file: Arc::new(file),
                stat,
                path: path.into(),
                size,
                is_made: true,
                is_longest,
                simulated: simulated(job),
            }),
            Err(error) => {
                // Nothing was written to it; what can't be removed says nothing more.
                let _ = sys::at::remove_file(sys::at::WORKING_DIRECTORY, path.as_os_str());
                Err(error)
            }
        }
    }

    /// An edge to write it by, and how.
    pub fn to_write(&self, direct: Direct) -> Result<(Edge, Side), Error> {
        let mut edge = Edge::of_file(self.reopen(OFlag::O_WRONLY)?);
        edge.look_at_file_system();
        edge.simulated.clone_from(&self.simulated);
        let align = match direct {
            Direct::Never => None,
            Direct::Auto | Direct::Always => edge.open_direct(&self.stat, OFlag::O_WRONLY),
        };
        if direct == Direct::Always && align.is_none() {
            return Err(Error::new(Op::Open, &self.path, Cause::NoDirect));
        }
        Ok((edge, Side { align: align.unwrap_or(1), ..Side::SEEKABLE }))
    }

    /// An edge to read it back by, from its device, and how.
    pub fn to_read(&self) -> Result<(Edge, Side, Origin), Error> {
        let mut edge = Edge::of_file(self.reopen(OFlag::O_RDONLY)?);
        edge.look_at_file_system();
        edge.simulated.clone_from(&self.simulated);
        let set_up = post::during(Op::Sync, || edge.set_up_reading_back(&self.stat));
        let (side, origin) =
            set_up.map_err(|errno| Error::new(Op::Sync, &self.path, Cause::Errno(errno as i32)))?;
        Ok((edge, side, origin))
    }

    fn reopen(&self, access: OFlag) -> Result<OwnedFd, Error> {
        sys::temporary::reopen(self.file.as_fd(), access)
            .map_err(|errno| Error::new(Op::Open, &self.path, Cause::Errno(errno as i32)))
    }

    /// fsync(2).
    pub fn sync(&self) -> Result<(), Errno> {
        Simulated::sync(self.simulated.as_deref(), || nix::unistd::fsync(&self.file))
    }

    /// Removes it, where it was made and its name is still its own.
    pub fn remove(&self) -> Result<(), Error> {
        let named = sys::stat::at(sys::at::WORKING_DIRECTORY, self.path.as_os_str(), false);
        if !self.is_made || !named.is_ok_and(|named| named.id() == self.stat.id()) {
            return Ok(());
        }
        sys::at::remove_file(sys::at::WORKING_DIRECTORY, self.path.as_os_str())
            .map_err(|errno| Error::new(Op::Remove, &self.path, Cause::Errno(errno as i32)))
    }
}

/// What of so many free bytes is used where nobody says.
fn most_of(free: u64) -> u64 {
    free - (free / RESERVE_PART).max(RESERVE_BYTES).min(free / 2)
}

/// Gives a new file its size, with space for all of it where the file system can.
fn allocate(file: &OwnedFd, size: u64) -> Result<(), Errno> {
    match sys::space::preallocate(file.as_fd(), 0, size) {
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
        Err(errno) => return Err(errno),
    }
    sys::space::set_size(file.as_fd(), size)
}

/// So that the name of what was made outlasts a crash. EINVAL says that this file system has nothing to do
/// for that.
fn sync_directory(directory: &Path) -> Result<(), Errno> {
    let opened = sys::at::open_directory(sys::at::WORKING_DIRECTORY, directory.as_os_str(), true)?;
    match nix::unistd::fsync(&opened) {
        Err(Errno::EINVAL) => Ok(()),
        synced => synced,
    }
}

fn simulated(job: &Job) -> Option<Arc<Simulated>> {
    // Its name tells files of one device apart, and there is one.
    job.simulated.clone().map(|device| Simulator::new(device).file(b"stress"))
}

fn whole_blocks(bytes: u64) -> u64 {
    bytes - bytes % BLOCK_BYTES as u64
}

/// Where the state of a run to `target` is, unless another place was named. None for a device, beside
/// which nothing outlasts a reboot.
pub(super) fn state_beside(target: &Path) -> Option<PathBuf> {
    let found = sys::stat::at(sys::at::WORKING_DIRECTORY, target.as_os_str(), true);
    if found.is_ok_and(|stat| stat.kind == Kind::Block) {
        return None;
    }
    // Without a slash at the end, and where there is no name, with what it stands for.
    let target = match target.file_name() {
        Some(_) => target.components().as_path().to_owned(),
        None => target.canonicalize().ok()?,
    };
    let mut path = OsString::from(target.file_name().map(|_| target.as_os_str())?);
    path.push(".highwater-state");
    Some(path.into())
}
