//! The options of `highwater bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use highwater::bench::Workload;
use highwater::bench::sweep::{Goal, Percentile};
use highwater::units::{parse_duration, parse_size};

use super::{EngineOptions, OutputOptions, SPEC};

/// `highwater bench` as typed.
#[derive(Debug, Args)]
#[command(after_help = format!("{SPEC}\n\n{AFTER_HELP}"), max_term_width = 100)]
#[command(mut_arg("manifest", |arg| arg.hide(true)))]
#[command(mut_arg("block_size", |arg| arg.help("Of each operation [default: 4K in random order, else 512K]")))]
#[command(mut_arg("buffers", |arg| arg.help(
    "Buffers in the ring [default: one for each of --depth, two for each of a mixed load]"
)))]
#[command(mut_arg("high_water", |arg| arg.help(
    "Most bytes in flight: operations start only below it; auto is of copies [default: --depth blocks]"
)))]
#[command(mut_arg("low_water", |arg| arg.help(
    "Once full, operations start again when so few bytes are in flight [default: at once]"
)))]
#[command(mut_arg("limit_rate", |arg| arg.help("At most so many bytes a second, read and written")))]
#[command(mut_arg("direct", |arg| arg.help(
    "Go around the page cache: where that is possible (auto), or fail (always), or never"
)))]
#[command(mut_arg("engine", |arg| arg.help(
    "io_uring (ring), pread and pwrite with a thread for each (plain), or what is possible (auto)"
)))]
#[command(mut_arg("jobs", |arg| arg.help(
    "Of copies: files of a tree that are copied at the same time [default: as many as there are CPUs]"
)))]
#[command(mut_arg("stall_limit", |arg| arg.help(
    "Tell what hangs once nothing has completed for so long; 0 never does [default: 1s]"
)))]
pub struct Bench {
    /// A directory (a scratch file is made there, and removed), a file or a block device
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    pub target: PathBuf,
    #[command(flatten)]
    pub load: LoadOptions,
    #[command(flatten)]
    pub engine: EngineOptions,
    #[command(flatten)]
    pub output: OutputOptions,
}

/// What is to be measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadOptions {
    /// read, write, randread, randwrite; mixed:PCT: so many of a hundred random operations are reads; or
    /// copy:SOURCE: copies of it, as highwater copy makes them
    #[arg(long, value_name = "WHAT", default_value = "randread", value_parser = parse_workload)]
    pub workload: What,
    /// Operations in flight at most [default: 32 in random order, else 8]
    #[arg(long, value_name = "N")]
    pub depth: Option<u64>,
    /// Open loop: so many operations a second start, whatever the target does [default: closed loop]
    #[arg(long, value_name = "N/s", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// At even times (fixed) or at random ones
    #[arg(long, value_name = "HOW", default_value = "fixed", requires = "rate")]
    pub arrival: Arrival,
    /// For how long; each step of a sweep [default: 10s; 3s]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub length: Option<Duration>,
    /// One load after the other: the rate is raised from --rate on, or the depth up to --depth [256]
    #[arg(long)]
    pub sweep: bool,
    /// What a sweep is to keep: p99=5ms names the highest load with a p99 of at most that
    #[arg(long, value_name = "PERCENTILE=TIME", value_parser = parse_goal, requires = "sweep")]
    pub goal: Option<Goal>,
    /// Of the scratch file, or of what is used of a file or device [default: 256M; all of it]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub size: Option<u64>,
    /// A sync after every N writes
    #[arg(long, value_name = "N")]
    pub sync_every: Option<u64>,
    /// Of all that is random: the same seed, the same operations [default: another one each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Write to a file or device that exists: what it holds is lost
    #[arg(long)]
    pub destroy_data: bool,
}

/// `--workload`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// operations of one file
    Load(Workload),
    /// copies of this
    Copy(PathBuf),
}

/// `--arrival`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arrival {
    Fixed,
    Poisson,
}

const AFTER_HELP: &str = "\
Service time is from submission to completion. Response time, of an open loop, is from when an
operation was meant to start: what a user waits for when the target falls behind.

