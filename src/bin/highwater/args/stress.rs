//! The options of `highwater stress`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use highwater::units::{parse_duration, parse_size};

use super::{EngineOptions, OutputOptions};

/// `highwater stress` as typed.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, max_term_width = 100)]
#[command(mut_arg("jobs", |arg| arg.hide(true)), mut_arg("manifest", |arg| arg.hide(true)))]
#[command(mut_arg("stall_limit", |arg| arg.help(
    "Tell of a stall once nothing has completed for so long; 0 never does [default: 1s]"
)))]
#[command(mut_arg("limit_rate", |arg| arg.help("At most so many bytes a second, written and read back")))]
pub struct Stress {
    /// A directory (a file is made there), the name of a file that is to be made, a file or a block device
    #[arg(value_hint = ValueHint::AnyPath)]
    pub target: PathBuf,
    #[command(flatten)]
    pub load: LoadOptions,
    #[command(flatten)]
    pub engine: EngineOptions,
    #[command(flatten)]
    pub output: OutputOptions,
}

/// What is done to the target.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadOptions {
    /// How much of it is used [default: all of a file or device; of a directory what is free, but for a
    /// reserve]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub size: Option<u64>,
    /// Write for so long, going round when the end is reached [default: one round]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub lasts: Option<Duration>,
    /// What the blocks are made from [default: another one each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Sync what was written, and note that it is safe, so often
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub sync_every: Duration,
    /// Write nothing: check what an earlier run wrote, by its state
    #[arg(long, conflicts_with_all = ["size", "lasts", "seed", "probe", "keep", "destroy_data"])]
    pub check: bool,
    /// Where the state of the run is, for --check [default: TARGET.highwater-state; a device needs one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub state: Option<PathBuf>,
    /// Look first whether a device keeps as much as it says, which fakes don't
    #[arg(long)]
    pub probe: bool,
    /// Keep the file that was made, and the state, for --check
    #[arg(long)]
    pub keep: bool,
    /// Write to a file or device that exists: what it holds is lost
    #[arg(long)]
    pub destroy_data: bool,
}

const AFTER_HELP: &str = "\
Every block of 4 KiB says where it belongs and when it was written. Once all is written and synced it
is read back from the device, and each block that is not as it should be is named: lost, stale (of an
earlier round), torn, misdirected (another block's), corrupt or unreadable.

Examples:
  highwater stress /mnt/usb                        fill what is free, check it, remove it
  highwater stress --size 8G --for 1h /srv         an hour of sustained writing, round after round
  highwater stress --destroy-data --probe --state sdb.state /dev/sdb
                                                   a stick that may be a fake: its data is lost
  highwater stress --keep /mnt/usb                 and another day, or on another machine:
  highwater stress --check /mnt/usb --state /mnt/usb.highwater-state
  highwater stress --json report.json --stall-limit 200ms /srv
                                                   what happened, for a program

Exit status: 0 all is as it was written; 1 failed, and the message says where; 2 bad usage; 3 data found
wrong, or a fake; 128 + n stopped by signal n, with a report of what happened until then.";
