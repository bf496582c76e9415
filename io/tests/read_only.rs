//! A directory that is opened read-only: it reads everything and changes nothing.

use std::fs;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use kvick_io::wrap::ReadOnly;
use kvick_io::{
    AlignedBuf, Device, DeviceOptions, Directory, IoConfig, ReadOnlyDirectory, open_directory,
};
use pollster::block_on;

const SEGMENT: usize = 8192;
const OPTIONS: DeviceOptions = DeviceOptions { segment_bytes: SEGMENT as u64, create: true };

/// Creates the writer of a store of two and a half segments and a manifest.
fn store(path: &Path) -> io::Result<(Arc<dyn Directory>, Arc<dyn Device>)> {
    block_on(async {
        let directory = open_directory(path, &IoConfig::default())?;
        let device = directory.open_device("log", OPTIONS).await?;
        device.write_at(0, blocks(0, 5 * SEGMENT / 2)).await.result?;
        directory.write_file("manifest", b"a store").await?;
        Ok((directory, device))
    })
}

/// Returns blocks of 512 bytes, each filled with its number.
fn blocks(offset: usize, len: usize) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(len);
    for (index, block) in buf.chunks_mut(512).enumerate() {
        block.fill(u8::try_from(offset / 512 + index + 1).expect("a few blocks"));
    }
    buf
}

/// Reads from a device. The read is finished when the call returns.
fn read(device: &dyn Device, offset: usize, len: usize) -> io::Result<AlignedBuf> {
    let completion = pin!(device.read_at(offset as u64, AlignedBuf::zeroed(len)));
    let Poll::Ready(transfer) = completion.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the read is not ready");
    };
    assert_eq!(transfer.buf.as_ref().map(|buf| buf.len()), Some(len), "the buffer comes back");
    transfer.into_buf()
}

#[track_caller]
fn assert_reads(device: &dyn Device, offset: usize, len: usize) {
    let found = read(device, offset, len).expect("it was written");
    assert!(found[..] == blocks(offset, len)[..], "{len} bytes at {offset}");
}

#[track_caller]
fn assert_fails(device: &dyn Device, offset: usize, len: usize, kind: ErrorKind) {
    let error = read(device, offset, len).expect_err("a part is missing");
    assert_eq!(error.kind(), kind, "{error}");
}

fn inspect(path: &Path) -> io::Result<(ReadOnlyDirectory, Arc<dyn Device>)> {
    let directory = ReadOnlyDirectory::open(path)?;
    let device = block_on(directory.open_device("log", OPTIONS))?;
    Ok((directory, device))
}

/// Returns the name, length and time of change of every file, and of the directory itself.
fn photograph(path: &Path) -> io::Result<Vec<(PathBuf, u64, SystemTime)>> {
    let mut paths = vec![path.to_owned()];
    for entry in fs::read_dir(path)? {
        paths.push(entry?.path());
    }
    paths.sort();
    let picture = paths.into_iter().map(|path| {
        let metadata = fs::metadata(&path)?;
        Ok((path, metadata.len(), metadata.modified()?))
    });
    picture.collect()
}

/// Checks that each change of a directory and a device is refused, with the reason in the message.
async fn assert_refuses_changes(directory: &dyn Directory, device: &dyn Device) {
    let transfer = device.write_at(0, AlignedBuf::zeroed(512)).await;
    assert!(transfer.buf.is_some(), "the buffer comes back");
    let refused = [
        transfer.result,
        device.truncate(512).await,
        device.discard_below(SEGMENT as u64).await,
        directory.write_file("manifest", b"x").await,
        directory.write_file("new", b"x").await,
        directory.rename("manifest", "new").await,
        directory.exchange("manifest", "new").await,
        directory.remove_file("manifest").await,
        directory.lock("lock").await.map(drop),
    ];
    for result in refused {
        assert_refused(result, ErrorKind::ReadOnlyFilesystem);
    }
    for create in [true, false] {
        let options = DeviceOptions { create, ..OPTIONS };
        let opened = directory.open_device("new", options).await;
        assert_refused(opened.map(drop), ErrorKind::NotFound);
    }
}

#[track_caller]
fn assert_refused(result: io::Result<()>, kind: ErrorKind) {
    let error = result.expect_err("it would change something");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains("opened read-only"), "{error}");
}

