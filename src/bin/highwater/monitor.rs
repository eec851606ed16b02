//! Watches a running job from a thread of its own: draws the progress line, answers SIGUSR1, tells what
//! hangs, and sees how the level was.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use highwater::engine::{LevelSpan, Levels, Meter, News, Seen, Stall, Stalls};
use highwater::flow::Bound;
use highwater::sys::signals;
use highwater::units::{format_bytes, format_rate};

use crate::display::Display;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A line in a log is not drawn over, so there are fewer.
const LOG_EVERY: Duration = Duration::from_secs(1);
/// Stretches of a run over which the level is told.
const LEVEL_EVERY: Duration = Duration::from_millis(250);
/// The rate shown is that of the last seconds.
const RATE_OVER: Duration = Duration::from_secs(3);

/// A watch that goes on until it is finished.
pub struct Monitor {
    stop: Sender<()>,
    thread: JoinHandle<Watched>,
}

/// What was seen of a run.
pub struct Watched {
    /// what hung
    pub stalls: Vec<Stall>,
    /// the in-flight bytes over time
    pub levels: Vec<LevelSpan>,
}

impl Monitor {
    /// Watches `meter`, and shows it on `display`. `tell` hears what hangs for longer than the limit, and
    /// when that ends; a limit of 0 is none. A stall's length is known to a fiftieth of the limit.
    pub fn start(
        meter: &Arc<Meter>,
        display: Display,
        tell: impl Fn(&News) + Send + 'static,
        stall_limit: Duration,
    ) -> Monitor {
        if !matches!(display, Display::Nowhere) {
            meter.want_total();
        }
        let meter = Arc::clone(meter);
        let look_every = match stall_limit.is_zero() {
            true => LOOK_EVERY,
            false => LOOK_EVERY.min(stall_limit / 50).max(Duration::from_millis(1)),
        };
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::spawn(move || {
            // Without it signals are answered by the others alone.
            let stands_by = signals::stand_by().is_ok();
            let began = Instant::now();
            let mut stalls = Stalls::new(stall_limit);
            let mut levels = Levels::new(LEVEL_EVERY);
            let mut line = Line::new();
            let mut answered = 0;
            let mut logged = Instant::now();
            let mut goes_on = true;
            while goes_on {
                goes_on = stopped.recv_timeout(look_every) == Err(RecvTimeoutError::Timeout);
                if stands_by {
                    signals::answer_pending();
                }
                if !stall_limit.is_zero() {
                    let posts = meter.posts();
                    let waits = posts.iter().enumerate();
                    let waits = waits.flat_map(|(nth, post)| post.waits().map(move |wait| (nth, wait)));
                    let news = stalls.look(began.elapsed(), waits, |nth, lane| posts[nth].what(lane));
                    news.iter().for_each(&tell);
                }
                let seen = meter.look();
                levels.look(began.elapsed(), seen.level);
                let text = line.text(seen);
                let asked = signals::times_asked();
                if asked != answered {
                    answered = asked;
                    display.print(&text);
                }
                match &display {
                    Display::Log if logged.elapsed() >= LOG_EVERY || !goes_on => {
                        logged = Instant::now();
                        display.print(&text);
                    }
                    Display::Terminal(_) => {
                        display.draw(seen.total.map(|total| (seen.completed + seen.holes, total)), text);
                    }
                    Display::Log | Display::Nowhere => {}
                }
            }
            display.clear();
            let ended = began.elapsed();
            Watched { stalls: stalls.finish(ended), levels: levels.finish(ended) }
        });
        Monitor { stop, thread }
    }

    /// The run is over: what was seen of it.
    pub fn finish(self) -> Watched {
        drop(self.stop);
        self.thread.join().expect("a panic aborts")
    }
}

/// The words of a progress line.
struct Line {
    /// when how many bytes were done, over the last seconds
    history: std::collections::VecDeque<(Instant, u64)>,
}

impl Line {
    fn new() -> Line {
        Line { history: [(Instant::now(), 0)].into() }
    }

