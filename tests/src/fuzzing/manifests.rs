//! The text of both manifests.

use kvick::bench_support::{log_manifest_returns, store_manifest_returns};
use kvick::runtime::Simulation;

use super::checksums::with_checksum;
use super::store_files::STORE;
use super::{block_files, log_edits, log_frames};

/// Decodes the text of a manifest, and opens a store or log with it. The first byte selects the
/// kind, and whether the text gets a checksum that is right.
///
/// # Panics
/// Panics if a decoded manifest is another one after it was encoded and decoded again.
pub fn manifests(data: &[u8]) {
    let Some((selector, text)) = data.split_first() else {
        return;
    };
    let checked = with_checksum(text);
    let bytes = if selector & 2 == 0 { &checked[..] } else { text };
    let is_log = selector & 1 == 1;
    let returns = if is_log { log_manifest_returns } else { store_manifest_returns };
    match returns(bytes) {
        Err(_) => return,
        Ok(is_same) => assert!(is_same, "the manifest came back as another one"),
    }
    let simulation = Simulation::new(u64::from(selector >> 4));
    let handle = simulation.handle();
    if is_log {
        let files = log_edits::LOG.files.replaced("manifest", bytes);
        simulation.run(log_frames::open(&files, handle));
    } else {
        let files = STORE.files.replaced("manifest", bytes);
        simulation.run(block_files::open(&files, selector & 4 == 4, handle));
    }
}
