//! Latency by percentile: the axis counts nines, so that the slowest in a thousand have as much room as
//! the fastest nine tenths.

use super::frame::{Frame, Size};
use super::scale::{Scale, nines_of, percentile_name, quantile};
use super::svg::Drawing;
use super::{Plot, latency_ticks};
use crate::units::format_ns;
use hdrhistogram::Histogram;

/// One line.
pub struct Curve<'a> {
    /// what it is of
    pub label: String,
    /// how it is drawn, see the style sheet
    pub class: String,
    /// what it shows, in nanoseconds
    pub histogram: &'a Histogram<u64>,
}

const HEIGHT: u32 = 280;
/// Between two places where a value is shown.
const STEP_NINES: f64 = 0.1;

/// The plot of `curves`, or None where there is nothing to draw.
pub fn percentiles(name: &str, title: &str, curves: &[Curve<'_>]) -> Option<Plot> {
    let curves: Vec<&Curve<'_>> = curves.iter().filter(|curve| curve.histogram.len() >= 2).collect();
    let most = curves.iter().map(|curve| curve.histogram.len()).max()?;
    let least_ns = curves.iter().map(|curve| curve.histogram.min()).min()?;
    let most_ns = curves.iter().map(|curve| curve.histogram.max()).max()?;
    let nines = (most as f64).log10().max(1.0);
    let draw = |size: Size| {
        let y = Scale::log(least_ns as f64, most_ns as f64);
        let frame = Frame::new(size, HEIGHT, Scale::Linear { to: nines }, y);
        let mut drawing = Drawing::default();
        let median = nines_of(0.5);
        let whole = (1..=nines as u32).map(f64::from);
        let x_ticks: Vec<_> = [median].into_iter().chain(whole).map(|n| (n, percentile_name(n))).collect();
        frame.draw(&mut drawing, &x_ticks, &latency_ticks(&y), "percentile of operations");
        for curve in &curves {
            let line = line(&frame, curve.histogram);
            drawing.path(&format!("line {}", curve.class), &line);
            if let Some(end) = line.last() {
                drawing.dot(&format!("dot {}", curve.class), *end);
            }
        }
        let steps = (nines / STEP_NINES).floor() as u32;
        let exact =
            (0..=steps).map(|step| f64::from(step) * STEP_NINES).filter(|n| (n - median).abs() > 0.02);
        let mut places: Vec<f64> = exact.chain([median]).collect();
        places.sort_by(f64::total_cmp);
        let hints = places.iter().enumerate().map(|(nth, &place)| {
            let before = if nth == 0 { 0.0 } else { (places[nth - 1] + place) / 2.0 };
            let after = places.get(nth + 1).map_or(nines, |next| (place + next) / 2.0);
            (before, after, hint(&curves, place))
        });
        frame.hints(&mut drawing, hints);
        drawing.element(size.name(), size.pixels(HEIGHT), title)
    };
    let legend = curves.iter().map(|curve| (curve.class.clone(), curve.label.clone())).collect();
    Some(Plot {
        name: name.to_owned(),
        title: title.to_owned(),
        note: "Each line ends at the greatest value; the axis gives every further nine the same room."
            .to_owned(),
        legend,
        height: HEIGHT,
        wide: draw(Size::Wide),
        narrow: draw(Size::Narrow),
    })
}

/// Flat from value to value: a percentile is a value that occurred, and nothing lies between.
fn line(frame: &Frame, histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let end = (histogram.len() as f64).log10();
    let pixels = (frame.width * frame.x.place(end).clamp(0.0, 1.0)).ceil() as u32;
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut last = None;
    for pixel in 0..=pixels {
        let nines = end * f64::from(pixel) / f64::from(pixels.max(1));
        let ns = match pixel == pixels {
            true => histogram.max(),
            false => histogram.value_at_quantile(quantile(nines)),
        };
        if last != Some(ns) || pixel == pixels {
            let (x, y) = frame.point(nines, ns as f64);
            if let Some(&(_, before)) = points.last() {
                points.push((x, before));
            }
            points.push((x, y));
            last = Some(ns);
        }
    }
    points
}

fn hint(curves: &[&Curve<'_>], nines: f64) -> String {
    let mut text = if nines == 0.0 { "least".to_owned() } else { percentile_name(nines) };
    for curve in curves {
        let count = curve.histogram.len() as f64;
        // As in reports: a percentile needs a sample above it.
        let known = nines <= count.log10() + 1e-9;
        let value = match known {
            true => format_ns(curve.histogram.value_at_quantile(quantile(nines)) as f64),
            false => "too few samples".to_owned(),
        };
        text.push_str(&format!("\n{}  {value}", curve.label));
    }
    text
}
