//! Reports of finished runs: the page in a browser, the logs in other people's readers, recorded runs compared and drawn again.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod pages;
mod readers;
mod recorded;
