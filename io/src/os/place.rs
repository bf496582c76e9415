//! The state that a directory of the operating system and its devices share.

use std::io::{self, Write};
use std::sync::Arc;

use crate::backends::Backend;
use crate::contract::completion::{Completion, OpTable};
use crate::error::naming;
use crate::files::file::StorageFile;
use crate::files::medium::Medium;
use crate::files::operation::Operation;
use crate::files::root::{Access, Creation, Root};
use crate::os::lock::Locks;
use crate::threads::blocking::Reply;

/// The state that the directory and its devices share.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) root: Arc<Root>,
    pub(crate) locks: Locks,
    pub(crate) medium: Medium,
    /// The number of segments of a device that stay open.
    pub(crate) max_open: usize,
    /// Also shared with other directories.
    pub(crate) backend: Backend,
}

impl Place {
    /// Returns the directory itself. A sync of a device also makes its entries durable.
    pub(crate) fn entries(&self) -> Option<&Arc<StorageFile>> {
        self.root.entries()
    }

    /// Runs `job` on a thread that may block. The directory stays locked until the job has ended.
    pub(crate) fn call<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&Arc<Self>) -> io::Result<T> + Send + 'static,
    ) -> Reply<T> {
        let (place, hold) = (Arc::clone(self), self.locks.hold());
        self.backend.blocking.call(move || {
            let result = job(&place);
            drop(hold);
            result
        })
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.root.remove(name).map_err(naming(name))
    }

    /// Opens one existing segment file.
    pub(crate) fn open_segment(&self, name: &str) -> io::Result<StorageFile> {
        let direct = self.medium.direct;
        let access = Access { direct, ..Access::write(Creation::Never) };
        let opened = match self.root.open_storage(name, access) {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                self.root.open_storage(name, Access { direct, ..Access::READ })
            }
            opened => opened,
        };
        opened.map_err(naming(name))
    }

    /// Creates a segment file that is not in the table of the device. An existing file is a
    /// leftover of an operation without a waiting caller, of this device or of a dead process. Its
    /// bytes are not bytes of the device, so it is truncated to nothing.
    pub(crate) fn create_segment(&self, name: &str) -> io::Result<StorageFile> {
        let direct = self.medium.direct;
        let access = |create| Access { direct, ..Access::write(create) };
        let created = match self.root.open_storage(name, access(Creation::New)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let path = self.root.path().display();
                tracing::warn!(name, %path, "truncating a segment file that no device uses");
                self.root.open_storage(name, access(Creation::Empty))
            }
            created => created,
        };
        let file = created.map_err(naming(name))?;
        if let Some(entries) = self.entries() {
            entries.note_written(0);
        }
        Ok(file)
    }

    /// Closes a deleted segment where the close delays no transfer. That is here, or, if a transfer
    /// still uses the file, on a thread that may block.
    pub(crate) fn close_deleted(&self, file: Arc<StorageFile>) {
        file.mark_deleted(&self.backend.blocking);
        if let Some(file) = Arc::into_inner(file) {
            file.close();
        }
    }

    /// Makes files durable, one after the other.
    pub(crate) fn start_sync(&self, files: Vec<Arc<StorageFile>>) -> Completion {
        let (completion, sink) = OpTable::begin(&self.backend.table);
        Operation::start_sync(files, &self.backend.engine, self.locks.hold(), (sink, None));
        completion
    }

    pub(crate) fn list_segments(&self, device: &str) -> io::Result<Vec<(u64, String)>> {
        self.root.list_segments(device)
    }

    pub(crate) fn file_bytes(&self, name: &str) -> io::Result<u64> {
        self.root.file_bytes(name).map_err(naming(name))
    }

    pub(crate) fn write_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.root.open_file(name, Access::write(Creation::IfAbsent))?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_all()
    }
}
