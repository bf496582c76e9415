//! The same operations on keys of 17 bytes of text, and values of 100 bytes.

use crate::operations::{BATCH, KEYS, Keys, config};
use kvick::{FasterKv, Result, Session};

type Texts = Session<str, [u8]>;

/// Loads a store and runs an operation on so many keys.
pub(crate) async fn run(name: &str, operations: u64) -> Result<()> {
    let store: FasterKv<str, [u8]> = FasterKv::open("", config()?).await?;
    let mut session = store.session()?;
    let names: Vec<String> = (0..KEYS).map(|key| format!("user:{key:012}")).collect();
    for name in &names {
        session.upsert(name.as_str(), &[7; 100][..]).await?;
    }
    let names = &mut Names { names: &names, keys: Keys::new() };
    match name {
        "read" => read(&mut session, names, operations).await?,
        "read_with" => read_with(&mut session, names, operations).await?,
        "upsert" => upsert(&mut session, names, operations).await?,
        "rmw" => rmw(&mut session, names, operations).await?,
        "read_many" => read_many(&mut session, names, operations).await?,
        _ => panic!("there is no operation {name} on text"),
    }
    store.close().await
}

/// The keys in the sequence of the other operations.
struct Names<'n> {
    names: &'n [String],
    keys: Keys,
}

impl<'n> Names<'n> {
    #[inline(always)]
    fn next(&mut self) -> &'n str {
        &self.names[usize::try_from(self.keys.next()).expect("few keys")]
    }
}

async fn read(session: &mut Texts, names: &mut Names<'_>, operations: u64) -> Result<()> {
    let mut sum = 0;
    for _ in 0..operations {
        sum += session.read(names.next()).await?.map_or(0, |value| value.len());
    }
    println!("{sum}");
    Ok(())
}

async fn read_with(session: &mut Texts, names: &mut Names<'_>, operations: u64) -> Result<()> {
    let mut sum = 0;
    for _ in 0..operations {
        sum += session.read_with(names.next(), |value| value.len()).await?.unwrap_or(0);
    }
    println!("{sum}");
    Ok(())
}

async fn upsert(session: &mut Texts, names: &mut Names<'_>, operations: u64) -> Result<()> {
    let mut value = [0; 100];
    for number in 0..operations {
        value[..8].copy_from_slice(&number.to_le_bytes());
        session.upsert(names.next(), &value[..]).await?;
    }
    Ok(())
}

async fn rmw(session: &mut Texts, names: &mut Names<'_>, operations: u64) -> Result<()> {
    for _ in 0..operations {
        let next = |value: Option<Vec<u8>>| {
            let mut value = value.unwrap_or_default();
            value.rotate_left(1);
            value
        };
        session.rmw(names.next(), next).await?;
    }
    Ok(())
}

async fn read_many(session: &mut Texts, names: &mut Names<'_>, count: u64) -> Result<()> {
    let (mut batch, mut found) = ([""; BATCH], 0);
    for _ in 0..count / BATCH as u64 {
        batch.fill_with(|| names.next());
        found += session.read_many(&batch).await?.len();
    }
    println!("{found}");
    Ok(())
}
