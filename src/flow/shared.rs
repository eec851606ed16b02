//! One level for many pumps: the sum of what they have in flight stays under one mark.
//!
//! Knows who was refused, so that whoever drives the pumps can be told when it is worth asking
//! again, and who goes first. Must not know how anybody waits: a `Mutex` and a flag are all there
//! is of concurrency here, held for some instructions and never while anything is waited for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::gentle::Gentle;
use super::marks::{Level, LevelStats, Marks};
use super::mover::Mover;
use super::tune::{Admitted, Bound, Completion, Tuned, Tuner};

/// A [`Level`] that any number of pumps stand under, on any threads.
///
/// A pump that was refused while it holds nothing goes before those that hold something: these are
/// refused until it was admitted, and each of them hears of it by a completion of its own.
#[derive(Debug)]
pub struct SharedLevel {
    inner: Mutex<Inner>,
    opened: AtomicBool,
    /// its mark finds itself
    is_tuned: bool,
    /// the mark, for whoever only shows it
    high_bytes: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    level: Level,
    /// bytes written so far
    delivered: u64,
    /// moves the mark
    mover: Option<Mover>,
    /// pumps that were refused when they asked last
    refused: u32,
    /// those of them that held nothing then
    starved: u32,
}

impl SharedLevel {
    /// An empty level under `marks`.
    pub fn new(marks: Marks) -> Arc<SharedLevel> {
        SharedLevel::with(marks, None)
    }

    /// An empty level whose high-water mark is moved by `tuner`, from where that stands; of `marks` the
    /// low-water mark and the block hold.
    pub fn tuned(marks: Marks, tuner: Tuner) -> Arc<SharedLevel> {
        SharedLevel::with(marks, Some(Mover::Tuner(Box::new(tuner))))
    }

    /// The same, moved by what gives way to others.
    pub fn gentle(marks: Marks, gentle: Gentle) -> Arc<SharedLevel> {
        SharedLevel::with(marks, Some(Mover::Gentle(Box::new(gentle))))
    }

    fn with(marks: Marks, mover: Option<Mover>) -> Arc<SharedLevel> {
        let marks = mover.as_ref().map_or(marks, |mover| marks.with_high(mover.mark_bytes()));
        let is_tuned = mover.is_some();
        let inner = Inner { level: Level::new(marks), delivered: 0, mover, refused: 0, starved: 0 };
        let high_bytes = AtomicU64::new(marks.high_bytes());
        Arc::new(SharedLevel {
            inner: Mutex::new(inner),
            opened: AtomicBool::new(false),
            is_tuned,
            high_bytes,
        })
    }

    /// The marks it stands under now.
    pub fn marks(&self) -> Marks {
        self.lock().level.marks()
    }

    /// Another high-water mark from now on: a block or more, above the low-water mark. Raised, it lets
    /// pumps in that were refused; lowered, it admits less until what is above it is written.
    pub fn set_high(&self, high_bytes: u64, now: Duration) {
        let mut inner = self.lock();
        self.high_bytes.store(high_bytes, Ordering::Relaxed);
        if inner.level.set_high(high_bytes, now) && inner.refused > 0 {
            self.tell_opened();
        }
    }

    /// The high-water mark now, as it is shown.
    pub fn high_bytes(&self) -> u64 {
        self.high_bytes.load(Ordering::Relaxed)
    }

    /// What holds the rate back by now, where its mark finds itself.
    pub fn bound(&self) -> Option<Bound> {
        if !self.is_tuned {
            return None;
        }
        self.lock().mover.as_ref().map(Mover::bound)
    }

    /// What its mark has come to, where that finds itself.
    pub fn what_was_tuned(&self) -> Option<Tuned> {
        self.lock().mover.as_ref().map(Mover::tuned)
    }

    /// In-flight bytes of all pumps.
    pub fn in_flight_bytes(&self) -> u64 {
        self.lock().level.in_flight_bytes()
    }

    /// Whether admission is closed.
    pub fn is_held(&self) -> bool {
        self.lock().level.is_held()
    }

    /// What it has seen until `now`.
    pub fn stats(&self, now: Duration) -> LevelStats {
        self.lock().level.stats(now)
    }

