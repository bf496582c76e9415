//! Small reads that the calling thread gives to the kernel by itself, beside a ring.
//!
//! ```text
//!  callers --io_submit--> kernel --events--> thread kvick-reads: take all, then wake the tasks
//!     |                                        |
//!     `--- no room, or older reads wait ---.   `-- would block, or short --.
//!                                          v                               v
//!                                        ring <----------------------------'
//! ```
//!
//! A read through the ring wakes two threads: the driver, and the task that waits. Here it wakes
//! one, since no other thread has a part in the submission. A ring cannot do that: the kernel
//! finishes a request of a ring on the thread that submitted it, which then sleeps elsewhere, so
//! that it wakes in vain. With Linux AIO the interrupt of the disk writes the event.
//!
//! The kernel refuses a read that would block its caller, which then goes to the ring. So do all
//! reads that find no room: the driver submits many of them at once, which costs less processor
//! time.

mod aio;
mod caution;
#[cfg(all(test, not(loom)))]
mod tests;

use std::io;
use std::sync::Arc;

use crate::backends::direct::aio::{Context, RealKernel, Refusals, Submission};
use crate::backends::direct::caution::Caution;
use crate::backends::uring::Uring;
use crate::files::operation::{Engine, Kind, Operation, Progress};
use crate::threads::spawn::{spawn, unharmed};

/// Starts small reads on the calling thread, and gives all other operations to a ring.
#[derive(Debug)]
pub(crate) struct Direct {
    ring: Arc<Uring>,
    lane: Arc<Lane>,
}

/// The state that callers and the thread that waits share.
#[derive(Debug)]
struct Lane {
    context: Context,
    caution: Caution,
}

/// The longest read: the submission of a longer one takes its caller too much time.
const MAX_READ: usize = 64 << 10;
/// The reads that the ring may have had lately while callers submit by themselves. With more, the
/// ring gets all reads: it submits many of them with one system call.
const RING_READS: usize = 4;
/// The writes that the ring may have meanwhile. With more the queue of the disk may be full, and
/// then the kernel may block a caller in spite of its request.
const RING_WRITES: usize = 16;

impl Direct {
    /// Starts the thread that waits for at most `depth` reads.
    pub(crate) fn start(ring: &Arc<Uring>, depth: u32) -> io::Result<Self> {
        Self::start_on(Box::new(RealKernel), ring, depth)
    }

    fn start_on(kernel: Box<dyn Refusals>, ring: &Arc<Uring>, depth: u32) -> io::Result<Self> {
        let context = Context::new(depth, kernel)?;
        let lane = Arc::new(Lane { context, caution: Caution::default() });
        let direct = Self { ring: Arc::clone(ring), lane };
        let (lane, ring) = (Arc::clone(&direct.lane), Arc::clone(ring));
        spawn("kvick-reads", move || lane.run(&ring))?;
        Ok(direct)
    }

    /// Starts a read. Returns an operation that belongs to the ring.
    fn submit_here(&self, operation: Operation) -> Option<Operation> {
        let suits = operation.kind() == Kind::Read
            && operation.next_bytes() <= MAX_READ
            && self.ring.is_idle([RING_READS, RING_WRITES])
            // Before the lock, which a thread that is not in this process may hold.
            && self.ring.is_of_this_process()
            && self.lane.caution.tries();
        if !suits {
            return Some(operation);
        }
        match self.lane.context.submit(operation) {
            Submission::Started => None,
            Submission::Full(operation) => Some(operation),
            Submission::Refused(operation) => {
                self.lane.caution.refused();
                Some(operation)
            }
        }
    }
}

impl Lane {
    /// Waits for reads until no handle is left and every read has ended.
    fn run(&self, ring: &Uring) {
        let (mut ended, mut finished) = (Vec::new(), Vec::new());
        loop {
            let goes_on = match self.context.wait(&mut ended) {
                Ok(goes_on) => goes_on,
                Err(error) => return self.context.lose(&format!("reading failed: {error}")),
            };
            for (mut operation, answer) in ended.drain(..) {
                if would_block(&answer) {
                    self.caution.refused();
                    ring.submit(operation);
                    continue;
                }
                self.caution.served();
                match operation.advance(answer) {
                    Progress::More => ring.submit(operation),
                    Progress::Finished(result) => finished.push((operation, result)),
                }
            }
            // After all were taken, without holding anything.
            for (operation, result) in finished.drain(..) {
                unharmed(|| operation.finish(result));
            }
            if !goes_on {
                return;
            }
        }
    }
}

/// Returns whether a read would block. Some file systems and devices cannot say so, and refuse it.
fn would_block(answer: &io::Result<usize>) -> bool {
    let kind = answer.as_ref().err().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::WouldBlock | io::ErrorKind::Unsupported))
}

impl Engine for Direct {
    fn submit(&self, operation: Operation) {
        if let Some(operation) = self.submit_here(operation) {
            self.ring.submit(operation);
        }
    }

    fn submit_many(&self, operations: Vec<Operation>) {
        let mut waiting = operations.into_iter();
        let first = waiting.by_ref().find_map(|operation| self.submit_here(operation));
        let rest: Vec<_> = first.into_iter().chain(waiting).collect();
        if !rest.is_empty() {
            self.ring.submit_many(rest);
        }
    }

    fn name(&self) -> &'static str {
        self.ring.name()
    }

    fn is_dead(&self) -> bool {
        self.ring.is_dead()
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        if !self.ring.is_of_this_process() {
            return;
        }
        if let Err(error) = self.lane.context.close() {
            tracing::debug!(%error, "the thread of the reads stays");
        }
    }
}
