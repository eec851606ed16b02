use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn plan() -> Plan {
    Plan {
        read_percent: 100,
        random: true,
        block_bytes: 4096,
        blocks: 1000,
        depth: 4,
        high_water_bytes: u64::MAX,
        low_water_bytes: None,
        limit_bytes_per_s: None,
        arrival: Arrival::Fixed { per_s: 500.0 },
        length: 8 * SECOND,
        operations: u64::MAX,
        sync_every: None,
        seed: 1,
    }
}

/// Runs a load against a target that takes `service(started)` for each operation, and says for each
/// its intended start, its start and its end, and for what waited at the end its intended start.
fn run(
    plan: Plan,
    mut service: impl FnMut(Duration) -> Duration,
) -> (Vec<(Operation, Duration, Duration)>, Vec<Operation>, Load) {
    let mut load = Load::new(plan);
    let (mut now, mut out, mut done) =
        (Duration::ZERO, Vec::<(Operation, Duration, Duration)>::new(), vec![]);
    loop {
        let wait = match load.next(now) {
            Next::Start(operation) => {
                out.push((operation, now, now + service(now)));
                let moving = out.iter().filter(|(operation, ..)| operation.action != Action::Sync).count();
                assert!(moving as u64 * u64::from(plan.block_bytes) <= load.marks().high_bytes());
                continue;
            }
            Next::Wait(until) => Some(until),
            Next::Full => None,
            Next::Done if out.is_empty() => break,
            Next::Done => None,
        };
        let first = out.iter().enumerate().min_by_key(|(_, (_, _, end))| *end).map(|(nth, one)| (nth, one.2));
        match (first, wait) {
            (Some((nth, end)), wait) if wait.is_none_or(|until| end <= until) => {
                now = now.max(end);
                done.push(out.remove(nth));
                load.completed(done.last().unwrap().0.action, now);
            }
            (_, Some(until)) => now = now.max(until),
            (_, None) => panic!("nothing to wait for"),
        }
    }
    let abandoned = std::iter::from_fn(|| load.abandon()).collect();
    (done, abandoned, load)
}

fn quantile(mut values: Vec<Duration>, q: f64) -> Duration {
    values.sort();
    values[((values.len() as f64 * q).ceil() as usize).max(1) - 1]
}

#[test]
fn a_stall_of_two_seconds_is_in_the_response_times_of_all_that_waited() {
    let stall = SECOND * 3..SECOND * 5;
    let ms = Duration::from_millis;
    let service = |start: Duration| match stall.contains(&(start + ms(1))) {
        true => stall.end - start,
        false => ms(1),
    };
    let (done, abandoned, load) = run(Plan { depth: 32, ..plan() }, service);
    assert_eq!((done.len(), abandoned.len()), (4000, 0));
    let response: Vec<_> = done.iter().map(|(op, _, end)| *end - op.intended.unwrap()).collect();
    let service: Vec<_> = done.iter().map(|(_, start, end)| *end - *start).collect();
    let near = |time: Duration, expected: Duration| time.abs_diff(expected) < ms(35);
    assert!(near(quantile(response.clone(), 0.9), ms(1200)), "{:?}", quantile(response, 0.9));
    assert!(near(quantile(response.clone(), 0.99), ms(1920)), "{:?}", quantile(response, 0.99));
    assert!(near(*response.iter().max().unwrap(), ms(2000)));
    assert_eq!(quantile(service.clone(), 0.99), ms(1), "what was in flight is 32 of 4,000");
    assert!(near(*service.iter().max().unwrap(), ms(2000)));
    assert!((960..=970).contains(&load.most_waiting()), "{}", load.most_waiting());
}

#[test]
fn a_closed_loop_keeps_its_depth_and_knows_no_intended_start() {
    let closed = Plan { arrival: Arrival::Closed, length: SECOND, ..plan() };
    let (done, abandoned, load) = run(closed, |_| Duration::from_millis(10));
    assert_eq!((done.len(), abandoned.len(), load.most_waiting()), (400, 0, 0));
    assert!(done.iter().all(|(operation, ..)| operation.intended.is_none()));
    let counted = Plan { operations: 7, ..closed };
    assert_eq!(run(counted, |_| Duration::from_millis(1)).0.len(), 7);
}

#[test]
fn what_waits_at_the_end_is_told_with_its_intended_start() {
    // 4 at a time for 5 s each, of 500 a second for 8 s.
    let (done, abandoned, load) = run(plan(), |_| 5 * SECOND);
    assert_eq!((done.len(), abandoned.len()), (8, 3992));
    assert_eq!(load.waiting(), 0);
    assert_eq!(abandoned[0].intended, Some(Duration::from_millis(16)));
    assert_eq!(abandoned.last().unwrap().intended, Some(Duration::from_millis(7998)));
}

#[test]
fn too_many_waiting_end_the_load() {
    let fast = Plan { arrival: Arrival::Fixed { per_s: 1e6 }, length: 3600 * SECOND, ..plan() };
    let (done, abandoned, load) = run(fast, |_| 10 * SECOND);
    assert!(load.is_overrun());
    assert_eq!((done.len() as u64, abandoned.len() as u64), (4, MOST_WAITING));
}

