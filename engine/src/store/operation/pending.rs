//! The results of the waits of an operation: addresses and owned bytes.

pub(crate) mod long_value_turn;
pub(in crate::store) mod wait;

use super::attempt::EntrySnapshot;
use crate::base::address::Address;
use crate::record::StoredRecord;

/// The results of waits: addresses and owned bytes.
#[derive(Debug, Default)]
pub(crate) struct PendingState {
    /// The newest record of the key in the chain from an address on the device.
    chain: Option<(Address, Option<StoredRecord>)>,
    /// The address of a frozen record whose word is final by now.
    pub(in crate::store) drained: Option<Address>,
    /// The whole value of the record at an address.
    pub(in crate::store) gathered: Option<(Address, Vec<u8>)>,
    scattered: Option<Scattered>,
}

/// A long value that is stored in pieces.
#[derive(Debug)]
pub(in crate::store) struct Scattered {
    /// The version of the record from which it was computed.
    pub(in crate::store) version: EntrySnapshot,
    /// The list of pieces.
    pub(in crate::store) pieces: Vec<u8>,
    /// The bytes of the value. `Some` if the operation returns it.
    pub(in crate::store) answer: Option<Vec<u8>>,
}

/// The result of one wait.
#[derive(Debug)]
pub(in crate::store) enum PendingResult {
    Nothing,
    Chain(Address, Option<StoredRecord>),
    Drained(Address),
    Gathered(Address, Vec<u8>),
    Scattered(Scattered),
}

/// The results of a new operation, which has not waited.
pub(in crate::store) static NOTHING_PENDING: PendingState =
    PendingState { chain: None, drained: None, gathered: None, scattered: None };

impl PendingState {
    pub(in crate::store) fn take_in(&mut self, result: PendingResult) {
        match result {
            PendingResult::Nothing => {}
            PendingResult::Chain(from, found) => self.chain = Some((from, found)),
            PendingResult::Drained(frozen) => self.drained = Some(frozen),
            PendingResult::Gathered(at, value) => self.gathered = Some((at, value)),
            PendingResult::Scattered(value) => self.scattered = Some(value),
        }
    }
}

impl PendingState {
    /// Returns the record of the key on the device from `address` on, if a wait has read that
    /// chain.
    #[inline]
    pub(in crate::store) fn chain_from(&self, address: Address) -> Option<Option<&StoredRecord>> {
        match &self.chain {
            Some((from, found)) if *from == address => Some(found.as_ref()),
            _ => None,
        }
    }

    /// Returns the whole value of the record at `address`, if its pieces were gathered.
    pub(in crate::store) fn gathered_at(&self, address: Address) -> Option<&[u8]> {
        match &self.gathered {
            Some((at, value)) if *at == address => Some(value),
            _ => None,
        }
    }

    /// Returns the value that was computed from `version`, if it is stored in pieces.
    pub(in crate::store) fn scattered_for(&self, version: EntrySnapshot) -> Option<&Scattered> {
        self.scattered.as_ref().filter(|value| value.version == version)
    }
}
