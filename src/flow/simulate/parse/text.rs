//! Values as they are written: read character by character, so that what is wrong has its place.

use std::time::Duration;

use super::super::spec::{Bad, Chance, Cliff, ERRORS, Latency, Share, Stall};
use super::{Fault, SpecError, Value};
use crate::units::{UnitError, parse_duration, parse_rate, parse_size};

/// No latency is longer.
const LONGEST_LATENCY: Duration = Duration::from_secs(3600);
/// Nor any stall, or the time between two.
const LONGEST_STALL: Duration = Duration::from_secs(86_400);
/// Stalls don't follow each other faster.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
/// Of the logarithm's deviation, in thousandths.
const MOST_SIGMA: u32 = 5_000;

/// Some of a SPEC, and the character at which it begins.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    pub at: usize,
    pub text: &'a str,
}

impl<'a> Text<'a> {
    pub fn fault<T>(self, fault: Fault) -> Result<T, SpecError> {
        Err(SpecError { at: self.at, fault })
    }

    /// What is left behind the first `bytes`.
    pub fn behind(self, bytes: usize) -> Text<'a> {
        Text { at: self.at + self.text[..bytes].chars().count(), text: &self.text[bytes..] }
    }

    /// What is before one of these characters, the character, and what is behind it.
    pub fn split(self, at: &[char]) -> Option<(Text<'a>, char, Text<'a>)> {
        let (byte, sign) = self.text.char_indices().find(|(_, sign)| at.contains(sign))?;
        Some((Text { text: &self.text[..byte], ..self }, sign, self.behind(byte + sign.len_utf8())))
    }

    /// Read as what belongs to a number.
    pub fn unit<T>(self, read: fn(&str) -> Result<T, UnitError>) -> Result<T, SpecError> {
        read(self.text).map_err(|error| {
            let error = error.behind(self.at - 1);
            SpecError { at: error.at(), fault: Fault::Unit(error) }
        })
    }

    pub fn not_0<T: Default + PartialEq>(
        self,
        read: fn(&str) -> Result<T, UnitError>,
    ) -> Result<T, SpecError> {
        let value = self.unit(read)?;
        if value == T::default() { self.fault(Fault::Zero) } else { Ok(value) }
    }

    fn time(self, longest: Duration) -> Result<Duration, SpecError> {
        let time = self.unit(parse_duration)?;
        if time > longest { self.fault(Fault::TooLong(longest)) } else { Ok(time) }
    }

    pub fn whole(self) -> Result<u64, SpecError> {
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

    pub fn share(self) -> Result<Share, SpecError> {
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

    pub fn latency(self) -> Result<Latency, SpecError> {
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

    pub fn error(self, may_be_at: bool) -> Result<Value, SpecError> {
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

    pub fn stall(self) -> Result<Stall, SpecError> {
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

    pub fn cliff(self) -> Result<Cliff, SpecError> {
        let Some((bandwidth, _, after)) = self.split(&['@']) else {
            self.unit(parse_rate)?;
            return self.behind(self.text.len()).fault(Fault::Missing("an @ and a size"));
        };
        Ok(Cliff { bandwidth: bandwidth.not_0(parse_rate)?, after: after.unit(parse_size)? })
    }
}
