//! A finished run as data, and that data as text, JSON and HdrHistogram logs: one format a file.
//!
//! Knows names, units and formats. Must not know how a run was run, and opens no files: everything
//! goes into an [`std::io::Write`] of the caller.

mod csv;
mod encoded;
mod hgrm;
mod hlog;
mod intervals;
mod json;
mod load;
mod manifest;
mod metrics;
mod run;
mod table;

pub use csv::CsvWriter;
pub use hgrm::write_hgrm;
pub use hlog::{HlogError, HlogWriter, read_hlog};
pub use intervals::{Interval, intervals};
pub use json::write_json;
pub use load::Load;
pub use manifest::write_checksum;
pub use metrics::write_metrics;
pub use run::{
    About, Check, Cliff, Command, Failure, Flow, Latency, Method, Outcome, Path, Process, Resumed, Ring, Run,
    SCHEMA, Simulated, Stall, Verified, throughput_bytes_per_s,
};
pub use table::{write_rows, write_table};
