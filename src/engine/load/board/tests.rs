use super::*;
use crate::flow::load::Arrival;
use crate::latency::Totals;
use std::sync::mpsc::channel;

const SECOND: Duration = Duration::from_secs(1);

fn board(arrival: Arrival, depth: u16) -> Board {
    let plan = Plan {
        read_percent: 100,
        random: false,
        block_bytes: 512,
        blocks: 10,
        depth,
        high_water_bytes: u64::MAX,
        low_water_bytes: None,
        limit_bytes_per_s: None,
        arrival,
        length: 100 * SECOND,
        operations: u64::MAX,
        sync_every: None,
        seed: 0,
    };
    Board::new(plan, &Kind::ALL, None, "t".into(), Cancel::new().unwrap(), channel().0)
}

fn max(totals: &Totals, kind: Kind) -> Duration {
    Duration::from_nanos(totals.summary(kind).max_ns.unwrap_or(0))
}

#[track_caller]
fn near(time: Duration, seconds: u32) {
    assert!(time.abs_diff(seconds * SECOND) < SECOND / 10, "{time:?}");
}

#[test]
fn operations_of_minutes_are_shown_as_long_as_they_were() {
    let board = board(Arrival::Fixed { per_s: 1.0 }, 1);
    let mut state = board.lock();
    assert!(matches!(board.next(&mut state, Duration::ZERO, || 0), Next::Start(_)));
    assert_eq!(board.next(&mut state, 60 * SECOND, || 0), Next::Full);
    assert!(matches!(board.settle(&mut state, 0, Ok(512), 60 * SECOND), Settled::Done));
    assert!(matches!(board.next(&mut state, 60 * SECOND, || 0), Next::Start(_)));
    board.settle(&mut state, 0, Ok(512), 61 * SECOND);
    drop(state);
    let (outcome, _) = board.finish();
    near(max(&outcome.latency, Kind::Read), 60);
    assert_eq!((outcome.operations, outcome.read_bytes), (2, 1024));
    assert_eq!(outcome.latency.summary(Kind::Admission).count, 2 + outcome.waiting);
}

#[test]
fn what_is_out_and_what_waits_at_the_end_is_recorded_with_its_age() {
    let board = board(Arrival::Fixed { per_s: 10.0 }, 1);
    let mut state = board.lock();
    assert!(matches!(board.next(&mut state, Duration::ZERO, || 0), Next::Start(_)));
    assert_eq!(board.next(&mut state, 100 * SECOND, || 0), Next::Done);
    drop(state);
    let (outcome, _) = board.finish();
    // Told times are ahead of the board's own clock, by which the one that is out is nearly new.
    assert_eq!((outcome.outstanding.count, outcome.waiting, outcome.operations), (1, 999, 0));
    assert_eq!(outcome.latency.summary(Kind::Read).count, 1);
    assert_eq!(outcome.latency.summary(Kind::ResponseRead).count, 1000);
    near(max(&outcome.latency, Kind::ResponseRead), 100);
}

#[test]
fn the_first_failure_ends_the_load_and_is_told_with_its_place() {
    let board = board(Arrival::Closed, 2);
    let mut state = board.lock();
    for place in [0, 1] {
        assert!(matches!(board.next(&mut state, Duration::ZERO, || place), Next::Start(_)));
    }
    assert!(matches!(board.settle(&mut state, 1, Err(libc::EINTR), SECOND), Settled::Again(_)));
    board.settle(&mut state, 1, Err(libc::EIO), SECOND);
    assert_eq!(board.next(&mut state, SECOND, || 0), Next::Done);
    board.settle(&mut state, 0, Ok(100), SECOND);
    drop(state);
    let (outcome, _) = board.finish();
    let error = Error::new(Op::Read, "t", Cause::Errno(libc::EIO)).at(512);
    assert_eq!((outcome.failures, outcome.errors), (1, vec![error]));
    assert_eq!((outcome.operations, outcome.short, outcome.read_bytes), (1, 1, 100));
}
