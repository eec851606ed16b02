//! Help, version, completions and manual pages: all from the one definition of the options.

use std::io::{self, Write};
use std::process::ExitCode;

use clap_complete::Shell;
use clap_mangen::Man;

use crate::args;
use crate::program::Program;
use crate::run::print;

/// `highwater copy --help` or `cp --help`
pub fn copy_help(program: Program) -> String {
    let command = args::copy::command();
    let mut command = match program {
        Program::Highwater => command,
        Program::Cp => command.override_usage(args::copy::usage("cp")).after_help(args::copy::NOTES),
    };
    command.render_help().to_string()
}

/// `--version`
pub fn version(program: Program) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match program {
        Program::Cp => format!("cp (highwater) {version}\n"),
        Program::Highwater => format!("highwater {version}\n"),
    }
}

/// `highwater completions`
pub fn completions(shell: Shell) -> ExitCode {
    let mut script = vec![];
    clap_complete::generate(shell, &mut args::command(), "highwater", &mut script);
    print(Program::Highwater, &String::from_utf8_lossy(&script))
}

/// `highwater man`, of the whole command or of a job.
pub fn man(job: Option<&str>) -> ExitCode {
    match page(job) {
        Ok(Some(page)) => print(Program::Highwater, &page),
        Ok(None) => {
            eprintln!("highwater: no manual page of '{}'", job.unwrap_or_default());
            ExitCode::from(Program::Highwater.usage_status())
        }
        Err(error) => {
            eprintln!("highwater: cannot write a manual page: {error}");
            ExitCode::FAILURE
        }
    }
}

fn page(job: Option<&str>) -> io::Result<Option<String>> {
    let mut whole = args::command();
    whole.build();
    let command = match job {
        None => whole,
        Some(job) => match whole.find_subcommand(job) {
            Some(command) => command.clone(),
            None => return Ok(None),
        },
    };
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let source = version(Program::Highwater);
    let mut page = vec![];
    Man::new(command.after_help(None::<&str>)).source(source.trim_end()).render(&mut page)?;
    write_after(&mut page, &after)?;
    Ok(Some(String::from_utf8_lossy(&page).into_owned()))
}

/// Writes what stands below the options in a job's help, with the headings that manual pages have.
fn write_after(page: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let (text, status) = text.split_once("\n\nExit status: ").unwrap_or((text, ""));
    let (notes, examples) = text.split_once("Examples:\n").unwrap_or((text, ""));
    if !notes.is_empty() {
        writeln!(page, ".SH NOTES\n{}", roff(notes.trim_end()).replace("\n\n", "\n.PP\n"))?;
    }
    if !examples.is_empty() {
        writeln!(page, ".SH EXAMPLES\n.nf\n{}\n.fi", roff(examples))?;
    }
    if !status.is_empty() {
        writeln!(page, ".SH \"EXIT STATUS\"\n{}", roff(status))?;
    }
    Ok(())
}

/// Text without a full stop or a quote at the start of a line, as roff reads it.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    text.replace("\n.", "\n\\&.")
}
