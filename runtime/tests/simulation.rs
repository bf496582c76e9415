//! The promises of a simulation: the same seed is the same run, other seeds are other runs, and a
//! stuck program is reported.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, HashSet};
use std::future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::channel::oneshot;
use kvick_io::EventSource;
use kvick_runtime::{Handle, Simulation, SimulationOptions, block_on};

type Log = Arc<Mutex<Vec<String>>>;

/// Answers each request after a fixed time.
#[derive(Default)]
struct Echo {
    state: Mutex<EchoState>,
}

#[derive(Default)]
struct EchoState {
    now: Duration,
    pending: BTreeMap<(Duration, u64), oneshot::Sender<u64>>,
}

impl Echo {
    fn request(&self, number: u64, latency: Duration) -> oneshot::Receiver<u64> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock().unwrap();
        let due = state.now + latency;
        state.pending.insert((due, number), sender);
        receiver
    }
}

impl EventSource for Echo {
    fn next_event(&self) -> Option<Duration> {
        self.state.lock().unwrap().pending.keys().next().map(|(due, _)| *due)
    }

    fn run_event(&self, now: Duration) {
        let mut state = self.state.lock().unwrap();
        state.now = now;
        while let Some(entry) = state.pending.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((_, number), sender) = entry.remove_entry();
            // The requesting task may be gone.
            sender.send(number).ok();
        }
    }
}

