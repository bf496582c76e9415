//! Keys and values of many types, and a type with an encoding of its own.
//!
//! You learn: strings, tuples and options without any code; structs with three codecs (their own
//! memory, serde, rkyv); and the code for an encoding of your own.
//!
//! ```text
//! cargo run --release --example custom_types
//! ```

use std::borrow::Cow;
use std::path::Path;

use kvick::codec::{Rkyv, Serde, ZeroCopy};
use kvick::config::ByteSize;
use kvick::{Config, FasterKv, Key, Value, codec};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A struct that is stored as its memory, so that reading in place costs nothing.
#[derive(Clone, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Account {
    balance: i64,
    opened_day: u32,
    flags: u32,
}

/// A struct that serde stores in a compact form and decodes at every read, or that rkyv stores for
/// reads in place.
#[derive(
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
    tags: Vec<String>,
}

/// A type with an encoding of its own: three bytes. Two colours are equal exactly if their bytes
/// are equal, so the type may also be a key.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Colour(u8, u8, u8);

impl Value for Colour {
    type Item = Self;
    type Owned = Self;
    type View<'a> = Self;
    type Bytes<'a> = [u8; 3];
    const WIDTH: Option<usize> = Some(3);

    fn type_name() -> Cow<'static, str> {
        "paint.colour".into()
    }

    fn encode(item: &Self) -> Result<[u8; 3], codec::Error> {
        Ok([item.0, item.1, item.2])
    }

    fn view(bytes: &[u8]) -> Result<Self, codec::Error> {
        match *bytes {
            [red, green, blue] => Ok(Self(red, green, blue)),
            _ => Err(codec::Error::wrong_length("paint.colour", 3, bytes.len())),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, codec::Error> {
        Self::view(bytes)
    }
}

impl Key for Colour {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);

    let names: FasterKv<Colour, str> = open(&at("names")).await?;
    names.upsert(&Colour(255, 0, 0), "red").await?;
    let letters = names.read_with(&Colour(255, 0, 0), |name| name.len());
    assert_eq!(letters.await?, Some(3));
    names.close().await?;

    let clicks: FasterKv<(String, u32), Option<u64>> = open(&at("clicks")).await?;
    let place = ("front page".to_owned(), 7);
    clicks.upsert(&place, &None).await?; // the value `None` is not an absent key
    assert_eq!(clicks.read(&place).await?, Some(None));
    clicks.close().await?;

    let accounts: FasterKv<u64, ZeroCopy<Account>> = open(&at("accounts")).await?;
    let account = Account { balance: -5, opened_day: 20_000, flags: 1 };
    accounts.upsert(&1, &account).await?;
    let debt = accounts.read_with(&1, |account| account.balance.min(0));
    assert_eq!(debt.await?, Some(-5));
    accounts.close().await?;

    let profile = || Profile { name: "Ada".into(), tags: vec!["engine".into(), "poetry".into()] };
    let compact: FasterKv<str, Serde<Profile>> = open(&at("compact")).await?;
    compact.upsert("ada", &profile()).await?;
    assert_eq!(compact.read("ada").await?, Some(profile()));
    compact.close().await?;

    let archived: FasterKv<str, Rkyv<Profile>> = open(&at("archived")).await?;
    archived.upsert("ada", &profile()).await?;
    let tags = archived.read_with("ada", |profile| profile.tags.len()); // no String is made
    assert_eq!(tags.await?, Some(2));
    archived.close().await?;

    println!("six types of values came back as they went in");
    Ok(())
}

async fn open<K, V>(path: &Path) -> kvick::Result<FasterKv<K, V>>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
{
    let config = Config::default().with_memory(ByteSize::mib(1));
    FasterKv::open(path, config).await
}
