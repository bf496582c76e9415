//! Directories that wrap the devices of another directory.

use std::io;
use std::sync::Arc;

use kvick::io::{BoxFuture, Device, DeviceOptions, Directory};

/// Opens a device of `directory` and wraps it.
pub fn open_wrapped<'d, D: Device + 'static>(
    directory: &'d dyn Directory,
    name: &str,
    options: DeviceOptions,
    wrap: impl FnOnce(Arc<dyn Device>) -> D + Send + 'd,
) -> BoxFuture<'d, io::Result<Arc<dyn Device>>> {
    let name = name.to_owned();
    Box::pin(async move {
        let inner = directory.open_device(&name, options).await?;
        let device: Arc<dyn Device> = Arc::new(wrap(inner));
        Ok(device)
    })
}
