//! The arena: one contiguous, aligned piece of memory, cut into the ring's buffers.
//!
//! Mapped once and never grown. Where it spans whole huge pages it is made of them, which makes
//! pinning it and direct I/O from it cheaper. It outlives every runtime that it is registered with.

use std::io;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

const PAGE: usize = 4096;
const HUGE_PAGE: usize = 2 << 20;

/// The memory behind a ring's buffers.
#[derive(Debug)]
pub struct Arena {
    mapping: NonNull<u8>,
    mapping_bytes: usize,
    /// where buffer 0 begins, on a huge page's border
    start: NonNull<u8>,
    /// from one buffer's start to the next: a block, rounded up to whole pages
    stride: usize,
    block_bytes: u32,
    /// of each buffer: how many look at it now, or [`CHANGING`]
    users: Box<[AtomicU32]>,
}

/// A buffer has one user, which may change it.
const CHANGING: u32 = u32::MAX;

// SAFETY: the mapping is plain memory owned by the arena; `users` gives every buffer at a time one user
// that may change it, or any number that look at it, whatever threads those are on.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// `buffers` buffers of `block_bytes` bytes, each beginning on a page's border. No memory is
    /// touched until it is used. Fails with ENOMEM, or EINVAL for an arena of nothing.
    pub fn new(block_bytes: u32, buffers: u16) -> io::Result<Arc<Arena>> {
        let stride = (block_bytes as usize).next_multiple_of(PAGE);
        let bytes = stride * usize::from(buffers);
        let mapping_bytes = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let mapping_bytes = mapping_bytes.saturating_add(HUGE_PAGE);
        // SAFETY: a new anonymous mapping; no existing memory is touched.
        let mapping = unsafe {
            mmap_anonymous(
                None,
                mapping_bytes,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE,
            )
        }?
        .cast::<u8>();
        let to_border = mapping.as_ptr().align_offset(HUGE_PAGE);
        // SAFETY: `to_border` is below HUGE_PAGE, by which the mapping is longer than `bytes`.
        let start = unsafe { mapping.add(to_border) };
        let whole_huge_pages = bytes - bytes % HUGE_PAGE;
        if whole_huge_pages > 0 {
            // Advice only: without huge pages the same memory works.
            // SAFETY: the range lies inside our own mapping.
            let _ = unsafe { madvise(start.cast(), whole_huge_pages, MmapAdvise::MADV_HUGEPAGE) };
        }
        let users = (0..buffers).map(|_| AtomicU32::new(0)).collect();
        let mapping_bytes = mapping_bytes.get();
        Ok(Arc::new(Arena { mapping, mapping_bytes, start, stride, block_bytes, users }))
    }

    /// How many buffers it has.
    pub fn buffers(&self) -> u16 {
        self.users.len() as u16
    }

    /// The size of each buffer in bytes.
    pub fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    /// The buffer of `slot`, to be changed by its only user: until it is dropped, asking again for
    /// the same slot is a bug.
    pub fn buffer(self: &Arc<Arena>, slot: u16) -> Buffer {
        let users = &self.users[usize::from(slot)];
        let taken = users.compare_exchange(0, CHANGING, Ordering::Acquire, Ordering::Relaxed);
        assert!(taken.is_ok(), "a slot's buffer is changed by its only user");
        Buffer(Lease { arena: Arc::clone(self), slot, changes: true })
    }

    /// The bytes of `slot`, to be looked at by any number: asking for a slot whose buffer may be changed
    /// is a bug.
    pub fn view(self: &Arc<Arena>, slot: u16) -> View {
        let users = &self.users[usize::from(slot)];
        let one_more = |users: u32| (users != CHANGING).then(|| users + 1);
        let taken = users.fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more);
        assert!(taken.is_ok(), "nobody looks at a buffer that may be changed");
        View(Lease { arena: Arc::clone(self), slot, changes: false })
    }

    pub(super) fn address(&self, slot: u16) -> *mut u8 {
        assert!(slot < self.buffers(), "a slot is inside the ring");
        // SAFETY: slot < buffers, so the offset lies inside the mapping.
        unsafe { self.start.as_ptr().add(usize::from(slot) * self.stride) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and every lease holds the arena, so none is left.
        let unmapped = unsafe { munmap(self.mapping.cast(), self.mapping_bytes) };
        debug_assert!(unmapped.is_ok());
    }
}

/// The right to use one slot's buffer, until dropped; which is all that an operation must hold of it.
#[derive(Debug)]
pub struct Lease {
    arena: Arc<Arena>,
    slot: u16,
    changes: bool,
}

/// The bytes of one slot's buffer, to be changed.
#[derive(Debug)]
pub struct Buffer(Lease);

/// The bytes of one slot's buffer, to be looked at.
#[derive(Debug)]
pub struct View(Lease);

impl Lease {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is zero-initialised by the kernel and lives as long as the arena; while this
        // lease is there `users` lets nobody else change these bytes.
        unsafe { std::slice::from_raw_parts(self.arena.address(self.slot), self.arena.block_bytes as usize) }
    }
}

impl Buffer {
    /// Which slot's.
    pub fn slot(&self) -> u16 {
        self.0.slot
    }
}

impl View {
    /// Which slot's.
    pub fn slot(&self) -> u16 {
        self.0.slot
    }
}

impl From<Buffer> for Lease {
    fn from(buffer: Buffer) -> Lease {
        buffer.0
    }
}

impl From<View> for Lease {
    fn from(view: View) -> Lease {
        view.0
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Deref for View {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let Lease { arena, slot, .. } = &self.0;
        // SAFETY: as for `bytes`; nobody else has this buffer, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(arena.address(*slot), arena.block_bytes as usize) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let users = &self.arena.users[usize::from(self.slot)];
        match self.changes {
            true => users.store(0, Ordering::Release),
            false => drop(users.fetch_sub(1, Ordering::Release)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn buffers_are_aligned_disjoint_and_changed_by_one() {
        let arena = Arena::new(5000, 3).unwrap();
        let mut first = arena.buffer(0);
        let mut second = arena.buffer(1);
        first.fill(1);
        second.fill(2);
        assert_eq!(first.as_ptr() as usize % HUGE_PAGE, 0);
        assert_eq!(second.as_ptr() as usize - first.as_ptr() as usize, 8192);
        assert!(first.iter().all(|b| *b == 1) && first.len() == 5000);
        drop(first);
        assert!(arena.buffer(0).iter().all(|b| *b == 1));
        let is_refused = |take: &dyn Fn()| catch_unwind(AssertUnwindSafe(take)).is_err();
        assert!(is_refused(&|| drop(arena.buffer(1))), "taken twice");
        assert!(is_refused(&|| drop(arena.view(1))), "looked at while it may change");
        drop(second);
        let (one, other) = (arena.view(1), arena.view(1));
        assert!(one.iter().chain(other.iter()).all(|b| *b == 2));
        drop(one);
        assert!(is_refused(&|| drop(arena.buffer(1))), "changed while one still looks");
        drop(other);
        arena.buffer(1).fill(3);
    }

    #[test]
    fn an_arena_of_nothing_is_refused() {
        assert!(Arena::new(4096, 0).is_err());
    }
}
