//! The driver without io_uring: pread and pwrite, with a thread for each operation in flight.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use nix::sys::uio::{pread, pwrite};

use crate::error::Error;
use crate::flow::load::{Action, Next, Operation};
use crate::sys;

use super::board::{Board, Settled};
use super::{Ground, NAP, content, no_thread, slot};

/// Begins the threads.
pub(super) fn begin(board: &Arc<Board>, ground: &Ground) -> Result<(), Error> {
    let left = Arc::new(AtomicU16::new(board.plan.depth));
    for place in 0..board.plan.depth {
        let (board, ground) = (Arc::clone(board), ground.clone());
        let left = Arc::clone(&left);
        let work = move || {
            work(&board, &ground, place);
            if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                board.lock().tell_finished();
            }
        };
        let thread = thread::Builder::new().name(format!("load-{place}")).stack_size(128 << 10).spawn(work);
        thread.map_err(|error| no_thread(&error))?;
    }
    Ok(())
}

fn work(board: &Board, ground: &Ground, place: u16) {
    sys::sleep::precisely();
    loop {
        let mut state = board.lock();
        if state.is_told() {
            return;
        }
        let now = board.now();
        state.close_intervals(now);
        match board.next(&mut state, now, || place) {
            Next::Start(operation) => {
                drop(state);
                complete(board, ground, place, operation);
            }
            Next::Wait(until) => {
                drop(state);
                thread::sleep(until.saturating_sub(board.now()).min(NAP));
            }
            Next::Full => board.wait_for_room(state, NAP),
            Next::Done => return,
        }
    }
}

fn complete(board: &Board, ground: &Ground, place: u16, operation: Operation) {
    loop {
        let result = transfer(board, ground, place, operation);
        let now = board.now();
        let mut state = board.lock();
        state.close_intervals(now);
        if let Settled::Done = board.settle(&mut state, place, result, now) {
            return board.tell_room(&state);
        }
    }
}

fn transfer(board: &Board, ground: &Ground, place: u16, operation: Operation) -> Result<u32, i32> {
    let len = board.plan.block_bytes;
    let Some(service) = ground.begin(operation, len) else {
        return carry_out(board, ground, place, operation, len);
    };
    let result = service.outcome.and_then(|len| carry_out(board, ground, place, operation, len));
    service.wait();
    result
}

fn carry_out(board: &Board, ground: &Ground, place: u16, operation: Operation, len: u32) -> Result<u32, i32> {
    let Ground { file, arena, .. } = ground;
    let (plan, len) = (&board.plan, len as usize);
    let moved = match operation.action {
        Action::Read => {
            let mut buffer = arena.buffer(slot(plan, Action::Read, place));
            pread(file, &mut buffer[..len], operation.offset as i64)
        }
        Action::Write => {
            let mut buffer = arena.buffer(slot(plan, Action::Write, place));
            content::stamp(&mut buffer[..len], plan.seed, operation.number);
            pwrite(file, &buffer[..len], operation.offset as i64)
        }
        Action::Sync => nix::unistd::fsync(file.as_fd()).map(|()| 0),
    };
    moved.map(|moved| moved as u32).map_err(|errno| errno as i32)
}
