//! highwater copies bytes with backpressure: a fixed ring of registered buffers stands between a
//! fast source and a slow target, and a read is admitted only while the bytes on their way to the
//! target stay under the high-water mark.
//!
//! # The house
//!
//! Imports point down only; a file is one concept.
//!
//! | room | what it knows | what it must not know |
//! |---|---|---|
//! | `src/bin/highwater/` | what was typed, what is shown, which exit code | how bytes move |
//! | [`report`] | a finished run as text, JSON, HdrHistogram logs, OpenMetrics, a page with plots; runs side by side | how it was run |
//! | [`copy`] | copies of files, devices, pipes and trees: what each name becomes, and by which worker | options as typed, io_uring |
//! | [`stress`] | what a target makes of long writing: the pattern, its checker, when it slowed down | options as typed, io_uring |
//! | [`mod@bench`] | loads, and how long each of their operations takes | options as typed, io_uring |
//! | [`scratch`] | ground to measure on, and what must not be written to | what is written there, options as typed |
//! | [`stream`] | the engine as a pair of streams for programmers | files' names |
//! | [`engine`] | driving pumps between two edges, many under one mark; draining, sync, cancelling, what hangs | what the bytes are for |
//! | [`ring`] | io_uring, the arena, every errno's class | policy |
//! | [`flow`] | marks, who moves them, a level that pumps share, pump, extents, pace, patience, a simulated device; pure | I/O, clocks, threads, async |
//! | [`digest`] | BLAKE3 of content in units of 64 KiB, from pieces in order; pure | files, threads |
//! | [`journal`] | what a copy that can be resumed writes down, and when; pure | I/O, clocks, files |
//! | [`latency`] | recorders and intervals; pure | clocks, files |
//! | [`sys`] | small safe wrappers over nix and libc | each other |
//! | [`error`], [`units`] | errors as data; sizes, rates, durations | prose |
//!
//! # Invariants
//!
//! - in-flight bytes <= high-water mark <= ring bytes; an in-flight operation is never dropped.
//! - A short transfer is continued in one place, [`flow::Pump`]; all drivers and the simulator in
//!   `tests/sim/` run that same code.
//! - `unsafe` stands in [`ring`] and [`sys`] only, `tokio_uring` is named in [`ring`] only.
//! - The class of an errno is decided in [`ring::errno`] only.

pub mod bench;
pub mod copy;
pub mod digest;
pub mod engine;
pub mod error;
pub mod flow;
pub mod journal;
pub mod latency;
pub mod report;
pub mod ring;
pub mod scratch;
pub mod stream;
pub mod stress;
pub mod sys;
pub mod units;
