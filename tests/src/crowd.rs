//! A crowd of sessions. A checkpoint stores the points of more than a few sessions in extra files.

use kvick::{FasterKv, Result};

/// A number of sessions that does not fit in the manifest.
pub const CROWD: usize = 70;

/// Creates this many sessions one after the other. Each asks for its id, sets a key, and ends, so
/// the store keeps it for a later resumption.
///
/// # Errors
/// As [`kvick::Session::upsert`].
pub async fn pass_through(store: &FasterKv<u64, u64>, sessions: usize, key: u64) -> Result<()> {
    for number in 0..sessions {
        let mut session = store.session()?;
        let _id = session.id();
        session.upsert(&key, &(number as u64)).await?;
    }
    Ok(())
}
