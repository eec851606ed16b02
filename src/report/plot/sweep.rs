//! Latency against throughput: a point for each load of a sweep, joined in the order of the loads, so that
//! a line turns upwards where more load brings no more throughput.

use super::frame::{Frame, Size};
use super::scale::{Scale, unit};
use super::svg::{Anchor, Drawing};
use super::{Plot, latency_ticks};
use crate::latency::Summary;
use crate::report::{Sweep, SweepStep};
use crate::units::format_ns;

/// Which percentile of a step's times.
pub type Pick = fn(&Summary) -> Option<u64>;

/// One line.
pub struct Climb<'a> {
    /// what it is of
    pub label: String,
    /// how it is drawn, see the style sheet
    pub class: String,
    /// whose steps
    pub sweep: &'a Sweep,
    /// what is drawn of their times
    pub pick: Pick,
}

const HEIGHT: u32 = 280;
/// Places nearer to each other share what is told of them.
const NEAR: f64 = 14.0;

impl Climb<'_> {
    /// Operations a second and nanoseconds of each step, where both are known.
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let point = |step: &SweepStep| Some((step.operations_per_s, self.pick_of(step)? as f64));
        self.sweep.steps.iter().filter_map(point)
    }

    fn pick_of(&self, step: &SweepStep) -> Option<u64> {
        step.worst(self.pick)
    }

    fn knee(&self) -> Option<&SweepStep> {
        self.sweep.steps.get(self.sweep.knee?)
    }

    fn best(&self) -> Option<&SweepStep> {
        self.sweep.steps.get(self.sweep.best?)
    }
}

