//! A disk with a volatile cache.

use fastrand::Rng;

/// What is torn, in bytes.
const SECTOR: usize = 8;

#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// what a power cut leaves
    pub platter: Vec<u8>,
    /// what is read
    pub view: Vec<u8>,
    /// what differs between them, in the order written
    cache: Vec<(usize, Vec<u8>)>,
}

impl Disk {
    pub fn holding(bytes: Vec<u8>) -> Disk {
        Disk { platter: bytes.clone(), view: bytes, cache: Vec::new() }
    }

    pub fn write(&mut self, offset: usize, data: &[u8]) {
        put(&mut self.view, offset, data);
        self.cache.push((offset, data.to_vec()));
    }

    /// What a sync that begins now will make durable.
    pub fn mark(&self) -> usize {
        self.cache.len()
    }

    /// A sync ends that began at `mark`.
    pub fn synced(&mut self, mark: usize) {
        for (offset, data) in self.cache.drain(..mark) {
            put(&mut self.platter, offset, &data);
        }
    }

    /// Nothing but the platter is left: of what was cached any part has reached it, in any order.
    pub fn power_cut(&mut self, rng: &mut Rng) {
        let mut cache = std::mem::take(&mut self.cache);
        if rng.bool() {
            rng.shuffle(&mut cache);
        }
        // Often all of it, or nothing, is lost.
        let chance = [0, 0, 1, 4, 8, 8][rng.usize(0..6)];
        for (offset, data) in cache {
            let mut at = 0;
            while at < data.len() {
                let end = ((offset + at) / SECTOR + 1) * SECTOR - offset;
                let end = end.min(data.len());
                if rng.u32(0..8) < chance {
                    put(&mut self.platter, offset + at, &data[at..end]);
                }
                at = end;
            }
        }
        self.view.clone_from(&self.platter);
    }

    pub fn truncate(&mut self, size: usize) {
        self.view.truncate(size);
        self.platter.truncate(size);
        for (offset, data) in &mut self.cache {
            data.truncate(size.saturating_sub(*offset));
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset + data.len() {
        bytes.resize(offset + data.len(), 0);
    }
    bytes[offset..][..data.len()].copy_from_slice(data);
}
