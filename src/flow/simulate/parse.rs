//! SPEC: how a simulated device is described in one line.
//!
//! ```text
//! SPEC  = PART { "," PART }
//! PART  = [ "read-" | "write-" ] ( "bandwidth=" RATE | "iops=" N | "latency=" TIMES
//!                                | "error=" FAULT | "short=" SHARE )
//!       | "sync-latency=" TIMES | "sync-error=" ERRNO ":" SHARE
//!       | "cliff=" RATE "@" SIZE | "stall=" TIME ( "@" | "~" ) TIME | "full=" SIZE | "seed=" N
//! TIMES = TIME | "uniform:" TIME ":" TIME | "lognormal:" TIME ":" SIGMA | "replay:" FILE
//! FAULT = ERRNO ( ":" SHARE | "@" SIZE )
//! ```
//!
//! Without a direction a part holds for reads and writes; one with a direction comes before it. SHARE
//! is in percent. No name in it has a comma.

use std::fmt;
use std::time::Duration;

use super::spec::{Bad, Chance, Cliff, ERRORS, Latency, Share, Spec, Stall, Way};
use crate::units::{UnitError, parse_duration, parse_rate, parse_size};

/// Why a SPEC can't be meant, and where that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// the character where reading stopped, counted from 1
    pub at: usize,
    /// why
    pub fault: Fault,
}

/// What is wrong with a SPEC.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// nothing stands where a part belongs
    NoPart,
    /// there is no such part
    UnknownPart(String),
    /// a part without a value
    NoValue(String),
    /// a size, rate or time that is none
    Unit(UnitError),
    /// it is missing
    Missing(&'static str),
    /// there is no such distribution
    UnknownDistribution(String),
    /// there is no such error, or none that a device has
    UnknownError(String),
    /// nothing would ever be done
    Zero,
    /// more than all, in percent
    MoreThanAll,
    /// a number that is too large, and the most it may be
    TooLarge(u64),
    /// a time that is too long
    TooLong(Duration),
    /// a time that is too short
    TooShort(Duration),
    /// it was there before
    Again(String),
    /// nothing is left for it to hold for
    Overruled(&'static str),
    /// the least is more than the most
    Backwards,
    /// it would never end
    NoEnd,
    /// writes would not become slower
    NoCliff,
    /// nothing gets there, as all is full before
    BeyondFull,
}

impl fmt::Display for SpecError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        let time = |time: &Duration| humantime::format_duration(*time).to_string();
        match &self.fault {
            Fault::Unit(unit) => return write!(out, "{unit}"),
            Fault::NoPart => write!(out, "a part is missing"),
            Fault::UnknownPart(part) => write!(out, "unknown part '{part}'"),
            Fault::NoValue(part) => write!(out, "'{part}' has no value"),
            Fault::Missing(what) => write!(out, "{what} is missing"),
            Fault::UnknownDistribution(word) => {
                write!(out, "unknown distribution '{word}' (there are uniform, lognormal and replay)")
            }
            Fault::UnknownError(name) => write!(out, "unknown error '{name}'"),
            Fault::Zero => write!(out, "more than 0 is needed"),
            Fault::MoreThanAll => write!(out, "more than 100%"),
            Fault::TooLarge(most) => write!(out, "more than {most}"),
            Fault::TooLong(most) => write!(out, "longer than {}", time(most)),
            Fault::TooShort(least) => write!(out, "shorter than {}", time(least)),
            Fault::Again(part) => write!(out, "'{part}' is there already"),
            Fault::Overruled(name) => {
                write!(out, "'{name}' holds for nothing beside 'read-{name}' and 'write-{name}'")
            }
            Fault::Backwards => write!(out, "the most is less than the least"),
            Fault::NoEnd => write!(out, "a stall that lasts until the next one"),
            Fault::NoCliff => write!(out, "a cliff up: 'cliff' is no slower than writes are before"),
            Fault::BeyondFull => write!(out, "an error behind 'full', where nothing gets"),
        }?;
        write!(out, " at character {at}")
    }
}

impl std::error::Error for SpecError {}

/// No latency is longer.
const LONGEST_LATENCY: Duration = Duration::from_secs(3600);
/// Nor any stall, or the time between two.
const LONGEST_STALL: Duration = Duration::from_secs(86_400);
/// Stalls don't follow each other faster.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
/// Of the logarithm's deviation, in thousandths.
const MOST_SIGMA: u32 = 5_000;

/// Which operations a part holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Both,
    Reads,
    Writes,
    Syncs,
}

