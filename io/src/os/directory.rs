//! A directory of real files.

use std::io::{self};
use std::sync::Arc;

use crate::backends::Backend;
use crate::contract::boxed::BoxFuture;
use crate::contract::device::Device;
use crate::contract::directory::{DeviceOptions, Directory, Lock};
use crate::contract::names;
use crate::error::naming;
use crate::files::limits;
use crate::files::medium::Medium;
use crate::files::root::Root;
use crate::os::device::OsDevice;
use crate::os::lock::Locks;
use crate::os::open_segments::OsSegments;
use crate::os::place::Place;

/// The files of one store, in a directory of the operating system.
#[derive(Debug)]
pub(crate) struct OsDirectory {
    place: Arc<Place>,
}

impl OsDirectory {
    pub(crate) fn new(root: Root, medium: Medium, backend: Backend) -> Self {
        let root = Arc::new(root);
        let locks = Locks::new(Arc::clone(&root));
        let max_open = limits::open_segments();
        Self { place: Arc::new(Place { root, locks, medium, max_open, backend }) }
    }

    /// Checks the names, then runs `job` on a thread that may block.
    fn call<T: Send + 'static>(
        &self,
        names: &[&str],
        job: impl FnOnce(&Arc<Place>) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, io::Result<T>> {
        let checked = names.iter().try_for_each(|name| names::check(name));
        Box::pin(async move {
            checked?;
            self.place.call(job).await
        })
    }
}

impl Directory for OsDirectory {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| {
            let segments = Arc::new(OsSegments::open(place, &owned, options)?);
            Ok(Arc::new(OsDevice::new(segments, Arc::clone(place))) as Arc<dyn Device>)
        })
    }

    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>> {
        self.call(&[], |place| place.root.list())
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.root.read_file(&owned))
    }

    fn file_bytes(&self, name: &str) -> BoxFuture<'_, io::Result<u64>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.file_bytes(&owned))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        let (owned, bytes) = (name.to_owned(), bytes.to_vec());
        self.call(&[name], move |place| place.write_file(&owned, &bytes).map_err(naming(&owned)))
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'_, io::Result<()>> {
        let (old, new) = (from.to_owned(), to.to_owned());
        self.call(&[from, to], move |place| place.root.rename(&old, &new).map_err(naming(&old)))
    }

    fn exchange(&self, one: &str, other: &str) -> BoxFuture<'_, io::Result<()>> {
        let (first, second) = (one.to_owned(), other.to_owned());
        self.call(&[one, other], move |place| {
            place.root.exchange(&first, &second).map_err(naming(&first))
        })
    }

    fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.remove(&owned))
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let entries = self.place.entries().into_iter().map(Arc::clone).collect();
            self.place.start_sync(entries).await.result
        })
    }

    fn lock(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Lock>>> {
        let owned = name.to_owned();
        self.call(&[name], move |place| place.locks.take(&owned, place.medium.direct))
    }

    fn is_read_only(&self) -> bool {
        self.place.root.is_read_only()
    }

    fn describe(&self) -> String {
        self.place.root.path().display().to_string()
    }
}

#[cfg(all(test, not(loom), unix))]
mod tests {
    use super::*;
    use crate::backends::threads::Threads;
    use crate::contract::buf::AlignedBuf;
    use crate::threads::blocking::Blocking;

    #[test]
    fn a_sync_covers_a_truncation_and_the_entries_of_what_it_removed() {
        let path = tempfile::tempdir().unwrap();
        let medium = Medium { direct: false, block: 512, physical_block: 512 };
        let threads = Arc::new(Threads::start(1, 1).unwrap());
        let backend = Backend::new(threads, Arc::new(Blocking::start().unwrap()));
        let directory = OsDirectory::new(Root::open(path.path()).unwrap(), medium, backend);
        let entries = directory.place.entries().expect("there are on unix");
        let options = DeviceOptions { segment_bytes: 4096, create: true };
        pollster::block_on(async {
            let device = directory.open_device("log", options).await.unwrap();
            device.write_at(0, AlignedBuf::zeroed(3 * 4096)).await.result.unwrap();
            device.sync().await.result.unwrap();
            device.truncate(4096 + 512).await.unwrap();
            assert!(entries.needs_sync(), "a file was removed");
            device.sync().await.result.unwrap();
            device.truncate(4096 + 512).await.unwrap();
            assert!(!entries.needs_sync(), "nothing changed");
        });
    }
}
