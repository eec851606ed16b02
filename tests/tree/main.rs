//! `highwater copy` of trees: what cp means by its options, what highwater has beyond them, and what a walk may meet.

// Lists of ranges of a file often have one.
#![allow(clippy::single_range_in_vec_init)]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod archive;
mod bad_input;
mod beyond;
mod extremes;
mod like_cp;
mod parallel;
mod sync;
mod usage;
mod walk;
