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
//!
//! Parts and how they go together are read here, their values in `text`; `fault` has what may be wrong.

use super::spec::{Bad, Chance, Cliff, Latency, Share, Spec, Stall, Way};
use crate::units::{parse_rate, parse_size};

mod fault;
mod text;

pub use fault::{Fault, SpecError};
use text::Text;

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
