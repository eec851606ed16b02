//! A finished run as data, and that data as text, JSON, HdrHistogram logs, CSV, OpenMetrics and a page
//! with plots: one format a file. And back: what a JSON report has recorded, drawn again and compared.
//!
//! Knows names, units and formats. Must not know how a run was run, and opens no files: everything
//! goes into an [`std::io::Write`] of the caller.

mod compare;
mod csv;
mod encoded;
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
mod table;

pub use compare::{Comparison, FEWEST_INTERVALS, Row, Verdict, compare, write_comparison};
pub use csv::CsvWriter;
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
    About, BadRange, Check, Cliff, Command, Failure, Flow, Health, Latency, MarkAt, Memory, Method, Outcome,
    Path, Probe, Process, Resumed, Ring, Run, SCHEMA, Simulated, Stall, Stress, Tuner, Verified,
    throughput_bytes_per_s,
};
pub use table::{write_rows, write_table};