Examples:
  highwater bench /srv                             random reads of 4 KiB, as many as it can
  highwater bench --rate 500/s --for 60s /srv      500 a second, and how long each had to wait
  highwater bench --workload mixed:70 --json run.json --html run.html /srv
                                                   for another day, and for the eye
  highwater bench --workload randwrite --sync-every 1 --depth 1 /srv
                                                   what a database's commit costs
  highwater bench --sweep --rate 1K/s --goal p99=5ms /srv
                                                   the highest rate with a p99 of at most 5 ms
  highwater bench --workload write --destroy-data /dev/sdb
                                                   an empty disk: it is written over

Exit status: 0 done; 1 failed, or something was still out at the end; 2 bad usage; 128 + n stopped by
signal n, with a report of what was measured until then.";

fn parse_workload(text: &str) -> Result<What, String> {
    match text.strip_prefix("copy:") {
        Some("") => Err("copy:SOURCE needs a file or a directory to copy".into()),
        Some(source) => Ok(What::Copy(source.into())),
        None => parse_load(text).map(What::Load),
    }
}

fn parse_load(text: &str) -> Result<Workload, String> {
    match text {
        "read" => Ok(Workload::Read),
        "write" => Ok(Workload::Write),
        "randread" => Ok(Workload::RandRead),
        "randwrite" => Ok(Workload::RandWrite),
        _ => match text.strip_prefix("mixed:") {
            Some(percent) => match percent.trim_end_matches('%').parse() {
                Ok(read_percent @ 1..=99) => Ok(Workload::Mixed { read_percent }),
                _ => Err("mixed:PCT is reads in a hundred, 1 to 99: mixed:70".into()),
            },
            None => Err("possible: read, write, randread, randwrite, mixed:PCT, copy:SOURCE".into()),
        },
    }
}

/// `p99=5ms`
fn parse_goal(text: &str) -> Result<Goal, String> {
    let names = Percentile::ALL.map(Percentile::name).join(", ");
    let (name, limit) =
        text.split_once('=').ok_or_else(|| "a goal is PERCENTILE=TIME: p99=5ms".to_owned())?;
    let percentile = Percentile::ALL.into_iter().find(|percentile| percentile.name() == name);
    let percentile = percentile.ok_or_else(|| format!("no percentile is called '{name}'; known: {names}"))?;
    let limit = parse_duration(limit).map_err(|error| error.to_string())?;
    if limit.is_zero() {
        return Err("nothing is done in no time".into());
    }
    Ok(Goal { percentile, limit })
}

/// `500/s`, `500`, `1.5K/s`: thousands, not 1,024.
fn parse_rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let (number, unit) = match number.char_indices().last() {
        Some((at, 'k' | 'K')) => (&number[..at], 1e3),
        Some((at, 'm' | 'M')) => (&number[..at], 1e6),
        _ => (number, 1.0),
    };
    let has_digits = number.starts_with(|first: char| first.is_ascii_digit());
    match number.parse::<f64>() {
        Ok(rate) if has_digits && (rate * unit).is_finite() => Ok(rate * unit),
        _ => Err("a rate is operations a second: 500/s, 1.5K/s".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_operations_a_second() {
        let rates =
            [("500/s", 500.0), ("500", 500.0), ("1.5K/s", 1500.0), ("0.5/s", 0.5), ("2m", 2e6), ("0", 0.0)];
        for (text, rate) in rates {
            assert_eq!(parse_rate(text), Ok(rate), "{text}");
        }
        for text in ["", "-1", "/s", "K", "fast", "nan", "inf", "5/m", "1e400"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn workloads_have_names() {
        for text in ["read", "write", "randread", "randwrite", "mixed:1", "mixed:99"] {
            assert_eq!(parse_load(text).unwrap().name(), text);
        }
        assert_eq!(parse_workload("copy:a b"), Ok(What::Copy("a b".into())));
        for text in ["", "copy:", "reads", "mixed", "mixed:", "mixed:0", "mixed:100", "mixed:x"] {
            assert!(parse_workload(text).is_err(), "{text}");
        }
    }
}
