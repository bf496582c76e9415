//! Many sessions: what checkpoints have of more than a few goes to files beside the manifest.

use kvick::{FasterKv, Result};

/// More sessions than the manifest has.
pub const CROWD: usize = 70;

/// So many new sessions give their identity, set a key, and go: they wait to be resumed.
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
