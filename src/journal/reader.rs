//! Reading a journal: as far as it is whole, batch by batch, and no farther.

use super::batch::{HEAD_BYTES, Head, Header, NoHead, Nonce, PLACE_BYTES};
use super::record::Records;

/// Why a journal can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// it is none
    Foreign,
    /// it is of another version of the format
    Version(u32),
    /// it ends before its header does
    CutShort,
    /// something was changed at this byte, or behind it in the same batch: what follows is whole
    Damaged(u64),
}

/// Reads at an offset into a buffer: how many bytes came, 0 at the end.
trait Read<E>: FnMut(u64, &mut [u8]) -> Result<usize, E> {}

impl<E, F: FnMut(u64, &mut [u8]) -> Result<usize, E>> Read<E> for F {}

/// A batch that is whole.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// where its payload begins in the file, in bytes
    pub offset: u64,
    /// [`Records`]
    pub payload: &'a [u8],
}

/// See the module. It needs memory for one payload.
#[derive(Debug)]
pub struct Reader {
    nonce: Nonce,
    number: u64,
    end: u64,
    payload: Vec<u8>,
}

impl Reader {
    /// Reads the header by `read`, which is given an offset and a buffer and says how much of it
    /// it has filled; 0 is the end of the file. Its errors come out as they are.
    pub fn open<E>(
        mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    ) -> Result<Result<(Header, Reader), Unfit>, E> {
        let Some(bytes) = head(&mut read, 0)? else {
            let mut magic = [0; 8];
            let is_begun = fill(&mut read, 0, &mut magic)? == magic.len() && magic == *b"HWJOURNL";
            return Ok(Err(if is_begun { Unfit::CutShort } else { Unfit::Foreign }));
        };
        let head = match Head::of_header(bytes) {
            Ok(head) => head,
            Err(NoHead::Foreign) => return Ok(Err(Unfit::Foreign)),
            Err(NoHead::Version(version)) => return Ok(Err(Unfit::Version(version))),
            Err(NoHead::Damaged) => return Ok(Err(Unfit::Damaged(0))),
        };
        let mut payload = Vec::new();
        if !payload_of(&mut read, 0, &head, &mut payload)? {
            return Ok(Err(Unfit::CutShort));
        }
        let header = Header::read(&payload).filter(|_| head.fits(&payload));
        let reader = Reader { nonce: head.nonce, number: 0, end: head.batch_bytes(), payload };
        Ok(header.map(|header| (header, reader)).ok_or(Unfit::Damaged(0)))
    }

    /// The next batch; None behind the last one that is whole. Once it has said none or an error, it
    /// is not to be asked again.
    pub fn next<E>(
        &mut self,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
    ) -> Result<Result<Option<Batch<'_>>, Unfit>, E> {
        let at = self.end;
        if let Some(head) = self.whole(&mut read, at)?
            && head.number == self.number + 1
        {
            let mut records = Records::of(&self.payload);
            records.by_ref().for_each(drop);
            if !records.are_whole() {
                return Ok(Err(Unfit::Damaged(at)));
            }
            self.number += 1;
            self.end += head.batch_bytes();
            return Ok(Ok(Some(Batch { offset: at + HEAD_BYTES as u64, payload: &self.payload })));
        }
        match self.goes_on(&mut read)? {
            true => Ok(Err(Unfit::Damaged(at))),
            false => Ok(Ok(None)),
        }
    }

    /// Everything before this byte is whole: what is appended goes here.
    pub fn believed_to(&self) -> u64 {
        self.end
    }

    /// Of this file.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// Of the last batch that was whole.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The head of the batch at `at`, whose payload is put into place, where it is whole and of this
    /// journal.
    fn whole<E>(&mut self, read: &mut impl Read<E>, at: u64) -> Result<Option<Head>, E> {
        let Some(head) = head(read, at)?.and_then(Head::of_batch).filter(|head| head.nonce == self.nonce)
        else {
            return Ok(None);
        };
        let is_whole = payload_of(read, at, &head, &mut self.payload)? && head.fits(&self.payload);
        Ok(is_whole.then_some(head))
    }

    /// Whether a later batch is whole: then the one at hand was not torn, but damaged. So many that
    /// begin like one are looked at, and no more.
    fn goes_on<E>(&mut self, read: &mut impl Read<E>) -> Result<bool, E> {
        const CANDIDATES: usize = 64;
        let mut chunk = vec![0; 64 << 10];
        let (mut at, mut candidates) = (self.end + PLACE_BYTES, 0);
        loop {
            let filled = fill(read, at, &mut chunk)?;
            for place in (0..filled).step_by(PLACE_BYTES as usize) {
                let Some(bytes) = chunk[place..filled].first_chunk::<HEAD_BYTES>() else { continue };
                let is_like = |head: &Head| head.nonce == self.nonce && head.number > self.number;
                if Head::of_batch(*bytes).is_some_and(|head| is_like(&head)) {
                    candidates += 1;
                    if self.whole(read, at + place as u64)?.is_some() {
                        return Ok(true);
                    }
                }
            }
            if filled < chunk.len() || candidates > CANDIDATES {
                return Ok(false);
            }
            at += filled as u64;
        }
    }
}

fn head<E>(read: &mut impl Read<E>, at: u64) -> Result<Option<[u8; HEAD_BYTES]>, E> {
    let mut bytes = [0; HEAD_BYTES];
    let filled = fill(read, at, &mut bytes)?;
    Ok((filled == HEAD_BYTES).then_some(bytes))
}

/// Whether all of it is there. The file must have it before memory is taken for it.
fn payload_of<E>(read: &mut impl Read<E>, at: u64, head: &Head, payload: &mut Vec<u8>) -> Result<bool, E> {
    let (start, length) = (at + HEAD_BYTES as u64, head.length as usize);
    payload.clear();
    let mut last = [0];
    if length > 0 && fill(read, start + length as u64 - 1, &mut last)? == 0 {
        return Ok(false);
    }
    payload.resize(length, 0);
    Ok(fill(read, start, payload)? == length)
}

fn fill<E>(read: &mut impl Read<E>, offset: u64, buffer: &mut [u8]) -> Result<usize, E> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(offset + filled as u64, &mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
