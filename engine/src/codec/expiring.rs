//! Values of a table whose records have room for an expiry.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use super::{CodecError, Value};

/// Values `V` of a table whose records have room for a time of expiry.
///
/// No operation sets a time yet, so no record expires. A table is created with this room or without
/// it, and keeps that; an opening with the other one is refused. So create a table with it if its
/// records shall expire once that is possible.
///
/// Each record of such a table has a word for the second at which it expires. Operations take and
/// return the same items, views and bytes as those of `V`; only the records have another layout.
/// Within another type it is the same as `V`: the table of an `Option<Expiring<u32>>` has no
/// expiry.
///
/// # Cost
///
/// 4 bytes a record, and up to 4 more for alignment. Tables of other values pay nothing.
///
/// # Example
///
/// ```
/// use kvick::{Config, Database};
/// use kvick::codec::Expiring;
/// # use kvick::config::Backend;
///
/// # kvick::runtime::block_on(async {
/// # let config = Config::default().with_backend(Backend::Memory);
/// # #[cfg(any())]
/// let config = Config::default();
/// let database = Database::open("data", config).await?;
/// let tokens = database.table::<str, Expiring<u64>>("tokens").await?;
///
/// tokens.upsert("a1b2", &7).await?;
/// assert_eq!(tokens.read("a1b2").await?, Some(7));
/// assert!(database.tables()[0].has_expiry);
/// assert!(database.table::<str, u64>("tokens").await.is_err());
/// # database.close().await
/// # }).unwrap();
/// ```
pub struct Expiring<V: ?Sized>(PhantomData<fn(&V)>);

impl<V: Value + ?Sized> Value for Expiring<V> {
    type Item = V::Item;
    type Owned = V::Owned;
    type View<'a> = V::View<'a>;
    type Bytes<'a> = V::Bytes<'a>;
    const WIDTH: Option<usize> = V::WIDTH;
    const HAS_EXPIRY: bool = true;

    fn type_name() -> Cow<'static, str> {
        V::type_name()
    }

    fn fingerprint() -> Cow<'static, str> {
        V::fingerprint()
    }

    fn accept_fingerprint(stored: &str) -> Option<&str> {
        V::accept_fingerprint(stored)
    }

    #[inline]
    fn encode(item: &V::Item) -> Result<V::Bytes<'_>, CodecError> {
        V::encode(item)
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<V::View<'_>, CodecError> {
        V::view(bytes)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<V::Owned, CodecError> {
        V::decode(bytes)
    }

    fn decode_boxed(bytes: &[u8]) -> Result<Box<V::Owned>, CodecError> {
        V::decode_boxed(bytes)
    }
}

impl<V: ?Sized> fmt::Debug for Expiring<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Expiring")
    }
}
