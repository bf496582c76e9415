//! The places between changes in the write-ahead log, and where a reader of changes begins.

use super::Address;
use crate::backup::Backup;
use crate::base::error::{Error, Result};
use crate::checkpoint::Token;
use crate::checkpoint::files::manifest::WalPlace;
use crate::lifecycle::StoreLifecycle;
use std::fmt;

/// A place between two changes of a store, from which [`changes`](crate::Database::changes) goes
/// on: also after restarts and crashes.
///
/// Tokens of one store ascend in the order of its changes. Their [bytes](Self::to_bytes) have the
/// same order. They also have the identity of the store, so the token of another one is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "[u8; 16]", from = "[u8; 16]"))]
pub struct ChangeToken {
    /// The salt of the write-ahead log, plus the number of times that it was rewound.
    log: u64,
    /// Changes below were before it.
    address: u64,
}

/// The place at which [`changes`](crate::Database::changes) begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Start {
    /// The oldest change that the write-ahead log still has.
    Oldest,
    /// After the last change that is durable now. Every change that is not shows.
    Now,
    /// After everything that was before a token.
    Token(ChangeToken),
    /// After exactly the changes that a kept checkpoint has.
    Checkpoint(Token),
}

impl ChangeToken {
    pub(super) fn new(log: u64, address: Address) -> Self {
        Self { log, address: address.raw() }
    }

    /// Returns another place of the same store.
    pub(super) fn at(self, address: Address) -> Self {
        Self::new(self.log, address)
    }

    pub(super) fn address(self) -> Address {
        Address::new(self.address)
    }

    /// Returns the token as bytes, to be stored with the effects of the changes before it. Their
    /// order is the order of the tokens.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.log) << 64 | u128::from(self.address)).to_be_bytes()
    }

    /// Returns the token with these bytes. Every 16 bytes are a token, maybe of no store.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let [log, address] = bytes.as_chunks::<8>().0 else { unreachable!("two halves") };
        Self { log: u64::from_be_bytes(*log), address: u64::from_be_bytes(*address) }
    }
}

impl Start {
    /// Returns the place in the write-ahead log of an open store, as a token.
    ///
    /// # Errors
    /// `InvalidArgument` without a write-ahead log, and for a token or checkpoint that the store
    /// does not have. `Truncated` if changes after the place were removed.
    pub(super) fn find(self, lifecycle: &StoreLifecycle) -> Result<ChangeToken> {
        let log = lifecycle.checkpoints.core().wal()?.log();
        let manifest = lifecycle.checkpoints.checkpoint_files().manifest();
        let identity = manifest.wal_identity().expect("it names the log of an open store");
        let (begin, durable) = (log.begin_address(), log.committed_until());
        // What a recovery by its token gave up is no change of this store, and there is no order
        // across what a repair gave up.
        let gap = log.inner.view.range().holes().end();
        let oldest = begin.max(manifest.wal_rewound().into()).max(gap.into());
        // A commit ends after its record. So a token lies before the end of the log, and a later
        // recovery that gives up the changes before that end tells it from its own.
        let newest = Address::new(durable.raw() - 1).max(oldest);
        let at = match self {
            Self::Oldest => oldest,
            Self::Now => newest,
            Self::Token(token) if token.log != identity => {
                // Of this log, before its changes were given up.
                let earlier =
                    (1..=manifest.wal_rewinds()).contains(&identity.wrapping_sub(token.log));
                return Err(match earlier {
                    true => Error::removed_changes(token.address, oldest.raw()),
                    false => Error::foreign_changes("of another store"),
                });
            }
            Self::Token(token) => token.address(),
            Self::Checkpoint(token) => {
                let place = manifest.wal_place(token.version());
                let cut = place.ok_or_else(|| no_checkpoint(token))?.cut.into();
                // The checkpoint has more than the log if that was full.
                if cut > durable { cut } else { newest.min(cut) }
            }
        };
        if at < oldest {
            return Err(Error::removed_changes(at.raw(), oldest.raw()));
        }
        if at > durable.max(manifest.wal_replayed_from().into()) {
            return Err(Error::foreign_changes("of changes that the store has lost"));
        }
        Ok(ChangeToken::new(identity, at))
    }
}

#[cold]
fn no_checkpoint(token: Token) -> Error {
    Error::invalid(format!(
        "checkpoint {token}: the store keeps no such one, or it is older than the write-ahead log"
    ))
}

impl From<ChangeToken> for Start {
    fn from(token: ChangeToken) -> Self {
        Self::Token(token)
    }
}

impl From<Token> for Start {
    fn from(token: Token) -> Self {
        Self::Checkpoint(token)
    }
}

/// After exactly the changes that a backup has, as long as the write-ahead log has those after it:
/// until a second checkpoint follows. [`wal_keep`](crate::Config::wal_keep) keeps them longer.
impl From<&Backup> for Start {
    fn from(backup: &Backup) -> Self {
        match backup.place {
            Some(WalPlace { identity, cut }) => Self::Token(ChangeToken::new(identity, cut.into())),
            None => Self::Checkpoint(backup.token),
        }
    }
}

impl From<ChangeToken> for [u8; 16] {
    fn from(token: ChangeToken) -> Self {
        token.to_bytes()
    }
}

impl From<[u8; 16]> for ChangeToken {
    fn from(bytes: [u8; 16]) -> Self {
        Self::from_bytes(bytes)
    }
}

impl fmt::Debug for ChangeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ChangeToken({self})")
    }
}

/// Shows the identity of the store, and the address.
impl fmt::Display for ChangeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}:{}", self.log, self.address)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_their_bytes_are_in_order() {
        let tokens = [(0, 64), (0, 300), (7, 1), (u64::MAX, 65)];
        let tokens = tokens.map(|(log, at)| ChangeToken::new(log, Address::new(at)));
        for pair in tokens.windows(2) {
            assert!(pair[0] < pair[1] && pair[0].to_bytes() < pair[1].to_bytes(), "{pair:?}");
        }
        for token in tokens {
            assert_eq!(ChangeToken::from_bytes(token.to_bytes()), token);
        }
    }
}
