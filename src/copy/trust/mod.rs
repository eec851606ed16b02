//! What makes a copy one that can be trusted: stable storage, read back, gone on with.
//!
//! | file | what it knows |
//! |---|---|
//! | `durable` | stable storage |
//! | `evidence` | what was copied hashes to |
//! | `verify` | whether its copy does |
//! | `resume` | `--resume`: the journal, what earlier runs have left |

pub(super) mod durable;
pub(super) mod evidence;
pub(super) mod resume;
pub(super) mod verify;