#[test]
fn written_bytes_are_read_back_also_across_segments() {
    let place = tempfile::tempdir().unwrap();
    drop(store(place.path()).unwrap());
    let (directory, device) = inspect(place.path()).unwrap();
    assert_reads(&*device, 0, 5 * SEGMENT / 2);
    assert_reads(&*device, SEGMENT - 512, SEGMENT + 1024);
    assert_reads(&*device, 2 * SEGMENT, 512);
    assert_reads(&*device, 0, 0);
    assert_eq!(device.bytes_stored(), 5 * SEGMENT as u64 / 2);
    let geometry = device.geometry();
    assert_eq!((geometry.block, geometry.direct, geometry.backend), (512, false, "read-only"));
    assert_eq!(device.locate(SEGMENT as u64 + 1), ("log.000001".to_owned(), 1));
    block_on(async {
        let names = ["log.000000", "log.000001", "log.000002", "manifest"];
        assert_eq!(directory.list().await.unwrap(), names);
        assert_eq!(directory.read_file("manifest").await.unwrap(), b"a store");
        assert_eq!(directory.file_bytes("manifest").await.unwrap(), 7);
        for (name, kind) in [("absent", ErrorKind::NotFound), ("../a", ErrorKind::InvalidInput)] {
            assert_eq!(directory.read_file(name).await.unwrap_err().kind(), kind);
        }
        directory.sync().await.unwrap();
        device.sync().await.result.unwrap();
    });
}

#[test]
fn reads_are_complete_or_name_the_missing_bytes() {
    let place = tempfile::tempdir().unwrap();
    drop(store(place.path()).unwrap());
    let (_, device) = inspect(place.path()).unwrap();
    assert_fails(&*device, 1, 512, ErrorKind::InvalidInput);
    assert_fails(&*device, 0, 100, ErrorKind::InvalidInput);
    assert_fails(&*device, 5 * SEGMENT / 2 - 512, 1024, ErrorKind::UnexpectedEof);
    assert_fails(&*device, 3 * SEGMENT - 512, 1024, ErrorKind::UnexpectedEof);
    assert_fails(&*device, 7 * SEGMENT, 512, ErrorKind::UnexpectedEof);

    // A segment that was read is open, and stays as it is.
    assert_reads(&*device, SEGMENT, 512);
    fs::remove_file(place.path().join("log.000001")).unwrap();
    assert_reads(&*device, SEGMENT, 512);
    let (_, device) = inspect(place.path()).unwrap();
    assert_reads(&*device, 0, SEGMENT);
    assert_reads(&*device, 2 * SEGMENT, 512);
    assert_fails(&*device, SEGMENT, 512, ErrorKind::NotFound);
    assert_fails(&*device, SEGMENT - 512, 1024, ErrorKind::NotFound);

    fs::remove_file(place.path().join("log.000000")).unwrap();
    let (_, device) = inspect(place.path()).unwrap();
    assert_fails(&*device, 0, 512, ErrorKind::NotFound);
    assert_fails(&*device, 2 * SEGMENT - 512, 1024, ErrorKind::NotFound);
    assert_reads(&*device, 2 * SEGMENT, 512);
}

#[test]
fn using_it_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    drop(store(place.path()).unwrap());
    let before = photograph(place.path()).unwrap();
    let (directory, device) = inspect(place.path()).unwrap();
    block_on(async {
        assert_refuses_changes(&directory, &*device).await;
        assert_reads(&*device, 0, 5 * SEGMENT / 2);
        directory.list().await.unwrap();
        directory.read_file("manifest").await.unwrap();
        directory.sync().await.unwrap();
        device.sync().await.result.unwrap();
    });
    drop((directory, device));
    assert_eq!(photograph(place.path()).unwrap(), before);
}

#[test]
fn a_store_is_read_while_it_runs() {
    let place = tempfile::tempdir().unwrap();
    let (writer, log) = store(place.path()).unwrap();
    let lock = block_on(writer.lock("lock")).unwrap();
    let (directory, device) = inspect(place.path()).unwrap();
    assert_reads(&*device, 0, 5 * SEGMENT / 2);
    assert_eq!(block_on(directory.read_file("lock")).unwrap(), b"");
    let at = 5 * SEGMENT / 2;
    block_on(log.write_at(at as u64, blocks(at, SEGMENT / 2))).result.unwrap();
    assert_reads(&*device, at - 512, SEGMENT / 2 + 512);
    assert!(block_on(writer.lock("lock")).is_err(), "the lock is where it was");
    drop(lock);
}

