//! The axis of time: intervals gathered into columns, and what is marked over them.

use super::frame::{Frame, Size, Tick, seconds};
use super::scale::Scale;
use super::svg::{Anchor, Drawing};
use crate::report::{Interval, Recorded};

/// An axis of so many seconds, and what is written beside it.
pub fn axis(size: Size, elapsed_s: f64) -> (Scale, Vec<Tick>) {
    let to = elapsed_s.max(1e-3);
    let scale = Scale::Linear { to };
    let wanted = if size == Size::Wide { 10 } else { 5 };
    let ticks = scale.ticks(wanted, 10.0).into_iter().map(|at| (at, seconds(at))).collect();
    (scale, ticks)
}

/// The intervals of a run in at most so many groups of the same number. A last one of less than half the
/// length of the one before belongs to that: what a run's last moment did is no rate.
pub fn columns(run: &Recorded, most: usize) -> Vec<&[Interval]> {
    let each = run.intervals.len().div_ceil(most).max(1);
    let mut columns: Vec<&[Interval]> = run.intervals.chunks(each).collect();
    let length = |column: &[Interval]| span(column).1 - span(column).0;
    if let [.., before, last] = columns[..]
        && length(last) < length(before) / 2.0
    {
        columns.truncate(columns.len() - 2);
        columns.push(&run.intervals[columns.len() * each..]);
    }
    columns
}

/// From when to when some intervals go that follow each other, in seconds.
pub fn span(intervals: &[Interval]) -> (f64, f64) {
    let start = intervals.first().map_or(0.0, |first| first.start_s);
    let end = intervals.last().map_or(start, |last| last.start_s + last.length_s);
    (start, end)
}

/// Marks what hung and where throughput fell for good.
pub fn mark(drawing: &mut Drawing, frame: &Frame, run: &Recorded) {
    let bottom = frame.top + frame.height;
    let stalls = run.stalls.iter().map(|stall| {
        let (from, to) = (frame.column(stall.start_s), frame.column(stall.start_s + stall.length_s));
        [from, frame.top, (to - from).max(2.0), frame.height]
    });
    drawing.cells("stall", &stalls.collect::<Vec<_>>());
    if let Some(cliff) = &run.cliff {
        let x = frame.column(cliff.at_s);
        drawing.line("cliff", (x, frame.top), (x, bottom));
        let (anchor, at) = if x > frame.left + frame.width * 0.8 {
            (Anchor::End, x - 5.0)
        } else {
            (Anchor::Start, x + 5.0)
        };
        drawing.text("label strong", anchor, (at, frame.top + 12.0), "cliff");
    }
}

/// What hung between two times, for a hint.
pub fn stalls(run: &Recorded, from_s: f64, to_s: f64) -> String {
    let overlaps =
        run.stalls.iter().filter(|stall| stall.start_s < to_s && stall.start_s + stall.length_s > from_s);
    overlaps.map(|stall| format!("\nstall: {} took {} s", stall.op, seconds(stall.length_s))).collect()
}
