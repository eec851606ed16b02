//! What was typed, turned into a job. The only place where an option's name meets the library.

use std::ffi::OsStr;
use std::path::Path;

use highwater::copy::{Direct, Job, Name, Reflink, Sparse, Sync};
use highwater::engine::{Choice, Typed};
use highwater::flow::MarksError;
use highwater::units::format_bytes;

use crate::args::{self, When};

/// Bad usage: a message, exit status 2.
pub type Usage = String;

/// The job of `highwater copy`.
pub fn copy(typed: &args::Copy) -> Result<Job, Usage> {
    let engine = &typed.engine;
    if engine.limit_rate == Some(0) {
        return Err("--limit-rate must be larger than 0".into());
    }
    if typed.file.reflink == When::Always && typed.file.sparse != When::Auto {
        return Err("--reflink can be used only with --sparse=auto".into());
    }
    if typed.target == "-" && typed.output.json.as_deref() == Some(Path::new("-")) {
        return Err("standard output can't take both the copy and --json -".into());
    }
    let size = Typed {
        block_bytes: engine.block_size,
        buffers: engine.buffers,
        high_water: match engine.high_water {
            Some(args::Mark::Bytes(bytes)) => Some(bytes),
            Some(args::Mark::Auto) | None => None,
        },
        low_water: engine.low_water,
    };
    Ok(Job {
        source: name(&typed.source),
        target: name(&typed.target),
        size: size.resolve().map_err(contradiction)?,
        engine: match engine.engine {
            args::Engine::Auto => Choice::Auto,
            args::Engine::Ring => Choice::Ring,
            args::Engine::Plain => Choice::Plain,
        },
        direct: when(engine.direct, [Direct::Auto, Direct::Always, Direct::Never]),
        sparse: when(typed.file.sparse, [Sparse::Auto, Sparse::Always, Sparse::Never]),
        reflink: when(typed.file.reflink, [Reflink::Auto, Reflink::Always, Reflink::Never]),
        sync: match typed.file.sync {
            args::Sync::End => Sync::End,
            args::Sync::File => Sync::File,
            args::Sync::None => Sync::None,
        },
        limit_bytes_per_s: engine.limit_rate,
    })
}

fn when<T>(typed: When, [auto, always, never]: [T; 3]) -> T {
    match typed {
        When::Auto => auto,
        When::Always => always,
        When::Never => never,
    }
}

fn name(typed: &OsStr) -> Name {
    match typed == "-" {
        true => Name::Standard,
        false => Name::Path(typed.into()),
    }
}

fn contradiction(error: MarksError) -> Usage {
    let size = format_bytes;
    match error {
        MarksError::Zero => "--block-size, --buffers and --high-water must be larger than 0".into(),
        MarksError::HighBelowBlock { high, block } => {
            format!("--high-water ({}) must be at least --block-size ({})", size(high), size(block))
        }
        MarksError::HighAboveRing { high, ring } => format!(
            "--high-water ({}) is more than --buffers times --block-size hold ({})",
            size(high),
            size(ring)
        ),
        MarksError::LowNotBelowHigh { low, high } => {
            format!("--low-water ({}) must be below --high-water ({})", size(low), size(high))
        }
        MarksError::BlockTooLarge { block, most } => {
            format!("--block-size ({}) may be at most {}", size(block), size(most))
        }
        MarksError::TooManyBuffers { buffers, most } => {
            format!("--buffers ({buffers}) may be at most {most}: a larger --block-size makes a larger ring")
        }
    }
}
