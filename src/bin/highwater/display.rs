//! Where the progress line is drawn, and how other text gets past it.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::When;

/// Where the line goes.
#[derive(Clone)]
pub enum Display {
    Terminal(ProgressBar),
    Log,
    Nowhere,
}

impl Display {
    /// As asked.
    pub fn new(progress: When) -> Display {
        match (progress, std::io::stderr().is_terminal()) {
            (When::Never, _) | (When::Auto, false) => Display::Nowhere,
            (When::Auto | When::Always, true) => Display::Terminal(bar()),
            (When::Always, false) => Display::Log,
        }
    }

    /// Draws the line over what it was; `done` of how much there is, where that is known.
    pub fn draw(&self, done: Option<(u64, u64)>, text: String) {
        let Display::Terminal(bar) = self else { return };
        let style = match done {
            Some((done, total)) => {
                bar.set_length(total);
                bar.set_position(done);
                "[{bar:20}] {msg}"
            }
            None => "{msg}",
        };
        bar.set_style(ProgressStyle::with_template(style).expect("a constant").progress_chars("=> "));
        bar.set_message(text);
    }

    /// One line that stays.
    pub fn print(&self, text: &str) {
        self.aside(|| eprintln!("{text}"));
    }

    /// Does `write` with the line out of its way.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match self {
            Display::Terminal(bar) => bar.suspend(write),
            Display::Log | Display::Nowhere => write(),
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if let Display::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{msg}").expect("a constant"));
    bar
}
