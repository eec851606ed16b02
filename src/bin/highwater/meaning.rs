//! What was typed, turned into a job. The only place where an option's name meets the library.

mod backup;
mod files;
pub mod outputs;
pub mod simulate;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use highwater::copy::{Direct, Job, Name, Options, Reflink, Sync, TargetIs};
use highwater::engine::{Choice, Moved, Size, Typed};
use highwater::flow::MarksError;
use highwater::units::format_bytes;

use crate::args::copy::Copy;
use crate::args::{self, EngineOptions, When};
use crate::program::{Program, Usage};
use crate::quote::quote;
use files::Decoded;

/// What the environment says beside the command line.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// POSIXLY_CORRECT is set
    pub posixly_correct: bool,
    /// VERSION_CONTROL
    pub version_control: Option<OsString>,
    /// SIMPLE_BACKUP_SUFFIX
    pub simple_backup_suffix: Option<OsString>,
}

/// A tree has more to gain from many workers than a disk has to lose by them.
const MOST_JOBS: usize = 8;

impl Environment {
    /// That of this process.
    pub fn of_process() -> Environment {
        Environment {
            posixly_correct: std::env::var_os("POSIXLY_CORRECT").is_some(),
            version_control: std::env::var_os("VERSION_CONTROL"),
            simple_backup_suffix: std::env::var_os("SIMPLE_BACKUP_SUFFIX"),
        }
    }
}

/// The job of `highwater copy`, or of cp. `warn` is told at once of what is ignored.
pub fn copy(
    typed: &Copy,
    program: Program,
    environment: &Environment,
    warn: impl Fn(&str),
) -> Result<Job, Usage> {
    let mut decoded = Decoded::default();
    decoded.options.sync = if program.is_cp() { Sync::None } else { Sync::End };
    decoded.options.as_cp = program.is_cp();
    for option in &typed.options {
        if option.name == "context" && option.value.is_some() {
            warn("warning: ignoring --context; it requires an SELinux-enabled kernel");
        }
        decoded.apply(option)?;
    }
    let asked = decoded.finish(environment)?;
    let (sources, target) = names(typed, &asked, program)?;
    if asked.options.map.is_some()
        && (sources.len() > 1 || sources.contains(&Name::Standard) || target == Name::Standard)
    {
        return Err(Usage::new("--map needs one file or device as SOURCE, and another as TARGET"));
    }
    let engine = &typed.engine;
    if engine.limit_rate == Some(0) {
        return Err(Usage::new("--limit-rate must be larger than 0"));
    }
    if engine.jobs == Some(0) {
        return Err(Usage::new("--jobs must be larger than 0"));
    }
    if asked.options.resume && (target == Name::Standard || sources.contains(&Name::Standard)) {
        return Err(Usage::new("--resume can't go on with a pipe: standard input and output come once"));
    }
    if target == Name::Standard && asked.options.atomic {
        return Err(Usage::new("--atomic replaces files by name, and standard output has none"));
    }
    let paths = sources.iter().chain([&target]).filter_map(|name| match name {
        Name::Path(path) => Some(path.as_path()),
        Name::Standard => None,
    });
    outputs::check(&typed.output, paths, target == Name::Standard).map_err(Usage::new)?;
    let options = Options {
        manifest: typed.output.manifest.is_some(),
        direct: when(engine.direct, [Direct::Auto, Direct::Always, Direct::Never]),
        through_dangling: environment.posixly_correct,
        ..asked.options
    };
    if options.verify && target == Name::Standard {
        return Err(Usage::new("--verify can't read back what goes to standard output"));
    }
    if options.map.is_some() && options.manifest {
        return Err(Usage::new("--map can't be used with --manifest"));
    }
    if options.reflink == Reflink::Always && (options.verify || options.manifest) {
        let option = if options.verify { "--verify" } else { "--manifest" };
        return Err(Usage::new(format!("{option} needs the bytes, and --reflink=always copies none")));
    }
    let simulated = simulate::device(&engine.simulated).map_err(Usage::new)?;
    let gentle = options.gentle;
    if simulated.is_some() && options.reflink == Reflink::Always {
        return Err(Usage::new("a simulated device slows bytes down, and --reflink=always copies none"));
    }
    Ok(Job {
        sources,
        target,
        jobs: jobs(engine.jobs, &options),
        options,
        size: size_of_copy(engine, gentle)?,
        engine: match engine.engine {
            args::Engine::Auto => Choice::Auto,
            args::Engine::Ring => Choice::Ring,
            args::Engine::Plain => Choice::Plain,
        },
        limit_bytes_per_s: engine.limit_rate,
        simulated,
    })
}

