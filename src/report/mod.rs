//! A finished run as data, and that data as text, JSON, HdrHistogram logs, CSV, OpenMetrics and a page
//! with plots: one format a file. And back: what a JSON report has recorded, drawn again and compared.
//!
//! Knows names, units and formats. Must not know how a run was run, and opens no files: everything
//! goes into an [`std::io::Write`] of the caller.

mod compare;
mod csv;
mod encoded;
mod failure;
mod hgrm;
mod hlog;
mod intervals;
mod json;
mod load;
mod manifest;
mod metrics;
mod page;
mod plot;
mod recorded;
mod run;
mod stress;
mod table;
mod tuner;

pub use compare::{Comparison, FEWEST_INTERVALS, Row, Verdict, compare, write_comparison};
pub use csv::CsvWriter;
pub use failure::{Failure, Stall};
pub use hgrm::write_hgrm;
pub use hlog::{HlogError, HlogWriter, read_hlog};
pub use intervals::{Interval, intervals};
pub use json::write_json;
pub use load::{Load, Sweep, SweepGoal, SweepStep};
pub use manifest::write_checksum;
pub use metrics::write_metrics;
pub use page::{MOST_RUNS, Named, plots, write_page};
pub use plot::{Plot, Size};
pub use recorded::{Recorded, RecordedFailure, RecordedPath, RecordedStall, Unusable};
pub use run::{
    About, Command, Flow, Latency, Method, Outcome, Path, Process, Resumed, Ring, Run, SCHEMA, Simulated,
    Verified, throughput_bytes_per_s,
};
pub use stress::{BadRange, Check, Cliff, Health, Level, Memory, Probe, Stress};
pub use table::{write_rows, write_table};
pub use tuner::{MarkAt, Tuner};
