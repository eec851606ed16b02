//! The engines of one worker, set up when they are first needed, and what was used of them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::engine::{Choice, Engine};
use crate::error::Error;

use crate::copy::events::Warning;
use crate::copy::job::Method;
use crate::copy::work::run::Run;

/// Of one worker.
#[derive(Default)]
pub(in crate::copy) struct Engines {
    /// for files that are small or in the page cache: calls on the worker's thread
    calls: Option<Engine>,
    /// for all others
    ring: Option<Engine>,
    /// they are not in the report: others were there before them
    uncounted: bool,
}

impl Engines {
    /// Those of a worker that comes after the copy.
    pub fn uncounted() -> Engines {
        Engines { uncounted: true, ..Engines::default() }
    }

    /// One buffer, and no ring.
    pub fn calls(&mut self, run: &Run<'_>) -> Result<&Engine, Error> {
        if self.calls.is_none() {
            self.calls = Some(Engine::open(Choice::Plain, run.size.for_calls())?);
        }
        Ok(self.calls.as_ref().expect("it was just set up"))
    }

    /// The worker's ring, at least as large as a file of `length` bytes needs.
    pub fn ring(&mut self, run: &Run<'_>, length: Option<u64>) -> Result<&Engine, Error> {
        let size = run.size.for_length(length);
        let needed = u64::from(size.block_bytes) * u64::from(size.buffers);
        let has = |engine: &Engine| {
            u64::from(engine.arena().block_bytes()) * u64::from(engine.arena().buffers()) >= needed
                || !engine.notes().is_empty()
        };
        if !self.ring.as_ref().is_some_and(has) {
            // The one before is gone first: its memory counts against the same limit.
            self.ring = None;
            let engine = Engine::open(run.job.engine, size)?;
            for note in engine.notes() {
                run.used.note(*note, run);
            }
            if !self.uncounted {
                run.used.set_up(&engine);
            }
            self.ring = Some(engine);
        }
        Ok(self.ring.as_ref().expect("it was just set up"))
    }
}

/// How bytes went, over all workers.
#[derive(Default)]
pub(in crate::copy) struct Used {
    ring_bytes: AtomicU64,
    plain_bytes: AtomicU64,
    cloned_bytes: AtomicU64,
    offloaded_bytes: AtomicU64,
    any: AtomicBool,
    source_direct: AtomicBool,
    target_direct: AtomicBool,
    block_bytes: AtomicU32,
    buffers: AtomicU32,
    registered: AtomicBool,
    noted: AtomicBool,
}

impl Used {
    /// So many bytes went by this method.
    pub fn add(&self, method: Method, bytes: u64) {
        let sum = match method {
            Method::Ring => &self.ring_bytes,
            Method::Plain => &self.plain_bytes,
            Method::Clone => &self.cloned_bytes,
            Method::Offload => &self.offloaded_bytes,
        };
        // A file of no bytes went somehow, too.
        sum.fetch_add(bytes.max(1), Ordering::Relaxed);
        self.any.store(true, Ordering::Relaxed);
    }

    /// Around the page cache, on either side.
    pub fn add_direct(&self, source: bool, target: bool) {
        self.source_direct.fetch_or(source, Ordering::Relaxed);
        self.target_direct.fetch_or(target, Ordering::Relaxed);
    }

    fn set_up(&self, engine: &Engine) {
        let arena = engine.arena();
        self.block_bytes.fetch_max(arena.block_bytes(), Ordering::Relaxed);
        self.buffers.fetch_add(arena.buffers().into(), Ordering::Relaxed);
        self.registered.fetch_or(engine.is_registered(), Ordering::Relaxed);
    }

    fn note(&self, note: crate::engine::Note, run: &Run<'_>) {
        if !self.noted.swap(true, Ordering::Relaxed) {
            run.warn(Warning::Engine(note));
        }
    }

    /// What most bytes took; None where there were none.
    pub fn method(&self) -> Option<Method> {
        let bytes = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        [
            (bytes(&self.ring_bytes), Method::Ring),
            (bytes(&self.plain_bytes), Method::Plain),
            (bytes(&self.cloned_bytes), Method::Clone),
            (bytes(&self.offloaded_bytes), Method::Offload),
        ]
        .into_iter()
        .max_by_key(|(bytes, _)| *bytes)
        .filter(|(bytes, _)| *bytes > 0)
        .map(|(_, method)| method)
    }

    pub fn source_direct(&self) -> bool {
        self.source_direct.load(Ordering::Relaxed)
    }

    pub fn target_direct(&self) -> bool {
        self.target_direct.load(Ordering::Relaxed)
    }

    /// Size of a buffer, and how many there were; None where there was no ring.
    pub fn ring(&self) -> Option<(u32, u32)> {
        let buffers = self.buffers.load(Ordering::Relaxed);
        (buffers > 0).then(|| (self.block_bytes.load(Ordering::Relaxed), buffers))
    }

    pub fn is_registered(&self) -> bool {
        self.registered.load(Ordering::Relaxed)
    }
}
