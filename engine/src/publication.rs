//! Publishes manifests in one atomic step, and names the files that every directory has.
//!
//! | file | contents |
//! |---|---|
//! | `lock` | held by descriptor while the directory is open |
//! | `manifest` | the manifest, replaced by rename |
//! | `manifest.new` | the next one, before its rename |
//! | `manifest.copy` | the same as `manifest`, for when that is damaged |
//! | `log.000000` ... | the log |
//!
//! # A full medium
//! An operation that frees space publishes a manifest first, and there may be no block for it. Then
//! the new manifest is written in place, over the copy. The file of the copy exchanges its name
//! with the valid manifest, which becomes the copy. No step needs or frees space, so no other task
//! can take it meanwhile.
//!
//! A power cut during these steps leaves the file of the copy under the name `manifest.new`. The
//! next opening renames it back. It also writes the copy for a store or log that has none.

use crate::error::{Error, ErrorKind, Result};
use kvick_io::{Directory, Lock};
use std::io;

pub(crate) const LOCK: &str = "lock";
pub(crate) const MANIFEST: &str = "manifest";
pub(crate) const COPY: &str = "manifest.copy";
pub(crate) const LOG: &str = "log";
pub(crate) const ASIDE: &str = "manifest.new";

/// A manifest that did not become the valid one, or whose state is unknown.
#[derive(Debug)]
pub(crate) struct NotPublished {
    pub(crate) error: Error,
    /// The previous manifest is still valid.
    pub(crate) is_certain: bool,
}

/// Returns the device of a segment file, and the number of the segment.
pub(crate) fn segment(file: &str) -> Option<(&str, u64)> {
    let (device, digits) = file.rsplit_once('.')?;
    let number = digits.parse().ok()?;
    // Accepts only exact names of segments: `log.+00000`, `log.0` and `log.txt` are foreign files.
    (digits == format!("{number:06}")).then_some((device, number))
}

/// Refuses to create a store or log among foreign files, which could later pass for its own.
///
/// Hidden files do not matter, nor do the leftovers of an interrupted opening. `is_ours` accepts
/// the names that are not foreign.
///
/// # Errors
/// `AlreadyExists` with the first foreign file.
pub(crate) fn refuse_foreign(
    place: &str,
    files: &[String],
    is_ours: impl Fn(&str) -> bool,
) -> Result<()> {
    let is_left = |name: &str| {
        let is_scratch = name.starts_with("scratch-") && name.ends_with(".tmp");
        [LOCK, ASIDE].contains(&name) || is_scratch || name.starts_with('.')
    };
    let foreign = files.iter().find(|name| !is_left(name) && !is_ours(name));
    foreign.map_or(Ok(()), |name| {
        Err(Error::already_exists(place, &format!("{name}, which is no file of kvick's")))
    })
}

/// The description of a directory's contents, in the form in which it is published.
pub(crate) trait Publishable: PartialEq + Sized {
    fn encode(&self) -> Vec<u8>;

    /// Decodes the bytes of `file`, which is named in messages.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not the written bytes; `Unsupported` for another format.
    fn decode(file: &str, bytes: &[u8]) -> Result<Self>;
}

/// Publishes `manifest` in one atomic step and returns its bytes. Everything that it names is
/// durable already. It survives a power cut if `synced` is set.
///
/// # Errors
/// Returns the errors of the directory. Refuses a manifest that could not be opened again, since it
/// would lose everything that the previous manifest names.
pub(crate) async fn publish<M: Publishable>(
    directory: &dyn Directory,
    manifest: &M,
    synced: bool,
) -> Result<Vec<u8>, NotPublished> {
    let bytes = proven(directory, manifest)?;
    let written = directory.write_file(ASIDE, &bytes).await;
    written.map_err(|error| not_published(directory, "writing", error, true))?;
    let renamed = directory.rename(ASIDE, MANIFEST).await;
    renamed.map_err(|error| not_published(directory, "renaming", error, true))?;
    if synced {
        let synced = directory.sync().await;
        synced.map_err(|error| not_published(directory, "publishing", error, false))?;
    }
    Ok(bytes)
}