/// One worker alone tells of files, and asks, in the order of the tree.
fn jobs(typed: Option<u32>, options: &Options) -> usize {
    match typed {
        Some(typed) => typed as usize,
        None if options.verbose || options.ask => 1,
        None => std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(MOST_JOBS)),
    }
}

/// The sources and the target among the operands.
fn names(typed: &Copy, asked: &files::Asked, program: Program) -> Result<(Vec<Name>, Name), Usage> {
    let operands = &typed.operands[..];
    let sources_and_target = match (operands, &asked.target_directory) {
        ([], _) => return Err(Usage::new("missing file operand")),
        ([one], None) => {
            let one = quote(Path::new(one));
            return Err(Usage::new(format!("missing destination file operand after {one}")));
        }
        (_, Some(_)) if asked.options.target_is == TargetIs::Name => {
            return Err(Usage::bare("cannot combine --target-directory (-t) and --no-target-directory (-T)"));
        }
        ([_, _, extra, ..], None) if asked.options.target_is == TargetIs::Name => {
            return Err(Usage::new(format!("extra operand {}", quote(Path::new(extra)))));
        }
        (sources, Some(directory)) => (sources, Name::Path(directory.into())),
        ([sources @ .., target], None) => (sources, name(target, !program.is_cp())),
    };
    let (sources, target) = sources_and_target;
    let may_be_standard = !program.is_cp() && sources.len() == 1;
    let source = |source: &OsString| match asked.strip_slashes {
        true => name(stripped(source), may_be_standard),
        false => name(source, may_be_standard),
    };
    Ok((sources.iter().map(source).collect(), target))
}

fn name(typed: &OsStr, may_be_standard: bool) -> Name {
    match may_be_standard && typed == "-" {
        true => Name::Standard,
        false => Name::Path(typed.into()),
    }
}

fn stripped(typed: &OsStr) -> &OsStr {
    use std::os::unix::ffi::OsStrExt;
    let bytes = typed.as_bytes();
    let end = bytes.iter().rposition(|&byte| byte != b'/').map_or(bytes.len().min(1), |last| last + 1);
    OsStr::from_bytes(&bytes[..end])
}

fn when<T>(typed: When, [auto, always, never]: [T; 3]) -> T {
    match typed {
        When::Auto => auto,
        When::Always => always,
        When::Never => never,
    }
}

/// The ring and its marks.
pub fn size(engine: &EngineOptions) -> Result<Size, Usage> {
    let is_auto = engine.high_water == Some(args::Mark::Auto);
    size_with(engine, if is_auto { Moved::ToTheKnee } else { Moved::Never })
}

/// The same, where others may go first.
fn size_of_copy(engine: &EngineOptions, gentle: bool) -> Result<Size, Usage> {
    match (gentle, engine.high_water) {
        (false, _) => size(engine),
        (true, None) => size_with(engine, Moved::ForOthers),
        (true, Some(_)) => Err(Usage::new("--gentle finds its own mark: it can't be used with --high-water")),
    }
}

fn size_with(engine: &EngineOptions, moved: Moved) -> Result<Size, Usage> {
    let typed = Typed {
        block_bytes: engine.block_size,
        buffers: engine.buffers,
        high_water: match engine.high_water {
            Some(args::Mark::Bytes(bytes)) => Some(bytes),
            Some(args::Mark::Auto) | None => None,
        },
        low_water: engine.low_water,
        moved,
    };
    typed.resolve().map_err(|error| Usage::new(contradiction(error)))
}

/// How the marks contradict each other, the block or the ring.
pub fn contradiction(error: MarksError) -> String {
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

#[cfg(test)]
mod tests;
