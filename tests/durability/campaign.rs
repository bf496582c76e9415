//! Cycles of work, death and verification, and what they come to.

use crate::child::{Worker, verdict};
use crate::ground::{FileSystem, Ground, run};
use crate::log::promises::{Differences, Promises};
use crate::scene::{Line, Points, Product, Scene, Verdict};
use crate::tally::Tally;
use kvick::config::Backend;
use kvick::io::sim::Random;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

/// What to do.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    pub(crate) what: Product,
    pub(crate) base: PathBuf,
    pub(crate) file_system: Option<FileSystem>,
    pub(crate) backend: Backend,
    pub(crate) cycles: u64,
    pub(crate) seed: u64,
    pub(crate) lie: bool,
    pub(crate) throttle: bool,
    /// Where to put what a failing cycle was verified on.
    pub(crate) keep: Option<PathBuf>,
}

/// A store or a log through its lives.
struct Saga {
    ground: Ground,
    scene: Scene,
    /// The most that was ever known to be durable.
    token: u64,
    points: Points,
    log: Promises,
}

impl Campaign {
    pub(crate) async fn run(&self) -> io::Result<Tally> {
        let mut random = Random::new(self.seed);
        let mut tally = Tally::default();
        let begun = Instant::now();
        let mut saga = None;
        while tally.cycles < self.cycles {
            let mut current = match saga.take() {
                Some(saga) => saga,
                None => self.begin(&mut random, tally.cycles)?,
            };
            let is_sound = self.cycle(&mut current, &mut random, &mut tally).await?;
            if is_sound && current.scene.life < LIVES && !current.ground.is_worn()? {
                saga = Some(current);
            }
        }
        tally.took = begun.elapsed();
        Ok(tally)
    }

    fn begin(&self, random: &mut Random, cycle: u64) -> io::Result<Saga> {
        let ground = Ground::new(&self.base, self.file_system)?;
        let scene = Scene {
            what: self.what,
            path: ground.store(),
            backend: self.backend,
            bytes: cycle / LIVES % 2 == 1,
            seed: random.next_u64(),
            life: 0,
            lie: self.lie,
            throttle: self.throttle,
            names: BTreeMap::new(),
            void: BTreeMap::new(),
        };
        Ok(Saga { ground, scene, token: 0, points: Points::new(), log: Promises::new() })
    }

    /// One life and what is left of it; whether the store may have another one.
    async fn cycle(
        &self,
        saga: &mut Saga,
        random: &mut Random,
        tally: &mut Tally,
    ) -> io::Result<bool> {
        let worker = Worker::start(&saga.scene)?;
        let mut failures = Vec::new();
        if self.file_system.is_none() && random.below(4) == 0 && worker.said(Line::is_opened).await
        {
            failures.extend(second_opening(&saga.scene).await);
        }
        wait(&worker, random).await;
        let before = worker.lines();
        saga.ground.cut()?;
        let (all, complaints) = worker.kill().await?;
        saga.ground.unmount().await?;
        self.preserve(&saga.ground)?;
        saga.ground.mount()?;

        failures.extend(saga.take_in(&before, &all, tally));
        if complaints.contains("panicked") {
            failures.push(complaints);
        }
        tally.cycles += 1;
        tally.failed += u64::from(!failures.is_empty());
        let bad = judge(saga, tally, &mut failures).await;
        if !failures.is_empty() {
            self.report(saga, tally, &failures)?;
        }
        saga.scene.life += 1;
        Ok(!bad)
    }

    fn preserve(&self, ground: &Ground) -> io::Result<()> {
        let Some(keep) = &self.keep else { return Ok(()) };
        let latest = keep.join("latest");
        run(Command::new("rm").arg("-rf").arg(&latest))?;
        if ground.evidence().exists() {
            let mut copy = Command::new("cp");
            run(copy.args(["-a", "--sparse=always"]).arg(ground.evidence()).arg(&latest))?;
        }
        Ok(())
    }

