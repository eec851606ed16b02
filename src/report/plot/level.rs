//! The level over time against the high-water mark, which may move: how full the way to the target was.

use super::frame::{Frame, Size, seconds};
use super::scale::Scale;
use super::svg::Drawing;
use super::{Plot, bytes_label, time};
use crate::report::{Level, Recorded};
use crate::units::format_bytes;

const HEIGHT: u32 = 140;

/// The plot of `run`'s in-flight bytes and of a mark that found itself, or None where neither was recorded.
pub fn level(name: &str, title: &str, run: &Recorded) -> Option<Plot> {
    let levels: &[Level] = run.stress.as_ref().map_or(&[], |stress| &stress.levels);
    let tuner = run.tuner.as_ref().filter(|tuner| !tuner.marks.is_empty());
    if levels.is_empty() && tuner.is_none() {
        return None;
    }
    let elapsed_s = levels.last().map_or(run.elapsed_s, |last| last.start_s + last.length_s);
    let fixed = run.flow.as_ref().map_or(0, |flow| flow.high_water_bytes);
    let marks: Vec<(f64, u64)> = match tuner {
        Some(tuner) => tuner.marks.iter().map(|mark| (mark.at_s, mark.high_water_bytes)).collect(),
        None => vec![(0.0, fixed)],
    };
    let draw = |size: Size| {
        let spans: Vec<Level> = columns(levels, size.columns());
        let most = spans.iter().map(|span| span.most_bytes).chain(marks.iter().map(|mark| mark.1));
        let most = most.max().unwrap_or(0).max(1) as f64;
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
        if !spans.is_empty() {
            drawing.path("line c1", &flat(|span| span.most_bytes));
            drawing.path("line c0", &flat(|span| span.mean_bytes));
        }
        let steps: Vec<(f64, f64, u64)> = steps(&marks, elapsed_s).collect();
        let line = steps.iter().flat_map(|&(from, to, mark)| [from, to].map(|at| (at, mark)));
        let line: Vec<_> = line.map(|(at, mark)| frame.point(at, mark as f64)).collect();
        drawing.path("line c7 dashed", &line);
        match spans.is_empty() {
            true => frame.hints(&mut drawing, steps.iter().map(mark_hint)),
            false => {
                frame.hints(&mut drawing, spans.iter().map(|span| hint(run, span, mark_in(&marks, span))))
            }
        }
        drawing.element(size.name(), size.pixels(HEIGHT), title)
    };
    let legend = [("c0", "in flight, on average"), ("c1", "at most"), ("c7 dashed", "high-water mark")];
    let legend = if levels.is_empty() { &legend[2..] } else { &legend[..] };
    Some(Plot {
        name: name.to_owned(),
        title: title.to_owned(),
        note: String::new(),
        legend: legend.iter().map(|&(class, label)| (class.to_owned(), label.to_owned())).collect(),
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

/// From when to when a mark was what.
fn steps(marks: &[(f64, u64)], elapsed_s: f64) -> impl Iterator<Item = (f64, f64, u64)> {
    let ends = marks.iter().skip(1).map(|next| next.0).chain([elapsed_s]);
    marks.iter().zip(ends).map(|(&(from, mark), to)| (from, to.max(from), mark))
}

/// The highest mark in a stretch: what is in flight may be as much.
fn mark_in(marks: &[(f64, u64)], span: &Level) -> u64 {
    let end = span.start_s + span.length_s;
    let within = steps(marks, f64::INFINITY).filter(|&(from, to, _)| from < end && to > span.start_s);
    within.map(|(.., mark)| mark).max().unwrap_or(0)
}

fn mark_hint(&(from, to, mark): &(f64, f64, u64)) -> (f64, f64, String) {
    let mark = format_bytes(mark);
    (from, to, format!("{} s to {} s\nhigh-water mark  {mark}", seconds(from), seconds(to)))
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