enum Value {
    Bandwidth(u64),
    Iops(u64),
    Latency(Latency),
    Error(Chance),
    Bad(Bad),
    Short(Share),
    Cliff(Cliff),
    Stall(Stall),
    Full(u64),
    Seed(u64),
}

struct Part {
    at: usize,
    holds_for: For,
    name: &'static str,
    value: Value,
}

/// Some of a SPEC, and the character at which it begins.
#[derive(Clone, Copy)]
struct Text<'a> {
    at: usize,
    text: &'a str,
}

impl<'a> Text<'a> {
    fn fault<T>(self, fault: Fault) -> Result<T, SpecError> {
        Err(SpecError { at: self.at, fault })
    }

    /// What is left behind the first `bytes`.
    fn behind(self, bytes: usize) -> Text<'a> {
        Text { at: self.at + self.text[..bytes].chars().count(), text: &self.text[bytes..] }
    }

    /// What is before one of these characters, the character, and what is behind it.
    fn split(self, at: &[char]) -> Option<(Text<'a>, char, Text<'a>)> {
        let (byte, sign) = self.text.char_indices().find(|(_, sign)| at.contains(sign))?;
        Some((Text { text: &self.text[..byte], ..self }, sign, self.behind(byte + sign.len_utf8())))
    }

    /// Read as what belongs to a number.
    fn unit<T>(self, read: fn(&str) -> Result<T, UnitError>) -> Result<T, SpecError> {
        read(self.text).map_err(|error| {
            let error = error.behind(self.at - 1);
            SpecError { at: error.at(), fault: Fault::Unit(error) }
        })
    }

    fn not_0<T: Default + PartialEq>(self, read: fn(&str) -> Result<T, UnitError>) -> Result<T, SpecError> {
        let value = self.unit(read)?;
        if value == T::default() { self.fault(Fault::Zero) } else { Ok(value) }
    }

    fn time(self, longest: Duration) -> Result<Duration, SpecError> {
        let time = self.unit(parse_duration)?;
        if time > longest { self.fault(Fault::TooLong(longest)) } else { Ok(time) }
    }

    fn whole(self) -> Result<u64, SpecError> {
        let digits = self.text.len() - self.text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 || digits < self.text.len() {
            return self.behind(digits).fault(Fault::Missing(if digits == 0 {
                "a digit"
            } else {
                "a comma"
            }));
        }
        self.text.parse().or_else(|_| self.fault(Fault::TooLarge(u64::MAX)))
    }

    /// A number with at most `places` digits behind the point that count, in units of the last; and what
    /// is left.
    fn decimal(self, places: usize) -> Result<(u64, Text<'a>), SpecError> {
        let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let whole = digits(self.text);
        if whole == 0 {
            return self.fault(Fault::Missing("a digit"));
        }
        let mut rest = self.behind(whole);
        let mut fraction = "";
        if rest.text.starts_with('.') {
            rest = rest.behind(1);
            let behind = digits(rest.text);
            if behind == 0 {
                return rest.fault(Fault::Missing("a digit"));
            }
            fraction = &rest.text[..behind.min(places)];
            rest = rest.behind(behind);
        }
        let unit = 10u64.pow(places as u32);
        let part = fraction.parse::<u64>().unwrap_or(0) * 10u64.pow((places - fraction.len()) as u32);
        let number =
            self.text[..whole].parse::<u64>().ok().and_then(|n| n.checked_mul(unit)?.checked_add(part));
        match number {
            Some(number) => Ok((number, rest)),
            None => self.fault(Fault::TooLarge(u64::MAX / unit)),
        }
    }

    fn share(self) -> Result<Share, SpecError> {
        let (billionths, rest) = self.decimal(7)?;
        if billionths > Share::WHOLE.into() {
            return self.fault(Fault::MoreThanAll);
        }
        match rest.text {
            "%" => Ok(Share(billionths as u32)),
            text if text.starts_with('%') => rest.behind(1).fault(Fault::Missing("a comma")),
            _ => rest.fault(Fault::Missing("a percent sign")),
        }
    }

    fn latency(self) -> Result<Latency, SpecError> {
        let Some((word, _, values)) = self.split(&[':']) else {
            return self.time(LONGEST_LATENCY).map(Latency::Constant);
        };
        let two = |missing| match values.split(&[':']) {
            Some((one, _, other)) => Ok((one, other)),
            None => values.behind(values.text.len()).fault(Fault::Missing(missing)),
        };
        match word.text {
            "uniform" => {
                let (from, to) = two("a colon and the most")?;
                let (least, most) = (from.time(LONGEST_LATENCY)?, to.time(LONGEST_LATENCY)?);
                if least > most { to.fault(Fault::Backwards) } else { Ok(Latency::Uniform(least, most)) }
            }
            "lognormal" => {
                let (median, sigma) = two("a colon and the deviation")?;
                let median = median.time(LONGEST_LATENCY)?;
                let (thousandths, rest) = sigma.decimal(3)?;
                if !rest.text.is_empty() {
                    return rest.fault(Fault::Missing("a comma"));
                }
                match u32::try_from(thousandths) {
                    Ok(thousandths @ 0..=MOST_SIGMA) => Ok(Latency::Lognormal(median, thousandths)),
                    _ => sigma.fault(Fault::TooLarge(u64::from(MOST_SIGMA) / 1000)),
                }
            }
            "replay" if values.text.is_empty() => values.fault(Fault::Missing("the name of a log")),
            "replay" => Ok(Latency::Replay(values.text.to_owned())),
            _ => word.fault(Fault::UnknownDistribution(word.text.to_owned())),
        }
    }

    fn errno(self) -> Result<i32, SpecError> {
        match ERRORS.iter().find(|(name, _)| *name == self.text) {
            Some((_, errno)) => Ok(*errno),
            None if self.text.is_empty() => self.fault(Fault::Missing("the name of an error")),
            None => self.fault(Fault::UnknownError(self.text.to_owned())),
        }
    }

    fn error(self, may_be_at: bool) -> Result<Value, SpecError> {
        let signs = if may_be_at { &[':', '@'][..] } else { &[':'] };
        match self.split(signs) {
            Some((name, ':', share)) => {
                let (errno, share) = (name.errno()?, share.share()?);
                Ok(Value::Error(Chance { errno, share }))
            }
            Some((name, _, offset)) => {
                let (errno, offset) = (name.errno()?, offset.unit(parse_size)?);
                Ok(Value::Bad(Bad { errno, offset }))
            }
            None => {
                self.errno()?;
                self.behind(self.text.len()).fault(Fault::Missing(match may_be_at {
                    true => "a colon and a share, or an @ and an offset,",
                    false => "a colon and a share",
                }))
            }
        }
    }

    fn stall(self) -> Result<Stall, SpecError> {
        let Some((length, sign, every)) = self.split(&['@', '~']) else {
            self.unit(parse_duration)?;
            return self.behind(self.text.len()).fault(Fault::Missing("an @ or a ~ and how often"));
        };
        let stall = Stall {
            length: length.time(LONGEST_STALL)?,
            every: every.time(LONGEST_STALL)?,
            is_random: sign == '~',
        };
        match stall {
            Stall { length: Duration::ZERO, .. } => length.fault(Fault::Zero),
            Stall { every: time, .. } if time < SHORTEST_PERIOD => {
                every.fault(Fault::TooShort(SHORTEST_PERIOD))
            }
            Stall { length, every: time, .. } if length >= time => every.fault(Fault::NoEnd),
            stall => Ok(stall),
        }
    }

    fn cliff(self) -> Result<Cliff, SpecError> {
        let Some((bandwidth, _, after)) = self.split(&['@']) else {
            self.unit(parse_rate)?;
            return self.behind(self.text.len()).fault(Fault::Missing("an @ and a size"));
        };
        Ok(Cliff { bandwidth: bandwidth.not_0(parse_rate)?, after: after.unit(parse_size)? })
    }
}

