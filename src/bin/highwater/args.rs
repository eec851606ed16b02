//! The command line as typed. What it means is `meaning`'s business.

pub mod bench;
pub mod copy;
pub mod stress;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use highwater::flow::simulate::PROFILES;
use highwater::units::{parse_duration, parse_rate, parse_size};

/// Copies files, devices and pipes through a fixed ring of registered buffers, with backpressure.
#[derive(Debug, Parser)]
#[command(name = "highwater", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure how long reads, writes and syncs take, at a load of your choice
    #[command(display_order = 0)]
    Bench(Box<bench::Bench>),
    /// Lean on a target: sustained writing, every block checked afterwards, stalls and cliffs named
    #[command(display_order = 0)]
    Stress(Box<stress::Stress>),
    /// Draw runs from their JSON reports: of one, or of several laid over each other
    #[command(after_help = REPORT_EXAMPLES, display_order = 1)]
    Report {
        /// JSON reports (--json) of copies, benches or stress runs, at most 8; - is standard input
        #[arg(value_name = "RUN.json", required = true, value_hint = ValueHint::FilePath)]
        runs: Vec<PathBuf>,
        /// Write a page that needs nothing else; - is standard output
        #[arg(long, value_name = "FILE", required_unless_present = "svg", value_hint = ValueHint::FilePath)]
        html: Option<PathBuf>,
        /// Write the page's plots as SVG files into DIR
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        svg: Option<PathBuf>,
    },
    /// Tell whether runs are better or worse than the first, from their JSON reports
    #[command(after_help = COMPARE_EXAMPLES, display_order = 1)]
    Compare {
        /// JSON reports (--json) of one command: the first, and those that are compared with it; - is
        /// standard input
        #[arg(value_name = "RUN.json", required = true, num_args = 2.., value_hint = ValueHint::FilePath)]
        runs: Vec<PathBuf>,
        /// Leave with status 1 if a number is worse, at 95 %
        #[arg(long, value_name = "WHAT")]
        fail_on: Option<FailOn>,
    },
    /// Print a script that completes this command's options in a shell
    #[command(display_order = 1)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print this command's manual page
    #[command(display_order = 1)]
    Man {
        /// That of a job: copy, bench, stress, report, compare
        job: Option<String>,
    },
}

/// What a comparison fails on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Worse,
}

const COMPARE_EXAMPLES: &str = "\
Verdicts are made by a bootstrap over the runs' intervals, and hold together at 95 %. They know what varies
within a run, not what differs between two runs of the same: repeat runs before a small ratio is believed.

Examples:
  highwater compare before.json after.json         percentiles side by side, with verdicts
  highwater compare --fail-on worse lastweek.json tonight.json
                                                   for a nightly job

Exit status: 0 done; 1 worse, with --fail-on worse; 2 bad usage, or a report that can't be used.";

const REPORT_EXAMPLES: &str = "\
Examples:
  highwater report run.json --html run.html        a page of a recorded run
  highwater report monday.json tuesday.json --html both.html
                                                   two runs laid over each other
  highwater report run.json --svg plots            its plots as SVG files

Exit status: 0 done; 1 a file can't be written; 2 bad usage, or a report that can't be used.";

/// The definition of the whole command. `copy` is defined, and read, in a module of its own.
pub fn command() -> clap::Command {
    Arguments::command().subcommand(copy::command())
}

/// The ring, its marks and how it is driven: the same for every job.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Engine")]
pub struct EngineOptions {
    /// Unit of transfer [default: 512K]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub block_size: Option<u64>,
    /// Buffers in the ring [default: as many as the marks need, 8]
    #[arg(long, value_name = "N")]
    pub buffers: Option<u64>,
    /// Most bytes in flight: reads start only below it; auto finds how few keep the rate up [default: the whole ring, 4M]
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
    #[command(flatten)]
    pub simulated: Simulated,
    /// Files of a tree that are copied at the same time [default: as many as there are CPUs, 8 at most]
    #[arg(long, value_name = "N")]
    pub jobs: Option<u32>,
}

