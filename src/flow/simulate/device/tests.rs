use proptest::prelude::*;

use super::*;

const KIB: u32 = 1024;
const MIB: u32 = 1 << 20;

fn device(spec: &str) -> Device {
    Device::new(Spec::parse(spec).unwrap(), |_, _| Replay::default())
}

fn write(offset: u64, len: u32) -> Operation {
    Operation { kind: Kind::Write, offset, len, whole_sectors: false }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn operations_queue_for_the_bandwidth_and_wait_for_the_latency_together() {
    let mut device = device("bandwidth=100KB/s,latency=5ms");
    let mut file = device.file(b"");
    let due = [0, 1000, 2000].map(|offset| device.begin(&mut file, write(offset, 1000), ms(0)).due);
    assert_eq!(due, [15, 25, 35].map(ms));
    // Idle in between, it has saved nothing up.
    assert_eq!(device.begin(&mut file, write(3000, 1000), ms(5000)).due, ms(5015));
}

#[test]
fn a_device_that_is_kept_busy_is_as_fast_as_was_said_however_late_its_user_wakes() {
    for depth in [1, 4] {
        let mut device = device("bandwidth=1GiB/s");
        let mut file = device.file(b"");
        let mut now = vec![Duration::ZERO; depth];
        let blocks = 4096;
        for nth in 0..blocks {
            let operation = write(nth * u64::from(KIB), 512 * KIB);
            let lane = nth as usize % depth;
            let late = Duration::from_micros(40 + nth * 37 % 200);
            now[lane] = device.begin(&mut file, operation, now[lane]).due + late;
        }
        let took = now.into_iter().max().unwrap().as_secs_f64();
        assert!((took - 2.0).abs() < 0.01, "{depth}: {took}");
    }
}

#[test]
fn operations_a_second_bound_small_ones() {
    let mut device = device("bandwidth=100MiB/s,iops=1000");
    let mut file = device.file(b"");
    let small: Vec<_> = (0..10).map(|_| device.begin(&mut file, write(0, 4096), ms(0)).due).collect();
    assert_eq!(small[9], ms(10));
    assert_eq!(device.begin(&mut file, write(0, MIB), ms(10)).due, ms(20));
}

#[test]
fn reads_and_writes_have_their_own_figures_and_one_queue() {
    let mut device = device("read-bandwidth=2MiB/s,write-bandwidth=1MiB/s,write-latency=3ms");
    let mut file = device.file(b"");
    let read = Operation { kind: Kind::Read, ..write(0, MIB) };
    assert_eq!(device.begin(&mut file, read, ms(0)).due, ms(500));
    assert_eq!(device.begin(&mut file, write(0, MIB), ms(0)).due, ms(1503));
}

#[test]
fn writes_are_slower_behind_the_cliff() {
    let mut device = device("bandwidth=100MiB/s,cliff=1MiB/s@2MiB");
    let mut file = device.file(b"");
    let due = [0, 1, 2, 3].map(|nth| device.begin(&mut file, write(nth, MIB), ms(0)).due);
    assert_eq!(due, [10, 20, 1020, 2020].map(ms));
    let read = Operation { kind: Kind::Read, ..write(0, MIB) };
    assert_eq!(device.begin(&mut file, read, ms(0)).due, ms(2030));
}

#[test]
fn nothing_completes_in_a_stall() {
    let mut device = device("bandwidth=1MiB/s,latency=10ms,stall=2s@10s");
    let mut file = device.file(b"");
    assert_eq!(device.begin(&mut file, write(0, MIB), ms(9500)).due, ms(12_510));
    assert_eq!(device.begin(&mut file, write(0, MIB), ms(20_500)).due, ms(23_010));
    assert_eq!(device.sync(None, ms(21_000)).due, ms(23_000));
}

#[test]
fn a_sync_waits_for_what_was_written() {
    let mut device = device("bandwidth=1MiB/s,sync-latency=30ms,sync-error=EIO:100%");
    let mut file = device.file(b"");
    device.begin(&mut file, write(0, MIB), ms(0));
    assert_eq!(device.sync(Some(&mut file), ms(1)), Service { outcome: Err(libc::EIO), due: ms(1030) });
}

#[test]
fn it_is_full_at_the_byte() {
    let mut device = device("full=1000000");
    let mut file = device.file(b"");
    let mut at = 0;
    let error = loop {
        match device.begin(&mut file, write(at, 300_000), ms(0)).outcome {
            Ok(len) => at += u64::from(len),
            Err(errno) => break errno,
        }
    };
    assert_eq!((at, error), (1_000_000, libc::ENOSPC));
    // What is there can be written again, and nothing of another file has room.
    assert_eq!(device.begin(&mut file, write(999_000, 5000), ms(0)).outcome, Ok(1000));
    let mut other = device.file(b"other");
    assert_eq!(device.begin(&mut other, write(0, 1), ms(0)).outcome, Err(libc::ENOSPC));
    let read = Operation { kind: Kind::Read, ..write(5_000_000, 1) };
    assert_eq!(device.begin(&mut other, read, ms(0)).outcome, Ok(1));
}

#[test]
fn files_share_the_room() {
    let mut device = device("full=10000");
    let mut files = [device.file(b"a"), device.file(b"b")];
    assert_eq!(device.begin(&mut files[0], write(0, 6000), ms(0)).outcome, Ok(6000));
    assert_eq!(device.begin(&mut files[1], write(0, 6000), ms(0)).outcome, Ok(4000));
    // Around the page cache in whole sectors.
    let mut device = self::device("full=10000");
    let direct = Operation { whole_sectors: true, ..write(0, 12_288) };
    let mut file = device.file(b"a");
    assert_eq!(device.begin(&mut file, direct, ms(0)).outcome, Ok(8192));
}

#[test]
fn a_bad_place_stops_what_meets_it() {
    let mut device = device("write-error=EIO@70000,latency=1ms");
    let mut file = device.file(b"");
    let outcomes = [(0, 65_536), (65_536, 65_536), (69_632, 4096), (73_728, 65_536)]
        .map(|(offset, len)| device.begin(&mut file, write(offset, len), ms(0)).outcome);
    assert_eq!(outcomes, [Ok(65_536), Ok(4096), Err(libc::EIO), Ok(65_536)]);
    assert_eq!(device.begin(&mut file, write(69_632, 4096), ms(0)).outcome, Err(libc::EIO), "each time");
}

/// Outcomes of blocks, each tried until it succeeds, in this order.
fn outcomes(
    spec: &str,
    key: &[u8],
    order: impl Iterator<Item = u64>,
    now: Duration,
) -> Vec<(u64, Vec<Result<u32, i32>>)> {
    let mut device = device(spec);
    let mut file = device.file(key);
    let mut outcomes: Vec<_> = order
        .map(|nth| {
            let offset = nth * 65_536;
            let mut tries = vec![];
            while tries.len() < 10 && !matches!(tries.last(), Some(Ok(_))) {
                tries.push(device.begin(&mut file, write(offset, 65_536), now).outcome);
            }
            (offset, tries)
        })
        .collect();
    assert!(file.attempts.len() <= outcomes.iter().filter(|(_, tries)| tries.len() == 10).count());
    outcomes.sort_by_key(|(offset, _)| *offset);
    outcomes
}

#[test]
fn what_fails_depends_on_no_order_and_no_time() {
    let spec = "error=EIO:20%,short=30%,latency=lognormal:1ms:1,seed=9";
    let one = outcomes(spec, b"a", 0..1000, ms(0));
    assert_eq!(one, outcomes(spec, b"a", (0..1000).rev(), ms(77_777)));
    assert_ne!(one, outcomes(spec, b"b", 0..1000, ms(0)), "another file");
    assert_ne!(one, outcomes(&spec.replace("=9", "=8"), b"a", 0..1000, ms(0)), "another seed");
    let count =
        |is: fn(&Result<u32, i32>) -> bool| one.iter().flat_map(|(_, tries)| tries).filter(|t| is(t)).count();
    let (all, failed) = (count(|_| true), count(|t| t.is_err()));
    assert!((failed as f64 / all as f64 - 0.2).abs() < 0.03, "{failed} of {all}");
    let short = count(|t| matches!(t, Ok(len) if *len < 65_536));
    assert!((short as f64 / 1000.0 - 0.3).abs() < 0.05, "{short}");
    assert!(
        one.iter()
            .flat_map(|(_, tries)| tries)
            .all(|t| t.is_err_and(|e| e == libc::EIO) || t.is_ok_and(|len| len % 4096 == 0 && len > 0))
    );
}

#[test]
fn of_several_failures_the_first_is_told_first() {
    let mut device = device("error=EIO:100%,latency=uniform:1ms:1s");
    let mut file = device.file(b"");
    let due: Vec<_> = (0..100).map(|nth| device.begin(&mut file, write(nth, 1), ms(0)).due).collect();
    assert!(due.is_sorted());
}

#[test]
fn a_log_is_asked_for_by_kind() {
    let latency = Some(spec::Latency::Replay("x".into()));
    let replayed = Spec { sync: spec::Sync { latency, error: None }, ..Spec::default() };
    let mut asked = vec![];
    Device::new(replayed, |name, kind| {
        asked.push((name.to_owned(), kind));
        Replay::default()
    });
    assert_eq!(asked, [("x".to_owned(), Latency::Sync)]);
}

proptest! {
    /// Whatever is asked, at whatever times: no panic, some of what was asked for or an error, never
    /// before now.
    #[test]
    fn any_operations_may_come(
        seed: u64, operations in proptest::collection::vec((0u64..1 << 62, 1u32.., any::<bool>(), any::<bool>(), 0u64..1 << 40), 1..40),
    ) {
        let mut device = device(&format!(
            "bandwidth=1,iops=1,latency=lognormal:1h:5,stall=9ms@10ms,error=EIO:30%,short=50%,full=1E,cliff=1@1K,seed={seed}"
        ).replace("cliff=1@1K,", ""));
        let mut file = device.file(b"x");
        for (offset, len, is_read, whole_sectors, ns) in operations {
            let kind = if is_read { Kind::Read } else { Kind::Write };
            let service = device.begin(&mut file, Operation { kind, offset, len, whole_sectors }, Duration::from_nanos(ns));
            prop_assert!(service.due >= Duration::from_nanos(ns));
            if let Ok(moved) = service.outcome {
                prop_assert!(moved > 0 && moved <= len);
            }
            device.sync(Some(&mut file), Duration::from_nanos(ns));
        }
    }
}
