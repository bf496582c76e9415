//! A whole program on one thread, under a seed.
//!
//! A simulation polls one task at a time, which a seeded draw selects. Its clock is virtual: it
//! stands still while tasks run. It jumps to the next timer or to the next event of a source (a
//! simulated disk) when nothing else can run. Sometimes, by another draw, it jumps although tasks
//! could run, so that completions arrive in the middle of a task's work. The frequency is itself
//! drawn once for each seed. Such a jump is short: tasks are sometimes slow, but not by hours.
//!
//! ```text
//!          +-- ready tasks --- draw one, poll it ---+
//!   step --+                                        +--> next step
//!          +-- timers, sources: jump to the first --+
//!          +-- nothing at all: panic "deadlock", with the names of the tasks
//! ```
//!
//! The same seed gives the same run, as long as the code under test takes time, randomness and I/O
//! only from here. No other thread may wake a task, and nothing may depend on the order of a
//! `HashMap` with a random hasher. [`Simulation::trace_hash`] distinguishes two runs.

mod trace;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use kvick_io::EventSource;
use kvick_io::sim::Random;

use crate::executor::{self, Driver, Executor, Runnable};
use crate::handle::Handle;
use crate::task::TaskFailed;

use self::trace::{Step, Trace};

/// A seeded executor with a virtual clock. The module's text explains how it chooses.
///
/// Dropping it drops every task, as if a process were killed.
///
/// ```
/// use std::time::Duration;
/// use kvick_runtime::Simulation;
///
/// let simulation = Simulation::new(1);
/// let handle = simulation.handle();
/// let elapsed = simulation.run(async {
///     handle.sleep(Duration::from_secs(3600)).await;
///     handle.now()
/// });
/// assert_eq!(elapsed, Duration::from_secs(3600));
/// ```
pub struct Simulation {
    seed: u64,
    options: SimulationOptions,
    executor: Arc<Executor<VirtualTime>>,
    handle: Handle,
    sources: Mutex<Vec<Arc<dyn EventSource>>>,
    scheduler: Mutex<Scheduler>,
    random: Mutex<Random>,
}

/// The settings of a simulation besides its seed.
#[derive(Clone, Debug)]
pub struct SimulationOptions {
    /// The chance, at each step, of running an event before tasks are idle. Default: drawn from the
    /// seed.
    pub early_event_chance: Option<f64>,
    /// The number of steps after which the run counts as a livelock and panics. Default: 50
    /// million.
    pub steps_max: u64,
}

impl Default for SimulationOptions {
    fn default() -> Self {
        Self { early_event_chance: None, steps_max: 50_000_000 }
    }
}

/// The state that only the scheduler uses.
struct Scheduler {
    random: Random,
    early_event_chance: f64,
    ready: Vec<Runnable>,
    trace: Trace,
    steps: u64,
}

impl Simulation {
    /// Creates the run of `seed`.
    pub fn new(seed: u64) -> Self {
        Self::with_options(seed, SimulationOptions::default())
    }

    /// Creates the run of `seed` with other options.
    pub fn with_options(seed: u64, options: SimulationOptions) -> Self {
        let (executor, leased) = Executor::new(VirtualTime::default());
        let mut random = Random::new(seed);
        let drawn = EARLY_EVENT_CHANCES[random.index(EARLY_EVENT_CHANCES.len())];
        let scheduler = Scheduler {
            early_event_chance: options.early_event_chance.unwrap_or(drawn),
            ready: Vec::new(),
            trace: Trace::default(),
            steps: 0,
            // A separate stream: more draws by a test do not change the schedule.
            random: random.fork(),
        };
        Self {
            seed,
            options,
            executor,
            handle: Handle::custom(Arc::new(leased)),
            sources: Mutex::default(),
            scheduler: Mutex::new(scheduler),
            random: Mutex::new(random),
        }
    }

    /// Returns a handle whose tasks, sleeps and time are simulated.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Adds a source of events, whose times are those of [`Self::now`].
    pub fn add_source(&self, source: Arc<dyn EventSource>) {
        source.run_event(self.now());
        lock(&self.sources).push(source);
    }

