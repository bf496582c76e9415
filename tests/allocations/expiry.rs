//! Operations on tables with expiry, while the record is in memory.

use std::time::{Duration, UNIX_EPOCH};

use kvick::codec::Expiring;
use kvick::session::Expiry;
use kvick::{FasterKv, Result};
use tests::configs::memory_store;

use super::{allocates_nothing, config, fits, now};

/// A time that does not come.
fn later() -> Expiry {
    Expiry::at(UNIX_EPOCH + Duration::from_secs(4_000_000_000))
}

#[test]
fn words_that_expire_allocate_nothing() -> Result<()> {
    let store: FasterKv<u64, Expiring<u64>> = memory_store(config());
    let mut session = store.session()?;
    allocates_nothing(|key| now(session.upsert_with(&key, &key, later())));
    allocates_nothing(|key| assert_eq!(now(session.read(&key)), Some(key)));
    allocates_nothing(|key| assert!(now(session.expiry(&key)).is_some()));
    allocates_nothing(|key| now(session.rmw(&key, |value| value.unwrap_or(0) + 1)));
    allocates_nothing(|key| now(session.upsert(&key, &key)));
    allocates_nothing(|key| assert!(now(session.persist(&key)), "it never expires already"));
    let key = 1;
    fits(session.upsert_with(&key, &1, later()));
    fits(session.set_expiry(&key, later()));
    fits(store.expiry(&key));
    Ok(())
}

#[test]
fn bytes_that_expire_allocate_nothing() -> Result<()> {
    let store: FasterKv<u64, Expiring<[u8]>> = memory_store(config());
    let mut session = store.session()?;
    let value = [7; 300];
    allocates_nothing(|key| now(session.upsert_with(&key, &value, later())));
    allocates_nothing(|key| assert_eq!(now(session.read_with(&key, <[u8]>::len)), Some(300)));
    allocates_nothing(|key| assert!(now(session.set_expiry(&key, later()))));
    allocates_nothing(|key| assert!(now(session.persist(&key))));
    allocates_nothing(|key| now(session.upsert(&key, &value)));
    // In memory that is read-only it appends copies.
    kvick::runtime::block_on(store.flush())?;
    allocates_nothing(|key| assert!(now(session.set_expiry(&key, later()))));
    Ok(())
}
