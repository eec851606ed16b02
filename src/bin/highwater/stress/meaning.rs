//! What was typed, turned into what a stress run is told.

use std::hash::{BuildHasher, RandomState};

use highwater::engine::{Choice, Direct};
use highwater::stress::Job;
use highwater::stress::pattern::BLOCK_BYTES;

use crate::args::stress::{LoadOptions, Stress};
use crate::args::{Engine, When};
use crate::meaning;

/// What a run is told, or why it can't be meant.
pub fn job(typed: &Stress) -> Result<Job, String> {
    let Stress { engine, output, .. } = typed;
    if output.manifest.is_some() {
        return Err("--manifest is of files that are copied, and stress copies none".into());
    }
    if engine.jobs.is_some_and(|jobs| jobs != 1) {
        return Err("--jobs is of trees, and stress writes to one file".into());
    }
    let own = typed.load.state.iter().chain([&typed.target]).map(|path| path.as_path());
    meaning::outputs::check(output, own, false)?;
    if engine.limit_rate == Some(0) {
        return Err("--limit-rate must be larger than 0".into());
    }
    let LoadOptions { size, lasts, seed, sync_every, check, ref state, probe, keep, destroy_data } =
        typed.load;
    if lasts.is_some_and(|lasts| lasts.is_zero()) {
        return Err("--for must be longer than 0".into());
    }
    if sync_every.is_zero() {
        return Err("--sync-every must be longer than 0".into());
    }
    if size.is_some_and(|size| size < BLOCK_BYTES as u64) {
        return Err(format!("--size must be at least a block of {BLOCK_BYTES} bytes"));
    }
    let ring = meaning::size(engine).map_err(|usage| usage.message)?;
    if !(ring.block_bytes as usize).is_multiple_of(BLOCK_BYTES) {
        return Err(format!(
            "--block-size ({}) must be a multiple of {BLOCK_BYTES} bytes, the unit that is checked",
            ring.block_bytes
        ));
    }
    Ok(Job {
        target: typed.target.clone(),
        size_bytes: size,
        lasts,
        seed: seed.unwrap_or_else(|| RandomState::new().hash_one(std::process::id())),
        state: state.clone(),
        only_check: check,
        probe,
        keep,
        destroy_data,
        sync_every,
        direct: match engine.direct {
            When::Auto => Direct::Auto,
            When::Always => Direct::Always,
            When::Never => Direct::Never,
        },
        size: ring,
        engine: match engine.engine {
            Engine::Auto => Choice::Auto,
            Engine::Ring => Choice::Ring,
            Engine::Plain => Choice::Plain,
        },
        limit_bytes_per_s: engine.limit_rate,
        simulated: meaning::simulate::device(&engine.simulated)?,
    })
}
