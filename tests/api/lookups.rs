//! Lookups of composite keys by borrowed members, and values of standard types.

use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use kvick::codec::Encoded;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{FasterKv, Key, Result, Value};
use tests::configs::memory_store;
use tests::model::item;
use tests::simulated::{small_configs, two_pages};

async fn open<K: Key>(directory: &MemoryDirectory) -> Result<FasterKv<K, u64>> {
    let builder = FasterKv::builder(two_pages()).directory(Arc::new(directory.clone()));
    builder.open_in_directory().await
}

/// A tuple and the encoded tuple have the same bytes, so each store reads the keys of the other.
#[test]
fn an_encoded_tuple_is_the_key_that_the_tuple_is() -> Result<()> {
    type Pair = (String, u32);
    let directory = MemoryDirectory::new();
    let long = "a tenant with a name of more than 38 bytes";
    block_on(async {
        let owned = open::<Pair>(&directory).await?;
        owned.upsert(&("tenant".to_owned(), 7), &1).await?;
        owned.close().await?;

        let encoded = open::<Encoded<Pair>>(&directory).await?;
        assert_eq!(encoded.read(&Encoded::of(("tenant", 7))?).await?, Some(1));
        assert_eq!(encoded.read(&Encoded::of(("tenant", 8))?).await?, None);
        encoded.upsert(&Encoded::of((long, 9))?, &2).await?;
        encoded.flush_and_evict().await?;
        assert_eq!(encoded.read(&Encoded::of((long, 9))?).await?, Some(2));
        let keys = [Encoded::of(("tenant", 7))?, Encoded::of((long, 9))?];
        assert_eq!(encoded.read_many(&keys).await?, [Some(1), Some(2)]);
        encoded.close().await?;

        let owned = open::<Pair>(&directory).await?;
        assert_eq!(owned.read(&(long.to_owned(), 9)).await?, Some(2));
        owned.close().await
    })
}

/// Writes one value under one key, and reads it from memory and from the device.
async fn comes_back<K, V>(key: &K, value: V::Owned) -> Result<()>
where
    K: Key<Item = K>,
    V: Value<Owned: PartialEq + Debug>,
{
    let store: FasterKv<K, V> = memory_store(small_configs().swap_remove(0));
    store.upsert(key, item::<V>(&value)).await?;
    assert_eq!(store.read(key).await?.as_ref(), Some(&value));
    store.flush_and_evict().await?;
    assert_eq!(store.read(key).await?.as_ref(), Some(&value));
    store.close().await
}

#[test]
fn types_of_the_standard_library_come_back() -> Result<()> {
    let socket = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let before_1970 = UNIX_EPOCH - Duration::from_nanos(100);
    block_on(async {
        comes_back::<_, Duration>(&socket, Duration::from_millis(5)).await?;
        comes_back::<_, Vec<f32>>(&before_1970, vec![1.5, -0.0]).await?;
        comes_back::<_, Arc<str>>(&[1_u32, 2, 3], "text".into()).await
    })
}
