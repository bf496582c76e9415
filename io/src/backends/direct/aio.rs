//! The kernel's asynchronous reads of Linux AIO: the one file with unsafe code of this backend.
//!
//! Why it is safe. The kernel writes to the buffer of an operation, and uses its file descriptor,
//! from the submission until the event of its end. For that time the operation stays in the table,
//! is neither moved out nor dropped, and no code reads its buffer. Only [`Context::wait`] takes it
//! out, after its event, or [`Context::submit`], if the kernel has refused it. A buffer is a heap
//! allocation, so moving the operation moves no bytes. The kernel counts the operations of a
//! context; the thread that waits drops the context only when none is left. If the kernel refuses
//! to report events, the borrowed memory is never freed, and the futures get the error.

use std::fmt::Debug;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::libc;
use rustix::event::{EventfdFlags, eventfd};

use crate::contract::buf::AlignedBuf;
use crate::files::operation::{Kind, Operation};
use crate::threads::spawn::unharmed;

/// The refusals of the kernel that tests inject.
pub(super) trait Refusals: Debug + Send + Sync {
    /// Returns the error of the next submission, if it is refused.
    fn submission(&self) -> io::Result<()> {
        Ok(())
    }

    /// Returns the error of the next wait, if it is refused.
    fn wait(&self) -> io::Result<()> {
        Ok(())
    }

    /// Returns the result of an event, given the result from the kernel.
    fn answer(&self, result: i64) -> i64 {
        result
    }
}

/// A kernel that refuses only by itself.
#[derive(Debug)]
pub(super) struct RealKernel;

impl Refusals for RealKernel {}

/// A queue of the kernel for reads in flight, and their operations.
#[derive(Debug)]
pub(super) struct Context {
    // Fixed.
    id: libc::c_ulong,
    refusals: Box<dyn Refusals>,
    /// An eventfd. A read of it ends at once, and with it the sleep of the thread that waits.
    bell: OwnedFd,
    // Under a lock, which is held over no system call.
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    /// Index = `data` of the submission.
    in_flight: Vec<Option<Operation>>,
    free: Vec<u32>,
    is_closing: bool,
    /// Whether the kernel no longer reports events.
    is_lost: bool,
    /// The kernel has it during the read of the bell.
    bell_buf: AlignedBuf,
}

/// A control block, as the kernel reads it (`linux/aio_abi.h`).
#[repr(C)]
#[derive(Debug)]
struct Block {
    data: u64,
    #[cfg(target_endian = "little")]
    key: u32,
    flags: i32,
    #[cfg(target_endian = "big")]
    key: u32,
    opcode: u16,
    priority: i16,
    descriptor: u32,
    buf: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    options: u32,
    eventfd: u32,
}

/// The event of an end, as the kernel writes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Event {
    data: u64,
    block: u64,
    result: i64,
    second_result: i64,
}

const _: () = assert!(size_of::<Block>() == 64 && size_of::<Event>() == 32, "the kernel's layout");

const READ: u16 = 0;
const BELL: u64 = u64::MAX;
/// The most events of one wait. Few in tests, so that a wait often leaves some.
const EVENTS: usize = if cfg!(test) { 2 } else { 64 };

/// The outcome of a submission.
#[must_use]
#[derive(Debug)]
pub(super) enum Submission {
    /// The kernel has the operation, or its future has an error.
    Started,
    /// There is no room for the operation.
    Full(Operation),
    /// The kernel does not take the operation.
    Refused(Operation),
}

impl Context {
    /// Creates a queue for `depth` operations, and proves that the kernel reports an end.
    pub(super) fn new(depth: u32, refusals: Box<dyn Refusals>) -> io::Result<Self> {
        // Its count may be zero: such a read ends at once, too, with an error.
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let mut id: libc::c_ulong = 0;
        // SAFETY: the kernel writes the number of the queue to `id`, which outlives the call.
        #[expect(unsafe_code, reason = "a system call with a pointer to a local")]
        let created = unsafe {
            // One more for the bell.
            libc::syscall(libc::SYS_io_setup, libc::c_ulong::from(depth + 1), &raw mut id)
        };
        check(created)?;
        let table = Table {
            in_flight: (0..depth).map(|_| None).collect(),
            free: (0..depth).rev().collect(),
            is_closing: false,
            is_lost: false,
            bell_buf: AlignedBuf::zeroed(8),
        };
        let context = Self { id, refusals, bell, table: Mutex::new(table) };
        context.ring_bell()?;
        context.wait(&mut Vec::new())?;
        Ok(context)
    }

    /// Submits the next call of a read.
    pub(super) fn submit(&self, operation: Operation) -> Submission {
        let (index, mut block) = {
            let mut table = self.lock();
            let Some(index) = table.free.pop() else {
                return Submission::Full(operation);
            };
            let place = table.in_flight[index as usize].insert(operation);
            (index, read_block(place, u64::from(index)))
        };
        if self.enter(&mut block).is_ok() {
            return Submission::Started;
        }
        // There will be no event. A thread that has lost the kernel may have taken it.
        let mut table = self.lock();
        table.take_out(index).map_or(Submission::Started, Submission::Refused)
    }

