//! Runs that were recorded: reading their reports, and drawing them again.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use highwater::error::{errno_of, strerror};
use highwater::report::{self, MOST_RUNS, Named, Recorded};

use crate::args::FailOn;
use crate::outputs::Page;
use crate::program::Program;
use crate::quote::quote;
use crate::run::print;

/// `highwater report`. All is read before anything is opened to be written.
pub fn report(files: &[PathBuf], html: Option<&Path>, svg: Option<&Path>) -> ExitCode {
    let runs = match read(files) {
        Ok(runs) if runs.len() > MOST_RUNS => {
            return unusable(&format!(
                "{} runs are too many to be told apart in a plot: at most {MOST_RUNS}",
                runs.len()
            ));
        }
        Ok(runs) => runs,
        Err(message) => return unusable(&message),
    };
    match Page::open(html, svg).and_then(|page| page.finish(&runs)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("highwater: {message}");
            ExitCode::FAILURE
        }
    }
}

/// `highwater compare`
pub fn compare(files: &[PathBuf], fail_on: Option<FailOn>) -> ExitCode {
    let runs = match read(files) {
        Ok(runs) => runs,
        Err(message) => return unusable(&message),
    };
    if let Some(other) = runs.iter().find(|named| named.run.command != runs[0].run.command) {
        let (first, other) = ((&runs[0].name, runs[0].run.command), (&other.name, other.run.command));
        let (job, other_job) = (first.1.name(), other.1.name());
        return unusable(&format!(
            "cannot compare {}, a report of {job}, with {}, one of {other_job}",
            quote(Path::new(first.0)),
            quote(Path::new(other.0))
        ));
    }
    let comparisons = report::compare(&runs);
    let mut text = Vec::new();
    for (nth, comparison) in comparisons.iter().enumerate() {
        if nth > 0 {
            text.push(b'\n');
        }
        report::write_comparison(&mut text, comparison).expect("memory takes what is written");
    }
    let printed = print(Program::Highwater, &String::from_utf8_lossy(&text));
    let is_worse = comparisons.iter().any(|comparison| comparison.is_worse());
    if is_worse && fail_on == Some(FailOn::Worse) { ExitCode::FAILURE } else { printed }
}

/// The runs of some reports, each by the name of its file, or why one can't be used.
pub fn read(files: &[PathBuf]) -> Result<Vec<Named>, String> {
    let mut runs = Vec::new();
    for path in files {
        let text = contents(path)
            .map_err(|error| format!("cannot read {}: {}", quote(path), strerror(errno_of(&error))))?;
        let recorded =
            Recorded::read(&text).map_err(|error| format!("cannot use {}: {error}", quote(path)))?;
        let several = recorded.len() > 1;
        for (nth, run) in recorded.into_iter().enumerate() {
            let mut name = name(path, files);
            if several {
                name.push_str(&format!(" #{}", nth + 1));
            }
            runs.push(Named { name, run });
        }
    }
    Ok(runs)
}

/// What can't be used, with the exit status of bad usage.
pub fn unusable(message: &str) -> ExitCode {
    eprintln!("highwater: {message}");
    ExitCode::from(Program::Highwater.usage_status())
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match path == Path::new("-") {
        true => io::stdin().read_to_end(&mut text)?,
        false => File::open(path)?.read_to_end(&mut text)?,
    };
    Ok(text)
}

/// The file's own name, without `.json`; all of the path where another file has the same.
fn name(path: &Path, files: &[PathBuf]) -> String {
    let stem = |path: &Path| {
        let is_json = path.extension() == Some(OsStr::new("json"));
        if is_json { path.file_stem() } else { path.file_name() }
            .map(|name| name.to_string_lossy().into_owned())
    };
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    let short = stem(path);
    match files.iter().filter(|other| stem(other) == short).count() {
        1 => short.unwrap_or_else(|| path.display().to_string()),
        _ => path.display().to_string(),
    }
}
