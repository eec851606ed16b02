//! From records to bytes of a file that may be believed: those whose digests match what is in the
//! target now, from the file's beginning on.

use crate::digest::Digest;

use super::record::{Identity, Record, record_at};

/// What a record says of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// from this byte on
    pub from: u64,
    /// so many units of zeros
    pub zeros: u64,
    /// of each unit behind them, [`Digest`]s in a row
    pub digests: &'a [u8],
    /// the file ends here, maybe inside the last unit
    pub length: Option<u64>,
}

impl Claim<'_> {
    /// How many units it is about.
    pub fn units(&self) -> u64 {
        self.zeros + (self.digests.len() / size_of::<Digest>()) as u64
    }
}

/// What may be believed of a file that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// all before it is as it was recorded, in bytes: whole units, or the whole file
    pub to: u64,
    /// where the record is that says so of the last unit
    pub before: u64,
    /// all of the file, its attributes included
    pub is_whole: bool,
    /// something did not match
    pub altered: bool,
}

/// Follows a file's records from the `last` one back to its [`Record::Begun`], at `begun`. `fetch`
/// gets the bytes at an offset of the journal that a record takes, `matches` says how many units of
/// a claim are as it says, from the first on.
pub fn believe<E>(
    begun: u64,
    last: u64,
    unit_bytes: u64,
    mut fetch: impl FnMut(u64, &mut Vec<u8>) -> Result<(), E>,
    mut matches: impl FnMut(&Claim<'_>) -> Result<u64, E>,
) -> Result<Belief, E> {
    let mut bytes = Vec::new();
    let (mut at, mut limit) = (last, None);
    let mut belief = Belief { to: 0, before: begun, is_whole: false, altered: false };
    // The start of what is believed so far, which is worth nothing before byte 0 is reached.
    let mut joined = u64::MAX;
    while at > begun {
        fetch(at, &mut bytes)?;
        let (claim, before) = match record_at(&bytes) {
            Some((Record::Durable { begun: of, before, from, zeros, digests }, _)) if of == begun => {
                (Claim { from, zeros, digests, length: None }, before)
            }
            Some((Record::Whole { begun: of, before, from, zeros, length, digests }, _)) if of == begun => {
                (Claim { from, zeros, digests, length: Some(length) }, before)
            }
            // What was read whole before is not now.
            _ => return Ok(Belief { to: 0, before: begun, is_whole: false, altered: true }),
        };
        let wanted = cut(&claim, limit.unwrap_or(u64::MAX), unit_bytes);
        let good = matches(&wanted)?.min(wanted.units());
        let end = wanted.from + good * unit_bytes;
        let is_all = good == wanted.units();
        belief.altered |= !is_all;
        if !is_all || end != joined {
            // It ends here, as far as is known.
            let reaches = |length: u64| is_all && end >= length;
            let length = wanted.length.filter(|length| limit.is_none() && reaches(*length));
            belief.is_whole = length.is_some();
            belief.to = length.unwrap_or(end);
            belief.before = if good > 0 { at } else { before };
        }
        (joined, limit) = (wanted.from, Some(wanted.from));
        // Records point back; one that does not ends it.
        at = if before < at { before } else { begun };
    }
    if joined != 0 {
        belief = Belief { to: 0, before: begun, is_whole: false, ..belief };
    }
    Ok(belief)
}

/// What is left of a claim that is void from `limit` on.
fn cut<'a>(claim: &Claim<'a>, limit: u64, unit_bytes: u64) -> Claim<'a> {
    let units = limit.saturating_sub(claim.from) / unit_bytes;
    if units >= claim.units() {
        return *claim;
    }
    let zeros = claim.zeros.min(units);
    let digests = &claim.digests[..(units - zeros) as usize * size_of::<Digest>()];
    Claim { zeros, digests, length: None, ..*claim }
}

/// Under which number a record is found: of the records of one number the last one counts.
pub fn key(record: &Record<'_>) -> u64 {
    match record {
        Record::Made { path, .. } | Record::Begun { path, .. } | Record::Copied { path, .. } => {
            key_of_path(path)
        }
        Record::Durable { begun, .. } | Record::Whole { begun, .. } => key_of_file(*begun),
    }
}

/// The number for a path as in [`Record`]. Two paths may have the same: what is found must be looked
/// at.
pub fn key_of_path(path: &[u8]) -> u64 {
    number(b"path", path)
}

/// The number for what is said of the file that was begun at `begun`.
pub fn key_of_file(begun: u64) -> u64 {
    number(b"file", &begun.to_le_bytes())
}

/// The number for what is said of a source, whatever its name.
pub fn key_of_source(source: &Identity) -> u64 {
    number(b"source", &source.inode.to_le_bytes())
}

fn number(kind: &[u8], bytes: &[u8]) -> u64 {
    let digest = blake3::Hasher::new().update(kind).update(bytes).finalize();
    u64::from_le_bytes(*digest.as_bytes().first_chunk().expect("it has 32 bytes")).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::convert::Infallible;

    /// Records by their places; what is believed where only `good` units match.
    fn check(
        records: &[(u64, Record<'_>)],
        good: impl Fn(u64) -> bool,
        to: u64,
        before: u64,
        is_whole: bool,
    ) {
        let stored: HashMap<u64, Vec<u8>> = records
            .iter()
            .map(|(at, record)| {
                let mut bytes = Vec::new();
                record.write(&mut bytes);
                (*at, bytes)
            })
            .collect();
        let last = records.last().map_or(10, |(at, _)| *at);
        let fetch = |at: u64, bytes: &mut Vec<u8>| {
            *bytes = stored[&at].clone();
            Ok::<_, Infallible>(())
        };
        let matches = |claim: &Claim<'_>| {
            Ok((0..claim.units()).take_while(|unit| good(claim.from / 10 + unit)).count() as u64)
        };
        let belief = believe(10, last, 10, fetch, matches).unwrap();
        assert_eq!((belief.to, belief.before, belief.is_whole), (to, before, is_whole));
    }

    #[test]
    fn what_matches_from_the_beginning_on_is_believed() {
        let durable = |before, from, units: usize| Record::Durable {
            begun: 10,
            before,
            from,
            zeros: 0,
            digests: &[0; 320][..32 * units],
        };
        let whole =
            Record::Whole { begun: 10, before: 30, from: 50, zeros: 1, length: 65, digests: &[0; 32] };
        let three = [(20, durable(10, 0, 3)), (30, durable(20, 30, 2)), (40, whole)];
        check(&three, |_| true, 65, 40, true);
        check(&three, |unit| unit != 6, 60, 40, false);
        check(&three, |unit| unit != 5, 50, 30, false);
        check(&three, |unit| unit != 4, 40, 30, false);
        check(&three, |unit| unit != 3, 30, 20, false);
        check(&three, |unit| unit != 0, 0, 10, false);
        check(&three[..2], |_| true, 50, 30, false);
        check(&[], |_| true, 0, 10, false);
        let again = [(20, durable(10, 0, 3)), (30, durable(20, 20, 1))];
        check(&again, |_| true, 30, 30, false);
        let gap = [(20, durable(10, 0, 1)), (30, durable(20, 20, 1))];
        check(&gap, |_| true, 10, 20, false);
        check(&[(20, durable(10, 20, 1))], |_| true, 0, 10, false);
    }
}
