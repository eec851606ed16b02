//! The files that tell about a run: opened before it starts, written when it has ended.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use highwater::engine::IntervalSink;
use highwater::error::{errno_of, strerror};
use highwater::latency::{Timeline, Totals};
use highwater::report::{HlogWriter, Run, write_hgrm, write_json, write_table};

use crate::args::OutputOptions;
use crate::quote::quote;

const INTERVAL: Duration = Duration::from_secs(1);

/// An output and what it is called.
pub type Sheet = (PathBuf, Box<dyn Write + Send>);

/// What was asked for, open.
pub struct Outputs {
    json: Option<Sheet>,
    hgrm: Option<Sheet>,
    hlog: Option<HlogWriter<File>>,
    manifest: Option<Sheet>,
    timeline: Arc<Mutex<Timeline>>,
    table: bool,
}

impl Outputs {
    /// Opens them all, or tells in words why one can't be.
    pub fn open(options: &OutputOptions) -> Result<Outputs, String> {
        let hlog = match &options.hlog {
            None => None,
            Some(path) => {
                let file = File::create(path).and_then(|file| HlogWriter::new(file, SystemTime::now()));
                Some(file.map_err(|error| failed(path, &error))?)
            }
        };
        Ok(Outputs {
            json: options.json.as_deref().map(create).transpose()?,
            hgrm: options.hgrm.as_deref().map(create).transpose()?,
            hlog,
            // Nothing is kept back: who stops the copy has the checksums of what is complete.
            manifest: options.manifest.as_deref().map(create_unbuffered).transpose()?,
            timeline: Arc::default(),
            table: options.latency,
        })
    }

    /// Where intervals go while the run lasts, where somebody wants them.
    pub fn intervals(&mut self) -> Option<(Duration, IntervalSink)> {
        let mut hlog = self.hlog.take();
        let timeline = self.json.is_some().then(|| Arc::clone(&self.timeline));
        if hlog.is_none() && timeline.is_none() {
            return None;
        }
        let sink: IntervalSink = Box::new(move |interval| {
            if let Some(hlog) = &mut hlog {
                // A log that can't be written must not stop the run; it ends early.
                let _ = hlog.interval(interval);
            }
            if let Some(timeline) = &timeline {
                timeline.lock().expect("a panic aborts").push(interval);
            }
        });
        Some((INTERVAL, sink))
    }

    /// Where checksums go while the run lasts, where somebody wants them.
    pub fn manifest(&mut self) -> Option<Sheet> {
        self.manifest.take()
    }

    /// The intervals so far, where the report is to have them.
    pub fn timeline(&self) -> Timeline {
        self.timeline.lock().expect("a panic aborts").clone()
    }

    /// Writes the reports of a run, or tells in words why one can't be.
    pub fn finish(self, run: &Run, latency: &Totals) -> Result<(), String> {
        if let Some((path, mut out)) = self.json {
            write_json(&mut out, run).and_then(|()| out.flush()).map_err(|error| failed(&path, &error))?;
        }
        if let Some((path, mut out)) = self.hgrm {
            write_hgrm(&mut out, latency)
                .and_then(|()| out.flush())
                .map_err(|error| failed(&path, &error))?;
        }
        if self.table {
            let standard_error = Path::new("standard error");
            write_table(&mut io::stderr(), &run.latency).map_err(|error| failed(standard_error, &error))?;
        }
        Ok(())
    }
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
