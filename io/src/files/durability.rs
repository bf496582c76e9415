//! Which writes of a file are durable, and which sync has its turn.
//!
//! Durability is counted, not flagged. `written` rises when a write or a truncation has completed.
//! A sync that began at `written == n` raises `synced` to `n` when it has succeeded.
//!
//! The operating system reports a lost write once for each open file. It reports to one of the
//! syncs that run when it detects the loss, and to no later sync. So
//!
//! * *a failure stays*: after a failed sync, each later sync of the file fails with the same cause,
//!   whether or not a future waited for the first;
//! * *one at a time*: a sync waits for the sync before it. Otherwise a sync could succeed although
//!   another sync took the report of its failure.
//!
//! A sync waits for its turn before it goes to an engine. The turn passes when the sync before it
//! ends. If an engine is lost with the sync that has the turn, the waiting syncs are lost too.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::ErrorClass;

/// The counts, the failure and the queue of syncs of one file.
#[derive(Debug)]
pub(crate) struct Durability {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    written: u64,
    synced: u64,
    failure: Option<Arc<io::Error>>,
    /// Whether an engine has a sync of this file.
    syncing: bool,
    waiting: VecDeque<Box<dyn Queued>>,
}

/// A sync that asks for its turn.
pub(crate) trait Queued: Debug + Send {
    /// Starts the sync: it has the turn, and an engine carries it out.
    fn begin(self: Box<Self>);

    /// Ends the sync without a turn.
    fn fail(self: Box<Self>, error: io::Error);
}

impl Durability {
    /// Returns the state of a file in which an earlier process may have left unsynced writes.
    pub(crate) fn unknown() -> Self {
        let waiting = VecDeque::new();
        let state = State { written: 1, synced: 0, failure: None, syncing: false, waiting };
        Self { state: Mutex::new(state) }
    }

    /// Records that a write or a truncation has completed.
    pub(crate) fn note_written(&self) {
        self.lock().written += 1;
    }

    /// Returns whether a sync has work to do or a failure to report.
    pub(crate) fn needs_sync(&self) -> bool {
        let state = self.lock();
        state.synced < state.written || state.failure.is_some()
    }

    /// Returns whether this process has neither written nor synced the file, and is not syncing it.
    pub(crate) fn is_untouched(&self) -> bool {
        let state = self.lock();
        state.written == 1 && state.synced == 0 && !state.syncing && state.failure.is_none()
    }

    /// Returns the count of writes that a sync covers if it starts now.
    pub(crate) fn begin_sync(&self) -> u64 {
        self.lock().written
    }

    /// Records that a sync that covered `written` has succeeded. Fails if an overlapping sync
    /// failed.
    pub(crate) fn note_synced(&self, written: u64) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(failure) = &state.failure {
            return Err(lost_writes(failure));
        }
        state.synced = state.synced.max(written);
        Ok(())
    }

    /// Records that a sync has failed. Returns the error of this and every later sync.
    pub(crate) fn note_failed(&self, error: io::Error) -> io::Error {
        if never_began(&error) {
            return error;
        }
        let mut state = self.lock();
        let failure = state.failure.get_or_insert_with(|| Arc::new(error));
        lost_writes(failure)
    }

    /// Takes the turn for `sync`, or queues it. Fails `sync` if an earlier sync of the file failed.
    pub(crate) fn take_turn(&self, sync: Box<dyn Queued>) {
        let mut state = self.lock();
        if let Some(failure) = &state.failure {
            let error = lost_writes(failure);
            drop(state);
            return sync.fail(error);
        }
        if state.syncing {
            state.waiting.push_back(sync);
            return;
        }
        state.syncing = true;
        drop(state);
        sync.begin();
    }

    /// Ends a turn. The sync that has waited longest gets the next turn.
    pub(crate) fn pass(&self) {
        let mut state = self.end_turn();
        if let Some(failure) = state.failure.clone() {
            let failed = std::mem::take(&mut state.waiting);
            drop(state);
            return failed.into_iter().for_each(|sync| sync.fail(lost_writes(&failure)));
        }
        let next = state.waiting.pop_front();
        state.syncing = next.is_some();
        drop(state);
        if let Some(sync) = next {
            sync.begin();
        }
    }

    /// Ends the turn of a lost engine. Every waiting sync fails for this cause.
    #[cold]
    pub(crate) fn lose(&self, cause: &str) {
        let mut state = self.end_turn();
        let failed = std::mem::take(&mut state.waiting);
        drop(state);
        failed.into_iter().for_each(|sync| sync.fail(io::Error::other(cause)));
    }

    fn end_turn(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        debug_assert!(state.syncing, "a turn ends once");
        state.syncing = false;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the changes of one update.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the kernel refused the sync for lack of a worker or room. The file is unchanged.
fn never_began(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let begun = [Errno::AGAIN, Errno::CANCELED, Errno::INTR];
        let code = error.raw_os_error();
        begun.into_iter().any(|errno| Some(errno.raw_os_error()) == code)
    }
    #[cfg(not(unix))]
    {
        error.kind() == io::ErrorKind::Interrupted
    }
}

