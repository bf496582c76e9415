//! Moves values in pieces out of the source.
//!
//! The list of a value may be in the source, or some of its pieces, or both. The pieces in the
//! source are appended anew, one at a time, and then a list of all pieces is linked, under the
//! entry that led to the old list. Pieces that are not in the source are shared by both lists; the
//! old one is dead from then on. If the key changes meanwhile, the next list is linked with the
//! copies that exist: no byte of a piece changes, and an operation may renew a list for ever.
//!
//! A list in the mutable region may be deleted in place. So it is sealed while its copy is linked,
//! as for any other copy.

use super::copies::{Copied, link_copy, wait};
use super::counts::Round;
use super::filter::Filter;
use super::page::LongKey;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::yield_once;
use crate::epoch::Guard;
use crate::hash_index::FoundEntry;
use crate::hybrid_log::{Claim, Region};
use crate::record::{ExpiryWord, NewRecord, RecordKind, ValueState, WORD};
use crate::store::inner::StoreInner;
use crate::store::record::append::Link;
use crate::store::record::find::find_on_device;
use crate::store::record::overflow::{append_piece, read_piece};
use crate::store::record::pieces::{is_cut, pieces_of};
use std::collections::BTreeMap;

/// The contents of a tombstone.
const TOMBSTONE: (RecordKind, &[u8], ExpiryWord) = (RecordKind::Tombstone, &[], ExpiryWord::NEVER);

/// The newest record of a key, whose value is in pieces.
struct List {
    entry: FoundEntry,
    address: Address,
    /// The bytes of the value: its length, and the addresses of the pieces.
    bytes: Vec<u8>,
    expiry: ExpiryWord,
    /// The state of the value, if it was in memory.
    state: Option<ValueState>,
}

/// The copies of pieces of one key, by the address of the piece.
#[derive(Default)]
struct Copies(BTreeMap<Address, Address>);

/// The newest record of a key, as far as memory shows.
enum Newest {
    List(List),
    /// The chain goes on at this address on the device.
    OnDevice(FoundEntry, Address),
    /// The record is in the fuzzy region, or a writer has it.
    Busy(Address),
    /// The key is absent, or its value is not in pieces.
    Other,
}

/// Moves the value of a key out of the source, if its list or a piece is below `until`, and the
/// value has not expired at `second` and is not cut. A key that `filter` drops is deleted.
pub(super) async fn relocate(
    store: &StoreInner,
    long: &LongKey<'_>,
    (until, second): (Address, u32),
    filter: &mut Option<Filter>,
    round: &mut Round,
) -> Result<()> {
    let mut copies = Copies::default();
    loop {
        store.check_write()?;
        let Some(list) = newest_list(store, long).await? else {
            return Ok(());
        };
        if list.expiry.has_passed(second) {
            return Ok(());
        }
        if is_cut(&list.bytes, store.log.pages().begin()) {
            return Ok(());
        }
        let is_in_source = |address: Address| address < until;
        if !is_in_source(list.address) && !pieces_of(&list.bytes).any(is_in_source) {
            return Ok(());
        }
        if let Some(filter) = filter {
            let (table, found) = ((long.table, long.layout), (list.address, &list.bytes[..]));
            if !filter.keeps_long(table, long.key, found).await? {
                // The round may end between the pieces and the list, which would be left without
                // them.
                if link_new(store, long, &list, TOMBSTONE).await? {
                    filter.note_deleted();
                    return Ok(());
                }
                yield_once().await;
                continue;
            }
        }
        let mut bytes = list.bytes[..WORD].to_vec();
        for piece in pieces_of(&list.bytes) {
            let is_old = is_in_source(piece);
            let piece = if is_old { copies.of(store, long, piece, round).await? } else { piece };
            bytes.extend_from_slice(&piece.raw().to_le_bytes());
        }
        if link_new(store, long, &list, (RecordKind::InPieces, &bytes, list.expiry)).await? {
            round.copied_records += 1;
            return Ok(());
        }
        // The list has changed. A list of other pieces makes garbage of the copies.
        yield_once().await;
    }
}

impl Copies {
    /// Returns the copy of a piece, which is appended at the first call.
    async fn of(
        &mut self,
        store: &StoreInner,
        long: &LongKey<'_>,
        piece: Address,
        round: &mut Round,
    ) -> Result<Address> {
        if let Some(copy) = self.0.get(&piece) {
            return Ok(*copy);
        }
        let table = (long.table, long.layout);
        let contents = read_piece(store, table, piece).await?;
        let copy = append_piece(store, table, (long.key, &contents), Claim::Copy).await?;
        round.copied_bytes += contents.len() as u64;
        self.0.insert(piece, copy);
        Ok(copy)
    }
}

