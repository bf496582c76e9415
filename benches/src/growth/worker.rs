//! One task of a phase: it inserts or deletes the groups that it takes, and after each key reads or
//! updates a random key that is there.

use std::future;
use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;

use kvick::{Result, Session};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use super::frontier::{Direction, Frontier};
use super::slots::Recorder;
use crate::keys::key_of;
use crate::payload::Payload as _;

/// Bytes of a value.
pub const VALUE: usize = 8;

/// The records that the reads of a task found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checks {
    /// The number of records that were read and verified.
    pub reads: u64,
    /// The number of records that were missing.
    pub missing: u64,
    /// The number of values that did not belong to their key.
    pub wrong: u64,
    /// The number of groups that waited for another task.
    pub waits: u64,
}

impl Checks {
    /// Adds the counts of another task.
    pub fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.missing += other.missing;
        self.wrong += other.wrong;
        self.waits += other.waits;
    }

    /// Counts a read: whether the value belonged to its key, `None` if there was no record.
    pub fn saw(&mut self, found: Option<bool>) {
        self.reads += 1;
        self.missing += u64::from(found.is_none());
        self.wrong += u64::from(found == Some(false));
    }
}

/// One task of a phase.
#[derive(Debug)]
pub struct Worker {
    frontier: Arc<Frontier>,
    number: usize,
    random: SmallRng,
    version: u32,
    recorder: Recorder,
    checks: Checks,
}

impl Worker {
    /// Creates worker `number` of a phase.
    pub fn new(frontier: Arc<Frontier>, number: usize, recorder: Recorder) -> Self {
        let seed = number as u64 + 1;
        let random = SmallRng::seed_from_u64(seed);
        Self { frontier, number, random, version: 0, recorder, checks: Checks::default() }
    }

    /// Works until no group is left.
    ///
    /// # Errors
    ///
    /// Returns the first error of the store.
    pub async fn run(mut self, mut session: Session<u64, u64>) -> Result<(Recorder, Checks)> {
        while let Some(group) = self.frontier.take(self.number) {
            if !self.frontier.may_begin(self.number, &group) {
                self.wait(&group).await;
            }
            let bound = self.frontier.bound(self.number);
            for index in group {
                self.change(&mut session, key_of(index)).await?;
                self.recorder.record(1);
                self.visit(&mut session, bound).await?;
                self.recorder.record(0);
            }
        }
        Ok((self.recorder, self.checks))
    }

    /// Lets other tasks run until the group is free. The wait counts as no operation.
    async fn wait(&mut self, group: &Range<u64>) {
        self.checks.waits += 1;
        future::poll_fn(|context| {
            if self.frontier.may_begin(self.number, group) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.recorder.resume();
    }

    /// Inserts or deletes the key.
    async fn change(&mut self, session: &mut Session<u64, u64>, key: u64) -> Result<()> {
        match self.frontier.direction() {
            Direction::Grow => self.write(session, key).await,
            Direction::Shrink => session.delete(&key).await.map(drop),
        }
    }

    /// Reads or updates a random key that is there.
    async fn visit(&mut self, session: &mut Session<u64, u64>, bound: u64) -> Result<()> {
        let key = key_of(self.random.random_range(0..bound));
        if self.random.random() {
            return self.write(session, key).await;
        }
        let found = session.read_with(&key, |view| u64::verify_view(&view, key, VALUE)).await?;
        self.checks.saw(found);
        Ok(())
    }

    async fn write(&mut self, session: &mut Session<u64, u64>, key: u64) -> Result<()> {
        let mut value = u64::buffer(VALUE);
        self.version = self.version.wrapping_add(1);
        u64::stamp(&mut value, key, self.version);
        session.upsert(&key, &value).await.map(drop)
    }
}
