//! What a simulated device is like. Written as one line, SPEC, which `parse` reads and [`Spec`] shows.

use std::fmt;
use std::time::Duration;

/// What it is like; what is None, or of no share, it does as the real one does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// of reads
    pub read: Way,
    /// of writes
    pub write: Way,
    /// of what makes data durable
    pub sync: Sync,
    /// once so much is written, writes are slower
    pub cliff: Option<Cliff>,
    /// it stands still again and again
    pub stall: Option<Stall>,
    /// so many bytes fit on it: those of all files, each as long as it is
    pub full: Option<u64>,
    /// of all chance; None is 0
    pub seed: Option<u64>,
}

/// Of operations in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// in bytes a second, over all of them
    pub bandwidth: Option<u64>,
    /// operations a second, over all of them
    pub iops: Option<u64>,
    /// of each, besides
    pub latency: Option<Latency>,
    /// some fail
    pub error: Option<Chance>,
    /// those that meet an offset fail
    pub bad: Option<Bad>,
    /// such a share of them moves less than was asked for
    pub short: Option<Share>,
}

/// Of fsync and its like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sync {
    /// of each, once all before it is done
    pub latency: Option<Latency>,
    /// some fail
    pub error: Option<Chance>,
}

/// How long something takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Latency {
    /// always the same
    Constant(Duration),
    /// anything between two
    Uniform(Duration, Duration),
    /// its logarithm is distributed normally: half of all take longer than the median, and the
    /// standard deviation of the logarithm is so many thousandths
    Lognormal(Duration, u32),
    /// as was recorded in a HdrHistogram log of this name
    Replay(String),
}

/// A share of all cases, in billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub(super) u32);

impl Share {
    /// All of them, in billionths.
    pub const WHOLE: u32 = 1_000_000_000;

    /// In billionths.
    pub fn billionths(self) -> u32 {
        self.0
    }
}

/// Failures by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    /// with what
    pub errno: i32,
    /// how many of all
    pub share: Share,
}

/// A place that can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    /// with what it fails
    pub errno: i32,
    /// where it is in each file, in bytes
    pub offset: u64,
}

/// Where a cache ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cliff {
    /// from then on, in bytes a second
    pub bandwidth: u64,
    /// how many bytes have been written by then
    pub after: u64,
}

/// It stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// each time
    pub length: Duration,
    /// from the beginning of one to that of the next
    pub every: Duration,
    /// that is a mean, and they come as they like
    pub is_random: bool,
}

/// The errors that a device can be told to have: those that the kernel brings for data.
pub(super) const ERRORS: [(&str, i32); 17] = [
    ("EIO", libc::EIO),
    ("ENOSPC", libc::ENOSPC),
    ("EDQUOT", libc::EDQUOT),
    ("EFBIG", libc::EFBIG),
    ("EROFS", libc::EROFS),
    ("EPERM", libc::EPERM),
    ("EACCES", libc::EACCES),
    ("ENOMEM", libc::ENOMEM),
    ("ENODATA", libc::ENODATA),
    ("EREMOTEIO", libc::EREMOTEIO),
    ("EILSEQ", libc::EILSEQ),
    ("ETIMEDOUT", libc::ETIMEDOUT),
    ("ENOLINK", libc::ENOLINK),
    ("EBADMSG", libc::EBADMSG),
    ("ENXIO", libc::ENXIO),
    ("ENODEV", libc::ENODEV),
    ("ESTALE", libc::ESTALE),
];

