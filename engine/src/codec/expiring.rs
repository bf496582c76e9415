//! Values of a table whose keys may expire.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use super::{CodecError, Encoded, Value};

/// Values `V` of a table whose keys may expire.
///
/// [`upsert_with`](crate::Session::upsert_with) and [`insert_with`](crate::Session::insert_with)
/// set a value and its [`Expiry`](crate::session::Expiry).
/// [`set_expiry`](crate::Session::set_expiry) and [`persist`](crate::Session::persist) change when
/// a key expires, and [`expiry`](crate::Session::expiry) returns it.
/// [`update_with`](crate::Session::update_with) sees and sets both in one step. An expired key is
/// absent for every operation: `read` returns `None`, the closure of `rmw` gets `None`,
/// `insert_if_absent` sets a value.
///
/// | operation | expiry of the new value |
/// |---|---|
/// | `upsert`, `upsert_many` | never |
/// | `upsert_with`, `insert_with`, `update_with` | as given |
/// | `rmw`, `update`, `replace`, `compare_and_swap` on a present key | that of the old value |
/// | the same on an absent or expired key; `insert_if_absent` | never |
///
/// A table is created with expiry or without it, and keeps that; an opening with the other one is
/// refused. Operations take and return the same items, views and bytes as those of `V`; only the
/// records have another layout. Within another type it is the same as `V`: the table of an
/// `Option<Expiring<u32>>` has no expiry.
///
/// # Cost
///
/// 4 bytes a record, and up to 4 more for alignment. An operation that finds a record with an
/// expiry reads the [clock](crate::Builder::clock). Tables of other values pay nothing.
///
/// An expired record stays in the log, as a deleted one does.
///
/// # Example
///
/// ```
/// use kvick::{Config, Database};
/// use kvick::codec::Expiring;
/// use kvick::session::Expiry;
/// use std::time::Duration;
/// # use kvick::config::Backend;
///
/// # kvick::runtime::block_on(async {
/// # let config = Config::default().with_backend(Backend::Memory);
/// # #[cfg(any())]
/// let config = Config::default();
/// let database = Database::open("data", config).await?;
/// let tokens = database.table::<str, Expiring<u64>>("tokens").await?;
///
/// let hour = Expiry::after(Duration::from_secs(3600));
/// tokens.upsert_with("a1b2", &7, hour).await?;
/// assert_eq!(tokens.read("a1b2").await?, Some(7));
/// tokens.persist("a1b2").await?;
/// assert_eq!(tokens.expiry("a1b2").await?, Some(Expiry::never()));
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

/// Values of a table whose keys may expire: [`Expiring`] values, and [`Encoded`] ones of them.
///
/// A value type of your own with [`HAS_EXPIRY`](Value::HAS_EXPIRY) implements it too.
#[diagnostic::on_unimplemented(
    message = "keys of a table of `{Self}` never expire",
    note = "open the table with values `Expiring<..>`; a table without expiry cannot get it later"
)]
pub trait Expires: Value {}

impl<V: Value + ?Sized> Expires for Expiring<V> {}

impl<V: Expires + ?Sized> Expires for Encoded<V> {}

impl<V: ?Sized> fmt::Debug for Expiring<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Expiring")
    }
}
