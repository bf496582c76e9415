//! All operations of users on a log, side by side.

use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kvick::io::sim::Random;
use kvick::log::Commit;
use kvick::runtime::{Task, TaskFailed};
use kvick::{FasterLog, Result, log};
use tests::crash::Shared;
use tests::log_model::{Asked, LogAcknowledged, LogLedger};
use tests::log_state::Change;
use tests::polling::AtMost;
use tests::samples::pattern;
use tests::simulated::Site;

use crate::log_allowed_errors::AllowedErrors;

const WRITERS: u64 = 3;
const STEPS: u64 = 20;
/// A length above a page, for an entry of several frames.
const LONGEST: u64 = 7000;

/// A log at work, and the state that it must have.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) site: Site,
    pub(crate) log: FasterLog,
    pub(crate) ledger: Shared<LogLedger>,
    pub(crate) known: Shared<LogAcknowledged>,
    pub(crate) allowed_errors: AllowedErrors,
    /// The names of iterators.
    pub(crate) consumers: [&'static str; 2],
    /// The tasks that wait for commits of other tasks.
    pub(crate) waiting: Shared<Vec<Task<()>>>,
    /// Whether readers must end.
    pub(crate) is_over: Shared<bool>,
}

/// The state of the log at the end of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The log is closed, and all tasks that use it get an error.
    Closed,
    /// All tasks drop the log, as a killed process does. Bytes that were written and not synced can
    /// be read, but are not durable.
    Dropped,
    /// Readers still use the log.
    Open,
}

impl Job {
    pub(crate) fn new(site: Site, log: FasterLog, allowed_errors: AllowedErrors) -> Self {
        let (ledger, known) = (Shared::default(), Shared::default());
        let (waiting, is_over) = (Shared::default(), Shared::default());
        let consumers = ["a", "b"];
        Self { site, log, ledger, known, allowed_errors, consumers, waiting, is_over }
    }

    /// Returns a second job on the same log.
    pub(crate) fn again(&self, allowed_errors: AllowedErrors) -> Self {
        let site = Site { seed: self.site.seed + 1, ..self.site.clone() };
        let (consumers, is_over) = (["c", "d"], Shared::default());
        Self { site, allowed_errors, consumers, is_over, ..self.clone() }
    }

    /// Works to the end. Then commits, and completes the log if `completes` is set, unless the log
    /// is dropped.
    pub(crate) async fn work(&self, ending: Ending, completes: bool) {
        let spawn = |name, future: BoxFuture<'static, ()>| self.site.handle.spawn(name, future);
        let mut writers: Vec<_> = (0..WRITERS)
            .map(|number| spawn("writer", self.clone().write(number).boxed()))
            .collect();
        for number in 0..2 {
            writers.push(spawn("committer", self.clone().commit_often(number).boxed()));
        }
        writers.push(spawn("trimmer", self.clone().trim().boxed()));
        let mut readers = vec![
            spawn("from afar", self.clone().read_from_afar().boxed()),
            spawn("picker", self.clone().pick().boxed()),
            spawn("tail", self.clone().follow(false).boxed()),
            spawn("uncommitted tail", self.clone().follow(true).boxed()),
            spawn("consumer", self.clone().consume(self.consumers[0]).boxed()),
            spawn("consumer", self.clone().consume(self.consumers[1]).boxed()),
        ];
        if ending == Ending::Open {
            // The readers end with the run, and its simulation reports their panics.
            readers.drain(..).for_each(Task::detach);
        }
        for task in writers {
            task.await.expect("the task ends well");
        }
        if ending != Ending::Dropped {
            self.commit_all(completes).await;
        }
        readers.append(&mut self.waiting.lock());
        *self.is_over.lock() = true;
        if ending == Ending::Closed {
            let asked = self.ledger.lock().asked(&self.log, false);
            let closed = self.log.close().await;
            self.acknowledge(closed.map(|()| self.log.last_commit()), &asked);
        }
        for task in readers {
            let ended = if ending == Ending::Dropped { task.cancel().await } else { task.await };
            assert!(!matches!(ended, Err(TaskFailed::Panicked { .. })), "{ended:?}");
        }
    }

    async fn commit_all(&self, completes: bool) {
        if completes {
            self.ledger.lock().change(Change::Complete);
        }
        let asked = self.ledger.lock().asked(&self.log, false);
        let commit = if completes { self.log.complete().await } else { self.log.commit().await };
        self.acknowledge(commit, &asked);
    }

