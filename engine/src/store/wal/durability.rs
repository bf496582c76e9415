//! Makes operations durable by the write-ahead log.

use super::entry::WalEntry;
use super::write_ahead_log::WriteAheadLog;
use crate::base::error::Result;
use crate::store::inner::{StoreInner, no_wal};
use crate::store::sessions::state::SessionState;

impl StoreInner {
    /// Returns the write-ahead log.
    ///
    /// # Errors
    /// `InvalidArgument` if the store has none.
    pub(crate) fn wal(&self) -> Result<&WriteAheadLog> {
        self.wal.as_ref().ok_or_else(no_wal)
    }

    /// Makes every operation durable that has ended: of all sessions, or all and those of one
    /// session, whose point the write-ahead log then has. If its device is full, a checkpoint makes
    /// them durable.
    ///
    /// # Errors
    /// As for [`wal`](Self::wal) and [`WriteAheadLog::make_durable`].
    pub(crate) async fn sync(&self, ledger: Option<&SessionState>) -> Result<()> {
        let wal = self.wal()?;
        let Some(ledger) = ledger else {
            return wal.make_durable(self.log.health()).await;
        };
        let point = ledger.present();
        // The last operations may have changed nothing, and have no entry.
        if let Some(id) = ledger.kept_id()
            && let Some(begins) = ledger.lacks_entry_of(&point)
        {
            let entry = WalEntry::Session { id, point: point.clone(), begins };
            if !wal.append_or_cover(&entry, self.log.health()).await? {
                // The checkpoint has the point.
                ledger.note_durable(point);
                return Ok(());
            }
            ledger.note_logged_point(&point);
        }
        wal.make_durable(self.log.health()).await?;
        ledger.note_durable(point);
        Ok(())
    }
}