/// Publishes a manifest that allows space to be freed, also on a full medium.
///
/// No other state depends on the copy. Afterwards the copy has the previous manifest or is missing,
/// and must be written again.
pub(crate) async fn publish_to_free<M: Publishable>(
    directory: &dyn Directory,
    manifest: &M,
) -> Result<Vec<u8>, NotPublished> {
    match publish(directory, manifest, true).await {
        Err(failed) if failed.is_certain && failed.error.kind() == ErrorKind::StorageFull => {
            if directory.rename(COPY, ASIDE).await.is_err() {
                return Err(failed);
            }
            let published = publish_in_place(directory, manifest).await;
            if matches!(&published, Err(NotPublished { is_certain: true, .. })) {
                // The copy needs more space than it had.
                restore_copy(directory).await;
            }
            published
        }
        published => published,
    }
}

/// Publishes in the file `ASIDE`, which then has the previous manifest and becomes the copy.
async fn publish_in_place<M: Publishable>(
    directory: &dyn Directory,
    manifest: &M,
) -> Result<Vec<u8>, NotPublished> {
    let bytes = proven(directory, manifest)?;
    let written = directory.write_file(ASIDE, &bytes).await;
    written.map_err(|error| not_published(directory, "writing", error, true))?;
    match directory.exchange(ASIDE, MANIFEST).await {
        // The space of the previous manifest is freed, and may be available again for the copy.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let renamed = directory.rename(ASIDE, MANIFEST).await;
            renamed.map_err(|error| not_published(directory, "renaming", error, true))?;
        }
        exchanged => {
            exchanged.map_err(|error| not_published(directory, "renaming", error, true))?;
        }
    }
    let synced = directory.sync().await;
    synced.map_err(|error| not_published(directory, "publishing", error, false))?;
    // Only now: without the exchange, an earlier rename would leave no manifest.
    match take_for_copy(directory).await {
        // There was no exchange.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, "the copy of the manifest has not got a file"),
        Ok(()) => {}
    }
    Ok(bytes)
}

/// Makes the file `ASIDE` the copy, durably. Otherwise the next file with that name might survive a
/// power cut in its place.
async fn take_for_copy(directory: &dyn Directory) -> io::Result<()> {
    directory.rename(ASIDE, COPY).await?;
    directory.sync().await
}

/// Ensures that an opened store or log has a copy of its manifest. It uses the file that an
/// interrupted publication left, if there is one.
pub(crate) async fn restore_copy(directory: &dyn Directory) {
    let restoring = async {
        let files = directory.list().await?;
        let has = |wanted: &str| files.iter().any(|file| file == wanted);
        if has(COPY) || !has(MANIFEST) {
            return Ok(());
        }
        if has(ASIDE) {
            take_for_copy(directory).await?;
        }
        let bytes = directory.read_file(MANIFEST).await?;
        directory.write_file(COPY, &bytes).await
    };
    let restored: io::Result<()> = restoring.await;
    if let Err(error) = restored {
        tracing::info!(%error, "there is no copy of the manifest");
    }
}

/// Returns the bytes of a manifest that the next opening will decode to the same manifest.
fn proven<M: Publishable>(
    directory: &dyn Directory,
    manifest: &M,
) -> Result<Vec<u8>, NotPublished> {
    let bytes = manifest.encode();
    let why = match M::decode(MANIFEST, &bytes) {
        Ok(decoded) if decoded == *manifest => return Ok(bytes),
        Ok(_) => "it would be read as another one".to_owned(),
        Err(error) => error.to_string(),
    };
    let context = format!("publishing the manifest in {}", directory.describe());
    let error = Error::io(context, io::Error::other(format!("it could not be opened: {why}")));
    // Nothing was written.
    Err(NotPublished { error, is_certain: true })
}

