//! `highwater`: the command line. No copying happens here.

mod argmatch;
mod args;
mod bench;
mod display;
mod getopt;
mod manual;
mod meaning;
mod monitor;
mod outputs;
mod program;
mod quote;
mod recorded;
mod run;
mod stress;
mod summary;
mod voice;
mod words;

use std::process::ExitCode;

use clap::FromArgMatches;

use args::Command;
use program::Program;

fn main() -> ExitCode {
    abort_on_broken_invariants();
    let mut args = std::env::args_os();
    let program = Program::called(args.next().as_deref());
    let mut args = args.peekable();
    if program.is_cp() {
        return run::copy(args, program);
    }
    if args.next_if(|job| job == "copy").is_some() {
        return run::copy(args, program);
    }
    let matches = args::command().get_matches();
    match args::Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command {
        Command::Bench(typed) => bench::bench(&typed),
        Command::Stress(typed) => stress::stress(&typed),
        Command::Compare { runs, fail_on } => recorded::compare(&runs, fail_on),
        Command::Report { runs, html, svg } => recorded::report(&runs, html.as_deref(), svg.as_deref()),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { job } => manual::man(job.as_deref()),
    }
}

/// A panic is an invariant that doesn't hold: nothing that follows could be trusted, so nothing
/// does. A file that is being written has no name yet, or not its full length.
fn abort_on_broken_invariants() {
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("unknown");
        let place = panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        eprintln!("highwater: invariant broken: {what}{place}");
        eprintln!("highwater: stopped at once; this is a bug, please report it");
        std::process::abort();
    }));
}
