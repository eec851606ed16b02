//! Reads a command line the way getopt_long(3) does, with its messages: options and operands in any
//! order, names and words abbreviated, every option in the order in which it was typed.
//!
//! clap has neither these rules nor these messages, and without them cp is another command. So the
//! definition of the options stays clap's (help, completions and manual pages come from there), and
//! this reads by it. It knows names, values and words, and not what any of them means.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, Command};

use crate::argmatch::argmatch;
use crate::program::Usage;

/// A command line as typed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// in the order typed; one of those that end it is the last
    pub options: Vec<Typed>,
    /// the rest
    pub operands: Vec<OsString>,
}

/// An option as typed: its whole name, or its letter where it has no name, and its value with every
/// word whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    pub name: String,
    pub value: Option<OsString>,
}

/// How lines are read.
pub struct Reader<'a> {
    /// of all options
    pub definition: &'a Command,
    /// names and words that must be typed in full, have no short form and are not proposed
    pub reserved: &'a dyn Fn(&Arg, Option<&str>) -> bool,
    /// the first operand ends the options (POSIXLY_CORRECT)
    pub operands_last: bool,
    /// an option that ends the line: what follows is not looked at
    pub ends: &'a [&'a str],
}

/// Whether an option has a value.
#[derive(PartialEq, Eq)]
enum Takes {
    Nothing,
    Optional,
    Value,
}

impl Reader<'_> {
    /// Reads `args`, the program's name not among them.
    pub fn read(&self, args: impl IntoIterator<Item = OsString>) -> Result<Line, Usage> {
        let mut line = Line::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_bytes() {
                b"--" => break,
                [b'-', b'-', name @ ..] => self.long(name, &mut args, &mut line)?,
                [b'-', cluster @ ..] if !cluster.is_empty() => self.short(cluster, &mut args, &mut line)?,
                _ => {
                    line.operands.push(arg);
                    if self.operands_last {
                        break;
                    }
                }
            }
            if line.options.last().is_some_and(|typed| self.ends.contains(&typed.name.as_str())) {
                return Ok(line);
            }
        }
        line.operands.extend(args);
        Ok(line)
    }

    /// `name` or `name=value`
    fn long(
        &self,
        typed: &[u8],
        args: &mut impl Iterator<Item = OsString>,
        line: &mut Line,
    ) -> Result<(), Usage> {
        let (name, value) = match typed.iter().position(|&byte| byte == b'=') {
            Some(at) => (&typed[..at], Some(OsStr::from_bytes(&typed[at + 1..]))),
            None => (typed, None),
        };
        let (name, arg) = self.named(name, typed)?;
        let value = match (takes(arg), value) {
            (Takes::Nothing, Some(_)) => {
                return Err(Usage::new(format!("option '--{name}' doesn't allow an argument")));
            }
            (Takes::Value, None) => match args.next() {
                Some(value) => Some(value),
                None => return Err(Usage::new(format!("option '--{name}' requires an argument"))),
            },
            (_, value) => value.map(OsStr::to_owned),
        };
        self.push(arg, value, line)
    }

    /// The option called `name`, or the only one whose name begins so.
    fn named(&self, name: &[u8], typed: &[u8]) -> Result<(&str, &Arg), Usage> {
        let names = || {
            self.definition.get_arguments().flat_map(|arg| {
                let aliases = arg.get_all_aliases().unwrap_or_default();
                arg.get_long().into_iter().chain(aliases).map(move |name| (name, arg))
            })
        };
        if let Some(found) = names().find(|(whole, _)| whole.as_bytes() == name) {
            return Ok(found);
        }
        let begun: Vec<_> = names()
            .filter(|(whole, arg)| whole.as_bytes().starts_with(name) && !(self.reserved)(arg, None))
            .collect();
        let typed = String::from_utf8_lossy(typed);
        let Some(&(first, arg)) = begun.first() else {
            return Err(Usage::new(format!("unrecognized option '--{typed}'")));
        };
        let others: Vec<_> = begun.iter().filter(|(_, other)| other.get_id() != arg.get_id()).collect();
        if others.is_empty() {
            return Ok((first, arg));
        }
        let others: String = others.iter().map(|(name, _)| format!(" '--{name}'")).collect();
        Err(Usage::new(format!("option '--{typed}' is ambiguous; possibilities: '--{first}'{others}")))
    }

    /// `abc`, or `tvalue`
    fn short(
        &self,
        cluster: &[u8],
        args: &mut impl Iterator<Item = OsString>,
        line: &mut Line,
    ) -> Result<(), Usage> {
        for (at, byte) in cluster.iter().enumerate() {
            let is_it = |arg: &&Arg| {
                let letters = arg.get_short_and_visible_aliases().unwrap_or_default();
                letters.contains(&char::from(*byte)) && !(self.reserved)(arg, None)
            };
            let letter = String::from_utf8_lossy(&cluster[at..=at]);
            let Some(arg) = self.definition.get_arguments().find(is_it) else {
                return Err(Usage::new(format!("invalid option -- '{letter}'")));
            };
            if takes(arg) == Takes::Nothing {
                self.push(arg, None, line)?;
                continue;
            }
            let rest = &cluster[at + 1..];
            let value = match rest.is_empty() {
                false => Some(OsString::from_vec(rest.to_vec())),
                true if takes(arg) == Takes::Optional => None,
                true => match args.next() {
                    Some(value) => Some(value),
                    None => return Err(Usage::new(format!("option requires an argument -- '{letter}'"))),
                },
            };
            return self.push(arg, value, line);
        }
        Ok(())
    }

    fn push(&self, arg: &Arg, value: Option<OsString>, line: &mut Line) -> Result<(), Usage> {
        let value = value.map(|value| self.whole_words(arg, value)).transpose()?;
        let name = arg.get_long().unwrap_or(arg.get_id().as_str()).to_owned();
        line.options.push(Typed { name, value });
        Ok(())
    }

    /// `value` with every word that the definition knows in full.
    fn whole_words(&self, arg: &Arg, value: OsString) -> Result<OsString, Usage> {
        let known = arg.get_possible_values();
        if known.is_empty() {
            return Ok(value);
        }
        let name = arg.get_long().unwrap_or_default();
        let one = |typed: &[u8]| {
            let typed = OsStr::from_bytes(typed);
            if known.iter().any(|word| word.get_name() == typed) {
                return Ok(typed.to_owned());
            }
            let groups: Vec<Vec<&str>> = known
                .iter()
                .filter(|word| !(self.reserved)(arg, Some(word.get_name())))
                .map(|word| word.get_name_and_aliases().collect())
                .collect();
            argmatch(&format!("--{name}"), typed, &groups).map(OsString::from)
        };
        let Some(delimiter) = arg.get_value_delimiter() else {
            return one(value.as_bytes());
        };
        let words = value.as_bytes().split(|&byte| char::from(byte) == delimiter).map(one);
        let words = words.collect::<Result<Vec<_>, _>>()?;
        Ok(words.join(OsStr::new(delimiter.encode_utf8(&mut [0; 4]))))
    }
}

fn takes(arg: &Arg) -> Takes {
    match arg.get_action().takes_values() {
        false => Takes::Nothing,
        true if arg.get_num_args().is_some_and(|count| count.min_values() == 0) => Takes::Optional,
        true => Takes::Value,
    }
}

#[cfg(test)]
mod tests;
