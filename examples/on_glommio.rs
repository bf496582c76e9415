//! One store under two glommio executors, each on a thread of its own.
//!
//! You learn: the executors of a thread-per-core service share one store, which belongs to none of
//! them. An attached executor reads cold records through its own ring, without waking another
//! thread.
//!
//! ```text
//! cargo run --release -p examples --features glommio --example on_glommio
//! ```
//!
//! This example needs Linux. glommio needs io_uring and some locked memory: see `ulimit -l`.

use glommio::{LocalExecutorBuilder, Placement};
use kvick::config::{Backend, ByteSize};
use kvick::{Config, FasterKv};

const EXECUTORS: u64 = 2;
const RECORDS: u64 = 20_000;

type Store = FasterKv<u64, str>;
type Failed = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let config = Config::default().with_memory(ByteSize::mib(16)).with_backend(Backend::Glommio);
    // The flushes run on the background thread, so that they stall no executor.
    let store: Store = kvick::runtime::block_on(FasterKv::open(directory.path(), config))?;

    run_everywhere(&store, write)?;
    kvick::runtime::block_on(store.flush_and_evict())?; // all records are cold from now on
    run_everywhere(&store, read)?;

    let stats = store.stats();
    println!("{stats}");
    assert_eq!(stats.operations.reads, EXECUTORS * RECORDS);
    assert_eq!(stats.hits.on_device, EXECUTORS * RECORDS);
    kvick::runtime::block_on(store.close())?;
    Ok(())
}

/// Runs `part` on every executor at the same time, and waits for them.
fn run_everywhere<F>(store: &Store, part: fn(Store, u64) -> F) -> Result<(), Failed>
where
    F: Future<Output = Result<(), Failed>> + 'static,
{
    let started = (0..EXECUTORS).map(|number| {
        let store = store.clone();
        LocalExecutorBuilder::new(Placement::Unbound).name("service").spawn(move || async move {
            let _attachment = kvick::io::attach_glommio();
            part(store, number).await
        })
    });
    let started: Result<Vec<_>, _> = started.collect();
    for executor in started.map_err(|error| error.to_string())? {
        executor.join().map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// Writes the keys of one executor: the keys with its remainder.
async fn write(store: Store, number: u64) -> Result<(), Failed> {
    let mut session = store.session()?;
    for key in (number..EXECUTORS * RECORDS).step_by(usize::try_from(EXECUTORS)?) {
        session.upsert(&key, &text_of(key)).await?;
    }
    Ok(())
}

/// Reads the keys that another executor wrote, in several tasks.
async fn read(store: Store, number: u64) -> Result<(), Failed> {
    let keys: Vec<u64> = (0..RECORDS).map(|n| n * EXECUTORS + (number + 1) % EXECUTORS).collect();
    let tasks = keys.chunks(keys.len() / 4).map(|keys| {
        let (store, keys) = (store.clone(), keys.to_vec());
        glommio::spawn_local(async move {
            let mut session = store.session()?;
            for keys in keys.chunks(64) {
                let texts = session.read_many(keys).await?;
                for (key, text) in keys.iter().zip(texts) {
                    assert_eq!(text, Some(text_of(*key)));
                }
            }
            Ok::<_, Failed>(())
        })
    });
    futures::future::try_join_all(tasks.collect::<Vec<_>>()).await?;
    Ok(())
}

fn text_of(key: u64) -> String {
    format!("this is record {key}, and it knows it")
}
