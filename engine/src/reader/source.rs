//! Opens the checkpoints of a store, one after the other.

use super::view::View;
use crate::base::error::{Error, ErrorKind, Result};
use crate::checkpoint::files::manifest::{CheckpointEntry, Manifest, not_kept};
use crate::checkpoint::files::needs::PinnedCheckpoint;
use crate::checkpoint::{CheckpointInfo, CheckpointToken, Checkpoints};
use crate::manifest::contents::numbered;
use crate::manifest::files;
use crate::manifest::read::{read_manifest, read_sound_manifest};
use crate::recovery::{self, Opening, TypeNames};
use crate::store::sessions::identity::{CommitPoint, SessionId};
use kvick_io::Directory;
use kvick_io::sync::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

/// The largest number of attempts to show a checkpoint while its files are being removed.
const ATTEMPTS: u32 = 16;

/// A store that a reader shows, and its present view.
pub(super) struct Source {
    // Fixed after opening.
    template: Opening,
    /// The types of the only table. `None` if the store may have any tables.
    types: Option<TypeNames>,
    /// The store, if it runs in this process and keeps the files of what is shown.
    store: Weak<Checkpoints>,
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
        Ok(Self::new((template, types, Weak::new()), (view, passed_over)))
    }

    /// Shows a checkpoint that a running store keeps. Its files stay while it is shown.
    ///
    /// # Errors
    /// `InvalidArgument` if the store keeps no such checkpoint. Others as for an opening.
    pub(super) async fn of_store(
        store: &Arc<Checkpoints>,
        opening: &Opening,
        token: CheckpointToken,
    ) -> Result<Arc<Self>> {
        let pinned = store.checkpoint_files().pin_files(Some(token.version()));
        let pinned = pinned.ok_or_else(|| not_kept(token))?;
        let template = opening.again().for_lean_reader();
        let view = show_pinned(&mut template.again(), None, (pinned, 0)).await?;
        Ok(Self::new((template, None, Arc::downgrade(store)), (view, None)))
    }

    fn new(
        (template, types, store): (Opening, Option<TypeNames>, Weak<Checkpoints>),
        (view, passed_over): (View, PassedOver),
    ) -> Arc<Self> {
        let (view, turn) = (Mutex::new(Arc::new(view)), futures::lock::Mutex::new(passed_over));
        Arc::new(Self { template, types, store, view, turn })
    }

    /// Shows the newest checkpoint. Returns whether it is another one than before.
    pub(super) async fn refresh(&self) -> Result<bool> {
        let mut turn = self.turn.lock().await;
        let shown = self.view();
        let pinned = self.running_store().and_then(|it| it.checkpoint_files().pin_files(None));
        let manifest = match &pinned {
            Some(pinned) => pinned.manifest().clone(),
            None => manifest_in(&*self.template.directory).await?,
        };
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
        let types = self.types.as_ref();
        let (view, passed_over) = match pinned {
            Some(pinned) => (show_pinned(&mut opening, types, (pinned, number)).await?, None),
            None => show(&mut opening, types, (manifest, number)).await?,
        };
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
        let stays = view.is_pinned() && self.running_store().is_some();
        if stays || !may_be_gone.contains(&error.kind()) {
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

    /// Returns the store that keeps files, until it is closed.
    fn running_store(&self) -> Option<Arc<Checkpoints>> {
        self.store.upgrade().filter(|store| store.core().check_read().is_ok())
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
        let view = show_once(opening, types, (manifest.clone(), number), None).await;
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

/// Shows a checkpoint whose files stay.
async fn show_pinned(
    opening: &mut Opening,
    types: Option<&TypeNames>,
    (pinned, number): (PinnedCheckpoint, u64),
) -> Result<View> {
    let manifest = pinned.manifest().clone();
    opening.token = manifest.checkpoints.last().map(|entry| entry.token);
    opening.directory = numbered(&opening.directory, manifest.contents());
    show_once(opening, types, (manifest, number), Some(pinned)).await
}

async fn show_once(
    opening: &mut Opening,
    types: Option<&TypeNames>,
    (manifest, number): (Manifest, u64),
    pinned: Option<PinnedCheckpoint>,
) -> Result<View> {
    let (handle, accepts_type_change) = (opening.handle.clone(), opening.accepts_type_change);
    let opened = recovery::show(opening, types, manifest).await?;
    View::new(opened, number, (&handle, accepts_type_change), pinned)
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
