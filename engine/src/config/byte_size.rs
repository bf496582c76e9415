//! Amounts of bytes, as users write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::error::Error;

/// A number of bytes, written as `"256MiB"`, `"1.5 GiB"`, `"64KB"` or a plain number.
///
/// `KiB`, `MiB`, `GiB` and `TiB` are powers of 1024; `KB`, `MB`, `GB` and `TB` are powers of 1000.
/// Case does not matter. A bare `K` or `M` is refused, since it could mean either.
///
/// ```
/// use kvick::config::ByteSize;
///
/// let size: ByteSize = "1.5GiB".parse()?;
/// assert_eq!(size, ByteSize::mib(1536));
/// assert_eq!(size.bytes(), 1_610_612_736);
/// assert_eq!(size.to_string(), "1536MiB");
/// # Ok::<(), kvick::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const BINARY: [(&str, u64); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const DECIMAL: [(&str, u64); 4] =
    [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)];
/// The number of digits after the point that count; further digits do not move a byte of 16 TiB.
const FRACTION_DIGITS: usize = 15;

impl ByteSize {
    /// Returns a size of `bytes` bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns a size of `amount` times 1024 bytes, at most `u64::MAX` bytes.
    #[must_use]
    pub const fn kib(amount: u64) -> Self {
        Self(amount.saturating_mul(1 << 10))
    }

    /// Returns a size of `amount` times 1024 KiB, at most `u64::MAX` bytes.
    #[must_use]
    pub const fn mib(amount: u64) -> Self {
        Self(amount.saturating_mul(1 << 20))
    }

    /// Returns a size of `amount` times 1024 MiB, at most `u64::MAX` bytes.
    #[must_use]
    pub const fn gib(amount: u64) -> Self {
        Self(amount.saturating_mul(1 << 30))
    }

    /// Returns the number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl From<u64> for ByteSize {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused =
            |reason| Error::invalid(format!("{text:?} is not a size such as \"256MiB\": {reason}"));
        parse(text.trim()).map(Self).map_err(refused)
    }
}

/// Parses a size exactly: in binary floating point "0.1GB" would be another number.
fn parse(text: &str) -> Result<u64, &'static str> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit_bytes(unit.trim_start())?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') {
        return Err("it does not start with a number");
    }
    if fraction.contains('.') {
        return Err("it has two decimal points");
    }
    if !fraction.is_empty() && unit == 1 {
        return Err("there is no fraction of a byte");
    }
    let too_large = "it is beyond 16 EiB";
    let whole: u64 = whole.parse().map_err(|_| too_large)?;
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let digits = u32::try_from(fraction.len()).expect("at most FRACTION_DIGITS");
    let fraction: u128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().expect("at most FRACTION_DIGITS digits fit")
    };
    let part = fraction * u128::from(unit) / 10_u128.pow(digits);
    u64::try_from(u128::from(whole) * u128::from(unit) + part).map_err(|_| too_large)
}

fn unit_bytes(unit: &str) -> Result<u64, &'static str> {
    if unit.is_empty() || unit.eq_ignore_ascii_case("B") {
        return Ok(1);
    }
    let known = BINARY.iter().chain(&DECIMAL).find(|(name, _)| unit.eq_ignore_ascii_case(name));
    match known {
        Some((_, bytes)) => Ok(*bytes),
        None => Err("its unit is none of B, KiB, MiB, GiB, TiB, KB, MB, GB, TB"),
    }
}

impl fmt::Display for ByteSize {
    /// Writes the size in the largest binary unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = BINARY.iter().find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit));
        match unit {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl serde::de::Visitor<'_> for Visitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes or a size such as \"256MiB\"")
    }

    fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
        let negative = |_| E::invalid_value(serde::de::Unexpected::Signed(bytes), &self);
        u64::try_from(bytes).map(ByteSize).map_err(negative)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_exactly() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            (" 4 KiB ", 4096),
            ("4kib", 4096),
            ("256MiB", 256 << 20),
            ("1.5GiB", 3 << 29),
            ("0.5KiB", 512),
            ("2TiB", 2 << 40),
            ("64KB", 64_000),
            ("0.1GB", 100_000_000),
            ("1.000000000000000000001KB", 1000),
            ("1TB", 1_000_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse::<ByteSize>().expect(text), ByteSize(bytes));
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "start with a number"),
            ("MiB", "start with a number"),
            ("-1", "its unit is none of"),
            (".5MiB", "start with a number"),
            ("1.MiB", "start with a number"),
            ("1.2.3MiB", "two decimal points"),
            ("1.5", "no fraction of a byte"),
            ("1.5B", "no fraction of a byte"),
            ("256M", "its unit is none of"),
            ("256MiBs", "its unit is none of"),
            ("1e9", "its unit is none of"),
            ("1 \u{663}", "its unit is none of"),
            ("16777216TiB", "beyond 16 EiB"),
            ("18446744073709551616", "beyond 16 EiB"),
            ("99999999999999999999999TiB", "beyond 16 EiB"),
        ] {
            let error = text.parse::<ByteSize>().expect_err(text);
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        for (size, text) in [
            (ByteSize(0), "0B"),
            (ByteSize(1000), "1000B"),
            (ByteSize::kib(4), "4KiB"),
            (ByteSize::mib(1536), "1536MiB"),
            (ByteSize::gib(2048), "2TiB"),
            (ByteSize(u64::MAX), "18446744073709551615B"),
        ] {
            assert_eq!(size.to_string(), text);
            assert_eq!(text.parse::<ByteSize>().expect(text), size);
        }
        assert_eq!(ByteSize::gib(u64::MAX).bytes(), u64::MAX);
    }
}
