//! What must be true when the pump says that it has finished.

use highwater::flow::{Digesting, Length, Visibility};

use crate::plan::Plan;
use crate::subject::Bug;
use crate::world::World;
use crate::{Check, ensure};

/// Where the last byte is, and what the run came to.
pub fn at_the_end(world: &mut World, plan: &Plan) -> Check {
    let pump = &world.subject.pump;
    let (completed, model) = (pump.completed_to(), &world.model);
    ensure!(world.ops.is_empty() && pump.in_flight() == 0, "finished with {:?} in flight", world.ops);
    ensure!(pump.failure() == model.failure, "failed by {:?}, not {:?}", pump.failure(), model.failure);
    ensure!(pump.is_cancelled() == model.cancelled, "cancelled, or not");
    let peak = pump.level_stats(world.now()).peak_bytes;
    let limit = if plan.shape.filled_by_caller { model.ring_bytes() } else { plan.shape.marks.high_bytes() };
    ensure!(peak <= limit, "a peak of {peak} bytes under a mark of {limit}");
    // The driver gives the target its final size: what is complete.
    if plan.shape.visibility != Visibility::Fixed {
        ensure!(
            world.target.visible <= completed || model.failure.is_some() || model.cancelled,
            "{} bytes visible, the length is {completed}",
            world.target.visible
        );
        let cut = u64::from(world.subject.has(Bug::CutShort));
        world.target.set_size(completed.saturating_sub(cut));
    }
    world.target.is_right(0, completed, &world.source.bytes)?;
    match (model.failure, model.cancelled) {
        (None, false) => done(world, plan, completed),
        (Some(_), false) if !model.target_failed => {
            let limit = model.read_limit;
            ensure!(completed == limit, "{completed} bytes complete, {limit} could be read");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn done(world: &World, plan: &Plan, completed: u64) -> Check {
    let (progress, model) = (world.subject.pump.progress(), &world.model);
    let length = match plan.shape.length {
        Length::Exact(n) => n,
        _ if plan.shape.filled_by_caller => plan.source_bytes,
        _ => model.end.ok_or("finished before the end of the source")?,
    };
    ensure!(completed == length, "{completed} bytes complete of {length}");
    if let Length::Expected(n) = plan.shape.length {
        ensure!(length >= n, "{length} bytes are enough where {n} were expected");
    }
    // One that others refused may have come to its end without asking again.
    let held = progress.held && !world.subject.pump.is_refused();
    ensure!(progress.level_bytes == 0 && !held, "drained, and {progress:?}");
    ensure!(model.busy_slots() == 0, "drained, and {} slots are busy", model.busy_slots());
    let counted = progress.completed_bytes + progress.hole_bytes;
    ensure!(counted == completed, "{completed} bytes complete, {counted} counted");
    let digested = model.digested_bytes;
    let seen = plan.shape.digesting == Digesting::Off || digested == progress.completed_bytes;
    ensure!(seen, "{digested} bytes digested of {}", progress.completed_bytes);
    world.target.is_untouched_from(completed)?;
    // Where a source of unknown length shrinks to less than what was seen, nobody could know its end.
    if world.source.len >= plan.source_bytes {
        world.target.was_never_wrong_at(completed)?;
    }
    at_its_pace(world, plan)
}

/// The first block starts at once, the rest take as long as the rate says.
fn at_its_pace(world: &World, plan: &Plan) -> Check {
    let Some(rate) = plan.shape.limit_bytes_per_s else { return Ok(()) };
    let paced = world.model.came.saturating_sub(u64::from(plan.shape.block_bytes));
    let least_ns = u128::from(paced) * 1_000_000_000 / u128::from(rate);
    ensure!(u128::from(world.now_ns) >= least_ns, "{} ns for {paced} bytes at {rate}/s", world.now_ns);
    Ok(())
}

/// The pump waited for nothing but its pace for `waited_ns`: no longer than what came is worth, and
/// a block to find the end.
pub fn waited(world: &World, plan: &Plan, waited_ns: u64) -> Check {
    let Some(rate) = plan.shape.limit_bytes_per_s.filter(|_| world.pauses == 0) else { return Ok(()) };
    let worth = world.model.came + 2 * u64::from(plan.shape.block_bytes);
    let most_ns = u128::from(worth) * 1_000_000_000 / u128::from(rate) + 1_000;
    ensure!(u128::from(waited_ns) <= most_ns, "paced {waited_ns} ns for {worth} bytes at {rate}/s");
    Ok(())
}