    /// Whether pumps that were refused may be admitted now, since this was last asked. Whoever
    /// gets true has every pump that was refused ask again: nobody else is told. To be asked
    /// after everything that was told to a pump.
    pub fn take_opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed) && self.opened.swap(false, Ordering::AcqRel)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_opened(&self) {
        self.opened.store(true, Ordering::Release);
    }
}

/// What became of a pump's last question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Admitted,
    /// with bytes of its own in flight, whose completion lets it ask again
    Refused,
    /// with nothing of its own in flight: only others can let it in
    Starved,
}

/// A pump's part of a shared level.
#[derive(Clone, Debug)]
pub(super) struct Share {
    level: Arc<SharedLevel>,
    bytes: u64,
    answer: Answer,
}

impl Inner {
    /// A pump's answer becomes another; true where that lets others ask again.
    fn change(&mut self, own: &mut Answer, to: Answer) -> bool {
        let from = std::mem::replace(own, to);
        self.refused += u32::from(to != Answer::Admitted);
        self.refused -= u32::from(from != Answer::Admitted);
        self.starved += u32::from(to == Answer::Starved);
        self.starved -= u32::from(from == Answer::Starved);
        // The last one that went first is in: those it went before may ask again.
        let was_last = from == Answer::Starved && self.starved == 0;
        was_last && self.others_wait(to)
    }

    /// What moves the mark hears of a block; the mark that it wants now, where that is another.
    fn tune(&mut self, bytes: u64, admitted: Admitted, now: Duration) -> Option<u64> {
        let mover = self.mover.as_mut()?;
        mover.completed(&Completion {
            bytes,
            admitted,
            completed_at: now,
            delivered: self.delivered,
            held: self.level.held(now),
        })
    }

    /// Whether pumps other than the one with this answer were refused.
    fn others_wait(&self, own: Answer) -> bool {
        self.refused > u32::from(own != Answer::Admitted)
    }
}

impl Share {
    fn admit(&mut self, bytes: u64, now: Duration) -> Option<Admitted> {
        let mut inner = self.level.lock();
        let others_first = self.bytes > 0 && inner.starved > 0;
        let answer = match !others_first && inner.level.admit(bytes, now) {
            true => Answer::Admitted,
            false if self.bytes > 0 => Answer::Refused,
            false => Answer::Starved,
        };
        if inner.change(&mut self.answer, answer) {
            self.level.tell_opened();
        }
        let admitted = answer == Answer::Admitted;
        self.bytes += if admitted { bytes } else { 0 };
        admitted.then(|| Admitted { at: now, delivered: inner.delivered })
    }

    fn release(&mut self, bytes: u64, release: impl FnOnce(&mut Inner) -> bool) {
        assert!(bytes <= self.bytes, "a pump gives back what is its own");
        if bytes == 0 {
            return;
        }
        self.bytes -= bytes;
        let mut inner = self.level.lock();
        if release(&mut inner) && inner.others_wait(self.answer) {
            self.level.tell_opened();
        }
    }

    fn written(&mut self, bytes: u64, admitted: Admitted, now: Duration) {
        let level = Arc::clone(&self.level);
        self.release(bytes, |inner| {
            let drained = inner.level.written(bytes, now);
            inner.delivered += bytes;
            let Some(mark) = inner.tune(bytes, admitted, now) else { return drained };
            level.high_bytes.store(mark, Ordering::Relaxed);
            inner.level.set_high(mark, now) || drained
        });
    }

    fn leave(&mut self, now: Duration) {
        let bytes = self.bytes;
        self.release(bytes, |inner| inner.level.give_back(bytes, now));
        if self.answer != Answer::Admitted && self.level.lock().change(&mut self.answer, Answer::Admitted) {
            self.level.tell_opened();
        }
    }
}

/// The level that a pump stands under: its own, or one that it shares.
#[derive(Clone, Debug)]
pub(super) enum PumpLevel {
    Own(Level),
    Shared(Share),
}

impl PumpLevel {
    pub fn shared(level: Arc<SharedLevel>) -> PumpLevel {
        PumpLevel::Shared(Share { level, bytes: 0, answer: Answer::Admitted })
    }

