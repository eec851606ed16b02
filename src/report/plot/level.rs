//! The level over time against the high-water mark: how full the way to the target was.

use super::frame::{Frame, Size, seconds};
use super::scale::Scale;
use super::svg::Drawing;
use super::{Plot, bytes_label, time};
use crate::report::{Level, Recorded};
use crate::units::format_bytes;

const HEIGHT: u32 = 140;

/// The plot of `run`'s in-flight bytes, or None where they were not recorded.
pub fn level(name: &str, title: &str, run: &Recorded) -> Option<Plot> {
    let levels = &run.stress.as_ref()?.levels;
    let elapsed_s = levels.last().map(|last| last.start_s + last.length_s)?;
    let mark = run.flow.as_ref().map_or(0, |flow| flow.high_water_bytes);
    let draw = |size: Size| {
        let spans: Vec<Level> = columns(levels, size.columns());
        let most = spans.iter().map(|span| span.most_bytes).max().unwrap_or(0).max(mark).max(1) as f64;
        let (x, x_ticks) = time::axis(size, elapsed_s);
        let y = Scale::linear(most, 1024.0);
        let frame = Frame::new(size, HEIGHT, x, y);
        let y_ticks = y.ticks(4, 1024.0).into_iter().map(|tick| (tick, bytes_label(tick, most)));
        let mut drawing = Drawing::default();
        frame.draw(&mut drawing, &x_ticks, &y_ticks.collect::<Vec<_>>(), "seconds");
        time::mark(&mut drawing, &frame, run);
        let flat = |bytes: fn(&Level) -> u64| -> Vec<_> {
            let ends = |span: &Level| [span.start_s, span.start_s + span.length_s];
            let points = |span: &Level| ends(span).map(|at| frame.point(at, bytes(span) as f64));
            spans.iter().flat_map(points).collect()
        };
        drawing.path("line c1", &flat(|span| span.most_bytes));
        drawing.path("line c0", &flat(|span| span.mean_bytes));
        drawing.path("line c7 dashed", &[0.0, elapsed_s].map(|at| frame.point(at, mark as f64)));
        frame.hints(&mut drawing, spans.iter().map(|span| hint(run, span, mark)));
        drawing.element(size.name(), size.pixels(HEIGHT), title)
    };
    let legend = [("c0", "in flight, on average"), ("c1", "at most"), ("c7 dashed", "high-water mark")];
    Some(Plot {
        name: name.to_owned(),
        title: title.to_owned(),
        note: String::new(),
        legend: legend.map(|(class, label)| (class.to_owned(), label.to_owned())).to_vec(),
        height: HEIGHT,
        wide: draw(Size::Wide),
        narrow: draw(Size::Narrow),
    })
}

/// At most so many, each of the same number of stretches.
fn columns(levels: &[Level], most: usize) -> Vec<Level> {
    let together = |some: &[Level]| {
        let length_s: f64 = some.iter().map(|span| span.length_s).sum();
        let weighted: f64 = some.iter().map(|span| span.mean_bytes as f64 * span.length_s).sum();
        Level {
            start_s: some[0].start_s,
            length_s,
            mean_bytes: if length_s > 0.0 { (weighted / length_s) as u64 } else { some[0].mean_bytes },
            most_bytes: some.iter().map(|span| span.most_bytes).max().unwrap_or(0),
        }
    };
    levels.chunks(levels.len().div_ceil(most).max(1)).map(together).collect()
}

fn hint(run: &Recorded, span: &Level, mark: u64) -> (f64, f64, String) {
    let (from, to) = (span.start_s, span.start_s + span.length_s);
    let text = format!(
        "{} s to {} s\non average  {}\nat most  {} of {}{}",
        seconds(from),
        seconds(to),
        format_bytes(span.mean_bytes),
        format_bytes(span.most_bytes),
        format_bytes(mark),
        time::stalls(run, from, to)
    );
    (from, to, text)
}
