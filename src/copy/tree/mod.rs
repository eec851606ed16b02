//! Directories of both trees at once, and what holds for the tree as a whole.
//!
//! | file | what it knows |
//! |---|---|
//! | `directory` | a directory and its counterpart |
//! | `finish` | what is done once all in it is |
//! | `ahead` | the next names of a directory |
//! | `filter` | `--exclude` and `--include` |
//! | `mirror` | `--delete` |
//! | `survey` | totals for the progress line |

pub(super) mod ahead;
pub(super) mod directory;
pub(super) mod filter;
pub(super) mod finish;
pub(super) mod mirror;
pub(super) mod survey;
