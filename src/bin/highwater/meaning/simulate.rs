//! What `--simulate` and `--profile` mean: SPEC, and the logs that it replays.

use std::fs::File;
use std::path::Path;

use highwater::error::{errno_of, strerror};
use highwater::flow::simulate::{Device, Profile, Replay, Spec, SpecError};
use highwater::latency::Kind;
use highwater::report::{HlogError, read_hlog};

use crate::args::Simulated;
use crate::quote::quote;

/// The device that is to stand before the target, or why that can't be meant.
pub fn device(typed: &Simulated) -> Result<Option<Device>, String> {
    let read = |text: &String| Spec::parse(text).map_err(|error| refusal(text, &error));
    let spec = typed.simulate.as_ref().map(read).transpose()?;
    let profile = typed.profile.as_deref().and_then(Profile::named).map(|profile| profile.spec());
    let spec = match (spec, profile) {
        (Some(spec), Some(profile)) => spec.over(profile),
        (Some(spec), None) | (None, Some(spec)) => spec,
        (None, None) => return Ok(None),
    };
    let mut failed = None;
    let device = Device::new(spec, |name, kind| {
        replay(name, kind).unwrap_or_else(|message| {
            failed.get_or_insert(message);
            Replay::default()
        })
    });
    match failed {
        None => Ok(Some(device)),
        Some(message) => Err(message),
    }
}

/// What is wrong, and below the text a caret where.
fn refusal(text: &str, error: &SpecError) -> String {
    let shown: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    format!("--simulate: {error}\n  {shown}\n  {:>1$}", '^', error.at)
}

fn replay(name: &str, kind: Kind) -> Result<Replay, String> {
    let path = Path::new(name);
    let told = |why: String| format!("--simulate: cannot replay {}: {why}", quote(path));
    let file = File::open(path).map_err(|error| told(strerror(errno_of(&error))))?;
    read_hlog(file, kind).map_err(|error| {
        told(match error {
            HlogError::Io(error) => strerror(errno_of(&error)),
            other => other.to_string(),
        })
    })
}
