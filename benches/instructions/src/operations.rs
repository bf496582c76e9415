//! The operations whose instructions are counted, on keys and values of one word: those of a
//! session, and two of the handle.

use crate::text;
use kvick::config::Backend;
use kvick::{Config, FasterKv, Result, Session};

/// The keys of the store before the operations.
pub(crate) const KEYS: u64 = 5000;
/// The keys of a batch.
pub(crate) const BATCH: usize = 32;

/// An operation, and the limit of its instructions: some percent above the last count.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) limit: u64,
}

pub(crate) const KINDS: [Operation; 15] = [
    Operation { name: "read", limit: 185 },
    Operation { name: "upsert", limit: 210 },
    Operation { name: "rmw", limit: 215 },
    Operation { name: "read_many", limit: 245 },
    Operation { name: "upsert_many", limit: 255 },
    Operation { name: "rmw_many", limit: 280 },
    Operation { name: "delete and upsert", limit: 2230 },
    Operation { name: "insert", limit: 1620 },
    Operation { name: "handle read", limit: 265 },
    Operation { name: "handle upsert", limit: 300 },
    Operation { name: "text read", limit: 660 },
    Operation { name: "text read_with", limit: 440 },
    Operation { name: "text upsert", limit: 515 },
    Operation { name: "text rmw", limit: 1100 },
    Operation { name: "text read_many", limit: 770 },
];

/// Pseudo-random keys, the same at each run.
pub(crate) struct Keys(u64);

impl Keys {
    pub(crate) fn new() -> Self {
        Self(0x0139_408d_cbbf_7a45)
    }

    #[inline(always)]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % KEYS
    }
}

/// Loads a store and runs an operation on so many keys.
pub(crate) fn run(name: &str, operations: u64) -> Result<()> {
    if let Some(name) = name.strip_prefix("text ") {
        return kvick::runtime::block_on(text::run(name, operations));
    }
    kvick::runtime::block_on(async {
        let store: FasterKv<u64, u64> = FasterKv::open("", config()?).await?;
        let mut session = store.session()?;
        for key in 0..KEYS {
            session.upsert(&key, &key).await?;
        }
        let (session, keys) = (&mut session, &mut Keys::new());
        match name {
            "read" => read(session, keys, operations).await?,
            "upsert" => upsert(session, keys, operations).await?,
            "rmw" => rmw(session, keys, operations).await?,
            "read_many" => read_many(session, keys, operations).await?,
            "upsert_many" => upsert_many(session, keys, operations).await?,
            "rmw_many" => rmw_many(session, keys, operations).await?,
            "delete and upsert" => delete(session, keys, operations).await?,
            "insert" => insert(session, operations).await?,
            "handle read" => handle_read(&store, keys, operations).await?,
            "handle upsert" => handle_upsert(&store, keys, operations).await?,
            _ => panic!("there is no operation {name}"),
        }
        store.close().await
    })
}

/// Returns the settings of the store, which has all keys in memory.
pub(crate) fn config() -> Result<Config> {
    let mut config = Config::default().with_backend(Backend::Memory);
    config.memory = "256MiB".parse()?;
    config.expected_keys = Some(4 * KEYS);
    Ok(config)
}

async fn read(session: &mut Session<u64, u64>, keys: &mut Keys, operations: u64) -> Result<()> {
    let mut sum = 0_u64;
    for _ in 0..operations {
        sum = sum.wrapping_add(session.read(&keys.next()).await?.unwrap_or(0));
    }
    println!("{sum}");
    Ok(())
}

async fn upsert(session: &mut Session<u64, u64>, keys: &mut Keys, operations: u64) -> Result<()> {
    for value in 0..operations {
        session.upsert(&keys.next(), &value).await?;
    }
    Ok(())
}

async fn rmw(session: &mut Session<u64, u64>, keys: &mut Keys, operations: u64) -> Result<()> {
    for _ in 0..operations {
        session.rmw(&keys.next(), |value| value.unwrap_or(0) + 1).await?;
    }
    Ok(())
}

async fn read_many(session: &mut Session<u64, u64>, keys: &mut Keys, count: u64) -> Result<()> {
    let (mut batch, mut found) = ([0; BATCH], 0);
    for _ in 0..count / BATCH as u64 {
        batch.fill_with(|| keys.next());
        found += session.read_many(&batch).await?.len();
    }
    println!("{found}");
    Ok(())
}

async fn upsert_many(session: &mut Session<u64, u64>, keys: &mut Keys, count: u64) -> Result<()> {
    let mut batch = [(0, 0); BATCH];
    for value in 0..count / BATCH as u64 {
        batch.fill_with(|| (keys.next(), value));
        session.upsert_many(&batch).await?;
    }
    Ok(())
}

async fn rmw_many(session: &mut Session<u64, u64>, keys: &mut Keys, count: u64) -> Result<()> {
    let mut batch = [0; BATCH];
    for _ in 0..count / BATCH as u64 {
        batch.fill_with(|| keys.next());
        session.rmw_many(&batch, |_, value| value.unwrap_or(0) + 1).await?;
    }
    Ok(())
}

/// Deletes keys and writes them again. If keys were only deleted, the index would shrink at times
/// that differ from run to run.
async fn delete(session: &mut Session<u64, u64>, keys: &mut Keys, operations: u64) -> Result<()> {
    for _ in 0..operations {
        let key = keys.next();
        session.delete(&key).await?;
        session.upsert(&key, &key).await?;
    }
    Ok(())
}

async fn insert(session: &mut Session<u64, u64>, operations: u64) -> Result<()> {
    for key in KEYS..KEYS + operations {
        session.upsert(&key, &key).await?;
    }
    Ok(())
}

async fn handle_read(store: &FasterKv<u64, u64>, keys: &mut Keys, operations: u64) -> Result<()> {
    let mut sum = 0_u64;
    for _ in 0..operations {
        sum = sum.wrapping_add(store.read(&keys.next()).await?.unwrap_or(0));
    }
    println!("{sum}");
    Ok(())
}

async fn handle_upsert(store: &FasterKv<u64, u64>, keys: &mut Keys, operations: u64) -> Result<()> {
    for value in 0..operations {
        store.upsert(&keys.next(), &value).await?;
    }
    Ok(())
}
