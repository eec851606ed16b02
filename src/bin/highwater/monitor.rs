//! Watches a running job from a thread of its own: draws the progress line, answers SIGUSR1.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use highwater::engine::{Meter, Seen};
use highwater::sys::signals;
use highwater::units::{format_bytes, format_rate};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::When;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A line in a log is not drawn over, so there are fewer.
const LOG_EVERY: Duration = Duration::from_secs(1);
/// The rate shown is that of the last seconds.
const RATE_OVER: Duration = Duration::from_secs(3);

/// A watch that ends when it is dropped.
pub struct Monitor {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Where the line goes.
enum Display {
    Terminal(ProgressBar),
    Log,
    Nowhere,
}

impl Monitor {
    /// Watches `meter`, and shows it as asked.
    pub fn start(meter: &Arc<Meter>, progress: When) -> Monitor {
        let is_terminal = std::io::stderr().is_terminal();
        let display = match (progress, is_terminal) {
            (When::Never, _) | (When::Auto, false) => Display::Nowhere,
            (When::Auto | When::Always, true) => Display::Terminal(bar()),
            (When::Always, false) => Display::Log,
        };
        let meter = Arc::clone(meter);
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut line = Line::new();
            let mut answered = 0;
            let mut logged = Instant::now();
            let mut goes_on = true;
            while goes_on {
                goes_on = stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout);
                let seen = meter.look();
                let text = line.text(seen);
                let asked = signals::times_asked();
                if asked != answered {
                    answered = asked;
                    print(&display, &text);
                }
                match &display {
                    Display::Terminal(bar) => draw(bar, seen, text),
                    Display::Log if logged.elapsed() >= LOG_EVERY || !goes_on => {
                        logged = Instant::now();
                        print(&display, &text);
                    }
                    Display::Log | Display::Nowhere => {}
                }
            }
            if let Display::Terminal(bar) = display {
                bar.finish_and_clear();
            }
        });
        Monitor { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{msg}").expect("a constant"));
    bar
}

fn draw(bar: &ProgressBar, seen: Seen, text: String) {
    let style = match seen.total {
        Some(total) => {
            bar.set_length(total);
            bar.set_position(seen.completed + seen.holes);
            "[{bar:20}] {msg}"
        }
        None => "{msg}",
    };
    bar.set_style(ProgressStyle::with_template(style).expect("a constant").progress_chars("=> "));
    bar.set_message(text);
}

fn print(display: &Display, text: &str) {
    match display {
        Display::Terminal(bar) => bar.println(text),
        Display::Log | Display::Nowhere => eprintln!("{text}"),
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
        self.history.push_back((now, seen.completed));
        while self.history.len() > 2 && now - self.history[1].0 >= RATE_OVER {
            self.history.pop_front();
        }
        let (since, before) = self.history[0];
        let passed = (now - since).as_secs_f64();
        let rate = (seen.completed - before) as f64 / passed.max(1e-3);
        let level = format!("{}/{} in flight", format_bytes(seen.level), format_bytes(seen.high_water));
        let state = match (seen.syncing, seen.held) {
            (true, _) => ", syncing",
            (false, true) => ", backpressure",
            (false, false) => "",
        };
        let Some(total) = seen.total else {
            return format!("{}  {}  {level}{state}", format_bytes(done), format_rate(rate));
        };
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        let left = total.saturating_sub(done) as f64;
        let eta = if rate > 0.0 { clock(left / rate) } else { "-".to_owned() };
        let (done, total, rate) = (format_bytes(done), format_bytes(total), format_rate(rate));
        format!("{percent}%  {done} of {total}  {rate}  ETA {eta}  {level}{state}")
    }
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
            holes: 0,
            level: 4 << 20,
            high_water: 4 << 20,
            held: true,
            syncing: false,
        };
        let text = Line::new().text(seen);
        assert!(text.starts_with("25%  250 MiB of 1000 MiB  "), "{text}");
        assert!(text.ends_with("  4 MiB/4 MiB in flight, backpressure"), "{text}");
        let unknown = Line::new().text(Seen { total: None, syncing: true, ..seen });
        assert!(unknown.starts_with("250 MiB  ") && unknown.ends_with(", syncing"), "{unknown}");
    }

    #[test]
    fn times_read_as_clocks() {
        assert_eq!([clock(0.2), clock(61.0), clock(3723.0)], ["0:01", "1:01", "1:02:03"]);
    }
}