    fn text(&mut self, seen: Seen) -> String {
        let now = Instant::now();
        let done = seen.completed + seen.holes;
        if self.history.back().is_some_and(|(_, before)| *before > seen.completed) {
            // Reading back has begun, and counts from 0 on.
            self.history = [(now, 0)].into();
        }
        self.history.push_back((now, seen.completed));
        while self.history.len() > 2 && now - self.history[1].0 >= RATE_OVER {
            self.history.pop_front();
        }
        let (since, before) = self.history[0];
        let passed = (now - since).as_secs_f64();
        let rate = (seen.completed - before) as f64 / passed.max(1e-3);
        let level = format!(
            "{}/{} in flight{}",
            format_bytes(seen.level),
            format_bytes(seen.high_water),
            found(seen.bound)
        );
        let state = match (seen.verifying, seen.syncing, seen.held) {
            (true, ..) => ", verifying",
            (false, true, _) => ", syncing",
            (false, false, true) => ", backpressure",
            (false, false, false) => "",
        };
        let counted = files(seen);
        let Some(total) = seen.total else {
            return format!("{counted}{}  {}  {level}{state}", format_bytes(done), format_rate(rate));
        };
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        let left = total.saturating_sub(done) as f64;
        let eta = if rate > 0.0 { clock(left / rate) } else { "-".to_owned() };
        let (done, total, rate) = (format_bytes(done), format_bytes(total), format_rate(rate));
        format!("{percent}%  {counted}{done} {} {total}  {rate}  ETA {eta}  {level}{state}", of(seen))
    }
}

/// How far a mark is that finds itself.
fn found(bound: Option<Bound>) -> &'static str {
    match bound {
        None => "",
        Some(Bound::Unknown) => " (auto: looking)",
        Some(Bound::Devices) => " (auto: enough)",
        Some(Bound::Ring) => " (auto: the ring is too small)",
        Some(Bound::Source) => " (auto: the source is slower)",
        Some(Bound::Wait) => " (gentle)",
    }
}

/// Of a tree, how many files are done.
fn files(seen: Seen) -> String {
    let done = grouped(seen.files);
    match seen.total_files {
        Some(0 | 1) if seen.total_is_final => String::new(),
        Some(total) => format!("{done} {} {} files  ", of(seen), grouped(total)),
        None if seen.files < 2 => String::new(),
        None => format!("{done} files  "),
    }
}

fn of(seen: Seen) -> &'static str {
    if seen.total_is_final { "of" } else { "of at least" }
}

/// `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds as `1:02:03` or `2:03`.
fn clock(seconds: f64) -> String {
    let s = seconds.min(359_999.0).ceil() as u64;
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_progress_level_and_backpressure() {
        let seen = Seen {
            total: Some(1000 << 20),
            completed: 250 << 20,
            level: 4 << 20,
            high_water: 4 << 20,
            held: true,
            total_is_final: true,
            ..Seen::default()
        };
        let text = Line::new().text(seen);
        assert!(text.starts_with("25%  250 MiB of 1000 MiB  "), "{text}");
        assert!(text.ends_with("  4 MiB/4 MiB in flight, backpressure"), "{text}");
        let tuned = Line::new().text(Seen { bound: Some(Bound::Ring), ..seen });
        assert!(tuned.ends_with(" in flight (auto: the ring is too small), backpressure"), "{tuned}");
        let unknown = Line::new().text(Seen { total: None, syncing: true, ..seen });
        assert!(unknown.starts_with("250 MiB  ") && unknown.ends_with(", syncing"), "{unknown}");
    }

    #[test]
    fn the_line_of_a_tree_counts_files_and_says_where_the_end_is_not_in_sight() {
        let (total, completed) = (Some(1000 << 20), 120 << 20);
        let seen = Seen { total, completed, files: 1234, total_files: Some(10_000), ..Seen::default() };
        let text = Line::new().text(seen);
        let expected = "12%  1,234 of at least 10,000 files  120 MiB of at least 1000 MiB  ";
        assert!(text.starts_with(expected), "{text}");
        let text = Line::new().text(Seen { total_is_final: true, ..seen });
        assert!(text.starts_with("12%  1,234 of 10,000 files  120 MiB of 1000 MiB  "), "{text}");
        assert_eq!([grouped(0), grouped(999), grouped(1_234_567)], ["0", "999", "1,234,567"]);
    }

    #[test]
    fn times_read_as_clocks() {
        assert_eq!([clock(0.2), clock(61.0), clock(3723.0)], ["0:01", "1:01", "1:02:03"]);
    }
}