    /// Runs `future`, and tasks and events as they come, until `future` is done.
    ///
    /// Other tasks stay suspended, and the next `run` continues them.
    ///
    /// # Panics
    ///
    /// With "deadlock" and the names of the tasks if nothing can ever run again. With "livelock"
    /// after `steps_max` steps. If a task panics whose [`Task`](crate::Task) was dropped. If called
    /// from inside a run.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut scheduler =
            self.scheduler.try_lock().expect("a simulation runs one future at a time");
        let mut future = pin!(future);
        let root = Arc::new(Root { woken: AtomicBool::new(true) });
        let waker = Waker::from(Arc::clone(&root));
        loop {
            self.check(&scheduler);
            while let Some(runnable) = self.executor.pop() {
                scheduler.ready.push(runnable);
            }
            let now = self.now();
            match scheduler.choose(root.is_woken(), now, || self.next_event()) {
                Choice::Root => {
                    scheduler.note(Step::Root, now);
                    root.woken.store(false, Ordering::Relaxed);
                    let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
                    if let Poll::Ready(output) = polled {
                        return output;
                    }
                }
                Choice::Task(runnable) => {
                    scheduler.note(Step::Task(*runnable.metadata()), now);
                    executor::run(runnable);
                }
                Choice::Event(time) => {
                    scheduler.note(Step::Event, time);
                    self.advance(time);
                }
                Choice::Nothing => self.panic_with("deadlock: nothing can ever run", &scheduler),
            }
        }
    }

    /// Returns the virtual time since the simulation began.
    pub fn now(&self) -> Duration {
        self.handle.now()
    }

    /// Returns the seed of the simulation.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns 64 random bits for the test itself.
    pub fn random(&self) -> u64 {
        lock(&self.random).next_u64()
    }

    /// Returns `true` with the given probability, for the test itself.
    pub fn chance(&self, probability: f64) -> bool {
        lock(&self.random).chance(probability)
    }

    /// Returns a generator for a task to own, independent of the schedule.
    pub fn fork_random(&self) -> Random {
        lock(&self.random).fork()
    }

    /// Returns the number of polls and events so far.
    ///
    /// # Panics
    ///
    /// If called from inside a run, like [`Self::trace_hash`].
    pub fn steps(&self) -> u64 {
        self.idle_scheduler().steps
    }

    /// Returns a hash over every choice so far and its time. Equal runs have equal hashes.
    pub fn trace_hash(&self) -> u64 {
        self.idle_scheduler().trace.hash()
    }

    fn idle_scheduler(&self) -> MutexGuard<'_, Scheduler> {
        self.scheduler.try_lock().expect("asked between runs")
    }

    /// Returns the earliest time of a timer or of an event of a source.
    fn next_event(&self) -> Option<Duration> {
        let sources = lock(&self.sources);
        let timers = self.executor.timers.earliest();
        sources.iter().filter_map(|source| source.next_event()).chain(timers).min()
    }

    fn advance(&self, time: Duration) {
        let now = self.executor.driver.advance(time);
        self.executor.timers.fire(now);
        // Cloned: an event may add a source. Sources without a due event learn the time.
        let sources = lock(&self.sources).clone();
        for source in sources {
            source.run_event(now);
        }
    }

    fn check(&self, scheduler: &Scheduler) {
        if let Some(failed) = lock(&self.executor.driver.lost).pop() {
            self.panic_with(&format!("a failed task was not awaited: {failed}"), scheduler);
        }
        if scheduler.steps >= self.options.steps_max {
            self.panic_with("livelock: too many steps", scheduler);
        }
    }

    fn panic_with(&self, what: &str, scheduler: &Scheduler) -> ! {
        panic!(
            "{what}; seed {}, step {}, time {:?}, tasks alive: [{}], last steps: {}",
            self.seed,
            scheduler.steps,
            self.now(),
            self.executor.live_names().join(", "),
            scheduler.trace,
        )
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // A run that unwound poisons the lock; the tasks must be dropped even so.
        let scheduler = self.scheduler.get_mut().unwrap_or_else(PoisonError::into_inner);
        let ready = std::mem::take(&mut scheduler.ready);
        drop(ready);
        self.executor.close();
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Simulation")
            .field("seed", &self.seed)
            .field("options", &self.options)
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}

/// The next step.
enum Choice {
    Root,
    Task(Runnable),
    Event(Duration),
    Nothing,
}

impl Scheduler {
    fn choose(
        &mut self,
        root: bool,
        now: Duration,
        next_event: impl Fn() -> Option<Duration>,
    ) -> Choice {
        let candidates = self.ready.len() + usize::from(root);
        if candidates == 0 {
            return next_event().map_or(Choice::Nothing, Choice::Event);
        }
        if self.random.chance(self.early_event_chance) {
            let reach = now.saturating_add(EARLY_EVENT_REACH);
            if let Some(time) = next_event().filter(|&time| time <= reach) {
                return Choice::Event(time);
            }
        }
        let index = self.random.index(candidates);
        match index.checked_sub(self.ready.len()) {
            Some(_) => Choice::Root,
            // The order of the rest stays deterministic, and no element moves far.
            None => Choice::Task(self.ready.swap_remove(index)),
        }
    }

    fn note(&mut self, step: Step, time: Duration) {
        self.steps += 1;
        self.trace.push(step, time);
    }
}

/// The future given to `run`, as a candidate for the next step.
struct Root {
    woken: AtomicBool,
}

impl Root {
    fn is_woken(&self) -> bool {
        // Acquire: pairs with the release store in `wake_by_ref`.
        self.woken.load(Ordering::Acquire)
    }
}

impl Wake for Root {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: pairs with the acquire load in `is_woken`.
        self.woken.store(true, Ordering::Release);
    }
}

/// The driver of a simulation: it notifies no thread, and its clock moves only explicitly.
#[derive(Debug, Default)]
struct VirtualTime {
    now_nanos: AtomicU64,
    lost: Mutex<Vec<TaskFailed>>,
}

impl VirtualTime {
    /// Moves the clock, never back, and returns its time.
    fn advance(&self, time: Duration) -> Duration {
        let nanos = u64::try_from(time.as_nanos()).expect("virtual time within 584 years");
        // Relaxed: one thread runs the simulation.
        let before = self.now_nanos.fetch_max(nanos, Ordering::Relaxed);
        Duration::from_nanos(before.max(nanos))
    }
}

impl Driver for VirtualTime {
    fn notify(&self) {}

    fn now(&self) -> Duration {
        Duration::from_nanos(self.now_nanos.load(Ordering::Relaxed))
    }

    fn lost_panic(&self, failed: &TaskFailed) {
        lock(&self.lost).push(failed.clone());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The state in these locks is consistent at every point that may panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The largest jump of the clock while tasks could run: some disk latencies, no long timeout.
const EARLY_EVENT_REACH: Duration = Duration::from_millis(10);

/// The chances from which each seed draws: some runs hold I/O back, some let it interrupt always.
const EARLY_EVENT_CHANCES: [f64; 4] = [0.0, 0.02, 0.2, 0.5];
