//! Looking at the bytes on their way, by every driver: each byte once, in order, and nothing is complete
//! before; also where there is no target at all, and where flows starve each other.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use highwater::digest::{Collector, Root, UNIT_BYTES, Unit, zeros};
use highwater::engine::{Choice, Edge, End, Engine, Flow, Ledger, Meter, Typed};
use highwater::flow::{Digesting, Holes, Length, Marks, Patience, Pump, Shape, Side, Visibility};
use highwater::sys::cancel::Cancel;

/// How the bytes go.
#[derive(Clone, Copy, Debug)]
enum Driver {
    Ring,
    Plain,
    Calls,
}

fn engine(driver: Driver, block: u64, buffers: u64) -> Engine {
    let typed = Typed { block_bytes: Some(block), buffers: Some(buffers), ..Typed::default() };
    let choice = if matches!(driver, Driver::Ring) { Choice::Auto } else { Choice::Plain };
    Engine::open(choice, typed.resolve().unwrap()).unwrap()
}

/// Where pieces lie and what they hold.
type Pieces = Vec<(u64, Vec<u8>)>;

/// Moves `source` to `target`, or nowhere, and gives the pieces that were digested.
fn digest(
    driver: Driver,
    ledger: &Arc<Ledger>,
    source: &File,
    target: Option<&File>,
    block: u64,
    buffers: u64,
) -> Pieces {
    let engine = engine(driver, block, buffers);
    let len = source.metadata().unwrap().len();
    let shape = Shape {
        block_bytes: block as u32,
        slots: engine.arena().buffers(),
        marks: Marks::new(block, None, block, block).unwrap(),
        source: Side::SEEKABLE,
        target: Side::SEEKABLE,
        length: Length::Expected(len),
        sparse: true,
        holes: Holes::Skip,
        find_zeros: false,
        fill_blocks: true,
        filled_by_caller: false,
        visibility: Visibility::Fixed,
        digesting: if target.is_some() { Digesting::BesideWrite } else { Digesting::InsteadOfWrite },
        limit_bytes_per_s: None,
        patience: Patience::default(),
    };
    let cancel = Cancel::new().unwrap();
    let mut pieces = Pieces::new();
    let seen_to = AtomicU64::new(0);
    let flow = Flow::new(Pump::under(shape, ledger.level()), engine.arena(), &cancel, ledger)
        .digested_by(Box::new(|offset, bytes| {
            if let Some(target) = target {
                await_bytes(target, offset, bytes);
            }
            seen_to.store(offset + bytes.len() as u64, Ordering::SeqCst);
            pieces.push((offset, bytes.to_vec()));
        }))
        .followed_by(Box::new(|to| {
            let from = seen_to.load(Ordering::SeqCst);
            let mut unseen = vec![1; to.saturating_sub(from) as usize];
            source.read_exact_at(&mut unseen, from).unwrap();
            assert!(unseen.iter().all(|byte| *byte == 0), "complete to {to}, digested to {from}");
        }));
    let edge = |file: &File| Edge::of_file(file.try_clone().unwrap().into());
    let from = Edge { has_holes: true, ..edge(source) };
    let to = target.map_or(End::Nowhere, |target| End::Edge(edge(target)));
    match driver {
        Driver::Calls => engine.run_here(&flow, &from, &to),
        Driver::Ring | Driver::Plain => engine.run(&flow, &End::Edge(from), &to),
    }
    let finished = flow.finish();
    assert_eq!((finished.failure, finished.completed_to), (None, len));
    pieces
}

/// A block's write does not wait until somebody has looked at it: here that is the other way round.
fn await_bytes(target: &File, offset: u64, bytes: &[u8]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut there = vec![0; bytes.len()];
    while target.read_at(&mut there, offset).unwrap() < bytes.len() || there != bytes {
        assert!(Instant::now() < deadline, "not written while somebody looks at it, at {offset}");
        thread::sleep(Duration::from_micros(100));
    }
}

/// 3 MiB and a bit, with holes at odd places.
fn source(seed: u64) -> (File, Vec<u8>) {
    let mut bytes = vec![0; (3 << 20) + 4321];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    let file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let len = bytes.len();
    for hole in [0..20_480, 300_000..299_008 + 1_000_000, len - 200_000..len] {
        bytes[hole].fill(0);
    }
    file.set_len(len as u64).unwrap();
    for (nth, page) in bytes.chunks(4096).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0)) {
        file.write_all_at(page, nth as u64 * 4096).unwrap();
    }
    (file, bytes)
}

fn hash(pieces: &[(u64, Vec<u8>)], length: u64) -> [u8; 32] {
    let (mut collector, mut root) = (Collector::new(0), Root::default());
    let mut add = |unit: Unit| {
        while root.units() < unit.index {
            root.add(&zeros(root.units(), UNIT_BYTES));
        }
        root.add(&unit);
    };
    pieces.iter().for_each(|(offset, bytes)| collector.piece(*offset, bytes, &mut add));
    collector.finish(length, &mut add);
    while root.units() * UNIT_BYTES < length {
        let left = length - root.units() * UNIT_BYTES;
        root.add(&zeros(root.units(), left.min(UNIT_BYTES)));
    }
    root.finish()
}

#[test]
fn every_driver_shows_each_byte_once_in_order_before_it_is_complete() {
    let threads: Vec<_> = [Driver::Ring, Driver::Plain, Driver::Calls].into_iter().enumerate().collect();
    // A mark that one block fills: whoever digests holds the others back.
    for (block, buffers) in [(64 << 10, 4), (100_000, 3), (5_000, 2), (1 << 20, 1)] {
        let marks = Marks::new(block, None, block, block).unwrap();
        let ledger = Ledger::new(marks, &Arc::new(Meter::default()), None);
        thread::scope(|scope| {
            for &(seed, driver) in &threads {
                let ledger = &ledger;
                scope.spawn(move || {
                    let (file, bytes) = source(seed as u64);
                    let expected = *blake3::hash(&bytes).as_bytes();
                    let target = tempfile::tempfile().unwrap();
                    for to in [Some(&target), None] {
                        let pieces = digest(driver, ledger, &file, to, block, buffers);
                        let what = format!("{driver:?}, blocks of {block}, {to:?}");
                        assert!(pieces.is_sorted_by_key(|(offset, _)| *offset), "{what}");
                        assert_eq!(hash(&pieces, bytes.len() as u64), expected, "{what}");
                        let shown: usize = pieces.iter().map(|(_, piece)| piece.len()).sum();
                        assert!(shown < bytes.len() - 1_000_000, "{what}: holes are left out");
                    }
                    let mut written = vec![0; bytes.len()];
                    target.set_len(bytes.len() as u64).unwrap();
                    target.read_exact_at(&mut written, 0).unwrap();
                    assert!(written == bytes, "{driver:?}: not what was read");
                });
            }
        });
        assert_eq!(ledger.finish().level.peak_bytes, block);
    }
}
