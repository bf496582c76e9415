//! A loop of hits yields to other tasks, but not at every operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kvick::config::Backend;
use kvick::{Config, FasterKv, Result};
use tests::polling::Counted;

/// Returns how often another task of the same thread runs during a loop of reads from memory.
fn turns_of_the_other(yield_every: u32, by_handle: bool) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("tokio starts").block_on(async {
        let config = Config::default().with_backend(Backend::Memory).with_yield_every(yield_every);
        let store: FasterKv<u64, u64> = FasterKv::open("not a path", config).await?;
        let mut session = store.session()?;
        session.upsert(&1, &1).await?;
        let turns = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&turns);
        tokio::spawn(async move {
            loop {
                // Relaxed: both tasks run on one thread.
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..10_000 {
            if by_handle {
                store.read(&1).await?;
            } else {
                session.read(&1).await?;
            }
        }
        Ok(turns.load(Ordering::Relaxed))
    })
}

#[test]
fn a_loop_of_hits_starves_no_other_task() -> Result<()> {
    for by_handle in [false, true] {
        let turns = turns_of_the_other(512, by_handle)?;
        assert!((15..=25).contains(&turns), "{turns} turns in 10000 reads, once in 512");
        assert!(turns_of_the_other(1, by_handle)? >= 9_000);
        assert_eq!(turns_of_the_other(0, by_handle)?, 0, "0 is never");
    }
    Ok(())
}

#[test]
fn a_hit_is_ready_at_the_first_poll() -> Result<()> {
    kvick::runtime::block_on(async {
        let config = Config::default().with_backend(Backend::Memory).with_yield_every(0);
        let store: FasterKv<u64, [u8]> = FasterKv::open("not a path", config).await?;
        let mut session = store.session()?;
        let polls = Arc::new(AtomicU64::new(0));
        for key in 0..1000 {
            Counted::new(&polls, session.upsert(&key, b"some value")).await?;
            Counted::new(&polls, session.rmw(&key, |_| b"other".to_vec())).await?;
            Counted::new(&polls, session.read(&key)).await?;
            Counted::new(&polls, session.read_with(&key, <[u8]>::len)).await?;
            Counted::new(&polls, session.delete(&key)).await?;
        }
        assert_eq!(polls.load(Ordering::Relaxed), 5000);
        store.close().await
    })
}
