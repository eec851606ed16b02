//! What is shown while a bench lasts: a line with the last interval, and what hangs.

use std::collections::VecDeque;
use std::time::Duration;

use highwater::bench::{self, sweep};
use highwater::engine::{IntervalSink, News, Stall, load};
use highwater::latency::{Interval, Kind};
use highwater::units::{format_bytes, format_duration, format_ns, format_rate};

use crate::display::Display;
use crate::quote::quote;

/// The sparkline's steps, from nothing to the most.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// At most so many intervals are in it, and at least so many.
const WIDTH: (usize, usize) = (12, 4);
/// What the line of a load of one kind fits.
const COLUMNS: usize = 80;

/// See the module.
pub struct Live {
    display: Display,
    sink: Option<IntervalSink>,
    length: Duration,
    /// operations a second, of the last intervals
    rates: VecDeque<f64>,
}

impl Live {
    /// Passes intervals on to `sink`, too.
    pub fn new(display: Display, intervals: Option<(Duration, IntervalSink)>, length: Duration) -> Live {
        Live { display, sink: intervals.map(|(_, sink)| sink), length, rates: VecDeque::new() }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        self.display.clear();
    }

    fn show(&self, text: String) {
        match &self.display {
            Display::Terminal(_) => self.display.draw(None, text),
            Display::Log => self.display.print(&text),
            Display::Nowhere => {}
        }
    }

    /// Says something past the line.
    pub fn say(&self, message: &str) {
        self.display.aside(|| eprintln!("highwater: {message}"));
    }
}

impl bench::Witness for Live {
    fn laying_out(&mut self, size_bytes: u64) {
        self.show(format!("writing a scratch file of {}", format_bytes(size_bytes)));
    }
}

impl sweep::Witness for Live {
    fn step(&mut self, step: &sweep::Step) {
        let load = step.rate_per_s.map_or(format!("depth {}", step.depth), |rate| format!("{rate:.0}/s"));
        let p99 = step.worst(sweep::Percentile::P99).map_or("-".to_owned(), |ns| format_ns(ns as f64));
        self.show(format!("sweep: {load} gave {:.0}/s, p99 {p99}", step.operations_per_s));
    }
}

impl load::Witness for Live {
    fn interval(&mut self, interval: &Interval) {
        if let Some(sink) = &mut self.sink {
            sink(interval);
        }
        if matches!(self.display, Display::Nowhere) || interval.length.is_zero() {
            return;
        }
        let text = self.line(interval);
        self.show(text);
    }

    fn news(&mut self, news: &News) {
        match news {
            News::Hangs(stall) => self.say(&format!("{}, and still does", hangs(stall))),
            News::GoesOn(stall) => self.say(&hangs(stall)),
        }
    }
}

/// What did not complete, and for how long.
fn hangs(stall: &Stall) -> String {
    let (op, path) = (stall.op.name(), quote(&stall.path));
    let place =
        stall.offset.filter(|_| op != "sync").map(|offset| format!(" at byte {offset}")).unwrap_or_default();
    format!("no {op} of {path} has completed for {}{place}", format_duration(stall.length))
}

impl Live {
    /// How far it is, the rates of the last intervals and the times of the last one.
    fn line(&mut self, interval: &Interval) -> String {
        let seconds = interval.length.as_secs_f64();
        let summaries = [Kind::Read, Kind::Write].map(|kind| (kind, interval.histograms.summary(kind)));
        let operations: u64 = summaries.iter().map(|(_, summary)| summary.count).sum();
        let rate = operations as f64 / seconds;
        if self.rates.len() == WIDTH.0 {
            self.rates.pop_front();
        }
        self.rates.push_back(rate);
        let bytes = (interval.read_bytes + interval.write_bytes) as f64 / seconds;
        let at = (interval.start + interval.length).min(self.length);
        let (at, length) = (at.as_secs_f64(), self.length.as_secs_f64());
        let head = format!("{at:.0}/{length:.0} s  {rate:.0}/s ");
        let mut times = String::new();
        for (kind, service) in summaries {
            let response = kind.response().map(|kind| interval.histograms.summary(kind));
            let (label, summary) = match response.filter(|response| response.count > 0) {
                Some(response) => (format!("{} response", kind.name()), response),
                None => (kind.name().to_owned(), service),
            };
            if summary.count == 0 {
                continue;
            }
            let time = |ns: Option<u64>| ns.map_or("-".to_owned(), |ns| format_ns(ns as f64));
            let (p50, p99, max) = (time(summary.p50_ns), time(summary.p99_ns), time(summary.max_ns));
            times += &format!("  {label} p50 {p50} p99 {p99} max {max}");
        }
        // What is short of room is the sparkline first, then the bytes, which the rate tells as well.
        let bytes = format!("  {}", format_rate(bytes));
        let room = COLUMNS.saturating_sub(head.len() + times.len());
        let bytes = if room >= bytes.len() + WIDTH.1 { bytes } else { String::new() };
        let width = (room - bytes.len().min(room)).clamp(WIDTH.1, WIDTH.0);
        let known = self.rates.len().saturating_sub(width);
        format!("{head}{}{times}{bytes}", sparkline(self.rates.range(known..)))
    }
}

fn sparkline<'a>(rates: impl Iterator<Item = &'a f64> + Clone) -> String {
    let most = rates.clone().copied().fold(0.0, f64::max);
    let step = |rate: &f64| match most > 0.0 {
        true => STEPS[((rate / most * 7.0).round() as usize).min(7)],
        false => STEPS[0],
    };
    rates.map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater::latency::Recorder;

    #[test]
    fn the_line_tells_of_the_last_interval_and_the_rates_before() {
        let mut recorder = Recorder::new(&Kind::ALL, Some(Duration::from_secs(1)));
        for us in 1..=200 {
            recorder.record(Kind::Read, Duration::ZERO, us * 1000);
        }
        recorder.moved(Kind::Read, Duration::ZERO, 200 * 4096);
        let interval = recorder.take_interval(Duration::from_secs(1)).unwrap();
        let mut live = Live::new(Display::Nowhere, None, Duration::from_secs(10));
        live.rates = [100.0, 0.0].into();
        let line = "1/10 s  200/s ▅▁█  read p50 100 us p99 198 us max 200 us  800 KiB/s";
        assert_eq!(live.line(&interval), line);
    }

    #[test]
    fn the_line_fits_whatever_the_numbers_are() {
        let second = Duration::from_secs(1);
        for (seconds, times_us, bytes) in [(1, 1, 4096), (60, 12, 1 << 20), (3600, 12_400, 5 << 30)] {
            let mut recorder = Recorder::new(&Kind::ALL, Some(second));
            for us in (1..=120_531).map(|nth| times_us + nth % 100) {
                recorder.record(Kind::Write, Duration::ZERO, us * 1000);
                recorder.record(Kind::ResponseWrite, Duration::ZERO, us * 1000);
            }
            recorder.moved(Kind::Write, Duration::ZERO, bytes);
            let interval = recorder.take_interval(second).unwrap();
            let interval = Interval { start: Duration::from_secs(seconds - 1), ..interval };
            let mut live = Live::new(Display::Nowhere, None, Duration::from_secs(seconds));
            live.rates = vec![1.0; WIDTH.0].into();
            let line = live.line(&interval);
            assert!(line.chars().count() <= COLUMNS, "{line}");
            assert!(line.chars().filter(|c| STEPS.contains(c)).count() >= WIDTH.1, "{line}");
        }
    }
}
