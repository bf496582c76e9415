//! Values that do not fit in a page. Their pieces are records, and the record of the key has a list
//! of the pieces.
//!
//! ```text
//!   list:  total bytes (8) | address (8) | address (8) | ...
//! ```
//!
//! Pieces are appended before the list, so a reader of the list finds all pieces. Only the list
//! leads to them. A write that is dropped in between leaves pieces that no reader reaches.

use crate::base::address::{ADDRESS_MASK, Address};
use crate::base::error::{Error, Result};
use crate::hybrid_log::Region;
use crate::record::{NewRecord, RecordKind, WORD};
use crate::store::inner::StoreInner;
use futures::stream::{StreamExt, TryStreamExt};

/// The maximum number of pieces of one value that are read at once.
const PIECES_AT_ONCE: usize = 8;

impl StoreInner {
    /// Stores `value` in pieces and returns their list.
    pub(in crate::store) async fn write_overflow(&self, value: &[u8]) -> Result<Vec<u8>> {
        let piece_bytes = self.piece_bytes();
        let mut list = (value.len() as u64).to_le_bytes().to_vec();
        for piece in value.chunks(piece_bytes) {
            let address = self.append_piece(piece).await?;
            list.extend_from_slice(&address.raw().to_le_bytes());
        }
        Ok(list)
    }

    /// Returns the value of `list`, which belongs to the record at `record`.
    pub(in crate::store) async fn read_overflow(
        &self,
        record: Address,
        list: &[u8],
    ) -> Result<Vec<u8>> {
        let mut words = list
            .chunks_exact(WORD)
            .map(|word| u64::from_le_bytes(word.try_into().expect("chunks of 8 bytes")));
        let total = words.next().and_then(|total| usize::try_from(total).ok());
        let addresses: Vec<u64> = words.collect();
        let expected = total.map(|total| total.div_ceil(self.piece_bytes()));
        if expected != Some(addresses.len()) || addresses.iter().any(|raw| *raw > ADDRESS_MASK) {
            return Err(self.bad_list(record, list.len()));
        }
        // Each piece is freed after it is copied, so memory has one copy of the value and a few
        // pieces.
        let mut value = Vec::with_capacity(total.unwrap_or_default());
        let mut pieces = futures::stream::iter(addresses)
            .map(|raw| self.read_piece(Address::new(raw)))
            .buffered(PIECES_AT_ONCE);
        while let Some(piece) = pieces.try_next().await? {
            value.extend_from_slice(&piece);
        }
        if Some(value.len()) == total { Ok(value) } else { Err(self.bad_list(record, list.len())) }
    }

    async fn append_piece(&self, piece: &[u8]) -> Result<Address> {
        let record = NewRecord { key: &[], value: piece, content: RecordKind::Piece };
        loop {
            self.check_write()?;
            let appended = self.pool.with(|seat| {
                seat.protected(|tools| {
                    if self.phase.is_cut() {
                        return None;
                    }
                    let appended = self.log.append(self.layout, Address::NONE, record, tools.guard);
                    Some(appended.map(|(address, _)| address))
                })
            });
            match appended {
                Some(Ok(address)) => return Ok(address),
                Some(Err(no_room)) => self.log.allocator().wait_for_space(no_room.bytes).await?,
                None => self.cut_over().await?,
            }
        }
    }

    async fn read_piece(&self, address: Address) -> Result<Vec<u8>> {
        let layout = self.layout;
        let resident = self.pool.with(|seat| {
            seat.protected(|tools| match self.log.pages().region(address, tools.guard) {
                Region::OnDevice | Region::Truncated => None,
                Region::Mutable | Region::Fuzzy | Region::ReadOnly => {
                    let record = self.log.pages().record(address, tools.guard);
                    // No operation writes a piece again.
                    record.copy_value(layout, tools.scratch).ok().map(|_| tools.scratch.clone())
                }
            })
        });
        match resident {
            Some(piece) => Ok(piece),
            None => Ok(self.log.reader().fetch(layout, address).await?.value(layout).to_vec()),
        }
    }

    fn piece_bytes(&self) -> usize {
        self.limits.piece_bytes(self.layout)
    }

    #[cold]
    fn bad_list(&self, record: Address, bytes: usize) -> Error {
        let (file, offset) = self.log.file().locate(record);
        let what = format!("the list of a value's pieces, of {bytes} bytes, contradicts itself");
        Error::damaged(&what, &file, offset)
    }
}
