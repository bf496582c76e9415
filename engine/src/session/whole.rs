//! Batches that are recovered whole.

use super::Session;
use super::place::Place;
use crate::base::error::{Error, Result};
use crate::codec::{Key, Value};
use crate::futures::WriteWhole;
use crate::store::encoding::{encode_key, encode_value};
use crate::store::{Types, append_change};
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
    /// `Codec` if the key or value cannot be encoded. Then the batch is as before. A key or value
    /// that is too long for a store is refused when the batch is written.
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
        if [key, value.unwrap_or_default()].iter().any(|text| u32::try_from(text.len()).is_err()) {
            return Err(Error::invalid("a key or value of 4 GiB: no store takes it; write less"));
        }
        append_change(&mut self.changes, key, value);
        self.count += 1;
        Ok(self)
    }
}

impl<K: Key + ?Sized, V: Value + ?Sized, P: Place> Session<K, V, P> {
    /// Makes all changes of a batch, and sets the [offset](Self::set_offset) after them. A recovery
    /// finds all of them and the offset, or none of them and the offset before.
    ///
    /// So a session that writes in batches alone comes back exactly at its offset, whenever the
    /// crash came: by a checkpoint, and by the write-ahead log if the store has one. The batch
    /// takes a [serial number](Self::serial) for each change. Of several changes of one key the
    /// last one counts, and the others are not made.
    ///
    /// It is no transaction: other tasks may see some of the changes before the others. A batch is
    /// one short step, in which other writers of its keys, and of some others, wait. So it is
    /// limited: to 4096 changes, whose records fit together in half a page and in 512 KiB. With a
    /// write-ahead log, they must also fit there at once. Each change appends a record, also if an
    /// [`upsert`](Self::upsert) would overwrite the value where it is.
    ///
    /// It gives the session an [id](Self::id) if it has none: checkpoints keep the session, as they
    /// keep one with an offset.
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
    /// `InvalidArgument` for a key, value or offset that is too long, for a batch over the limits,
    /// for a value that is longer than a record in a page, and if an earlier operation of the
    /// session is undone. As for [`upsert`](Self::upsert), if there is no space. Then nothing has
    /// changed.
    ///
    /// # Cancel safety
    /// A dropped future has changed nothing. If it waits until the batch is durable, it may have
    /// made all of the batch, as the [offset](Self::offset) tells.
    pub fn write_batch<'a>(
        &'a mut self,
        batch: &'a WriteBatch<K, V>,
        offset: &'a [u8],
    ) -> WriteWhole<'a, K, V> {
        WriteWhole::<K, V>::new(self.access(), &batch.changes, offset)
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