#[test]
fn syncs_come_after_every_so_many_writes() {
    let writes = Plan { read_percent: 0, random: false, sync_every: Some(3), operations: 7, ..plan() };
    let (mut done, ..) = run(writes, |_| Duration::from_millis(1));
    done.sort_by_key(|(operation, start, _)| (*start, operation.action == Action::Sync));
    let actions: String = done
        .iter()
        .map(|(operation, ..)| match operation.action {
            Action::Read => 'r',
            Action::Write => 'w',
            Action::Sync => 's',
        })
        .collect();
    assert_eq!(actions, "wwwswwwsw");
    let offsets: Vec<u64> = done
        .iter()
        .filter(|(operation, ..)| operation.action == Action::Write)
        .map(|(operation, ..)| operation.offset / 4096)
        .collect();
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_low_water_mark_holds_what_comes_until_so_little_is_in_flight() {
    let closed = Plan { arrival: Arrival::Closed, length: SECOND, ..plan() };
    let marked = Plan { low_water_bytes: Some(0), ..closed };
    // Four start at once, and take 10, 20, 30 and 40 ms: the next four wait for the last of them.
    let mut nth = 0;
    let (done, _, load) = run(marked, |_| {
        nth += 1;
        Duration::from_millis(10 * ((nth - 1) % 4 + 1))
    });
    let mut starts: Vec<u128> = done.iter().map(|(_, start, _)| start.as_millis()).collect();
    starts.sort();
    let expected: Vec<u128> = (0..25).flat_map(|nth| [40 * nth; 4]).collect();
    assert_eq!(starts, expected);
    let stats = load.level_stats(SECOND);
    assert_eq!((stats.peak_bytes, stats.backpressure_events, stats.drain_events), (4 * 4096, 25, 25));
    assert_eq!(stats.paused, SECOND);
    // At half of it two are in flight at most, though there are places for four.
    let (done, _, load) = run(Plan { high_water_bytes: 2 * 4096 + 1, ..closed }, |_| SECOND / 100);
    assert_eq!((done.len(), load.level_stats(SECOND).peak_bytes), (200, 2 * 4096));
}

#[test]
fn what_waits_for_the_marks_or_the_limit_counts_from_its_arrival() {
    // 500 a second arrive, and 250 may start.
    let limited = Plan { limit_bytes_per_s: Some(250 * 4096), length: SECOND, ..plan() };
    let (done, abandoned, load) = run(limited, |_| Duration::from_micros(10));
    assert!((249..=264).contains(&done.len()), "{}", done.len());
    assert_eq!(done.len() + abandoned.len(), 500);
    let waited = done.iter().map(|(operation, start, _)| *start - operation.intended.unwrap());
    let longest = waited.max().unwrap();
    assert!((Duration::from_millis(470)..Duration::from_millis(502)).contains(&longest), "{longest:?}");
    assert!(load.most_waiting() >= 230, "{}", load.most_waiting());
}

#[test]
fn poisson_gaps_have_the_mean_and_the_spread_of_their_rate() {
    let poisson = Plan { arrival: Arrival::Poisson { per_s: 1000.0 }, length: 100 * SECOND, ..plan() };
    let (done, abandoned, _) = run(Plan { depth: 1000, ..poisson }, |_| Duration::from_micros(1));
    assert!(abandoned.is_empty());
    let mut times: Vec<f64> = done.iter().map(|(op, ..)| op.intended.unwrap().as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let spread = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
    assert!((mean * 1000.0 - 1.0).abs() < 0.02 && (spread * 1000.0 - 1.0).abs() < 0.02, "{mean} {spread}");
}

proptest! {
    /// Whatever the target does, and wherever the marks and the limit are: they hold, every arrival is
    /// submitted or told of, once, in order, and no sooner than it was meant.
    #[test]
    fn nothing_is_lost_whatever_the_target_does(
        seed: u64, depth in 1u16..40, per_s in 1.0..5000.0, poisson: bool, read_percent in 0u8..=100,
        times_us in prop::collection::vec(1u64..200_000, 1..50), length_ms in 1u64..2000,
        high_blocks in 1u64..50, low_percent in proptest::option::of(0u64..100),
        limit_bytes_per_s in proptest::option::of(1u64..100_000_000),
    ) {
        let arrival = if poisson { Arrival::Poisson { per_s } } else { Arrival::Fixed { per_s } };
        let length = Duration::from_millis(length_ms);
        let high_water_bytes = high_blocks * 4096;
        let low_water_bytes =
            low_percent.map(|percent| high_blocks.min(depth.into()) * 4096 * percent / 100);
        let plan = Plan { depth, arrival, read_percent, length, seed, ..plan() };
        let plan = Plan { high_water_bytes, low_water_bytes, limit_bytes_per_s, ..plan };
        let mut times = times_us.iter().cycle();
        let (done, abandoned, load) = run(plan, |_| Duration::from_micros(*times.next().unwrap()));
        prop_assert_eq!(load.in_flight(), 0);
        let mut numbers: Vec<u64> = done.iter().map(|(op, ..)| op.number).collect();
        numbers.extend(abandoned.iter().map(|op| op.number));
        numbers.sort_unstable();
        prop_assert!(numbers.iter().copied().eq(0..numbers.len() as u64));
        for (op, start, _) in &done {
            prop_assert!(*start >= op.intended.unwrap());
            prop_assert!(op.intended.unwrap() < length && op.offset < 1000 * 4096 && op.offset % 4096 == 0);
        }
        if !poisson {
            let expected = (length.as_secs_f64() * per_s).ceil();
            prop_assert!((numbers.len() as f64 - expected).abs() <= 1.0, "{} {}", numbers.len(), expected);
        }
        // The same seed, the same operations.
        let again = run(plan, |_| Duration::from_micros(1)).0;
        let first = done.iter().find(|(op, ..)| op.number == 0).map(|(op, ..)| *op);
        prop_assert_eq!(again.iter().find(|(op, ..)| op.number == 0).map(|(op, ..)| *op).or(first), first);
    }
}
