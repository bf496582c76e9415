//! One synchronous attempt of an operation: its subject, and its end.

pub(crate) mod early_lines;
pub(crate) mod operation;

use crate::base::address::Address;
use crate::base::hash::KeyHash;
use crate::codec::{Key, Value};
use crate::hybrid_log::Room;
use crate::log::Space;
use crate::record::{HasLayout, Layout, Shape};
use crate::store::operation::pending::long_value_turn::LongValuePlace;

/// The key and value types of a store, without values of them.
pub(crate) type Types<K, V> = std::marker::PhantomData<(fn(&K), fn(&V))>;

/// An encoded key and its hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashedKey<'k> {
    pub(crate) bytes: &'k [u8],
    pub(crate) hash: KeyHash,
}

/// The layout of records of a store of these types.
impl<K: Key + ?Sized, V: Value + ?Sized> HasLayout for Types<K, V> {
    const LAYOUT: Layout = Layout::new(K::WIDTH, V::WIDTH).with_expiry(V::HAS_EXPIRY);
}

impl<K: Key + ?Sized, V: Value + ?Sized> Shape for Types<K, V> {
    #[inline(always)]
    fn layout(self) -> Layout {
        Self::LAYOUT
    }
}

/// Returns the layout of records of a store of these types.
#[inline(always)]
pub(crate) const fn layout<K: Key + ?Sized, V: Value + ?Sized>() -> Layout {
    <Types<K, V> as HasLayout>::LAYOUT
}

/// The reason why an attempt could not finish, and so the event to wait for. It has two words,
/// because every attempt has space for it in its result; larger variants are boxed.
#[derive(Debug)]
pub(crate) enum Blocked {
    /// The chain continues at this address on the device.
    OnDevice(Address),
    /// The log has no space for a record.
    NoSpace(Room),
    /// An operation that sees older marks may still change the record at this address.
    Fuzzy(Address),
    /// Another operation is in the middle of a change.
    Contended,
    /// The record at this address was frozen. Operations that missed it may still change its word.
    Frozen(Address),
    /// Other operations changed the value while a new value was computed from it. The next attempt
    /// follows at once, under a guard of its own.
    Overtaken,
    /// The version is ending. Operations change nothing until the next version has begun.
    VersionBarrier,
    /// The value of the record at this address is in the pieces of this list.
    OverflowValue(Box<(Address, Vec<u8>)>),
    /// Another operation of the batch holds a long value, and this one needs another.
    LongValueTurn(Box<LongValuePlace>),
    /// The value must be stored in pieces first.
    NeedsOverflow(Box<LongValue>),
    /// The write-ahead log has no space for the entry of the change.
    NoWalSpace(Box<Space>),
}

/// A value that does not fit in a page.
#[derive(Debug)]
pub(crate) struct LongValue {
    /// The version of the record from which it was computed.
    pub(in crate::store) version: EntrySnapshot,
    pub(in crate::store) bytes: Vec<u8>,
    /// Whether the operation returns it. Then its bytes stay in memory until the end.
    pub(in crate::store) is_answer: bool,
}

/// The result of an attempt.
#[derive(Debug)]
pub(crate) enum Attempt<T> {
    Done(T),
    Blocked(Blocked),
}

/// The state of a key from which a value was computed. Nothing happened in between if it is the
/// same later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntrySnapshot {
    /// The newest address in the entry.
    pub(in crate::store) newest: Address,
    /// The state word of the value, if values change in place; 0 for other values. `None` if there
    /// is no value. An empty value that never changed also has state 0, and deleting it moves
    /// neither the entry nor the address.
    pub(in crate::store) state: Option<u64>,
}
