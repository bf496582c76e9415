//! Each removal of a key counts for the space ratio, whatever operation makes it.

use std::time::{Duration, UNIX_EPOCH};

use kvick::FasterKv;
use kvick::codec::Expiring;
use kvick::config::ByteSize;
use kvick::session::{Expiry, Previous, Update};
use tests::simulated::{World, two_pages};

const VALUE: [u8; 200] = [7; 200];

/// A way to remove a key.
#[derive(Clone, Copy, Debug)]
enum Removal {
    /// None: the control.
    None,
    Delete,
    DeleteMany,
    Take,
    DeleteIf,
    Update,
    /// In a session.
    Session,
    /// By an expiry that has passed.
    Expire,
    UpdateWith,
    Clear,
}

const REMOVALS: [Removal; 10] = [
    Removal::None,
    Removal::Delete,
    Removal::DeleteMany,
    Removal::Take,
    Removal::DeleteIf,
    Removal::Update,
    Removal::Session,
    Removal::Expire,
    Removal::UpdateWith,
    Removal::Clear,
];

impl Removal {
    /// Removes the keys below `end`, all of which are there.
    async fn remove(self, store: &FasterKv<u64, Expiring<[u8]>>, end: u64) {
        let expect = "a sound disk";
        let mut session = store.session().expect("the store is open");
        if matches!(self, Self::Clear) {
            let removed = store.retain(|key, _value| key >= end).await.expect(expect);
            assert_eq!(removed, end);
        }
        for key in 0..end {
            let was_there = match self {
                Self::None | Self::Clear => continue,
                Self::Delete => store.delete(&key).await.expect(expect) != Previous::Absent,
                Self::DeleteMany => {
                    store.delete_many(&[key]).await.expect(expect) != [Previous::Absent]
                }
                Self::Take => store.take(&key).await.expect(expect).is_some(),
                Self::DeleteIf => store.delete_if(&key, |_value| true).await.expect(expect),
                Self::Update => {
                    let remove = |value: Option<Vec<u8>>| Update::Remove(value.is_some());
                    store.update(&key, remove).await.expect(expect)
                }
                Self::Session => session.take(&key).await.expect(expect).is_some(),
                Self::Expire => store.set_expiry(&key, Expiry::at(UNIX_EPOCH)).await.expect(expect),
                Self::UpdateWith => {
                    let remove = |value: Option<(Vec<u8>, Expiry)>| Update::Remove(value.is_some());
                    store.update_with(&key, remove).await.expect(expect)
                }
            };
            assert!(was_there, "{self:?} of key {key}");
        }
    }
}

/// Keys on the device, or in memory, are removed. Then the log grows a little, so that the driver
/// looks. Only deletions counted, so other removals made no round due.
fn removed_keys_make_a_round_due(is_on_device: bool) {
    for removal in REMOVALS {
        if is_on_device && matches!(removal, Removal::Expire) {
            // The record that has expired is a new one, so the log grows as much.
            continue;
        }
        let world = World::new(7);
        let site = world.site.clone();
        world.simulation.run(async {
            let config = two_pages().with_memory(ByteSize::mib(2)).with_keep_checkpoints(1);
            let config = config.with_segment_size(ByteSize::kib(8)).with_space_ratio(2.0);
            let store = site.open::<u64, Expiring<[u8]>>(config).await;
            // Then the drivers run.
            let pause = || site.handle.sleep(Duration::from_millis(200));
            for key in 10_000..14_000_u64 {
                store.upsert(&key, &VALUE).await.expect("a sound disk");
            }
            store.flush_and_evict().await.expect("a sound disk");
            pause().await;
            for key in 0..1800_u64 {
                store.upsert(&key, &VALUE).await.expect("a sound disk");
            }
            if is_on_device {
                store.flush_and_evict().await.expect("a sound disk");
                pause().await;
            }
            let before = store.stats().space;
            removal.remove(&store, 1800).await;
            store.flush_and_evict().await.expect("a sound disk");
            for key in 20_000..20_080_u64 {
                store.upsert(&key, &VALUE).await.expect("a sound disk");
            }
            pause().await;
            let after = store.stats().space;
            let has_compacted = after.compacted_bytes > before.compacted_bytes;
            let is_due = !matches!(removal, Removal::None);
            assert_eq!(has_compacted, is_due, "{removal:?}: {before:?}, {after:?}");
            store.close().await.expect("closes");
        });
    }
}

#[test]
fn each_removal_of_a_key_on_the_device_counts() {
    removed_keys_make_a_round_due(true);
}

#[test]
fn each_removal_of_a_key_in_memory_counts() {
    removed_keys_make_a_round_due(false);
}
