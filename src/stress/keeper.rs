//! The state of a run where it outlasts a crash.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Cause, Error, Op, StateFault, errno_of};
use crate::sys;

use super::state::{PLACE_BYTES, State, Unfit};

const FILE_BYTES: usize = 2 * PLACE_BYTES;

/// Writes the state, each time durably.
pub(super) struct Keeper {
    file: File,
    path: PathBuf,
    pub state: State,
}

impl Keeper {
    /// A new file with this state; in the place of another run's only where `may_replace`, and never in
    /// the place of anything else.
    pub fn create(path: &Path, state: State, may_replace: bool) -> Result<Keeper, Error> {
        let failed = |error| Error::new(Op::State, path, Cause::Errno(errno_of(&error)));
        let fault = |fault| Error::new(Op::State, path, Cause::State(fault));
        let open = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
            .mode(0o600)
            .open(path);
        let mut file = open.map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(fault(StateFault::Foreign));
        }
        if sys::lock::try_exclusive(file.as_fd()) == Ok(false) {
            return Err(fault(StateFault::InUse));
        }
        let before = read_from(&mut file).map_err(failed)?;
        match State::read(&before) {
            _ if before.is_empty() => {}
            Err(Unfit::Foreign) => return Err(fault(StateFault::Foreign)),
            _ if !may_replace => return Err(fault(StateFault::Exists)),
            _ => {}
        }
        let mut both = vec![0; FILE_BYTES];
        both[state.place() as usize..][..PLACE_BYTES].copy_from_slice(&state.bytes());
        let written = file
            .set_len(0)
            .and_then(|()| file.write_all_at(&both, 0))
            .and_then(|()| file.sync_all())
            .and_then(|()| File::open(directory_of(path))?.sync_all());
        match written {
            Ok(()) => Ok(Keeper { file, path: path.into(), state }),
            Err(error) => {
                if before.is_empty() {
                    let _ = std::fs::remove_file(path);
                }
                Err(failed(error))
            }
        }
    }

    /// What an earlier run has left.
    pub fn read(path: &Path) -> Result<State, Error> {
        let failed = |error| Error::new(Op::State, path, Cause::Errno(errno_of(&error)));
        let open = File::options().read(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(path);
        let bytes = open.and_then(|mut file| read_from(&mut file)).map_err(failed)?;
        State::read(&bytes).map_err(|unfit| {
            let fault = match unfit {
                Unfit::Foreign => StateFault::Foreign,
                Unfit::Version(version) => StateFault::Version(version),
                Unfit::Damaged => StateFault::Damaged,
            };
            Error::new(Op::State, path, Cause::State(fault))
        })
    }

    /// Changes the state. What it says of the target is to be durable there already.
    pub fn save(&mut self, change: impl FnOnce(&mut State)) -> Result<(), Error> {
        let mut next = self.state.clone();
        next.number += 1;
        change(&mut next);
        let written = self.file.write_all_at(&next.bytes(), next.place());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|error| Error::new(Op::State, &self.path, Cause::Errno(errno_of(&error))))?;
        self.state = next;
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// There is nothing left that it tells of.
    pub fn remove(self) -> Result<(), Error> {
        std::fs::remove_file(&self.path)
            .map_err(|error| Error::new(Op::Remove, &self.path, Cause::Errno(errno_of(&error))))
    }
}

fn read_from(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file.take(FILE_BYTES as u64).read_to_end(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(b"no file".to_vec()),
        read => read.map(|_| bytes),
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
