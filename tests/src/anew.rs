//! A directory that holds no file open, so that a reader sees at once that a file is gone or is
//! another one.

use std::io;
use std::sync::Arc;

use kvick::io::{
    AlignedBuf, BoxFuture, Completion, Completions, Device, DeviceOptions, Directory, Transfer,
};
use kvick::runtime::Handle;

/// A directory that opens a file again for each read.
#[derive(Clone, Debug)]
pub struct Anew {
    inner: Arc<dyn Directory>,
    handle: Handle,
}

impl Anew {
    /// Returns such a directory with the files of `inner`.
    pub fn on(inner: Arc<dyn Directory>, handle: Handle) -> Arc<Self> {
        Arc::new(Self { inner, handle })
    }
}

#[derive(Debug)]
struct AnewDevice {
    inner: Arc<dyn Device>,
    directory: Anew,
    name: String,
    options: DeviceOptions,
    completions: Completions,
}

impl Directory for Anew {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let (name, directory, completions) = (name.to_owned(), self.clone(), Completions::new());
        Box::pin(async move {
            let inner = directory.inner.open_device(&name, options).await?;
            let device = AnewDevice { inner, directory, name, options, completions };
            Ok(Arc::new(device) as Arc<dyn Device>)
        })
    }

    kvick::io::forward_directory!(
        list,
        read_file,
        file_bytes,
        write_file,
        rename,
        remove_file,
        sync,
        lock,
        describe,
    );
}

impl Device for AnewDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let (completion, sink) = self.completions.begin();
        let (directory, name, options) =
            (self.directory.inner.clone(), self.name.clone(), self.options);
        let reading = async move {
            sink.complete(match directory.open_device(&name, options).await {
                Ok(device) => device.read_at(offset, buf).await,
                Err(error) => Transfer { result: Err(error), buf: Some(buf) },
            });
        };
        self.directory.handle.spawn("read-anew", reading).detach();
        completion
    }

    kvick::io::forward_device!(
        write_at,
        sync,
        discard_below,
        forget_below,
        truncate,
        geometry,
        locate,
        bytes_stored,
    );
}