    /// Returns the value of a result. Checks that an error is an allowed one.
    pub(crate) fn value_of<T>(&self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.allowed_errors.check(&error)).ok()
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.is_over.lock()
    }

    fn acknowledge(&self, commit: Result<Commit>, asked: &Asked) {
        if let Some(commit) = self.value_of(commit) {
            self.ledger.lock().acknowledge(&mut self.known.lock(), &commit, asked);
        }
    }

    pub(crate) async fn pause(&self, random: &mut Random, micros: u64) {
        self.site.handle.sleep(Duration::from_micros(random.below(micros))).await;
    }

    async fn write(self, number: u64) {
        let mut random = self.site.random(100 + number);
        for _ in 0..STEPS {
            match random.below(20) {
                0..3 => self.pause(&mut random, 2000).await,
                3..6 => self.append_many(&mut random).await,
                6..9 => self.append_durable(&mut random).await,
                9 => {
                    let payload = payload(&mut random, 300);
                    if let Ok(address) = self.log.try_append(&payload) {
                        self.ledger.lock().append(&[address], vec![payload]);
                    }
                }
                _ => self.append(&mut random).await,
            }
        }
    }

    async fn append(&self, random: &mut Random) {
        let payload = match random.below(10) {
            0 => Vec::new(),
            1 => payload(random, LONGEST),
            _ => payload(random, 400),
        };
        let address = AtMost::new(polls(random), self.log.append(&payload)).await;
        if let Some(address) = address.and_then(|address| self.value_of(address)) {
            self.ledger.lock().append(&[address], vec![payload.clone()]);
            if random.chance(0.2) {
                let job = self.clone();
                let waiting = async move {
                    let waited = job.log.wait_for_commit(address).await;
                    if job.value_of(waited).is_some() {
                        job.acknowledge_entry(address);
                    }
                };
                self.waiting.lock().push(self.site.handle.spawn("waiting", waiting));
            }
        }
    }

    async fn append_many(&self, random: &mut Random) {
        let longest = [100, 1200][random.index(2)];
        let payloads: Vec<_> = (0..1 + random.below(6)).map(|_| payload(random, longest)).collect();
        let addresses = AtMost::new(polls(random), self.log.append_many(&payloads)).await;
        if let Some(addresses) = addresses.and_then(|addresses| self.value_of(addresses)) {
            self.ledger.lock().append(&addresses, payloads);
        }
    }

    async fn append_durable(&self, random: &mut Random) {
        let longest = [300, LONGEST][usize::from(random.chance(0.1))];
        let payload = payload(random, longest);
        self.ledger.lock().expect(&payload);
        let address = AtMost::new(polls(random), self.log.append_durable(&payload)).await;
        if let Some(address) = address.and_then(|address| self.value_of(address)) {
            self.ledger.lock().place(address, payload);
            self.acknowledge_entry(address);
        }
    }

    pub(crate) fn acknowledge_entry(&self, address: log::Address) {
        let mut known = self.known.lock();
        known.until = known.until.max(address.raw() + 1);
        assert!(self.log.committed_until() > address);
    }

    async fn commit_often(self, number: u64) {
        let mut random = self.site.random(200 + number);
        for _ in 0..6 {
            self.pause(&mut random, 4000).await;
            // Only one task chooses numbers, or another task would take them first.
            let has_number = number == 0 && random.chance(0.2);
            self.commit(&mut random, has_number).await;
        }
    }

    async fn commit(&self, random: &mut Random, has_number: bool) {
        let mut request = self.log.commit();
        let has_cookie = has_number || random.chance(0.3);
        if has_cookie {
            let mut ledger = self.ledger.lock();
            let number = has_number.then(|| ledger.free_number(&self.log));
            if let Some(number) = number {
                request = request.number(number);
            }
            request = request.cookie(&ledger.next_cookie(self.log.tail_address(), number));
        }
        let asked = self.ledger.lock().asked(&self.log, has_cookie);
        let commit = AtMost::new(polls(random), request.into_future()).await;
        if let Some(commit) = commit {
            self.acknowledge(commit, &asked);
        }
    }

    async fn trim(self) {
        let mut random = self.site.random(300);
        for _ in 0..6 {
            self.pause(&mut random, 4000).await;
            let visible = self.ledger.lock().visible();
            let count = visible.len();
            if count < 4 {
                continue;
            }
            if random.chance(0.6) {
                let until = visible[random.index(count / 2 + 1)];
                if self.value_of(self.log.truncate_until(until).await).is_some() {
                    self.ledger.lock().change(Change::Begin(until.raw()));
                }
            } else {
                let from = visible[count - 1 - random.index(count.min(6))];
                self.truncate_suffix(from, polls(&mut random)).await;
            }
        }
    }

    /// Truncates the end of the log. Notes the change when the entries are gone, before the commit
    /// is over.
    async fn truncate_suffix(&self, from: log::Address, mut polls: u32) {
        let asked = self.ledger.lock().asked(&self.log, false);
        let mut truncating = Box::pin(self.log.truncate_suffix(from));
        let mut changes = None;
        let commit = futures::future::poll_fn(|context| {
            let polled = truncating.as_mut().poll(context);
            let read = self.log.read(from).now_or_never();
            if changes.is_none() && matches!(read, Some(Ok(None))) {
                let mut ledger = self.ledger.lock();
                ledger.change(Change::Void([from.raw(), self.log.tail_address().raw()]));
                changes = Some(ledger.asked(&self.log, false));
            }
            polls -= 1;
            if polls == 0 && polled.is_pending() {
                return Poll::Ready(None);
            }
            polled.map(Some)
        })
        .await;
        if let Some(commit) = commit {
            self.acknowledge(commit, &changes.unwrap_or(asked));
        }
    }
}

/// Returns random bytes that no other entry has.
fn payload(random: &mut Random, longest: u64) -> Vec<u8> {
    let length = 8 + usize::try_from(random.below(longest)).expect("small");
    pattern(random.next_u64(), length)
}

/// Returns the number of polls before a future is dropped.
fn polls(random: &mut Random) -> u32 {
    if random.chance(0.1) { 1 + u32::try_from(random.below(3)).expect("small") } else { u32::MAX }
}
