//! The names of the files that every directory has.
//!
//! | file | contents |
//! |---|---|
//! | `lock` | held by descriptor while the directory is open |
//! | `manifest` | the manifest, replaced by rename |
//! | `manifest.new` | the next one, before its rename |
//! | `manifest.copy` | the same as `manifest`, for when that is damaged |
//! | `log.000000` ... | the log |
//! | `backup.unfinished` | nothing: the other files are of a backup that is not complete |

use crate::base::error::{Error, Result};
use kvick_io::Directory;

pub(crate) const LOCK: &str = "lock";
pub(crate) const MANIFEST: &str = "manifest";
pub(crate) const COPY: &str = "manifest.copy";
pub(crate) const LOG: &str = "log";
pub(crate) const NEW: &str = "manifest.new";
pub(crate) const UNFINISHED_BACKUP: &str = "backup.unfinished";

/// Returns the sorted names of the files in a directory.
pub(crate) async fn list(directory: &dyn Directory) -> Result<Vec<String>> {
    let listed = directory.list().await;
    listed.map_err(|error| Error::io(format!("listing {}", directory.describe()), error))
}

/// Returns the name of a segment file of a device.
pub(crate) fn segment_name(device: &str, number: u64) -> String {
    format!("{device}.{number:06}")
}

/// Returns the device of a segment file, and the number of the segment.
pub(crate) fn segment(file: &str) -> Option<(&str, u64)> {
    let (device, digits) = file.rsplit_once('.')?;
    let number = digits.parse().ok()?;
    // Accepts only exact names of segments: `log.+00000`, `log.0` and `log.txt` are foreign files.
    (file == segment_name(device, number)).then_some((device, number))
}

/// Refuses to create a store or log among foreign files, which could later pass for its own.
///
/// Hidden files do not matter, nor do the leftovers of an interrupted opening. `is_ours` accepts
/// the names that are not foreign.
///
/// # Errors
/// `AlreadyExists` with the first foreign file.
pub(crate) fn refuse_foreign(
    place: &str,
    files: &[String],
    is_ours: impl Fn(&str) -> bool,
) -> Result<()> {
    let is_left = |name: &str| {
        let is_scratch = name.starts_with("scratch-") && name.ends_with(".tmp");
        [LOCK, NEW].contains(&name) || is_scratch || name.starts_with('.')
    };
    let foreign = files.iter().find(|name| !is_left(name) && !is_ours(name));
    foreign.map_or(Ok(()), |name| {
        Err(Error::already_exists(place, &format!("{name}, which is no file of kvick's")))
    })
}

/// Returns whether a file is a segment of the log.
pub(crate) fn is_log_segment(file: &str) -> bool {
    segment(file).is_some_and(|(device, _number)| device == LOG)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    #[test]
    fn segments_are_known_by_their_names() {
        assert_eq!(segment("log.000000"), Some(("log", 0)));
        assert_eq!(segment("part-7.1000000"), Some(("part-7", 1_000_000)));
        for other in ["log", "log.txt", "log.0", "log.+00000", "log.", "log.00000x"] {
            assert_eq!(segment(other), None, "{other}");
        }
    }

    #[test]
    fn files_of_others_are_named() {
        let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let harmless: Vec<String> = files(&["lock", "manifest.new", "scratch-1-2.tmp", ".hidden"]);
        assert!(refuse_foreign("/data", &harmless, |_| false).is_ok());
        let foreign: Vec<String> = files(&["lock", "log.000000", "log.txt"]);
        let is_ours = |name: &str| segment(name).is_some();
        let error = refuse_foreign("/data", &foreign, is_ours).expect_err("log.txt");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("log.txt"), "{error}");
    }
}
