//! The HdrHistogram interval log, format version 1.3: a line for each interval and kind.
//!
//! The format is that of Java's `HistogramLogWriter`: seconds since the base time, seconds, the
//! greatest value (in milliseconds, for people only), and the histogram in nanoseconds, V2,
//! deflated, in base64. hdrhistogram's own log writer borrows its output for life, so that it cannot
//! be kept beside it; the line is all there is to it.

mod reader;

pub use reader::{HlogError, read_hlog};

use super::encoded::encode;
use crate::latency::{Interval, Kind};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds of a millisecond, the unit of the log's column of greatest values.
const NS_PER_MS: f64 = 1e6;

/// Writes the log of a run while it goes on. A run that is killed leaves whole intervals.
pub struct HlogWriter<W: Write> {
    out: W,
    lines: Vec<u8>,
}

impl<W: Write> HlogWriter<W> {
    /// Writes the head of the log of a run that began at `wall_clock_start`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, wall_clock_start: SystemTime) -> io::Result<HlogWriter<W>> {
        let start_s = wall_clock_start.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let head = format!(
            "#[Histogram log format version 1.3]\n\
             #[StartTime: {start_s:.3} (seconds since epoch)]\n\
             #[BaseTime: {start_s:.3} (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
        );
        out.write_all(head.as_bytes())?;
        out.flush()?;
        Ok(HlogWriter { out, lines: Vec::new() })
    }

    /// Writes and flushes the lines of `interval`, one for each kind that has samples.
    ///
    /// # Errors
    /// Those of the output.
    pub fn interval(&mut self, interval: &Interval) -> io::Result<()> {
        self.lines.clear();
        for kind in Kind::ALL {
            let Some(histogram) = interval.histograms.get(kind) else { continue };
            writeln!(
                self.lines,
                "Tag={},{:.3},{:.3},{:.3},{}",
                kind.name(),
                interval.start.as_secs_f64(),
                interval.length.as_secs_f64(),
                histogram.max() as f64 / NS_PER_MS,
                encode(histogram)
            )?;
        }
        self.out.write_all(&self.lines)?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Recorder;
    use crate::report::encoded::decode;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use std::time::Duration;

    const START_S: u64 = 1_700_000_000;

    fn log_of(intervals: &[Interval]) -> Vec<u8> {
        let mut log = Vec::new();
        let mut writer = HlogWriter::new(&mut log, UNIX_EPOCH + Duration::from_secs(START_S)).unwrap();
        for interval in intervals {
            writer.interval(interval).unwrap();
        }
        log
    }

    #[test]
    fn the_head_names_version_and_times() {
        let head = "\
#[Histogram log format version 1.3]
#[StartTime: 1700000000.000 (seconds since epoch)]
#[BaseTime: 1700000000.000 (seconds since epoch)]
\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"
";
        assert_eq!(String::from_utf8(log_of(&[])).unwrap(), head);
    }

    #[test]
    fn every_interval_reads_back_as_it_was_recorded() {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(&Kind::SERVICE, Some(second));
        for us in 1..=500 {
            recorder.record(Kind::Read, Duration::ZERO, us * 1_000);
        }
        recorder.record(Kind::Sync, Duration::ZERO, 7_000_000);
        let mut intervals: Vec<_> = std::iter::from_fn(|| recorder.take_interval(2 * second)).collect();
        recorder.record(Kind::Write, 2 * second, 42_000);
        intervals.extend(recorder.finish(2 * second + second / 2).1);
        let expected = [(0, Kind::Read), (0, Kind::Sync), (2, Kind::Write)]
            .map(|(index, kind)| (&intervals[index], kind, intervals[index].histograms.get(kind).unwrap()));

        let log = log_of(&intervals);
        let lines: Vec<_> = IntervalLogIterator::new(&log)
            .filter_map(|entry| match entry.unwrap() {
                LogEntry::Interval(line) => Some(line),
                LogEntry::StartTime(time) | LogEntry::BaseTime(time) => {
                    assert_eq!(time, Duration::from_secs(START_S));
                    None
                }
            })
            .collect();

        assert_eq!(lines.len(), expected.len());
        for (line, (interval, kind, histogram)) in lines.iter().zip(expected) {
            assert_eq!(line.tag().unwrap().as_str(), kind.name());
            assert_eq!((line.start_timestamp(), line.duration()), (interval.start, interval.length));
            assert!((line.max() - histogram.max() as f64 / NS_PER_MS).abs() < 0.001);
            assert_eq!(&decode(line.encoded_histogram()).unwrap(), histogram);
        }
    }
}
