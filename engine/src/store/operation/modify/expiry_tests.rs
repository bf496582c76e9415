//! A record keeps its expiry while its value changes, and passes it on to the copy that replaces
//! it.

use super::*;
use crate::checkpoint::Checkpoint;
use crate::codec::{Expires, Expiring};
use crate::config::Config;
use crate::database::Database;
use crate::kv::FasterKv;
use crate::recovery::TypeNames;
use crate::store::expiry::Expiry;
use crate::store::operation::store_ref::StoreRef;
use kvick_io::MemoryDirectory;
use kvick_runtime::block_on;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

const NOW: u32 = 1_700_000_000;
const SECOND: u32 = 1_800_000_000;

/// A table with expiry, and its store.
struct Site<V: Value + ?Sized> {
    directory: MemoryDirectory,
    database: Database,
    store: FasterKv<u64, V>,
    table: Arc<TableInner>,
}

impl<V: Value + ?Sized> Site<V> {
    async fn new() -> Self {
        let directory = MemoryDirectory::new();
        let builder = Database::builder(Config::tiny()).directory(Arc::new(directory.clone()));
        let builder = builder.clock(|| UNIX_EPOCH + Duration::from_secs(NOW.into()));
        let database = builder.open_in_directory().await.expect("memory");
        let types = TypeNames::of::<u64, V>();
        let table = database.open_table("expiring", &types).await.expect("memory");
        let store = FasterKv::new(Arc::clone(&table), database.clone());
        Self { directory, database, store, table }
    }

    /// Sets a value that expires.
    async fn put(&self, key: u64, value: &V::Item)
    where
        V: Expires,
    {
        let expiry = Expiry::at(UNIX_EPOCH + Duration::from_secs(SECOND.into()));
        self.store.upsert_with(&key, value, expiry).await.expect("memory");
    }

    /// Returns the address and the expiry of the newest record of a key, which is in memory.
    fn newest(&self, key: u64) -> (Address, Option<u32>) {
        StoreRef::pooled(&self.table).protected(|core, tools| {
            let key = key.to_le_bytes();
            let hash = hashed::<u64>(core, &key).expect("short").hash;
            let newest = core.index.find(hash).expect("it was written").address();
            let found = find_record::<Types<u64, V>>(core, newest, &key, tools.guard);
            let RecordSource::InMemory(InMemory { address, record, .. }) = found else {
                panic!("{found:?}");
            };
            (address, record.expiry(layout::<u64, V>()).second())
        })
    }

    async fn checkpoint(&self) -> Checkpoint {
        self.database.checkpoint().fold_over().await.expect("memory")
    }
}

/// Changes a value in place, in memory that is read-only, and on the device.
async fn pass_on<V: Expires + Value<Owned = O, Item = O> + ?Sized, O: Clone>(
    value: O,
    change: impl Fn(Option<O>) -> O,
) {
    let site = Site::<V>::new().await;
    site.put(1, &value).await;
    let (first, expiry) = site.newest(1);
    assert_eq!(expiry, Some(SECOND));
    site.store.rmw(&1, &change).await.expect("memory");
    site.put(1, &value).await;
    assert_eq!(site.newest(1), (first, Some(SECOND)), "in place");

    site.checkpoint().await;
    site.store.rmw(&1, &change).await.expect("memory");
    let (second, expiry) = site.newest(1);
    assert!(second > first, "a copy");
    assert_eq!(expiry, Some(SECOND));

    site.database.flush_and_evict().await.expect("memory");
    site.store.rmw(&1, &change).await.expect("memory");
    let (third, expiry) = site.newest(1);
    assert!(third > second, "a copy");
    assert_eq!(expiry, Some(SECOND));

    // A tombstone does not expire, and neither does the next value.
    site.store.take(&1).await.expect("memory");
    site.store.rmw(&1, &change).await.expect("memory");
    let (fourth, expiry) = site.newest(1);
    assert!(fourth > third, "a new record");
    assert_eq!(expiry, None);

    // Neither does a value that is written without the old one, wherever that is.
    for checkpoint in [false, true] {
        site.put(1, &value).await;
        let (fifth, expiry) = site.newest(1);
        assert_eq!(expiry, Some(SECOND));
        if checkpoint {
            site.checkpoint().await;
        }
        site.store.upsert(&1, &value).await.expect("memory");
        let (sixth, expiry) = site.newest(1);
        assert_eq!(sixth == fifth, !checkpoint && !layout::<u64, V>().value_is_word());
        assert_eq!(expiry, None);
    }
    site.database.close().await.expect("memory");
}

