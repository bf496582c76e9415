//! The grammar of names in a directory, the same for every backend.

use std::io;

/// The longest accepted name. It leaves room for a segment number below the 255 bytes of file
/// systems.
const MAX_NAME: usize = 200;

/// Accepts `[a-z0-9._-]+`, except `.` and `..`.
pub(crate) fn check(name: &str) -> io::Result<()> {
    let known =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let dots = name.bytes().all(|byte| byte == b'.');
    if !name.is_empty() && name.len() <= MAX_NAME && !dots && name.bytes().all(known) {
        return Ok(());
    }
    let message = format!("file name {name:?} is invalid; use a-z, 0-9, '.', '_', '-'");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Returns the name of one segment file of a device.
pub(crate) fn segment(device: &str, index: u64) -> String {
    format!("{device}.{index:06}")
}

/// Returns the index in a segment's file name, if `file` is a segment of `device`.
pub(crate) fn segment_index(device: &str, file: &str) -> Option<u64> {
    let digits = file.strip_prefix(device)?.strip_prefix('.')?;
    let index = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    // Only the canonical spelling: "log.0000001" is no segment of this device.
    (segment(device, index) == file).then_some(index)
}

/// Returns whether a file is a segment of some device.
#[cfg(target_os = "linux")]
pub(crate) fn is_segment(file: &str) -> bool {
    file.rsplit_once('.').is_some_and(|(device, _)| segment_index(device, file).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for good in ["log", "log.000000", "a_b-c.9", ".hidden", "a..b"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "...", "A", "a/b", "a b", "\u{e9}", "a\0", &"x".repeat(201)] {
            assert_eq!(check(bad).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{bad}");
        }
    }

    #[test]
    fn segment_names_parse_back() {
        assert_eq!(segment("log", 7), "log.000007");
        for index in [0, 7, 999_999, 1_000_000] {
            assert_eq!(segment_index("log", &segment("log", index)), Some(index));
        }
        for other in
            ["log", "log.", "log.7", "log.0000007", "log.00000x", "log2.000007", "log.+00007"]
        {
            assert_eq!(segment_index("log", other), None, "{other}");
        }
    }
}
