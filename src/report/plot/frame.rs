//! The frame that every plot has: axes, grid, what is written beside them, and the places inside.

use super::scale::Scale;
use super::svg::{Anchor, Drawing, Point};

/// How large a plot is drawn. Each is drawn twice, so that its letters can be read on a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 880 pixels
    Wide,
    /// 380 pixels
    Narrow,
}

impl Size {
    /// Both.
    pub const ALL: [Size; 2] = [Size::Wide, Size::Narrow];

    /// The class that a style sheet shows or hides, and the suffix of a file.
    pub fn name(self) -> &'static str {
        match self {
            Size::Wide => "wide",
            Size::Narrow => "narrow",
        }
    }

    /// The most columns that can be told apart.
    pub fn columns(self) -> usize {
        match self {
            Size::Wide => 120,
            Size::Narrow => 60,
        }
    }

    /// Pixels of the whole drawing.
    pub fn pixels(self, plot_height: u32) -> (u32, u32) {
        let width = match self {
            Size::Wide => 880,
            Size::Narrow => 380,
        };
        (width, plot_height + TOP as u32 + BOTTOM as u32)
    }
}

const TOP: f64 = 12.0;
const BOTTOM: f64 = 42.0;
/// How wide a letter of a label is, at most, on average.
const LETTER: f64 = 6.6;
const RIGHT: f64 = 16.0;

/// The inside of a plot, and its axes.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// the left edge of the inside
    pub left: f64,
    /// its upper edge
    pub top: f64,
    /// its width
    pub width: f64,
    /// its height
    pub height: f64,
    /// from values to places, to the right
    pub x: Scale,
    /// from values to places, upwards
    pub y: Scale,
}

/// A place on an axis, and what is written there.
pub type Tick = (f64, String);

impl Frame {
    /// The frame of a plot whose inside is so high.
    pub fn new(size: Size, plot_height: u32, x: Scale, y: Scale) -> Frame {
        let left = match size {
            Size::Wide => 84.0,
            Size::Narrow => 76.0,
        };
        let width = f64::from(size.pixels(plot_height).0) - left - RIGHT;
        Frame { left, top: TOP, width, height: plot_height.into(), x, y }
    }

    /// Where two values meet.
    pub fn point(&self, x: f64, y: f64) -> Point {
        (self.column(x), self.top + self.height * (1.0 - self.y.place(y).clamp(0.0, 1.0)))
    }

    /// How far to the right a value is.
    pub fn column(&self, x: f64) -> f64 {
        self.left + self.width * self.x.place(x).clamp(0.0, 1.0)
    }

    /// The value at the right end.
    pub fn x_end(&self) -> f64 {
        match self.x {
            Scale::Linear { to } | Scale::Log { to, .. } => to,
        }
    }

    /// Draws grid and labels. Labels that would run into the one before are left out.
    pub fn draw(&self, drawing: &mut Drawing, x_ticks: &[Tick], y_ticks: &[Tick], x_title: &str) {
        let bottom = self.top + self.height;
        let right = self.left + self.width;
        for (value, label) in y_ticks {
            let (_, y) = self.point(0.0, *value);
            drawing.line("grid", (self.left, y), (right, y));
            drawing.text("label", Anchor::End, (self.left - 8.0, y + 4.0), label);
        }
        let mut free_from = f64::MIN;
        for (value, label) in x_ticks {
            let x = self.column(*value);
            drawing.line("grid", (x, self.top), (x, bottom));
            let half = label.chars().count() as f64 * LETTER / 2.0;
            if x - half >= free_from && x + half <= right + RIGHT {
                drawing.text("label", Anchor::Middle, (x, bottom + 17.0), label);
                free_from = x + half + LETTER;
            }
        }
        drawing.line("axis", (self.left, bottom), (right, bottom));
        drawing.text("label quiet", Anchor::End, (right, bottom + 35.0), x_title);
    }

    /// Columns that tell something to who points at them: each from a value of x to another.
    pub fn hints(&self, drawing: &mut Drawing, columns: impl IntoIterator<Item = (f64, f64, String)>) {
        for (from, to, text) in columns {
            let (from, to) = (self.column(from), self.column(to));
            drawing.hint((from, self.top), ((to - from).max(0.1), self.height), &text);
        }
    }
}

/// Seconds as they are written beside an axis of so many: `90`, `0.25`.
pub fn seconds(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
