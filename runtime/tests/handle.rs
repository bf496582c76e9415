//! The promises of a handle, tested on every executor.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::cell::RefCell;
use std::future::{self, Future};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select};
use kvick_runtime::{Handle, Simulation, TaskFailed, block_on};

/// Sets its flag when dropped.
struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Suspends once.
async fn yield_now() {
    let mut yielded = false;
    future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

async fn spawn_and_await(handle: Handle) {
    let tasks: Vec<_> = (0..100_u64)
        .map(|number| {
            handle.spawn("square", async move {
                yield_now().await;
                number * number
            })
        })
        .collect();
    for (number, task) in (0..100_u64).zip(tasks) {
        assert_eq!(task.await, Ok(number * number));
    }
}

async fn nested_spawn(handle: Handle) {
    let outer = {
        let handle = handle.clone();
        handle.clone().spawn("outer", async move {
            let inner = handle.spawn("inner", async { 1 });
            inner.await.map(|value| value + 1)
        })
    };
    assert_eq!(outer.await, Ok(Ok(2)));
}

async fn cancel_drops_the_future(handle: Handle) {
    let dropped = Arc::new(AtomicBool::new(false));
    let (started, is_started) = oneshot::channel();
    let guard = OnDrop(Arc::clone(&dropped));
    let task = handle.spawn("stuck", async move {
        let _guard = guard;
        started.send(()).unwrap();
        future::pending::<()>().await;
    });
    is_started.await.unwrap();
    assert_eq!(task.cancel().await, Err(TaskFailed::Cancelled { task: "stuck" }));
    assert!(dropped.load(Ordering::SeqCst));
}

async fn cancel_before_the_first_poll_or_after_the_end(handle: Handle) {
    let early = handle.spawn("early", future::pending::<()>());
    assert_eq!(early.cancel().await, Err(TaskFailed::Cancelled { task: "early" }));

    let (sender, done) = oneshot::channel();
    let late = handle.spawn("late", async move { sender.send(()).unwrap() });
    done.await.unwrap();
    // Either the executor or the request may be first; the task has run in either case.
    let outcome = late.cancel().await;
    assert!(matches!(outcome, Ok(()) | Err(TaskFailed::Cancelled { .. })), "{outcome:?}");
}

async fn a_panic_ends_its_task_alone(handle: Handle) {
    let fixed = handle.spawn("fixed", async { panic!("fixed text") });
    let failed: Result<(), _> = fixed.await;
    assert_eq!(
        failed,
        Err(TaskFailed::Panicked { task: "fixed", message: "fixed text".to_owned() })
    );
    let number = 7;
    let formatted = handle.spawn("formatted", async move {
        yield_now().await;
        assert_eq!(number, 8, "a number");
    });
    let failed = formatted.await.unwrap_err();
    assert!(failed.to_string().contains("task formatted panicked"), "{failed}");
    assert!(failed.to_string().contains("a number"), "{failed}");
    assert_eq!(handle.spawn("after", async { 1 }).await, Ok(1));
}

async fn a_dropped_task_runs_on(handle: Handle) {
    let (sender, receiver) = oneshot::channel();
    let task = handle.spawn("detached", async move {
        yield_now().await;
        sender.send(3).unwrap();
    });
    assert_eq!(task.name(), "detached");
    task.detach();
    assert_eq!(receiver.await, Ok(3));
}

async fn sleeps_end_in_order(handle: Handle) {
    let before = handle.now();
    let (hour, moment) =
        (handle.sleep(Duration::from_secs(3600)), handle.sleep(Duration::from_millis(2)));
    match select(hour, moment).await {
        Either::Left(_) => panic!("an hour passed before two milliseconds"),
        Either::Right(((), hour)) => drop(hour),
    }
    handle.sleep(Duration::from_millis(1)).await;
    handle.sleep(Duration::ZERO).await;
    assert!(handle.now() >= before + Duration::from_millis(3));
    // A sleep registered after a longer sleep moves the alarm forward.
    let long = handle.spawn("long", handle.sleep(Duration::from_secs(3600)));
    let short = handle.spawn("short", handle.sleep(Duration::from_millis(1)));
    assert_eq!(short.await, Ok(()));
    assert_eq!(long.cancel().await, Err(TaskFailed::Cancelled { task: "long" }));
}

async fn many_sleepers(handle: Handle) {
    let woken = Arc::new(AtomicUsize::new(0));
    let sleepers: Vec<_> = (0..50)
        .map(|number| {
            let sleep = handle.sleep(Duration::from_micros(number * 37 % 900));
            let woken = Arc::clone(&woken);
            handle.spawn("sleeper", async move {
                sleep.await;
                woken.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    for sleeper in sleepers {
        sleeper.await.unwrap();
    }
    assert_eq!(woken.load(Ordering::SeqCst), 50);
}

/// The longest possible sleep, in a task that never waits for its end, panicked within glommio.
async fn a_sleep_may_be_of_any_length(handle: Handle) {
    for longest in [Duration::MAX, Duration::from_secs(u64::MAX / 2)] {
        let (longest, moment) = (handle.sleep(longest), handle.sleep(Duration::from_millis(1)));
        assert!(matches!(select(longest, moment).await, Either::Right(_)));
    }
    assert!(!handle.has_ended());
}

async fn now_is_monotone(handle: Handle) {
    let mut last = handle.now();
    for _ in 0..1000 {
        let now = handle.now();
        assert!(now >= last);
        last = now;
    }
}

/// Runs every check of one executor in one task.
async fn contract(handle: Handle) {
    spawn_and_await(handle.clone()).await;
    nested_spawn(handle.clone()).await;
    cancel_drops_the_future(handle.clone()).await;
    cancel_before_the_first_poll_or_after_the_end(handle.clone()).await;
    a_panic_ends_its_task_alone(handle.clone()).await;
    a_dropped_task_runs_on(handle.clone()).await;
    sleeps_end_in_order(handle.clone()).await;
    many_sleepers(handle.clone()).await;
    a_sleep_may_be_of_any_length(handle.clone()).await;
    now_is_monotone(handle).await;
}

/// Uses `handle` from threads other than its executor's.
fn from_foreign_threads(handle: &Handle) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                block_on(async {
                    for number in 0..200_u64 {
                        assert_eq!(
                            handle.spawn("foreign", async move { number }).await,
                            Ok(number)
                        );
                    }
                    handle.sleep(Duration::from_micros(200)).await;
                });
            });
        }
    });
}

