//! UUIDs, in the order of their digits.

use ::uuid::Uuid;

use super::fixed::fixed;
use crate::codec::{CodecError, Key};

fixed! { Uuid, 16, "uuid", from_uuid, to_uuid }

impl Key for Uuid {}

#[inline]
fn from_uuid(item: Uuid) -> Result<[u8; 16], CodecError> {
    Ok(item.into_bytes())
}

#[inline]
fn to_uuid(bytes: [u8; 16]) -> Result<Uuid, CodecError> {
    Ok(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{canonical, refuses_foreign_bytes, round_trip};

    #[test]
    fn digits_are_stored_in_their_order() {
        let uuid = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        canonical::<Uuid>(vec![Uuid::nil(), Uuid::max(), uuid]);
        assert_eq!(round_trip::<Uuid>(uuid)[..3], [1, 2, 3]);
        assert!(refuses_foreign_bytes::<Uuid>() > 0);
    }
}
