//! From units to the hash of the file.

use blake3::hazmat::{Mode, merge_subtrees_non_root, merge_subtrees_root};

use super::{Digest, Unit};

/// Adds units up, in order and without a gap. What it holds grows with the logarithm of the length.
#[derive(Clone, Debug, Default)]
pub struct Root {
    /// of complete subtrees, each smaller than the one before, but for the last one's merges
    subtrees: Vec<Digest>,
    units: u64,
    alone: Option<Digest>,
}

impl Root {
    /// How many were added: the index of the next one.
    pub fn units(&self) -> u64 {
        self.units
    }

    /// The next unit. One that is not full must be the last.
    pub fn add(&mut self, unit: &Unit) {
        assert_eq!(unit.index, self.units, "units are added in order, each of them");
        // Merged only now that more comes: the last merge of all is another one.
        while self.subtrees.len() > self.units.count_ones() as usize {
            let right = self.subtrees.pop().expect("there are two");
            let left = self.subtrees.pop().expect("there are two");
            self.subtrees.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
        self.subtrees.push(unit.digest);
        self.units += 1;
        self.alone = unit.alone.filter(|_| unit.index == 0);
    }

    /// The hash of the file that consists of these units.
    pub fn finish(mut self) -> Digest {
        let Some(mut right) = self.subtrees.pop() else { return *blake3::hash(b"").as_bytes() };
        if self.units == 1 {
            return self.alone.expect("the first unit knows what it is alone");
        }
        while let Some(left) = self.subtrees.pop() {
            if self.subtrees.is_empty() {
                return *merge_subtrees_root(&left, &right, Mode::Hash).as_bytes();
            }
            right = merge_subtrees_non_root(&left, &right, Mode::Hash);
        }
        unreachable!("two units have a root")
    }
}
