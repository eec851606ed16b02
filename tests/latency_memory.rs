//! What recording costs in memory: nothing for an operation, and for a run's intervals a bounded amount.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use highwater::latency::{Kind, Recorder, Timeline};

/// Counts what is allocated in this process, which has one test and one thread for it.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static LIVE_BYTES: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came; only counters are added to.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        LIVE_BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of GlobalAlloc.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of GlobalAlloc.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn recording_allocates_nothing_and_the_intervals_of_a_day_take_some_mebibytes() {
    let second = Duration::from_secs(1);
    let mut recorder = Recorder::new(&Kind::ALL, Some(second)).at_hand();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for nth in 0..1_000_000_u64 {
        let kind = Kind::ALL[(nth % 7) as usize];
        recorder.record(kind, Duration::from_nanos(nth * 900), nth.pow(2) % 100_000_000_000 + 1);
        recorder.moved(kind, Duration::from_nanos(nth * 900), 4096);
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
    drop(recorder);

    let before = LIVE_BYTES.load(Ordering::Relaxed);
    let mut recorder = Recorder::new(&Kind::SERVICE, Some(second));
    let mut timeline = Timeline::default();
    for nth in 0..86_400_u32 {
        if nth % 16 == 0 {
            for sample in 0..200_u64 {
                let ns = 50_000 + (u64::from(nth) * 7919 + sample * 104_729) % 3_000_000;
                recorder.record(Kind::Write, second * nth, ns);
            }
        }
        while let Some(interval) = recorder.take_interval(second * (nth + 1)) {
            timeline.push(&interval);
        }
    }
    drop(recorder);
    let kept = LIVE_BYTES.load(Ordering::Relaxed) - before;
    assert!(
        timeline.rows().len() <= 512 && kept < 8 << 20,
        "{} intervals in {kept} bytes",
        timeline.rows().len()
    );
}
