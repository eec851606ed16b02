//! The intervals of a run as comma-separated values: a line for each interval and kind, numbers in
//! the units of the JSON report, nothing where the samples can't tell.

use crate::latency::{Interval, Kind, Summary};
use std::io::{self, Write};

const HEAD: &str = "start_s,length_s,kind,bytes,count,mean_ns,min_ns,p50_ns,p90_ns,p99_ns,p99_9_ns,\
                    p99_99_ns,p99_999_ns,p99_9999_ns,max_ns";

/// Writes the lines of a run while it goes on. A run that is killed leaves whole intervals.
pub struct CsvWriter<W: Write> {
    out: W,
    lines: Vec<u8>,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<CsvWriter<W>> {
        writeln!(out, "{HEAD}")?;
        out.flush()?;
        Ok(CsvWriter { out, lines: Vec::new() })
    }

    /// Writes and flushes the lines of `interval`: those of service times always, so that an interval
    /// in which nothing completed is seen as one, the others where there are samples.
    ///
    /// # Errors
    /// Those of the output.
    pub fn interval(&mut self, interval: &Interval) -> io::Result<()> {
        self.lines.clear();
        for kind in Kind::ALL {
            let summary = interval.histograms.summary(kind);
            if summary.count > 0 || Kind::SERVICE.contains(&kind) {
                let (start_s, length_s) = (interval.start.as_secs_f64(), interval.length.as_secs_f64());
                write!(self.lines, "{start_s:.3},{length_s:.3},{},", kind.name())?;
                write_cell(&mut self.lines, bytes(interval, kind))?;
                write_summary(&mut self.lines, &summary)?;
            }
        }
        self.out.write_all(&self.lines)?;
        self.out.flush()
    }
}

fn bytes(interval: &Interval, kind: Kind) -> Option<u64> {
    match kind {
        Kind::Read => Some(interval.read_bytes),
        Kind::Write => Some(interval.write_bytes),
        _ => None,
    }
}

fn write_summary(lines: &mut Vec<u8>, summary: &Summary) -> io::Result<()> {
    let Summary { count, mean_ns, min_ns, max_ns, .. } = *summary;
    let percentiles = summary.percentiles().map(|(_, ns)| ns);
    write!(lines, ",{count},")?;
    write_cell(lines, mean_ns.map(|ns| format!("{ns:.1}")))?;
    for ns in [min_ns].into_iter().chain(percentiles).chain([max_ns]) {
        write!(lines, ",")?;
        write_cell(lines, ns)?;
    }
    writeln!(lines)
}

fn write_cell(lines: &mut Vec<u8>, cell: Option<impl std::fmt::Display>) -> io::Result<()> {
    cell.map_or(Ok(()), |cell| write!(lines, "{cell}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Recorder;
    use std::time::Duration;

    #[test]
    fn lines_say_what_the_samples_can_tell_and_no_more() {
        let second = Duration::from_secs(1);
        let mut recorder = Recorder::new(&Kind::ALL, Some(second));
        for us in 1..=100 {
            recorder.record(Kind::Read, Duration::ZERO, us * 1_000);
        }
        recorder.moved(Kind::Read, Duration::ZERO, 4096);
        recorder.record(Kind::ResponseWrite, Duration::ZERO, 850);
        let mut text = Vec::new();
        let mut writer = CsvWriter::new(&mut text).unwrap();
        writer.interval(&recorder.take_interval(second).unwrap()).unwrap();
        writer.interval(&recorder.finish(second + second / 4).1.unwrap()).unwrap();
        let expected = "\
start_s,length_s,kind,bytes,count,mean_ns,min_ns,p50_ns,p90_ns,p99_ns,p99_9_ns,p99_99_ns,p99_999_ns,p99_9999_ns,max_ns
0.000,1.000,read,4096,100,50503.6,1000,50015,90047,99007,,,,,100031
0.000,1.000,write,0,0,,,,,,,,,,
0.000,1.000,sync,,0,,,,,,,,,,
0.000,1.000,response-write,,1,850.0,850,,,,,,,,850
1.000,0.250,read,0,0,,,,,,,,,,
1.000,0.250,write,0,0,,,,,,,,,,
1.000,0.250,sync,,0,,,,,,,,,,
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
