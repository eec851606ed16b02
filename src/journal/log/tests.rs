use super::*;

const UNIT: u64 = 64 << 10;
const MIB: u64 = 1 << 20;

/// A journal with the intervals of production, and a file in it that has its name.
fn begun() -> (Log, FileId) {
    let header = Header {
        unit_bytes: UNIT as u32,
        options: [0; 32],
        target_existed: true,
        target_is_directory: false,
        target_inode: 0,
        target_bytes: 0,
        target: b"t".to_vec(),
        sources: vec![b"/s".to_vec()],
    };
    let (mut log, _) = Log::begin(&header, [1; 16], Interval::default()).unwrap();
    let source = Identity { inode: 1, size: 256 * MIB, modified: (0, 0), changed: (0, 0) };
    let file = Started { path: b"path".to_vec(), source, inode: 2, part: vec![] };
    let id = log.start(file).unwrap();
    (log, id)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// So many bytes more are with the target.
fn complete(log: &mut Log, id: FileId, from: u64, to: u64, now: Duration) {
    let units = (to / UNIT - from / UNIT) as usize;
    log.digested(id, &vec![[7; 32]; units]);
    log.completed(id, to, now);
}

#[test]
fn what_is_complete_waits_for_a_quarter_of_a_second_at_most() {
    let (mut log, id) = begun();
    assert_eq!(log.next(ms(5)), Step::Idle(None));
    complete(&mut log, id, 0, UNIT, ms(10));
    complete(&mut log, id, UNIT, 2 * UNIT, ms(200));
    assert_eq!(log.next(ms(259)), Step::Idle(Some(ms(260))));
    assert_eq!(log.next(ms(260)), Step::SyncTarget);
}

#[test]
fn a_round_begins_with_32_mib_and_copies_wait_where_64_are_not_recorded() {
    let (mut log, id) = begun();
    complete(&mut log, id, 0, 32 * MIB - 1, ms(0));
    assert_eq!(log.next(ms(1)), Step::Idle(Some(ms(250))));
    complete(&mut log, id, 32 * MIB - 1, 32 * MIB, ms(1));
    assert_eq!(log.next(ms(1)), Step::SyncTarget);
    // What comes while it is recorded is not part of the round, and counts besides.
    complete(&mut log, id, 32 * MIB, 64 * MIB - 1, ms(2));
    assert!(!log.is_full());
    complete(&mut log, id, 64 * MIB - 1, 64 * MIB, ms(3));
    assert!(log.is_full());
    log.done();
    assert!(matches!(log.next(ms(4)), Step::Append { .. }) && log.is_full());
    log.done();
    assert!(log.next(ms(5)) == Step::SyncJournal && log.is_full());
    log.done();
    assert!(!log.is_full());
    assert_eq!(log.recorded_to(id), Some(32 * MIB));
    assert_eq!(log.next(ms(6)), Step::SyncTarget, "the other half is due at once");
}