#[test]
fn words_keep_their_expiry() {
    block_on(pass_on::<Expiring<u64>, _>(5, |value| value.unwrap_or(0) + 1));
}

#[test]
fn blocks_keep_their_expiry() {
    block_on(pass_on::<Expiring<[u8; 24]>, _>([1; 24], |value| {
        value.unwrap_or([0; 24]).map(|byte| byte + 1)
    }));
}

/// A value outgrows its record in memory, then its page, and becomes short again.
#[test]
fn values_that_grow_keep_their_expiry() {
    block_on(async {
        let site = Site::<Expiring<[u8]>>::new().await;
        site.put(1, &[7; 10]).await;
        let mut last = site.newest(1).0;
        for length in [30, 9000, 20_000, 100] {
            let grown = site.store.rmw(&1, |_| vec![7; length]).await.expect("memory");
            assert_eq!(grown.len(), length);
            let (address, expiry) = site.newest(1);
            assert!(address > last, "a copy of {length} bytes");
            assert_eq!(expiry, Some(SECOND), "{length} bytes");
            last = address;
        }
        assert_eq!(site.store.read(&1).await.expect("memory"), Some(vec![7; 100]));
        site.database.close().await.expect("memory");
    });
}

#[test]
fn an_inspection_shows_the_records_that_expire() {
    block_on(async {
        let site = Site::<Expiring<[u8]>>::new().await;
        site.put(1, &[1; 10]).await;
        site.put(2, &[2; 20]).await;
        site.store.rmw(&2, |_| vec![2; 9000]).await.expect("memory");
        site.store.upsert(&3, &[3; 30]).await.expect("memory");
        site.checkpoint().await;
        let inspection = crate::inspect(Arc::new(site.directory.clone())).await.expect("memory");
        assert!(inspection.problems.is_empty(), "{inspection}");
        let records = inspection.checkpoints[0].records;
        assert_eq!((records.values, records.in_pieces), (3, 1));
        assert_eq!((records.expiring, records.expiries), (3, Some([SECOND; 2])));
        let text = inspection.to_string();
        assert!(text.contains("3 that expire at 1800000000 to 1800000000"), "{text}");
        site.database.close().await.expect("memory");
    });
}

/// A chain of another table may lead to a record whose header is longer than the records of that
/// table. Some of these headers end after their unit.
#[test]
fn headers_that_continue_in_the_next_unit_are_read() {
    block_on(async {
        let site = Site::<Expiring<[u8]>>::new().await;
        let keys = 0..200;
        for key in keys.clone() {
            site.put(key, &[]).await;
        }
        let addresses: Vec<Address> = keys.map(|key| site.newest(key).0).collect();
        site.database.flush_and_evict().await.expect("memory");
        let (log, layouts) = (&site.table.log, site.table.tables.layouts());
        let units = log.file().units();
        let mut crossing = 0;
        for address in addresses {
            let expected = Layout::new(Some(0), Some(8));
            let record = log.reader().fetch(layouts, expected, address).await.expect("memory");
            assert_eq!(record.expiry(site.table.layout).second(), Some(SECOND), "{address:?}");
            let left = units.payload() - (address.raw() - units.unit_start(address).raw());
            crossing += usize::from(left == 16);
        }
        assert!(crossing > 0, "the bytes of an expected record are in one unit, the header is not");
        site.database.close().await.expect("memory");
    });
}
