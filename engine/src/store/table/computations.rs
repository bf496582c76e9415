//! The keys whose values are being computed: one task at a time computes the value of a key.
//!
//! A task that finds no value takes the *turn* of the key, or waits for the end of the present
//! turn. A turn ends when it is dropped, so also if its task fails, panics or is dropped. Then all
//! waiting tasks look for the value again; if there is none, one of them takes the next turn.
//!
//! # Invariants
//! 1. A key has at most one turn.
//! 2. A turn is taken before its task looks for the value a second time. So no two tasks compute a
//!    value that is there: the second turn sees what the first one has written.
//! 3. No lock is held while the value is computed.

use crate::base::error::Result;
use crate::base::hash::KeyHash;
use crate::base::wait::Event;
use crate::hybrid_log::LogStatus;
use kvick_io::sync::Mutex;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// The number of shards. Tasks that compute different keys seldom meet.
const SHARDS: usize = 16;

/// The turns of one table.
#[derive(Debug, Default)]
pub(in crate::store) struct Computations([Shard; SHARDS]);

/// The turns of some keys.
#[derive(Debug, Default)]
struct Shard {
    // Under its lock: the event of each turn, which is notified after its end.
    turns: Mutex<BTreeMap<Vec<u8>, Arc<Event>>>,
}

/// The turn of a task to compute the value of a key.
#[derive(Debug)]
#[must_use]
pub(crate) struct ComputationTurn<'t> {
    shard: &'t Shard,
    key: Vec<u8>,
}

impl Computations {
    /// Takes the turn of `key`, or waits for the end of another turn. Returns `None` after it has
    /// waited: there may be a value now.
    ///
    /// # Errors
    /// `Closed` while it waits.
    pub(in crate::store) async fn turn(
        &self,
        hash: KeyHash,
        key: Vec<u8>,
        health: &LogStatus,
    ) -> Result<Option<ComputationTurn<'_>>> {
        let place = hash.bits() % SHARDS as u64;
        let shard = &self.0[usize::try_from(place).expect("a small number")];
        match shard.take(key) {
            Ok(turn) => Ok(Some(turn)),
            Err((key, ended)) => {
                let is_over = || !shard.has(&key, &ended);
                health.wait_for(&ended, LogStatus::check_read, is_over).await?;
                Ok(None)
            }
        }
    }
}

impl Shard {
    /// Takes the turn of a key, or returns the event of the present turn.
    fn take(&self, key: Vec<u8>) -> Result<ComputationTurn<'_>, (Vec<u8>, Arc<Event>)> {
        let mut turns = self.turns.lock().expect("nothing panics under it");
        match turns.entry(key.clone()) {
            Entry::Occupied(present) => Err((key, Arc::clone(present.get()))),
            Entry::Vacant(free) => {
                free.insert(Arc::default());
                Ok(ComputationTurn { shard: self, key })
            }
        }
    }

    /// Returns whether the turn with this event goes on.
    fn has(&self, key: &[u8], event: &Arc<Event>) -> bool {
        let turns = self.turns.lock().expect("nothing panics under it");
        turns.get(key).is_some_and(|present| Arc::ptr_eq(present, event))
    }
}

impl Drop for ComputationTurn<'_> {
    fn drop(&mut self) {
        let ended = self.shard.turns.lock().expect("nothing panics under it").remove(&self.key);
        ended.expect("a turn ends once").notify(usize::MAX);
    }
}
