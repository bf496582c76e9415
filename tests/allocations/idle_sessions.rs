//! The memory of sessions that wait for work.
//!
//! Each session kept the copy of the largest value that it had seen, and no budget counted it: 2000
//! idle sessions held 385 MiB beside a memory of 64 MiB.

use kvick::config::Backend;
use kvick::runtime::block_on;
use kvick::{Config, FasterKv, Result};
use tests::allocations::peak;
use tests::configs::memory_store;

const SESSIONS: u64 = 200;
const LENGTH: usize = 200_000;

#[test]
fn an_idle_session_holds_what_the_statistics_say() -> Result<()> {
    let store: FasterKv<u64, [u8]> = memory_store(Config::default().with_backend(Backend::Memory));
    block_on(store.upsert(&1, &[7; LENGTH]))?;
    let before = store.stats().memory.sessions;
    let (sessions, bytes) = peak(|| {
        block_on(async {
            let mut sessions = Vec::new();
            for _ in 0..SESSIONS {
                let mut session = store.session()?;
                assert_eq!(session.read_with(&1, <[u8]>::len).await?, Some(LENGTH));
                session.rmw(&1, |value| value.unwrap_or_default()).await?;
                sessions.push(session);
            }
            Ok::<_, kvick::Error>(sessions)
        })
    });
    let sessions = sessions?;
    assert_eq!(sessions.len() as u64, SESSIONS);
    let counted = store.stats().memory.sessions - before;
    // A change holds the copy of the value, and the value before and after it.
    let most = counted + 4 * LENGTH as u64;
    assert!(bytes <= most, "{bytes} bytes, of which {counted} are counted");
    Ok(())
}
