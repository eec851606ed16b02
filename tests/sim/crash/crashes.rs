//! What a crash leaves: of what was in flight, on disks, of names; and what others change meanwhile.

use highwater::journal::{Reader, Step};

use super::known::read;
use super::plan::Crash;
use super::world::{Name, State, World, some_bytes};
use crate::Check;

impl World {
    pub fn crash(&mut self, crash: Crash) -> Check {
        let completed: Vec<u64> = (0..self.states.len()).map(|nth| self.completed(nth)).collect();
        // What is in flight got anywhere.
        for nth in 0..self.states.len() {
            let State::Copying(mut copying) = std::mem::replace(&mut self.states[nth], State::Start) else {
                continue;
            };
            for (is_write, t) in std::mem::take(&mut copying.ops) {
                let n = self.rng.u32(0..=t.len);
                if is_write && n > 0 {
                    self.put(nth, &copying, t, n);
                }
            }
        }
        if self.syncing.is_none()
            && let Step::Append { offset, bytes } = self.log.next(self.now)
        {
            let n = self.rng.usize(0..=bytes.len());
            let torn = bytes[..n].to_vec();
            if n > 0 && self.plan.journal_room.is_none() {
                self.journal.write(offset as usize, &torn);
            }
        }
        self.note(|| format!("{crash:?}"));
        if crash.is_power_cut {
            self.journal.power_cut(&mut self.rng);
            let tail = self.journal.view.len();
            if self.rng.bool() && self.log_end() < tail {
                let size = self.rng.usize(self.log_end()..=tail);
                self.journal.truncate(size);
            }
            for inode in self.targets.iter_mut().flatten() {
                inode.disk.power_cut(&mut self.rng);
                let nth = self.rng.usize(0..inode.names.len());
                inode.names = vec![inode.names[nth]];
            }
        }
        for target in &mut self.targets {
            target.retain(|inode| inode.name() != Name::None);
        }
        self.after_crash(crash, &completed)?;
        if let Some(nth) = crash.source_changes {
            let (length, unit) = (self.sources[nth].bytes.len(), self.plan.unit_bytes);
            let bytes = some_bytes(&mut self.rng, length, &self.sources[nth].holes, unit);
            self.sources[nth].bytes = bytes;
            self.sources[nth].identity.modified.0 += 1;
        }
        if let Some(nth) = crash.target_changes {
            for inode in &mut self.targets[nth] {
                let length = inode.disk.view.len();
                if length > 0 {
                    let at = self.rng.usize(0..length);
                    inode.disk.write(at, &[self.rng.u8(..)]);
                }
            }
        }
        Ok(())
    }

    /// What is on the journal's platter for certain.
    fn log_end(&self) -> usize {
        let mut reader = match Reader::open(read(&self.journal.view)).unwrap() {
            Ok((_, reader)) => reader,
            Err(_) => return self.journal.view.len(),
        };
        while let Ok(Some(_)) = reader.next(read(&self.journal.view)).unwrap() {}
        reader.believed_to() as usize
    }

    /// How far a file had come, in bytes.
    fn completed(&self, nth: usize) -> u64 {
        match &self.states[nth] {
            State::Start => 0,
            State::Copying(copying) => copying.base as u64 + copying.pump.completed_to(),
            State::Waits(_) | State::Done => self.sources[nth].bytes.len() as u64,
        }
    }
}
