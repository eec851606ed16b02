//! What a copy tells, as text: files that were copied on standard output, failures on standard error,
//! and questions. What the words are is `words`'s business.

use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use highwater::copy::{Event, Explanation, Failed, Lost, Question, Remains, Retried, Warning, Witness};
use highwater::digest::Digest;
use highwater::engine::News;
use highwater::error::{Cause, MapFault, Op, errno_of, strerror};
use highwater::report::write_checksum;

use crate::display::Display;
use crate::outputs::{self, Sheet};
use crate::program::Program;
use crate::quote::quote;
use crate::words;

/// How it speaks.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub program: Program,
    /// `-q`
    pub quiet: bool,
    /// `-v`
    pub verbose: bool,
    /// `--dry-run`
    pub dry_run: bool,
    /// standard output belongs to the copy, or to its report
    pub output_taken: bool,
}

/// Speaks to whoever typed the command.
pub struct Voice {
    manner: Manner,
    display: Display,
    heard: Mutex<Heard>,
}

struct Heard {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// checksums
    manifest: Option<Sheet>,
    /// the first failure to write them
    manifest_failed: Option<String>,
    /// the first failure to write to `out`
    out_failed: Option<io::Error>,
    /// files whose copy was stopped
    stopped: Vec<Remains>,
    /// the command line was wrong, which showed only when TARGET was looked at
    usage: bool,
}

impl Voice {
    /// On standard output, by the line on a terminal, and standard error.
    pub fn new(manner: Manner, display: Display, manifest: Option<Sheet>) -> Voice {
        let stdout = io::stdout();
        let out: Box<dyn Write + Send> = match manner.output_taken {
            true => Box::new(io::stderr()),
            false if stdout.is_terminal() => Box::new(stdout),
            false => Box::new(BufWriter::new(stdout)),
        };
        Voice::speaking_to(manner, display, out, Box::new(io::stderr()), manifest)
    }

    fn speaking_to(
        manner: Manner,
        display: Display,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        manifest: Option<Sheet>,
    ) -> Voice {
        let (manifest_failed, out_failed, stopped, usage) = (None, None, vec![], false);
        let heard = Heard { out, err, manifest, manifest_failed, out_failed, stopped, usage };
        Voice { manner, display, heard: Mutex::new(heard) }
    }

    /// One message on standard error.
    pub fn say(&self, message: &str) {
        let mut heard = self.heard();
        self.say_after(&mut heard, message);
    }

    /// What hangs, or goes on.
    pub fn tell_stall(&self, news: &News) {
        if !self.manner.quiet && !self.manner.program.is_cp() {
            self.say(&words::stall(news));
        }
    }

    /// Writes what is left to write; tells in words why that, or anything before, failed.
    pub fn finish(&self) -> Result<(), String> {
        let mut heard = self.heard();
        heard.flush();
        if let Some(error) = heard.out_failed.take() {
            return Err(format!("write error: {}", strerror(errno_of(&error))));
        }
        heard.manifest_failed.take().map_or(Ok(()), Err)
    }

    /// What became of the files whose copy was stopped, a clause each.
    pub fn stopped(&self) -> Vec<String> {
        self.heard().stopped.iter().map(words::remains).collect()
    }

    /// Whether the command line turned out to be wrong.
    pub fn heard_usage(&self) -> bool {
        self.heard().usage
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("a panic aborts")
    }

    fn line(&self, heard: &mut Heard, line: &str) {
        if self.manner.quiet {
            return;
        }
        let out = &mut heard.out;
        if let Err(error) = self.display.aside(|| writeln!(out, "{line}")) {
            heard.out_failed.get_or_insert(error);
        }
    }

    fn say_after(&self, heard: &mut Heard, message: &str) {
        heard.flush();
        let err = &mut heard.err;
        // Where standard error can't be written to, there is nobody left to tell.
        let _ = self.display.aside(|| writeln!(err, "{}: {message}", self.manner.program.name()));
    }

    fn failed(&self, heard: &mut Heard, failed: &Failed) {
        let Failed { error, remains } = failed;
        let program = self.manner.program;
        let mut message = words::error(error, program);
        // Which source and which target it is of is for the command line to say.
        heard.usage |= matches!(error.cause, Cause::Map(fault) if !matches!(fault, MapFault::Errno(_)));
        let is_usage = error.cause == Cause::ParentsNeedDirectory
            || error.op == Op::Target && error.cause == Cause::Unverifiable;
        if is_usage {
            message = format!("{message}\n{}", program.hint());
            heard.usage = true;
        }
        heard.usage |= error.cause == Cause::JournalNeeded;
        self.say_after(heard, &message);
        if program.is_cp() {
            return;
        }
        let advice = words::advice(error).map(|advice| format!("; {advice}")).unwrap_or_default();
        if let Some(remains) = remains {
            self.say_after(heard, &format!("{}{advice}", words::remains(remains)));
        }
    }