#[test]
fn background() {
    let handle = Handle::background().unwrap();
    block_on(contract(handle.clone()));
    from_foreign_threads(&handle);
    block_on(handle.clone().spawn("contract", contract(handle))).unwrap();
}

#[test]
fn background_thread_ends_with_the_last_owner() {
    struct Note(mpsc::Sender<()>);
    impl Drop for Note {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    thread_local!(static NOTE: RefCell<Option<Note>> = const { RefCell::new(None) });

    let (sender, ended) = mpsc::channel();
    let (release, released) = oneshot::channel();
    let handle = Handle::background().unwrap();
    let task = handle.spawn("last", async move {
        NOTE.with(|note| *note.borrow_mut() = Some(Note(sender)));
        released.await.unwrap();
        thread::current().name().map(str::to_owned)
    });
    drop(handle);
    assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Empty), "a task keeps the thread");
    release.send(()).unwrap();
    assert_eq!(block_on(task), Ok(Some("kvick-background".to_owned())));
    assert_eq!(ended.recv(), Ok(()));
}

#[test]
fn simulation() {
    for seed in 0..20 {
        let simulation = Simulation::new(seed);
        simulation.run(contract(simulation.handle()));
    }
}

#[test]
fn handles_and_tasks_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    fn is_sync<T: Sync>(_: &T) {}
    let handle = Handle::background().unwrap();
    let (task, sleep) = (handle.spawn("nothing", async {}), handle.sleep(Duration::ZERO));
    is_send(&handle);
    is_sync(&handle);
    is_send(&task);
    is_send(&sleep);
    is_send(&task.cancel());
}

#[test]
fn block_on_nests() {
    let handle = Handle::background().unwrap();
    let inner = |number: u64| block_on(handle.spawn("inner", async move { number }));
    let total = block_on(async {
        let mut total = 0;
        for number in 0..100 {
            total += inner(number).unwrap();
            // Wakes the outer call while it runs a nested call, whose park consumes the token.
            total += block_on(async {
                yield_now().await;
                block_on(handle.spawn("innermost", async { 1 })).unwrap()
            });
            yield_now().await;
        }
        total
    });
    assert_eq!(total, 99 * 100 / 2 + 100);
}

/// A custom executor: a thread for each task.
#[derive(Debug)]
struct Threads;

impl kvick_runtime::Runtime for Threads {
    fn spawn(&self, name: &'static str, future: kvick_runtime::BoxFuture<'static, ()>) {
        thread::Builder::new().name(name.to_owned()).spawn(|| block_on(future)).unwrap();
    }

    fn sleep(&self, duration: Duration) -> kvick_runtime::BoxFuture<'static, ()> {
        let background = Handle::background().unwrap();
        Box::pin(async move { background.sleep(duration).await })
    }

    fn now(&self) -> Duration {
        // Frozen time is monotone too, but the test must see a sleep pass.
        static SAMPLES: AtomicUsize = AtomicUsize::new(0);
        Duration::from_millis(SAMPLES.fetch_add(10, Ordering::SeqCst) as u64)
    }
}

