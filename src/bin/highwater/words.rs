//! Errors, warnings and questions in words: GNU cp's where it has some, ours with advice elsewhere.

pub use failure::{advice, error};
pub use news::{note, question, retried, stall, warning};
pub use outcome::{longest, lost, remains};

mod failure;
mod news;
mod outcome;

#[cfg(test)]
mod tests;