fn part(text: Text<'_>) -> Result<Part, SpecError> {
    if text.text.is_empty() {
        return text.fault(Fault::NoPart);
    }
    let (key, value) = match text.split(&['=']) {
        Some((key, _, value)) => (key, value),
        None => (text, text.behind(text.text.len())),
    };
    let (holds_for, name) = match key.text.split_once('-') {
        Some(("read", name)) => (For::Reads, name),
        Some(("write", name)) => (For::Writes, name),
        Some(("sync", name)) => (For::Syncs, name),
        _ => (For::Both, key.text),
    };
    let names = ["bandwidth", "iops", "latency", "error", "short", "cliff", "stall", "full", "seed"];
    let name = names.into_iter().find(|known| match holds_for {
        _ if *known != name => false,
        For::Both => true,
        For::Reads | For::Writes => matches!(name, "bandwidth" | "iops" | "latency" | "error" | "short"),
        For::Syncs => matches!(name, "latency" | "error"),
    });
    let Some(name) = name else { return key.fault(Fault::UnknownPart(key.text.to_owned())) };
    if value.text.is_empty() {
        return value.fault(Fault::NoValue(key.text.to_owned()));
    }
    let value = match name {
        "bandwidth" => Value::Bandwidth(value.not_0(parse_rate)?),
        "iops" => match value.whole()? {
            0 => return value.fault(Fault::Zero),
            iops => Value::Iops(iops),
        },
        "latency" => Value::Latency(value.latency()?),
        "error" => value.error(holds_for != For::Syncs)?,
        "short" => Value::Short(value.share()?),
        "cliff" => Value::Cliff(value.cliff()?),
        "stall" => Value::Stall(value.stall()?),
        "full" => Value::Full(value.unit(parse_size)?),
        _ => Value::Seed(value.whole()?),
    };
    Ok(Part { at: text.at, holds_for, name, value })
}

