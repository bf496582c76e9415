//! Estimates the live bytes of a store by a look at some entries of its index.

use super::round::BUCKETS_AT_ONCE;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::yield_once;
use crate::record::{ExpiryWord, Layout, RecordInfo, WORD};
use crate::store::inner::StoreInner;

/// The entries that are looked at. A half is found to within a tenth of the whole, nearly always.
const SAMPLES: usize = 256;
/// A layout of a record that may be of any table.
const ANY: Layout = Layout { key_width: None, value_width: None, has_expiry: false };

impl StoreInner {
    /// Returns about the bytes of the records that are live. An entry counts for the newest record
    /// of its chain, so the estimate is too low if keys share entries, and if values are in pieces.
    ///
    /// The driver of compaction calls this, so the begin of the log stays meanwhile.
    ///
    /// # Errors
    /// `Corrupt` with file and offset, `Io`.
    pub(crate) async fn estimate_live_bytes(&self) -> Result<u64> {
        // Hashes are even, so some buckets are as good as any.
        let (mut addresses, mut next) = (Vec::new(), 0);
        while next < self.index.buckets() && addresses.len() < SAMPLES {
            let end = next + BUCKETS_AT_ONCE;
            self.index.addresses_of(next..end, &mut addresses);
            next = end;
            yield_once().await;
        }
        let are_all = next >= self.index.buckets() && addresses.len() <= SAMPLES;
        let entries = if are_all { addresses.len() as u64 } else { self.index.entries() };
        addresses.truncate(SAMPLES);
        let second = self.clock.now().second;
        let mut bytes = 0;
        for address in &addresses {
            bytes += self.live_bytes_at(*address, second).await?;
        }
        Ok(bytes.saturating_mul(entries) / (addresses.len() as u64).max(1))
    }

    /// Returns the bytes of the record at `address`, or 0 if it is no value in this second.
    async fn live_bytes_at(&self, address: Address, second: u32) -> Result<u64> {
        let (layouts, pages) = (self.tables.layouts(), self.log.pages());
        let is_live = |info: RecordInfo, expiry: ExpiryWord| {
            let is_gone = info.is_tombstone() || layouts.is_dropped(info.table());
            !is_gone && !expiry.has_passed(second)
        };
        if address < pages.begin() {
            return Ok(0);
        }
        let not_a_record = || self.log.file().not_a_record(address);
        let in_memory = self.pool.with(|seat| {
            seat.guarded(|guard| {
                (address >= pages.head(guard)).then(|| {
                    let record = pages.record(address, guard);
                    let layout = layouts.of(record.info())?;
                    let bytes = layout.record_bytes(record.extents(layout));
                    Some((is_live(record.info(), record.expiry(layout)), bytes))
                })
            })
        });
        let found = match in_memory {
            Some(found) => found,
            None => {
                let stored = self.log.reader().fetch(layouts, ANY, address).await?;
                layouts.of(stored.info()).map(|layout| {
                    let is_live = is_live(stored.info(), stored.expiry(layout));
                    (is_live, stored.words(layout) * WORD)
                })
            }
        };
        let (is_live, bytes) = found.ok_or_else(not_a_record)?;
        Ok(if is_live { bytes as u64 } else { 0 })
    }
}