#[test]
fn custom() {
    let handle = Handle::custom(Arc::new(Threads));
    block_on(contract(handle.clone()));
    from_foreign_threads(&handle);
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use super::*;

    fn check(runtime: tokio::runtime::Runtime) {
        let handle = Handle::tokio(runtime.handle().clone());
        runtime.block_on(contract(handle.clone()));
        runtime
            .block_on(async { handle.spawn("contract", contract(handle.clone())).await.unwrap() });
    }

    #[test]
    fn multi_thread() {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_time().build().unwrap();
        // Polled on this thread, run on the runtime.
        let handle = Handle::tokio(runtime.handle().clone());
        block_on(contract(handle.clone()));
        from_foreign_threads(&handle);
        check(runtime);
    }

    #[test]
    fn current_thread() {
        check(tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap());
    }

    #[test]
    fn shutdown_cancels() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let handle = Handle::tokio(runtime.handle().clone());
        let before = handle.spawn("before", future::pending::<()>());
        drop(runtime);
        let after = handle.spawn("after", async {});
        assert_eq!(block_on(before), Err(TaskFailed::Cancelled { task: "before" }));
        assert_eq!(block_on(after), Err(TaskFailed::Cancelled { task: "after" }));
    }

    /// A store that outlived its tokio runtime slept before a retry, and the operation of its user
    /// panicked.
    #[test]
    fn shutdown_ends_sleeps() {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_time().build().unwrap();
        let handle = Handle::tokio(runtime.handle().clone());
        let mut begun = handle.sleep(Duration::from_secs(3600));
        let unpolled = handle.sleep(Duration::from_secs(3600));
        let polled = future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut begun).poll(context).is_pending())
        });
        assert!(block_on(polled));
        drop(runtime);
        block_on(async {
            begun.await;
            unpolled.await;
            handle.sleep(Duration::from_secs(3600)).await;
        });
        assert!(handle.has_ended());
    }
}

#[cfg(all(feature = "glommio", target_os = "linux"))]
mod on_glommio {
    use super::*;

    use glommio::{LocalExecutor, LocalExecutorBuilder};

    fn executor() -> LocalExecutor {
        // The default ring memory exceeds the usual limit on locked memory.
        LocalExecutorBuilder::default().io_memory(1 << 20).make().unwrap()
    }

    #[test]
    fn contract_holds() {
        executor().run(async {
            let handle = Handle::glommio();
            contract(handle.clone()).await;
            handle.clone().spawn("contract", contract(handle)).await.unwrap();
        });
    }

    #[test]
    fn serves_foreign_threads() {
        executor().run(async {
            let handle = Handle::glommio();
            let (sender, done) = oneshot::channel();
            let stranger = thread::Builder::new()
                .spawn(move || {
                    from_foreign_threads(&handle);
                    sender.send(()).unwrap();
                })
                .unwrap();
            done.await.unwrap();
            stranger.join().unwrap();
        });
    }

    #[test]
    fn the_end_of_the_thread_cancels() {
        let dropped = Arc::new(AtomicBool::new(false));
        let guard = OnDrop(Arc::clone(&dropped));
        let glommio = LocalExecutorBuilder::default().io_memory(1 << 20).spawn(|| async {
            let handle = Handle::glommio();
            let task = handle.spawn("left over", async move {
                let _guard = guard;
                future::pending::<()>().await;
            });
            handle.spawn("another", async {}).await.unwrap();
            (handle, task)
        });
        let (handle, task) = glommio.unwrap().join().unwrap();
        assert_eq!(block_on(task), Err(TaskFailed::Cancelled { task: "left over" }));
        assert!(dropped.load(Ordering::SeqCst));
        let late = handle.spawn("late", async {});
        assert_eq!(block_on(late), Err(TaskFailed::Cancelled { task: "late" }));
        assert!(handle.has_ended());
        // The executor that would wake it is gone.
        block_on(handle.sleep(Duration::from_secs(3600)));
    }

    /// An executor ended on a thread that continued. Our tasks there neither ran nor were dropped,
    /// and the store that they maintained reported nothing.
    #[test]
    fn the_end_of_the_executor_cancels() {
        for waits_within in [false, true] {
            let dropped = Arc::new(AtomicBool::new(false));
            let guard = OnDrop(Arc::clone(&dropped));
            let (handle, task) = executor().run(async {
                let handle = Handle::glommio();
                let task = handle.spawn("left over", async move {
                    let _guard = guard;
                    future::pending::<()>().await;
                });
                handle.spawn("another", async {}).await.unwrap();
                if waits_within {
                    // glommio forgets a local task that waits for ours, and ours may still wake it.
                    let forgotten = handle.spawn("waited for within", future::pending::<()>());
                    glommio::spawn_local(forgotten).detach();
                    let sleep = handle.sleep(Duration::from_secs(3600));
                    glommio::spawn_local(sleep).detach();
                    handle.sleep(Duration::from_millis(1)).await;
                }
                (handle, task)
            });
            assert_eq!(block_on(task), Err(TaskFailed::Cancelled { task: "left over" }));
            assert!(dropped.load(Ordering::SeqCst));
            assert!(handle.has_ended());
            block_on(handle.sleep(Duration::from_secs(3600)));
        }
    }
}

#[expect(dead_code, reason = "compiles only if the future of a sleep is Send and 'static")]
fn sleep_is_an_ordinary_future(handle: &Handle) -> impl Future<Output = ()> + Send + 'static {
    handle.sleep(Duration::ZERO)
}