/// Returns the error of every sync after a failed sync. It is never a shortage error: free space or
/// descriptors do not restore lost writes.
pub(crate) fn lost_writes(cause: &Arc<io::Error>) -> io::Error {
    let kind = match ErrorClass::of(cause) {
        ErrorClass::Never => cause.kind(),
        ErrorClass::NoSpace | ErrorClass::NotNow => io::ErrorKind::Other,
    };
    let message =
        format!("a sync failed and earlier writes may be lost; reopen the directory: {cause}");
    io::Error::new(kind, message)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::contract::completion::{Completion, OpTable};
    use crate::files::file::StorageFile;
    use crate::files::operation::tests::scratch;
    use crate::files::operation::{Engine, Operation, Progress};

    /// Keeps operations until the test answers them as the kernel.
    #[derive(Debug, Default)]
    struct Kernel(Mutex<VecDeque<Operation>>);

    impl Engine for Kernel {
        fn submit(&self, operation: Operation) {
            self.0.lock().expect("no test panics with it").push_back(operation);
        }

        fn submit_many(&self, operations: Vec<Operation>) {
            self.0.lock().expect("no test panics with it").extend(operations);
        }

        fn name(&self) -> &'static str {
            "test"
        }
    }

    impl Kernel {
        fn take(&self) -> Option<Operation> {
            self.0.lock().expect("no test panics with it").pop_front()
        }

        /// Answers the oldest call.
        fn answer(&self, answer: io::Result<usize>) {
            let mut operation = self.take().expect("the kernel was asked");
            let _ = operation.call();
            let Progress::Finished(result) = operation.advance(answer) else { panic!("goes on") };
            operation.finish(result);
        }
    }

    fn begin(kernel: &Arc<Kernel>, files: &[&Arc<StorageFile>]) -> Completion {
        let (completion, sink) = OpTable::begin(&OpTable::new());
        let files = files.iter().map(|file| Arc::clone(file)).collect();
        let engine: Arc<dyn Engine> = Arc::clone(kernel) as _;
        Operation::start_sync(files, &engine, Arc::default(), (sink, None));
        completion
    }

    fn is_pending(completion: &mut Completion) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(Pin::new(completion).poll(&mut context), Poll::Pending)
    }

    fn end(completion: Completion) -> io::Result<()> {
        pollster::block_on(completion).result
    }

    fn broken() -> io::Error {
        io::Error::other("the disk is broken")
    }

    #[test]
    fn a_sync_covers_what_was_written_before_its_call() {
        let (_directory, file) = scratch();
        let kernel = Arc::new(Kernel::default());
        let sync = begin(&kernel, &[&file]);
        let mut operation = kernel.take().unwrap();
        let _ = operation.call();
        file.note_written(4096);
        assert!(matches!(operation.advance(Ok(0)), Progress::Finished(Ok(()))));
        operation.finish(Ok(()));
        end(sync).unwrap();
        assert!(file.needs_sync());
        let sync = begin(&kernel, &[&file]);
        kernel.answer(Ok(0));
        end(sync).unwrap();
        assert!(!file.needs_sync());
    }

    /// A caller dropped a flush. Its sync failed, and no future got the error. The system reports
    /// lost writes once, so the next sync, of a checkpoint, succeeded. The checkpoint was
    /// published, and after a power cut it was damaged.
    #[test]
    fn a_sync_that_nobody_waited_for_fails_the_later_ones() {
        let (_directory, file) = scratch();
        let kernel = Arc::new(Kernel::default());
        drop(begin(&kernel, &[&file]));
        kernel.answer(Err(broken()));
        for _ in 0..2 {
            assert!(file.needs_sync());
            let error = end(begin(&kernel, &[&file])).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("scratch") && text.contains("the disk is broken"), "{text}");
        }
        assert!(kernel.take().is_none(), "the kernel is not asked again");
    }

    /// Two syncs of one file ran at the same time: of an earlier and of a later commit. The later
    /// sync took the failure. So the earlier sync succeeded, although the writes of its commit were
    /// lost.
    #[test]
    fn no_sync_succeeds_while_another_may_take_its_failure() {
        let (_directory, file) = scratch();
        let (_other_directory, other) = scratch();
        let kernel = Arc::new(Kernel::default());
        let first = begin(&kernel, &[&file]);
        let mut second = begin(&kernel, &[&file]);
        let elsewhere = begin(&kernel, &[&other, &file]);
        assert_eq!(kernel.0.lock().unwrap().len(), 2, "one for each file");
        kernel.answer(Err(broken()));
        assert!(end(first).is_err());
        assert!(!is_pending(&mut second), "it fails with the one before it");
        kernel.answer(Ok(0));
        assert!(end(elsewhere).is_err(), "the file that it came to has failed");
        assert!(!other.needs_sync());
        assert!(kernel.take().is_none());
    }

    #[test]
    fn the_turn_passes_in_order_also_over_syncs_that_are_dropped() {
        let (_directory, file) = scratch();
        let kernel = Arc::new(Kernel::default());
        let first = begin(&kernel, &[&file]);
        drop(begin(&kernel, &[&file]));
        let mut last = begin(&kernel, &[&file]);
        kernel.answer(Ok(0));
        end(first).unwrap();
        kernel.answer(Ok(0));
        assert!(is_pending(&mut last));
        kernel.answer(Ok(0));
        end(last).unwrap();
    }

    #[test]
    fn a_dropped_sync_stops_between_its_files() {
        let ((_one, file), (_two, other)) = (scratch(), scratch());
        let kernel = Arc::new(Kernel::default());
        drop(begin(&kernel, &[&file, &other]));
        kernel.answer(Ok(0));
        assert!(!file.needs_sync() && other.needs_sync() && kernel.take().is_none());
    }

    #[test]
    fn syncs_that_wait_for_a_dead_engine_end() {
        let (_directory, file) = scratch();
        let kernel = Arc::new(Kernel::default());
        let (first, second) = (begin(&kernel, &[&file]), begin(&kernel, &[&file]));
        drop(kernel.take());
        assert!(end(first).is_err() && end(second).is_err());
        let again = begin(&kernel, &[&file]);
        kernel.answer(Ok(0));
        end(again).unwrap();
    }

    #[test]
    fn a_failed_sync_is_no_shortage_unless_it_never_began() {
        let (_directory, file) = scratch();
        let kernel = Arc::new(Kernel::default());
        #[cfg(unix)]
        {
            let canceled = rustix::io::Errno::CANCELED.raw_os_error();
            let sync = begin(&kernel, &[&file]);
            kernel.answer(Err(io::Error::from_raw_os_error(canceled)));
            assert_eq!(ErrorClass::of(&end(sync).unwrap_err()), ErrorClass::NotNow);
        }
        for _ in 0..2 {
            let sync = begin(&kernel, &[&file]);
            if kernel.0.lock().unwrap().len() == 1 {
                kernel.answer(Err(io::ErrorKind::StorageFull.into()));
            }
            assert_eq!(ErrorClass::of(&end(sync).unwrap_err()), ErrorClass::Never);
        }
    }
}
