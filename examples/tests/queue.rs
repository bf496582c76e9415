//! Tests of the example `queue`: no job is lost, however the queue ends.

#[path = "../queue/queue.rs"]
mod queue;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use queue::{Failed, Queue};

/// The number of times that each job was done.
type Done = Arc<Mutex<BTreeMap<String, u64>>>;

async fn open(path: &Path) -> Queue {
    Queue::open(path).await.expect("a sound disk")
}

fn note(done: &Done, job: &[u8]) -> u64 {
    let job = String::from_utf8_lossy(job).into_owned();
    let mut done = done.lock().expect("nothing panics under it");
    let times = done.entry(job).or_default();
    *times += 1;
    *times
}

#[tokio::test]
async fn jobs_of_many_producers_are_done_once_while_nothing_happens() {
    let directory = tempfile::tempdir().expect("a directory");
    let queue = open(directory.path()).await;
    let done = Done::default();
    let producers = (0..8).map(|producer| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for number in 0..50 {
                queue.push(format!("{producer}/{number}").as_bytes()).await.expect("pushed");
            }
        })
    });
    let pushed = async {
        futures::future::try_join_all(producers).await.expect("no panic");
        queue.finish().await.expect("finished");
    };
    let work = queue.work(|job| {
        let done = Arc::clone(&done);
        async move { _ = note(&done, &job) }
    });
    let ((), worked) = futures::join!(pushed, work);
    assert_eq!(worked.expect("no failure"), 400);
    queue.close().await.expect("closes");
    let done = done.lock().expect("no panic");
    assert!(done.len() == 400 && done.values().all(|times| *times == 1));
}

/// A job panics, and the queue is dropped in the middle of its batch. The next life does this batch
/// again, and all later jobs.
#[tokio::test]
async fn a_job_that_fails_is_done_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let queue = open(directory.path()).await;
    let done = Done::default();
    for number in 0..200 {
        queue.push(number.to_string().as_bytes()).await.expect("pushed");
    }
    let work = |job: Vec<u8>| {
        let done = Arc::clone(&done);
        async move {
            let times = note(&done, &job);
            assert!(job != b"100" || times > 1, "the job panics the first time");
        }
    };
    let failed = queue.work(work).await.expect_err("one of them panics");
    assert!(matches!(failed, Failed::Job(_)), "{failed}");
    drop(queue);
    let queue = open(directory.path()).await;
    queue.finish().await.expect("finished");
    let again = queue.work(work).await.expect("no failure");
    assert!((100..200).contains(&again), "committed jobs are not done again: {again}");
    queue.close().await.expect("closes");
    let done = done.lock().expect("no panic");
    assert!(done.len() == 200 && done.values().all(|times| (1..=2).contains(times)));
    assert_eq!(done["100"], 2);
}

#[tokio::test]
async fn done_jobs_take_no_space() {
    let directory = tempfile::tempdir().expect("a directory");
    let queue = open(directory.path()).await;
    let pushed = async {
        for _ in 0..100 {
            let jobs = (0..40).map(|_| queue.push(&[b'x'; 1000]));
            futures::future::try_join_all(jobs).await.expect("pushed");
        }
        queue.finish().await.expect("finished");
    };
    let ((), worked) = futures::join!(pushed, queue.work(|_| async {}));
    assert_eq!(worked.expect("no failure"), 4000);
    queue.close().await.expect("closes");
    let bytes = queue.bytes_stored();
    assert!(bytes < 1_000_000, "{bytes} bytes after jobs of four millions");
}
