//! Throughput over time: what was moved in each interval, flat over its length.

use super::frame::{Frame, Size, seconds};
use super::scale::Scale;
use super::svg::Drawing;
use super::{Plot, bytes_label, time};
use crate::report::{Interval, Recorded};
use crate::units::format_rate;

/// One line.
pub struct Flow<'a> {
    /// what it is of
    pub label: String,
    /// how it is drawn, see the style sheet
    pub class: String,
    /// whose intervals
    pub run: &'a Recorded,
    /// which bytes of them
    pub bytes: fn(&Interval) -> u64,
}

const HEIGHT: u32 = 200;

/// The plot of `flows`, or None where no interval was recorded.
pub fn rates(name: &str, title: &str, flows: &[Flow<'_>]) -> Option<Plot> {
    if flows.iter().all(|flow| flow.run.intervals.is_empty()) {
        return None;
    }
    let elapsed_s = flows.iter().map(|flow| time::span(&flow.run.intervals).1).fold(0.0, f64::max);
    let draw = |size: Size| {
        let stepped: Vec<Vec<(f64, f64, f64)>> = flows.iter().map(|flow| steps(flow, size)).collect();
        let most = stepped.iter().flatten().map(|step| step.2).fold(1.0, f64::max);
        let (x, x_ticks) = time::axis(size, elapsed_s);
        let y = Scale::linear(most, 1024.0);
        let frame = Frame::new(size, HEIGHT, x, y);
        let y_ticks = y.ticks(5, 1024.0).into_iter().map(|tick| (tick, bytes_label(tick, most) + "/s"));
        let mut drawing = Drawing::default();
        frame.draw(&mut drawing, &x_ticks, &y_ticks.collect::<Vec<_>>(), "seconds");
        let mut marked: Vec<*const Recorded> = Vec::new();
        for (flow, steps) in flows.iter().zip(&stepped) {
            if !marked.contains(&std::ptr::from_ref(flow.run)) {
                marked.push(flow.run);
                time::mark(&mut drawing, &frame, flow.run);
            }
            let flat =
                steps.iter().flat_map(|&(from, to, rate)| [frame.point(from, rate), frame.point(to, rate)]);
            let line: Vec<_> = flat.collect();
            if let (1, Some(first), Some(last)) = (flows.len(), line.first(), line.last()) {
                let bottom = frame.top + frame.height;
                let ends = [(last.0, bottom), (first.0, bottom)];
                drawing.path(&format!("surface {}", flow.class), &[&line[..], &ends].concat());
            }
            drawing.path(&format!("line {}", flow.class), &line);
        }
        frame.hints(&mut drawing, hints(flows, &stepped, elapsed_s, size));
        drawing.element(size.name(), size.pixels(HEIGHT), title)
    };
    let legend = flows.iter().map(|flow| (flow.class.clone(), flow.label.clone())).collect();
    Some(Plot {
        name: name.to_owned(),
        title: title.to_owned(),
        note: String::new(),
        legend,
        height: HEIGHT,
        wide: draw(Size::Wide),
        narrow: draw(Size::Narrow),
    })
}

/// From, to, bytes a second.
fn steps(flow: &Flow<'_>, size: Size) -> Vec<(f64, f64, f64)> {
    let columns = time::columns(flow.run, size.columns()).into_iter().map(|intervals| {
        let (from, to) = time::span(intervals);
        let bytes: u64 = intervals.iter().map(flow.bytes).sum();
        (from, to, if to > from { bytes as f64 / (to - from) } else { 0.0 })
    });
    columns.filter(|(from, to, _)| to > from).collect()
}

fn hints(
    flows: &[Flow<'_>],
    stepped: &[Vec<(f64, f64, f64)>],
    elapsed_s: f64,
    size: Size,
) -> Vec<(f64, f64, String)> {
    // One run has its own columns; several share even ones.
    let longest = stepped.iter().max_by_key(|steps| steps.len()).map_or(&[][..], Vec::as_slice);
    let of_one = flows.iter().all(|flow| std::ptr::eq(flow.run, flows[0].run));
    let even = |nth: usize| elapsed_s * nth as f64 / size.columns() as f64;
    let spans: Vec<(f64, f64)> = match of_one {
        true => longest.iter().map(|&(from, to, _)| (from, to)).collect(),
        false => (0..size.columns()).map(|nth| (even(nth), even(nth + 1))).collect(),
    };
    let hint = |(from, to): (f64, f64)| {
        let middle = (from + to) / 2.0;
        let mut text = match of_one {
            true => format!("{} s to {} s", seconds(from), seconds(to)),
            false => format!("at {} s", seconds(middle)),
        };
        for (flow, steps) in flows.iter().zip(stepped) {
            if let Some(step) = steps.iter().find(|step| (step.0..step.1).contains(&middle)) {
                text.push_str(&format!("\n{}  {}", flow.label, format_rate(step.2)));
            }
        }
        if of_one && let Some(flow) = flows.first() {
            text.push_str(&time::stalls(flow.run, from, to));
        }
        (from, to, text)
    };
    spans.into_iter().map(hint).collect()
}
