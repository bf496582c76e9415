//! Keys and values in their encoded form, which may be made of borrowed members.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use super::packed::{Members, Packed};
use super::{CodecError, Key, Value};

/// A key or value `V` in its encoded form, as the type of a store.
///
/// A tuple such as `(String, u32)` is looked up by a reference to that tuple, which needs a
/// `String` for each lookup. A store of `Encoded<(String, u32)>` takes an encoded tuple, made of
/// [borrowed members](Self::of). Up to 38 bytes need no allocation. A derived struct has borrowed
/// members too. A derived enum has none: encode a whole enum with [`new`](Self::new).
///
/// The bytes and names are those of `V`, so a store can be opened with either type.
///
/// # Example
///
/// ```
/// use kvick::{Config, FasterKv};
/// use kvick::codec::Encoded;
/// use kvick::config::Backend;
///
/// # kvick::runtime::block_on(async {
/// # let config = Config::default().with_backend(Backend::Memory);
/// # #[cfg(any())]
/// let config = Config::default();
/// let store: FasterKv<Encoded<(String, u32)>, u64> = FasterKv::open("data", config).await?;
/// let (tenant, user): (&str, u32) = ("tenant", 7);
///
/// store.upsert(&Encoded::of((tenant, user))?, &100).await?; // no String was made
/// assert_eq!(store.read(&Encoded::of(("tenant", 7))?).await?, Some(100));
/// assert_eq!(store.read(&Encoded::new(&("tenant".to_owned(), 7))?).await?, Some(100));
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct Encoded<V: ?Sized>(Packed, PhantomData<fn(&V)>);

impl<V: Value + ?Sized> Encoded<V> {
    /// Encodes an item.
    ///
    /// # Errors
    ///
    /// Fails if the item has no encoding.
    pub fn new(item: &V::Item) -> Result<Self, CodecError> {
        let mut packed = Packed::EMPTY;
        packed.push(V::encode(item)?.as_ref());
        Ok(Self(packed, PhantomData))
    }

    /// Encodes a tuple of members, which may be borrowed.
    ///
    /// # Errors
    ///
    /// Fails if a member has no encoding.
    pub fn of(members: impl Members<V>) -> Result<Self, CodecError> {
        Ok(Self(members.pack()?, PhantomData))
    }

    /// Returns a view of the item.
    ///
    /// # Errors
    ///
    /// Fails only if `V` refuses the bytes that it has written.
    pub fn view(&self) -> Result<V::View<'_>, CodecError> {
        V::view(self.0.as_ref())
    }

    /// Decodes the item.
    ///
    /// # Errors
    ///
    /// Fails only if `V` refuses the bytes that it has written.
    pub fn decode(&self) -> Result<V::Owned, CodecError> {
        V::decode(self.0.as_ref())
    }
}

impl<V: Value + ?Sized> Value for Encoded<V> {
    type Item = Self;
    type Owned = Self;
    type View<'a> = V::View<'a>;
    type Bytes<'a> = &'a [u8];
    const WIDTH: Option<usize> = V::WIDTH;
    const HAS_EXPIRY: bool = V::HAS_EXPIRY;

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
    fn encode(item: &Self) -> Result<&[u8], CodecError> {
        Ok(item.0.as_ref())
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<V::View<'_>, CodecError> {
        V::view(bytes)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        V::view(bytes)?;
        let mut packed = Packed::EMPTY;
        packed.push(bytes);
        Ok(Self(packed, PhantomData))
    }
}

impl<K: Key + ?Sized> Key for Encoded<K> {}

impl<V: ?Sized> AsRef<[u8]> for Encoded<V> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl<V: ?Sized> Clone for Encoded<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<V: ?Sized> PartialEq for Encoded<V> {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl<V: ?Sized> Eq for Encoded<V> {}

impl<V: ?Sized> Hash for Encoded<V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl<V: ?Sized> fmt::Debug for Encoded<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoded").field(&self.as_ref()).finish()
    }
}
