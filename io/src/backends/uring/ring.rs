//! The ring, and the operations that the kernel works on: the one file with unsafe code.
//!
//! Why it is safe. The kernel reads and writes the buffer of an operation, and uses its file
//! descriptor, from the submission until the completion entry. For that time the operation stays in
//! `in_flight`, is neither moved out nor dropped, and no code reads its buffer. Only [`Ring::reap`]
//! takes it out, after its entry. A buffer is a heap allocation, so growing the table moves no
//! bytes. The ring outlives every submission: [`Drop`] waits for the last entry. If it cannot,
//! since the kernel refuses every call, the borrowed memory is never freed, and the futures get the
//! error.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{IoUring, Probe, opcode, squeue, types};

use crate::backends::engine::run_blocking;
use crate::backends::uring::kernel::Kernel;
use crate::backends::uring::patience::Patience;
use crate::contract::buf::AlignedBuf;
use crate::files::file::StorageFile;
use crate::files::operation::{Kind, Operation, Progress};
use crate::threads::spawn::unharmed;

/// A ring and its operations in flight.
pub(super) struct Ring {
    ring: IoUring,
    kernel: Box<dyn Kernel>,
    patience: Patience,
    /// The reason why the ring no longer calls the kernel.
    failure: Option<String>,
    // Index = user data of the submission.
    in_flight: Vec<Option<Operation>>,
    free: Vec<u32>,
    count: usize,
    // The read of the doorbell: the kernel has the buffer while `bell_armed`.
    bell: OwnedFd,
    bell_buf: AlignedBuf,
    bell_armed: bool,
    // The entries of the completion queue. Kept to save the allocation.
    entries: Vec<(u64, i32)>,
}

/// The results of the completion entries. Kept to save the allocations.
#[derive(Default)]
pub(super) struct Reaped {
    /// Operations that have ended, with their results.
    pub(super) finished: Vec<(Operation, io::Result<()>)>,
    /// Operations that the kernel refused before it started them, for lack of a worker thread.
    pub(super) refused: Vec<Operation>,
}

const BELL: u64 = u64::MAX;

impl Ring {
    /// Creates a ring for `depth` operations, in the cheapest mode that the kernel knows. Called on
    /// the thread that uses the ring. A wait ends when `bell`, an armed eventfd, rings.
    pub(super) fn new(depth: usize, bell: OwnedFd, kernel: Box<dyn Kernel>) -> io::Result<Self> {
        // One more for the doorbell. The completion queue is twice as long: it cannot overflow.
        let entries = u32::try_from(depth + 1).expect("the depth was checked");
        let ring = build(entries.next_power_of_two())?;
        check_opcodes(&ring)?;
        let free = (0..u32::try_from(depth).expect("as above")).rev().collect();
        Ok(Self {
            ring,
            kernel,
            patience: Patience::default(),
            failure: None,
            in_flight: (0..depth).map(|_| None).collect(),
            free,
            count: 0,
            bell,
            bell_buf: AlignedBuf::zeroed(8),
            bell_armed: false,
            entries: Vec::with_capacity(2 * depth),
        })
    }

    /// Proves that the kernel keeps its promises: a no-op, a read of one block, and a sync. The
    /// sync also makes the kernel start a worker thread, which it keeps. Later the system may allow
    /// no further thread.
    pub(super) fn prove(&mut self, file: &StorageFile, block: usize) -> io::Result<()> {
        assert_eq!(self.count, 0, "nothing is in flight yet");
        let mut buf = AlignedBuf::zeroed(block);
        let len = u32::try_from(block).expect("a block is small");
        let fd = types::Fd(file.descriptor());
        let read = opcode::Read::new(fd, buf.as_mut_ptr(), len).build();
        let sync = opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build();
        for entry in [opcode::Nop::new().build(), read, sync] {
            self.push(&entry);
            let outcome = loop {
                if let Err(error) = self.submit_and_wait(1) {
                    // The kernel may still have the buffer.
                    mem::forget(buf);
                    return Err(error);
                }
                if let Some(entry) = self.ring.completion().next() {
                    break self.kernel.answer(entry.result());
                }
            };
            if is_worker_refusal(outcome) {
                let message = "io_uring got no worker thread; raise the limit of tasks";
                return Err(io::Error::new(io::ErrorKind::Unsupported, message));
            }
            answer(outcome)?;
        }
        Ok(())
    }