/// Links a record in place of a list. Returns false if the key has changed since.
async fn link_new(
    store: &StoreInner,
    long: &LongKey<'_>,
    list: &List,
    (content, value, expiry): (RecordKind, &[u8], ExpiryWord),
) -> Result<bool> {
    let new = NewRecord { key: long.key, value, content, expiry };
    loop {
        store.check_write()?;
        let linked = store
            .pool
            .with(|seat| seat.guarded(|guard| link_sealed(store, long, list, new, guard)));
        match linked {
            Copied::Tried(Link::Linked) => return Ok(true),
            Copied::Tried(Link::Lost) => return Ok(false),
            blocked => wait(store, blocked).await?,
        }
    }
}

fn link_sealed(
    store: &StoreInner,
    long: &LongKey<'_>,
    list: &List,
    new: NewRecord<'_>,
    guard: &Guard<'_>,
) -> Copied {
    let link = || {
        let chain = (list.entry, list.entry.address());
        link_copy(store, (long.table, long.layout), chain, new, guard)
    };
    let pages = store.log.pages();
    let Some(state) = list.state else {
        return link();
    };
    match pages.region(list.address, guard) {
        // A writer may have changed it since, or may have before it left memory.
        Region::Fuzzy | Region::OnDevice | Region::Truncated => Copied::Tried(Link::Lost),
        // It is final, and no byte of it may be written. It may have changed before.
        Region::ReadOnly => {
            let record = pages.record(list.address, guard);
            let is_same = state.is_unchanged(record.state_word(long.layout));
            if is_same && !record.info().is_tombstone() {
                link()
            } else {
                Copied::Tried(Link::Lost)
            }
        }
        Region::Mutable => {
            let record = pages.record(list.address, guard);
            let word = record.state_word(long.layout);
            if record.info().is_tombstone() || state.transition_to_sealed(word).is_err() {
                return Copied::Tried(Link::Lost);
            }
            let linked = link();
            if !matches!(linked, Copied::Tried(Link::Linked)) {
                state.unseal(word);
            }
            linked
        }
    }
}

/// Returns the newest record of the key, if its value is in pieces.
async fn newest_list(store: &StoreInner, long: &LongKey<'_>) -> Result<Option<List>> {
    let hash = store.tables.hasher(long.table).hash(long.key);
    loop {
        let newest = store.pool.with(|seat| {
            seat.guarded(|guard| {
                let entry = store.index.find(hash);
                entry.map_or(Newest::Other, |entry| newest_in_memory(store, long, entry, guard))
            })
        });
        match newest {
            Newest::List(list) => return Ok(Some(list)),
            Newest::Other => return Ok(None),
            Newest::Busy(address) => {
                store.log.wait_until_immutable(address).await?;
                yield_once().await;
            }
            Newest::OnDevice(entry, from) => {
                return newest_on_device(store, long, entry, from).await;
            }
        }
    }
}

fn newest_in_memory(
    store: &StoreInner,
    long: &LongKey<'_>,
    entry: FoundEntry,
    guard: &Guard<'_>,
) -> Newest {
    let (pages, layout) = (store.log.pages(), long.layout);
    let mut address = entry.address();
    let head = pages.head(guard);
    while address >= head {
        let record = pages.record(address, guard);
        let info = record.info();
        if info.table() == long.table && record.key_equals(layout, long.key) {
            if info.is_tombstone() || !info.is_in_pieces(layout) {
                return Newest::Other;
            }
            let mut bytes = Vec::new();
            let copied = record.copy_with_expiry(layout, &mut bytes);
            return match (pages.region(address, guard), copied) {
                (Region::Fuzzy, _) | (_, Err(_)) => Newest::Busy(address),
                (_, Ok((state, expiry))) => {
                    Newest::List(List { entry, address, bytes, expiry, state: Some(state) })
                }
            };
        }
        address = info.previous();
    }
    if address < pages.begin() { Newest::Other } else { Newest::OnDevice(entry, address) }
}

async fn newest_on_device(
    store: &StoreInner,
    long: &LongKey<'_>,
    entry: FoundEntry,
    from: Address,
) -> Result<Option<List>> {
    let layout = long.layout;
    let found = find_on_device(store, (long.table, layout), from, long.key).await?;
    let list = found.filter(|record| {
        let info = record.info();
        !info.is_tombstone() && info.is_in_pieces(layout)
    });
    Ok(list.map(|record| List {
        entry,
        address: record.address(),
        bytes: record.value(layout).to_vec(),
        expiry: record.expiry(layout),
        state: None,
    }))
}
