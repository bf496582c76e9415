//! Every encoding, stored in memory, modified, and read from the device.

use std::fmt::Debug;

use kvick::codec::{Rkyv, Serde, ZeroCopy};
use kvick::runtime::block_on;
use kvick::{FasterKv, Key, Value};
use tests::configs::memory_store;
use tests::model::item;
use tests::simulated::small_configs;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Writes each item under its number, and reads it from memory and from the device. It uses few
/// operations, because each operation is compiled once for every type.
fn stored<V: Value<Owned: PartialEq + Debug + Clone> + ?Sized>(items: &[V::Owned]) {
    let name = V::type_name();
    let store: FasterKv<u64, V> = memory_store(small_configs().swap_remove(0));
    let work = async {
        for (key, value) in (0..).zip(items) {
            store.upsert(&key, item::<V>(value)).await?;
        }
        for _ in 0..2 {
            for (key, value) in (0..).zip(items) {
                assert_eq!(store.read(&key).await?.as_ref(), Some(value), "{name}");
            }
            store.flush_and_evict().await?;
        }
        store.close().await
    };
    block_on(work).unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Does the same as [`stored`], with every operation that decodes or compares values.
fn values<V: Value<Owned: PartialEq + Debug + Clone> + ?Sized>(items: &[V::Owned]) {
    let name = V::type_name();
    let store: FasterKv<u64, V> = memory_store(small_configs().swap_remove(0));
    let work = async {
        for evict in [false, true] {
            for (key, value) in (0..).zip(items) {
                store.upsert(&key, item::<V>(value)).await?;
                if evict {
                    store.flush_and_evict().await?;
                }
                assert_eq!(store.read(&key).await?.as_ref(), Some(value), "{name}");
                let seen = store.read_with(&key, |_| ()).await?;
                assert_eq!(seen, Some(()), "{name}");
                let next = &items[usize::try_from(key + 1).expect("few") % items.len()];
                let replace = |found: Option<V::Owned>| {
                    assert_eq!(found.as_ref(), Some(value), "{name}");
                    next.clone()
                };
                store.rmw(&key, replace).await?;
                let (next, value) = (item::<V>(next), item::<V>(value));
                assert!(store.compare_and_swap(&key, next, value).await?, "{name}");
            }
            store.flush_and_evict().await?;
            let keys: Vec<u64> = (0..items.len() as u64).collect();
            let found = store.read_many(&keys).await?;
            assert!(found.iter().map(Option::as_ref).eq(items.iter().map(Some)), "{name}");
        }
        store.close().await
    };
    block_on(work).unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Stores each item as a key, and reads and deletes it.
fn keys<K: Key<Owned: PartialEq + Debug + Clone> + ?Sized>(items: &[K::Owned]) {
    let name = K::type_name();
    let store: FasterKv<K, u64> = memory_store(small_configs().swap_remove(1));
    let work = async {
        for (value, key) in (0..).zip(items) {
            assert_eq!(store.read(item::<K>(key)).await?, None, "{name}");
            store.upsert(item::<K>(key), &value).await?;
        }
        for evict in [false, true] {
            if evict {
                store.flush_and_evict().await?;
            }
            for (value, key) in (0..).zip(items) {
                let found = store.read(item::<K>(key)).await?;
                assert_eq!(found, Some(value), "{name}: {key:?}");
            }
        }
        for key in items {
            store.delete(item::<K>(key)).await?;
            assert!(!store.contains(item::<K>(key)).await?, "{name}");
        }
        store.close().await
    };
    block_on(work).unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn both<T: Key<Owned: PartialEq + Debug + Clone> + ?Sized>(items: &[T::Owned]) {
    stored::<T>(items);
    keys::<T>(items);
}

#[test]
fn numbers() {
    // The other integers and floats share this code and differ only in width. The unit tests of the
    // codecs cover them; each type of store here takes a second to compile.
    both::<u8>(&[0, 1, u8::MAX]);
    both::<u64>(&[0, 1, u64::MAX]);
    values::<u64>(&[0, 1, u64::MAX]);
    both::<i128>(&[0, -1, i128::MIN]);
    stored::<f64>(&[0.0, -1.5, f64::MIN_POSITIVE]);
    both::<bool>(&[false, true]);
    both::<char>(&['a', '\u{e9}', char::MAX]);
    both::<()>(&[()]);
}

#[test]
fn bytes_and_texts() {
    both::<[u8; 0]>(&[[]]);
    both::<[u8; 17]>(&[[0; 17], [255; 17]]);
    // The value is wider than a page, so it is stored in pieces, although all values have one
    // width.
    values::<[u8; 5000]>(&[[1; 5000], [2; 5000]]);
    both::<[u8]>(&[vec![], vec![0], vec![1; 8], vec![2; 700]]);
    values::<[u8]>(&[vec![], vec![0], vec![1; 8], vec![2; 700]]);
    stored::<Vec<u8>>(&[vec![], vec![0], vec![1; 8], vec![2; 700]]);
    let texts = ["", "a", "eight by", "\u{fc}ber"].map(str::to_owned);
    both::<str>(&texts);
    keys::<String>(&texts);
}

#[test]
fn options_and_tuples() {
    both::<Option<u64>>(&[None, Some(0), Some(u64::MAX)]);
    both::<Option<String>>(&[None, Some(String::new()), Some("text".to_owned())]);
    stored::<(u64, u8)>(&[(0, 0), (1, 2)]);
    both::<(String, u64)>(&[(String::new(), 1), ("a".to_owned(), 1), ("aa".to_owned(), 1)]);
    keys::<(String, String)>(&[
        ("a".to_owned(), "bc".to_owned()),
        ("ab".to_owned(), "c".to_owned()),
    ]);
    both::<(u8, Vec<u8>, bool, String)>(&[
        (1, vec![1, 2], true, "x".to_owned()),
        (1, vec![], false, String::new()),
    ]);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Account {
    balance: i64,
    opened_day: u32,
    flags: u32,
}

#[derive(
    Clone,
    Debug,
    PartialEq,
    serde::Serialize,
    serde::Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
)]
struct Profile {
    name: String,
    logins: Vec<u32>,
}

#[test]
fn types_of_the_user() {
    let account = |balance| Account { balance, opened_day: 20_000, flags: 1 };
    both::<ZeroCopy<Account>>(&[account(-5), account(0), account(i64::MAX)]);
    let profiles = [0, 3, 2000]
        .map(|logins| Profile { name: "Ada".repeat(logins), logins: (0..).take(logins).collect() });
    values::<Serde<Profile>>(&profiles);
    values::<Rkyv<Profile>>(&profiles);
}

#[test]
fn an_archive_is_read_in_place() -> kvick::Result<()> {
    let store: FasterKv<u64, Rkyv<Profile>> = memory_store(small_configs().swap_remove(0));
    block_on(async {
        let profile = Profile { name: "Ada".to_owned(), logins: vec![1, 2, 3] };
        store.upsert(&1, &profile).await?;
        for _ in 0..2 {
            let last = store.read_with(&1, |view| {
                assert_eq!(view.name, "Ada");
                view.logins.last().map(|login| login.to_native())
            });
            assert_eq!(last.await?, Some(Some(3)));
            store.flush_and_evict().await?;
        }
        store.close().await
    })
}

/// Types with derived serde code that postcard can write but not read.
mod unreadable {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
    pub(super) struct Note {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) title: Option<String>,
        pub(super) text: String,
    }

    #[derive(Serialize, Deserialize, Debug)]
    #[serde(untagged)]
    pub(super) enum Amount {
        Number(u64),
        Text(String),
    }

    #[derive(Serialize, Deserialize, Debug)]
    pub(super) struct Outer {
        pub(super) number: u32,
        #[serde(flatten)]
        pub(super) rest: std::collections::BTreeMap<String, u32>,
    }
}

/// A store accepted a value whose encoding could not be decoded, so no task could ever read it.
#[test]
fn a_value_that_would_not_read_back_is_refused_when_it_is_written() -> kvick::Result<()> {
    use unreadable::{Amount, Note, Outer};
    fn refused(done: kvick::Result<impl Debug>, name: &str) {
        let error = done.expect_err(name);
        assert_eq!(error.kind(), kvick::ErrorKind::Codec, "{error}");
        let text = error.to_string();
        assert!(text.starts_with("encoding the value as ") && text.contains(name), "{text}");
    }
    block_on(async {
        let notes: FasterKv<u64, Serde<Note>> = memory_store(small_configs().swap_remove(0));
        let whole = Note { title: Some("a".into()), text: "b".into() };
        notes.upsert(&1, &whole).await?;
        let untitled = Note { title: None, text: "b".into() };
        refused(notes.upsert(&1, &untitled).await, "Note");
        refused(notes.rmw(&1, |_| untitled.clone()).await, "Note");
        refused(notes.insert_if_absent(&2, &untitled).await, "Note");
        assert_eq!(notes.read(&1).await?, Some(whole), "as it was");
        assert_eq!(notes.read(&2).await?, None);
        let amounts: FasterKv<u64, Serde<Amount>> = memory_store(small_configs().swap_remove(0));
        refused(amounts.upsert(&1, &Amount::Number(7)).await, "Amount");
        refused(amounts.upsert(&1, &Amount::Text("7".into())).await, "Amount");
        let outers: FasterKv<u64, Serde<Outer>> = memory_store(small_configs().swap_remove(0));
        let outer = Outer { number: 1, rest: [("a".to_owned(), 2)].into() };
        refused(outers.upsert(&1, &outer).await, "Outer");
        // A map is equal to the same map in another order, so the store accepts it.
        type Names = std::collections::HashMap<String, u32>;
        let maps: FasterKv<u64, Serde<Names>> = memory_store(small_configs().swap_remove(0));
        for key in 0..50 {
            let names: Names = (0..20).map(|n| (format!("{key} {n}"), n)).collect();
            maps.upsert(&key, &names).await?;
            assert_eq!(maps.read(&key).await?, Some(names));
        }
        Ok(())
    })
}
