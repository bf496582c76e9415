//! Tables of several types, with values that depend on a number.

use kvick::codec::Expiring;
use kvick::{Database, FasterKv, Key, Session, Value};

/// The types of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Words,
    Texts,
    Blocks,
    ExpiringWords,
    ExpiringTexts,
}

pub(super) const TABLE_KINDS: [Kind; 5] =
    [Kind::Words, Kind::Texts, Kind::Blocks, Kind::ExpiringWords, Kind::ExpiringTexts];

impl Kind {
    pub(super) fn has_expiry(self) -> bool {
        matches!(self, Self::ExpiringWords | Self::ExpiringTexts)
    }
}

/// A handle of a table.
pub(super) enum Handle {
    Words(FasterKv<u64, u64>),
    Texts(FasterKv<str, str>),
    Blocks(FasterKv<u64, [u8; 24]>),
    ExpiringWords(FasterKv<u64, Expiring<u64>>),
    ExpiringTexts(FasterKv<str, Expiring<str>>),
}

/// Sets a key to a value, or deletes it.
async fn change<K: Key + ?Sized, V: Value + ?Sized>(
    session: &mut Session<u64, u64>,
    table: &FasterKv<K, V>,
    key: &K::Item,
    value: Option<&V::Item>,
) -> kvick::Result<()> {
    let mut session = session.on(table)?;
    match value {
        Some(value) => session.upsert(key, value).await.map(drop),
        None => session.delete(key).await.map(drop),
    }
}

fn text(version: u64) -> String {
    // Some values are longer than a page.
    let times = if version.is_multiple_of(11) { 900 } else { version % 9 };
    format!("{version} ").repeat(usize::try_from(times).expect("small") + 1)
}

fn block(version: u64) -> [u8; 24] {
    let mut block = [7; 24];
    block[..8].copy_from_slice(&version.to_le_bytes());
    block
}

impl Handle {
    pub(super) async fn open(database: &Database, name: &str, kind: Kind) -> kvick::Result<Self> {
        Ok(match kind {
            Kind::Words => Self::Words(database.table(name).await?),
            Kind::Texts => Self::Texts(database.table(name).await?),
            Kind::Blocks => Self::Blocks(database.table(name).await?),
            Kind::ExpiringWords => Self::ExpiringWords(database.table(name).await?),
            Kind::ExpiringTexts => Self::ExpiringTexts(database.table(name).await?),
        })
    }

    pub(super) async fn change(
        &self,
        session: &mut Session<u64, u64>,
        key: u64,
        version: Option<u64>,
    ) -> kvick::Result<()> {
        let (name, text, block) = (key.to_string(), version.map(text), version.map(block));
        let (version, text) = (version.as_ref(), text.as_deref());
        match self {
            Self::Words(table) => change(session, table, &key, version).await,
            Self::Texts(table) => change(session, table, &name, text).await,
            Self::Blocks(table) => change(session, table, &key, block.as_ref()).await,
            Self::ExpiringWords(table) => change(session, table, &key, version).await,
            Self::ExpiringTexts(table) => change(session, table, &name, text).await,
        }
    }

    pub(super) async fn assert(&self, key: u64, expected: Option<u64>, what: &str) {
        let (name, text, block) = (key.to_string(), expected.map(text), expected.map(block));
        match self {
            Self::Words(table) => is(table.read(&key).await, expected, what),
            Self::Texts(table) => is(table.read(&name).await, text, what),
            Self::Blocks(table) => is(table.read(&key).await, block, what),
            Self::ExpiringWords(table) => is(table.read(&key).await, expected, what),
            Self::ExpiringTexts(table) => is(table.read(&name).await, text, what),
        }
    }
}

fn is<T: PartialEq + std::fmt::Debug>(found: kvick::Result<T>, expected: T, what: &str) {
    assert_eq!(found.expect("a sound disk"), expected, "{what}");
}
