//! `highwater bench`: its workloads, the ground they may stand on, and whether its figures are true.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod ground;
mod run;
mod simulate;
mod terminal;
mod truth;
