//! A loop of hits yields to other tasks, but not at every operation.

use std::iter::repeat_n;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kvick::config::Backend;
use kvick::{Config, FasterKv, Result};
use tests::polling::Counted;

const READS: usize = 10_000;

/// The operations of a loop of hits.
#[derive(Clone, Copy, Debug)]
enum Hits {
    OfSession,
    OfHandle,
    Batch,
    Batches,
    Iterator,
    Writes,
}

const HITS: [Hits; 6] =
    [Hits::OfSession, Hits::OfHandle, Hits::Batch, Hits::Batches, Hits::Iterator, Hits::Writes];

/// Returns how often another task of the same thread runs during a loop of reads from memory.
fn turns_of_the_other(yield_every: u32, hits: Hits) -> Result<u64> {
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
        match hits {
            Hits::OfSession => {
                for _ in 0..READS {
                    session.read(&1).await?;
                }
            }
            Hits::OfHandle => {
                for _ in 0..READS {
                    store.read(&1).await?;
                }
            }
            Hits::Batch => drop(session.read_many(&vec![1; READS]).await?),
            Hits::Batches => {
                for _ in 0..READS / 20 {
                    store.read_many(&[1; 20]).await?;
                }
            }
            Hits::Iterator => {
                session.rmw_each(repeat_n(1, READS), |_, old| old.unwrap_or(0)).await?
            }
            Hits::Writes => store.upsert_many(&vec![(1, 1); READS]).await?,
        }
        Ok(turns.load(Ordering::Relaxed))
    })
}

/// Batches never yielded, so a long one starved the thread, and a timeout around it never fired.
#[test]
fn a_loop_of_hits_starves_no_other_task() -> Result<()> {
    for hits in HITS {
        let turns = turns_of_the_other(512, hits)?;
        assert!((15..=25).contains(&turns), "{hits:?}: {turns} turns in {READS} hits, once in 512");
        assert_eq!(turns_of_the_other(0, hits)?, 0, "{hits:?}: 0 is never");
    }
    for hits in [Hits::OfSession, Hits::OfHandle] {
        assert!(turns_of_the_other(1, hits)? >= 9_000);
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