    /// Waits for events and moves their operations, with the results, to `ended`. Returns whether
    /// more events can come.
    pub(super) fn wait(&self, ended: &mut Vec<(Operation, io::Result<usize>)>) -> io::Result<bool> {
        let mut events = [Event::default(); EVENTS];
        let count = self.next_events(&mut events)?;
        let mut table = self.lock();
        for event in events.iter().take(count).filter(|event| event.data != BELL) {
            let index = u32::try_from(event.data).expect("submitted by this context");
            let operation = table.take_out(index).expect("the kernel ends only what is in flight");
            ended.push((operation, answer(self.refusals.answer(event.result))));
        }
        Ok(!(table.is_closing && table.free.len() == table.in_flight.len()))
    }

    /// Makes [`wait`](Self::wait) say when the last operation has ended. No operation is submitted
    /// later.
    pub(super) fn close(&self) -> io::Result<()> {
        self.lock().is_closing = true;
        self.ring_bell()
    }

    /// Makes the kernel report an end. Called while no other thread does.
    fn ring_bell(&self) -> io::Result<()> {
        let buf = self.lock().bell_buf.as_mut_ptr();
        self.enter(&mut Block::read(BELL, self.bell.as_raw_fd(), (buf, 8), 0))
    }

    /// Gives up the kernel, which no longer reports events. Borrowed memory is never freed, and
    /// the futures get the cause.
    #[cold]
    pub(super) fn lose(&self, cause: &str) {
        let lost: Vec<Operation> = {
            let mut table = self.lock();
            table.is_lost = true;
            // No operation finds room any more.
            table.free.clear();
            mem::take(&mut table.in_flight).into_iter().flatten().collect()
        };
        let operations = lost.len();
        for operation in lost {
            unharmed(|| operation.lose(cause));
        }
        // At last: a subscriber is foreign code, whose panic would free the buffers.
        tracing::error!(operations, "reads are lost, and their buffers never freed");
    }

    /// Hands a control block to the kernel.
    fn enter(&self, block: &mut Block) -> io::Result<()> {
        self.refusals.submission()?;
        let mut blocks: [*mut Block; 1] = [block];
        // SAFETY: the kernel copies the block. The memory and the descriptor that it names live
        // until the event is taken (essay of the module): the operation's in the table, the bell's
        // in the table and in `self`.
        #[expect(unsafe_code, reason = "hands owned memory to the kernel")]
        let taken = unsafe {
            libc::syscall(libc::SYS_io_submit, self.id, 1 as libc::c_long, blocks.as_mut_ptr())
        };
        match check(taken)? {
            1 => Ok(()),
            // There will be no event.
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Sleeps until there is an event. Returns the number of events.
    fn next_events(&self, events: &mut [Event; EVENTS]) -> io::Result<usize> {
        loop {
            self.refusals.wait()?;
            // SAFETY: the kernel writes at most `EVENTS` events to the array, during the call.
            #[expect(unsafe_code, reason = "a system call with a pointer to a local")]
            let count = unsafe {
                libc::syscall(
                    libc::SYS_io_getevents,
                    self.id,
                    1 as libc::c_long,
                    EVENTS as libc::c_long,
                    events.as_mut_ptr(),
                    ptr::null_mut::<libc::timespec>(),
                )
            };
            match check(count) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing under this lock panics half-way.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Takes out an operation that the kernel does not have any more, unless it is lost.
    fn take_out(&mut self, index: u32) -> Option<Operation> {
        let operation = self.in_flight.get_mut(index as usize)?.take();
        self.free.push(index);
        operation
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.lock().is_lost {
            // It would wait for reads that may not end. The end of the process destroys it.
            return;
        }
        // SAFETY: the number is that of a queue of this process, used by no thread any more.
        #[expect(unsafe_code, reason = "a system call without pointers")]
        let destroyed = unsafe { libc::syscall(libc::SYS_io_destroy, self.id) };
        if let Err(error) = check(destroyed) {
            tracing::debug!(%error, "the queue of reads was not destroyed");
        }
    }
}

impl Block {
    fn read(data: u64, descriptor: RawFd, (buf, bytes): (*mut u8, usize), offset: u64) -> Self {
        Self {
            data,
            key: 0,
            flags: 0,
            opcode: READ,
            priority: 0,
            descriptor: u32::try_from(descriptor).expect("an open descriptor"),
            buf: buf.expose_provenance() as u64,
            bytes: bytes as u64,
            offset: i64::try_from(offset).expect("the kernel's offsets are signed"),
            reserved: 0,
            options: 0,
            eventfd: 0,
        }
    }
}

/// Returns the control block of a read's next call. The kernel refuses it where it would block.
fn read_block(operation: &mut Operation, data: u64) -> Block {
    assert_eq!(operation.kind(), Kind::Read, "only reads");
    let call = operation.call();
    let buf = call.buf.expect("a read has a buffer");
    let part = &mut buf[call.range];
    let memory = (part.as_mut_ptr(), part.len());
    let block = Block::read(data, call.file.descriptor(), memory, call.offset);
    Block { flags: libc::RWF_NOWAIT, ..block }
}

/// Returns the result of a system call.
fn check(result: libc::c_long) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Returns the result field of an event in the form of the standard library.
fn answer(result: i64) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| {
        let code = i32::try_from(-result).unwrap_or(libc::EIO);
        io::Error::from_raw_os_error(code)
    })
}
