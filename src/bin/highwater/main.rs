//! `highwater`: the command line. No copying happens here.

mod args;
mod meaning;
mod monitor;
mod outputs;
mod quote;
mod run;
mod words;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    abort_on_broken_invariants();
    match args::Arguments::parse().command {
        args::Command::Copy(typed) => run::copy(&typed),
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
