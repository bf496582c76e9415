//! The waits of suspended operations.

use super::attempt::Blocked;
use super::pending::{Learnt, Lesson};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::record::StoredRecord;
use crate::store::inner::Core;
use crate::wait::yield_once;
use crate::weak_spot;
use kvick_io::BoxFuture;
use std::fmt;
use std::task::{Context, Poll};

/// The state of a suspended operation.
#[derive(Debug)]
pub(in crate::store) struct Cold<'a> {
    pub(in crate::store) learnt: Learnt,
    pub(in crate::store) wait: Wait<'a>,
}

/// A wait in progress.
pub(in crate::store) struct Wait<'a>(BoxFuture<'a, Result<Lesson>>);

impl<'a> Wait<'a> {
    /// Starts to wait until `blocked` ends.
    pub(in crate::store) fn for_what(
        core: &'a Core,
        blocked: Blocked,
        key: Result<Vec<u8>>,
    ) -> Self {
        Self(match blocked {
            Blocked::OnDevice(from) => Box::pin(async move {
                let found = core.find_on_device(from, &key?).await?;
                Ok(Lesson::Chain(from, found))
            }),
            Blocked::Room(bytes) => Box::pin(async move {
                core.log.allocator().room(bytes).await?;
                Ok(Lesson::Nothing)
            }),
            Blocked::Fuzzy(address) => Box::pin(async move {
                core.log.settled(address).await?;
                Ok(Lesson::Nothing)
            }),
            Blocked::Frozen(address) => Box::pin(async move {
                if !weak_spot::is_removed_without_drain() {
                    core.log.drain().await;
                }
                Ok(Lesson::Drained(address))
            }),
            Blocked::Cut => Box::pin(async move {
                core.cut_over().await?;
                Ok(Lesson::Nothing)
            }),
            Blocked::Contended | Blocked::Overtaken => Box::pin(async {
                yield_once().await;
                Ok(Lesson::Nothing)
            }),
            Blocked::InPieces(list) => Box::pin(async move {
                let (address, pieces) = *list;
                let value = core.gather(address, &pieces).await?;
                Ok(Lesson::Gathered(address, value))
            }),
            Blocked::TooLong(value) => Box::pin(async move {
                let (version, value) = *value;
                let pieces = core.scatter(&value).await?;
                Ok(Lesson::Scattered(version, pieces))
            }),
        })
    }

    pub(in crate::store) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Lesson>> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Wait")
    }
}

impl Core {
    /// Returns the newest record of `key` in the chain that continues at `from` on the device.
    async fn find_on_device(&self, from: Address, key: &[u8]) -> Result<Option<StoredRecord>> {
        let mut address = from;
        while address >= self.log.pages().begin() {
            self.check_read()?;
            let record = self.log.reader().fetch(self.layout, address).await?;
            if record.key(self.layout) == key {
                return Ok(Some(record));
            }
            let previous = record.info().previous();
            if previous >= address {
                return Err(self.circular(address));
            }
            address = previous;
        }
        Ok(None)
    }

    #[cold]
    fn circular(&self, address: Address) -> Error {
        let (file, offset) = self.log.file().locate(address);
        Error::damaged("the chain of a record does not lead back", &file, offset)
    }
}
