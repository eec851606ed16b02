//! The command line as typed. What it means is `meaning`'s business.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use highwater::units::{parse_rate, parse_size};

/// Copies files, devices and pipes through a fixed ring of registered buffers, with backpressure.
#[derive(Debug, Parser)]
#[command(name = "highwater", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Copy one file, block device or pipe
    #[command(after_help = COPY_EXAMPLES)]
    Copy(Copy),
}

const COPY_EXAMPLES: &str = "\
Examples:
  highwater copy disk.img /srv/backup/             a file, durable once the prompt is back
  highwater copy --progress always vm.img new.img  with a progress line in a log, too
  highwater copy image.raw /dev/sdb                onto a device, never past the image's end
  pg_dump db | highwater copy - dump.sql           from a pipe
  highwater copy --limit-rate 20M/s big slow/      leave something for others
  highwater copy --json - --latency a b            what happened, for a program and for you

Exit status: 0 done; 1 failed, and the message says where; 2 bad usage; 128 + n stopped by signal n.";

#[derive(Debug, Args)]
pub struct Copy {
    /// File, block device or FIFO; - is standard input
    pub source: OsString,
    /// File, directory, block device or FIFO; - is standard output
    pub target: OsString,
    #[command(flatten)]
    pub file: FileOptions,
    #[command(flatten)]
    pub engine: EngineOptions,
    #[command(flatten)]
    pub output: OutputOptions,
}

/// How the file comes to be.
#[derive(Debug, Args)]
#[command(next_help_heading = "Copying")]
pub struct FileOptions {
    /// What exit status 0 promises: all is on stable storage (end, file), or with the kernel (none)
    #[arg(long, value_name = "WHEN", default_value = "end")]
    pub sync: Sync,
    /// Holes: keep the source's, make one of every run of zeros, or none
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub sparse: When,
    /// Share the source's blocks where the file system can (auto), or fail (always), or copy (never)
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true,
          default_value = "auto", default_missing_value = "always")]
    pub reflink: When,
}

/// The ring, its marks and how it is driven: the same for every job.
#[derive(Debug, Args)]
#[command(next_help_heading = "Engine")]
pub struct EngineOptions {
    /// Unit of transfer [default: 512K]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub block_size: Option<u64>,
    /// Buffers in the ring [default: as many as the marks need, 8]
    #[arg(long, value_name = "N")]
    pub buffers: Option<u64>,
    /// Most bytes in flight: reads start only below it [default: the whole ring, 4M]
    #[arg(long, value_name = "SIZE|auto", value_parser = parse_mark)]
    pub high_water: Option<Mark>,
    /// Once full, read again when so few bytes are in flight (0: all written) [default: at once]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub low_water: Option<u64>,
    /// Go around the page cache: where it helps (auto), or fail (always), or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub direct: When,
    /// At most so many bytes a second
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub limit_rate: Option<u64>,
    /// io_uring (ring), pread and pwrite (plain), or whatever is possible (auto)
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    pub engine: Engine,
}

/// What is shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// A progress line on standard error: on a terminal (auto), always, or never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub progress: When,
    /// Say nothing but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// Write a report in JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Show how long reads, writes and syncs took
    #[arg(long)]
    pub latency: bool,
    /// Write a HdrHistogram interval log, an interval a second
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// Write HdrHistogram's percentile distributions
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Sync {
    End,
    File,
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Engine {
    Auto,
    Ring,
    Plain,
}

/// `--high-water`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Auto,
    Bytes(u64),
}

fn parse_mark(text: &str) -> Result<Mark, highwater::units::UnitError> {
    match text {
        "auto" => Ok(Mark::Auto),
        _ => parse_size(text).map(Mark::Bytes),
    }
}
