//! The walk along a chain, from the newest record to the record of a key.

use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::weak_spot;
use crate::epoch::Guard;
use crate::hybrid_log::Region;
use crate::record::{
    Contended, HasLayout, Layout, RecordInfo, RecordRef, StoredRecord, TableNumber,
};
use crate::statistics::{Counter, Counters};
use crate::store::answers::Previous;
use crate::store::inner::StoreInner;
use crate::store::moment::Moment;
use crate::store::record::pieces::is_cut;
use crate::store::table::TableRef;

/// The end of a walk.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum RecordSource<'g> {
    /// The newest record of the key, in memory.
    InMemory(InMemory<'g>),
    /// The head. The rest of the chain is on the device, from this address on.
    OnDevice(Address),
    /// The end of the chain. The key has no record.
    Absent,
}

/// A record in memory.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct InMemory<'g> {
    pub(in crate::store) address: Address,
    pub(in crate::store) record: RecordRef<'g>,
    /// The header, as the walk along the chain saw it.
    pub(in crate::store) info: RecordInfo,
    pub(in crate::store) region: Region,
}

/// Looks up the newest record of `key` in the chain that begins at `newest`.
///
/// It finds no record in memory if the table was dropped. So an operation that found none asks the
/// table before it continues.
#[inline(always)]
pub(in crate::store) fn find_record<'g, S: HasLayout>(
    core: TableRef<'g>,
    newest: Address,
    key: &[u8],
    guard: &'g Guard<'_>,
) -> RecordSource<'g> {
    find_in(core, S::LAYOUT, (newest, key), guard)
}

/// As [`find_record`], in a table of any types with this layout.
#[inline(always)]
pub(in crate::store) fn find_in<'g>(
    core: TableRef<'g>,
    layout: Layout,
    (newest, key): (Address, &[u8]),
    guard: &'g Guard<'_>,
) -> RecordSource<'g> {
    weak_spot::pause();
    let table = core.table.word();
    let pages = core.store.log.pages();
    let head = pages.head(guard);
    let mut address = newest;
    while address >= head {
        let record = pages.record(address, guard);
        let info = record.info();
        // The table first: a record of another table may have another layout.
        if info.is_of(table) && record.key_equals(layout, key) {
            let region = pages.region(address, guard);
            return RecordSource::InMemory(InMemory { address, record, info, region });
        }
        let previous = info.previous();
        debug_assert!(previous < address, "a chain leads to ever lower addresses");
        address = previous;
    }
    if address >= pages.begin() { RecordSource::OnDevice(address) } else { RecordSource::Absent }
}

impl InMemory<'_> {
    /// Returns whether the record has expired for ever. A mutable value of bytes never has, since
    /// its expiry may still change: its readers and writers look again, beside its state.
    #[inline(always)]
    pub(in crate::store) fn has_expired(&self, layout: Layout, moment: &Moment<'_>) -> bool {
        layout.has_expiry
            && (layout.value_is_word() || self.region == Region::ReadOnly)
            && moment.has_passed(self.record.expiry(layout))
    }

    /// Returns whether the key had the value of this record, which was alive, until an operation
    /// replaced or removed it. A value that is cut was none.
    #[inline(always)]
    pub(in crate::store) fn previous(&self, core: TableRef<'_>, layout: Layout) -> Previous {
        if self.info.is_in_pieces(layout) {
            return self.previous_in_pieces(core, layout);
        }
        Previous::Present
    }

    /// The log may have begun later only just now. Then the value counts as cut before the
    /// operation, as any reader may have found.
    #[cold]
    fn previous_in_pieces(&self, core: TableRef<'_>, layout: Layout) -> Previous {
        let mut list = Vec::new();
        match self.record.copy_value(layout, &mut list) {
            Ok(_) if is_cut(&list, core.readable_from()) => Previous::Absent,
            Ok(_) => Previous::Present,
            Err(Contended) => Previous::Unknown,
        }
    }
}

impl RecordSource<'_> {
    /// Fails if no record was found in memory, and the table was dropped.
    ///
    /// # Errors
    /// `InvalidArgument`.
    #[inline(always)]
    pub(in crate::store) fn check_table(&self, core: TableRef<'_>) -> Result<()> {
        match self {
            RecordSource::InMemory(_) => Ok(()),
            RecordSource::OnDevice(_) | RecordSource::Absent => core.table.check(),
        }
    }

    /// Returns whether the key had a value when a record was linked in front of what was found.
    #[inline(always)]
    pub(in crate::store) fn previous(
        &self,
        core: TableRef<'_>,
        layout: Layout,
        moment: &Moment<'_>,
    ) -> Previous {
        match self {
            RecordSource::Absent => Previous::Absent,
            RecordSource::InMemory(found) if found.record.info().is_tombstone() => Previous::Absent,
            RecordSource::InMemory(found) if found.has_expired(layout, moment) => Previous::Absent,
            RecordSource::InMemory(found) if found.region == Region::ReadOnly => {
                found.previous(core, layout)
            }
            // An operation that found the same record may be deleting it in place.
            RecordSource::InMemory(_) | RecordSource::OnDevice(_) => Previous::Unknown,
        }
    }

    /// Returns whether a record was found that takes no change in place.
    #[inline(always)]
    pub(in crate::store) fn is_old(&self) -> bool {
        match self {
            RecordSource::InMemory(found) => found.region != Region::Mutable,
            RecordSource::OnDevice(_) => true,
            RecordSource::Absent => false,
        }
    }

    /// Counts the place where the key was found, after the operation is done.
    #[inline(always)]
    pub(in crate::store) fn count(&self, counters: &Counters) {
        let counter = match self {
            RecordSource::InMemory(InMemory { region: Region::Mutable, .. }) => Counter::Mutable,
            RecordSource::InMemory(_) => Counter::ReadOnly,
            RecordSource::OnDevice(_) => Counter::OnDevice,
            RecordSource::Absent => Counter::Absent,
        };
        counters.add(counter, 1);
    }
}

/// Returns the newest record of `key` in the chain that continues at `from` on the device. Returns
/// `None` also if compaction takes the record away meanwhile. Then the begin of the log has moved.
/// In a cache that keeps nothing on a device, nothing that has left memory is found.
pub(in crate::store) async fn find_on_device(
    store: &StoreInner,
    (number, layout): (TableNumber, Layout),
    from: Address,
    key: &[u8],
) -> Result<Option<StoredRecord>> {
    let mut address = from;
    while address >= store.readable_from() {
        store.check_read()?;
        let layouts = store.tables.layouts();
        let record = match store.log.reader().fetch(layouts, layout, address).await {
            Ok(record) => record,
            Err(_) if address < store.log.pages().begin() => return Ok(None),
            Err(error) => return Err(error),
        };
        if record.info().table() == number && record.key(layout) == key {
            return Ok(Some(record));
        }
        let previous = record.info().previous();
        if previous >= address {
            return Err(circular(store, address));
        }
        address = previous;
    }
    Ok(None)
}

#[cold]
fn circular(store: &StoreInner, address: Address) -> Error {
    let (file, offset) = store.log.file().locate(address);
    Error::damaged("the chain of a record does not lead back", &file, offset)
}
