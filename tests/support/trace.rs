//! The system calls of a run, as strace(1) saw them: the order in which a copy does what lasts.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::command::BINARY;
use super::{Highwater, Outcome, Scratch};

/// One call that succeeded.
#[derive(Clone, Debug)]
pub struct Call {
    /// which thread made it
    pub thread: u32,
    pub name: String,
    /// as strace shows them: descriptors with their paths behind them
    pub arguments: String,
    /// places in the order of all beginnings and ends
    pub began: usize,
    pub ended: usize,
}

impl Call {
    /// The path of its first descriptor.
    pub fn path(&self) -> &str {
        let from = self.arguments.find('<').map_or(0, |at| at + 1);
        let to = self.arguments.find(['>', '(']).unwrap_or(self.arguments.len());
        &self.arguments[from..to.max(from)]
    }

    /// The number of its first descriptor.
    pub fn descriptor(&self) -> &str {
        self.arguments.split('<').next().unwrap()
    }

    /// Its last argument that is a name.
    pub fn last_name(&self) -> &str {
        self.arguments.rsplit('"').nth(1).unwrap_or_default()
    }
}

/// Runs `highwater copy` under strace, which shows these calls; all that succeeded, in the order in
/// which they ended.
pub fn traced(calls: &str, args: impl FnOnce(Highwater) -> Highwater) -> (Outcome, Vec<Call>) {
    traced_by(&[BINARY, "copy"], calls, args)
}

/// The same of another command line that ends with ours.
pub fn traced_by(
    command: &[&str],
    calls: &str,
    args: impl FnOnce(Highwater) -> Highwater,
) -> (Outcome, Vec<Call>) {
    let dir = Scratch::new();
    let log = dir.path("trace");
    let strace =
        Highwater::binary("strace").args(["-f", "-y", "-s", "300", "-e"]).arg(format!("trace={calls}"));
    let outcome = args(strace.arg("-o").arg(&log).args(command)).run();
    (outcome, read(&log))
}

fn read(log: &Path) -> Vec<Call> {
    let mut begun: HashMap<u32, (usize, String)> = HashMap::new();
    let mut calls = vec![];
    for (place, line) in fs::read_to_string(log).unwrap().lines().enumerate() {
        let Some((thread, what)) = line.split_once(' ') else { continue };
        let (thread, what) = (thread.parse().unwrap(), what.trim());
        if let Some(beginning) = what.strip_suffix("<unfinished ...>") {
            begun.insert(thread, (place, beginning.to_owned()));
            continue;
        }
        let (began, whole) = match what.strip_prefix("<... ").and_then(|rest| rest.split_once("resumed>")) {
            Some((_, end)) => {
                let (began, beginning) = begun.remove(&thread).unwrap();
                (began, beginning + end)
            }
            None => (place, what.to_owned()),
        };
        let Some((call, result)) = whole.rsplit_once(" = ") else { continue };
        let Some((name, arguments)) = call.split_once('(') else { continue };
        if !result.starts_with('-') {
            let arguments = arguments.trim().trim_end_matches(')').to_owned();
            calls.push(Call { thread, name: name.to_owned(), arguments, began, ended: place });
        }
    }
    calls
}