    /// Of this pump alone.
    pub fn in_flight_bytes(&self) -> u64 {
        match self {
            PumpLevel::Own(level) => level.in_flight_bytes(),
            PumpLevel::Shared(share) => share.bytes,
        }
    }

    /// Whether a closed admission holds this pump back.
    pub fn holds(&self) -> bool {
        match self {
            PumpLevel::Own(level) => level.is_held(),
            PumpLevel::Shared(_) => self.is_refused() && self.is_held(),
        }
    }

    /// Whether admission is closed.
    pub fn is_held(&self) -> bool {
        match self {
            PumpLevel::Own(level) => level.is_held(),
            PumpLevel::Shared(share) => share.level.is_held(),
        }
    }

    pub fn is_refused(&self) -> bool {
        matches!(self, PumpLevel::Shared(share) if share.answer != Answer::Admitted)
    }

    pub fn is_starved(&self) -> bool {
        matches!(self, PumpLevel::Shared(share) if share.answer == Answer::Starved)
    }

    pub fn admit(&mut self, bytes: u64, now: Duration) -> Option<Admitted> {
        match self {
            PumpLevel::Own(level) => level.admit(bytes, now).then_some(Admitted { at: now, delivered: 0 }),
            PumpLevel::Shared(share) => share.admit(bytes, now),
        }
    }

    /// There is something to read, `bytes` of it, and no free slot. That closes an own level; a
    /// shared one only where it has no room either, since others have slots.
    pub fn hold(&mut self, bytes: u64, now: Duration) {
        match self {
            PumpLevel::Own(level) => level.hold(now),
            PumpLevel::Shared(share) => {
                let mut inner = share.level.lock();
                if inner.level.in_flight_bytes() + bytes > inner.level.marks().high_bytes() {
                    inner.level.hold(now);
                }
            }
        }
    }

    pub fn accept(&mut self, bytes: u64, now: Duration) -> Admitted {
        match self {
            PumpLevel::Own(level) => {
                level.accept(bytes, now);
                Admitted { at: now, delivered: 0 }
            }
            PumpLevel::Shared(share) => {
                share.bytes += bytes;
                let mut inner = share.level.lock();
                inner.level.accept(bytes, now);
                Admitted { at: now, delivered: inner.delivered }
            }
        }
    }

    pub fn give_back(&mut self, bytes: u64, now: Duration) {
        match self {
            PumpLevel::Own(level) => {
                level.give_back(bytes, now);
            }
            PumpLevel::Shared(share) => share.release(bytes, |inner| inner.level.give_back(bytes, now)),
        }
    }

    pub fn written(&mut self, bytes: u64, admitted: Admitted, now: Duration) {
        match self {
            PumpLevel::Own(level) => {
                level.written(bytes, now);
            }
            PumpLevel::Shared(share) => share.written(bytes, admitted, now),
        }
    }

    /// Gives everything back and asks no more.
    pub fn leave(&mut self, now: Duration) {
        match self {
            PumpLevel::Own(level) => {
                level.give_back(level.in_flight_bytes(), now);
            }
            PumpLevel::Shared(share) => share.leave(now),
        }
    }

