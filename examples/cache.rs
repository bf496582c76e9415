//! A cache in memory, in front of a slow source whose answers are valid for a while.
//!
//! You learn: how to open a cache, how one of many callers asks the source, and how the hit ratio
//! shows what the memory is worth. The clock is the program's own, so no second is waited for.
//!
//! ```text
//! cargo run --release --example cache
//! ```

use kvick::codec::Expiring;
use kvick::config::ByteSize;
use kvick::session::Expiry;
use kvick::{Config, Error, FasterKv};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

const MEMORY: ByteSize = ByteSize::mib(4);
const PAGES: u64 = 200_000;
const TASKS: u64 = 8;
const REQUESTS: u64 = 100_000;
const VALID_FOR: Duration = Duration::from_secs(60);

type Pages = FasterKv<u64, Expiring<str>>;

/// A source that counts its answers.
#[derive(Default)]
struct Source {
    asked: AtomicU64,
}

impl Source {
    /// Returns a page and how long it is valid.
    async fn page(&self, number: u64) -> Result<(String, Expiry), Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        // The answer of a real source takes a while. Other tasks run meanwhile.
        tokio::task::yield_now().await;
        Ok((text_of(number), Expiry::after(VALID_FOR)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let second = Arc::new(AtomicU64::new(1_800_000_000));
    let clock = Arc::clone(&second);
    let now = move || UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::Relaxed));
    // Without a budget for a disk it needs no directory.
    let config = Config::cache().with_memory(MEMORY);
    let pages: Pages = FasterKv::builder(config).clock(now).open_in_directory().await?;
    let source = Arc::new(Source::default());

    // Many tasks want one page at once: one of them asks.
    let tasks = (0..100).map(|_| tokio::spawn(page(pages.clone(), Arc::clone(&source), 7)));
    for answer in futures::future::join_all(tasks).await {
        assert_eq!(answer??, text_of(7));
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);

    // The page has expired: the next caller asks again.
    second.fetch_add(VALID_FOR.as_secs() + 1, Ordering::Relaxed);
    page(pages.clone(), Arc::clone(&source), 7).await?;
    assert_eq!(source.asked.load(Ordering::Relaxed), 2);

    // Far more pages than fit. Some are wanted much more often than others.
    let tasks = (0..TASKS).map(|task| {
        let (pages, source) = (pages.clone(), Arc::clone(&source));
        tokio::spawn(async move {
            for request in 0..REQUESTS {
                let number = some_page(task * REQUESTS + request);
                assert_eq!(
                    page(pages.clone(), Arc::clone(&source), number).await?,
                    text_of(number)
                );
            }
            Ok::<_, Error>(())
        })
    });
    for ended in futures::future::join_all(tasks).await {
        ended??;
    }
    let stats = pages.stats();
    let ratio = stats.hit_ratio().expect("there were reads");
    println!("{stats}\n\nhit ratio {ratio:.3}");
    assert!(ratio > 0.5, "the pages that are wanted often stay");
    assert!(stats.space.evicted_bytes > MEMORY.bytes(), "the others go");
    assert!(stats.memory.index + stats.memory.frames + stats.memory.buffers <= MEMORY.bytes());
    pages.close().await?;
    Ok(())
}

/// Returns a page, from the cache or from the source.
async fn page(pages: Pages, source: Arc<Source>, number: u64) -> Result<String, Error> {
    pages.try_get_or_insert_expiring(&number, || source.page(number)).await
}

/// Returns the page of a request: page 0 is wanted most, and the last page hardly ever.
fn some_page(request: u64) -> u64 {
    let draw = request.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let draw = draw.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    // Each halving of the pages has the same share of the requests.
    let halvings = draw % 17;
    (draw >> 32) % (PAGES >> halvings).max(1)
}

fn text_of(number: u64) -> String {
    format!("<html><body><p>This is the page with number {number}.</p></body></html>")
}
