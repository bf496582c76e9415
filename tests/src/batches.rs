//! Batches of changes of keys that are recovered whole.

use kvick::session::WriteBatch;

/// Returns a batch of these changes, in their order. `None` removes the key.
#[must_use]
pub fn batch_of<B: AsRef<[u8]>>(changes: &[(u64, Option<B>)]) -> WriteBatch<u64, [u8]> {
    let mut batch = WriteBatch::<u64, [u8]>::new();
    for (key, value) in changes {
        match value {
            Some(value) => batch.upsert(key, value.as_ref()).expect("bytes"),
            None => batch.delete(key).expect("a number"),
        };
    }
    batch
}
