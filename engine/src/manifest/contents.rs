//! The numbered contents of a directory.
//!
//! A store may get other contents as a whole. Their files lie beside those of the present contents
//! until a manifest names the new number, by one rename. So the names of files begin with the
//! number: `c2-log.000000` is of contents 2. The first contents have the number 0, and plain names.
//!
//! The rest of the program sees one contents at a time, under plain names.

use super::files::segment;
use kvick_io::{BoxFuture, Device, DeviceOptions, Directory, forward_directory};
use std::io;
use std::sync::Arc;

/// Returns the contents `number` of a directory: the same directory with the devices of these
/// contents alone, under plain names.
pub(crate) fn numbered(directory: &Arc<dyn Directory>, number: u64) -> Arc<dyn Directory> {
    let inner = Arc::clone(directory);
    if number == 0 { inner } else { Arc::new(Numbered { inner, number }) }
}

/// Returns the name of a file of contents `number` in the directory itself.
pub(crate) fn name_in(number: u64, file: &str) -> String {
    if number == 0 { file.to_owned() } else { format!("c{number}-{file}") }
}

/// Returns the number of the contents that have a file, and its plain name. Returns `None` for a
/// file that is no segment of a device.
pub(crate) fn split(file: &str) -> Option<(u64, &str)> {
    segment(file)?;
    let numbered = file.strip_prefix('c').and_then(|rest| rest.split_once('-'));
    let named = numbered.and_then(|(digits, plain)| Some((digits.parse::<u64>().ok()?, plain)));
    // Only exact names: `c0-log.000000` and `c+1-log.000000` are files of others.
    let exact = named.filter(|(number, plain)| *number > 0 && name_in(*number, plain) == file);
    Some(exact.unwrap_or((0, file)))
}

/// Removes the files of all contents but `number`, as far as `is_ours` accepts their plain names.
/// A manifest names `number`, durably.
pub(crate) async fn remove_others(
    directory: &dyn Directory,
    number: u64,
    is_ours: impl Fn(&str) -> bool,
) -> io::Result<()> {
    for file in directory.list().await? {
        if is_of_others(&file, number, &is_ours) {
            directory.remove_file(&file).await?;
        }
    }
    Ok(())
}

/// Returns whether a file is of other contents than `number`. `is_ours` accepts the plain names of
/// a store.
pub(crate) fn is_of_others(file: &str, number: u64, is_ours: impl Fn(&str) -> bool) -> bool {
    split(file).is_some_and(|(of, plain)| of != number && is_ours(plain))
}

#[derive(Debug)]
struct Numbered {
    inner: Arc<dyn Directory>,
    number: u64,
}

impl Numbered {
    fn name(&self, file: &str) -> String {
        if segment(file).is_some() { name_in(self.number, file) } else { file.to_owned() }
    }
}

impl Directory for Numbered {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        self.inner.open_device(&name_in(self.number, name), options)
    }

    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>> {
        Box::pin(async {
            let files = self.inner.list().await?;
            let plain = |file: String| match split(&file) {
                Some((number, plain)) => (number == self.number).then(|| plain.to_owned()),
                None => Some(file),
            };
            let mut files: Vec<String> = files.into_iter().filter_map(plain).collect();
            files.sort_unstable();
            Ok(files)
        })
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        self.inner.read_file(&self.name(name))
    }

    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        self.inner.file_bytes(&self.name(name))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        self.inner.write_file(&self.name(name), bytes)
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'_, io::Result<()>> {
        self.inner.rename(&self.name(from), &self.name(to))
    }

    fn exchange(&self, one: &str, other: &str) -> BoxFuture<'_, io::Result<()>> {
        self.inner.exchange(&self.name(one), &self.name(other))
    }

    fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>> {
        self.inner.remove_file(&self.name(name))
    }

    forward_directory!(sync, lock, is_read_only, describe);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn files_are_of_one_contents() {
        for (file, expected) in [
            ("log.000000", Some((0, "log.000000"))),
            ("index-7.000000", Some((0, "index-7.000000"))),
            ("c2-log.000001", Some((2, "log.000001"))),
            ("c12-index-7.000000", Some((12, "index-7.000000"))),
            ("c0-log.000000", Some((0, "c0-log.000000"))),
            ("c01-log.000000", Some((0, "c01-log.000000"))),
            ("c+1-log.000000", Some((0, "c+1-log.000000"))),
            ("manifest", None),
            ("manifest.copy", None),
            ("c2-manifest", None),
            ("lock", None),
        ] {
            assert_eq!(split(file), expected, "{file}");
        }
        let is_ours = |name: &str| name.starts_with("log.");
        assert!(
            is_of_others("log.000000", 1, is_ours) && is_of_others("c1-log.000000", 0, is_ours)
        );
        assert!(!is_of_others("c1-log.000000", 1, is_ours));
        assert!(!is_of_others("notes.000000", 1, is_ours) && !is_of_others("lock", 1, is_ours));
    }
}