/// What is shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// A progress line on standard error: on a terminal (auto), always, or never [default: auto]
    #[arg(long, value_name = "WHEN")]
    pub progress: Option<When>,
    /// Tell what hangs once nothing has completed for so long; 0 never does [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub stall_limit: Option<Duration>,
    /// Say nothing but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// Write a report in JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the BLAKE3 checksum of each file copied, for b3sum --check; - is standard output
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Show how long reads, writes and syncs took
    #[arg(long)]
    pub latency: bool,
    /// How long an interval of the outputs is, 10ms or longer [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_interval)]
    pub interval: Option<Duration>,
    /// Write a HdrHistogram interval log while it runs
    #[arg(long, value_name = "FILE")]
    pub hlog: Option<PathBuf>,
    /// Write HdrHistogram's percentile distributions
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// Write the intervals as comma-separated values while it runs
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write metrics in OpenMetrics' text format, for Prometheus
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Draw the run as a page that needs nothing else: percentiles, latency and throughput over time
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the page's plots as SVG files into DIR
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub svg: Option<PathBuf>,
}

impl OutputOptions {
    /// Every option that names a file, and the file.
    fn files(&self) -> [(&'static str, &Option<PathBuf>); 7] {
        [
            ("--json", &self.json),
            ("--manifest", &self.manifest),
            ("--hlog", &self.hlog),
            ("--hgrm", &self.hgrm),
            ("--csv", &self.csv),
            ("--metrics", &self.metrics),
            ("--html", &self.html),
        ]
    }

    /// The options whose file is standard output.
    pub fn on_standard_output(&self) -> impl Iterator<Item = &'static str> {
        self.typed_files().filter(|(_, file)| *file == Path::new("-")).map(|(option, _)| option)
    }

    /// The other options that name a file, and the file.
    pub fn on_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.typed_files().filter(|(_, file)| *file != Path::new("-"))
    }

    fn typed_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.files().into_iter().filter_map(|(option, file)| Some((option, file.as_deref()?)))
    }
}

/// What stands before the target: the same for every job.
#[derive(Clone, Debug, Args)]
pub struct Simulated {
    /// A device that does not exist before the target: slow, faulty, full; see below
    #[arg(long, value_name = "SPEC")]
    pub simulate: Option<String>,
    /// The same by a kind of device; what SPEC says comes before it
    #[arg(long, value_name = "NAME", value_parser = profiles())]
    pub profile: Option<String>,
}

fn profiles() -> PossibleValuesParser {
    PROFILES.map(|profile| profile.name).into()
}

/// What SPEC is, for the help of every job that has a target.
pub const SPEC: &str = "\
SPEC, of a device that stands before the real target, is a comma-separated list of
  bandwidth=20MiB/s, iops=3000    over all operations of all workers
  cliff=5MiB/s@1GiB               writes, once so much has been written
  latency=5ms                     of each operation; or uniform:1ms:5ms, lognormal:5ms:0.8 (median and
                                  deviation of the logarithm), replay:FILE.hlog
  stall=2s@10s, stall=2s~10s      stands still for 2 s every 10 s, or at random, every 10 s on average
  error=EIO:0.1%, error=EIO@64M   some operations fail, or each that meets this offset of a file
  short=10%                       some move less than they were asked for
  full=64MiB                      ENOSPC once so much is there, of all files
  seed=N                          of what is random: the same seed fails in the same places
bandwidth, iops, latency, error and short are for reads and writes, with read- or write- before them
for these alone; sync-latency and sync-error are for what makes data durable.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
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

/// An interval takes some 0.1 ms to close: shorter ones would measure themselves.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(length) if length < SHORTEST_INTERVAL => Err("must be 10ms or longer".to_owned()),
        Ok(length) => Ok(length),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_mark(text: &str) -> Result<Mark, highwater::units::UnitError> {
    match text {
        "auto" => Ok(Mark::Auto),
        _ => parse_size(text).map(Mark::Bytes),
    }
}
