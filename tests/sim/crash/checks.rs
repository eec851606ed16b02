//! What must be true after a crash, and in the end.

use super::plan::{Crash, Way};
use super::world::{Name, World};
use crate::{Check, ensure};

impl World {
    pub fn after_crash(&mut self, crash: Crash, completed: &[u64]) -> Check {
        let honest = self.plan.is_honest();
        if self.plan.lies != (0, 0) {
            return Ok(());
        }
        let mut lost = 0;
        for (nth, completed) in completed.iter().enumerate() {
            let known = self.known(nth)?;
            for inode in &self.targets[nth] {
                let has_record = known.as_ref().is_some_and(|known| known.inode == inode.number);
                ensure!(inode.name() != Name::Part || has_record, "file {nth}: a part that nobody knows");
                let right = inode.disk.view == self.sources[nth].bytes;
                // Without a journal nothing is waited for.
                let is_final =
                    inode.was_part && inode.name() == Name::Own && self.plan.journal_room.is_none();
                ensure!(!honest || !is_final || right, "file {nth}: it got its name, and is not whole");
            }
            let known = known.filter(|known| known.source == self.sources[nth].identity);
            let believed = match &known {
                Some(known) => {
                    let there = self.targets[nth].iter().any(|inode| inode.number == known.inode);
                    let claimed = self.believe(known, nth, |claim| claim.units())?;
                    let believed = self.believe_seen(known, nth)?;
                    ensure!(
                        !honest || !there || believed.to == claimed.to,
                        "file {nth}: {} bytes are claimed, {} are durable",
                        claimed.to,
                        believed.to
                    );
                    if there { believed.to } else { 0 }
                }
                None => 0,
            };
            lost += self.copied_between(nth, believed as usize, *completed as usize);
        }
        let ring = u64::from(self.plan.block_bytes) * u64::from(self.plan.slots);
        let most =
            self.plan.interval_bytes + (ring + 2 * self.plan.unit_bytes as u64) * completed.len() as u64;
        let counts = honest && !crash.is_power_cut && self.plan.journal_room.is_none();
        ensure!(!counts || lost <= most, "{lost} bytes are to be copied again, of at most {most}");
        Ok(())
    }

    /// Holes are not copied where they can be left out.
    fn copied_between(&self, nth: usize, from: usize, to: usize) -> u64 {
        let (unit, holes) = (self.plan.unit_bytes, &self.sources[nth].holes);
        let skips = self.plan.files[nth].way == Way::New;
        (from..to).filter(|at| !skips || !holes[at / unit]).count() as u64
    }

    pub fn verdict(&mut self) -> Check {
        for (nth, source) in self.sources.iter().enumerate() {
            let [inode] = &self.targets[nth][..] else {
                return Err(format!("file {nth}: {} of it are left", self.targets[nth].len()));
            };
            ensure!(inode.name() == Name::Own, "file {nth}: its name is {:?}", inode.name());
            let wrong = inode.disk.view.iter().zip(&source.bytes).position(|(a, b)| a != b);
            let same = inode.disk.view.len() == source.bytes.len();
            ensure!(same && wrong.is_none(), "file {nth}: wrong from byte {wrong:?} on");
        }
        Ok(())
    }
}
