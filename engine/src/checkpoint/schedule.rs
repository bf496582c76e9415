//! The schedule of automatic checkpoints.

use super::plan::Work;
use crate::base::kinds::CheckpointKind;
use crate::config::{ByteSize, Config};
use crate::store::{StoreInner, WriteAheadLog};
use futures::future::select;
use kvick_runtime::Handle;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

/// The time between two checkpoints that are to relieve a full write-ahead log.
const SHORTAGE: Duration = Duration::from_secs(1);

/// The rules for automatic checkpoints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) every: Option<Duration>,
    /// The growth of the log in bytes since the last checkpoint.
    pub(crate) log_growth: Option<u64>,
    pub(crate) kind: CheckpointKind,
    /// The number of checkpoints to keep.
    pub(crate) keep: usize,
}

/// The last checkpoint, or the last check for changes by the schedule.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastLook {
    at: Duration,
    /// The end of the log.
    log_end: u64,
    /// The end of the write-ahead log.
    wal_end: u64,
    pub(super) work: Work,
}

impl LastLook {
    /// Returns a look at the store now.
    pub(super) fn now(handle: &Handle, core: &StoreInner) -> Self {
        let wal_end = core.wal.as_ref().map_or(0, |wal| wal.end().raw());
        let (log_end, work) = (core.log_end(), Work::of(&core.stats()));
        Self { at: handle.now(), log_end, wal_end, work }
    }

    /// Resolves when the device of the write-ahead log is full, some time after this look.
    async fn is_of_a_full_log(self, wal: &WriteAheadLog, handle: &Handle) {
        loop {
            wal.full().await;
            handle.sleep((self.at + SHORTAGE).saturating_sub(handle.now())).await;
            if wal.is_full() {
                return;
            }
        }
    }

    /// Asserts that this look may replace `before`.
    pub(super) fn assert_after(&self, before: &Self) {
        debug_assert!(before.log_end <= self.log_end, "the log only grows: {self:?}");
        debug_assert!(before.at <= self.at, "the clock of a runtime goes forward: {self:?}");
    }
}

impl Schedule {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            every: config.checkpoint_every,
            log_growth: config.checkpoint_log_growth.map(ByteSize::bytes),
            kind: config.checkpoint_kind,
            keep: config.keep_checkpoints as usize,
        }
    }

    /// Resolves when an automatic checkpoint is due. Other jobs that run meanwhile do not move the
    /// time.
    pub(super) async fn due(self, last: LastLook, core: &StoreInner, handle: &Handle) {
        if let Some(wal) = &core.wal {
            // One during a replay is of no single moment, and would replace those that are.
            wal.live().await;
        }
        let by_time = async {
            match self.every {
                Some(every) => {
                    let due = last.at.saturating_add(every);
                    handle.sleep(due.saturating_sub(handle.now())).await;
                }
                None => pending().await,
            }
        };
        let by_growth = async {
            match self.log_growth {
                Some(bytes) => core.log.reached(last.log_end + bytes).await,
                None => pending().await,
            }
        };
        let by_wal = async {
            match &core.wal {
                Some(wal) => wal.reached(last.wal_end + core.config.wal_size.bytes()).await,
                None => pending().await,
            }
        };
        let by_shortage = async {
            match &core.wal {
                Some(wal) => last.is_of_a_full_log(wal, handle).await,
                None => pending().await,
            }
        };
        select(
            pin!(select(pin!(by_wal), pin!(by_shortage))),
            pin!(select(pin!(by_time), pin!(by_growth))),
        )
        .await;
    }
}
