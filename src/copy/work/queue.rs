//! What is to be done, handed from worker to worker: bounded, so a worker that finds it full does
//! the work itself, depth first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Units of work of type `U`.
pub(in crate::copy) struct Queue<U> {
    state: Mutex<State<U>>,
    changed: Condvar,
    capacity: usize,
}

struct State<U> {
    units: VecDeque<U>,
    /// workers that are at work; those that wait can get nothing new once there are none
    busy: usize,
    waiting: usize,
    closed: bool,
}

impl<U> Queue<U> {
    /// For at most so many units. One worker, who is at work, fills it.
    pub fn new(capacity: usize) -> Queue<U> {
        let state = State { units: VecDeque::new(), busy: 1, waiting: 0, closed: false };
        Queue { state: Mutex::new(state), changed: Condvar::new(), capacity }
    }

    /// Hands a unit over, or gives it back where there is no room.
    pub fn offer(&self, unit: U) -> Result<(), U> {
        let mut state = self.lock();
        if state.units.len() >= self.capacity {
            return Err(unit);
        }
        state.units.push_back(unit);
        self.changed.notify_one();
        Ok(())
    }

    /// Hands a unit over, whatever is there already.
    pub fn push(&self, unit: U) {
        self.lock().units.push_back(unit);
        self.changed.notify_one();
    }

    /// Whether a worker waits for something to do.
    pub fn is_wanted(&self) -> bool {
        let state = self.lock();
        state.waiting > state.units.len()
    }

    /// A worker begins; it must then call [`Queue::take`] until that gives nothing.
    pub fn join(&self) {
        self.lock().busy += 1;
    }

    /// A worker that was to begin could not, or whoever counted as one is done.
    pub fn leave(&self) {
        let mut state = self.lock();
        state.busy -= 1;
        if state.busy == 0 {
            self.changed.notify_all();
        }
    }

    /// Whether somebody is at work beside the one who asks.
    pub fn has_others(&self) -> bool {
        self.lock().busy > 1
    }

    /// The next unit, for a worker that is done with its last one; None when there will be no more.
    pub fn take(&self) -> Option<U> {
        let mut state = self.lock();
        state.busy -= 1;
        state.waiting += 1;
        loop {
            if let Some(unit) = state.units.pop_front() {
                state.waiting -= 1;
                state.busy += 1;
                return Some(unit);
            }
            if state.closed || state.busy == 0 {
                state.waiting -= 1;
                state.closed = true;
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next unit while the others are still at work, for a worker that must see everything done
    /// before it goes on; None when nobody else is at work.
    pub fn take_or_quiet(&self) -> Option<U> {
        let mut state = self.lock();
        loop {
            if let Some(unit) = state.units.pop_front() {
                return Some(unit);
            }
            if state.busy == 1 {
                return None;
            }
            // Whoever falls idle does not notify: so few wait so rarely that they look now and then.
            let nap = std::time::Duration::from_millis(1);
            state = self.changed.wait_timeout(state, nap).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<U>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn all_work_is_done_once_and_workers_end() {
        let queue = Queue::new(4);
        let done = AtomicU64::new(0);
        let work = |depth: u64| {
            done.fetch_add(1, Ordering::Relaxed);
            let mut own: Vec<u64> = if depth > 0 { vec![depth - 1; 3] } else { Vec::new() };
            while let Some(depth) = own.pop() {
                if let Err(depth) = queue.offer(depth) {
                    done.fetch_add(1, Ordering::Relaxed);
                    own.extend(std::iter::repeat_n(depth.wrapping_sub(1), if depth > 0 { 3 } else { 0 }));
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                queue.join();
                scope.spawn(|| {
                    while let Some(depth) = queue.take() {
                        work(depth)
                    }
                });
            }
            work(8);
            while let Some(depth) = queue.take() {
                work(depth);
            }
        });
        assert_eq!(done.into_inner(), (3u64.pow(9) - 1) / 2);
    }
}
