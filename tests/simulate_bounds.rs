//! What strangers may hand in for `--simulate`: a SPEC, or a log to replay, of any content. Neither makes the program
//! take more memory than is bounded by its length, or by a constant.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use highwater::flow::simulate::Spec;
use highwater::latency::Kind;
use highwater::report::read_hlog;
use proptest::prelude::*;

/// Counts what is allocated, and the most that was. One test to a process, as others would count too.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is done by the system's allocator, and counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        MOST.fetch_max(now, Ordering::SeqCst);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `call` has allocated at once.
fn most(call: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::SeqCst);
    MOST.store(before, Ordering::SeqCst);
    call();
    MOST.load(Ordering::SeqCst) - before
}

fn of_spec(text: &str) -> usize {
    most(|| drop(Spec::parse(text).map(|spec| spec.to_string()).map_err(|error| error.to_string())))
}

/// A line of a log whose histogram claims to be larger than it is.
fn lying_log(payload: u32, digits: u32) -> String {
    let mut histogram = vec![];
    for number in [0x1c84_9303, payload, 0, digits] {
        histogram.extend_from_slice(&u32::to_be_bytes(number));
    }
    histogram.extend_from_slice(&1u64.to_be_bytes());
    histogram.extend_from_slice(&u64::MAX.to_be_bytes());
    histogram.extend_from_slice(&1f64.to_be_bytes());
    let mut deflated = flate2::write::ZlibEncoder::new(vec![], flate2::Compression::default());
    deflated.write_all(&histogram).unwrap();
    let deflated = deflated.finish().unwrap();
    let mut whole = 0x1c84_9304u32.to_be_bytes().to_vec();
    whole.extend_from_slice(&(deflated.len() as u32).to_be_bytes());
    whole.extend_from_slice(&deflated);
    format!("Tag=write,0.0,1.0,1.0,{}\n", STANDARD.encode(whole))
}

#[test]
fn no_spec_and_no_log_takes_more_memory_than_is_bounded() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(2000));
    let keys = "(read-|write-|sync-|)(bandwidth|iops|latency|error|short|cliff|stall|full|seed|x)=";
    let parts = proptest::collection::vec((keys, "[A-Za-z0-9.:@~%/é ]{0,30}"), 0..40);
    let texts = (parts, "\\PC{0,400}", any::<bool>()).prop_map(|(parts, text, is_text)| {
        let parts: Vec<String> = parts.into_iter().map(|(key, value)| key + &value).collect();
        if is_text { text } else { parts.join(",") }
    });
    let check = |text: String| {
        let (took, bound) = (of_spec(&text), 16 * text.len() + 8192);
        prop_assert!(took <= bound, "{took} bytes for {} of SPEC", text.len());
        Ok(())
    };
    runner.run(&texts, check).unwrap();
    // A SPEC as long as a command line may be.
    for part in ["seed=1,", ",", "latency=replay:x", "9", "error=EIO:0.0000000000001%,"] {
        let text = part.repeat(100_000);
        assert!(of_spec(&text) <= 8 * text.len() + 8192, "{part}");
    }
    for (payload, digits) in [(u32::MAX, 3), (1 << 30, 3), (100, 5), (100, u32::MAX)] {
        let log = lying_log(payload, digits);
        let took = most(|| assert!(read_hlog(log.as_bytes(), Kind::Write).is_err()));
        assert!(took <= 1 << 20, "{took} bytes for a log that claims {payload} of counts");
    }
    // What never ends is read as far as any log may go.
    let endless = most(|| assert!(read_hlog(std::io::repeat(b'#'), Kind::Write).is_err()));
    assert!(endless <= 3 * (32 << 20), "{endless}");
}
