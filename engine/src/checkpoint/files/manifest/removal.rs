//! The checkpoints that a manifest keeps.

use super::{CheckpointEntry, Manifest};
use crate::base::error::{Error, Result};
use crate::base::kinds::{CheckpointToken, Durability};

impl Manifest {
    /// Keeps the `keep` newest checkpoints that survive power cuts. Keeps a weaker checkpoint only
    /// if it is the newest of all.
    pub(in crate::checkpoint) fn keep_newest(&mut self, keep: usize) {
        assert!(keep > 0, "the last one is never removed");
        let is_strong = |record: &CheckpointEntry| record.durability == Durability::PowerCut;
        let newest = self.checkpoints.last().map(|record| record.token);
        let strong = self.checkpoints.iter().rev().filter(|record| is_strong(record));
        let kept: Vec<u64> = strong.take(keep).map(|record| record.token).chain(newest).collect();
        self.checkpoints.retain(|record| kept.contains(&record.token));
        let last = self.checkpoints.last().map(|record| record.token);
        assert_eq!(last, newest, "the newest checkpoint stays");
        debug_assert!(self.checkpoints.len() <= keep + 1, "others go: {kept:?}");
    }

    /// Removes one checkpoint.
    ///
    /// # Errors
    /// `InvalidArgument` if it is not kept, or is one that always stays.
    pub(in crate::checkpoint) fn remove_one(&mut self, token: CheckpointToken) -> Result<()> {
        let CheckpointToken(number) = token;
        if self.checkpoint(number).is_none() {
            return Err(not_kept(token));
        }
        if self.checkpoints.last().is_some_and(|newest| newest.token == number) {
            let what =
                "the newest one stays, since sessions were told that it has their operations";
            return Err(Error::invalid(format!(
                "checkpoint {token}: {what}; take another one first"
            )));
        }
        let left = self
            .checkpoints
            .iter()
            .filter(|record| record.token != number && record.durability == Durability::PowerCut);
        if left.count() == 0 {
            let message =
                format!("checkpoint {token}: the last one that survives power cuts stays");
            return Err(Error::invalid(message));
        }
        self.checkpoints.retain(|record| record.token != number);
        Ok(())
    }
}

/// Returns the error of a checkpoint that the store does not have.
#[cold]
pub(crate) fn not_kept(token: CheckpointToken) -> Error {
    let what = "the store keeps no such one; `checkpoints()` lists them";
    Error::invalid(format!("checkpoint {token}: {what}"))
}
