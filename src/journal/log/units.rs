//! The units of a file that are not in a batch yet, in its order: runs of zeros and of digests.

use std::collections::VecDeque;

use crate::digest::Digest;

/// Units in a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    pub zeros: u64,
    pub digests: Vec<Digest>,
}

/// Up to `wanted` units from the front.
pub(super) fn take(runs: &mut VecDeque<Run>, wanted: u64) -> Run {
    let Some(front) = runs.front_mut() else { return Run::default() };
    let zeros = front.zeros.min(wanted);
    front.zeros -= zeros;
    let most = if front.zeros > 0 { 0 } else { front.digests.len() };
    let digests = front.digests.drain(..most.min((wanted - zeros) as usize)).collect();
    if front.zeros == 0 && front.digests.is_empty() {
        runs.pop_front();
    }
    Run { zeros, digests }
}
