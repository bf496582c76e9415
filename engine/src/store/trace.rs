//! The walk along a chain, from the newest record to the record of a key.

use super::{Core, Learnt};
use crate::address::Address;
use crate::epoch::Guard;
use crate::hybrid_log::Region;
use crate::record::{RecordRef, Shape, StoredRecord};
use crate::statistics::{Counter, Counters};
use crate::weak_spot;

/// The end of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'g> {
    /// The newest record of the key, in memory.
    InMemory(InMemory<'g>),
    /// The head. The rest of the chain is on the device, from this address on.
    OnDevice(Address),
    /// The end of the chain. The key has no record.
    Absent,
}

/// A record in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct InMemory<'g> {
    pub(super) address: Address,
    pub(super) record: RecordRef<'g>,
    pub(super) region: Region,
}

/// The state of a key from which a value was computed. Nothing happened in between if it is the
/// same later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// The newest address in the entry.
    pub(super) newest: Address,
    /// The state word of the value, if values change in place; 0 for other values. `None` if there
    /// is no value. An empty value that never changed also has state 0, and deleting it moves
    /// neither the entry nor the address.
    pub(super) state: Option<u64>,
}

impl Core {
    /// Looks up the newest record of `key` in the chain that begins at `newest`.
    #[inline(always)]
    pub(super) fn trace<'g, S: Shape>(
        &'g self,
        newest: Address,
        key: &[u8],
        guard: &'g Guard<'_>,
    ) -> Found<'g> {
        weak_spot::pause();
        let head = self.log.pages().head(guard);
        let mut address = newest;
        while address >= head {
            let record = self.log.pages().record(address, guard);
            if record.key_equals(S::LAYOUT, key) {
                let region = self.log.pages().region(address, guard);
                return Found::InMemory(InMemory { address, record, region });
            }
            let previous = record.info().previous();
            debug_assert!(previous < address, "a chain leads to ever lower addresses");
            address = previous;
        }
        if address >= self.log.pages().begin() { Found::OnDevice(address) } else { Found::Absent }
    }
}

impl Found<'_> {
    /// Counts the place where the key was found, after the operation is done.
    #[inline(always)]
    pub(super) fn count(&self, counters: &Counters) {
        let counter = match self {
            Found::InMemory(InMemory { region: Region::Mutable, .. }) => Counter::Mutable,
            Found::InMemory(_) => Counter::ReadOnly,
            Found::OnDevice(_) => Counter::OnDevice,
            Found::Absent => Counter::Absent,
        };
        counters.add(counter, 1);
    }
}

impl Learnt {
    /// Returns the record of the key on the device from `address` on, if a wait has read that
    /// chain.
    #[inline]
    pub(super) fn chain_from(&self, address: Address) -> Option<Option<&StoredRecord>> {
        match &self.chain {
            Some((from, found)) if *from == address => Some(found.as_ref()),
            _ => None,
        }
    }

    /// Returns the whole value of the record at `address`, if its pieces were gathered.
    pub(super) fn gathered_at(&self, address: Address) -> Option<&[u8]> {
        match &self.gathered {
            Some((at, value)) if *at == address => Some(value),
            _ => None,
        }
    }

    /// Returns the list of pieces of the value that was computed from `version`.
    pub(super) fn scattered_for(&self, version: Version) -> Option<&[u8]> {
        match &self.scattered {
            Some((of, pieces)) if *of == version => Some(pieces),
            _ => None,
        }
    }
}
