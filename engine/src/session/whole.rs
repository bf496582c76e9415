//! Batches that are recovered whole.

use super::Session;
use super::place::Contents;
use crate::base::error::{Error, Result};
use crate::codec::{Key, Value};
use crate::store::encoding::{encode_key, encode_value};
use crate::store::{Types, append_change, write_whole};
use std::fmt;

/// Changes of keys that are recovered together, or not at all, with the offset of a session: see
/// [`Session::write_batch`].
///
/// It has encoded keys and values, and can be used again after [`clear`](Self::clear).
pub struct WriteBatch<K: Key + ?Sized, V: Value + ?Sized> {
    changes: Vec<u8>,
    count: usize,
    _types: Types<K, V>,
}

impl<K: Key + ?Sized, V: Value + ?Sized> WriteBatch<K, V> {
    /// Returns a batch without a change.
    #[must_use]
    pub fn new() -> Self {
        Self { changes: Vec::new(), count: 0, _types: Types::<K, V>::default() }
    }

    /// Sets the value of a key, after the changes so far. A value of a table with expiry never
    /// expires.
    ///
    /// # Errors
    /// `Codec` if the key or value cannot be encoded. Then the batch is as before.
    pub fn upsert(&mut self, key: &K::Item, value: &V::Item) -> Result<&mut Self> {
        let (key, value) = (encode_key::<K>(key)?, encode_value::<V>(value)?);
        self.push(key.as_ref(), Some(value.as_ref()))
    }

    /// Removes a key, after the changes so far.
    ///
    /// # Errors
    /// `Codec` if the key cannot be encoded. Then the batch is as before.
    pub fn delete(&mut self, key: &K::Item) -> Result<&mut Self> {
        let key = encode_key::<K>(key)?;
        self.push(key.as_ref(), None)
    }

    /// Returns the number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether there is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the bytes of the encoded changes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.changes.len()
    }

    /// Removes all changes from the batch.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.count = 0;
    }

    fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<&mut Self> {
        let is_other = |width: Option<usize>, bytes: &[u8]| {
            width.is_some_and(|width| width != bytes.len()) || u32::try_from(bytes.len()).is_err()
        };
        if is_other(K::WIDTH, key) || value.is_some_and(|value| is_other(V::WIDTH, value)) {
            return Err(Error::invalid("a key or value is not as long as its type says"));
        }
        append_change(&mut self.changes, key, value);
        self.count += 1;
        Ok(self)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Session<K, V> {
    /// Makes all changes of a batch, and sets the [offset](Self::set_offset) after them. A recovery
    /// finds all of them and the offset, or none of them and the offset before.
    ///
    /// So a session that writes in batches alone comes back exactly at its offset, whenever the
    /// crash came: by a checkpoint, and by the write-ahead log if the store has one. The batch
    /// takes a [serial number](Self::serial) for each change. A change may follow an earlier one of
    /// the same key.
    ///
    /// It is no transaction: other tasks may see some of the changes before the others. With a
    /// write-ahead log other writers of these keys wait meanwhile. A checkpoint waits until the
    /// batches that have begun have taken effect.
    ///
    /// ```
    /// # use kvick::{Config, FasterKv};
    /// # use kvick::config::Backend;
    /// use kvick::session::WriteBatch;
    ///
    /// # kvick::runtime::block_on(async {
    /// # let config = Config::default().with_backend(Backend::Memory);
    /// # let store: FasterKv<str, u64> = FasterKv::open("unused", config).await?;
    /// let mut session = store.session_named("orders")?;
    /// let from = session.offset().map_or(0, |offset| {
    ///     u64::from_le_bytes(offset.bytes.try_into().expect("as set below"))
    /// });
    /// for (number, apples) in [(from + 1, 3_u64), (from + 2, 5)] {
    ///     let sum = session.read("apples").await?.unwrap_or(0) + apples;
    ///     let mut batch = WriteBatch::new();
    ///     batch.upsert("apples", &sum)?.upsert("last", &apples)?;
    ///     session.write_batch(&batch, &number.to_le_bytes()).await?;
    /// }
    /// assert_eq!(session.read("apples").await?, Some(8));
    /// # drop(session);
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` for a key, value or offset that is too long; for a batch of more than 1
    /// MiB, or of more than the write-ahead log takes at once; or if an earlier operation of the
    /// session is undone. As for [`upsert`](Self::upsert), if there is no space. Then nothing has
    /// changed. After `Poisoned` and `Closed`, and after an error of the commit that a durable
    /// session waits for, it is unknown whether the batch is recovered.
    ///
    /// # Cancel safety
    /// All of the batch takes effect, or nothing of it. It is not known which; the
    /// [offset](Self::offset) tells.
    pub async fn write_batch(&mut self, batch: &WriteBatch<K, V>, offset: &[u8]) -> Result<()> {
        let (table, handle) = self.place.shared();
        write_whole(&table, self.place.access().0, (batch.changes.clone(), offset), &handle).await
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> Default for WriteBatch<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized> fmt::Debug for WriteBatch<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("WriteBatch");
        debug.field("count", &self.count).field("bytes", &self.changes.len()).finish()
    }
}
