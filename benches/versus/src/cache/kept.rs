//! What the caches share: the source of their values, and the loop that asks them.

use std::cell::Cell;
use std::sync::Arc;

use benches::keys::{Step, key_of};
use benches::payload::Payload;
use kvick::config::ByteSize;
use versus::slices::Walk;

/// The limits of a cache.
#[derive(Clone, Copy)]
pub struct Limits {
    /// The memory.
    pub memory: ByteSize,
    /// Bytes of a value.
    pub value: usize,
    /// Bytes that a rival takes for an entry beside its key and its value.
    pub overhead: usize,
}

/// Values with a form that the rivals keep, of which a hit returns a clone.
pub trait Kept: Payload {
    /// The form.
    type Kept: Clone + Send + Sync + 'static;

    /// Returns a value in this form.
    fn keep(owned: Self::Owned) -> Self::Kept;

    /// Returns whether a value belongs to `key` and has `length` bytes.
    fn is_right(kept: &Self::Kept, key: u64, length: usize) -> bool;
}

impl Kept for u64 {
    type Kept = Self;

    fn keep(owned: Self) -> Self {
        owned
    }

    fn is_right(kept: &Self, key: u64, length: usize) -> bool {
        Self::verify_view(kept, key, length)
    }
}

impl Kept for [u8] {
    type Kept = Arc<Self>;

    fn keep(owned: Vec<u8>) -> Arc<Self> {
        owned.into()
    }

    fn is_right(kept: &Arc<Self>, key: u64, length: usize) -> bool {
        Self::verify_view(&&**kept, key, length)
    }
}

/// Asks the source for the value of a key, and notes that it was asked.
pub fn ask<V: Payload + ?Sized>(key: u64, length: usize, asked: &Cell<bool>) -> V::Owned {
    asked.set(true);
    V::next(None, key, length)
}

/// A cache in front of the source.
pub trait Cache: Sync {
    /// Gets the value of a key from the cache, or else from the source. Returns whether it is the
    /// right one.
    fn get(&self, key: u64, asked: &Cell<bool>) -> impl Future<Output = bool>;
}

/// Gets the values of steps until the slice is over.
pub async fn get_each(cache: &impl Cache, walk: &mut Walk) {
    while let Some(stretch) = walk.stretch() {
        get_all(cache, walk, stretch).await;
    }
}

/// Gets the values of some steps. A miss counts as a missing record.
pub async fn get_all(cache: &impl Cache, walk: &mut Walk, steps: &[Step]) {
    for step in steps {
        let asked = Cell::new(false);
        let is_right = cache.get(key_of(step.target()), &asked).await;
        walk.saw((!asked.get() || !is_right).then_some(is_right));
    }
}
