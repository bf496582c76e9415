//! The calls of an operation to the kernel, and its reactions to the answers.

use super::*;
use crate::contract::completion::{Completion, OpTable};
use crate::files::root::{Access, Creation, Root};

/// Creates a file of 64 KiB in a directory that is deleted with the result.
pub(crate) fn scratch() -> (tempfile::TempDir, Arc<StorageFile>) {
    let directory = tempfile::tempdir().expect("scratch works");
    let root = Root::open(directory.path()).expect("scratch works");
    let access = Access::write(Creation::New);
    let file = root.open_storage("scratch", access).expect("scratch works");
    assert_eq!(file.write_at(&[7; 65_536], 0).expect("scratch works"), 65_536);
    (directory, Arc::new(file))
}

/// Creates an operation on consecutive extents of `lens` bytes in the same file.
pub(crate) fn operation(
    kind: Kind,
    file: &Arc<StorageFile>,
    lens: &[usize],
) -> (Completion, Operation) {
    let (completion, sink) = OpTable::begin(&OpTable::new());
    let mut offset = 0;
    let mut extents = lens.iter().map(|&len| {
        let extent = Extent { file: Arc::clone(file), offset, len };
        offset += len as u64;
        extent
    });
    let first = extents.next().expect("at least one extent");
    let extents = Extents { first, rest: extents.collect() };
    let buf = AlignedBuf::zeroed(lens.iter().sum());
    (completion, Operation::transfer(kind, extents, buf, sink))
}

fn expect_more(progress: Progress) {
    assert!(matches!(progress, Progress::More), "{progress:?}");
}

fn expect_error(progress: Progress) -> io::Error {
    let Progress::Finished(Err(error)) = progress else { panic!("{progress:?}") };
    error
}

#[test]
fn short_transfers_go_on_where_they_stopped() {
    let (_directory, file) = scratch();
    let (_completion, mut read) = operation(Kind::Read, &file, &[4096, 8192]);
    assert_eq!(read.call().range, 0..4096);
    expect_more(read.advance(Ok(512)));
    assert_eq!((read.call().range, read.call().offset), (512..4096, 512));
    expect_more(read.advance(Ok(3584)));
    assert_eq!((read.call().range, read.call().offset), (4096..12_288, 4096));
    assert!(matches!(read.advance(Ok(8192)), Progress::Finished(Ok(()))));
}

#[test]
fn no_progress_is_an_error() {
    let (directory, file) = scratch();
    let (_completion, mut read) = operation(Kind::Read, &file, &[4096]);
    expect_more(read.advance(Ok(512)));
    let error = expect_error(read.advance(Ok(0)));
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let (_completion, mut write) = operation(Kind::Write, &file, &[4096]);
    assert_eq!(expect_error(write.advance(Ok(0))).kind(), io::ErrorKind::WriteZero);
    // A reader in another process sees this after the deleting process shrank the file.
    std::fs::remove_file(directory.path().join("scratch")).unwrap();
    let (_completion, mut read) = operation(Kind::Read, &file, &[4096]);
    assert_eq!(expect_error(read.advance(Ok(0))).kind(), io::ErrorKind::NotFound);
}

#[test]
fn interruptions_are_retried_but_not_for_ever() {
    let (_directory, file) = scratch();
    let (_completion, mut read) = operation(Kind::Read, &file, &[4096]);
    for _ in 0..MAX_RETRIES {
        expect_more(read.advance(Err(io::ErrorKind::Interrupted.into())));
    }
    let error = expect_error(read.advance(Err(io::ErrorKind::WouldBlock.into())));
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn errors_keep_their_kind_and_name_the_file() {
    let (_directory, file) = scratch();
    let (_completion, mut write) = operation(Kind::Write, &file, &[4096]);
    let error = expect_error(write.advance(Err(io::ErrorKind::StorageFull.into())));
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().contains("writing scratch at offset 0"), "{error}");
}

/// A dropped write of several segments, or a write that the kernel shortened, went on to its end.
/// Its later calls changed files when the directory was already open in another store.
#[test]
fn a_dropped_operation_stops_between_its_calls() {
    let (_directory, file) = scratch();
    let steps: [fn() -> io::Result<usize>; 3] =
        [|| Ok(512), || Ok(4096), || Err(io::ErrorKind::Interrupted.into())];
    for answer in steps {
        for kind in [Kind::Read, Kind::Write] {
            let (completion, mut dropped) = operation(kind, &file, &[4096, 8192]);
            assert_eq!(dropped.call().range, 0..4096);
            drop(completion);
            assert!(matches!(dropped.advance(answer()), Progress::Finished(Err(_))));
        }
    }
}

/// A store learned that its ring had failed while the directory was still locked. Opening the
/// directory again at once failed.
#[cfg(target_os = "linux")]
#[test]
fn the_lock_is_free_when_the_future_of_a_lost_operation_is_woken() {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    struct Look(Arc<Hold>, AtomicUsize);

    impl Wake for Look {
        fn wake(self: Arc<Self>) {
            self.1.store(Arc::strong_count(&self.0), Ordering::Relaxed);
        }
    }

    let (_directory, file) = scratch();
    for lose in [Operation::lose, Operation::refuse] {
        let hold = Arc::new(Hold::default());
        let (mut completion, write) = operation(Kind::Write, &file, &[4096]);
        let write = write.holding(Arc::clone(&hold));
        let look = Arc::new(Look(hold, AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&look));
        assert!(Pin::new(&mut completion).poll(&mut Context::from_waker(&waker)).is_pending());
        lose(write, "on purpose");
        assert_eq!(look.1.load(Ordering::Relaxed), 1, "no other holder has the lock");
        assert!(pollster::block_on(completion).result.is_err());
    }
}

#[test]
fn no_call_is_longer_than_a_gibibyte() {
    let (_directory, file) = scratch();
    let (_completion, mut read) = operation(Kind::Read, &file, &[4096]);
    read.current.len = 3 << 30;
    assert_eq!(read.call().range.len(), 1 << 30);
}
