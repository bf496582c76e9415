//! Wakers of executors that run tasks within `wake`, in the middle of a commit.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures::future::{BoxFuture, FutureExt, poll_fn};
use kvick::FasterKv;
use kvick::config::{ByteSize, DurableBy};
use tests::simulated::{Site, World, seeds, two_pages};

type Store = FasterKv<u64, u64>;
type Write = BoxFuture<'static, kvick::Result<()>>;

async fn open(site: &Site) -> Store {
    let config = two_pages()
        .with_durability(DurableBy::Wal)
        .with_wal_memory(ByteSize::kib(256))
        .with_commit_every(None);
    FasterKv::builder(config)
        .runtime(site.handle.clone())
        .directory(site.disk.directory("db"))
        .wal_directory(site.disk.directory("wal"))
        .open_in_directory()
        .await
        .expect("opens")
}

/// Writes a key with a session of its own, durably.
fn write(store: &Store, key: u64) -> Write {
    let store = store.clone();
    async move {
        let mut session = store.session()?;
        session.upsert(&key, &key).durable().await.map(drop)
    }
    .boxed()
}

fn poll_once(write: &mut Write) -> Poll<kvick::Result<()>> {
    write.poll_unpin(&mut Context::from_waker(Waker::noop()))
}

/// A waker that runs other writes first.
struct Inline {
    others: Mutex<Vec<Write>>,
    task: Mutex<Option<Waker>>,
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        let others = std::mem::take(&mut *self.others.lock().expect("no panic"));
        // Some end here, some begin or wait on, and all are dropped.
        others.into_iter().for_each(|mut other| drop(poll_once(&mut other)));
        if let Some(task) = self.task.lock().expect("no panic").take() {
            task.wake();
        }
    }
}

/// A commit called the wakers of its tasks while it held the list of them: a waker that polled or
/// dropped another durable write never returned.
#[test]
fn a_waker_may_work_on_the_store_that_wakes_it() {
    seeds(20, |seed| {
        let world = World::new(seed);
        world.simulation.run(async {
            let store = open(&world.site).await;
            let mut begun = write(&store, 1);
            assert!(poll_once(&mut begun).is_pending(), "it waits for a commit");
            let inline = Arc::new(Inline {
                others: Mutex::new(vec![begun, write(&store, 2)]),
                task: Mutex::new(None),
            });
            let mut last = write(&store, 3);
            poll_fn(|context| {
                *inline.task.lock().expect("no panic") = Some(context.waker().clone());
                let waker = Waker::from(Arc::clone(&inline));
                Pin::new(&mut last).poll(&mut Context::from_waker(&waker))
            })
            .await
            .expect("a sound disk");
            assert_eq!(inline.others.lock().expect("no panic").len(), 0, "the waker has run");
            for key in 1..=3 {
                assert_eq!(store.read(&key).await.expect("a sound disk"), Some(key));
            }
            store.close().await.expect("closes");
        });
    });
}
