//! The records of a batch: which are needed, and how they are linked all at once.

use super::prepared::{Group, PreparedBatch, PreparedChange};
use crate::base::address::Address;
use crate::epoch::Guard;
use crate::hash_index::HeldEntries;
use crate::hybrid_log::{Claim, NoRoom, Room};
use crate::statistics::{Counter, Counters};
use crate::store::record::append::{chain_to_keep, note_removal};
use crate::store::record::find::{RecordSource, find_in};
use crate::store::table::TableRef;

/// The records of a batch, as long as its entries are held.
pub(super) struct Records<'b, 'g> {
    /// Those of each held entry, in the order of the entries.
    chains: Vec<Chain<'b>>,
    /// The place where each key of the batch was found.
    found: Vec<RecordSource<'g>>,
    /// The room of all records; `None` if there is none.
    room: Option<Room>,
}

/// The new records of one chain.
struct Chain<'b> {
    /// The records after which they come.
    previous: Address,
    new: Vec<PreparedChange<'b>>,
}

impl<'b, 'g> Records<'b, 'g> {
    /// Returns the records that the changes of these groups need. Their entries are held.
    pub(super) fn of(
        core: TableRef<'g>,
        batch: &PreparedBatch<'b>,
        (groups, held): (&[&Group], &HeldEntries<'_>),
        guard: &'g Guard<'_>,
    ) -> Self {
        let layout = core.table.layout;
        let (mut chains, mut found) = (Vec::new(), Vec::new());
        let (mut bytes, mut claim) = (0, Claim::Removal);
        for (place, group) in groups.iter().enumerate() {
            let newest = held.address(place);
            let mut new = Vec::with_capacity(group.changes.len());
            for change in &batch.changes[group.changes.clone()] {
                let source = find_in(core, layout, (newest, change.key.bytes), guard);
                if change.is_value() {
                    claim = Claim::Value;
                } else if is_absent(&source) {
                    found.push(source);
                    continue;
                }
                found.push(source);
                bytes += change.record().bytes(layout);
                new.push(*change);
            }
            let previous = match new.first() {
                Some(first) if newest != Address::UNSET => {
                    chain_to_keep(core, layout, (newest, first.key.bytes), guard)
                }
                _ => Address::NONE,
            };
            chains.push(Chain { previous, new });
        }
        let room = (bytes > 0).then(|| Room::new(bytes as u64, claim));
        Self { chains, found, room }
    }

    /// Returns the room that the records need, if the log has none now.
    pub(super) fn lacking_room(&self, core: TableRef<'_>) -> Option<Room> {
        self.room.filter(|room| !core.log.allocator().has_room(*room))
    }

    /// Appends all records, and makes them the newest of their entries.
    ///
    /// # Errors
    /// The log has no room. Then nothing was changed.
    pub(super) fn link(
        &self,
        core: TableRef<'_>,
        mut held: HeldEntries<'_>,
        guard: &Guard<'_>,
    ) -> Result<(), NoRoom> {
        let Some(room) = self.room else {
            return Ok(());
        };
        let (layout, table) = (core.table.layout, core.table.stored());
        let mut next = core.log.allocator().allocate(room, |_rest| {}, guard)?;
        let mut dead = Vec::new();
        for (place, chain) in self.chains.iter().enumerate() {
            let mut newest = chain.previous;
            for change in &chain.new {
                let record = change.record();
                core.log.write((next, newest), table, record, guard);
                newest = next;
                next = Address::new(next.raw() + record.bytes(layout) as u64);
            }
            if newest == chain.previous {
                continue;
            }
            let entry = held.change(place, newest);
            if let [only] = &chain.new[..]
                && !only.is_value()
                && chain.previous == Address::NONE
            {
                dead.push(entry);
            }
        }
        // It may wake the driver, whose waker is code of the caller.
        drop(held);
        dead.into_iter().for_each(|entry| core.index.forget(entry));
        Ok(())
    }

    /// Counts what the batch has found and appended.
    pub(super) fn count(&self, core: TableRef<'_>, changes: usize, counters: &Counters) {
        let new = || self.chains.iter().flat_map(|chain| &chain.new);
        new().filter(|new| !new.is_value()).for_each(|_new| note_removal(core.store, counters));
        counters.add(Counter::Appends, new().count() as u64);
        counters.add(Counter::AppendedBytes, self.room.map_or(0, Room::bytes));
        self.found.iter().for_each(|source| source.count(counters));
        counters.add(Counter::Absent, (changes - self.found.len()) as u64);
    }
}

/// Returns whether the key is absent, as far as memory shows.
fn is_absent(source: &RecordSource<'_>) -> bool {
    match source {
        RecordSource::Absent => true,
        RecordSource::InMemory(found) => found.record.info().is_tombstone(),
        RecordSource::OnDevice(_) => false,
    }
}
