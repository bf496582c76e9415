//! The types of a store: its bytes mean nothing under other types, so it opens only as created.

use std::borrow::Cow;
use std::sync::Arc;

use kvick::codec::{Rkyv, Serde, ZeroCopy};
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{ErrorKind, FasterKv, Key, Result, Value, codec};
use serde::{Deserialize, Serialize};
use tests::simulated::two_pages;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[derive(Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Celsius {
    degrees: u32,
}

#[derive(Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Metres {
    height: u32,
}

#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Pounds {
    amount: u64,
}

#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Pence {
    amount: u64,
}

/// A number that has `BYTES` bytes in the log, under one type name for all widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Padded<const BYTES: usize>(u64);

impl<const BYTES: usize> Value for Padded<BYTES> {
    type Item = Self;
    type Owned = Self;
    type View<'a> = Self;
    type Bytes<'a> = [u8; BYTES];
    const WIDTH: Option<usize> = Some(BYTES);

    fn type_name() -> Cow<'static, str> {
        "padded".into()
    }

    fn encode(item: &Self) -> Result<[u8; BYTES], codec::Error> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&item.0.to_le_bytes());
        Ok(bytes)
    }

    fn view(bytes: &[u8]) -> Result<Self, codec::Error> {
        u64::decode(&bytes[..8]).map(Self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, codec::Error> {
        Self::view(bytes)
    }
}

impl<const BYTES: usize> Key for Padded<BYTES> {}

fn open<K: Key + ?Sized, V: Value + ?Sized>(
    directory: &MemoryDirectory,
    accept: bool,
) -> Result<FasterKv<K, V>> {
    let builder = FasterKv::builder(two_pages()).accept_type_change(accept);
    block_on(builder.directory(Arc::new(directory.clone())).open_in_directory())
}

fn close<K: Key + ?Sized, V: Value + ?Sized>(store: &FasterKv<K, V>) {
    block_on(store.close()).expect("memory");
}

/// Checks that a store of `K` and `V` refuses to open with `L` and `W`, and names both types.
fn refused<K, V, L, W>(names: [&str; 2]) -> MemoryDirectory
where
    K: Key + ?Sized,
    V: Value + ?Sized,
    L: Key + ?Sized,
    W: Value + ?Sized,
{
    let directory = MemoryDirectory::new();
    close(&open::<K, V>(&directory, false).expect("memory"));
    let error = open::<L, W>(&directory, false).expect_err("other types");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    for name in names {
        assert!(error.to_string().contains(name), "{error}");
    }
    close(&open::<K, V>(&directory, false).expect("as it was"));
    directory
}

/// A store of `Serde<A>` opened as a store of `Serde<B>`. It decoded every value as the wrong type
/// without an error.
#[test]
fn types_with_one_encoding_are_distinguished() {
    refused::<u64, Serde<Celsius>, u64, Serde<Metres>>(["Celsius", "Metres"]);
    refused::<u64, Rkyv<Celsius>, u64, Rkyv<Metres>>(["Celsius", "Metres"]);
    refused::<u64, ZeroCopy<Pounds>, u64, ZeroCopy<Pence>>(["Pounds", "Pence"]);
    refused::<ZeroCopy<u64>, u64, ZeroCopy<i64>, u64>(["u64", "i64"]);
    refused::<u64, Option<Serde<Celsius>>, u64, Option<Serde<Metres>>>(["Celsius", "Metres"]);
    refused::<u64, (Serde<Celsius>, u64), u64, (Serde<Metres>, u64)>(["Celsius", "Metres"]);
    refused::<u64, str, u64, [u8]>(["str", "[u8]"]);
}

/// An opening did not compare the recorded widths. A store opened with a codec that had kept its
/// name and become wider, and found none of the keys.
#[test]
fn widths_are_compared() {
    refused::<Padded<8>, u64, Padded<16>, u64>(["8 bytes", "16 bytes"]);
    let directory = refused::<u64, Padded<16>, u64, Padded<24>>(["16 bytes", "24 bytes"]);
    let error = open::<u64, Padded<24>>(&directory, true).expect_err("of another layout");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}

/// A store accepts a renamed type by its old name, and has the new name from then on.
#[test]
fn a_renamed_type_is_accepted() {
    let directory = MemoryDirectory::new();
    let store = open::<u64, Serde<Celsius>>(&directory, false).expect("memory");
    block_on(store.upsert(&1, &Celsius { degrees: 7 })).expect("memory");
    close(&store);
    for accept in [true, false] {
        let store = open::<u64, Serde<Metres>>(&directory, accept).expect("accepted once");
        let found = block_on(store.read(&1)).expect("memory");
        assert_eq!(found.map(|metres| metres.height), Some(7));
        close(&store);
    }
    open::<u64, Serde<Celsius>>(&directory, false).expect_err("it is another type's now");
}
