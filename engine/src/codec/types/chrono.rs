//! Dates and times of the crate `chrono`.

use ::chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Utc};

use super::clock::{beyond, join, split};
use super::fixed::fixed;
use crate::codec::{CodecError, Key};

fixed! { DateTime<Utc>, 12, "chrono utc", from_utc, to_utc }
fixed! { NaiveDateTime, 12, "chrono naive", from_naive, to_naive }
fixed! { NaiveDate, 4, "chrono date", from_date, to_date }

impl Key for DateTime<Utc> {}
impl Key for NaiveDateTime {}
impl Key for NaiveDate {}

/// A leap second has up to two seconds of nanoseconds, as in the crate.
#[inline]
fn from_utc(item: DateTime<Utc>) -> Result<[u8; 12], CodecError> {
    Ok(join(item.timestamp().to_le_bytes(), item.timestamp_subsec_nanos()))
}

fn to_utc(bytes: [u8; 12]) -> Result<DateTime<Utc>, CodecError> {
    let (seconds, nanos) = split(bytes);
    let seconds = i64::from_le_bytes(seconds);
    DateTime::from_timestamp(seconds, nanos).ok_or_else(|| beyond("chrono utc", seconds, nanos))
}

#[inline]
fn from_naive(item: NaiveDateTime) -> Result<[u8; 12], CodecError> {
    from_utc(item.and_utc())
}

fn to_naive(bytes: [u8; 12]) -> Result<NaiveDateTime, CodecError> {
    to_utc(bytes).map(|time| time.naive_utc())
}

#[inline]
fn from_date(item: NaiveDate) -> Result<[u8; 4], CodecError> {
    Ok(item.num_days_from_ce().to_le_bytes())
}

fn to_date(bytes: [u8; 4]) -> Result<NaiveDate, CodecError> {
    let day = i32::from_le_bytes(bytes);
    NaiveDate::from_num_days_from_ce_opt(day).ok_or_else(|| {
        CodecError::malformed("chrono date", format_args!("day {day} is beyond its range"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{canonical, refuses_foreign_bytes, round_trip};

    #[test]
    fn times_from_the_least_to_the_greatest() {
        let leap = DateTime::from_timestamp(59, 1_500_000_000).expect("a leap second");
        canonical::<DateTime<Utc>>(vec![
            DateTime::UNIX_EPOCH,
            DateTime::from_timestamp(-1, 1).expect("in 1969"),
            DateTime::<Utc>::MIN_UTC,
            DateTime::<Utc>::MAX_UTC,
            DateTime::from_timestamp(60, 500_000_000).expect("not that leap second"),
            leap,
        ]);
        canonical::<NaiveDateTime>(vec![NaiveDateTime::MIN, NaiveDateTime::MAX, leap.naive_utc()]);
        let bytes = round_trip::<DateTime<Utc>>(DateTime::from_timestamp(-1, 1).expect("1969"));
        assert_eq!(bytes[..8], (-1_i64).to_le_bytes());
        assert!(refuses_foreign_bytes::<DateTime<Utc>>() > 0);
        let error = to_utc([255; 12]).expect_err("no such nanoseconds");
        let text = error.to_string();
        assert!(text.contains("-1 seconds and 4294967295 nanoseconds"), "{text}");
    }

    #[test]
    fn dates() {
        canonical::<NaiveDate>(vec![NaiveDate::MIN, NaiveDate::MAX, NaiveDate::default()]);
        assert!(to_date(i32::MAX.to_le_bytes()).is_err());
        assert!(refuses_foreign_bytes::<NaiveDate>() > 0);
    }
}