async fn yield_now() {
    let mut yielded = false;
    future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Starts ten tasks that note when they run, between yields, sleeps and requests.
fn workload(simulation: &Simulation, log: &Log) {
    let echo = Arc::new(Echo::default());
    simulation.add_source(Arc::<Echo>::clone(&echo));
    let handle = simulation.handle();
    simulation.run(async {
        let tasks: Vec<_> = (0..10_u64)
            .map(|number| {
                let (handle, echo, log) = (handle.clone(), Arc::clone(&echo), Arc::clone(log));
                let mut random = simulation.fork_random();
                handle.clone().spawn("worker", async move {
                    for round in 0..20 {
                        match random.below(3) {
                            0 => yield_now().await,
                            1 => handle.sleep(Duration::from_micros(random.below(50))).await,
                            _ => {
                                let latency = Duration::from_micros(random.below(50));
                                let answer = echo.request(number * 100 + round, latency).await;
                                assert_eq!(answer, Ok(number * 100 + round));
                            }
                        }
                        log.lock().unwrap().push(format!("{number}.{round}@{:?}", handle.now()));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

fn run_once(seed: u64) -> (u64, Vec<String>) {
    let (simulation, log) = (Simulation::new(seed), Log::default());
    workload(&simulation, &log);
    let hash = simulation.trace_hash();
    assert!(simulation.steps() >= 200);
    drop(simulation);
    (hash, Arc::into_inner(log).expect("every task is gone").into_inner().unwrap())
}

fn panic_of(body: impl FnOnce()) -> String {
    let payload = panic::catch_unwind(AssertUnwindSafe(body)).expect_err("it panics");
    payload.downcast_ref::<String>().expect("a formatted text").clone()
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..30 {
        assert_eq!(run_once(seed), run_once(seed), "seed {seed}");
    }
}

#[test]
fn other_seeds_are_other_runs() {
    let hashes: HashSet<u64> = (0..100).map(|seed| run_once(seed).0).collect();
    assert_eq!(hashes.len(), 100);
}

#[test]
fn time_stands_still_while_tasks_run_unless_drawn_otherwise() {
    let times_of = |chance| {
        let options =
            SimulationOptions { early_event_chance: Some(chance), ..SimulationOptions::default() };
        let simulation = Simulation::with_options(1, options);
        let handle = simulation.handle();
        simulation.run(async {
            handle.spawn("near", handle.sleep(Duration::from_millis(1))).detach();
            handle.spawn("far", handle.sleep(Duration::from_secs(1))).detach();
            let mut times = Vec::new();
            for _ in 0..100 {
                yield_now().await;
                times.push(handle.now());
            }
            times
        })
    };
    assert!(times_of(0.0).iter().all(Duration::is_zero));
    let times = times_of(0.5);
    assert!(times.contains(&Duration::from_millis(1)) && !times.contains(&Duration::from_secs(1)));
}

#[test]
fn every_order_of_ready_tasks_occurs() {
    let orders: HashSet<Vec<u8>> = (0..200)
        .map(|seed| {
            let simulation = Simulation::new(seed);
            let (handle, order) = (simulation.handle(), Arc::new(Mutex::new(Vec::new())));
            simulation.run(async {
                let tasks: Vec<_> = (0..3_u8)
                    .map(|number| {
                        let order = Arc::clone(&order);
                        handle.spawn("ordered", async move { order.lock().unwrap().push(number) })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
            order.lock().unwrap().clone()
        })
        .collect();
    assert_eq!(orders.len(), 6);
}

#[test]
fn a_deadlock_names_the_tasks() {
    let simulation = Simulation::new(77);
    let handle = simulation.handle();
    let text = panic_of(|| {
        simulation.run(async {
            let waits = handle.spawn("waits forever", future::pending::<()>());
            handle.spawn("ends", async {}).await.unwrap();
            waits.await.unwrap();
        });
    });
    assert!(text.starts_with("deadlock"), "{text}");
    assert!(text.contains("seed 77") && text.contains("tasks alive: [waits forever]"), "{text}");
}

#[test]
fn a_livelock_is_reported() {
    let options = SimulationOptions { steps_max: 1000, ..SimulationOptions::default() };
    let simulation = Simulation::with_options(1, options);
    let text = panic_of(|| {
        simulation.run(async {
            loop {
                yield_now().await;
            }
        });
    });
    assert!(text.starts_with("livelock"), "{text}");
}

#[test]
fn a_panic_of_a_detached_task_ends_the_run() {
    let simulation = Simulation::new(1);
    let handle = simulation.handle();
    let text = panic_of(|| {
        simulation.run(async {
            handle.spawn("broken", async { panic!("an assertion of the test") }).detach();
            future::pending::<()>().await;
        });
    });
    assert!(text.contains("broken") && text.contains("an assertion of the test"), "{text}");
}

#[test]
fn tasks_survive_between_runs_and_end_with_the_simulation() {
    let simulation = Simulation::new(5);
    let handle = simulation.handle();
    let (sender, receiver) = oneshot::channel::<()>();
    let kept = Arc::new(());
    let (inside, inner_handle) = (Arc::clone(&kept), handle.clone());
    let task = simulation.run(futures::future::lazy(|_| {
        handle.spawn("holder", async move {
            let _inside = (inside, inner_handle);
            receiver.await.unwrap();
            future::pending::<()>().await;
        })
    }));
    sender.send(()).unwrap();
    simulation.run(yield_now());
    assert_eq!(Arc::strong_count(&kept), 2);
    drop(simulation);
    assert_eq!(Arc::strong_count(&kept), 1, "a task that holds a handle is dropped too");
    assert!(block_on(task).is_err());
    assert!(block_on(handle.spawn("late", async {})).is_err());
}

#[test]
fn draws_of_the_test_leave_the_schedule_alone() {
    let trace = |draws: u64| {
        let simulation = Simulation::new(9);
        let handle = simulation.handle();
        for _ in 0..draws {
            simulation.random();
            simulation.chance(0.5);
        }
        simulation.run(async {
            let tasks: Vec<_> = (0..5).map(|_| handle.spawn("task", yield_now())).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        simulation.trace_hash()
    };
    assert_eq!(trace(0), trace(10));
}

#[test]
fn runs_do_not_nest() {
    let simulation = Simulation::new(1);
    let nested = panic::catch_unwind(AssertUnwindSafe(|| {
        simulation.run(async { simulation.run(async {}) });
    }));
    assert!(nested.is_err());
}

#[test]
fn time_is_shared_by_timers_and_sources() {
    let simulation = Simulation::new(3);
    let (handle, echo) = (simulation.handle(), Arc::new(Echo::default()));
    simulation.add_source(Arc::<Echo>::clone(&echo));
    let elapsed = simulation.run(async {
        Handle::sleep(&handle, Duration::from_millis(5)).await;
        // The source knows the time although nothing was due there when the timer fired.
        echo.request(1, Duration::from_millis(7)).await.unwrap();
        handle.now()
    });
    assert_eq!(elapsed, Duration::from_millis(12));
    assert_eq!(simulation.seed(), 3);
}

/// A task that the drop of another task wakes, under a lock that its own drop needs. The listeners
/// of an event behave like this.
struct Told(Arc<Mutex<Vec<Waker>>>);

impl Future for Told {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.lock().unwrap().push(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let wakers = self.0.lock().unwrap();
        wakers.iter().for_each(Waker::wake_by_ref);
    }
}

/// A simulation hung when it was dropped. A task that the drop of another task woke was dropped
/// within its waker, under the lock that the waking task held.
#[test]
fn tasks_that_wake_each_other_are_dropped_one_after_the_other() {
    let simulation = Simulation::new(1);
    let wakers = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..3 {
        simulation.handle().spawn("told", Told(Arc::clone(&wakers))).detach();
    }
    let handle = simulation.handle();
    simulation.run(handle.sleep(Duration::from_secs(1)));
    assert_eq!(wakers.lock().unwrap().len(), 3);
    drop(simulation);
    assert_eq!(Arc::strong_count(&wakers), 1);
}
