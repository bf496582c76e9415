//! The knowledge of chains on the device, from the read cache or for it.

use super::LearntChain;
use crate::base::address::Address;
use crate::read_cache::Lookup;
use crate::store::table::TableRef;

/// Returns what the read cache has of the chain of `key` from `from` on.
pub(in crate::store) fn cached_chain(
    core: TableRef<'_>,
    from: Address,
    key: &[u8],
) -> Option<LearntChain> {
    let read_cache = core.store.read_cache.as_ref()?;
    // The attempt compares it with the begin under its guard.
    let begin = core.log.pages().begin();
    if from < begin {
        return None;
    }
    let found = read_cache.get(lookup(core, from, key), begin)?;
    Some(LearntChain { from, begin, found })
}

/// Keeps what an operation has learnt of the chain of `key`.
pub(in crate::store) fn keep_chain(core: TableRef<'_>, key: &[u8], chain: &LearntChain) {
    if let Some(read_cache) = &core.store.read_cache
        && read_cache.keep(lookup(core, chain.from, key), chain.found.as_ref())
    {
        core.store.note_read_cache();
    }
}

fn lookup<'k>(core: TableRef<'_>, from: Address, key: &'k [u8]) -> Lookup<'k> {
    let table = (core.table.number, core.table.layout);
    Lookup { from, table, key, hash: core.table.hasher.hash(key) }
}
