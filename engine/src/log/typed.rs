//! Entries of one type.

use super::Address;
use super::handle::FasterLog;
use crate::base::error::{Error, Result};
use crate::codec::Value;
use futures::stream::{BoxStream, StreamExt};
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;

/// A view of a [`FasterLog`] whose entries are encoded values of one type, made by
/// [`FasterLog::typed`]. The log does not store the type; its readers must know it.
///
/// Named iterators, batches and followers have bytes only. Decode the payload of an entry with
/// [`Value::decode`] there.
pub struct TypedLog<V: Value + ?Sized> {
    log: FasterLog,
    _type: PhantomData<fn(&V)>,
}

impl FasterLog {
    /// Returns a view of this log as a log of values.
    #[must_use]
    pub fn typed<V: Value + ?Sized>(&self) -> TypedLog<V> {
        TypedLog { log: self.clone(), _type: PhantomData }
    }
}

impl<V: Value + ?Sized> TypedLog<V> {
    /// Returns the underlying log of bytes.
    #[must_use]
    pub fn log(&self) -> &FasterLog {
        &self.log
    }

    /// Appends a value; see [`FasterLog::append`].
    ///
    /// # Errors
    /// `Codec` if it cannot be encoded, others as [`FasterLog::append`].
    ///
    /// # Cancel safety
    /// As [`FasterLog::append`].
    pub async fn append(&self, item: &V::Item) -> Result<Address>
    where
        V::Item: Sync,
    {
        let bytes = encode::<V>(item)?;
        self.log.append(bytes.as_ref()).await
    }

    /// Appends a value and waits until it is durable; see [`FasterLog::append_durable`].
    ///
    /// # Errors
    /// `Codec` if it cannot be encoded, others as [`FasterLog::append_durable`].
    ///
    /// # Cancel safety
    /// As [`FasterLog::append_durable`].
    pub async fn append_durable(&self, item: &V::Item) -> Result<Address>
    where
        V::Item: Sync,
    {
        let bytes = encode::<V>(item)?;
        self.log.append_durable(bytes.as_ref()).await
    }

    /// Returns the value at `address`; see [`FasterLog::read`].
    pub async fn read(&self, address: Address) -> Result<Option<V::Owned>> {
        let bytes = self.log.read(address).await?;
        bytes.map(|bytes| decode::<V>(address, &bytes)).transpose()
    }

    /// Returns the committed values that begin in `range`, with their addresses; see
    /// [`FasterLog::scan`].
    pub fn scan(&self, range: impl RangeBounds<Address>) -> TypedScan<V> {
        Self::values(self.log.scan(range))
    }

    /// Returns all values from `address` on, and later values as they are committed; see
    /// [`FasterLog::follow_from`].
    pub fn follow_from(&self, address: Address) -> TypedScan<V> {
        Self::values(self.log.follow_from(address))
    }

    fn values(scan: super::Scan) -> TypedScan<V> {
        let values = scan.map(|entry| {
            let entry = entry?;
            Ok((entry.address, decode::<V>(entry.address, &entry.payload)?))
        });
        values.boxed()
    }
}

/// A stream of values with their addresses.
pub type TypedScan<V> = BoxStream<'static, Result<(Address, <V as Value>::Owned)>>;

fn decode<V: Value + ?Sized>(address: Address, bytes: &[u8]) -> Result<V::Owned> {
    V::decode(bytes).map_err(|error| {
        let name = std::any::type_name::<V>();
        Error::codec(format!("decoding the entry at address {address} as {name}"), error)
    })
}

impl<V: Value + ?Sized> Clone for TypedLog<V> {
    fn clone(&self) -> Self {
        self.log.typed()
    }
}

impl<V: Value + ?Sized> fmt::Debug for TypedLog<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TypedLog")
            .field("type", &V::type_name())
            .field("log", &self.log)
            .finish()
    }
}

fn encode<V: Value + ?Sized>(item: &V::Item) -> Result<V::Bytes<'_>> {
    V::encode(item).map_err(|error| {
        Error::codec(format!("encoding an entry as {}", std::any::type_name::<V>()), error)
    })
}
