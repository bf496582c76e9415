//! Executors: each runs a set of futures on one of three runtimes and returns their results.
//!
//! * `tokio`: the multi-threaded scheduler, whose tasks may move between workers.
//! * `builtin`: threads with [`kvick::runtime::block_on`] over their shares of the futures.
//! * `glommio`: one executor for each thread, with local tasks (feature `glommio`).

use std::future::Future;
use std::sync::Arc;

use futures::future::join_all;
use serde::Serialize;

use crate::clock;

/// The runtime that polls the tasks of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// The multi-threaded scheduler of tokio.
    Tokio,
    /// One glommio executor for each thread.
    Glommio,
    /// Plain threads that block on their tasks.
    Builtin,
}

/// A runtime with its number of threads.
#[derive(Clone, Copy, Debug)]
pub struct Executor {
    /// The runtime.
    pub kind: RuntimeKind,
    /// The number of worker threads.
    pub threads: usize,
}

impl Executor {
    /// Runs `task(0)` to `task(tasks - 1)` concurrently, and returns the results in this order.
    ///
    /// # Panics
    ///
    /// Panics if a task panics or the runtime cannot start.
    pub fn run<T, F>(
        &self,
        tasks: usize,
        task: impl Fn(usize) -> F + Send + Sync + 'static,
    ) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        assert!(self.threads > 0 && tasks > 0, "there is at least one thread and one task");
        match self.kind {
            RuntimeKind::Tokio => on_tokio(self.threads, tasks, task),
            RuntimeKind::Builtin => on_threads(self.threads, tasks, task, block_on_all),
            RuntimeKind::Glommio => on_threads(self.threads, tasks, task, glommio_all),
        }
    }
}

fn on_tokio<T, F>(threads: usize, tasks: usize, task: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .expect("tokio starts");
    let spawned: Vec<_> = (0..tasks).map(|number| runtime.spawn(task(number))).collect();
    runtime.block_on(async {
        let mut results = Vec::with_capacity(tasks);
        for handle in spawned {
            results.push(handle.await.expect("no task panics"));
        }
        results
    })
}

/// A function that runs a share of the tasks on its thread, and returns their numbers and results.
type RunShare<T, M> = fn(Vec<usize>, Arc<M>) -> Vec<(usize, T)>;

/// Distributes the tasks among threads. Each thread runs its share.
fn on_threads<T, F, M>(threads: usize, tasks: usize, task: M, run: RunShare<T, M>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
    M: Fn(usize) -> F + Send + Sync + 'static,
{
    let task = Arc::new(task);
    let joins: Vec<_> = (0..threads.min(tasks))
        .map(|thread| {
            let share: Vec<usize> = (thread..tasks).step_by(threads).collect();
            let task = Arc::clone(&task);
            clock::spawn(format!("workers-{thread}"), move || run(share, task))
        })
        .collect();
    let mut results: Vec<(usize, T)> =
        joins.into_iter().flat_map(|join| join.join().expect("no task panics")).collect();
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

fn block_on_all<T, F, M>(share: Vec<usize>, task: Arc<M>) -> Vec<(usize, T)>
where
    F: Future<Output = T>,
    M: Fn(usize) -> F,
{
    let results = match share.as_slice() {
        // A single task is polled directly, so that its throughput has no cost of a join.
        [lone] => vec![kvick::runtime::block_on(task(*lone))],
        _ => kvick::runtime::block_on(join_all(share.iter().map(|number| task(*number)))),
    };
    share.into_iter().zip(results).collect()
}

#[cfg(feature = "glommio")]
fn glommio_all<T, F, M>(share: Vec<usize>, task: Arc<M>) -> Vec<(usize, T)>
where
    T: 'static,
    F: Future<Output = T> + 'static,
    M: Fn(usize) -> F,
{
    use glommio::{LocalExecutorBuilder, Placement};

    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .name("workers")
        .make()
        .expect("glommio starts: it needs io_uring and locked memory");
    executor.run(async move {
        let spawned: Vec<_> =
            share.iter().map(|number| glommio::spawn_local(task(*number))).collect();
        let results = join_all(spawned).await;
        share.into_iter().zip(results).collect()
    })
}

#[cfg(not(feature = "glommio"))]
fn glommio_all<T, F, M>(_share: Vec<usize>, _task: Arc<M>) -> Vec<(usize, T)>
where
    F: Future<Output = T>,
    M: Fn(usize) -> F,
{
    unreachable!("options refuse glommio without the feature")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_in_the_order_of_the_tasks() {
        for kind in [RuntimeKind::Tokio, RuntimeKind::Builtin] {
            let executor = Executor { kind, threads: 2 };
            let results = executor.run(7, |number| async move { number * 10 });
            assert_eq!(results, [0, 10, 20, 30, 40, 50, 60], "{kind:?}");
        }
    }
}
