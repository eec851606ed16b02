//! A simulated device in front of a real one: the real operation is done, and completes when the
//! simulated one says so; or it fails there and is not done at all.
//!
//! Knows the clock, and who shares the device. What it is like is `flow::simulate`'s business.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::flow::Transfer;
use crate::flow::simulate::{self, Device, Kind, Operation};
use crate::sys;

use super::settle::Way;

/// A simulated device, shared by all that work on it.
#[derive(Debug)]
pub struct Simulator {
    started: Instant,
    device: Mutex<Device>,
}

/// A file on a simulated device, or what else is written to or read from.
#[derive(Debug)]
pub struct Simulated {
    simulator: Arc<Simulator>,
    file: Mutex<simulate::File>,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// so many bytes are to be moved in truth; or it fails, and nothing is to be done
    pub outcome: Result<u32, i32>,
    /// it does not complete before
    pub due: Instant,
}

impl Simulator {
    /// A device, whose time begins now.
    pub fn new(device: Device) -> Arc<Simulator> {
        Arc::new(Simulator { started: Instant::now(), device: Mutex::new(device) })
    }

    /// Something on it; what fails depends on the key ([`Device::file`]).
    pub fn file(self: &Arc<Self>, key: &[u8]) -> Arc<Simulated> {
        let file = self.lock().file(key);
        Arc::new(Simulated { simulator: Arc::clone(self), file: Mutex::new(file) })
    }

    /// Makes all that is on it durable by `call`, or fails.
    pub fn sync(&self, call: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let now = self.started.elapsed();
        let service = self.lock().sync(None, now);
        self.service(service).sync(call)
    }

    fn lock(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn service(&self, simulate::Service { outcome, due }: simulate::Service) -> Service {
        // Farther away than clocks go it never comes.
        let due = self.started.checked_add(due).unwrap_or_else(|| self.started + FAR);
        Service { outcome, due }
    }
}

/// Longer than anybody waits.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Simulated {
    /// Begins an operation now.
    pub fn begin(&self, operation: Operation) -> Service {
        let now = self.simulator.started.elapsed();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let service = self.simulator.lock().begin(&mut file, operation, now);
        self.simulator.service(service)
    }

    /// Makes something durable by `call`, on a simulated device where there is one.
    pub fn sync(of: Option<&Simulated>, call: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        match of {
            Some(simulated) => simulated.begin_sync().sync(call),
            None => call(),
        }
    }

    /// Begins to make it durable now.
    pub fn begin_sync(&self) -> Service {
        let now = self.simulator.started.elapsed();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let service = self.simulator.lock().sync(Some(&mut file), now);
        self.simulator.service(service)
    }

    pub(super) fn begin_transfer(&self, way: Way, transfer: Transfer, base: u64) -> Service {
        let kind = match way {
            Way::Read => Kind::Read,
            Way::Write => Kind::Write,
        };
        let Transfer { offset, len, direct, .. } = transfer;
        self.begin(Operation { kind, offset: base + offset, len, whole_sectors: direct })
    }
}

impl Service {
    /// Waits until it may complete, as long as that takes: nothing stops a disk that is at it.
    pub fn wait(&self) {
        if self.due <= Instant::now() {
            return;
        }
        sys::sleep::precisely();
        std::thread::sleep(self.due.saturating_duration_since(Instant::now()));
    }

    fn sync(self, call: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let synced = match self.outcome {
            Ok(_) => call(),
            Err(errno) => Err(Errno::from_raw(errno)),
        };
        self.wait();
        synced
    }
}
