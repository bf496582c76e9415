//! Looks gathered records up in the log between them and the moment of a scan.
//!
//! A chain begins at the end of the log, which may grow beside a scan as fast as the scan reads. So
//! if more was written since the moment than there is below it, no chain is walked. A record is
//! live exactly if no later record of the log has its key, which is how recovery finds it, too.
//! So the work of a scan depends on the log at its moment, and not on what is written afterwards.

use super::chain_walk::ChainWalk;
use super::uncertain::{Proof, Uncertain, record_bytes};
use crate::base::address::Address;
use crate::base::error::Result;
use crate::base::wait::yield_once;
use crate::hybrid_log::PageRecord;
use crate::record::{StoredRecord, WORD};
use crate::store::scan::device_reads::DeviceReads;
use crate::store::table::TableInner;

/// A gathered record, by the hash of its key. It has the size of its walk, and takes its memory.
#[derive(Debug)]
struct Sought {
    hash: u64,
    /// The distance of the record from the base, in words.
    distance: u32,
    /// The place of its key.
    key: u32,
    is_dead: bool,
}
const _: () = assert!(size_of::<Sought>() == size_of::<ChainWalk>());

impl Sought {
    fn address(&self, base: Address) -> Address {
        Address::new(base.raw() + u64::from(self.distance) * WORD as u64)
    }
}

impl Uncertain<'_> {
    /// Looks up all records, which are of one table, as of `end`, and forgets them. Everything
    /// below `end` is on the device. Returns the proofs of the live ones.
    ///
    /// # Errors
    /// `Corrupt` with file and offset, `Io`, `Closed`.
    pub(in crate::store::scan) async fn resolve_in_log(
        &mut self,
        table: &TableInner,
        end: Address,
    ) -> Result<Vec<Proof>> {
        let (base, walks, keys) = self.take();
        let Some(lowest) = walks.iter().map(|walk| walk.target(base)).min() else {
            return Ok(Vec::new());
        };
        let key_of = |place: u32| ChainWalk::key_at(place, table.layout, &keys);
        let sought = walks.into_iter().map(|walk| {
            let hash = table.hasher.hash(key_of(walk.key())).bits();
            let distance = (walk.target(base).raw() - base.raw()) / WORD as u64;
            let distance = u32::try_from(distance).expect("records are within reach");
            Sought { hash, distance, key: walk.key(), is_dead: false }
        });
        let mut sought: Vec<_> = sought.collect();
        sought.sort_unstable_by_key(|sought| sought.hash);
        let mut reads = DeviceReads::new(table.store(), [lowest, end]);
        while let Some(stretch) = reads.next().await? {
            table.check_read()?;
            let next =
                stretch.walk(table, end, |PageRecord { address, info, layout, bytes }| {
                    if info.table() != table.number || info.is_invalid() || info.is_piece() {
                        return;
                    }
                    let key = StoredRecord::key_in(bytes, layout);
                    let hash = table.hasher.hash(key).bits();
                    let first = sought.partition_point(|sought| sought.hash < hash);
                    for sought in
                        sought[first..].iter_mut().take_while(|sought| sought.hash == hash)
                    {
                        let is_older = sought.address(base) < address;
                        sought.is_dead |= is_older && key_of(sought.key) == key;
                    }
                })?;
            reads.keep(&stretch, next);
            yield_once().await;
        }
        reads.finish()?;
        let bytes = record_bytes(table, table.layout);
        let live = sought.into_iter().filter(|sought| !sought.is_dead);
        Ok(live.map(|sought| Proof::of_record(sought.address(base), bytes)).collect())
    }
}
