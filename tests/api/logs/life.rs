//! The same operations on a log, under every executor and on every backend.

use futures::{StreamExt, TryStreamExt};
use kvick::config::Backend;
use kvick::runtime::Handle;
use kvick::{FasterLog, Result, log};
use tests::configs::hosts_and_backends;

use super::small;

const ENTRIES: u32 = 500;

fn entry(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(1 + number as usize % 300)
}

async fn open(path: &std::path::Path, backend: Backend, handle: Handle) -> Result<FasterLog> {
    FasterLog::builder(small().with_backend(backend)).runtime(handle).open(path).await
}

/// Appends, follows and truncates. The second half of the entries stays, with an iterator in it.
async fn work(log: &FasterLog) -> Result<()> {
    let tail = log.follow().take(ENTRIES as usize).try_collect::<Vec<_>>();
    let writer = async {
        for number in 0..ENTRIES {
            match number % 50 {
                0 => drop(log.append_durable(&entry(number)).await?),
                _ => drop(log.append(&entry(number)).await?),
            }
        }
        log.commit().cookie(b"all").await
    };
    let (seen, commit) = futures::try_join!(tail, writer)?;
    assert!(seen.iter().zip(0..).all(|(seen, number)| seen.payload == entry(number)));
    assert_eq!(log.last_commit(), commit);
    log.truncate_until(seen[250].address).await?;
    log.iterator("worker")?.complete_until(seen[400].address).await?;
    assert_eq!(log.read(seen[300].address).await?, Some(seen[300].payload.clone()));
    assert_eq!(log.scan(..).count().await, 250);
    Ok(())
}

async fn look(log: &FasterLog) -> Result<()> {
    let left: Vec<_> = log.scan(..).try_collect().await?;
    assert!(left.iter().zip(250..).all(|(left, number)| left.payload == entry(number)));
    assert_eq!((left.len(), log.begin_address()), (250, left[0].address));
    assert_eq!(log.last_commit().cookie, b"all");
    let mut worker = log.iterator("worker")?;
    assert_eq!(worker.next().await.expect("there")?.payload, entry(400));
    Ok(())
}

#[test]
fn a_log_lives_on_every_host_and_backend() -> Result<()> {
    for (host, backend) in hosts_and_backends() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_owned();
        host.run(async move |handle| {
            let log = open(&path, backend, handle.clone()).await?;
            work(&log).await?;
            log.close().await?;
            if backend == Backend::Memory {
                return Ok(());
            }
            let log = open(&path, backend, handle).await?;
            look(&log).await?;
            log.close().await
        })?;
    }
    Ok(())
}

#[test]
fn every_executor_can_use_a_log() -> Result<()> {
    let open = || FasterLog::open("unused", small().with_backend(Backend::Memory));
    for block_on in [pollster::block_on::<_>, kvick::runtime::block_on, futures::executor::block_on]
    {
        block_on(Box::pin(async {
            let log = open().await?;
            work(&log).await?;
            log.close().await
        }) as futures::future::BoxFuture<'_, Result<()>>)?;
    }
    Ok(())
}

#[test]
fn handles_and_futures_may_go_anywhere() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    fn shared<T: Send + Sync + Clone>(value: T) -> T {
        value
    }
    let opened = FasterLog::open("unused", small().with_backend(Backend::Memory));
    let log = shared(kvick::runtime::block_on(sent(opened)).expect("opens"));
    drop(sent(log.append(b"")));
    drop(sent(log.append_many(&[b""])));
    drop(sent(log.append_durable(b"")));
    drop(sent(log.commit().number(1).into_future()));
    drop(sent(log.wait_for_commit(log::Address::FIRST)));
    drop(sent(log.read(log::Address::FIRST)));
    drop(sent(log.truncate_until(log::Address::FIRST)));
    drop(sent(log.truncate_suffix(log::Address::FIRST)));
    drop(sent(log.complete()));
    drop(sent(log.close()));
    drop((sent(log.scan(..)), sent(log.follow()), sent(log.sink())));
    drop(sent(log.iterator("worker").expect("free")));
}
