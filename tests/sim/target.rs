//! A simulated target: bytes, the size it shows, and what was there before.

use highwater::flow::{Length, Visibility};

use crate::plan::Plan;
use crate::{Check, ensure};

/// Behind the source's last byte there is so much of the target.
const MARGIN: usize = 64;
const OLD: u8 = 0xA5;

#[derive(Clone)]
pub struct Target {
    bytes: Vec<u8>,
    old: u8,
    sized: bool,
    /// the size that stat would tell
    pub visible: u64,
    /// the bytes before it are the source's
    right_to: u64,
    /// sizes it has shown with other bytes than the source's below
    wrong_sizes: Vec<u64>,
    /// where the next byte of an ordered target lands
    pub cursor: u64,
}

impl Target {
    pub fn of_plan(plan: &Plan) -> Target {
        let old = if plan.target_is_old() { OLD } else { 0 };
        let told = match plan.shape.length {
            Length::Exact(n) | Length::Expected(n) => n,
            Length::Unknown => 0,
        };
        Target {
            bytes: vec![old; plan.most_bytes().max(told) as usize + MARGIN],
            old,
            sized: plan.shape.visibility != Visibility::Fixed,
            visible: 0,
            right_to: 0,
            wrong_sizes: Vec::new(),
            cursor: 0,
        }
    }

    /// Bytes reach the target; these must be the source's, at their place.
    pub fn apply(&mut self, offset: u64, data: &[u8], source: &[u8]) -> Check {
        let (from, to) = (offset as usize, offset as usize + data.len());
        ensure!(to <= source.len(), "bytes {from}..{to} written, and the source ends at {}", source.len());
        ensure!(data == &source[from..to], "other bytes than the source's written within {from}..{to}");
        self.bytes[from..to].copy_from_slice(data);
        self.visible = self.visible.max(to as u64);
        Ok(())
    }

    /// As ftruncate(2).
    pub fn set_size(&mut self, size: u64) {
        if size < self.visible {
            self.bytes[size as usize..self.visible as usize].fill(0);
            self.right_to = self.right_to.min(size);
        }
        self.visible = size;
    }

    /// The copy is killed now: a file that shows `length` must be the source.
    pub fn killed_here(&mut self, length: Option<u64>, source: &[u8]) -> Check {
        if !self.sized {
            return Ok(());
        }
        let shown = (self.visible as usize).min(source.len());
        self.right_to += agreeing(&self.bytes[..shown], &source[..shown], self.right_to as usize);
        if self.right_to < self.visible && self.wrong_sizes.last() != Some(&self.visible) {
            self.wrong_sizes.push(self.visible);
        }
        ensure!(
            length != Some(self.visible) || self.right_to == self.visible,
            "killed here, the target has its full length {} and is right only up to {}",
            self.visible,
            self.right_to
        );
        Ok(())
    }

    /// The same for a length that was known only at the end.
    pub fn was_never_wrong_at(&self, length: u64) -> Check {
        ensure!(!self.wrong_sizes.contains(&length), "the final length {length} was shown too early");
        Ok(())
    }

    /// Bytes `from..to` are the source's.
    pub fn is_right(&self, from: u64, to: u64, source: &[u8]) -> Check {
        let (from, to) = (from as usize, to as usize);
        ensure!(to <= source.len(), "{to} bytes are called complete, and the source has {}", source.len());
        ensure!(
            self.bytes[from..to] == source[from..to],
            "byte {} is called complete and is not the source's",
            from as u64 + agreeing(&self.bytes[from..to], &source[from..to], 0)
        );
        Ok(())
    }

    /// Nothing was written from `end` on.
    pub fn is_untouched_from(&self, end: u64) -> Check {
        let touched = self.bytes[end as usize..].iter().position(|byte| *byte != self.old);
        ensure!(touched.is_none(), "byte {} was written, behind the end", end + touched.unwrap_or(0) as u64);
        Ok(())
    }
}

fn agreeing(a: &[u8], b: &[u8], from: usize) -> u64 {
    let (a, b) = (&a[from.min(a.len())..], &b[from.min(b.len())..]);
    match a == b {
        true => a.len() as u64,
        false => a.iter().zip(b).take_while(|(a, b)| a == b).count() as u64,
    }
}
