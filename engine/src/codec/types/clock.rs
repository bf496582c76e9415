//! Spans and points of time, in seconds and nanoseconds.

use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fixed::fixed;
use crate::codec::{CodecError, Key};

const NANOS_PER_SECOND: u32 = 1_000_000_000;

fixed! { Duration, 12, "duration", from_duration, to_duration }
fixed! { SystemTime, 12, "system time", from_system_time, to_system_time }

impl Key for Duration {}
impl Key for SystemTime {}

#[inline]
fn from_duration(item: Duration) -> Result<[u8; 12], CodecError> {
    Ok(join(item.as_secs().to_le_bytes(), item.subsec_nanos()))
}

#[inline]
fn to_duration(bytes: [u8; 12]) -> Result<Duration, CodecError> {
    let (seconds, nanos) = split(bytes);
    Ok(Duration::new(u64::from_le_bytes(seconds), within_second("duration", nanos)?))
}

fn from_system_time(item: SystemTime) -> Result<[u8; 12], CodecError> {
    let (seconds, nanos) = match item.duration_since(UNIX_EPOCH) {
        Ok(after) => (i128::from(after.as_secs()), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            match (-i128::from(before.as_secs()), before.subsec_nanos()) {
                (seconds, 0) => (seconds, 0),
                (seconds, nanos) => (seconds - 1, NANOS_PER_SECOND - nanos),
            }
        }
    };
    let seconds = i64::try_from(seconds).map_err(|_| beyond("system time", seconds, nanos))?;
    Ok(join(seconds.to_le_bytes(), nanos))
}

fn to_system_time(bytes: [u8; 12]) -> Result<SystemTime, CodecError> {
    let (seconds, nanos) = split(bytes);
    let seconds = i64::from_le_bytes(seconds);
    let fraction = Duration::new(0, within_second("system time", nanos)?);
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let second = if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    let time = second
        .and_then(|second| second.checked_add(fraction))
        .ok_or_else(|| beyond("system time", seconds, nanos))?;
    // The clock of some systems is coarser than a nanosecond.
    if from_system_time(time)? == bytes {
        Ok(time)
    } else {
        Err(CodecError::malformed("system time", "finer than the clock of this system"))
    }
}

/// Returns seconds, already in bytes, and nanoseconds as one array.
#[inline]
pub(super) fn join(seconds: [u8; 8], nanos: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&seconds);
    bytes[8..].copy_from_slice(&nanos.to_le_bytes());
    bytes
}

/// Returns the seconds, still in bytes, and the nanoseconds of an array.
#[inline]
pub(super) fn split(bytes: [u8; 12]) -> ([u8; 8], u32) {
    let [s0, s1, s2, s3, s4, s5, s6, s7, nanos @ ..] = bytes;
    ([s0, s1, s2, s3, s4, s5, s6, s7], u32::from_le_bytes(nanos))
}

/// Checks that `nanos` are less than a second.
#[inline]
fn within_second(type_name: &str, nanos: u32) -> Result<u32, CodecError> {
    if nanos < NANOS_PER_SECOND {
        Ok(nanos)
    } else {
        let reason = format_args!("{nanos} nanoseconds, a second has {NANOS_PER_SECOND}");
        Err(CodecError::malformed(type_name, reason))
    }
}

#[cold]
pub(super) fn beyond(type_name: &str, seconds: impl Display, nanos: u32) -> CodecError {
    let reason = format_args!("{seconds} seconds and {nanos} nanoseconds from 1970 are no time");
    CodecError::malformed(type_name, reason)
}
