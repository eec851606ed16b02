//! The files that tell about a run: opened before it starts, written when it has ended.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use highwater::engine::IntervalSink;
use highwater::error::{errno_of, strerror};
use highwater::latency::{Timeline, Totals};
use highwater::report::{
    CsvWriter, HlogWriter, Named, Recorded, Run, Size, plots, write_hgrm, write_json, write_metrics,
    write_page, write_table,
};

use crate::args::OutputOptions;
use crate::quote::quote;

/// How long an interval is unless that was typed.
const INTERVAL: Duration = Duration::from_secs(1);

/// An output and what it is called.
pub type Sheet = (PathBuf, Box<dyn Write + Send>);

/// What is written while the run lasts, and what it is called. None once that has failed.
type Log<T> = Option<(PathBuf, T)>;

/// What was asked for, open.
pub struct Outputs {
    json: Option<Sheet>,
    hgrm: Option<Sheet>,
    hlog: Log<HlogWriter<Box<dyn Write + Send>>>,
    csv: Log<CsvWriter<Box<dyn Write + Send>>>,
    /// what could not be written while the run lasted, in words
    lost: Arc<Mutex<Vec<String>>>,
    metrics: Option<Sheet>,
    page: Page,
    interval: Duration,
    manifest: Option<Sheet>,
    timeline: Arc<Mutex<Timeline>>,
    table: bool,
}

impl Outputs {
    /// Opens them all, or tells in words why one can't be.
    pub fn open(options: &OutputOptions) -> Result<Outputs, String> {
        let hlog = begin(options.hlog.as_deref(), |out| HlogWriter::new(out, SystemTime::now()))?;
        let csv = begin(options.csv.as_deref(), CsvWriter::new)?;
        Ok(Outputs {
            json: options.json.as_deref().map(create).transpose()?,
            hgrm: options.hgrm.as_deref().map(create).transpose()?,
            metrics: options.metrics.as_deref().map(create).transpose()?,
            page: Page::open(options.html.as_deref(), options.svg.as_deref())?,
            hlog,
            csv,
            lost: Arc::default(),
            interval: options.interval.unwrap_or(INTERVAL),
            // Nothing is kept back: who stops the copy has the checksums of what is complete.
            manifest: options.manifest.as_deref().map(create_unbuffered).transpose()?,
            timeline: Arc::default(),
            table: options.latency,
        })
    }

    /// Where intervals go while the run lasts, where somebody wants them.
    pub fn intervals(&mut self) -> Option<(Duration, IntervalSink)> {
        let (mut hlog, mut csv) = (self.hlog.take(), self.csv.take());
        let timeline = (self.json.is_some() || self.page.is_wanted()).then(|| Arc::clone(&self.timeline));
        if hlog.is_none() && csv.is_none() && timeline.is_none() {
            return None;
        }
        let lost = Arc::clone(&self.lost);
        let sink: IntervalSink = Box::new(move |interval| {
            log(&mut hlog, &lost, |hlog| hlog.interval(interval));
            log(&mut csv, &lost, |csv| csv.interval(interval));
            if let Some(timeline) = &timeline {
                timeline.lock().expect("a panic aborts").push(interval);
            }
        });
        Some((self.interval, sink))
    }

    /// Where checksums go while the run lasts, where somebody wants them.
    pub fn manifest(&mut self) -> Option<Sheet> {
        self.manifest.take()
    }

    /// The intervals so far, where the report is to have them.
    pub fn timeline(&self) -> Timeline {
        self.timeline.lock().expect("a panic aborts").clone()
    }

