//! Entries of one type.

use super::LogAddress;
use super::log::FasterLog;
use crate::codec::Value;
use crate::error::{Error, Result};
use futures::stream::{BoxStream, StreamExt};
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;

/// A log whose entries are encoded values of one type: a view of a [`FasterLog`], made by
/// [`FasterLog::typed`]. The log does not know the type; whoever reads it has to.
///
/// ```
/// # use kvick::{Backend, FasterLog, LogConfig};
/// # use futures::TryStreamExt;
/// # kvick::runtime::block_on(async {
/// # let config = LogConfig::default().with_backend(Backend::Memory);
/// let log = FasterLog::open("unused", config).await?;
/// let pairs = log.typed::<(u64, String)>();
/// pairs.append(&(7, "seven".to_owned())).await?;
/// log.commit().await?;
/// let read: Vec<_> = pairs.scan(..).map_ok(|(_, pair)| pair).try_collect().await?;
/// assert_eq!(read, [(7, "seven".to_owned())]);
/// # log.close().await
/// # }).unwrap();
/// ```
pub struct TypedLog<V: Value + ?Sized> {
    log: FasterLog,
    _type: PhantomData<fn(&V)>,
}

impl FasterLog {
    /// This log as one of values.
    #[must_use]
    pub fn typed<V: Value + ?Sized>(&self) -> TypedLog<V> {
        TypedLog { log: self.clone(), _type: PhantomData }
    }
}

impl<V: Value + ?Sized> TypedLog<V> {
    /// The log of bytes.
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
    pub async fn append(&self, item: &V::Item) -> Result<LogAddress>
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
    pub async fn append_durable(&self, item: &V::Item) -> Result<LogAddress>
    where
        V::Item: Sync,
    {
        let bytes = encode::<V>(item)?;
        self.log.append_durable(bytes.as_ref()).await
    }

    /// The value at `address`; see [`FasterLog::read`].
    ///
    /// # Errors
    /// `Codec` if the entry is no value of this type, others as [`FasterLog::read`].
    ///
    /// # Cancel safety
    /// As [`FasterLog::read`].
    pub async fn read(&self, address: LogAddress) -> Result<Option<V::Owned>> {
        let bytes = self.log.read(address).await?;
        bytes.map(|bytes| decode::<V>(address, &bytes)).transpose()
    }

    /// The committed values that begin in `range`, and where they are; see [`FasterLog::scan`].
    pub fn scan(&self, range: impl RangeBounds<LogAddress>) -> Values<V> {
        Self::values(self.log.scan(range))
    }

    /// All values from `address` on, and then those that are committed later; see
    /// [`FasterLog::tail_from`].
    pub fn tail_from(&self, address: LogAddress) -> Values<V> {
        Self::values(self.log.tail_from(address))
    }

    fn values(scan: super::Scan) -> Values<V> {
        let values = scan.map(|entry| {
            let entry = entry?;
            Ok((entry.address, decode::<V>(entry.address, &entry.payload)?))
        });
        values.boxed()
    }
}

/// Values and where they are.
pub type Values<V> = BoxStream<'static, Result<(LogAddress, <V as Value>::Owned)>>;

fn decode<V: Value + ?Sized>(address: LogAddress, bytes: &[u8]) -> Result<V::Owned> {
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
