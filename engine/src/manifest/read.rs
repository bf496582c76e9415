//! Reads the manifest of a directory, or its copy.
//!
//! | found | result |
//! |---|---|
//! | a sound manifest | that manifest |
//! | a damaged or missing manifest, and a copy | an error; with `allow_fallback` the copy |
//! | a damaged manifest, and no copy | an error |
//! | neither | `None` |

use super::files::{COPY, MANIFEST};
use super::publish::Publishable;
use super::text::USE_COPY;
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

/// Returns the manifest of a directory, if there is one.
///
/// # Errors
/// `Corrupt` or `NotFound` for a damaged or missing manifest, whose copy may not be used or is
/// damaged, too. `Unsupported` for another format. Others as the directory reports them: they give
/// up no manifest.
pub(crate) async fn read_manifest<M: Publishable>(
    directory: &dyn Directory,
    allow_fallback: bool,
) -> Result<Option<ManifestRead<M>>> {
    let damage = match read(directory, MANIFEST).await? {
        Some(bytes) => match M::decode(MANIFEST, &bytes) {
            Ok(manifest) => return Ok(Some(ManifestRead { manifest, from_copy: false })),
            Err(error) if error.kind() != ErrorKind::Corrupt => return Err(error),
            Err(error) => Some(error),
        },
        None => None,
    };
    let Some(copy) = read(directory, COPY).await? else {
        return damage.map_or(Ok(None), Err);
    };
    let damage = damage.unwrap_or_else(|| {
        Error::not_found(&format!("{MANIFEST} in {}", directory.describe()), USE_COPY)
    });
    if !allow_fallback {
        return Err(damage);
    }
    let manifest = M::decode(COPY, &copy)?;
    tracing::warn!(%damage, "the copy of the manifest is used");
    Ok(Some(ManifestRead { manifest, from_copy: true }))
}

/// Returns the bytes of a file, if it exists.
async fn read(directory: &dyn Directory, name: &str) -> Result<Option<Vec<u8>>> {
    match directory.read_file(name).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("reading {name} in {}", directory.describe()), error)),
    }
}
