//! Values made of values: `Option` and tuples.

use std::borrow::{Borrow, Cow};

use super::{CodecError, Key, Value};

/// The bytes of an encoded `Option` or tuple; up to 38 bytes need no allocation.
#[derive(Clone, Debug)]
pub struct Packed(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Vec<u8>),
}

const INLINE: usize = 38;
const LENGTH_PREFIX: usize = size_of::<u32>();

impl Packed {
    const EMPTY: Self = Self(Repr::Inline { len: 0, bytes: [0; INLINE] });

    #[inline]
    fn push(&mut self, more: &[u8]) {
        match &mut self.0 {
            Repr::Heap(bytes) => bytes.extend_from_slice(more),
            Repr::Inline { len, bytes } => {
                let start = usize::from(*len);
                let end = start + more.len();
                if end <= INLINE {
                    bytes[start..end].copy_from_slice(more);
                    *len = u8::try_from(end).expect("INLINE fits a byte");
                } else {
                    let mut heap = Vec::with_capacity(end);
                    heap.extend_from_slice(&bytes[..start]);
                    heap.extend_from_slice(more);
                    self.0 = Repr::Heap(heap);
                }
            }
        }
    }

    /// Adds a member that is not the last. Its length comes first, unless its type has a width.
    fn push_member<M: Value>(&mut self, item: &M::Item) -> Result<(), CodecError> {
        let bytes = M::encode(item)?;
        let bytes = bytes.as_ref();
        if M::WIDTH.is_none() {
            let len = u32::try_from(bytes.len()).map_err(|_| {
                let reason = format_args!("{} bytes, a tuple holds 4 GiB a member", bytes.len());
                CodecError::malformed(&M::type_name(), reason)
            })?;
            self.push(&len.to_le_bytes());
        }
        self.push(bytes);
        Ok(())
    }
}

impl AsRef<[u8]> for Packed {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(bytes) => bytes,
        }
    }
}

/// Removes the bytes of one member from the front of `rest` and returns them.
fn take_member<'a, M: Value>(rest: &mut &'a [u8]) -> Result<&'a [u8], CodecError> {
    let too_short = |got| CodecError::malformed(&M::type_name(), format_args!("ends after {got}"));
    let width = match M::WIDTH {
        Some(width) => width,
        None => {
            let (prefix, tail) =
                rest.split_first_chunk::<LENGTH_PREFIX>().ok_or_else(|| too_short(rest.len()))?;
            *rest = tail;
            usize::try_from(u32::from_le_bytes(*prefix)).expect("32 bits fit an address")
        }
    };
    let (member, tail) = rest.split_at_checked(width).ok_or_else(|| too_short(rest.len()))?;
    *rest = tail;
    Ok(member)
}

impl<T: Value> Value for Option<T> {
    type Item = Option<T::Owned>;
    type Owned = Option<T::Owned>;
    type View<'a> = Option<T::View<'a>>;
    type Bytes<'a> = Packed;
    const WIDTH: Option<usize> = match T::WIDTH {
        Some(width) => Some(1 + width),
        None => None,
    };

    fn type_name() -> Cow<'static, str> {
        Cow::Owned(format!("option<{}>", T::type_name()))
    }

    fn fingerprint() -> Cow<'static, str> {
        Cow::Owned(format!("option<{}>", T::fingerprint()))
    }

    #[inline]
    fn encode(item: &Option<T::Owned>) -> Result<Packed, CodecError> {
        let mut packed = Packed::EMPTY;
        if let Some(item) = item {
            packed.push(&[1]);
            packed.push(T::encode(item.borrow())?.as_ref());
        } else {
            for _ in 0..Self::WIDTH.unwrap_or(1) {
                packed.push(&[0]);
            }
        }
        Ok(packed)
    }

    #[inline]
    fn view(bytes: &[u8]) -> Result<Option<T::View<'_>>, CodecError> {
        some_bytes::<T>(bytes)?.map(T::view).transpose()
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Option<T::Owned>, CodecError> {
        some_bytes::<T>(bytes)?.map(T::decode).transpose()
    }
}

impl<T: Key> Key for Option<T> {}

/// Returns the bytes inside `Some`.
fn some_bytes<T: Value>(bytes: &[u8]) -> Result<Option<&[u8]>, CodecError> {
    let malformed =
        |reason: &str| Err(CodecError::malformed(&<Option<T> as Value>::type_name(), reason));
    match bytes {
        [1, some @ ..] => Ok(Some(some)),
        [0, none @ ..] if none.len() != T::WIDTH.unwrap_or(0) => malformed("none of wrong length"),
        [0, none @ ..] if none.iter().any(|&byte| byte != 0) => malformed("none is not all zeros"),
        [0, ..] => Ok(None),
        _ => malformed("does not start with 0 or 1"),
    }
}

macro_rules! tuple {
    ($($init:ident $index:tt),+; $last:ident $last_index:tt) => {
        impl<$($init: Value,)+ $last: Value> Value for ($($init,)+ $last) {
            type Item = ($($init::Owned,)+ $last::Owned);
            type Owned = ($($init::Owned,)+ $last::Owned);
            type View<'a> = ($($init::View<'a>,)+ $last::View<'a>);
            type Bytes<'a> = Packed;
            const WIDTH: Option<usize> = sum(&[$($init::WIDTH,)+ $last::WIDTH]);

            fn type_name() -> Cow<'static, str> {
                let names = [$($init::type_name(),)+ $last::type_name()];
                Cow::Owned(format!("({})", names.join(", ")))
            }

            fn fingerprint() -> Cow<'static, str> {
                let members = [$($init::fingerprint(),)+ $last::fingerprint()];
                Cow::Owned(format!("({})", members.join(", ")))
            }

            #[inline]
            fn encode(item: &Self::Item) -> Result<Packed, CodecError> {
                let mut packed = Packed::EMPTY;
                $(packed.push_member::<$init>(item.$index.borrow())?;)+
                packed.push($last::encode(item.$last_index.borrow())?.as_ref());
                Ok(packed)
            }

            #[inline]
            fn view(bytes: &[u8]) -> Result<Self::View<'_>, CodecError> {
                let mut rest = bytes;
                Ok(($($init::view(take_member::<$init>(&mut rest)?)?,)+ $last::view(rest)?))
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self::Owned, CodecError> {
                let mut rest = bytes;
                Ok(($($init::decode(take_member::<$init>(&mut rest)?)?,)+ $last::decode(rest)?))
            }
        }

        impl<$($init: Key,)+ $last: Key> Key for ($($init,)+ $last) {}
    };
}

tuple! { A 0; B 1 }
tuple! { A 0, B 1; C 2 }
tuple! { A 0, B 1, C 2; D 3 }

const fn sum(widths: &[Option<usize>]) -> Option<usize> {
    let mut total = 0;
    let mut member = 0;
    while member < widths.len() {
        match widths[member] {
            Some(width) => total += width,
            None => return None,
        }
        member += 1;
    }
    Some(total)
}

const _: () = assert!(size_of::<Packed>() == 40);
