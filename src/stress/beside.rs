//! What goes on beside the writing, on a thread of its own: syncs from time to time, each followed by a state
//! that promises what it made durable, and looks at this process's memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::post;
use crate::error::{Cause, Error, Op, errno_of};
use crate::latency::Kind as Latency;

use super::keeper::Keeper;
use super::memory::Looks;
use super::run::Run;

/// What the thread beside knows of the round.
pub(super) struct Beside<'r, 'k> {
    run: &'r Run<'r>,
    keeper: Mutex<&'k mut Keeper>,
    generation: AtomicU64,
    /// bytes of the round that are with the target, from the start on
    reached: AtomicU64,
}

impl<'r, 'k> Beside<'r, 'k> {
    /// Before the first round.
    pub fn new(run: &'r Run<'r>, keeper: &'k mut Keeper) -> Beside<'r, 'k> {
        Beside { run, keeper: Mutex::new(keeper), generation: AtomicU64::new(0), reached: AtomicU64::new(0) }
    }

    /// Does `work`, and syncs and looks meanwhile.
    pub fn during(&self, work: impl FnOnce()) -> Looks {
        let (stop, stopped) = channel();
        thread::scope(|scope| {
            let syncer = thread::Builder::new().name("sync".into());
            match syncer.spawn_scoped(scope, move || self.look_after(&stopped)) {
                Ok(syncer) => {
                    work();
                    drop(stop);
                    syncer.join().unwrap_or_default()
                }
                Err(error) => {
                    self.run.fail(Error::new(Op::Setup, "a thread", Cause::Errno(errno_of(&error))));
                    Looks::default()
                }
            }
        })
    }

    /// All before it is with the target, in bytes.
    pub fn has_come_to(&self, reached: u64) {
        self.reached.store(reached, Ordering::Release);
    }

    /// The state says that this round has begun, before anything of it is written.
    pub fn begin_round(&self, generation: u64) -> Result<(), Error> {
        self.keeper().save(|state| {
            (state.generation, state.synced, state.is_complete) = (generation, 0, false);
        })?;
        self.has_come_to(0);
        self.generation.store(generation, Ordering::Release);
        Ok(())
    }

    /// fsync(2) of the target.
    pub fn sync(&self) -> Result<(), Error> {
        let started = self.run.ledger.now();
        let synced = post::during(Op::Sync, || self.run.target.sync());
        self.run.ledger.record(Latency::Sync, started);
        synced.map_err(|errno| Error::new(Op::Sync, &self.run.target.path, Cause::Errno(errno as i32)))
    }

    /// The state says that so much of the round is durable, and whether nothing else of it was written.
    pub fn promise(&self, synced: u64, is_complete: bool) -> Result<(), Error> {
        self.keeper().save(|state| (state.synced, state.is_complete) = (synced, is_complete))
    }

    /// What has come to the target is made durable, and the state says so, unless another round has begun
    /// meanwhile.
    fn sync_and_promise(&self) -> Result<(), Error> {
        let (generation, reached) =
            (self.generation.load(Ordering::Acquire), self.reached.load(Ordering::Acquire));
        self.sync()?;
        let mut keeper = self.keeper();
        match keeper.state.generation == generation && keeper.state.synced < reached {
            true => keeper.save(|state| state.synced = reached),
            false => Ok(()),
        }
    }

    fn keeper(&self) -> MutexGuard<'_, &'k mut Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's life.
    fn look_after(&self, stopped: &Receiver<()>) -> Looks {
        self.run.ledger.meter().open_post();
        let path = self.run.target.path.clone();
        post::be_about(Arc::new((path.clone(), path)));
        let every = self.run.job.sync_every;
        let start = Instant::now();
        let (mut synced, mut looks) = (start, Looks::default());
        while stopped.recv_timeout(every.min(Duration::from_secs(1))) == Err(RecvTimeoutError::Timeout) {
            looks.look(start.elapsed());
            if synced.elapsed() >= every {
                if let Err(error) = self.sync_and_promise() {
                    self.run.fail(error);
                    break;
                }
                synced = Instant::now();
            }
        }
        looks
    }
}
