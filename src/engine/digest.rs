//! Looking at the bytes of a flow once they are read: on a thread beside the driver's, so that reading
//! and writing go on meanwhile, that of the same block too. The pump says what to look at, one block at
//! a time.

use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use crate::error::errno_of;
use crate::flow::{Digesting, Failure, Reason, Transfer};

use super::flow::{Flow, State};

/// Takes the bytes of a stream: where each piece lies in it, in order, each byte once. A hole that is
/// not read is left out.
pub type Digester<'d> = Box<dyn FnMut(u64, &[u8]) + Send + 'd>;

/// How long the thread may sleep before it looks whether all is done.
const NAP: Duration = Duration::from_millis(50);
/// Enough for a hash.
const STACK_BYTES: usize = 256 << 10;

/// Does `drive`, which moves the bytes of the flow, and digests beside it where that was asked for.
pub(super) fn beside(flow: &Flow<'_>, drive: impl FnOnce()) {
    if flow.lock().pump.shape().digesting == Digesting::Off {
        return drive();
    }
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("digest".into()).stack_size(STACK_BYTES);
        if let Err(error) = builder.spawn_scoped(scope, || digest(flow)) {
            flow.lock().pump.fail(Failure { offset: 0, reason: Reason::Digest(errno_of(&error)) });
        }
        drive();
    });
}

/// The thread's life.
fn digest(flow: &Flow<'_>) {
    let mut state = flow.lock();
    while !state.pump.is_finished() {
        state = match state.pump.next_digest() {
            Some(transfer) => {
                drop(state);
                look(flow, transfer);
                let mut state = flow.lock();
                let is_free = state.pump.digested(transfer, flow.now());
                // Before that nobody has anything new to do.
                if is_free || state.pump.is_finished() {
                    flow.publish(&mut state);
                    // Whoever is woken finds it unlocked.
                    drop(state);
                    flow.notify_driver();
                    state = flow.lock();
                }
                state
            }
            None => flow.changed.wait_timeout(state, NAP).unwrap_or_else(PoisonError::into_inner).0,
        };
    }
}

/// Digests all that can be, on the thread that has the flow locked; whether there was anything.
pub(super) fn digest_here(flow: &Flow<'_>, state: &mut State) -> bool {
    let Some(transfer) = state.pump.next_digest() else { return false };
    look(flow, transfer);
    state.pump.digested(transfer, flow.now());
    flow.publish(state);
    true
}

fn look(flow: &Flow<'_>, transfer: Transfer) {
    let buffer = flow.arena().view(transfer.slot);
    flow.look_at(transfer.offset, &buffer[..transfer.len as usize]);
}
