//! A simulated source: bytes with holes, of a length that may change while it is copied.

use highwater::flow::Extent;

use crate::plan::Plan;

#[derive(Clone)]
pub struct Source {
    /// as many as there will ever be
    pub bytes: Vec<u8>,
    /// of which there are so many now
    pub len: u64,
    holes: Vec<std::ops::Range<u64>>,
    bad: Vec<std::ops::Range<u64>>,
}

impl Source {
    /// Data is never zero, so that a byte which didn't come is seen.
    pub fn of_plan(plan: &Plan) -> Source {
        let mut rng = fastrand::Rng::with_seed(!plan.seed);
        let mut bytes = vec![0u8; plan.most_bytes() as usize];
        rng.fill(&mut bytes);
        bytes.iter_mut().for_each(|byte| *byte = (*byte).max(1));
        for zeros in plan.holes.iter().chain(&plan.zero_runs) {
            bytes[zeros.start as usize..zeros.end as usize].fill(0);
        }
        Source { bytes, len: plan.source_bytes, holes: plan.holes.clone(), bad: plan.bad.clone() }
    }

    /// As read(2): what there is at `offset`, at most the buffer; 0 at the end.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> u32 {
        let n = self.len.saturating_sub(offset).min(buffer.len() as u64) as usize;
        if n > 0 {
            buffer[..n].copy_from_slice(&self.bytes[offset as usize..][..n]);
        }
        n as u32
    }

    /// Where a read of this range meets what can't be read.
    pub fn bad_in(&self, offset: u64, len: u32) -> Option<u64> {
        let end = (offset + u64::from(len)).min(self.len);
        let meets = |bad: &&std::ops::Range<u64>| bad.start < end && offset < bad.end;
        self.bad.iter().find(meets).map(|bad| bad.start.max(offset))
    }

    /// The extent at `from`, as SEEK_DATA and SEEK_HOLE would tell it. A hole ends where the source
    /// does now; where there is nothing, the answer doesn't move on.
    pub fn extent(&self, from: u64) -> Extent {
        if from >= self.len {
            return Extent::Data(from..from);
        }
        match self.holes.iter().find(|hole| hole.end > from) {
            Some(hole) if hole.start <= from => Extent::Hole(from..hole.end.min(self.len)),
            Some(hole) => Extent::Data(from..hole.start.min(self.len)),
            None => Extent::Data(from..self.len),
        }
    }
}