/// Removes the files of a creation that did not reach its manifest. Only the lock file remains. The
/// next creation recognises files that cannot be removed now as unfinished.
pub(crate) async fn give_up_creation(directory: &dyn Directory) {
    let Ok(files) = directory.list().await else {
        return;
    };
    let is_ours = |name: &&String| {
        *name == ASIDE || segment(name).is_some_and(|(device, _number)| device == LOG)
    };
    for file in files.iter().filter(is_ours) {
        if let Err(error) = directory.remove_file(file).await {
            tracing::warn!(%error, file, "left behind by a creation that has failed");
        }
    }
}

/// Writes a copy of the published manifest, in case that is damaged later. No other state depends
/// on it. Returns whether it was written.
pub(crate) async fn keep_copy(directory: &dyn Directory, manifest: &[u8]) -> bool {
    let written = directory.write_file(COPY, manifest).await;
    if let Err(error) = &written {
        tracing::warn!(%error, "the copy of the manifest was not written");
    }
    written.is_ok()
}

/// Takes the lock of a directory.
///
/// # Errors
/// `InUse` if another store or log holds it.
pub(crate) async fn lock(directory: &dyn Directory) -> Result<Box<dyn Lock>> {
    directory.lock(LOCK).await.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::in_use(directory.describe()),
        _ => Error::io(format!("locking {}", directory.describe()), error),
    })
}

fn not_published(
    directory: &dyn Directory,
    doing: &str,
    error: io::Error,
    before: bool,
) -> NotPublished {
    let place = directory.describe();
    let error = Error::io(format!("{doing} the manifest in {place}"), error);
    // A write that failed for lack of space or descriptors only left the file `ASIDE` incomplete.
    // Such a rename changed nothing. The effect of any other failure is unknown.
    let is_certain = before && error.is_shortage();
    NotPublished { error, is_certain }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use kvick_io::MemoryDirectory;

    /// Encodes as a number, and decodes as that number without its lowest bit.
    #[derive(Debug, PartialEq)]
    struct Even(u64);

    impl Publishable for Even {
        fn encode(&self) -> Vec<u8> {
            self.0.to_le_bytes().to_vec()
        }

        fn decode(file: &str, bytes: &[u8]) -> Result<Self> {
            let number = u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
            if number > 100 {
                return Err(Error::corrupt("the number", file, 0, 100, number));
            }
            Ok(Self(number & !1))
        }
    }

    /// A repair published a manifest whose begin was after its end. The log could not be opened any
    /// more, and the sound manifest was gone.
    #[test]
    fn what_could_not_be_opened_is_not_published() {
        kvick_runtime::block_on(async {
            let directory = MemoryDirectory::new();
            publish(&directory, &Even(8), true).await.expect("sound");
            for number in [9, 102] {
                let failed = publish(&directory, &Even(number), true).await.expect_err("unsound");
                assert!(failed.is_certain, "{failed:?}");
                assert!(failed.error.to_string().contains("could not be opened"), "{failed:?}");
                assert_eq!(directory.list().await.expect("memory"), [MANIFEST]);
                let bytes = directory.read_file(MANIFEST).await.expect("memory");
                assert_eq!(Even::decode(MANIFEST, &bytes).expect("sound"), Even(8));
            }
        });
    }

    #[test]
    fn segments_are_known_by_their_names() {
        assert_eq!(segment("log.000000"), Some(("log", 0)));
        assert_eq!(segment("part-7.1000000"), Some(("part-7", 1_000_000)));
        for other in ["log", "log.txt", "log.0", "log.+00000", "log.", "log.00000x"] {
            assert_eq!(segment(other), None, "{other}");
        }
    }

    #[test]
    fn files_of_others_are_named() {
        let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let harmless: Vec<String> = files(&["lock", "manifest.new", "scratch-1-2.tmp", ".hidden"]);
        assert!(refuse_foreign("/data", &harmless, |_| false).is_ok());
        let foreign: Vec<String> = files(&["lock", "log.000000", "log.txt"]);
        let is_ours = |name: &str| segment(name).is_some();
        let error = refuse_foreign("/data", &foreign, is_ours).expect_err("log.txt");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("log.txt"), "{error}");
    }
}
