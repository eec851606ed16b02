//! The content of one file: both ends opened, moved, completed.
//!
//! | file | what it knows |
//! |---|---|
//! | `file` | one file from opening to naming |
//! | `open` | opening both ends |
//! | `source` | opening a source |
//! | `target` | opening a target, and naming it |
//! | `replace` | `--atomic` |
//! | `transfer` | how it moves |
//! | `setup` | by calls or through a ring |
//! | `direct` | around the page cache or through it |
//! | `offload` | copied by a server |
//! | `parts` | a large file by several workers |
//! | `remains` | what is left of what can't be completed |
//! | `rescue` | one file by a map of what is with the target |
//! | `map` | GNU ddrescue's map |

pub(super) mod direct;
pub(super) mod file;
mod map;
mod offload;
pub(super) mod open;
pub(super) mod parts;
mod remains;
pub(super) mod replace;
mod rescue;
mod setup;
pub(super) mod source;
pub(super) mod target;
pub(super) mod transfer;
