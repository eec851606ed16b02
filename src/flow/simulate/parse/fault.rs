//! What may be wrong with a SPEC, and how that is told.

use std::fmt;
use std::time::Duration;

use crate::units::UnitError;

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