impl Spec {
    /// This one, and where it says nothing the other.
    pub fn over(self, other: Spec) -> Spec {
        let way = |this: Way, other: Way| Way {
            bandwidth: this.bandwidth.or(other.bandwidth),
            iops: this.iops.or(other.iops),
            latency: this.latency.or(other.latency),
            error: this.error.or(other.error),
            bad: this.bad.or(other.bad),
            short: this.short.or(other.short),
        };
        Spec {
            read: way(self.read, other.read),
            write: way(self.write, other.write),
            sync: Sync {
                latency: self.sync.latency.or(other.sync.latency),
                error: self.sync.error.or(other.sync.error),
            },
            cliff: self.cliff.or(other.cliff),
            stall: self.stall.or(other.stall),
            full: self.full.or(other.full),
            seed: self.seed.or(other.seed),
        }
    }

    /// The logs that it replays, each once.
    pub fn replayed(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for latency in [&self.read.latency, &self.write.latency, &self.sync.latency] {
            if let Some(Latency::Replay(name)) = latency
                && !names.contains(&name.as_str())
            {
                names.push(name.as_str());
            }
        }
        names
    }
}

// ---- as it is written ----

impl fmt::Display for Spec {
    /// As it can be read again.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spec { read, write, sync, cliff, stall, full, seed } = self;
        let mut parts = Vec::new();
        both(&mut parts, "bandwidth", read.bandwidth.map(rate), write.bandwidth.map(rate));
        parts.extend(cliff.map(|cliff| format!("cliff={}@{}", rate(cliff.bandwidth), size(cliff.after))));
        both(&mut parts, "iops", read.iops, write.iops);
        both(&mut parts, "latency", read.latency.as_ref(), write.latency.as_ref());
        parts.extend(sync.latency.as_ref().map(|latency| format!("sync-latency={latency}")));
        parts.extend(stall.map(|stall| {
            let sign = if stall.is_random { '~' } else { '@' };
            format!("stall={}{sign}{}", duration(stall.length), duration(stall.every))
        }));
        both(&mut parts, "error", read.error, write.error);
        both(&mut parts, "error", read.bad, write.bad);
        parts.extend(sync.error.map(|error| format!("sync-error={error}")));
        parts.extend(full.map(|full| format!("full={}", size(full))));
        both(&mut parts, "short", read.short, write.short);
        parts.extend(seed.map(|seed| format!("seed={seed}")));
        out.write_str(&parts.join(","))
    }
}

/// One part where both ways are alike, else one for each.
fn both<T: fmt::Display + PartialEq>(parts: &mut Vec<String>, key: &str, read: Option<T>, write: Option<T>) {
    match (read, write) {
        (Some(read), Some(write)) if read == write => parts.push(format!("{key}={read}")),
        (read, write) => {
            parts.extend(read.map(|value| format!("read-{key}={value}")));
            parts.extend(write.map(|value| format!("write-{key}={value}")));
        }
    }
}

fn size(bytes: u64) -> String {
    let units = ["", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = if bytes == 0 { 0 } else { bytes.trailing_zeros() / 10 };
    format!("{}{}", bytes >> (10 * power), units[power as usize])
}

fn rate(bytes_per_s: u64) -> String {
    format!("{}/s", size(bytes_per_s))
}

fn duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn error_name(errno: i32) -> &'static str {
    let known = ERRORS.iter().find(|(_, known)| *known == errno);
    known.expect("a SPEC has no other errors").0
}

impl fmt::Display for Latency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Latency::Constant(constant) => write!(out, "{}", duration(*constant)),
            Latency::Uniform(from, to) => write!(out, "uniform:{}:{}", duration(*from), duration(*to)),
            Latency::Lognormal(median, sigma) => {
                write!(out, "lognormal:{}:{}", duration(*median), decimal((*sigma).into(), 3))
            }
            Latency::Replay(name) => write!(out, "replay:{name}"),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}%", decimal(self.0.into(), 7))
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", error_name(self.errno), self.share)
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{}", error_name(self.errno), size(self.offset))
    }
}

/// A number of which the last `places` digits are behind the point.
fn decimal(number: u64, places: u32) -> String {
    let whole = 10u64.pow(places);
    let text = format!("{}.{:0width$}", number / whole, number % whole, width = places as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
