//! Opens the checkpoints of a store, one after the other.

use super::view::View;
use crate::base::error::{Error, ErrorKind, Result};
use crate::checkpoint::files::manifest::{CheckpointEntry, Manifest};
use crate::checkpoint::{CheckpointInfo, CheckpointToken};
use crate::manifest::contents::numbered;
use crate::manifest::files;
use crate::manifest::read::{read_manifest, read_sound_manifest};
use crate::recovery::{self, Opening, TypeNames};
use crate::store::sessions::identity::{CommitPoint, SessionId};
use kvick_io::Directory;
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The largest number of attempts to show a checkpoint while its files are being removed.
const ATTEMPTS: u32 = 16;

/// A store that a reader shows, and its present view.
pub(super) struct Source {
    // Fixed after opening.
    template: Opening,
    /// The types of the only table. `None` if the store may have any tables.
    types: Option<TypeNames>,
    // Under its lock: the shown checkpoint.
    view: Mutex<Arc<View>>,
    /// Held while a task looks for another checkpoint. It has the newest checkpoint, if that was
    /// passed over because it is damaged.
    turn: futures::lock::Mutex<PassedOver>,
}

/// A checkpoint that is not shown because it is damaged. No refresh tries it again.
type PassedOver = Option<CheckpointEntry>;

impl Source {
    /// Shows the checkpoint that `opening` asks for, or the newest.
    pub(super) async fn open(mut opening: Opening, types: Option<TypeNames>) -> Result<Arc<Self>> {
        let template = opening.again();
        let manifest = manifest_in(&*opening.directory).await?;
        let (view, passed_over) = show(&mut opening, types.as_ref(), (manifest, 0)).await?;
        let (view, turn) = (Mutex::new(Arc::new(view)), futures::lock::Mutex::new(passed_over));
        Ok(Arc::new(Self { template, types, view, turn }))
    }

    /// Shows the newest checkpoint. Returns whether it is another one than before.
    pub(super) async fn refresh(&self) -> Result<bool> {
        let mut turn = self.turn.lock().await;
        let shown = self.view();
        let manifest = manifest_in(&*self.template.directory).await?;
        if !shown.is_of(&manifest) {
            let place = self.template.directory.describe();
            return Err(Error::invalid(format!("{place}: there is another store now; open it")));
        }
        let newest = manifest.checkpoints.last();
        let is_known = token_of(newest) == Some(shown.info().token) || newest == turn.as_ref();
        if is_known && shown.is_in(&manifest) {
            return Ok(false);
        }
        let number = shown.number() + 1;
        let mut opening = self.template.again();
        let shows = show(&mut opening, self.types.as_ref(), (manifest, number));
        let (view, passed_over) = shows.await?;
        *turn = passed_over;
        let is_other = view.info().token != shown.info().token;
        *self.locked() = Arc::new(view);
        Ok(is_other)
    }

    /// Returns the shown checkpoint.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.locked())
    }

    pub(super) fn checkpoint(&self) -> CheckpointInfo {
        self.view().info().clone()
    }

    pub(super) fn sessions(&self) -> BTreeMap<SessionId, CommitPoint> {
        self.view().report().sessions.clone()
    }

    /// Returns the error of a read of `view`, or the reason for it: the store no longer has the
    /// checkpoint.
    #[cold]
    pub(super) async fn explain(&self, view: &View, error: Error) -> Error {
        let may_be_gone = [ErrorKind::Corrupt, ErrorKind::NotFound, ErrorKind::Io];
        if !may_be_gone.contains(&error.kind()) {
            return error;
        }
        match manifest_in(&*self.template.directory).await {
            Ok(manifest) if !view.is_in(&manifest) => view.overtaken(&error),
            Ok(_) => error,
            Err(_) if error.kind() == ErrorKind::Io => error,
            // It is unknown whether the read met damage or was overtaken.
            Err(unread) => {
                tracing::info!(target: "kvick::reader", %error, "a read without a known cause");
                unread
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Arc<View>> {
        self.view.lock().expect("nothing panics under it")
    }
}

/// Shows the checkpoint that `opening` asks for, or the newest. Starts again if the writer has
/// published another manifest meanwhile, because it may have removed files that the first one
/// needs.
async fn show(
    opening: &mut Opening,
    types: Option<&TypeNames>,
    (mut manifest, number): (Manifest, u64),
) -> Result<(View, PassedOver)> {
    let raw = Arc::clone(&opening.directory);
    for _ in 0..ATTEMPTS {
        opening.directory = numbered(&raw, manifest.contents());
        let context = (opening.handle.clone(), opening.accepts_type_change);
        let shown = recovery::show(opening, types, manifest.clone()).await;
        let view = shown.and_then(|opened| View::new(opened, number, (&context.0, context.1)));
        let newest = manifest.checkpoints.last();
        let wanted = opening.token.map(CheckpointToken).or_else(|| token_of(newest));
        if view.as_ref().is_ok_and(|view| Some(view.info().token) == wanted) {
            return view.map(|view| (view, None));
        }
        // A newer checkpoint may have been passed over only because its files are gone.
        let present = manifest_in(&*raw).await?;
        if present == manifest {
            return view.map(|view| (view, newest.cloned()));
        }
        manifest = present;
    }
    Err(Error::busy("the writer removes checkpoints faster than a reader can show them"))
}

/// Returns the manifest of the existing store.
async fn manifest_in(directory: &dyn Directory) -> Result<Manifest> {
    if let Some(manifest) = read_sound_manifest(directory).await? {
        return Ok(manifest);
    }
    // Missing or damaged: the error tells which.
    let files = files::list(directory).await?;
    let read = read_manifest(directory, &files, false).await?;
    read.map(|read| read.manifest).ok_or_else(|| Error::no_store(&directory.describe()))
}

fn token_of(entry: Option<&CheckpointEntry>) -> Option<CheckpointToken> {
    entry.map(|entry| CheckpointToken(entry.token))
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Source")
            .field("directory", &self.template.directory)
            .field("checkpoint", &self.checkpoint())
            .finish_non_exhaustive()
    }
}