impl Spec {
    /// Reads it.
    ///
    /// # Errors
    /// The first fault, and where it is.
    pub fn parse(text: &str) -> Result<Spec, SpecError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = Some(Text { at: 1, text });
        while let Some(text) = rest {
            let (this, behind) = match text.split(&[',']) {
                Some((this, _, behind)) => (this, Some(behind)),
                None => (text, None),
            };
            let part = part(this)?;
            let is_same = |other: &Part| {
                (other.holds_for, other.name) == (part.holds_for, part.name)
                    && matches!(other.value, Value::Bad(_)) == matches!(part.value, Value::Bad(_))
            };
            if parts.iter().any(is_same) {
                let key = this.text.split('=').next().unwrap_or_default().to_owned();
                return this.fault(Fault::Again(key));
            }
            parts.push(part);
            rest = behind;
        }
        check(&parts)?;
        // What names a direction comes after what doesn't.
        parts.sort_by_key(|part| part.holds_for != For::Both);
        let mut spec = Spec::default();
        parts.into_iter().for_each(|part| spec.take(part));
        Ok(spec)
    }

    fn take(&mut self, Part { holds_for, value, .. }: Part) {
        if holds_for == For::Syncs {
            match value {
                Value::Latency(latency) => self.sync.latency = Some(latency),
                Value::Error(error) => self.sync.error = Some(error),
                _ => unreachable!("syncs have a latency and errors"),
            }
            return;
        }
        let mut ways: Vec<&mut Way> = match holds_for {
            For::Reads => vec![&mut self.read],
            For::Writes => vec![&mut self.write],
            For::Both | For::Syncs => vec![&mut self.read, &mut self.write],
        };
        let ways = ways.iter_mut();
        match value {
            Value::Bandwidth(bandwidth) => ways.for_each(|way| way.bandwidth = Some(bandwidth)),
            Value::Iops(iops) => ways.for_each(|way| way.iops = Some(iops)),
            Value::Latency(latency) => ways.for_each(|way| way.latency = Some(latency.clone())),
            Value::Error(error) => ways.for_each(|way| way.error = Some(error)),
            Value::Bad(bad) => ways.for_each(|way| way.bad = Some(bad)),
            Value::Short(short) => ways.for_each(|way| way.short = Some(short)),
            Value::Cliff(cliff) => self.cliff = Some(cliff),
            Value::Stall(stall) => self.stall = Some(stall),
            Value::Full(full) => self.full = Some(full),
            Value::Seed(seed) => self.seed = Some(seed),
        }
    }
}

/// Parts that are right each by itself must agree.
fn check(parts: &[Part]) -> Result<(), SpecError> {
    let fault = |part: &Part, fault| Err(SpecError { at: part.at, fault });
    let of = |holds_for: For, name: &str, is_bad: bool| {
        parts.iter().find(|part| {
            (part.holds_for, part.name) == (holds_for, name) && matches!(part.value, Value::Bad(_)) == is_bad
        })
    };
    for part in parts.iter().filter(|part| part.holds_for == For::Both) {
        let is_bad = matches!(part.value, Value::Bad(_));
        if of(For::Reads, part.name, is_bad).is_some() && of(For::Writes, part.name, is_bad).is_some() {
            return fault(part, Fault::Overruled(part.name));
        }
    }
    let for_writes = |name, is_bad| of(For::Writes, name, is_bad).or_else(|| of(For::Both, name, is_bad));
    if let (Some(part), Some(Part { value: Value::Bandwidth(bandwidth), .. })) =
        (of(For::Both, "cliff", false), for_writes("bandwidth", false))
        && matches!(part.value, Value::Cliff(cliff) if cliff.bandwidth >= *bandwidth)
    {
        return fault(part, Fault::NoCliff);
    }
    if let (Some(part), Some(Part { value: Value::Full(full), .. })) =
        (for_writes("error", true), of(For::Both, "full", false))
        && matches!(part.value, Value::Bad(bad) if bad.offset >= *full)
    {
        return fault(part, Fault::BeyondFull);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
