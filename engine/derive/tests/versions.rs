//! Tests how derived types change under a store: it opens with a later version and reads the values
//! of the earlier ones, and refuses any other type.

use std::fmt::Debug;
use std::sync::Arc;

use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Config, ErrorKind, FasterKv, Key, Result, Value};

async fn open<K: Key + ?Sized, V: Value + ?Sized>(
    directory: &MemoryDirectory,
) -> Result<FasterKv<K, V>> {
    let config = Config::default()
        .with_memory(ByteSize::kib(256))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::mib(1))
        .with_index_buckets(8)
        .with_huge_pages(false);
    let builder = FasterKv::builder(config).directory(Arc::new(directory.clone()));
    builder.open_in_directory().await
}

/// Checks that the store refuses to open with this type of values.
async fn refused<V: Value + ?Sized>(directory: &MemoryDirectory) {
    let error = open::<u64, V>(directory).await.expect_err("another type");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(error.to_string().contains(&*V::fingerprint()), "{error}");
}

async fn holds<V>(store: &FasterKv<u64, V>, key: u64, value: &V) -> Result<()>
where
    V: Value<Owned = V> + PartialEq + Debug,
{
    assert_eq!(store.read(&key).await?.as_ref(), Some(value));
    Ok(())
}

mod first {
    #[derive(kvick::Value, Debug, PartialEq)]
    #[kvick(name = "account", version = 1)]
    pub(super) struct Account {
        pub(super) owner: String,
    }

    #[derive(kvick::Value)]
    #[kvick(name = "account", version = 1)]
    pub(super) struct Renamed {
        pub(super) _holder: String,
    }

    #[derive(kvick::Value)]
    #[kvick(name = "other", version = 1)]
    pub(super) struct Other {
        pub(super) _owner: String,
    }
}

mod second {
    #[derive(kvick::Value, Debug, PartialEq)]
    #[kvick(name = "account", version = 2, from(1) = super::first::Account)]
    pub(super) struct Moved {
        pub(super) owner: String,
        pub(super) cents: u64,
    }

    impl From<super::first::Account> for Moved {
        fn from(old: super::first::Account) -> Self {
            Self { owner: old.owner, cents: 100 }
        }
    }
}

#[derive(Value, Debug, PartialEq)]
#[kvick(name = "account", version = 3, from(1) = first::Account, from(2) = second::Moved)]
enum Account {
    Anonymous,
    Owned { owner: String, cents: i64 },
}

impl From<first::Account> for Account {
    fn from(old: first::Account) -> Self {
        second::Moved::from(old).into()
    }
}

impl From<second::Moved> for Account {
    fn from(old: second::Moved) -> Self {
        Self::Owned { owner: old.owner, cents: old.cents.try_into().unwrap_or(i64::MAX) }
    }
}

fn owned(cents: i64) -> Account {
    Account::Owned { owner: "Ada".to_owned(), cents }
}

#[test]
fn values_of_older_versions_are_converted() -> Result<()> {
    let directory = MemoryDirectory::new();
    block_on(async {
        let store = open::<u64, first::Account>(&directory).await?;
        store.upsert(&1, &first::Account { owner: "Ada".to_owned() }).await?;
        store.close().await?;

        let store = open::<u64, second::Moved>(&directory).await?;
        let moved = |cents| second::Moved { owner: "Ada".to_owned(), cents };
        holds(&store, 1, &moved(100)).await?;
        store.upsert(&2, &moved(200)).await?;
        store.close().await?;
        // The first version would not read what the second has written.
        refused::<first::Account>(&directory).await;

        let store = open::<u64, Account>(&directory).await?;
        store.upsert(&3, &Account::Anonymous).await?;
        for (key, value) in [(1, owned(100)), (2, owned(200)), (3, Account::Anonymous)] {
            holds(&store, key, &value).await?;
        }
        store.rmw(&1, |old| if old == Some(owned(100)) { owned(1) } else { owned(2) }).await?;
        store.flush_and_evict().await?;
        holds(&store, 1, &owned(1)).await?;
        holds(&store, 2, &owned(200)).await?;
        store.close().await?;
        refused::<second::Moved>(&directory).await;
        open::<u64, Account>(&directory).await?.close().await
    })
}

/// The version after the next opens a store that the version between has never seen.
#[test]
fn a_version_may_be_left_out() -> Result<()> {
    let directory = MemoryDirectory::new();
    block_on(async {
        let store = open::<u64, first::Account>(&directory).await?;
        store.upsert(&1, &first::Account { owner: "Ada".to_owned() }).await?;
        store.close().await?;
        let store = open::<u64, Account>(&directory).await?;
        holds(&store, 1, &owned(100)).await?;
        store.close().await
    })
}

#[test]
fn a_change_without_a_version_is_refused() -> Result<()> {
    let directory = MemoryDirectory::new();
    block_on(async {
        open::<u64, first::Account>(&directory).await?.close().await?;
        refused::<first::Renamed>(&directory).await;
        refused::<first::Other>(&directory).await;
        refused::<String>(&directory).await;
        open::<u64, first::Account>(&directory).await?.close().await
    })
}

#[derive(Value, Debug, PartialEq)]
#[kvick(name = "transfer")]
struct Transfer {
    from: u64,
    to: u64,
}

#[derive(Value, Debug, PartialEq)]
#[kvick(name = "transfer")]
struct Reversed {
    to: u64,
    from: u64,
}

/// A store of transfers opened with its fields in another order, and reads mixed them up.
#[test]
fn another_order_of_fields_is_another_type() -> Result<()> {
    let directory = MemoryDirectory::new();
    block_on(async {
        let store = open::<u64, Transfer>(&directory).await?;
        store.upsert(&1, &Transfer { from: 1, to: 2 }).await?;
        store.close().await?;
        refused::<Reversed>(&directory).await;
        let store = open::<u64, Transfer>(&directory).await?;
        holds(&store, 1, &Transfer { from: 1, to: 2 }).await?;
        store.close().await
    })
}

mod nested {
    use kvick::Value;

    #[derive(Value, Debug, PartialEq)]
    #[kvick(name = "pair")]
    pub(super) struct Older(pub(super) super::first::Account, pub(super) u64);

    #[derive(Value, Debug, PartialEq)]
    #[kvick(name = "pair")]
    pub(super) struct Newer(pub(super) super::Account, pub(super) u64);
}

/// A type within another changes its version; the type around it needs none.
#[test]
fn a_member_changes_within_other_types() -> Result<()> {
    type Older = Option<(nested::Older, String)>;
    type Newer = Option<(nested::Newer, String)>;
    let directory = MemoryDirectory::new();
    block_on(async {
        let store = open::<u64, Older>(&directory).await?;
        let account = first::Account { owner: "Ada".to_owned() };
        let older = Some((nested::Older(account, 7), "text".to_owned()));
        store.upsert(&1, &older).await?;
        store.close().await?;
        refused::<Option<(nested::Newer, u64)>>(&directory).await;
        let store = open::<u64, Newer>(&directory).await?;
        let newer = Some((nested::Newer(owned(100), 7), "text".to_owned()));
        assert_eq!(store.read(&1).await?, Some(newer));
        store.close().await?;
        refused::<Older>(&directory).await;
        Ok(())
    })
}
