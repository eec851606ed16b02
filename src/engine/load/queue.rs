//! The driver over a ring: one thread, which submits and waits in one system call.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Cause, Error, Op};
use crate::flow::load::{Action, Next, Operation};
use crate::ring::{Completed, Queue};
use crate::sys;

use super::board::{Board, Settled, State};
use super::{Ground, NAP, content, no_thread, slot};

/// So many completions are followed by what takes their places, before more are looked at: a device
/// that completes in bursts is not to be idle while all of one are seen to.
const AT_ONCE: usize = 4;

/// Begins the thread. The errno that refuses a ring, or that which refuses to register buffers.
pub(super) fn begin(board: &Arc<Board>, ground: &Ground) -> Result<Result<Option<i32>, i32>, Error> {
    let (board, ground) = (Arc::clone(board), ground.clone());
    let (tell, told) = channel();
    let work = move || {
        if let Some(mut driver) = Driver::open(board, ground, tell) {
            driver.drive();
        }
    };
    let thread = thread::Builder::new().name("load".into()).stack_size(256 << 10).spawn(work);
    thread.map_err(|error| no_thread(&error))?;
    told.recv().map_err(|_| Error::new(Op::Setup, "io_uring", Cause::NoRing(libc::EIO)))
}

struct Driver {
    queue: Queue,
    board: Arc<Board>,
    ground: Ground,
    /// places that no operation is at
    free: Vec<u16>,
    /// by place, when a simulated device lets its operation complete
    due: Vec<Option<Instant>>,
    /// what has completed in truth, and not for the simulated device
    held: Vec<(Instant, u16, Result<u32, i32>)>,
}

impl Driver {
    /// A ring belongs to the thread that makes it.
    fn open(board: Arc<Board>, ground: Ground, tell: Sender<Result<Option<i32>, i32>>) -> Option<Driver> {
        let mut queue = match Queue::new(board.plan.depth) {
            Ok(queue) => queue,
            Err(errno) => {
                let _ = tell.send(Err(errno));
                return None;
            }
        };
        let registered = queue.register(&ground.arena);
        let _ = tell.send(Ok(registered.err()));
        let free = (0..board.plan.depth).rev().collect();
        let due = vec![None; usize::from(board.plan.depth)];
        Some(Driver { queue, board, ground, free, due, held: Vec::new() })
    }

    fn drive(&mut self) {
        sys::sleep::precisely();
        let board = Arc::clone(&self.board);
        loop {
            let mut state = board.lock();
            if state.is_told() {
                return;
            }
            // The clock is read when they have been found: none took less than it is said to have taken.
            let found: [Option<Completed>; AT_ONCE] = std::array::from_fn(|_| self.queue.completed());
            let clock = Instant::now();
            let now = board.time_at(clock);
            // What has completed by now belongs to the interval that is open now.
            state.close_intervals(now);
            for done in found.into_iter().flatten() {
                drop(done.buffer);
                match self.due[usize::from(done.place)].take() {
                    Some(due) => self.held.push((due, done.place, done.result)),
                    None => self.settle(&mut state, done.place, done.result, now),
                }
            }
            while let Some((place, result)) = self.take_due(clock) {
                self.settle(&mut state, place, result, now);
            }
            let wait = loop {
                let place = self.free.last().copied();
                let next =
                    board.next(&mut state, now, || place.expect("there is a place for each in flight"));
                match (next, place) {
                    (Next::Start(operation), Some(place)) => {
                        self.free.pop();
                        self.submit(place, operation);
                    }
                    (Next::Wait(until), _) => break until.saturating_sub(now).min(NAP),
                    (Next::Done, _) if self.queue.in_flight() + self.held.len() == 0 => {
                        return state.tell_finished();
                    }
                    _ => break NAP,
                }
            };
            drop(state);
            if let Err(errno) = self.queue.wait(self.until_due().map_or(wait, |due| due.min(wait))) {
                panic!("io_uring_enter can't fail with errno {errno}");
            }
        }
    }

    fn settle(&mut self, state: &mut State, place: u16, result: Result<u32, i32>, now: Duration) {
        match Arc::clone(&self.board).settle(state, place, result, now) {
            Settled::Done => self.free.push(place),
            Settled::Again(operation) => self.submit(place, operation),
        }
    }

    /// One of those that may complete at `clock`.
    fn take_due(&mut self, clock: Instant) -> Option<(u16, Result<u32, i32>)> {
        let nth = self.held.iter().position(|(due, ..)| *due <= clock)?;
        let (_, place, result) = self.held.swap_remove(nth);
        Some((place, result))
    }

    /// How long it is to the first of them.
    fn until_due(&self) -> Option<Duration> {
        let first = self.held.iter().map(|(due, ..)| *due).min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    fn submit(&mut self, place: u16, operation: Operation) {
        let plan = &self.board.plan;
        let service = self.ground.begin(operation, plan.block_bytes);
        self.due[usize::from(place)] = service.map(|service| service.due);
        let len = match service.map_or(Ok(plan.block_bytes), |service| service.outcome) {
            Ok(len) => len,
            Err(errno) => {
                let due = self.due[usize::from(place)].take().expect("a simulated device has failed it");
                return self.held.push((due, place, Err(errno)));
            }
        };
        let Ground { file, arena, .. } = &self.ground;
        let buffer = |action| arena.buffer(slot(plan, action, place));
        match operation.action {
            Action::Read => {
                let buffer = buffer(Action::Read);
                self.queue.read(place, file, buffer, len, operation.offset);
            }
            Action::Write => {
                let mut buffer = buffer(Action::Write);
                content::stamp(&mut buffer[..len as usize], plan.seed, operation.number);
                self.queue.write(place, file, buffer, len, operation.offset);
            }
            Action::Sync => self.queue.sync(place, file),
        }
    }
}
