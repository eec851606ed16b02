//! `highwater stress`: targets that are slow, that lie and that fail, and what it says of them.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod failing;
mod faults;
mod plan;
mod runs;
mod slow;
mod stopped;
