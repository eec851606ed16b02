//! Where a file that is replaced goes: `--backup`, `--suffix` and their environment variables.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use highwater::copy::{Backup, BackupKind};

use super::Environment;
use crate::argmatch::argmatch;
use crate::program::Usage;

/// What backups are asked for, if any, once some are asked for.
pub fn meant(
    control: Option<&OsStr>,
    suffix: Option<OsString>,
    environment: &Environment,
) -> Result<Option<Backup>, Usage> {
    let suffix = suffix
        .or_else(|| environment.simple_backup_suffix.clone())
        .filter(|suffix| !suffix.is_empty() && !suffix.as_bytes().contains(&b'/'))
        .unwrap_or_else(|| "~".into());
    Ok(kind(control, environment)?.map(|kind| Backup { kind, suffix }))
}

/// `--backup=CONTROL`, else VERSION_CONTROL, else `existing`; None for none.
fn kind(control: Option<&OsStr>, environment: &Environment) -> Result<Option<BackupKind>, Usage> {
    let typed = control.map(|control| ("backup type", control));
    let inherited = environment.version_control.as_deref().map(|control| ("$VERSION_CONTROL", control));
    let said = [typed, inherited].into_iter().flatten().find(|(_, control)| !control.is_empty());
    let Some((context, control)) = said else {
        return Ok(Some(BackupKind::Existing));
    };
    let groups = [["none", "off"], ["simple", "never"], ["existing", "nil"], ["numbered", "t"]];
    Ok(match argmatch(context, control, &groups.map(Vec::from))? {
        "none" => None,
        "simple" => Some(BackupKind::Simple),
        "numbered" => Some(BackupKind::Numbered),
        _ => Some(BackupKind::Existing),
    })
}
