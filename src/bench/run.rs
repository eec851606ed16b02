//! The ground of a bench, laid out where it is new, and loads on it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;

use crate::engine::load::{self, Outcome, Setup};
use crate::engine::{Direct, News, Simulated, Simulator, open_direct};
use crate::error::{Cause, Error, Op, errno_of};
use crate::flow::load::{Arrival, Plan};
use crate::latency::Interval;
use crate::scratch::{Ground, Origin};
use crate::sys;
use crate::sys::cancel::Cancel;

use super::options::Options;

/// Hears of a bench while it lasts.
pub trait Witness: load::Witness {
    /// A new scratch file of so many bytes is written once, so that reads reach the disk and writes
    /// overwrite.
    fn laying_out(&mut self, size_bytes: u64);
}

/// What a bench found where it measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// what the ground is
    pub origin: Origin,
    /// so many bytes of it are used
    pub size_bytes: u64,
    /// around the page cache
    pub direct: bool,
}

/// A bench that is ready for loads.
pub struct Bench {
    options: Options,
    ground: Ground,
    /// what operations go to
    file: Arc<OwnedFd>,
    direct: bool,
}

/// For a layout: so many bytes at a time, so many times at once.
const LAYOUT_BYTES: u64 = 1 << 20;
const LAYOUT_DEPTH: u16 = 8;

/// A layout that takes longer has no stalls to tell of, it is slow.
const NO_END: Duration = Duration::from_secs(365 * 86_400);

impl Bench {
    /// Opens the target, or makes a scratch file there and lays it out. None where `cancel` was raised
    /// meanwhile.
    ///
    /// # Errors
    /// Those of [`Ground::open`]; [`Cause::NoDirect`]; what fails while the file is laid out.
    pub fn open(
        target: &Path,
        options: Options,
        witness: &mut dyn Witness,
        cancel: &Cancel,
    ) -> Result<Option<Bench>, Error> {
        let ground = Ground::open(target, &options.ground())?;
        let block_bytes = u64::from(options.size.block_bytes);
        if ground.size_bytes < block_bytes {
            let (wanted, length) = (block_bytes, ground.size_bytes);
            return Err(Error::new(Op::Open, target, Cause::Beyond { wanted, length }));
        }
        let (file, direct) = Bench::file(&ground, &options)?;
        let bench = Bench { options, ground, file, direct };
        if bench.ground.origin == Origin::Scratch {
            witness.laying_out(bench.ground.size_bytes);
            if !bench.lay_out(witness, cancel)? {
                return bench.close().map(|()| None);
            }
        }
        Ok(Some(bench))
    }

    /// The descriptor that operations go to, and whether that is around the page cache.
    fn file(ground: &Ground, options: &Options) -> Result<(Arc<OwnedFd>, bool), Error> {
        let access = if options.workload.writes() || ground.origin == Origin::Scratch {
            OFlag::O_RDWR
        } else {
            OFlag::O_RDONLY
        };
        let twin = match options.direct {
            Direct::Never => None,
            Direct::Auto | Direct::Always => open_direct(ground.file.as_fd(), &ground.stat, access),
        };
        let fits = |align: u32| options.size.block_bytes.is_multiple_of(align);
        match twin {
            Some((twin, align)) if fits(align) => Ok((Arc::new(twin), true)),
            _ if options.direct == Direct::Always => Err(Error::new(Op::Open, &ground.path, Cause::NoDirect)),
            _ => {
                let same = ground.file.try_clone();
                let failed = |error| Error::new(Op::Open, &ground.path, Cause::Errno(errno_of(&error)));
                Ok((Arc::new(same.map_err(failed)?), false))
            }
        }
    }

    /// Writes the whole ground once and makes that durable; false where it was stopped.
    fn lay_out(&self, witness: &mut dyn Witness, cancel: &Cancel) -> Result<bool, Error> {
        let size = self.ground.size_bytes;
        let own = u64::from(self.options.size.block_bytes);
        let fits = size.is_multiple_of(LAYOUT_BYTES) && LAYOUT_BYTES >= own;
        let block = if fits { LAYOUT_BYTES } else { own };
        let plan = Plan {
            read_percent: 0,
            random: false,
            block_bytes: block as u32,
            blocks: size / block,
            depth: LAYOUT_DEPTH,
            high_water_bytes: u64::MAX,
            low_water_bytes: None,
            limit_bytes_per_s: None,
            arrival: Arrival::Closed,
            length: NO_END,
            operations: size / block,
            sync_every: None,
            seed: !self.options.seed,
        };
        let outcome = self.carry_out(plan, LAYOUT_DEPTH, None, None, &mut Unheard(witness), cancel)?;
        if let Some(error) = outcome.errors.into_iter().next() {
            return Err(error);
        }
        if outcome.interrupted {
            return Ok(false);
        }
        let file = self.ground.file.as_fd();
        let failed = |errno| Error::new(Op::Sync, &self.ground.path, Cause::Errno(errno as i32));
        nix::unistd::fsync(file).map_err(failed)?;
        // Reads through the page cache begin with none of it there.
        let _ = sys::cache::evict(file);
        Ok(!cancel.is_raised())
    }

    /// Where it measures.
    pub fn seen(&self) -> Seen {
        Seen { origin: self.ground.origin, size_bytes: self.ground.size_bytes, direct: self.direct }
    }

    /// What it was told.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// One load, as the options say.
    ///
    /// # Errors
    /// Those of [`load::run`].
    pub fn measure(&self, witness: &mut dyn load::Witness, cancel: &Cancel) -> Result<Outcome, Error> {
        self.measure_as(self.plan(), self.options.interval, witness, cancel)
    }

    /// Another load on the same ground; a simulated device is new for each.
    pub(super) fn measure_as(
        &self,
        plan: Plan,
        interval: Option<Duration>,
        witness: &mut dyn load::Witness,
        cancel: &Cancel,
    ) -> Result<Outcome, Error> {
        let simulated = self.options.simulated.clone().map(|device| Simulator::new(device).file(b""));
        self.carry_out(plan, self.options.size.buffers, simulated, interval, witness, cancel)
    }

    pub(super) fn plan(&self) -> Plan {
        self.options.plan(self.ground.size_bytes)
    }

    fn carry_out(
        &self,
        plan: Plan,
        buffers: u16,
        simulated: Option<Arc<Simulated>>,
        interval: Option<Duration>,
        witness: &mut dyn load::Witness,
        cancel: &Cancel,
    ) -> Result<Outcome, Error> {
        let setup = Setup {
            plan,
            buffers,
            file: Arc::clone(&self.file),
            path: self.ground.path.clone(),
            simulated,
            choice: self.options.engine,
            interval,
            stall_limit: self.options.stall_limit,
            patience: self.options.patience,
        };
        load::run(setup, witness, cancel)
    }

    /// Closes the target, and removes the scratch file.
    ///
    /// # Errors
    /// Where that fails.
    pub fn close(self) -> Result<(), Error> {
        // What hangs may still hold it.
        drop(self.file);
        self.ground.close()
    }
}

/// Passes on what hangs, and no intervals.
struct Unheard<'a>(&'a mut dyn Witness);

impl load::Witness for Unheard<'_> {
    fn interval(&mut self, _: &Interval) {}

    fn news(&mut self, news: &News) {
        self.0.news(news);
    }
}
