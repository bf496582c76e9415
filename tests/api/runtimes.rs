//! The same store under every executor, and sessions that move between threads.

use kvick::{FasterKv, Result};
use tests::configs::{Host, hosts_and_backends, memory_store};
use tests::simulated::two_pages;

async fn work(store: &FasterKv<u64, u64>, first: u64) -> Result<()> {
    let mut session = store.session()?;
    for key in first..first + 300 {
        session.upsert(&key, &key).await?;
        session.rmw(&key, |value| value.unwrap_or(0) + 1).await?;
    }
    for key in first..first + 300 {
        assert_eq!(session.read(&key).await?, Some(key + 1));
    }
    Ok(())
}

#[test]
fn every_executor_can_use_a_store() -> Result<()> {
    let store = memory_store(two_pages());
    pollster::block_on(work(&store, 0))?;
    kvick::runtime::block_on(work(&store, 1000))?;
    futures::executor::block_on(work(&store, 2000))?;
    for host in Host::all() {
        let store = store.clone();
        host.run(async move |_| work(&store, 3000).await)?;
    }
    pollster::block_on(store.close())
}

#[test]
fn maintenance_runs_on_every_host() -> Result<()> {
    for (host, backend) in hosts_and_backends() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_owned();
        host.run(async move |handle| {
            let config = two_pages().with_backend(backend);
            let store = FasterKv::builder(config).runtime(handle).open(path).await?;
            work(&store, 0).await?;
            store.close().await
        })?;
    }
    Ok(())
}

#[test]
fn tasks_move_between_the_threads_of_tokio() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .build()
        .expect("tokio starts");
    runtime.block_on(async {
        let store = memory_store(two_pages());
        let tasks = (0..12).map(|number| {
            let store = store.clone();
            tokio::spawn(async move { work(&store, number * 1000).await })
        });
        for task in futures::future::join_all(tasks).await {
            task.expect("no panic").expect("sound memory");
        }
        store.close().await.expect("closes");
    });
}

#[test]
fn sessions_and_futures_may_go_anywhere() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    fn shared<T: Send + Sync + Clone>(value: T) -> T {
        value
    }
    let store = shared(memory_store::<u64, [u8]>(two_pages()));
    let mut session = sent(store.session().expect("open"));
    drop(sent(session.read(&1)));
    drop(sent(session.upsert(&1, b"")));
    drop(sent(session.rmw(&1, |value| value.unwrap_or_default())));
    drop(sent(session.delete(&1)));
    drop(sent(session.read_with(&1, <[u8]>::len)));
    drop(sent(session.read_many(&[1, 2])));
    drop(sent(store.upsert_many(&[(1, b"".to_vec())])));
    drop(sent(store.rmw_many(&[1], |_, value| value.unwrap_or_default())));
    drop(sent(store.insert_if_absent(&1, b"")));
    drop(sent(store.compare_and_swap(&1, b"", b"")));
    drop(sent(store.flush_and_evict()));
    drop(sent(store.close()));
}

/// A session may wait on one thread and continue on another.
#[test]
fn a_session_outlives_the_thread_it_began_on() -> Result<()> {
    let store = memory_store::<u64, u64>(two_pages());
    let mut session = store.session()?;
    for round in 0..20 {
        session = std::thread::scope(|scope| {
            let moved = scope.spawn(move || {
                pollster::block_on(async {
                    for key in 0..100 {
                        session.rmw(&key, |value| value.unwrap_or(0) + 1).await?;
                    }
                    assert_eq!(session.read(&50).await?, Some(round + 1));
                    Ok::<_, kvick::Error>(session)
                })
            });
            moved.join().expect("no panic")
        })?;
    }
    pollster::block_on(store.close())
}
