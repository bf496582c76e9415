//! Dates and times of the crate `time`.

use ::time::{Date, OffsetDateTime};

use super::clock::{beyond, join, split};
use super::fixed::fixed;
use crate::codec::{CodecError, Key};

fixed! { OffsetDateTime, 12, "time utc", from_time, to_time }
fixed! { Date, 4, "time date", from_date, to_date }

/// Times are equal if they are the same moment, whatever their offset, and have one encoding.
impl Key for OffsetDateTime {}
impl Key for Date {}

#[inline]
fn from_time(item: OffsetDateTime) -> Result<[u8; 12], CodecError> {
    Ok(join(item.unix_timestamp().to_le_bytes(), item.nanosecond()))
}

fn to_time(bytes: [u8; 12]) -> Result<OffsetDateTime, CodecError> {
    let (seconds, nanos) = split(bytes);
    let seconds = i64::from_le_bytes(seconds);
    OffsetDateTime::from_unix_timestamp(seconds)
        .and_then(|time| time.replace_nanosecond(nanos))
        .map_err(|_| beyond("time utc", seconds, nanos))
}

#[inline]
fn from_date(item: Date) -> Result<[u8; 4], CodecError> {
    Ok(item.to_julian_day().to_le_bytes())
}

fn to_date(bytes: [u8; 4]) -> Result<Date, CodecError> {
    Date::from_julian_day(i32::from_le_bytes(bytes))
        .map_err(|error| CodecError::malformed("time date", error))
}

#[cfg(test)]
mod tests {
    use ::time::UtcOffset;

    use super::*;
    use crate::codec::Value;
    use crate::codec::tests::{canonical, refuses_foreign_bytes, round_trip};

    #[test]
    fn one_moment_has_one_encoding_at_every_offset() {
        let before = OffsetDateTime::from_unix_timestamp_nanos(-1).expect("in 1969");
        let after = OffsetDateTime::from_unix_timestamp_nanos(1).expect("in 1970");
        canonical::<OffsetDateTime>(vec![OffsetDateTime::UNIX_EPOCH, before, after]);
        let elsewhere = before.to_offset(UtcOffset::from_hms(5, 30, 0).expect("an offset"));
        assert_eq!(elsewhere, before);
        assert_eq!(round_trip::<OffsetDateTime>(elsewhere), round_trip::<OffsetDateTime>(before));
        assert_eq!(round_trip::<OffsetDateTime>(before)[..8], (-1_i64).to_le_bytes());
        let error = OffsetDateTime::decode(&[255; 12]).expect_err("no such nanoseconds");
        assert!(error.to_string().contains("4294967295 nanoseconds"), "{error}");
        assert!(refuses_foreign_bytes::<OffsetDateTime>() > 0);
    }

    #[test]
    fn dates() {
        canonical::<Date>(vec![Date::MIN, Date::MAX]);
        assert!(Date::decode(&i32::MAX.to_le_bytes()).is_err());
        assert!(refuses_foreign_bytes::<Date>() > 0);
    }
}