    fn lost(&self, heard: &mut Heard, lost: &Lost) {
        for line in words::lost(lost, self.manner.program) {
            self.say_after(heard, &line);
        }
    }

    fn retried(&self, heard: &mut Heard, retried: &Retried) {
        // Whoever waits for ever says so.
        if !(self.manner.quiet && retried.most.is_some()) {
            self.say_after(heard, &words::retried(retried, self.manner.program));
        }
    }

    fn warned(&self, heard: &mut Heard, warning: &Warning) {
        let is_ours = !matches!(warning, Warning::SourceTwice { .. });
        if self.manner.quiet || is_ours && self.manner.program.is_cp() {
            return;
        }
        self.say_after(heard, &words::warning(warning));
    }

    fn explained(&self, heard: &mut Heard, how: &Explanation) {
        let Explanation { offload, reflink, sparse_detection, .. } = how;
        let line =
            format!("copy offload: {offload}, reflink: {reflink}, sparse detection: {sparse_detection}");
        self.line(heard, &line);
        if let (Some(engine), false) = (how.engine, self.manner.program.is_cp()) {
            let direct = match how.direct {
                (true, true) => "both",
                (true, false) => "source",
                (false, true) => "target",
                (false, false) => "neither",
            };
            self.line(heard, &format!("engine: {engine}, direct: {direct}"));
        }
    }

    fn copied(&self, heard: &mut Heard, source: &Path, target: &Path, backup: Option<&Path>) {
        let would = if self.manner.dry_run { "would copy " } else { "" };
        let backup = backup.map(|backup| format!(" (backup: {})", quote(backup))).unwrap_or_default();
        self.line(heard, &format!("{would}{} -> {}{backup}", quote(source), quote(target)));
    }
}

impl Witness for Voice {
    fn tell(&self, event: &Event<'_>) {
        let heard = &mut *self.heard();
        match *event {
            Event::Copied { source, target, backup } => self.copied(heard, source, target, backup),
            Event::MadeParent { source, target } if self.manner.dry_run => {
                self.copied(heard, source, target, None);
            }
            // cp doesn't quote these.
            Event::MadeParent { source, target } => {
                self.line(heard, &format!("{} -> {}", source.display(), target.display()));
            }
            Event::Removed(path) => self.line(heard, &format!("removed {}", quote(path))),
            Event::Unbackup { backup, target } => {
                self.line(heard, &format!("{} -> {} (unbackup)", quote(backup), quote(target)));
            }
            Event::Skipped(path) => self.line(heard, &format!("skipped {}", quote(path))),
            Event::Hashed { target, hash } => heard.list(target, hash),
            Event::Explained(how) => self.explained(heard, &how),
            Event::Deleted(path) if self.manner.dry_run => {
                self.line(heard, &format!("would delete {}", quote(path)));
            }
            Event::Deleted(path) if self.manner.verbose => {
                self.line(heard, &format!("deleted {}", quote(path)));
            }
            Event::Deleted(_) => {}
            Event::Failed(failed) => self.failed(heard, failed),
            Event::Stopped(remains) => heard.stopped.push(remains.clone()),
            Event::Lost(lost) => self.lost(heard, lost),
            Event::Retried(retried) => self.retried(heard, retried),
            Event::Warned(warning) => self.warned(heard, warning),
        }
    }

    fn ask(&self, question: &Question<'_>) -> bool {
        let heard = &mut *self.heard();
        heard.flush();
        let err = &mut heard.err;
        self.display.aside(|| {
            let _ = write!(err, "{}: {}? ", self.manner.program.name(), words::question(question));
            let mut answer = vec![];
            // No answer, for whatever reason, is no.
            let _ = io::stdin().lock().read_until(b'\n', &mut answer);
            matches!(answer.first(), Some(b'y' | b'Y'))
        })
    }
}

impl Heard {
    fn list(&mut self, target: &Path, hash: &Digest) {
        let Some((path, out)) = &mut self.manifest else { return };
        if let Err(error) = write_checksum(out, target, hash) {
            self.manifest_failed = Some(outputs::failed(path, &error));
            self.manifest = None;
        }
    }

    /// Both outputs may be the same terminal or log: what was told before stands before.
    fn flush(&mut self) {
        if let Err(error) = self.out.flush() {
            self.out_failed.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests;
