//! oxifaster in the contest: a session for each thread, a null device, everything in memory.

use std::sync::Arc;

use benches::keys::key_of;
use benches::payload::Payload;
use benches::workload::Operation;
use oxifaster::device::NullDisk;
use oxifaster::store::{FasterKv, FasterKvConfig};
use versus::slices::Walk;

use crate::contest::{Mix, is_right, value_of};

/// A loaded store.
pub struct Oxi(Arc<FasterKv<u64, u64, NullDisk>>);

impl Oxi {
    /// Loads one record for each index, into a table with one bucket for two records.
    pub fn load(records: u64) -> Self {
        let log_bytes = (records * 96).next_power_of_two();
        let config = FasterKvConfig::new((records / 2).next_power_of_two(), log_bytes);
        let store = Arc::new(FasterKv::new(config, NullDisk::new()));
        let mut session = store.start_session().expect("a session");
        for index in 0..records {
            session.upsert(key_of(index), value_of(key_of(index), 0));
        }
        drop(session);
        Self(store)
    }

    /// Takes steps one by one until the slice is over.
    pub fn one_by_one(&self, mix: Mix, walk: &mut Walk) {
        let mut session = self.0.start_session().expect("a session");
        let mut version = 0u32;
        while let Some(stretch) = walk.stretch() {
            for step in stretch {
                let key = key_of(step.target());
                match mix.operation(*step) {
                    Operation::Read => {
                        let found = session.read(&key).expect("in memory");
                        walk.saw(found.map(|value| is_right(key, value)));
                    }
                    Operation::Update | Operation::Insert => {
                        version = version.wrapping_add(1);
                        session.upsert(key, value_of(key, version));
                    }
                    Operation::ReadModifyWrite => {
                        session.rmw(key, |value| {
                            *value = u64::next(Some(*value), key, 8);
                            true
                        });
                    }
                }
            }
        }
    }
}
