//! The looks at what is live, and the checkpoints after their rounds.

use super::Rounds;
use crate::base::error::Result;

impl Rounds {
    /// Returns whether there is a space ratio.
    pub(in crate::compaction) fn has_ratio(&self) -> bool {
        self.ratio().is_some()
    }

    /// Returns the removals so far.
    pub(in crate::compaction) fn removals(&self) -> u64 {
        self.data().deletes
    }

    /// Looks at what is live, if many keys were removed since the last look and the log is longer
    /// than a file. No round is due.
    ///
    /// # Errors
    /// Of the reads.
    pub(in crate::compaction) async fn look(&self) -> Result<()> {
        let (space, data) = (self.unbounded(), self.data());
        if !self.done().policy.looked.is_due_again(data.deletes, data.entries) {
            return Ok(());
        }
        if space.tail - space.begin <= self.file_bytes() {
            self.done().policy.looked.note_short(data.deletes);
            return Ok(());
        }
        let live = self.core().estimate_live_bytes().await?;
        tracing::debug!(target: "kvick::compaction", live, "looked at entries");
        self.done().policy.note_look(data.deletes, live, space.tail);
        Ok(())
    }

    /// Ends the rounds of a look when none is due any more. Takes the checkpoints by which all of
    /// their files go: nothing else may come that would take one. Returns whether nothing is left
    /// to be tried again.
    ///
    /// # Errors
    /// Of the checkpoint.
    pub(in crate::compaction) async fn free_after_look(&self) -> Result<bool> {
        if self.wanted().is_some() {
            // The driver comes back after these rounds.
            return Ok(true);
        }
        if self.is_look_due() {
            return Ok(false);
        }
        if !self.done().policy.looked.end() {
            return Ok(true);
        }
        for _ in 0..self.core().config.keep_checkpoints {
            if self.is_pinned() || !self.has_older_files() {
                break;
            }
            self.checkpoint().await?;
        }
        let is_over = !self.has_older_files();
        if is_over {
            self.done().policy.looked.note_freed();
        }
        Ok(is_over)
    }

    /// Lets the rounds of a look be tried again after a failed one.
    pub(in crate::compaction) fn try_look_again(&self) {
        if self.is_look_due() {
            self.done().policy.forget_failure();
        }
    }

    /// Returns whether a round of the last look is due, whatever is in its way.
    fn is_look_due(&self) -> bool {
        let Some(percent) = self.ratio() else {
            return false;
        };
        let (space, file) = (self.unbounded(), self.file_bytes());
        self.done().policy.looked.due([space.begin, space.tail], percent, file).is_some()
    }

    /// Returns whether kept checkpoints need files before the begin of the log.
    fn has_older_files(&self) -> bool {
        // The file that ends at an address stays for it.
        let file_of = |address| {
            let start = self.core().log.file().units().page_start(address);
            start.saturating_sub(1) / self.file_bytes()
        };
        let begin = self.core().log.pages().begin();
        file_of(begin) > file_of(self.checkpoints.log_needed_from())
    }
}
