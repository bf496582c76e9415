//! Writers of entries that a batch holds.

use crate::config::Config;
use crate::database::Database;
use crate::kv::FasterKv;
use crate::recovery::TypeNames;
use crate::store::operation::store_ref::StoreRef;
use crate::store::operation::upsert::hashed;
use kvick_io::MemoryDirectory;
use kvick_runtime::block_on;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

fn is_pending<T>(operation: impl Future<Output = T>) -> bool {
    pin!(operation).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Each try once appended a record, and made it invalid.
#[test]
fn writers_of_a_held_entry_append_nothing() {
    block_on(async {
        let builder = Database::builder(Config::tiny()).directory(Arc::new(MemoryDirectory::new()));
        let database = builder.open_in_directory().await.expect("memory");
        let types = TypeNames::of::<u64, u64>();
        let table = database.open_table("held", &types).await.expect("memory");
        let store = FasterKv::<u64, u64>::new(Arc::clone(&table), database.clone());
        store.upsert(&1, &1).await.expect("memory");
        // What is immutable is not changed in place.
        database.flush().await.expect("memory");
        let core = table.with_store();
        let tail = core.log.tail_address();
        let hash = StoreRef::pooled(&table).protected(|core, _tools| {
            hashed::<u64>(core, &1_u64.to_le_bytes()).expect("short").hash
        });
        let held = core.index.hold([hash].into_iter()).expect("no other task");
        assert!(is_pending(store.upsert(&1, &2)));
        assert!(is_pending(store.rmw(&1, |_value| 2)));
        assert!(is_pending(store.delete(&1)));
        assert_eq!(core.log.tail_address(), tail, "records that no chain has");
        assert_eq!(store.read(&1).await.expect("memory"), Some(1));
        drop(held);
        store.delete(&1).await.expect("memory");
        assert!(core.log.tail_address() > tail);
        drop(table);
        drop(store);
        database.close().await.expect("closes");
    });
}
