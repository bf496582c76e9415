//! Values that do not fit in a page. Their pieces are records, and the record of the key has a list
//! of the pieces.
//!
//! ```text
//!   list:  total bytes (8) | address (8) | address (8) | ...
//! ```
//!
//! Pieces are appended before the list, so a reader of the list finds all pieces. Only the list
//! leads to them. A write that is dropped in between leaves pieces that no reader reaches.
//!
//! A piece has the key of its value. So it is known from a piece and the index alone whether the
//! piece is alive: its address is in the list of the newest record of the key, or it is garbage.

use crate::base::address::{ADDRESS_MASK, Address};
use crate::base::error::{Error, Result};
use crate::base::wait::in_order::ahead;
use crate::hybrid_log::{Claim, NoRoom, Region};
use crate::record::{ExpiryWord, Layout, NewRecord, RecordKind, TableNumber, WORD};
use crate::store::inner::StoreInner;
use crate::store::record::pieces::pieces_of;
use crate::store::table::TableRef;
use futures::stream::TryStreamExt;

/// The maximum number of pieces of one value that are read at once.
const PIECES_AT_ONCE: usize = 8;

/// Stores the value of `key` in pieces and returns their list. The list is shorter if compaction
/// drops the first piece meanwhile; no operation links a list with such a piece.
pub(in crate::store) async fn write_overflow(
    core: TableRef<'_>,
    key: &[u8],
    value: &[u8],
) -> Result<Vec<u8>> {
    let piece_bytes = piece_bytes(core);
    let mut list = (value.len() as u64).to_le_bytes().to_vec();
    let table = (core.table.number, core.table.layout);
    for piece in value.chunks(piece_bytes) {
        core.table.check()?;
        if pieces_of(&list).next().is_some_and(|first| core.log.begin_shift().is_retired(first)) {
            break;
        }
        let address = append_piece(core.store, table, (key, piece), Claim::Value).await?;
        list.extend_from_slice(&address.raw().to_le_bytes());
    }
    Ok(list)
}

/// Returns the value of `list`, which belongs to the record of a table at `record`.
pub(in crate::store) async fn read_overflow(
    core: &StoreInner,
    table: (TableNumber, Layout),
    record: Address,
    list: &[u8],
) -> Result<Vec<u8>> {
    let mut words = list
        .chunks_exact(WORD)
        .map(|word| u64::from_le_bytes(word.try_into().expect("chunks of 8 bytes")));
    let total = words.next().and_then(|total| usize::try_from(total).ok());
    let addresses: Vec<u64> = words.collect();
    // Pieces are shorter than pages.
    let most = usize::try_from(core.log.file().units().page_capacity())
        .map_or(usize::MAX, |page| page.saturating_mul(addresses.len()));
    let is_sound = total.is_some_and(|total| total <= most);
    if !is_sound || addresses.iter().any(|raw| *raw > ADDRESS_MASK) {
        return Err(bad_list(core, record, list.len()));
    }
    // Each piece is freed after it is copied, so memory has one copy of the value and a few
    // pieces.
    let mut value = Vec::with_capacity(total.unwrap_or_default());
    let pieces = addresses.into_iter().map(|raw| read_piece(core, table, Address::new(raw)));
    let mut pieces = ahead(pieces, PIECES_AT_ONCE);
    while let Some(piece) = pieces.try_next().await? {
        value.extend_from_slice(&piece);
    }
    if Some(value.len()) == total { Ok(value) } else { Err(bad_list(core, record, list.len())) }
}

/// Appends a piece of a value of a key.
pub(in crate::store) async fn append_piece(
    core: &StoreInner,
    table: (TableNumber, Layout),
    (key, piece): (&[u8], &[u8]),
    claim: Claim,
) -> Result<Address> {
    let expiry = ExpiryWord::NEVER;
    let record = NewRecord { key, value: piece, content: RecordKind::Piece, expiry };
    loop {
        core.check_write()?;
        let appended = core.pool.with(|seat| {
            seat.guarded(|guard| {
                if core.phase.is_cut() {
                    return None;
                }
                let appended = core.log.append(table, Address::NONE, (record, claim), guard);
                Some(appended.map(|(address, _)| address))
            })
        });
        match appended {
            Some(Ok(address)) => return Ok(address),
            Some(Err(NoRoom(room))) => core.log.allocator().wait_for_space(room).await?,
            None => core.cut_over().await?,
        }
    }
}

/// Returns the piece at `address`.
pub(in crate::store) async fn read_piece(
    core: &StoreInner,
    (number, layout): (TableNumber, Layout),
    address: Address,
) -> Result<Vec<u8>> {
    let resident = core.pool.with(|seat| {
        seat.guarded(|guard| match core.log.pages().region(address, guard) {
            Region::OnDevice | Region::Truncated => None,
            Region::Mutable | Region::Fuzzy | Region::ReadOnly => {
                let record = core.log.pages().record(address, guard);
                // No operation writes a piece again.
                let mut piece = Vec::new();
                record.copy_value(layout, &mut piece).ok().map(|_| piece)
            }
        })
    });
    match resident {
        Some(piece) => Ok(piece),
        None => {
            let piece = core.log.reader().fetch(core.tables.layouts(), layout, address).await?;
            if !piece.info().is_piece() || piece.info().table() != number {
                return Err(core.log.file().not_a_record(address));
            }
            Ok(piece.value(layout).to_vec())
        }
    }
}

fn piece_bytes(core: TableRef<'_>) -> usize {
    core.table.limits.piece_bytes(core.table.layout)
}

#[cold]
fn bad_list(core: &StoreInner, record: Address, bytes: usize) -> Error {
    let (file, offset) = core.log.file().locate(record);
    let what = format!("the list of a value's pieces, of {bytes} bytes, contradicts itself");
    Error::damaged(&what, &file, offset)
}
