//! The files of a directory, and the role of each.

use super::{FileRole, InspectedFile};
use crate::checkpoint::CheckpointToken;
use crate::checkpoint::files::checkpoint_files::{
    DELTA, INDEX, PART, SESSIONS, device_name, is_of_contents,
};
use crate::checkpoint::files::manifest::Manifest;
use crate::manifest::contents::split;
use crate::manifest::files::{COPY, LOCK, LOG, MANIFEST, NEW, segment};
use kvick_io::Directory;
use std::collections::{BTreeMap, BTreeSet};

/// Returns the lengths of the files that still exist.
pub(super) async fn lengths(
    directory: &dyn Directory,
    names: Vec<String>,
) -> BTreeMap<String, u64> {
    let mut lengths = BTreeMap::new();
    for name in names {
        // A running store may have removed it in the meantime.
        if let Ok(bytes) = directory.file_bytes(&name).await {
            lengths.insert(name, bytes);
        }
    }
    lengths
}

/// Returns the lengths of the files of contents `number`, by their plain names, and of the files
/// that belong to the directory.
pub(super) fn of_contents(lengths: &BTreeMap<String, u64>, number: u64) -> BTreeMap<String, u64> {
    let plain = |(name, bytes): (&String, &u64)| match split(name) {
        Some((of, plain)) => (of == number).then(|| (plain.to_owned(), *bytes)),
        None => Some((name.clone(), *bytes)),
    };
    lengths.iter().filter_map(plain).collect()
}

/// Returns the end of the last segment of a device, in bytes of the device.
pub(super) fn end_of(lengths: &BTreeMap<String, u64>, device: &str, segment_bytes: u64) -> u64 {
    let segments = lengths.iter().filter_map(|(file, length)| {
        let (owner, number) = segment(file)?;
        (owner == device).then(|| number.saturating_mul(segment_bytes).saturating_add(*length))
    });
    segments.max().unwrap_or(0)
}

/// Returns the role of each file. Without a manifest, debris cannot be recognised.
pub(super) fn roles(
    lengths: &BTreeMap<String, u64>,
    contents: u64,
    manifest: Option<&Manifest>,
) -> Vec<InspectedFile> {
    let named = manifest.map(Manifest::files);
    let file = |(name, bytes): (&String, &u64)| InspectedFile {
        name: name.clone(),
        bytes: *bytes,
        role: match split(name) {
            Some((number, plain)) if number != contents && is_of_contents(plain) => {
                FileRole::Debris
            }
            Some((_, plain)) => role(plain, named.as_ref()),
            None => role(name, named.as_ref()),
        },
    };
    lengths.iter().map(file).collect()
}

fn role(name: &str, named: Option<&BTreeSet<String>>) -> FileRole {
    match name {
        MANIFEST => return FileRole::Manifest,
        COPY => return FileRole::ManifestCopy,
        LOCK => return FileRole::Lock,
        NEW => return FileRole::Debris,
        _ => {}
    }
    let Some((device, _)) = segment(name) else {
        return FileRole::Foreign;
    };
    match (device, of_checkpoint(device)) {
        (LOG, _) => FileRole::LogSegment,
        (_, Some(_)) if named.is_some_and(|named| !named.contains(device)) => FileRole::Debris,
        (_, Some((INDEX, token))) => FileRole::IndexImage(token),
        (_, Some((PART, token))) => FileRole::Part(token),
        (_, Some((SESSIONS, token))) => FileRole::Sessions(token),
        (_, Some((_, token))) => FileRole::Delta(token),
        (_, None) => FileRole::Foreign,
    }
}

/// Returns the kind and the checkpoint of a device, if its name has them.
fn of_checkpoint(device: &str) -> Option<(&'static str, CheckpointToken)> {
    let (kind, token) = device.split_once('-')?;
    let kind = [INDEX, PART, DELTA, SESSIONS].into_iter().find(|known| *known == kind)?;
    let token = token.parse().ok()?;
    (device == device_name(kind, token)).then_some((kind, CheckpointToken(token)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        let named = BTreeSet::from(["index-7".to_owned(), "part-8".to_owned()]);
        let token = CheckpointToken;
        for (name, expected) in [
            ("manifest", FileRole::Manifest),
            ("manifest.copy", FileRole::ManifestCopy),
            ("manifest.new", FileRole::Debris),
            ("lock", FileRole::Lock),
            ("log.000000", FileRole::LogSegment),
            ("log.1000000", FileRole::LogSegment),
            ("log.0", FileRole::Foreign),
            ("log.+00000", FileRole::Foreign),
            ("logs.000000", FileRole::Foreign),
            ("index-7.000000", FileRole::IndexImage(token(7))),
            ("index-07.000000", FileRole::Foreign),
            ("index-6.000000", FileRole::Debris),
            ("part-8.000001", FileRole::Part(token(8))),
            ("delta-8.000000", FileRole::Debris),
            ("sessions-9.000000", FileRole::Debris),
            ("notes", FileRole::Foreign),
        ] {
            assert_eq!(role(name, Some(&named)), expected, "{name}");
        }
        assert_eq!(role("delta-8.000000", None), FileRole::Delta(token(8)));
        assert_eq!(role("sessions-8.000000", None), FileRole::Sessions(token(8)));
    }

    #[test]
    fn a_device_ends_where_its_last_segment_does() {
        let files = [("log.000002", 512), ("log.000001", 4096), ("log-1.000009", 4096)];
        let lengths = files.map(|(name, length)| (name.to_owned(), length)).into();
        assert_eq!(end_of(&lengths, "log", 4096), 2 * 4096 + 512);
        assert_eq!(end_of(&lengths, "part-1", 4096), 0);
    }
}
