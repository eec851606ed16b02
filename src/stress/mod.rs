//! Stress: a target is written to for as long as is asked, and every block is checked afterwards.
//!
//! | file | what it knows |
//! |---|---|
//! | `pattern` | blocks that say where they belong, and which round and run they are of; pure |
//! | `checker` | what is found against what was written, and where it differs; pure |
//! | `cliff` | when throughput fell for good; pure |
//! | `state` | the file that says what was written and what of it is durable; pure |
//! | `probe` | how much a device keeps of what it says it has; pure |

pub mod checker;
pub mod cliff;
pub mod pattern;
pub mod probe;
pub mod state;
