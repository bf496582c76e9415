//! A batch in the account of its session: its numbers and its offset, in one step.

use super::{Logging, SessionState};
use crate::base::error::{Error, Result};
use crate::store::sessions::identity::{CommitPoint, Offset, check_offset};

impl SessionState {
    /// Counts `count` operations, which `change` makes, and sets the offset after them, in the
    /// present `version` and under the caller's guard. Passes the commit point with them, and
    /// whether the session begins with it. If `change` fails, the account has not changed. Returns
    /// the interval in which the next checkpoint was asked to have the session.
    ///
    /// # Errors
    /// `InvalidArgument` if an earlier operation is undone. Then `change` was not called.
    pub(in crate::store) fn add_batch<E>(
        &self,
        (count, bytes): (u64, &[u8]),
        version: u64,
        change: impl FnOnce(CommitPoint, bool) -> std::result::Result<(), E>,
    ) -> Result<std::result::Result<u64, E>> {
        debug_assert!(check_offset(bytes).is_ok(), "it was checked");
        let mut state = self.state();
        let counter = self.counter.serial();
        state.take_in(counter);
        if let Some(undone) = state.numbers.first_excluded(counter) {
            return Err(Error::invalid(format!(
                "a batch with an offset: operation {undone} is undone; repeat it first"
            )));
        }
        let mut point = state.present(counter);
        debug_assert!(point.excluded.is_empty(), "no number is excluded: {point:?}");
        point.until += count;
        let before = point.offset.as_ref().map_or(0, |offset| offset.count);
        let (bytes, count) = (bytes.to_vec(), before.saturating_add(1));
        let offset = Offset { bytes, serial: point.until, count };
        point.offset = Some(offset.clone());
        point.version = version;
        let after = Logging { last: point.until, ..Logging::after(&point) };
        let until = point.until;
        if let Err(error) = change(point, state.logging.begins) {
            return Ok(Err(error));
        }
        self.counter.set_serial(until);
        (state.offset, state.offset_version, state.logging) = (Some(offset), version, after);
        Ok(Ok(state.asked_in))
    }
}
