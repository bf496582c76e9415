//! Values made of values: `Option` and tuples.

use std::borrow::{Borrow, Cow};

use super::packed::{Members, Packed, sum, take_member};
use super::{CodecError, Key, Value};

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

    fn accept_fingerprint(stored: &str) -> Option<&str> {
        T::accept_fingerprint(stored.strip_prefix("option<")?)?.strip_prefix('>')
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
    ($($init:ident $item:ident $index:tt),+; $last:ident $last_item:ident $last_index:tt) => {
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

            fn accept_fingerprint(stored: &str) -> Option<&str> {
                let rest = stored.strip_prefix('(')?;
                $(let rest = $init::accept_fingerprint(rest)?.strip_prefix(", ")?;)+
                $last::accept_fingerprint(rest)?.strip_prefix(')')
            }

            #[inline]
            fn encode(item: &Self::Item) -> Result<Packed, CodecError> {
                Members::<Self>::pack(item)
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

        impl<$($init: Value,)+ $last: Value, $($item,)+ $last_item> Members<($($init,)+ $last)>
            for ($($item,)+ $last_item)
        where
            $($item: Borrow<$init::Item>,)+
            $last_item: Borrow<$last::Item>,
        {
            #[inline]
            fn pack(&self) -> Result<Packed, CodecError> {
                let mut packed = Packed::EMPTY;
                $(packed.push_member::<$init>(self.$index.borrow())?;)+
                packed.push($last::encode(self.$last_index.borrow())?.as_ref());
                Ok(packed)
            }
        }
    };
}

tuple! { A AA 0; B BB 1 }
tuple! { A AA 0, B BB 1; C CC 2 }
tuple! { A AA 0, B BB 1, C CC 2; D DD 3 }
tuple! { A AA 0, B BB 1, C CC 2, D DD 3; E EE 4 }
tuple! { A AA 0, B BB 1, C CC 2, D DD 3, E EE 4; F FF 5 }
tuple! { A AA 0, B BB 1, C CC 2, D DD 3, E EE 4, F FF 5; G GG 6 }
tuple! { A AA 0, B BB 1, C CC 2, D DD 3, E EE 4, F FF 5, G GG 6; H HH 7 }
tuple! { A AA 0, B BB 1, C CC 2, D DD 3, E EE 4, F FF 5, G GG 6, H HH 7; I II 8 }
tuple! { A AA 0, B BB 1, C CC 2, D DD 3, E EE 4, F FF 5, G GG 6, H HH 7, I II 8; J JJ 9 }
tuple! { A AA 0, B BB 1, C CC 2, D DD 3, E EE 4, F FF 5, G GG 6, H HH 7, I II 8, J JJ 9; K KK 10 }
tuple! {
    A AA 0, B BB 1, C CC 2, D DD 3, E EE 4, F FF 5, G GG 6, H HH 7, I II 8, J JJ 9, K KK 10;
    L LL 11
}
