//! What was typed, turned into what a bench is told.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use highwater::bench::{Options, Size, Typed, Unfit, Workload};
use highwater::engine::{Choice, Direct};
use highwater::flow::load::Arrival;
use highwater::units::{format_bytes, format_rate};

use crate::args::bench::{self, Bench, LoadOptions, What};
use crate::args::{Engine, EngineOptions, Mark, When};
use crate::meaning::{self, outputs, simulate};

/// How long a load is, and each of a sweep's, unless that was typed.
const LENGTH: Duration = Duration::from_secs(10);
const STEP_LENGTH: Duration = Duration::from_secs(3);
/// How far a sweep raises the depth.
const SWEEP_DEPTH: u64 = 256;
/// How long an interval is unless that was typed.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Nothing completed for so long: no healthy disk does that under a load that is measured.
pub const STALL_LIMIT: Duration = Duration::from_secs(1);
/// For what is out at the end nobody waits any longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What holds of every workload, or why it doesn't.
pub fn check(typed: &Bench) -> Result<(), String> {
    if typed.output.manifest.is_some() {
        return Err("--manifest is of files that are copied, and bench copies none".into());
    }
    let source = match &typed.load.workload {
        What::Copy(source) => Some(source.as_path()),
        What::Load(_) => None,
    };
    outputs::check(&typed.output, source.into_iter().chain([&*typed.target]), false)
}

/// How long it lasts.
pub fn length(load: &LoadOptions) -> Duration {
    load.length.unwrap_or(if load.sweep { STEP_LENGTH } else { LENGTH })
}

/// What a bench is told, or why it can't be meant.
pub fn options(typed: &Bench, workload: Workload) -> Result<Options, String> {
    let LoadOptions { size, sync_every, destroy_data, sweep, .. } = typed.load;
    let output = &typed.output;
    if sweep && [&output.hlog, &output.hgrm, &output.csv].iter().any(|file| file.is_some()) {
        return Err("--sweep is of many loads, and --hlog, --hgrm and --csv are of one; --json has all, \
                    --html and --svg draw it"
            .into());
    }
    let engine = &typed.engine;
    if engine.jobs.is_some_and(|jobs| jobs != 1) {
        return Err("--jobs is of copies: --depth is how many operations are in flight".into());
    }
    let raises_depth = sweep && typed.load.rate.is_none();
    if raises_depth && engine.low_water.is_some() {
        return Err("--sweep begins with one operation in flight, below any --low-water".into());
    }
    if sweep && !raises_depth && engine.limit_rate.is_some() {
        return Err("--sweep raises the rate, and --limit-rate holds it".into());
    }
    let depth = if raises_depth { SWEEP_DEPTH } else { workload.depth() };
    let options = Options {
        workload,
        size: in_flight(engine, typed.load.depth, workload, depth)?,
        limit_bytes_per_s: engine.limit_rate,
        arrival: match (typed.load.rate, typed.load.arrival) {
            (None, _) => Arrival::Closed,
            (Some(per_s), bench::Arrival::Fixed) => Arrival::Fixed { per_s },
            (Some(per_s), bench::Arrival::Poisson) => Arrival::Poisson { per_s },
        },
        length: length(&typed.load),
        size_bytes: size,
        sync_every,
        seed: typed.load.seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id())),
        destroy_data,
        direct: match engine.direct {
            When::Auto => Direct::Auto,
            When::Always => Direct::Always,
            When::Never => Direct::Never,
        },
        engine: match engine.engine {
            Engine::Auto => Choice::Auto,
            Engine::Ring => Choice::Ring,
            Engine::Plain => Choice::Plain,
        },
        simulated: simulate::device(&engine.simulated)?,
        interval: Some(typed.output.interval.unwrap_or(INTERVAL)),
        stall_limit: typed.output.stall_limit.unwrap_or(STALL_LIMIT),
        patience: PATIENCE.max(typed.output.stall_limit.unwrap_or_default()),
    };
    options.check().map(|()| options).map_err(unfit)
}

fn in_flight(
    engine: &EngineOptions,
    typed: Option<u64>,
    workload: Workload,
    depth: u64,
) -> Result<Size, String> {
    let high_water = match engine.high_water {
        Some(Mark::Auto) => {
            return Err("--high-water auto moves the mark while it is measured: --sweep measures one depth \
                        after the other"
                .into());
        }
        Some(Mark::Bytes(bytes)) => Some(bytes),
        None => None,
    };
    let EngineOptions { block_size: block_bytes, buffers, low_water, .. } = *engine;
    let typed = Typed { block_bytes, depth: typed, buffers, high_water, low_water };
    typed.resolve(workload, depth).map_err(unfit)
}

fn unfit(unfit: Unfit) -> String {
    match unfit {
        Unfit::Zero(option) => format!("--{option} must be larger than 0"),
        Unfit::Block { most } => format!("--block-size may be at most {}", format_bytes(most)),
        Unfit::Depth { most } => format!("--depth may be at most {most}"),
        Unfit::Memory { most } => {
            format!("--buffers times --block-size may be at most {}", format_bytes(most))
        }
        Unfit::Buffers { most } => format!("--buffers may be at most {most}"),
        Unfit::TooFewBuffers { buffers, depth, needed } => {
            format!("--buffers ({buffers}) are fewer than --depth ({depth}) needs ({needed})")
        }
        Unfit::HighAboveDepth { high, ring } => format!(
            "--high-water ({}) is more than --depth times --block-size ({})",
            format_bytes(high),
            format_bytes(ring)
        ),
        Unfit::Marks(error) => meaning::contradiction(error),
        Unfit::RateAboveLimit { wanted, limit } => format!(
            "--rate times --block-size ({}) is more than --limit-rate ({})",
            format_rate(wanted as f64),
            format_rate(limit as f64)
        ),
        Unfit::Size => "--size must be at least --block-size".into(),
        Unfit::NothingToSync => "--sync-every needs a workload that writes".into(),
    }
}
