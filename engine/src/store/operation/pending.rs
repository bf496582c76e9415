//! The results of the waits of an operation: addresses and owned bytes.

pub(crate) mod acknowledgement;
pub(in crate::store) mod cached;
pub(crate) mod long_value_turn;
pub(in crate::store) mod wait;

use super::attempt::EntrySnapshot;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::epoch::Guard;
use crate::hybrid_log::Pages;
use crate::record::StoredRecord;
use crate::store::record::pieces::pieces_of;

/// The results of waits: addresses and owned bytes.
#[derive(Debug, Default)]
pub(crate) struct PendingState {
    chain: Option<LearntChain>,
    /// The address of a frozen record whose word is final by now.
    pub(in crate::store) drained: Option<Address>,
    /// The whole value of the record at an address; `None` if it is cut.
    pub(in crate::store) gathered: Option<(Address, Option<Vec<u8>>)>,
    scattered: Option<Scattered>,
    /// The number of times that compaction took pieces before their list was linked.
    losses: u32,
    /// The record whose value was found cut, and the begin of the log then.
    cut: Option<[Address; 2]>,
}

/// The newest record of the key in the chain from an address on the device, as a wait has read it.
#[derive(Debug)]
pub(in crate::store) struct LearntChain {
    pub(in crate::store) from: Address,
    /// The begin of the log before the chain was read. The chain may lead below a later begin,
    /// where compaction has taken records away.
    pub(in crate::store) begin: Address,
    pub(in crate::store) found: Option<StoredRecord>,
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
    /// The error of an operation that loses its pieces again and again. `Some` in a store with a
    /// budget for the device, where compaction makes space for the pieces by dropping them.
    pub(in crate::store) refusal: Option<Error>,
}

/// The number of losses of its pieces after which an operation is refused.
const MOST_LOSSES: u32 = 4;

/// The result of one wait.
#[derive(Debug)]
pub(in crate::store) enum PendingResult {
    Nothing,
    Chain(LearntChain),
    Drained(Address),
    Gathered(Address, Option<Vec<u8>>),
    Scattered(Scattered),
    /// A piece of the value of the record at an address is below the begin of the log, which is the
    /// second address. The value has been copied since the record was found, or it is cut.
    Cut(Address, Address),
}

/// The value of a record in pieces.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Gathered<'v> {
    Whole(&'v [u8]),
    /// The value is cut. So the key is absent, although its record is there.
    Cut,
}

impl<'v> Gathered<'v> {
    /// Returns the value, or `None` if the key is absent.
    pub(in crate::store) fn value(self) -> Option<&'v [u8]> {
        match self {
            Self::Whole(value) => Some(value),
            Self::Cut => None,
        }
    }
}

/// The results of a new operation, which has not waited.
pub(in crate::store) static NOTHING_PENDING: PendingState = PendingState {
    chain: None,
    drained: None,
    gathered: None,
    scattered: None,
    losses: 0,
    cut: None,
};

impl PendingState {
    /// Takes the result of a wait.
    ///
    /// # Errors
    /// The error of pieces that are lost too often.
    pub(in crate::store) fn take_in(&mut self, result: PendingResult) -> Result<()> {
        match result {
            PendingResult::Nothing => {}
            PendingResult::Chain(chain) => self.learn(chain),
            PendingResult::Drained(frozen) => self.drained = Some(frozen),
            PendingResult::Gathered(at, value) => self.gathered = Some((at, value)),
            PendingResult::Scattered(value) => {
                let before = self.scattered.as_ref().map(|before| before.version);
                if before == Some(value.version) {
                    self.losses += 1;
                }
                match value.refusal {
                    Some(error) if self.losses >= MOST_LOSSES => return Err(error),
                    _ => self.scattered = Some(value),
                }
            }
            PendingResult::Cut(at, begin) => {
                // The second time the record was found as the newest one while the log began there.
                if self.cut == Some([at, begin]) {
                    self.gathered = Some((at, None));
                }
                self.cut = Some([at, begin]);
            }
        }
        Ok(())
    }
}

impl PendingState {
    /// Takes in a chain that is known without a wait.
    pub(in crate::store) fn learn(&mut self, chain: LearntChain) {
        self.chain = Some(chain);
    }

    /// Returns the record of the key on the device from `address` on, if a wait has read that
    /// chain, and the log still begins where it did.
    #[inline]
    pub(in crate::store) fn chain_from(
        &self,
        address: Address,
        pages: &Pages,
    ) -> Option<Option<&StoredRecord>> {
        match &self.chain {
            Some(LearntChain { from, begin, found })
                if *from == address && *begin == pages.begin() =>
            {
                Some(found.as_ref())
            }
            _ => None,
        }
    }

    /// Returns the whole value of the record at `address`, if its pieces were gathered.
    pub(in crate::store) fn gathered_at(&self, address: Address) -> Option<Gathered<'_>> {
        let (at, value) = self.gathered.as_ref()?;
        let value = || value.as_deref().map_or(Gathered::Cut, Gathered::Whole);
        (*at == address).then(value)
    }

    /// Returns the value that was computed from `version`, if it is stored in pieces that the guard
    /// may link.
    pub(in crate::store) fn scattered_for(
        &self,
        version: EntrySnapshot,
        pages: &Pages,
        guard: &Guard<'_>,
    ) -> Option<&Scattered> {
        let is_usable = |value: &&Scattered| {
            // Pieces ascend.
            let first = pieces_of(&value.pieces).next();
            value.version == version && first >= Some(pages.retiring(guard))
        };
        self.scattered.as_ref().filter(is_usable)
    }
}
