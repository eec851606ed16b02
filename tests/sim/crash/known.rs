//! What the journal knows of a file, and how much of that is true now.

use std::collections::HashMap;
use std::convert::Infallible;

use highwater::digest::Digest;
use highwater::journal::{
    Belief, Claim, Identity, Reader, Record, Records, believe, key, key_of_file, key_of_path, record_at,
};

use super::world::World;

#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub source: Identity,
    pub inode: u64,
    pub begun: Option<u64>,
    pub last: u64,
}

impl World {
    /// The last that the journal says of a file.
    pub fn known(&self, nth: usize) -> Result<Option<Known>, String> {
        let Ok((_, mut reader)) = Reader::open(read(&self.journal.view)).unwrap() else { return Ok(None) };
        let mut found: HashMap<u64, u64> = HashMap::new();
        while let Ok(Some(batch)) = reader.next(read(&self.journal.view)).unwrap() {
            for (at, record) in Records::of(batch.payload) {
                let at = batch.offset + at as u64;
                found.insert(key(&record), at);
            }
        }
        let Some(&at) = found.get(&key_of_path(&path(nth))) else { return Ok(None) };
        let record = record_at(&self.journal.view[at as usize..]).ok_or("a record that was read can't be")?.0;
        Ok(match record {
            Record::Begun { source, inode, .. } => {
                let last = found.get(&key_of_file(at)).copied().unwrap_or(at);
                Some(Known { source, inode, begun: Some(at), last })
            }
            Record::Copied { source, inode, .. } => Some(Known { source, inode, begun: None, last: at }),
            _ => None,
        })
    }

    pub fn believe(
        &self,
        known: &Known,
        nth: usize,
        mut matches: impl FnMut(&Claim<'_>) -> u64,
    ) -> Result<Belief, String> {
        let unit = self.plan.unit_bytes as u64;
        let Some(begun) = known.begun else {
            let record = record_at(&self.journal.view[known.last as usize..]);
            let Some((Record::Copied { length, digests, .. }, _)) = record else {
                return Err(format!("file {nth}: no record of its copy"));
            };
            let claim = Claim { from: 0, zeros: 0, digests, length: Some(length) };
            let good = matches(&claim);
            let is_whole = good == claim.units();
            let to = if is_whole { length } else { good * unit };
            return Ok(Belief { to, before: 0, is_whole, altered: !is_whole });
        };
        let fetch = |at: u64, bytes: &mut Vec<u8>| {
            *bytes = self.journal.view[at as usize..].to_vec();
            Ok::<_, Infallible>(())
        };
        Ok(believe(begun, known.last, unit, fetch, |claim| Ok(matches(claim))).unwrap())
    }

    /// By what the target holds now.
    pub fn believe_seen(&self, known: &Known, nth: usize) -> Result<Belief, String> {
        let unit = self.plan.unit_bytes;
        let none = Vec::new();
        let inode = self.targets[nth].iter().find(|inode| inode.number == known.inode);
        let view = inode.map_or(&none, |inode| &inode.disk.view);
        self.believe(known, nth, |claim| {
            let is_good = |nth: &u64| {
                let from = (claim.from as usize + *nth as usize * unit).min(view.len());
                let bytes = &view[from..(from + unit).min(view.len())];
                match nth.checked_sub(claim.zeros) {
                    None => bytes.iter().all(|byte| *byte == 0),
                    Some(nth) => digest(bytes)[..] == claim.digests[nth as usize * 32..][..32],
                }
            };
            (0..claim.units()).take_while(is_good).count() as u64
        })
    }
}

pub fn digest(unit: &[u8]) -> Digest {
    // Cheap, and as good as any against what chance does.
    let mut digest = [unit.len() as u8; 32];
    digest[..unit.len()].copy_from_slice(unit);
    digest
}

pub fn path(nth: usize) -> Vec<u8> {
    format!("file {nth}").into_bytes()
}

pub fn read(bytes: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<usize, Infallible> + '_ {
    |offset, buffer| {
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}