    /// Returns the number of operations that the kernel works on, or will after the next
    /// submission.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Prepares the first call of an operation. The ring is not full.
    pub(super) fn start(&mut self, operation: Operation) {
        let index = self.free.pop().expect("the ring is not full");
        let place = &mut self.in_flight[index as usize];
        debug_assert!(place.is_none(), "a free place is empty");
        *place = Some(operation);
        self.count += 1;
        self.prepare(index);
    }

    /// Makes the next wait end when the doorbell rings.
    pub(super) fn arm_bell(&mut self) {
        if !self.bell_armed {
            self.bell_armed = true;
            let (fd, buf) = (types::Fd(self.bell.as_raw_fd()), self.bell_buf.as_mut_ptr());
            self.push(&opcode::Read::new(fd, buf, 8).build().user_data(BELL));
        }
    }

    /// Submits the prepared entries and waits for `want` completion entries, or fewer. After an
    /// error it no longer calls the kernel.
    pub(super) fn submit_and_wait(&mut self, want: usize) -> io::Result<()> {
        if let Some(failure) = &self.failure {
            return Err(io::Error::other(failure.clone()));
        }
        let Err(error) = self.kernel.enter(&self.ring, want) else {
            self.patience.served();
            return Ok(());
        };
        // Entries that were not submitted stay in the queue for the next call.
        let error = match error.raw_os_error() {
            // A signal.
            Some(libc_errno::EINTR) => return Ok(()),
            // The kernel lacks a resource for the moment.
            Some(libc_errno::EAGAIN | libc_errno::EBUSY) => {
                let now = self.kernel.now();
                if let Some(pause) = self.patience.refused(now) {
                    self.kernel.pause(pause);
                    return Ok(());
                }
                let message = format!("the kernel has refused to work for seconds: {error}");
                io::Error::new(io::ErrorKind::Unsupported, message)
            }
            _ => error,
        };
        self.failure = Some(error.to_string());
        Err(error)
    }

    /// Takes all completion entries and prepares the next calls of operations that continue. Moves
    /// the other operations to `reaped`.
    pub(super) fn reap(&mut self, reaped: &mut Reaped) {
        let mut entries = mem::take(&mut self.entries);
        entries.extend(self.ring.completion().map(|entry| (entry.user_data(), entry.result())));
        if !entries.is_empty() {
            self.patience.served();
        }
        for (user_data, result) in entries.drain(..) {
            if user_data == BELL {
                self.bell_armed = false;
                continue;
            }
            let index = u32::try_from(user_data).expect("submitted by this ring");
            let result = self.kernel.answer(result);
            let operation = self.in_flight[index as usize].as_mut();
            let operation = operation.expect("the kernel completes only operations in flight");
            if is_worker_refusal(result) {
                reaped.refused.push(self.take_out(index));
                continue;
            }
            match operation.advance(answer(result)) {
                Progress::More => self.prepare(index),
                Progress::Finished(result) => reaped.finished.push((self.take_out(index), result)),
            }
        }
        self.entries = entries;
    }

    /// Takes out an operation that the kernel is done with.
    fn take_out(&mut self, index: u32) -> Operation {
        self.free.push(index);
        self.count -= 1;
        self.in_flight[index as usize].take().expect("it is in flight")
    }

    /// Prepares the next call of the operation at `index`.
    fn prepare(&mut self, index: u32) {
        let operation = self.in_flight[index as usize].as_mut().expect("the operation was stored");
        let entry = submission(operation).user_data(u64::from(index));
        self.push(&entry);
    }

    fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the memory and the descriptor that the entry names live until its completion
        // entry is reaped (essay of the module). An operation has its own in `in_flight`, the
        // doorbell in `self` and its owner, the proof in `prove`.
        #[expect(unsafe_code, reason = "hands owned memory to the kernel")]
        let pushed = unsafe { self.ring.submission().push(entry) };
        // The queue has one slot for each operation and one for the doorbell, each with at most one
        // entry.
        pushed.expect("the submission queue has room for all operations in flight");
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let mut reaped = Reaped::default();
        if self.bell_armed && ring_bell(&self.bell).is_err() {
            self.failure.get_or_insert_with(|| "its doorbell is broken".to_owned());
        }
        while self.count > 0 || self.bell_armed {
            let asked = self.submit_and_wait(1);
            // Also after an error: an operation that has ended by then has its result.
            self.reap(&mut reaped);
            for (operation, result) in reaped.finished.drain(..) {
                unharmed(|| operation.finish(result));
            }
            for operation in reaped.refused.drain(..) {
                unharmed(|| run_blocking(operation));
            }
            if let Err(error) = asked {
                return self.lose(&error.to_string());
            }
        }
    }
}