    /// Writes the reports of a run, which is looked at where there are any, and tells in words what can't
    /// be written, or could not be while it lasted.
    pub fn finish(self, run: impl Deref<Target = Run>, latency: &Totals) -> Vec<String> {
        let mut lost = std::mem::take(&mut *self.lost.lock().expect("a panic aborts"));
        let mut keep = |written: Result<(), String>| lost.extend(written.err());
        keep(write(self.json, |out| write_json(out, &run)));
        keep(write(self.hgrm, |out| write_hgrm(out, latency)));
        keep(write(self.metrics, |out| write_metrics(out, &run)));
        if self.page.is_wanted() {
            let named = Named { name: run.command.name().to_owned(), run: Recorded::fresh(&run) };
            keep(self.page.finish(&[named]));
        }
        if self.table {
            let standard_error = Path::new("standard error");
            let written = write_table(&mut io::stderr(), &run.latency);
            keep(written.map_err(|error| failed(standard_error, &error)));
        }
        lost
    }
}

/// A page and its plots, for a run that has just been made and for those that were recorded.
#[derive(Default)]
pub struct Page {
    html: Option<Sheet>,
    svg: Option<PathBuf>,
}

impl Page {
    /// Opens the file, makes the directory, or tells in words why that can't be.
    pub fn open(html: Option<&Path>, svg: Option<&Path>) -> Result<Page, String> {
        if let Some(folder) = svg {
            let made = match fs::create_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                made => made,
            };
            // A file in it is the only proof that there can be more.
            made.and_then(|()| tempfile::tempfile_in(folder).map(drop))
                .map_err(|error| failed(folder, &error))?;
        }
        Ok(Page { html: html.map(create).transpose()?, svg: svg.map(Path::to_owned) })
    }

    fn is_wanted(&self) -> bool {
        self.html.is_some() || self.svg.is_some()
    }

    /// Draws `runs`, or tells in words what can't be written.
    pub fn finish(self, runs: &[Named]) -> Result<(), String> {
        write(self.html, |out| write_page(out, runs))?;
        let Some(folder) = self.svg else { return Ok(()) };
        for plot in plots(runs) {
            for size in Size::ALL {
                let path = folder.join(format!("{}-{}.svg", plot.name, size.name()));
                fs::write(&path, plot.file(size)).map_err(|error| failed(&path, &error))?;
            }
        }
        Ok(())
    }
}

/// What is written while the run lasts, begun.
fn begin<T>(
    path: Option<&Path>,
    begin: impl FnOnce(Box<dyn Write + Send>) -> io::Result<T>,
) -> Result<Log<T>, String> {
    let Some(path) = path else { return Ok(None) };
    let (path, out) = create_unbuffered(path)?;
    match begin(out) {
        Ok(log) => Ok(Some((path, log))),
        Err(error) => Err(failed(&path, &error)),
    }
}

/// Adds to a log. One that can't be written must not stop the run: it ends early, and the end tells.
fn log<T>(log: &mut Log<T>, lost: &Mutex<Vec<String>>, write: impl FnOnce(&mut T) -> io::Result<()>) {
    let Some((path, writer)) = log else { return };
    if let Err(error) = write(writer) {
        lost.lock().expect("a panic aborts").push(format!("{}; it ends early", failed(path, &error)));
        *log = None;
    }
}

/// What is written once the run has ended.
fn write(
    sheet: Option<Sheet>,
    write: impl FnOnce(&mut Box<dyn Write + Send>) -> io::Result<()>,
) -> Result<(), String> {
    let Some((path, mut out)) = sheet else { return Ok(()) };
    write(&mut out).and_then(|()| out.flush()).map_err(|error| failed(&path, &error))
}

fn create(path: &Path) -> Result<Sheet, String> {
    create_unbuffered(path).map(|(path, out)| (path, Box::new(BufWriter::new(out)) as _))
}

fn create_unbuffered(path: &Path) -> Result<Sheet, String> {
    let out: Box<dyn Write + Send> = match path == Path::new("-") {
        true => Box::new(io::stdout()),
        false => Box::new(File::create(path).map_err(|error| failed(path, &error))?),
    };
    Ok((path.to_owned(), out))
}

/// That it can't be written.
pub fn failed(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {}", quote(path), strerror(errno_of(error)))
}
