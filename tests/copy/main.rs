//! `highwater copy` of single files, devices and streams, as a user runs it: what arrives, what is told, and what becomes of the data
//! when disks fail, fill up, hang or lose power.

// Lists of ranges of a file often have one.
#![allow(clippy::single_range_in_vec_init)]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod atomic;
mod atomic_killed;
mod bad_input;
mod devices;
mod durable;
mod faults;
mod files;
mod gentle;
mod manifest;
mod memory;
mod no_uring;
mod offload;
mod reports;
mod rescue;
mod resume;
mod resume_counts;
mod resume_crash;
mod resume_faults;
mod resume_order;
mod resume_refused;
mod resume_trees;
mod retry;
mod signals;
mod simulate;
mod sparse;
mod stalls;
mod streams;
mod verify;