    fn report(&self, saga: &Saga, tally: &Tally, failures: &[String]) -> io::Result<()> {
        println!("{self}, cycle {} of seed {}:", tally.cycles, self.seed);
        for failure in failures {
            println!("  {failure}");
        }
        println!("  {}", serde_json::to_string(&saga.scene)?);
        if let Some(keep) = &self.keep {
            let place = keep.join(format!("{self}-{}", tally.cycles).replace(' ', "-"));
            rename(&keep.join("latest"), &place)?;
            println!("  what it was verified on: {}", place.display());
        }
        Ok(())
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if from.exists() { std::fs::rename(from, to) } else { Ok(()) }
}

impl Saga {
    /// Notes the sessions and what was acknowledged; returns what failed before the end.
    fn take_in(&mut self, before: &[Line], all: &[Line], tally: &mut Tally) -> Vec<String> {
        // A worker may have gone on between the last look at it and the end.
        for (place, line) in all.iter().enumerate() {
            match line {
                Line::Session { id, number } => _ = self.scene.names.insert(*id, *number),
                Line::Log(line) => self.log.note(line, place < before.len()),
                Line::Opened | Line::Checkpoint { .. } | Line::Failed(_) => {}
            }
        }
        tally.early += u64::from(!before.iter().any(Line::is_opened));
        tally.heard += u64::from(before.iter().any(Line::is_promise));
        let mut failures = Vec::new();
        for line in before {
            match line {
                Line::Checkpoint { token, points } => {
                    tally.count(("checkpoints", 1));
                    self.note_durable(*token, points);
                }
                Line::Failed(error) => failures.push(format!("the worker failed: {error}")),
                Line::Log(line) => line.promised().into_iter().for_each(|kind| tally.count(kind)),
                Line::Opened | Line::Session { .. } => {}
            }
        }
        failures
    }

    fn note_durable(&mut self, token: u64, points: &Points) {
        self.token = token;
        self.points.extend(points.iter().map(|(id, point)| (*id, point.clone())));
    }

    /// What is missing of that which was durable.
    fn missing(&self, token: u64, points: &Points) -> Vec<String> {
        let mut missing = Vec::new();
        if token < self.token {
            missing.push(format!("lost: checkpoint {} for {token}", self.token));
        }
        for (id, durable) in &self.points {
            let found = points.get(id).cloned().unwrap_or_default();
            let is_covered = found.until >= durable.until
                && !found.excluded.iter().any(|serial| durable.covers(serial));
            if !is_covered {
                missing.push(format!("lost: session {id}: {durable:?} for {found:?}"));
            }
        }
        missing
    }
}

/// Verifies, once the kernel has let go of the directory: a ring that was killed keeps the lock for
/// as long as its transfers go on.
async fn verdict_when_free(scene: &Scene) -> io::Result<Verdict> {
    for _ in 0..50 {
        match verdict(scene).await {
            Ok(Verdict::Refused { in_use: true, .. }) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            found => return found,
        }
    }
    verdict(scene).await
}

/// Verifies; whether the store is bad.
async fn judge(saga: &mut Saga, tally: &mut Tally, failures: &mut Vec<String>) -> bool {
    match verdict_when_free(&saga.scene).await {
        Ok(Verdict::Opened { token, points, wrong }) => {
            let differences = Differences { lost: saga.missing(token, &points), wrong };
            saga.scene.void(&points);
            (saga.token, saga.points) = (token, points);
            note(saga, tally, differences, failures)
        }
        Ok(Verdict::Log(found)) => {
            let differences = saga.log.settle(found);
            note(saga, tally, differences, failures)
        }
        Ok(Verdict::Refused { error, .. }) => {
            tally.refused += 1;
            failures.push(format!("cannot be opened: {error}"));
            true
        }
        Err(error) => {
            tally.refused += 1;
            failures.push(format!("verifying failed: {error}"));
            true
        }
    }
}

/// Counts and tells what is not as promised; whether it is bad.
fn note(saga: &Saga, tally: &mut Tally, found: Differences, failures: &mut Vec<String>) -> bool {
    let bad = !found.wrong.is_empty();
    tally.lost += u64::from(!found.lost.is_empty());
    tally.wrong += u64::from(bad);
    // Of a lie, losses are what is expected.
    failures.extend(found.lost.into_iter().filter(|_| !saga.scene.lie));
    failures.extend(found.wrong.into_iter().map(|wrong| format!("wrong: {wrong}")));
    bad
}

/// Waits for the moment of the end. Of four, one comes while it is being created or
/// recovered, as a rule; one soon after something was acknowledged; and two at any time.
async fn wait(worker: &Worker, random: &mut Random) {
    let micros = match random.below(4) {
        0 => 1_000..20_000,
        1 => {
            worker.said(Line::is_promise).await;
            0..30_000
        }
        _ => 20_000..300_000,
    };
    let delay = micros.start + random.below(micros.end - micros.start);
    tokio::time::sleep(Duration::from_micros(delay)).await;
}

/// The store is open: another process must not get it.
async fn second_opening(scene: &Scene) -> Option<String> {
    match verdict(scene).await {
        Ok(Verdict::Refused { in_use: true, .. }) => None,
        other => Some(format!("opened while another process has it: {other:?}")),
    }
}

impl fmt::Display for Campaign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.what == Product::Log { " log" } else { "" };
        let device = if self.throttle { " throttled" } else { "" };
        match self.file_system {
            Some(file_system) => write!(formatter, "{file_system} {}{what}{device}", self.backend),
            None => write!(formatter, "kill {}{what}{device}", self.backend),
        }
    }
}

/// Of one store, before the next one is created.
const LIVES: u64 = 6;
