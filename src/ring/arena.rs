//! The arena: one contiguous, aligned piece of memory, cut into the ring's buffers.
//!
//! Mapped once and never grown. Where it spans whole huge pages it is made of them, which makes
//! pinning it and direct I/O from it cheaper. It outlives every runtime that it is registered with.

use std::io;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// which buffers have a user now
    in_use: Box<[AtomicBool]>,
}

// SAFETY: the mapping is plain memory owned by the arena; `in_use` gives every buffer at most one
// user at a time, whatever thread that is on.
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
        let in_use = (0..buffers).map(|_| AtomicBool::new(false)).collect();
        let mapping_bytes = mapping_bytes.get();
        Ok(Arc::new(Arena { mapping, mapping_bytes, start, stride, block_bytes, in_use }))
    }

    /// How many buffers it has.
    pub fn buffers(&self) -> u16 {
        self.in_use.len() as u16
    }

    /// The size of each buffer in bytes.
    pub fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    /// The buffer of `slot`, which has one user at a time: until it is dropped, asking again for
    /// the same slot is a bug.
    pub fn buffer(self: &Arc<Arena>, slot: u16) -> Buffer {
        let in_use = self.in_use[usize::from(slot)].swap(true, Ordering::Acquire);
        assert!(!in_use, "a slot's buffer has one user at a time");
        Buffer { arena: Arc::clone(self), slot }
    }

    pub(super) fn address(&self, slot: u16) -> *mut u8 {
        assert!(slot < self.buffers(), "a slot is inside the ring");
        // SAFETY: slot < buffers, so the offset lies inside the mapping.
        unsafe { self.start.as_ptr().add(usize::from(slot) * self.stride) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and every Buffer holds the arena, so none is left.
        let unmapped = unsafe { munmap(self.mapping.cast(), self.mapping_bytes) };
        debug_assert!(unmapped.is_ok());
    }
}

/// The bytes of one slot's buffer, and the right to use them until dropped.
#[derive(Debug)]
pub struct Buffer {
    arena: Arc<Arena>,
    slot: u16,
}

impl Buffer {
    /// Which slot's.
    pub fn slot(&self) -> u16 {
        self.slot
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is zero-initialised by the kernel and lives as long as the arena;
        // `in_use` makes this the only Buffer over it.
        unsafe { std::slice::from_raw_parts(self.arena.address(self.slot), self.arena.block_bytes as usize) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `self` is borrowed mutably.
        unsafe {
            std::slice::from_raw_parts_mut(self.arena.address(self.slot), self.arena.block_bytes as usize)
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.arena.in_use[usize::from(self.slot)].store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_disjoint_and_single_use() {
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
        assert!(std::panic::catch_unwind(|| arena.buffer(1)).is_err(), "taken twice");
    }

    #[test]
    fn an_arena_of_nothing_is_refused() {
        assert!(Arena::new(4096, 0).is_err());
    }
}
