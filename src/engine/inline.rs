//! The driver for small files: calls on the thread that asks, one after the other, over the same
//! pump. No ring and no threads, so that a file costs little more than its read and its write.

use std::os::fd::AsFd;
use std::sync::MutexGuard;
use std::time::Duration;

use crate::flow::Transfer;
use crate::latency::Kind;

use super::digest;
use super::edge::{Edge, End};
use super::flow::{Flow, State};
use super::passing::{Passed, Passing};
use super::settle::{self, Read, Settled, Way, Write};

/// How long it may sleep before it looks whether the copy is cancelled.
const NAP: Duration = Duration::from_millis(50);

/// Runs until the flow's pump is finished. Both ends are descriptors that never make anybody wait
/// for ever.
pub(super) fn drive(flow: &Flow<'_>, source: &Edge, target: &End) {
    drive_passing(flow, source, target, None);
}

/// The same where nobody is to see the bytes; the target stands at `position`, where that is known.
pub(super) fn pass(flow: &Flow<'_>, source: &Edge, target: &End, position: Option<u64>) -> Passed {
    let End::Edge(to) = target else { unreachable!("bytes are passed from one descriptor to another") };
    let mut passing = Passing::new(source, to, position);
    drive_passing(flow, source, target, Some(&mut passing));
    Passed { bytes: passing.bytes(), may_be_longer: passing.went_on() }
}

fn drive_passing(flow: &Flow<'_>, source: &Edge, target: &End, mut passing: Option<&mut Passing<'_>>) {
    let to = match target {
        End::Edge(to) => Some(to),
        End::Nowhere => None,
        End::Caller | End::Made(_) => unreachable!("calls go from a descriptor, to another or nowhere"),
    };
    // Read once for each call, as a small file takes no longer than some readings of the clock.
    let mut now = flow.now();
    loop {
        let openings = flow.ledger().openings();
        let mut state = flow.lock();
        flow.cancel_if_asked(&mut state);
        let next = to.map(|to| (to, settle::next_write(flow, &mut state, to, now)));
        let writable = match next {
            Some((to, Write::Transfer(transfer))) => {
                match passing.as_ref().map_or(0, |passing| passing.made(transfer)) {
                    0 => now = carry_out(flow, &mut state, Way::Write, to, transfer),
                    made => {
                        settle::settle(flow, &mut state, to, Way::Write, transfer, Ok(made), now);
                        flow.publish(&mut state);
                    }
                }
                continue;
            }
            Some((_, Write::Wait(until))) => Some(until),
            Some((_, Write::Idle)) | None => None,
        };
        if digest::digest_here(flow, &mut state) {
            now = flow.now();
            continue;
        }
        match (settle::next_read(flow, &mut state, source, target, now), writable) {
            (Read::Transfer(transfer), _) => {
                let passed = passing.as_mut().and_then(|it| it.pass(flow, &mut state, transfer));
                now = passed.unwrap_or_else(|| carry_out(flow, &mut state, Way::Read, source, transfer));
                continue;
            }
            (Read::Made, _) => {}
            (Read::Wait(until), None) | (Read::Idle, Some(until)) => sleep(flow, state, until),
            (Read::Wait(one), Some(other)) => sleep(flow, state, one.min(other)),
            (Read::Idle, None) if state.pump.is_finished() => return,
            (Read::Idle, None) if state.pump.is_starved() => {
                // Zeros that were found and not written have told nobody yet.
                flow.publish(&mut state);
                drop(state);
                flow.ledger().wait_opened(openings, NAP);
            }
            // What stopped reading (an error, a cancellation) may have left something to write.
            (Read::Idle, None) => {}
        }
        now = flow.now();
    }
}

fn sleep(flow: &Flow<'_>, state: MutexGuard<'_, State>, until: Duration) {
    drop(state);
    std::thread::sleep(until.saturating_sub(flow.now()).min(NAP));
}

/// When it has ended.
fn carry_out(flow: &Flow<'_>, state: &mut State, way: Way, edge: &Edge, transfer: Transfer) -> Duration {
    let started = flow.now();
    flow.show(way, edge, Some(transfer.offset), true);
    let result = edge.call(flow.arena(), way, transfer);
    flow.show(way, edge, None, true);
    let mut now = flow.now();
    if let Ok(n @ 1..) = result {
        let kind = if way == Way::Read { Kind::Read } else { Kind::Write };
        flow.ledger().record_at(kind, started, now, n.into());
    }
    if settle::settle(flow, state, edge, way, transfer, result, now) == Settled::NotReady {
        // Regular files are always ready; whatever says otherwise is asked again.
        let _ = crate::sys::stream::wait(edge.fd(transfer).as_fd(), way.events(), flow.cancel());
        state.pump.retry(transfer);
        now = flow.now();
    }
    flow.publish(state);
    now
}
