//! Syncs. The simulated disk and real power cuts show that they make writes durable.

use std::io;

use crate::bytes::{self, PAGE};
use crate::subjects::{SEGMENT, Subject, options};

pub(crate) async fn syncs_complete_without_a_buffer(subject: &Subject) -> io::Result<()> {
    let directory = subject.directory()?;
    let device = directory.open_device("log", options()).await?;
    device.sync().await.result?;
    bytes::write(&*device, 0, 12 * PAGE).await?;
    let transfer = device.sync().await;
    transfer.result?;
    assert!(transfer.buf.is_none());

    // Syncs also succeed without a new write, in parallel, beside a write, and after a dropped one.
    device.sync().await.result?;
    let write = device.write_at(0, bytes::filled(0, PAGE));
    let syncs: Vec<_> = (0..20).map(|_| device.sync()).collect();
    drop(device.sync());
    write.await.result?;
    for sync in syncs {
        sync.await.result?;
    }
    device.discard_below(2 * SEGMENT).await?;
    device.sync().await.result?;
    directory.sync().await?;
    bytes::read(&*device, 2 * SEGMENT, 4 * PAGE).await
}
