//! Publishes manifests in one atomic step.
//!
//! # A full medium
//! An operation that frees space publishes a manifest first, and there may be no block for it. Then
//! the new manifest is written in place, over the copy. The file of the copy exchanges its name
//! with the valid manifest, which becomes the copy. No step needs or frees space, so no other task
//! can take it meanwhile.
//!
//! A power cut during these steps leaves the file of the copy under the name `manifest.new`. The
//! next opening renames it back. It also writes the copy for a store or log that has none.

use super::copy::{restore_copy, take_for_copy};
use super::files::{COPY, MANIFEST, NEW};
use crate::base::error::{Error, ErrorKind, Result};
use kvick_io::Directory;
use std::io;

/// A manifest that did not become the valid one, or whose state is unknown.
#[derive(Debug)]
pub(crate) struct NotPublished {
    pub(crate) error: Error,
    /// The previous manifest is still valid.
    pub(crate) is_certain: bool,
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
    let written = directory.write_file(NEW, &bytes).await;
    written.map_err(|error| not_published(directory, "writing", error, true))?;
    let renamed = directory.rename(NEW, MANIFEST).await;
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
            if directory.rename(COPY, NEW).await.is_err() {
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

/// Publishes in the file `NEW`, which then has the previous manifest and becomes the copy.
async fn publish_in_place<M: Publishable>(
    directory: &dyn Directory,
    manifest: &M,
) -> Result<Vec<u8>, NotPublished> {
    let bytes = proven(directory, manifest)?;
    let written = directory.write_file(NEW, &bytes).await;
    written.map_err(|error| not_published(directory, "writing", error, true))?;
    match directory.exchange(NEW, MANIFEST).await {
        // The space of the previous manifest is freed, and may be available again for the copy.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let renamed = directory.rename(NEW, MANIFEST).await;
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

fn not_published(
    directory: &dyn Directory,
    doing: &str,
    error: io::Error,
    before: bool,
) -> NotPublished {
    let place = directory.describe();
    let error = Error::io(format!("{doing} the manifest in {place}"), error);
    // A write that failed for lack of space or descriptors only left the file `NEW` incomplete.
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
}
