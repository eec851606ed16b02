//! What was found over the surface of a device: where the blocks are that are not as they were written.

use super::frame::{Frame, Size};
use super::scale::Scale;
use super::svg::Drawing;
use super::{Plot, bytes_label};
use crate::report::{BadRange, Recorded};
use crate::units::format_bytes;

const ROW_PIXELS: u32 = 26;
/// A place that is bad is seen however small it is.
const CELL_PIXELS: f64 = 2.0;

/// The plot of `run`'s bad ranges, or None where there are none.
pub fn surface(name: &str, title: &str, run: &Recorded) -> Option<Plot> {
    let check = run.check.as_ref().filter(|check| !check.ranges.is_empty())?;
    let ranges = &check.ranges;
    let checked = run.stress.as_ref().map_or(0, |stress| stress.to_check_bytes);
    let end = ranges.iter().map(|range| range.offset + range.length).max().unwrap_or(0).max(checked);
    let mut faults: Vec<&str> = Vec::new();
    for range in ranges {
        if !faults.contains(&range.fault.as_str()) {
            faults.push(&range.fault);
        }
    }
    let height = ROW_PIXELS * faults.len() as u32;
    let draw = |size: Size| {
        let x = Scale::Linear { to: end as f64 };
        let y = Scale::Linear { to: faults.len() as f64 };
        let frame = Frame::new(size, height, x, y);
        let wanted = if size == Size::Wide { 8 } else { 4 };
        let x_ticks = x.ticks(wanted, 1024.0).into_iter().map(|at| (at, bytes_label(at, end as f64)));
        let middles = faults.iter().enumerate().map(|(row, fault)| (row as f64 + 0.5, (*fault).to_owned()));
        let mut drawing = Drawing::default();
        frame.draw(&mut drawing, &x_ticks.collect::<Vec<_>>(), &middles.collect::<Vec<_>>(), "of the target");
        for (row, fault) in faults.iter().enumerate() {
            let (_, middle) = frame.point(0.0, row as f64 + 0.5);
            let (top, high) = (middle - 0.35 * f64::from(ROW_PIXELS), 0.7 * f64::from(ROW_PIXELS));
            let of_fault = ranges.iter().filter(|range| range.fault == *fault);
            let cells = merged(of_fault.map(|range| {
                let (from, to) = (range.offset as f64, (range.offset + range.length) as f64);
                (frame.column(from), frame.column(to))
            }));
            let cells = cells.into_iter().map(|(left, right)| [left, top, right - left, high]);
            drawing.cells(&format!("dot c{row}"), &cells.collect::<Vec<_>>());
        }
        frame.hints(&mut drawing, hints(ranges, &faults, end, size.columns() as u64));
        drawing.element(size.name(), size.pixels(height), title)
    };
    let bytes =
        |fault: &str| ranges.iter().filter(|range| range.fault == fault).map(|range| range.length).sum();
    let legend = faults
        .iter()
        .enumerate()
        .map(|(row, fault)| (format!("c{row}"), format!("{fault}: {}", format_bytes(bytes(fault)))));
    Some(Plot {
        name: name.to_owned(),
        title: title.to_owned(),
        note: match check.unlisted_ranges {
            0 => String::new(),
            more => format!("without {more} more ranges, which were counted and not kept"),
        },
        legend: legend.collect(),
        height,
        wide: draw(Size::Wide),
        narrow: draw(Size::Narrow),
    })
}

/// From left to right, each as wide as can be seen, and those that touch as one.
fn merged(places: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut merged: Vec<(f64, f64)> = Vec::new();
    for (left, right) in places {
        let right = right.max(left + CELL_PIXELS);
        match merged.last_mut() {
            Some(last) if left <= last.1 => last.1 = last.1.max(right),
            _ => merged.push((left, right)),
        }
    }
    merged
}

/// What lies in each of so many equal parts of the surface.
fn hints(ranges: &[BadRange], faults: &[&str], end: u64, parts: u64) -> Vec<(f64, f64, String)> {
    let border = |nth: u64| (u128::from(end) * u128::from(nth) / u128::from(parts)) as u64;
    let hint = |nth: u64| {
        let (from, to) = (border(nth), border(nth + 1));
        let inside =
            |range: &BadRange| (range.offset + range.length).min(to).saturating_sub(range.offset.max(from));
        let of_fault = |fault: &&str| {
            let bytes: u64 = ranges.iter().filter(|range| range.fault == **fault).map(inside).sum();
            (bytes > 0).then(|| format!("\n{fault}  {}", format_bytes(bytes)))
        };
        let found: String = faults.iter().filter_map(of_fault).collect();
        let found = if found.is_empty() { "\nall good".to_owned() } else { found };
        (from as f64, to as f64, format!("{} to {}{found}", format_bytes(from), format_bytes(to)))
    };
    (0..parts).map(hint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_is_one_and_what_is_small_is_seen() {
        let places = [(0.0, 0.1), (1.0, 1.5), (10.0, 30.0), (30.0, 31.0), (50.0, 50.0)];
        assert_eq!(merged(places.into_iter()), [(0.0, 3.0), (10.0, 32.0), (50.0, 52.0)]);
    }

    #[test]
    fn each_part_tells_what_lies_in_it() {
        let range = |fault: &str, offset, length| BadRange { fault: fault.into(), offset, length };
        let ranges = [range("lost", 0, 4096), range("torn", 4096, 8192)];
        let hints = hints(&ranges, &["lost", "torn"], 16384, 2);
        assert_eq!(hints[0], (0.0, 8192.0, "0 B to 8 KiB\nlost  4 KiB\ntorn  4 KiB".to_owned()));
        assert_eq!(hints[1].2, "8 KiB to 16 KiB\ntorn  4 KiB");
    }
}