#[test]
fn only_a_directory_is_opened_and_nothing_is_created() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("store");
    let error = ReadOnlyDirectory::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("store"), "the message names the path: {error}");
    assert!(!path.exists());
    fs::write(&path, b"a file").unwrap();
    assert_eq!(ReadOnlyDirectory::open(&path).unwrap_err().kind(), ErrorKind::NotADirectory);
    let directory = ReadOnlyDirectory::open(place.path()).unwrap();
    assert_eq!(directory.describe(), place.path().display().to_string());
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let place = tempfile::tempdir().unwrap();
    drop(store(place.path()).unwrap());
    for (link, target) in [("log.000003", "log.000000"), ("link", "manifest")] {
        std::os::unix::fs::symlink(place.path().join(target), place.path().join(link)).unwrap();
    }
    let directory = ReadOnlyDirectory::open(place.path()).unwrap();
    // A segment is opened when it is read.
    let device = block_on(directory.open_device("log", OPTIONS)).unwrap();
    let read = block_on(device.read_at(3 * SEGMENT as u64, AlignedBuf::zeroed(512)));
    let error = read.result.unwrap_err();
    assert!(error.to_string().contains("log.000003"), "the message names the link: {error}");
    let error = block_on(directory.read_file("link")).unwrap_err();
    assert!(error.to_string().contains("link"), "the message names the link: {error}");
}

#[test]
fn segments_that_appear_or_are_replaced_are_found() -> io::Result<()> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("store");
    let (_directory, writer) = store(&path)?;
    let device = block_on(ReadOnlyDirectory::open(&path)?.open_device("log", OPTIONS))?;
    assert_fails(&*device, 3 * SEGMENT, 512, ErrorKind::UnexpectedEof);
    block_on(writer.write_at(5 * SEGMENT as u64 / 2, blocks(5 * SEGMENT / 2, SEGMENT))).result?;
    assert_reads(&*device, 2 * SEGMENT, 3 * SEGMENT / 2);
    // The segments that replace the truncated segments have the same names.
    block_on(writer.truncate(SEGMENT as u64))?;
    block_on(writer.write_at(SEGMENT as u64, AlignedBuf::zeroed(SEGMENT))).result?;
    let found = read(&*device, SEGMENT, SEGMENT)?;
    assert!(found.iter().all(|byte| *byte == 0), "the new segment");
    // A truncated segment without a successor is still readable.
    assert_reads(&*device, 2 * SEGMENT, SEGMENT / 2);
    Ok(())
}

/// Returns the kind of the error of each change of a directory that is only read.
fn changes(directory: &dyn Directory, device: &dyn Device) -> Vec<ErrorKind> {
    let refused = |result: io::Result<()>| result.expect_err("only read").kind();
    block_on(async {
        vec![
            refused(directory.write_file("manifest", b"").await),
            refused(directory.rename("manifest", "other").await),
            refused(directory.exchange("manifest", "other").await),
            refused(directory.remove_file("manifest").await),
            refused(directory.lock("lock").await.map(drop)),
            refused(device.write_at(0, blocks(0, 512)).await.result),
            refused(device.truncate(0).await),
            refused(device.discard_below(SEGMENT as u64).await),
        ]
    })
}

#[test]
fn a_wrapper_refuses_every_change_of_its_directory() {
    let place = tempfile::tempdir().unwrap();
    let (writer, _device) = store(place.path()).unwrap();
    let directory = ReadOnly::new(writer);
    block_on(async {
        let device = directory.open_device("log", OPTIONS).await.unwrap();
        let read = device.read_at(512, AlignedBuf::zeroed(1024)).await;
        assert!(read.into_buf().unwrap()[..] == blocks(512, 1024)[..]);
        assert!(
            changes(&directory, &*device).iter().all(|it| *it == ErrorKind::ReadOnlyFilesystem)
        );
        device.sync().await.result.unwrap();
        directory.sync().await.unwrap();
        assert!(directory.is_read_only());
        let error = directory.open_device("other", OPTIONS).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert_eq!(
            directory.list().await.unwrap(),
            ["log.000000", "log.000001", "log.000002", "manifest"]
        );
    });
}

#[test]
fn threads_make_the_reads_of_devices() {
    let place = tempfile::tempdir().unwrap();
    let (_writer, _device) = store(place.path()).unwrap();
    let directory = ReadOnlyDirectory::open(place.path()).unwrap().with_threads(2).unwrap();
    block_on(async {
        let device = directory.open_device("log", OPTIONS).await.unwrap();
        let at = |number: usize| (number * 1024, 1024);
        let reads = (0..20)
            .map(at)
            .map(|(offset, len)| device.read_at(offset as u64, AlignedBuf::zeroed(len)));
        for (read, (offset, len)) in reads.collect::<Vec<_>>().into_iter().zip((0..20).map(at)) {
            assert!(read.await.into_buf().unwrap()[..] == blocks(offset, len)[..], "{offset}");
        }
        assert!(
            changes(&directory, &*device).iter().all(|it| *it == ErrorKind::ReadOnlyFilesystem)
        );
    });
}
