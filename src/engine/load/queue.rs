//! The driver over a ring: one thread, which submits and waits in one system call.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::error::{Cause, Error, Op};
use crate::flow::load::{Action, Next, Operation};
use crate::ring::{Arena, Queue};
use crate::sys;

use super::board::{Board, Settled};
use super::{NAP, content, no_thread, slot};

/// Begins the thread. The errno that refuses a ring, or that which refuses to register buffers.
pub(super) fn begin(
    board: &Arc<Board>,
    file: &Arc<OwnedFd>,
    arena: &Arc<Arena>,
) -> Result<Result<Option<i32>, i32>, Error> {
    let (board, file, arena) = (Arc::clone(board), Arc::clone(file), Arc::clone(arena));
    let (tell, told) = channel();
    let work = move || {
        if let Some(mut driver) = Driver::open(board, file, arena, tell) {
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
    file: Arc<OwnedFd>,
    arena: Arc<Arena>,
    /// places that no operation is at
    free: Vec<u16>,
}

impl Driver {
    /// A ring belongs to the thread that makes it.
    fn open(
        board: Arc<Board>,
        file: Arc<OwnedFd>,
        arena: Arc<Arena>,
        tell: Sender<Result<Option<i32>, i32>>,
    ) -> Option<Driver> {
        let mut queue = match Queue::new(board.plan.depth) {
            Ok(queue) => queue,
            Err(errno) => {
                let _ = tell.send(Err(errno));
                return None;
            }
        };
        let registered = queue.register(&arena);
        let _ = tell.send(Ok(registered.err()));
        let free = (0..board.plan.depth).rev().collect();
        Some(Driver { queue, board, file, arena, free })
    }

    fn drive(&mut self) {
        sys::sleep::precisely();
        let board = Arc::clone(&self.board);
        loop {
            let mut state = board.lock();
            if state.is_told() {
                return;
            }
            let now = board.now();
            // What has completed by now belongs to the interval that is open now.
            state.close_intervals(now);
            while let Some(done) = self.queue.completed() {
                drop(done.buffer);
                match board.settle(&mut state, done.place, done.result, now) {
                    Settled::Done => self.free.push(done.place),
                    Settled::Again(operation) => self.submit(done.place, operation),
                }
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
                    (Next::Done, _) if self.queue.in_flight() == 0 => return state.tell_finished(),
                    _ => break NAP,
                }
            };
            drop(state);
            if let Err(errno) = self.queue.wait(wait) {
                panic!("io_uring_enter can't fail with errno {errno}");
            }
        }
    }

    fn submit(&mut self, place: u16, operation: Operation) {
        let plan = &self.board.plan;
        let len = plan.block_bytes;
        let buffer = |action| self.arena.buffer(slot(plan, action, place));
        match operation.action {
            Action::Read => {
                let buffer = buffer(Action::Read);
                self.queue.read(place, &self.file, buffer, len, operation.offset);
            }
            Action::Write => {
                let mut buffer = buffer(Action::Write);
                content::stamp(&mut buffer[..len as usize], plan.seed, operation.number);
                self.queue.write(place, &self.file, buffer, len, operation.offset);
            }
            Action::Sync => self.queue.sync(place, &self.file),
        }
    }
}
