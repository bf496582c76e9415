//! The driver of compaction: one round at a time, in the maintenance task.

use super::Compacted;
use crate::base::error::{ErrorKind, Result};
use crate::base::wait::wait_either;
use crate::checkpoint::{Answer, CheckpointPlan, Checkpoints, Reply};
use crate::store::StoreInner;
use event_listener::Event;
use kvick_io::sync::Mutex;
use std::fmt;
use std::sync::Arc;

/// The compaction of one store.
pub(crate) struct Compaction {
    // Fixed after opening.
    checkpoints: Arc<Checkpoints>,
    // Under its lock: the callers that wait for a round that begins after they asked.
    waiting: Mutex<Vec<Reply<Compacted>>>,
    demand: Event,
}

impl Compaction {
    pub(crate) fn new(checkpoints: Arc<Checkpoints>) -> Self {
        Self { checkpoints, waiting: Mutex::default(), demand: Event::new() }
    }

    /// Asks for a round over the whole log. Returns its answer.
    ///
    /// # Errors
    /// `Poisoned`, `Closed`.
    pub(crate) fn start(&self) -> Result<Answer<Compacted>> {
        let core = self.core();
        core.log.health().check_process()?;
        core.log.health().check_write()?;
        let (reply, answer) = Reply::new(core);
        self.waiting.lock().expect("nothing panics under it").push(reply);
        self.demand.notify(usize::MAX);
        if core.log.health().check_write().is_err() {
            // The driver may have left before it saw the request.
            self.abandon();
        }
        Ok(answer)
    }

    /// Runs rounds until the store is closed.
    pub(crate) async fn drive(&self) {
        let health = self.core().log.health();
        loop {
            let next = wait_either([&self.demand, health.changed()], || {
                let is_closed = health.is_closed();
                let has_work = !self.waiting.lock().expect("nothing panics under it").is_empty();
                (is_closed || has_work).then_some(is_closed)
            });
            if next.await {
                return self.abandon();
            }
            let replies = self.take_waiting();
            let compacted = self.compact().await;
            for reply in replies {
                reply.send(compacted.clone());
            }
        }
    }

    /// Compacts everything that is in the log now, and takes a checkpoint, so that its files can
    /// go.
    async fn compact(&self) -> Result<Compacted> {
        let log = &self.core().log;
        log.health().check_write()?;
        let until = log.flushing().flush().await?;
        let round = match self.core().compact(until).await {
            // A scan in progress may need any of these records.
            Err(error) if error.kind() == ErrorKind::Busy => return Ok(Compacted::default()),
            compacted => compacted?,
        };
        if round.source_bytes > 0 {
            let plan = CheckpointPlan::full(self.checkpoints.kind());
            self.checkpoints.start_in_turn(plan).await?;
        }
        tracing::debug!(target: "kvick::compaction", ?round, "compacted");
        Ok(Compacted {
            log_bytes: round.source_bytes,
            copied_records: round.copied_records,
            copied_bytes: round.copied_bytes,
            dropped_records: round.dropped_records,
        })
    }

    /// Drops the requests that wait. The drop answers the callers with the reason.
    fn abandon(&self) {
        drop(self.take_waiting());
    }

    fn take_waiting(&self) -> Vec<Reply<Compacted>> {
        std::mem::take(&mut *self.waiting.lock().expect("nothing panics under it"))
    }

    fn core(&self) -> &Arc<StoreInner> {
        self.checkpoints.core()
    }
}

impl fmt::Debug for Compaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compaction").finish_non_exhaustive()
    }
}
