//! Latency over time as a heat map: a column for each stretch of time, shaded by how many of its
//! operations took so long. One slow operation in a thousand is seen, and so is what all of them do.

use super::frame::{Frame, Size, seconds};
use super::scale::Scale;
use super::svg::Drawing;
use super::{Plot, latency_ticks, time};
use crate::latency::Kind;
use crate::report::{Interval, Recorded};
use crate::units::format_ns;
use hdrhistogram::Histogram;

const HEIGHT: u32 = 220;
const ROW_PIXELS: f64 = 5.0;
/// A shade for each half of a decade of the share in a column, from 30 % down to less than 0.1 %.
const SHADES: usize = 7;

/// The map of the times of one kind, which lie between `least_ns` and `most_ns`, as those of the runs
/// beside it do. None where there are too few to draw.
pub fn heat_map(
    name: &str,
    title: &str,
    run: &Recorded,
    kind: Kind,
    (least_ns, most_ns): (u64, u64),
) -> Option<Plot> {
    run.histogram(kind).filter(|whole| whole.len() >= 10)?;
    let draw = |size: Size| {
        let (x, x_ticks) = time::axis(size, run.elapsed_s.max(time::span(&run.intervals).1));
        let y = Scale::log(least_ns as f64, most_ns as f64);
        let frame = Frame::new(size, HEIGHT, x, y);
        let mut drawing = Drawing::default();
        frame.draw(&mut drawing, &x_ticks, &latency_ticks(&y), "seconds");
        time::mark(&mut drawing, &frame, run);
        let mut shades: [Vec<[f64; 4]>; SHADES] = Default::default();
        let mut hints = Vec::new();
        for intervals in time::columns(run, size.columns()) {
            let (from, to) = time::span(intervals);
            let column = merged(intervals, kind);
            if let Some(column) = &column {
                shade(&frame, column, (from, to), &mut shades);
            }
            hints.push((from, to, hint(run, column.as_ref(), from, to)));
        }
        for (nth, cells) in shades.iter().enumerate() {
            drawing.cells(&format!("heat h{}", nth + 1), cells);
        }
        frame.hints(&mut drawing, hints);
        drawing.element(size.name(), size.pixels(HEIGHT), title)
    };
    Some(Plot {
        name: name.to_owned(),
        title: title.to_owned(),
        note: String::new(),
        legend: vec![(
            "ramp".to_owned(),
            "share of the operations in a column, from less than 0.1 % to more than 30 %".to_owned(),
        )],
        height: HEIGHT,
        wide: draw(Size::Wide),
        narrow: draw(Size::Narrow),
    })
}

fn merged(intervals: &[Interval], kind: Kind) -> Option<Histogram<u64>> {
    let mut histograms = intervals.iter().filter_map(|interval| interval.histogram(kind.name()));
    let mut whole = histograms.next()?;
    for histogram in histograms {
        whole.add(histogram).expect("what is read is of the same bounds");
    }
    Some(whole)
}

fn shade(
    frame: &Frame,
    column: &Histogram<u64>,
    (from, to): (f64, f64),
    shades: &mut [Vec<[f64; 4]>; SHADES],
) {
    let rows = (frame.height / ROW_PIXELS) as usize;
    let mut counts = vec![0_u64; rows];
    for step in column.iter_recorded() {
        let place = frame.y.place(step.value_iterated_to() as f64).clamp(0.0, 1.0);
        counts[((place * rows as f64) as usize).min(rows - 1)] += step.count_at_value();
    }
    let (left, right) = (frame.column(from), frame.column(to));
    for (row, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let share = count as f64 / column.len() as f64;
        let halves_of_decade = (-share.log10() * 2.0).floor() as usize;
        let top = frame.top + frame.height - (row + 1) as f64 * ROW_PIXELS;
        // A hair wider, so that no gap is seen between two columns.
        let cell = [left, top, (right - left + 0.1).max(1.0), ROW_PIXELS];
        shades[SHADES - 1 - halves_of_decade.min(SHADES - 1)].push(cell);
    }
}

fn hint(run: &Recorded, column: Option<&Histogram<u64>>, from: f64, to: f64) -> String {
    let when = format!("{} s to {} s", seconds(from), seconds(to));
    let what = match column {
        None => "\nnothing completed".to_owned(),
        Some(column) => {
            let percentile = |name: &str, quantile, needed| {
                let known = column.len() >= needed;
                let value = known.then(|| format_ns(column.value_at_quantile(quantile) as f64));
                value.map_or_else(String::new, |value| format!("\n{name}  {value}"))
            };
            let max = format_ns(column.max() as f64);
            let (p50, p99) = (percentile("p50", 0.5, 2), percentile("p99", 0.99, 100));
            format!("\n{} operations{p50}{p99}\nmax  {max}", column.len())
        }
    };
    format!("{when}{what}{}", time::stalls(run, from, to))
}
