//! Plots of runs as SVG. Pure: from what was recorded to text.
//!
//! The layout is ours because the drawing must follow the reader's light or dark, which takes classes
//! where plotting libraries write colours; all that is shown on pointing at it is formatted here.

mod frame;
mod heat;
mod level;
mod percentiles;
mod rates;
mod scale;
mod surface;
mod svg;
mod sweep;
mod time;

pub use frame::Size;
pub use heat::heat_map;
pub use level::level;
pub use percentiles::{Curve, percentiles};
pub use rates::{Flow, rates};
pub use surface::surface;
pub(super) use svg::Escaped;
pub use sweep::{Climb, Pick, climbs};

use crate::units::{format_bytes, format_ns};
use frame::Tick;
use scale::{Scale, unit};

/// What draws the classes of every plot, light and dark.
pub(super) const STYLE: &str = include_str!("plot.css");

/// A plot, drawn wide and narrow.
#[derive(Clone, Debug)]
pub struct Plot {
    /// what its file is called, without an ending
    pub name: String,
    /// what it shows
    pub title: String,
    /// a sentence beside it, or nothing
    pub note: String,
    /// classes and what they stand for
    pub legend: Vec<(String, String)>,
    /// how high its inside is, in pixels
    pub height: u32,
    /// an `<svg>` of 880 pixels
    pub wide: String,
    /// an `<svg>` of 380 pixels
    pub narrow: String,
}

fn latency_ticks(scale: &Scale) -> Vec<Tick> {
    scale.ticks(7, 10.0).into_iter().map(|ns| (ns, round_ns(ns))).collect()
}

/// `50 MiB`; all labels of an axis have the unit of its end.
fn bytes_label(bytes: f64, most: f64) -> String {
    let unit = unit(most, 1024.0);
    let name = format_bytes(unit as u64);
    let number = format!("{:.2}", bytes / unit);
    let number = number.trim_end_matches('0').trim_end_matches('.');
    format!("{number} {}", name.trim_start_matches("1 "))
}

/// `1 ms` where [`format_ns`] has `1.00 ms`.
fn round_ns(ns: f64) -> String {
    let text = format_ns(ns);
    match text.split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

impl Plot {
    /// What stands before a line of the legend, drawn as in the plot.
    pub fn key(class: &str) -> String {
        if class == "ramp" {
            let cells: String = (1..=7)
                .map(|shade| {
                    format!(
                        "<rect class=\"h{shade}\" x=\"{}\" width=\"10\" height=\"10\"/>",
                        10 * (shade - 1)
                    )
                })
                .collect();
            return format!("<svg width=\"70\" height=\"10\" aria-hidden=\"true\">{cells}</svg>");
        }
        format!(
            "<svg width=\"22\" height=\"10\" aria-hidden=\"true\">\
             <line class=\"line {class}\" x1=\"0\" y1=\"5\" x2=\"22\" y2=\"5\"/></svg>"
        )
    }

    /// As a file of its own, with title and legend.
    pub fn file(&self, size: Size) -> String {
        let drawing = match size {
            Size::Wide => &self.wide,
            Size::Narrow => &self.narrow,
        };
        let (width, height) = size.pixels(self.height);
        let row = 20;
        let head = 30 + row * self.legend.len() as u32;
        let mut legend = String::new();
        for (nth, (class, label)) in self.legend.iter().enumerate() {
            let y = 34 + row * nth as u32;
            let key = Plot::key(class).replacen("<svg ", &format!("<svg x=\"16\" y=\"{y}\" "), 1);
            let x = if class == "ramp" { 94 } else { 46 };
            legend.push_str(&format!("{key}<text x=\"{x}\" y=\"{}\">{}</text>\n", y + 9, Escaped(label)));
        }
        let total = height + head + 8;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {total}\" width=\"{width}\" \
             height=\"{total}\">\n<style>\n{STYLE}</style>\n<rect class=\"paper\" width=\"{width}\" \
             height=\"{total}\"/>\n<text style=\"font-weight:600;font-size:14px\" x=\"16\" y=\"22\">{}</text>\n\
             {legend}<g transform=\"translate(0 {})\">\n{drawing}</g>\n</svg>\n",
            Escaped(&self.title),
            head + 8
        )
    }
}
