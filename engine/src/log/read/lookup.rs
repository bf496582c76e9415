//! Reading single entries by their addresses.

use super::entry::Entry;
use super::options::ScanOptions;
use super::reader::Reader;
use super::start::{Start, no_entry};
use crate::base::address::Address;
use crate::base::error::Result;
use crate::log::LogAddress;
use crate::log::view::LogView;
use std::future::poll_fn;
use std::sync::Arc;

/// Looks up single entries of a log.
#[derive(Debug)]
pub(crate) struct Lookup<'v> {
    view: &'v Arc<LogView>,
}

impl<'v> Lookup<'v> {
    pub(crate) fn new(view: &'v Arc<LogView>) -> Self {
        Self { view }
    }

    /// Returns the entry at `address`, committed or not; `None` if it was truncated, or does not
    /// exist yet.
    pub(crate) async fn at(&self, address: Address) -> Result<Option<Entry>> {
        let range = self.view.range();
        let is_gone = || address < range.begin() || range.holes().clip(address).0 != address;
        if is_gone() || address >= self.view.end() {
            self.view.check()?;
            return Ok(None);
        }
        match self.first_at(address).await {
            Some(Ok(entry)) if entry.address.inner() == address => Ok(Some(entry)),
            // It was truncated in the meantime.
            Some(Ok(_)) | None if is_gone() => Ok(None),
            Some(Ok(_)) | None => Err(no_entry(address)),
            Some(Err(error)) => Err(error),
        }
    }

    /// Returns the first committed entry that begins at `address` or after it.
    pub(crate) async fn at_or_after(&self, address: Address) -> Result<Option<Entry>> {
        let end = LogAddress::MAX.inner();
        let options = ScanOptions { end, follow: false, uncommitted: false };
        let first = self.first(Start::Near(address), options).await.transpose()?;
        debug_assert!(
            first.as_ref().is_none_or(|entry| entry.address.inner() >= address),
            "no entry before {address:?} is returned"
        );
        Ok(first)
    }

    /// Checks that a frame begins at `address`, which is below the end.
    pub(crate) async fn check_frame(&self, address: Address) -> Result<()> {
        // Entries may also begin at the address of padding or of a commit record.
        self.first_at(address).await.map_or(Ok(()), |first| first.map(drop))
    }

    /// Returns the first result of a scan of this address only.
    async fn first_at(&self, address: Address) -> Option<Result<Entry>> {
        let end = Address::new(address.raw() + 1);
        let options = ScanOptions { end, follow: false, uncommitted: true };
        self.first(Start::At(address), options).await
    }

    async fn first(&self, start: Start, options: ScanOptions) -> Option<Result<Entry>> {
        let mut reader = Reader::new(Arc::clone(self.view), start, options);
        poll_fn(|context| reader.poll_next(context)).await
    }
}
