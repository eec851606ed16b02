//! Who writes the journal, as [`Log`](highwater::journal::Log) says: appends, names of parts, syncs.

use std::collections::HashMap;

use highwater::journal::{FileId, Step};

use super::plan::{Bug, Way};
use super::world::{Inode, Name, State, World};
use crate::Check;

impl World {
    pub fn step_of_journal(&mut self) -> Check {
        let now = self.now;
        let step = match self.log.next(now) {
            Step::Idle(None) => return Ok(()),
            Step::Idle(Some(at)) => {
                self.now = at.max(self.now);
                return Ok(());
            }
            Step::Append { offset, bytes } => {
                let bytes = bytes.to_vec();
                self.appends += 1;
                if self.plan.journal_room.is_some_and(|room| self.appends > room) {
                    self.note(|| "the journal is full".into());
                    self.log.close();
                    return Ok(());
                }
                self.note(|| format!("append {} bytes at {offset}", bytes.len()));
                self.journal.write(offset as usize, &bytes);
                self.log.done();
                return Ok(());
            }
            Step::Name(ids) => Ok(ids.to_vec()),
            Step::SyncJournal => Err(true),
            Step::SyncTarget => Err(false),
        };
        match step {
            Ok(ids) => {
                ids.into_iter().for_each(|id| self.name_part(id));
                self.log.done();
            }
            Err(is_journal) => self.sync(is_journal),
        }
        // The bugs that swap steps.
        if self.has(Bug::NamedFirst) {
            let ids: Vec<FileId> = self.ids();
            ids.into_iter().for_each(|id| self.name_part(id));
        }
        Ok(())
    }

    fn ids(&self) -> Vec<FileId> {
        let id = |state: &State| if let State::Copying(copying) = state { copying.id } else { None };
        self.states.iter().filter_map(id).collect()
    }

    fn name_part(&mut self, id: FileId) {
        for nth in 0..self.states.len() {
            let State::Copying(copying) = &self.states[nth] else { continue };
            if copying.id == Some(id) && self.plan.files[nth].way == Way::New {
                let inode = self.targets[nth].last_mut().expect("it was made");
                if inode.name() == Name::None {
                    inode.names.push(Name::Part);
                    self.note(|| format!("file {nth} has its part's name"));
                }
            }
        }
        // One that was finished meanwhile waits for its name all the same.
        for nth in 0..self.states.len() {
            if matches!(self.states[nth], State::Waits(_)) {
                let inode = self.targets[nth].last_mut().expect("it was made");
                if inode.name() == Name::None {
                    inode.names.push(Name::Part);
                }
            }
        }
    }

    /// Begins a sync, or ends the one that was begun.
    fn sync(&mut self, is_journal: bool) {
        let lies = if is_journal { self.plan.lies.1 } else { self.plan.lies.0 };
        let skipped = match is_journal {
            true => self.has(Bug::JournalNotSynced),
            false => self.has(Bug::RecordedFirst),
        };
        let Some(marks) = self.syncing.take() else {
            let mark = |inode: &Inode| (inode.number, (inode.disk.mark(), inode.names.len()));
            let mut marks: HashMap<_, _> = self.targets.iter().flatten().map(mark).collect();
            marks.insert(0, (self.journal.mark(), 0));
            self.syncing = Some(marks);
            return;
        };
        if !skipped && self.rng.u32(0..8) >= lies {
            if is_journal {
                self.journal.synced(marks[&0].0);
            } else {
                for inode in self.targets.iter_mut().flatten() {
                    let Some((mark, names)) = marks.get(&inode.number) else { continue };
                    inode.disk.synced(*mark);
                    inode.names.drain(..names - 1);
                }
            }
        }
        self.note(|| format!("synced {}", if is_journal { "the journal" } else { "the target" }));
        self.log.done();
    }
}
