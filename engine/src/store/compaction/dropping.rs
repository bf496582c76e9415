//! Drops the oldest part of the log of a cache, live or not.
//!
//! Nothing is read and nothing is copied. All records below the begin are absent, and the newest
//! record of a key is its highest. So an older value never comes back: whatever a record or a
//! deletion hides goes before it, or with it.

use crate::base::address::Address;
use crate::base::error::Result;
use crate::store::inner::StoreInner;

impl StoreInner {
    /// Lets the log begin at `until`, the start of a page, or at the first record that a scan
    /// needs. Everything below has been flushed. Returns the number of bytes that went.
    ///
    /// # Errors
    /// `Poisoned`, `Closed`.
    pub(crate) async fn drop_below(&self, until: Address) -> Result<u64> {
        assert!(self.config.cache, "only a cache drops what is live");
        self.log.begin_shift().retire(until).await;
        self.begin_at(until).await
    }
}
