//! How much memory a piece of work takes, for tests of what reads input that anybody may have written:
//! no allocation of theirs may be larger for what the input claims.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, which counts for each thread by itself.
struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

thread_local! {
    /// Bytes that are allocated since the count began, and the most there were.
    static COUNT: Cell<Option<(isize, isize)>> = const { Cell::new(None) };
}

fn count(bytes: isize) {
    // A thread that ends has none any more.
    let _ = COUNT.try_with(|count| {
        if let Some((now, most)) = count.get() {
            count.set(Some((now + bytes, most.max(now + bytes))));
        }
    });
}

// SAFETY: every call goes to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: what was allocated here was allocated by it, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// The most bytes that `work` held at a time, of what it allocated on this thread.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    COUNT.set(Some((0, 0)));
    let done = work();
    let (_, most) = COUNT.take().expect("the count goes on");
    (done, most as usize)
}

#[test]
fn memory_is_counted() {
    let (_, peak) = peak_of(|| (drop(vec![0u8; 1000]), drop(vec![0u8; 500])));
    assert_eq!(peak, 1000);
    let (_, peak) = peak_of(|| [vec![0u8; 1000], vec![0u8; 500]]);
    assert_eq!(peak, 1500);
    assert_eq!(peak_of(|| ()).1, 0);
}
