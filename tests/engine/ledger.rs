//! One high-water mark for flows on several threads: they starve each other, all of them end, and
//! the books add up.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use highwater::engine::{Choice, Edge, End, Engine, Flow, Ledger, Meter, Typed};
use highwater::flow::{Digesting, Holes, Intake, Length, Marks, Patience, Pump, Shape, Side, Visibility};
use highwater::latency::Kind;
use highwater::sys::cancel::Cancel;

const BLOCK: u64 = 16 << 10;
/// Two blocks: each thread could take them alone.
const HIGH: u64 = 2 * BLOCK;
const THREADS: u64 = 4;
const SMALL_FLOWS: u64 = 1_500;
/// So many small flows between two larger ones.
const LARGE_EVERY: u64 = 30;
const LARGE_BYTES: u64 = 20 * BLOCK + 77;
/// A ring that isn't woken waits for ever.
const LIMIT: Duration = Duration::from_secs(30);

/// What a thread has moved.
#[derive(Default)]
struct Moved {
    bytes: u64,
    blocks: u64,
}

struct Worker {
    ledger: Arc<Ledger>,
    cancel: Cancel,
    source: File,
    target: File,
    bytes: Vec<u8>,
    moved: Moved,
}

impl Worker {
    fn new(nth: u64, ledger: &Arc<Ledger>) -> Worker {
        let mut bytes = vec![0; LARGE_BYTES as usize];
        fastrand::Rng::with_seed(nth).fill(&mut bytes);
        let (source, target) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        source.write_all_at(&bytes, 0).unwrap();
        let (ledger, cancel) = (Arc::clone(ledger), Cancel::new().unwrap());
        Worker { ledger, cancel, source, target, bytes, moved: Moved::default() }
    }

    /// Small flows on this thread, and now and then a larger one by the other driver.
    fn work(mut self, nth: u64) -> Moved {
        let calls = engine(Choice::Plain, 1);
        let others = engine(if nth.is_multiple_of(2) { Choice::Auto } else { Choice::Plain }, 4);
        let mut random = fastrand::Rng::with_seed(nth);
        for small in 0..SMALL_FLOWS {
            self.copy(&calls, true, random.u64(1..=BLOCK));
            if small % LARGE_EVERY == 0 {
                self.copy(&others, false, LARGE_BYTES);
            }
        }
        self.moved
    }

    fn copy(&mut self, engine: &Engine, here: bool, len: u64) {
        self.target.set_len(0).unwrap();
        let shape = shape(engine.arena().buffers(), len);
        let pump = Pump::under(shape, self.ledger.level());
        let flow = Flow::new(pump, engine.arena(), &self.cancel, &self.ledger);
        let edge = |file: &File| Edge::of_file(file.try_clone().unwrap().into());
        let (source, target) = (edge(&self.source), End::Edge(edge(&self.target)));
        match here {
            true => engine.run_here(&flow, &source, &target),
            false => engine.run(&flow, &End::Edge(source), &target),
        }
        let finished = flow.finish();
        assert_eq!((finished.failure, finished.completed_to), (None, len));
        let mut copied = vec![0; len as usize];
        self.target.read_exact_at(&mut copied, 0).unwrap();
        assert_eq!(self.target.metadata().unwrap().len(), len);
        assert!(copied == self.bytes[..len as usize], "{len} bytes, and not the source's");
        self.moved.bytes += len;
        self.moved.blocks += len.div_ceil(BLOCK);
    }
}

fn engine(choice: Choice, buffers: u64) -> Engine {
    let typed = Typed { block_bytes: Some(BLOCK), buffers: Some(buffers), ..Typed::default() };
    Engine::open(choice, typed.resolve().unwrap()).unwrap()
}

fn shape(slots: u16, len: u64) -> Shape {
    Shape {
        block_bytes: BLOCK as u32,
        slots,
        marks: Marks::new(HIGH, None, BLOCK, HIGH).unwrap(),
        source: Side::SEEKABLE,
        target: Side::SEEKABLE,
        length: Length::Exact(len),
        sparse: false,
        holes: Holes::Skip,
        find_zeros: false,
        fill_blocks: true,
        filled_by_caller: false,
        visibility: Visibility::ByWrites,
        digesting: Digesting::Off,
        limit_bytes_per_s: None,
        patience: Patience::default(),
    }
}

#[test]
fn flows_that_starve_each_other_all_end() {
    let marks = Marks::new(HIGH, None, BLOCK, HIGH).unwrap();
    let meter = Arc::new(Meter::default());
    let ledger = Ledger::new(marks, &meter, None);
    let (sender, receiver) = mpsc::channel();
    for nth in 0..THREADS {
        let worker = Worker::new(nth, &ledger);
        let sender = sender.clone();
        thread::spawn(move || sender.send(worker.work(nth)).unwrap());
    }
    drop(sender);
    let began = Instant::now();
    let (mut bytes, mut blocks) = (0, 0);
    for ended in 0..THREADS {
        let left = LIMIT.saturating_sub(began.elapsed());
        let moved = receiver.recv_timeout(left);
        let moved = moved.unwrap_or_else(|error| panic!("{ended} threads have ended: {error}"));
        bytes += moved.bytes;
        blocks += moved.blocks;
    }
    println!("{blocks} blocks in {:?}", began.elapsed());
    let seen = meter.look();
    assert_eq!((seen.completed, seen.level, seen.held), (bytes, 0, false));
    let books = ledger.finish();
    println!("{:?}", books.level);
    assert_eq!(books.level.peak_bytes, HIGH, "reached and never exceeded");
    assert!(books.level.backpressure_events > 0, "they did starve each other");
    let count = |kind| books.latency.summary(kind).count;
    assert_eq!((count(Kind::Read), count(Kind::Write)), (blocks, blocks), "one of each for a block");
}

/// Two threads starve while another flow has it all. Each is told when that one leaves, and doesn't
/// find out after its nap of 50 ms: in all rounds together that would take two seconds.
#[test]
fn every_thread_that_starves_is_told() {
    const ROUNDS: u32 = 40;
    let marks = Marks::new(HIGH, None, BLOCK, HIGH).unwrap();
    let ledger = Ledger::new(marks, &Arc::new(Meter::default()), None);
    let (engine, cancel) = (engine(Choice::Plain, 2), Cancel::new().unwrap());
    let mut waited = Duration::ZERO;
    for _ in 0..ROUNDS {
        let pump = Pump::under(shape(2, HIGH), ledger.level());
        let flow = Flow::new(pump, engine.arena(), &cancel, &ledger);
        let mut state = flow.lock();
        let reads = [(); 2].map(|()| match state.pump.next_read(Duration::ZERO) {
            Intake::Read(transfer) => transfer,
            intake => panic!("{intake:?}, and nobody else has anything"),
        });
        let starving = [0, 1].map(|nth| {
            let mut worker = Worker::new(nth, &ledger);
            thread::spawn(move || worker.copy(&self::engine(Choice::Plain, 1), true, BLOCK))
        });
        thread::sleep(Duration::from_millis(5));
        state.pump.cancel();
        reads.into_iter().for_each(|read| state.pump.retry(read));
        drop(state);
        let began = Instant::now();
        flow.finish();
        starving.into_iter().for_each(|thread| thread.join().unwrap());
        waited += began.elapsed();
    }
    assert_eq!(ledger.finish().level.peak_bytes, HIGH);
    assert!(waited < ROUNDS * Duration::from_millis(20), "{ROUNDS} rounds took {waited:?}");
}
