//! Reading back: every block from its device, past this kernel's memory, and judging it.

use std::ops::Range;

use crate::engine::{Edge, End, Engine, Flow, error_of};
use crate::flow::{Digesting, Failure, Length, Losses, Patience, Pump, Shape, Side};

use super::checker::{Expected, Findings, Verdict, judge};
use super::job::{Event, Report};
use super::pattern::BLOCK_BYTES;
use super::run::Run;

/// What can't be read is narrowed down to so many bytes.
const UNIT_BYTES: u32 = BLOCK_BYTES as u32;

impl Run<'_> {
    /// Reads all before `end` and judges it. What fails is told.
    pub fn read_back(
        &self,
        engine: &Engine,
        expected: impl Fn(u64) -> Expected + Sync,
        end: u64,
        report: &mut Report,
    ) {
        report.to_check_bytes = end;
        let (edge, side) = match self.target.to_read() {
            Ok((edge, side, origin)) => {
                report.direct.1 = edge.direct.is_some();
                report.origin = Some(origin);
                (self.hears)(&Event::ReadsBack(origin));
                (edge, side)
            }
            Err(error) => return self.fail(error),
        };
        self.ledger.meter().begin_verify(1, end);
        let mut findings = Findings::default();
        let (losses, failure) = self.judge_range(engine, &edge, side, &expected, 0..end, &mut findings);
        let mut made = [0; BLOCK_BYTES];
        for range in losses.ranges() {
            findings.unreadable(range, |offset| self.judge_zeros(offset, expected(offset), &mut made));
        }
        if let Some(failure) = failure {
            self.fail(error_of(failure, Some(end), &self.target.path, &self.target.path));
        }
        report.findings = Some(findings);
        // It was only read; what closing has to say changes nothing.
        let _ = edge.close();
    }

    /// What zeros in the place of what can't be read were taken for.
    fn judge_zeros(&self, offset: u64, expected: Expected, made: &mut [u8; BLOCK_BYTES]) -> Verdict {
        judge(&self.pattern, offset, expected, &[0; BLOCK_BYTES], made)
    }

    fn judge_range(
        &self,
        engine: &Engine,
        edge: &Edge,
        side: Side,
        expected: &(impl Fn(u64) -> Expected + Sync),
        range: Range<u64>,
        findings: &mut Findings,
    ) -> (Losses, Option<Failure>) {
        let arena = engine.arena();
        let base = range.start;
        let shape = Shape {
            digesting: Digesting::InsteadOfWrite,
            patience: Patience { zero_fill: Some(UNIT_BYTES), ..Patience::default() },
            ..self.shape(arena, side, Side::SEEKABLE, Length::Exact(range.end - base))
        };
        let pattern = self.pattern;
        let mut made = [0; BLOCK_BYTES];
        let pump = Pump::under(shape, self.ledger.level());
        let flow =
            Flow::new(pump, arena, &self.cancel, &self.ledger).digested_by(Box::new(|offset, bytes| {
                let (blocks, _) = bytes.as_chunks::<BLOCK_BYTES>();
                let mut at = base + offset;
                for block in blocks {
                    findings.add(at, judge(&pattern, at, expected(at), block, &mut made));
                    at += BLOCK_BYTES as u64;
                }
            }));
        let mut edge = edge.share();
        edge.base = Some(base);
        engine.run(&flow, &End::Edge(edge), &End::Nowhere);
        let finished = flow.finish();
        (finished.losses, finished.failure.map(|failure| failure.behind(base)))
    }
}
