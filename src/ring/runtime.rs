//! One ring: a tokio-uring runtime with the arena's buffers registered.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use tokio_uring::buf::fixed::FixedBufRegistry;
use tokio_uring::buf::{IoBuf, IoBufMut};

use super::arena::Arena;
use crate::error::errno_of;
use crate::sys::priority;

/// A ring, on the thread that made it.
///
/// Operations are made inside [`Ring::block_on`] and must be awaited there: the runtime frees what
/// an abandoned operation still uses.
pub struct Ring {
    // Declared before the registry, which holds the arena: it is gone before its buffers are.
    runtime: tokio_uring::Runtime,
    registry: Option<Rc<FixedBufRegistry<Registered>>>,
    /// of reads and writes, as ioprio_set(2) has them; 0 is that of the thread
    pub(super) priority: u16,
}

impl Ring {
    /// A ring that can hold an operation for each of `buffers` and a few besides. Fails with the
    /// kernel's errno where io_uring is refused: EPERM (seccomp, io_uring_disabled), ENOSYS,
    /// ENOMEM (no memory may be locked for the ring itself).
    pub fn new(buffers: u16) -> Result<Ring, i32> {
        let entries = (u32::from(buffers) + 8).next_power_of_two();
        // Without an interrupt for each completion, and with one thread only: less CPU, where the
        // kernel knows these flags (5.19, 6.0); EINVAL where it doesn't.
        let mut tuned = tokio_uring::uring_builder();
        tuned.setup_coop_taskrun().setup_single_issuer();
        let plain = tokio_uring::uring_builder();
        let open = |setup| {
            let mut builder = tokio_uring::builder();
            builder.entries(entries).uring_builder(setup);
            tokio_uring::Runtime::new(&builder)
        };
        let runtime = match open(&tuned) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => open(&plain),
            opened => opened,
        };
        let runtime = runtime.map_err(|error| errno_of(&error))?;
        Ok(Ring { runtime, registry: None, priority: 0 })
    }

    /// Registers every buffer of the arena, which must be the one that operations then use; once.
    /// ENOMEM where RLIMIT_MEMLOCK can't hold them: a smaller arena may be tried, and the ring works
    /// without, each operation then pins its buffer anew.
    pub fn register(&mut self, arena: &Arc<Arena>) -> Result<(), i32> {
        let buffers = (0..arena.buffers()).map(|slot| Registered { arena: Arc::clone(arena), slot });
        let registry = FixedBufRegistry::new(buffers);
        self.runtime.block_on(async { registry.register() }).map_err(|error| errno_of(&error))?;
        self.registry = Some(Rc::new(registry));
        Ok(())
    }

    /// Reads and writes are made when the device has nothing else to do, from now on, where its scheduler
    /// knows priorities.
    pub fn be_idle(&mut self) {
        self.priority = priority::IDLE;
    }

    /// Whether the buffers are registered.
    pub fn is_registered(&self) -> bool {
        self.registry.is_some()
    }

    /// Runs `future` on this ring's thread.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

/// A buffer of the arena in the shape that tokio-uring registers: only its address and size count.
struct Registered {
    arena: Arc<Arena>,
    slot: u16,
}

// SAFETY: the arena's memory never moves and lives as long as this Arc.
unsafe impl IoBuf for Registered {
    fn stable_ptr(&self) -> *const u8 {
        self.arena.address(self.slot)
    }

    fn bytes_init(&self) -> usize {
        0
    }

    fn bytes_total(&self) -> usize {
        self.arena.block_bytes() as usize
    }
}

// SAFETY: as above; nothing is ever read or written through this handle.
unsafe impl IoBufMut for Registered {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.arena.address(self.slot)
    }

    unsafe fn set_init(&mut self, _: usize) {}
}
