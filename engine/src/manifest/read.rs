//! Reads the manifest of a directory, or its copy.
//!
//! | found | result |
//! |---|---|
//! | a sound manifest | that manifest |
//! | a damaged or missing manifest, and a copy | an error; with `allow_fallback` the copy |
//! | a damaged manifest, and no copy | an error |
//! | neither, and the mark of a backup | an error |
//! | neither | `None` |

use super::files::{COPY, MANIFEST, UNFINISHED_BACKUP};
use super::publish::Publishable;
use super::text::{RESTORE_ONE, USE_COPY};
use crate::base::error::{Error, ErrorKind, Result};
use kvick_io::Directory;
use std::io;

/// The manifest of a directory.
#[derive(Debug)]
pub(crate) struct ManifestRead<M> {
    pub(crate) manifest: M,
    /// The manifest itself is damaged or missing.
    pub(crate) from_copy: bool,
}

/// Returns the manifest of a directory if it is sound. For readers that look often, since this
/// lists no directory.
///
/// # Errors
/// As for [`read_manifest`], except for a manifest that is damaged or missing.
pub(crate) async fn read_sound_manifest<M: Publishable>(
    directory: &dyn Directory,
) -> Result<Option<M>> {
    let bytes = match directory.read_file(MANIFEST).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(directory, MANIFEST, error)),
    };
    match decode::<M>(directory, MANIFEST, &bytes) {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        decoded => decoded.map(Some),
    }
}

/// Returns the manifest of a directory with these `files`, if there is one.
///
/// # Errors
/// `Corrupt` or `NotFound` for a damaged or missing manifest, whose copy may not be used or is
/// damaged, too. `AlreadyExists` for an unfinished backup. `Unsupported` for another format. Others
/// as the directory reports them: they give up no manifest.
pub(crate) async fn read_manifest<M: Publishable>(
    directory: &dyn Directory,
    files: &[String],
    allow_fallback: bool,
) -> Result<Option<ManifestRead<M>>> {
    // Only files that are there are read.
    let has = |name: &str| files.iter().any(|file| file == name);
    let mut damage = None;
    if has(MANIFEST) {
        match decode::<M>(directory, MANIFEST, &read(directory, MANIFEST).await?) {
            Ok(manifest) => return Ok(Some(ManifestRead { manifest, from_copy: false })),
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            Err(error) => damage = Some(error),
        }
    }
    if damage.is_none() && !has(COPY) && has(UNFINISHED_BACKUP) {
        let what = "an unfinished backup; take the backup again, or delete these files";
        return Err(Error::already_exists(directory.describe(), what));
    }
    if !has(COPY) {
        return damage.map_or(Ok(None), Err);
    }
    let copy = read(directory, COPY).await;
    let copy = copy.and_then(|bytes| decode::<M>(directory, COPY, &bytes));
    let way_out = if copy.is_ok() { USE_COPY } else { RESTORE_ONE };
    let damage = match damage {
        Some(damage) => damage.with_way_out(way_out),
        None => Error::not_found(&format!("{MANIFEST} in {}", directory.describe()), way_out),
    };
    if !allow_fallback {
        return Err(damage);
    }
    let manifest = copy.map_err(|error| match error.kind() {
        ErrorKind::Corrupt => error.with_way_out(RESTORE_ONE),
        _ => error,
    })?;
    tracing::warn!(%damage, "the copy of the manifest is used");
    Ok(Some(ManifestRead { manifest, from_copy: true }))
}

/// The next step for a damaged manifest without a copy.
const RESTORE: &str = "restore this file from a backup";

/// Decodes a manifest. An error names the directory, which may be the wrong one.
fn decode<M: Publishable>(directory: &dyn Directory, name: &str, bytes: &[u8]) -> Result<M> {
    M::decode(name, bytes).map_err(|error| match error.kind() {
        ErrorKind::Unsupported => error.with_directory(&directory.describe()),
        _ => error.with_place(&directory.describe(), RESTORE),
    })
}

async fn read(directory: &dyn Directory, name: &str) -> Result<Vec<u8>> {
    directory.read_file(name).await.map_err(|error| failed(directory, name, error))
}

fn failed(directory: &dyn Directory, name: &str, error: io::Error) -> Error {
    Error::io(format!("reading {name} in {}", directory.describe()), error)
}