impl Ring {
    /// Gives up the kernel, which no longer reports completions. Its borrowed memory is never
    /// freed, and the futures get the cause.
    #[cold]
    fn lose(&mut self, cause: &str) {
        mem::forget(mem::replace(&mut self.bell_buf, AlignedBuf::zeroed(8)));
        for operation in mem::take(&mut self.in_flight).into_iter().flatten() {
            unharmed(|| operation.lose(&format!("{FAILED}: {cause}")));
        }
        // At last: a subscriber is foreign code, whose panic would free the buffers.
        tracing::error!(
            operations = self.count,
            "io_uring failed, and its buffers are never freed"
        );
    }
}

/// The message of every operation after the ring has failed.
pub(super) const FAILED: &str = "io_uring failed; open the directory again";

/// Ends the sleep of the driver. Blocks only after 2^64 - 2 rings without a read.
pub(super) fn ring_bell(bell: &OwnedFd) -> io::Result<()> {
    #[expect(clippy::host_endian_bytes, reason = "an eventfd speaks the order of the host")]
    let one = 1_u64.to_ne_bytes();
    rustix::io::retry_on_intr(|| rustix::io::write(bell, &one))?;
    Ok(())
}

/// The error codes of the kernel that this module distinguishes.
mod libc_errno {
    use rustix::io::Errno;

    pub(super) const EINTR: i32 = Errno::INTR.raw_os_error();
    pub(super) const EAGAIN: i32 = Errno::AGAIN.raw_os_error();
    pub(super) const EBUSY: i32 = Errno::BUSY.raw_os_error();
    pub(super) const ECANCELED: i32 = Errno::CANCELED.raw_os_error();
}

/// Returns the submission entry of an operation's next call.
fn submission(operation: &mut Operation) -> squeue::Entry {
    let kind = operation.kind();
    let call = operation.call();
    let fd = types::Fd(call.file.descriptor());
    let Some(buf) = call.buf else {
        assert_eq!(kind, Kind::Sync, "reads and writes carry a buffer");
        let flags = match call.file.is_directory() {
            true => types::FsyncFlags::empty(),
            false => types::FsyncFlags::DATASYNC,
        };
        return opcode::Fsync::new(fd).flags(flags).build();
    };
    let part = &mut buf[call.range];
    let len = u32::try_from(part.len()).expect("a call is at most 1 GiB");
    match kind {
        Kind::Read => opcode::Read::new(fd, part.as_mut_ptr(), len).offset(call.offset).build(),
        Kind::Write => opcode::Write::new(fd, part.as_ptr(), len).offset(call.offset).build(),
        Kind::Sync => unreachable!("syncs carry no buffer"),
    }
}

/// Returns the result field of a completion entry in the form of the standard library.
fn answer(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// Returns whether the kernel cancelled an operation for lack of a worker thread.
///
/// No code here cancels operations. The kernel does so before it starts an operation if it has no
/// worker thread for it. The system then allows no further thread (a task limit of a container).
fn is_worker_refusal(result: i32) -> bool {
    result == -libc_errno::ECANCELED
}

/// Tries the modes from the cheapest to the plainest, while the kernel refuses the flags.
fn build(entries: u32) -> io::Result<IoUring> {
    let mut cheapest = IoUring::builder();
    cheapest.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
    let mut cooperative = IoUring::builder();
    cooperative.setup_coop_taskrun().setup_taskrun_flag();
    let plain = IoUring::builder();
    let mut refusal = None;
    for mut builder in [cheapest, cooperative, plain] {
        match builder.dontfork().build(entries) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => refusal = Some(error),
            outcome => return outcome,
        }
    }
    Err(refusal.expect("the last mode was refused too"))
}

fn check_opcodes(ring: &IoUring) -> io::Result<()> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let needed = [opcode::Nop::CODE, opcode::Read::CODE, opcode::Write::CODE, opcode::Fsync::CODE];
    if needed.into_iter().all(|code| probe.is_supported(code)) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::Unsupported, "io_uring cannot read files here; use threads"))
}