/// The plot of `climbs`, or None where there is nothing to draw.
pub fn climbs(name: &str, title: &str, climbs: &[Climb<'_>]) -> Option<Plot> {
    let times = || climbs.iter().flat_map(Climb::points).map(|(_, ns)| ns);
    let most = climbs.iter().flat_map(Climb::points).map(|(rate, _)| rate).reduce(f64::max)?;
    let goals = climbs.iter().filter_map(|climb| Some(climb.sweep.goal.as_ref()?.limit_ns as f64));
    let (least_ns, most_ns) =
        times().chain(goals).fold((f64::MAX, 0.0), |(least, most), ns| (ns.min(least), ns.max(most)));
    let of_one = climbs.iter().all(|climb| std::ptr::eq(climb.sweep, climbs[0].sweep));
    let draw = |size: Size| {
        let (x, y) = (Scale::linear(most, 1000.0), Scale::log(least_ns, most_ns));
        let frame = Frame::new(size, HEIGHT, x, y);
        let mut drawing = Drawing::default();
        let wanted = if size == Size::Wide { 8 } else { 4 };
        let x_ticks = x.ticks(wanted, 1000.0).into_iter().map(|tick| (tick, count_label(tick, most)));
        frame.draw(
            &mut drawing,
            &x_ticks.collect::<Vec<_>>(),
            &latency_ticks(&y),
            "operations completed a second",
        );
        if of_one {
            mark(&mut drawing, &frame, &climbs[0]);
        }
        for climb in climbs {
            let line: Vec<_> = climb.points().map(|(rate, ns)| frame.point(rate, ns)).collect();
            drawing.path(&format!("line {}", climb.class), &line);
            line.iter().for_each(|&point| drawing.dot(&format!("dot {}", climb.class), point));
            if !of_one && let Some(knee) = climb.knee() {
                upright(&mut drawing, &frame, &format!("line dashed {}", climb.class), knee);
            }
        }
        frame.hints(&mut drawing, hints(&frame, climbs, of_one));
        drawing.element(size.name(), size.pixels(HEIGHT), title)
    };
    let legend = climbs.iter().map(|climb| (climb.class.clone(), climb.label.clone())).collect();
    Some(Plot {
        name: name.to_owned(),
        title: title.to_owned(),
        note:
            "A point for each step, the lightest load on the left; the knee has the most throughput for its \
               latency."
                .to_owned(),
        legend,
        height: HEIGHT,
        wide: draw(Size::Wide),
        narrow: draw(Size::Narrow),
    })
}

/// Marks the knee, the goal and the best step that keeps it.
fn mark(drawing: &mut Drawing, frame: &Frame, climb: &Climb<'_>) {
    let right = frame.left + frame.width;
    let label = |drawing: &mut Drawing, step: &SweepStep, text: &str, y: f64| {
        let x = frame.column(step.operations_per_s);
        let (anchor, x) = match x > frame.left + frame.width * 0.7 {
            true => (Anchor::End, x - 5.0),
            false => (Anchor::Start, x + 5.0),
        };
        drawing.text("label strong", anchor, (x, y), text);
    };
    if let Some(goal) = &climb.sweep.goal {
        let (_, y) = frame.point(0.0, goal.limit_ns as f64);
        drawing.line("goal", (frame.left, y), (right, y));
        let text = format!("goal: {} of {}", goal.percentile, format_ns(goal.limit_ns as f64));
        drawing.text("label strong", Anchor::Start, (frame.left + 6.0, y - 5.0), &text);
    }
    if let Some(knee) = climb.knee() {
        upright(drawing, frame, "knee", knee);
        label(drawing, knee, "knee", frame.top + 12.0);
    }
    if let Some(best) = climb.best() {
        upright(drawing, frame, "goal", best);
        label(drawing, best, "keeps the goal", frame.top + 28.0);
    }
}

fn upright(drawing: &mut Drawing, frame: &Frame, class: &str, step: &SweepStep) {
    let x = frame.column(step.operations_per_s);
    drawing.line(class, (x, frame.top), (x, frame.top + frame.height));
}

/// What is told of the steps, from halfway to the one before to halfway to the next.
fn hints(frame: &Frame, climbs: &[Climb<'_>], of_one: bool) -> Vec<(f64, f64, String)> {
    // Lines of one sweep share their steps.
    let sweeps = if of_one { &climbs[..1] } else { climbs };
    let mut steps: Vec<(f64, String)> = sweeps
        .iter()
        .flat_map(|climb| climb.sweep.steps.iter().map(move |step| (climb, step)))
        .map(|(climb, step)| {
            let told: &[Climb<'_>] = if of_one { climbs } else { std::slice::from_ref(climb) };
            (step.operations_per_s, hint(told, step))
        })
        .collect();
    steps.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut groups: Vec<(f64, String)> = Vec::new();
    for (rate, text) in steps {
        match groups.last_mut() {
            Some((last, told)) if frame.column(rate) - frame.column(*last) < NEAR => {
                told.push_str("\n\n");
                told.push_str(&text);
            }
            _ => groups.push((rate, text)),
        }
    }
    let end = frame.x_end();
    let halfway = |nth: usize| (groups[nth - 1].0 + groups[nth].0) / 2.0;
    (0..groups.len())
        .map(|nth| {
            let from = if nth == 0 { 0.0 } else { halfway(nth) };
            let to = if nth + 1 == groups.len() { end } else { halfway(nth + 1) };
            (from, to, groups[nth].1.clone())
        })
        .collect()
}

fn hint(climbs: &[Climb<'_>], step: &SweepStep) -> String {
    let load = match step.rate_per_s {
        Some(rate) => format!("rate {rate:.0}/s"),
        None => format!("depth {}", step.depth),
    };
    let unsteady = if step.steady { "" } else { ", not steady" };
    let mut text = format!("{load}: {:.0}/s{unsteady}", step.operations_per_s);
    for climb in climbs {
        let shown = climb.pick_of(step).map_or("too few samples".to_owned(), |ns| format_ns(ns as f64));
        text.push_str(&format!("\n{}  {shown}", climb.label));
    }
    text
}

/// `50K`, as rates are typed; all labels of an axis have the unit of its end.
fn count_label(value: f64, most: f64) -> String {
    let unit = unit(most, 1000.0);
    let letter = match unit.log10().round() as u32 {
        0..3 => "",
        3..6 => "K",
        6..9 => "M",
        _ => "G",
    };
    let number = format!("{:.2}", value / unit);
    format!("{}{letter}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Latency, SweepGoal};

    /// A device that serves 4 at a time in 100 us each: from a depth of 4 on all that grows is the wait.
    fn sweep() -> Sweep {
        let step = |depth: u64| {
            let service = 100_000 * depth.div_ceil(4).max(1);
            let times = Summary {
                count: 5_000,
                p50_ns: Some(service),
                p99_ns: Some(2 * service),
                ..Summary::default()
            };
            let latency = Latency { read: times, ..Latency::default() };
            let operations_per_s = depth.min(4) as f64 * 10_000.0 - depth as f64;
            SweepStep { depth, operations_per_s, steady: depth != 8, latency, ..SweepStep::default() }
        };
        let goal = SweepGoal { percentile: "p99".into(), limit_ns: 250_000 };
        Sweep { steps: [1, 2, 4, 8, 16].map(step).to_vec(), knee: Some(2), goal: Some(goal), best: Some(2) }
    }

    fn climb<'a>(label: &str, sweep: &'a Sweep, pick: Pick) -> Climb<'a> {
        Climb { label: label.into(), class: "c0".into(), sweep, pick }
    }

    #[test]
    fn a_sweep_has_a_point_for_each_step_its_knee_its_goal_and_tells_what_it_is_pointed_at() {
        let sweep = sweep();
        let lines = [climb("p50", &sweep, |s| s.p50_ns), climb("p99", &sweep, |s| s.p99_ns)];
        let plot = climbs("sweep", "Latency against throughput", &lines).unwrap();
        for drawing in [&plot.wide, &plot.narrow] {
            assert_eq!(drawing.matches("<circle").count(), 10);
            assert_eq!(drawing.matches("class=\"knee\"").count(), 1);
            assert_eq!(drawing.matches("class=\"goal\"").count(), 2, "the limit, and the step that keeps it");
            assert!(drawing.contains(">goal: p99 of 250 us<") && drawing.contains(">40K<"), "{drawing}");
            assert!(drawing.contains("depth 2: 19998/s\np50  100 us\np99  200 us<"), "{drawing}");
        }
        // Those that no pixel tells apart are told together.
        assert!(
            plot.wide.contains("depth 16: 39984/s\np50  400 us\np99  800 us\n\ndepth 8: 39992/s, not steady")
        );
    }

    #[test]
    fn what_is_not_known_is_not_drawn() {
        let sweep = sweep();
        let beyond = || climb("p99.9", &sweep, |s| s.p99_9_ns);
        assert!(climbs("sweep", "", &[beyond()]).is_none());
        let plot = climbs("sweep", "", &[climb("p50", &sweep, |s| s.p50_ns), beyond()]).unwrap();
        assert_eq!(plot.wide.matches("<circle").count(), 5);
        assert!(plot.wide.contains("\np99.9  too few samples<"));
        let odd = Sweep { knee: Some(99), best: Some(99), ..sweep };
        assert!(
            climbs("sweep", "", &[climb("p50", &odd, |s| s.p50_ns)]).is_some(),
            "a report by another hand"
        );
    }
}
