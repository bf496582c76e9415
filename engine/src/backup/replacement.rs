//! Puts the contents of a backup beside those of a closed store, which they replace.

use super::copying::{Source, copy_all};
use crate::base::error::{Error, Result};
use crate::checkpoint::files::checkpoint_files::is_of_contents;
use crate::checkpoint::files::manifest::Manifest;
use crate::manifest::contents::{numbered, remove_others, split};
use crate::manifest::files;
use crate::manifest::read::{ManifestRead, read_manifest};
use crate::opening::lock::lock;
use crate::recovery::{Opening, Replacement, TypeNames};
use kvick_io::Directory;
use std::sync::Arc;

/// Copies the newest checkpoint of `backup` beside the contents of the store that `opening` would
/// open, checks it on the way, and lets the opening replace these contents by the copy. `types` are
/// those of the only table of the store; `None` means that it may have any tables.
///
/// # Errors
/// `NotFound` if there is no store, or no backup. `InvalidArgument` if the backup has other types,
/// or changes that only a write-ahead log has. `Corrupt` with the first problem of the backup.
/// Those of locks and of copies. The contents of the store are unchanged.
///
/// # Cancel safety
/// The next opening removes what was copied.
pub(crate) async fn prepare(
    opening: &mut Opening,
    types: Option<&TypeNames>,
    backup: &Arc<dyn Directory>,
) -> Result<()> {
    let directory = Arc::clone(&opening.directory);
    let place = directory.describe();
    if opening.token.is_some() {
        return Err(Error::invalid(
            "recover(..) beside replace_contents(..): the contents are those of the backup",
        ));
    }
    let locked = lock(&*directory).await?;
    let names = files::list(&*directory).await?;
    let present = read_manifest(&*directory, &names, opening.config.allow_fallback).await?;
    let present: ManifestRead<Manifest> = present.ok_or_else(|| Error::no_store(&place))?;
    let ManifestRead { manifest: before, from_copy } = present;
    let (mut manifest, source_number) = manifest_of(&**backup).await?;
    opening.check_contents(types, &manifest.store)?;
    if !from_copy {
        // What a replacement has left that did not come about.
        remove_unnamed(&*directory, before.contents()).await?;
    }
    let used = names.iter().filter_map(|name| split(name)).map(|(number, _)| number).max();
    let number = before.contents().max(used.unwrap_or(0)) + 1;
    let from = numbered(backup, source_number);
    let copied = copy(&manifest, &*from, &*numbered(&directory, number)).await;
    if let Err(error) = copied {
        if !from_copy && let Err(error) = remove_unnamed(&*directory, before.contents()).await {
            tracing::warn!(target: "kvick::backup", %error, place, "the next opening removes it");
        }
        return Err(error);
    }
    let lost_lives = manifest.lives_behind(&before);
    manifest.replace(&before, number);
    opening.replacement = Some(Replacement { locked, manifest, from_copy, lost_lives });
    Ok(())
}

async fn copy(manifest: &Manifest, from: &dyn Directory, to: &dyn Directory) -> Result<u64> {
    let source = Source::in_directory(manifest, from).await?;
    copy_all(&source, to).await
}

/// Returns a manifest of the newest checkpoint of a backup alone, and the number of its contents.
async fn manifest_of(backup: &dyn Directory) -> Result<(Manifest, u64)> {
    let place = backup.describe();
    let names = files::list(backup).await?;
    let read: Option<ManifestRead<Manifest>> = read_manifest(backup, &names, false).await?;
    let Some(ManifestRead { manifest, .. }) = read else {
        let what = format!("a backup in {place}");
        return Err(Error::not_found(&what, "take it with `backup` first"));
    };
    let Some(newest) = manifest.checkpoints.last() else {
        return Err(Error::invalid(format!("{place} has no checkpoint; take a backup of a store")));
    };
    if manifest.wal().is_some() || newest.is_partial {
        return Err(Error::invalid(format!(
            "the store in {place} has changes that only its write-ahead log has; take a backup of \
             it"
        )));
    }
    let only = manifest.with_only(newest.token).expect("it is the newest");
    Ok((only, manifest.contents()))
}

/// Removes the files of other contents than `number`, which the manifest names.
async fn remove_unnamed(directory: &dyn Directory, number: u64) -> Result<()> {
    let removing = async {
        // The manifest may not be durable yet.
        directory.sync().await?;
        remove_others(directory, number, is_of_contents).await
    };
    let removed: std::io::Result<()> = removing.await;
    removed.map_err(|error| {
        Error::io(format!("removing unused contents in {}", directory.describe()), error)
    })
}