    pub fn stats(&self, now: Duration) -> LevelStats {
        match self {
            PumpLevel::Own(level) => level.stats(now),
            PumpLevel::Shared(share) => share.level.stats(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::ZERO;

    fn three() -> (Arc<SharedLevel>, [PumpLevel; 3]) {
        let level = SharedLevel::new(Marks::new(20, None, 10, 20).unwrap());
        let pumps = [(); 3].map(|()| PumpLevel::shared(Arc::clone(&level)));
        (level, pumps)
    }

    #[test]
    fn a_pump_that_holds_nothing_goes_first() {
        let (level, [mut a, mut b, mut c]) = three();
        assert!(a.admit(10, NOW).is_some() && a.admit(10, NOW).is_some());
        assert!(b.admit(10, NOW).is_none() && b.is_starved());
        assert!(!level.take_opened());
        a.written(10, Admitted::default(), NOW);
        assert!(level.take_opened() && !level.take_opened(), "one is told, once");
        assert!(a.admit(10, NOW).is_none(), "there is room, and another goes first");
        assert!(a.is_refused() && !a.is_starved());
        assert!(b.admit(10, NOW).is_some());
        assert!(level.take_opened(), "those that it went before may ask again");
        assert!(c.admit(10, NOW).is_none());
        assert_eq!((a.in_flight_bytes(), b.in_flight_bytes(), level.in_flight_bytes()), (10, 10, 20));
    }

    #[test]
    fn a_pump_that_leaves_lets_others_in() {
        let (level, [mut a, mut b, mut c]) = three();
        assert!(
            a.admit(10, NOW).is_some()
                && a.admit(10, NOW).is_some()
                && b.admit(10, NOW).is_none()
                && c.admit(10, NOW).is_none()
        );
        a.leave(NOW);
        assert!(level.take_opened());
        b.leave(NOW);
        assert!(
            c.admit(10, NOW).is_some() && c.admit(10, NOW).is_some(),
            "a pump that left goes before nobody"
        );
        assert_eq!(level.stats(NOW).peak_bytes, 20);
        assert_eq!(level.stats(NOW).drain_events, 0, "nothing was written");
    }

    #[test]
    fn nobody_is_told_where_nobody_waits() {
        let (level, [mut a, ..]) = three();
        assert!(a.admit(10, NOW).is_some() && a.admit(10, NOW).is_some() && a.admit(10, NOW).is_none());
        a.written(10, Admitted::default(), NOW);
        assert!(!level.take_opened(), "it knows by its own completion");
    }

    #[test]
    fn a_mark_that_is_raised_lets_all_in_that_were_refused() {
        let (level, [mut a, mut b, mut c]) = three();
        assert!(a.admit(10, NOW).is_some() && a.admit(10, NOW).is_some());
        assert!(b.admit(10, NOW).is_none() && c.admit(10, NOW).is_none());
        level.set_high(40, NOW);
        assert!(level.take_opened() && !level.is_held());
        assert!(b.admit(10, NOW).is_some() && c.admit(10, NOW).is_some());
        level.set_high(10, NOW);
        a.written(10, Admitted::default(), NOW);
        a.written(10, Admitted::default(), NOW);
        assert!(a.admit(10, NOW).is_none(), "20 bytes are in flight, under a mark of 10");
        b.written(10, Admitted::default(), NOW);
        c.written(10, Admitted::default(), NOW);
        assert!(a.admit(10, NOW).is_some() && level.in_flight_bytes() == 10);
    }

    proptest! {
        /// Whatever completes when, the mark is between a block and the ring, nothing is admitted above
        /// it, and once all is written a block is: the tuner stalls nobody.
        #[test]
        fn a_tuned_level_keeps_its_bounds(
            ring in 1u32..40, least in 1u32..4, start in 0u32..50, low in any::<bool>(),
            steps in proptest::collection::vec((0u32..4, 0u64..1 << 36, 1u64..=100), 0..2000),
        ) {
            let least = least.min(ring);
            let low = low.then_some(u64::from(least) * 100 - 1);
            let marks = Marks::new(u64::from(ring) * 100, low, 100, u64::from(ring) * 100).unwrap();
            let level = SharedLevel::tuned(marks, Tuner::new(100, least, ring, start));
            let mut pump = PumpLevel::shared(Arc::clone(&level));
            let (mut now, mut admitted) = (Duration::ZERO, std::collections::VecDeque::new());
            for (what, pause, bytes) in steps {
                now += Duration::from_nanos(pause >> (what * 8));
                if what > 0 {
                    let before = level.in_flight_bytes();
                    let high = level.marks().high_bytes();
                    if let Some(admission) = pump.admit(bytes, now) {
                        prop_assert!(before + bytes <= high);
                        admitted.push_back((bytes, admission));
                    }
                }
                if what != 1 && let Some((bytes, admission)) = admitted.pop_front() {
                    // Those that tell may be late.
                    pump.written(bytes, admission, now.saturating_sub(Duration::from_nanos(pause & 0xffff)));
                }
                let high = level.marks().high_bytes();
                prop_assert!((u64::from(least) * 100..=u64::from(ring) * 100).contains(&high));
                prop_assert!(level.high_bytes() == high && level.in_flight_bytes() <= u64::from(ring) * 100);
            }
            for (bytes, admission) in admitted {
                pump.written(bytes, admission, now);
            }
            prop_assert!(pump.admit(100, now).is_some());
        }
    }
}
