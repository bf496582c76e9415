//! Numbers, sizes and durations as people read them.

use std::time::Duration;

/// Returns a number with a comma between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of bytes in the largest binary unit that it reaches, with one decimal.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, bits)| bytes >> bits > 0) {
        Some((unit, bits)) => {
            // The tenths of the rest, which is less than a unit.
            let tenths = ((bytes & ((1 << bits) - 1)) * 10) >> bits;
            format!("{}.{tenths} {unit}", bytes >> bits)
        }
        None => format!("{bytes} B"),
    }
}

/// Returns a duration in the units that it reaches: one with one decimal, or from a minute on two.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (whole, rest) = match seconds {
        0 => return fraction_of_second(duration.subsec_nanos()),
        1..60 => return format!("{seconds}.{} s", duration.subsec_millis() / 100),
        60..3600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        3600..86_400 => ((seconds / 3600, "h"), (seconds / 60 % 60, "min")),
        _ => ((seconds / 86_400, "d"), (seconds / 3600 % 24, "h")),
    };
    format!("{} {} {} {}", whole.0, whole.1, rest.0, rest.1)
}

fn fraction_of_second(nanoseconds: u32) -> String {
    match nanoseconds {
        0..1000 => format!("{nanoseconds} ns"),
        1000..1_000_000 => format!("{}.{} us", nanoseconds / 1000, nanoseconds / 100 % 10),
        _ => format!("{}.{} ms", nanoseconds / 1_000_000, nanoseconds / 100_000 % 10),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas() {
        let counts = [0, 999, 1000, 12_345, 1_000_000, u64::MAX];
        let texts = ["0", "999", "1,000", "12,345", "1,000,000", "18,446,744,073,709,551,615"];
        assert_eq!(counts.map(count), texts);
    }

    #[test]
    fn sizes_have_one_decimal() {
        let sizes = [0, 1023, 1024, 1536, 5 << 20, (3 << 40) + (1 << 39), u64::MAX];
        let texts = ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "3.5 TiB", "16777215.9 TiB"];
        assert_eq!(sizes.map(size), texts);
    }

    #[test]
    fn durations_have_the_units_that_they_reach() {
        let texts = [
            (0, "0 ns"),
            (999, "999 ns"),
            (131_072, "131.0 us"),
            (1_048_576, "1.0 ms"),
            (999_999_999, "999.9 ms"),
            (59_990_000_000, "59.9 s"),
            (60_000_000_000, "1 min 0 s"),
            (3_599_000_000_000, "59 min 59 s"),
            (86_399_000_000_000, "23 h 59 min"),
            (90_000_000_000_000, "1 d 1 h"),
        ];
        for (nanoseconds, text) in texts {
            assert_eq!(duration(Duration::from_nanos(nanoseconds)), text);
        }
    }
}
