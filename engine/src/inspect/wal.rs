//! The write-ahead log of a store, checked as a log of its own.

use super::problems::Problems;
use super::report::InspectedWal;
use crate::base::error::{ErrorKind, Result};
use crate::checkpoint::files::manifest::{CheckpointEntry, Manifest};
use crate::log::{Check, check_with_salt};
use kvick_io::Directory;
use std::sync::Arc;

/// The file that a problem of the whole log names.
const LOG: &str = "wal";

/// Checks the log in `directory`, which `manifest` names. A store without one has none.
///
/// # Errors
/// `Io` if the directory cannot be read.
pub(super) async fn check(
    manifest: &Manifest,
    directory: &Arc<dyn Directory>,
    problems: &mut Problems,
) -> Result<Option<InspectedWal>> {
    let Some(salt) = manifest.wal() else {
        return Ok(None);
    };
    let (check, found) = match check_with_salt(directory).await {
        Ok(checked) => checked,
        Err(error) if error.kind() == ErrorKind::Io => return Err(error),
        Err(error) => {
            problems.note_beside(LOG, 0, &error.to_string());
            return Ok(None);
        }
    };
    if found != salt {
        problems.note_beside(LOG, 0, "this is the write-ahead log of another store");
        return Ok(None);
    }
    for damage in &check.damage {
        let (start, end) = (damage.start, damage.end);
        let what = format!("the changes from {start} to {end} are lost");
        problems.note_beside(&format!("{LOG}/{}", damage.file), damage.offset, &what);
    }
    check_cuts(manifest, &check, problems);
    let Check { begin, commit, entries, entry_bytes, torn_bytes, .. } = check;
    let log = begin.raw()..commit.until.raw();
    Ok(Some(InspectedWal { log, entries, entry_bytes, torn_bytes }))
}

/// Notes checkpoints after which the log does not have every change. Later commits of a running
/// store are no problem. A log that was full may lack entries below the cut of the newest, and
/// those that older ones need.
fn check_cuts(manifest: &Manifest, check: &Check, problems: &mut Problems) {
    let [begin, end] = [check.begin.raw(), check.commit.until.raw()];
    let newest = manifest.newest_safe();
    for record in manifest.checkpoints.iter().filter(|record| Some(record.token) >= newest) {
        let CheckpointEntry { token, wal: Some(cut), wal_durable, .. } = *record else { continue };
        if cut < begin || end < wal_durable.unwrap_or(cut) {
            let what = format!(
                "checkpoint {token} needs the changes from {cut} on; there are those from {begin} \
                 to {end}"
            );
            problems.note_beside(LOG, 0, &what);
        }
    }
}
