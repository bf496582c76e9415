//! Cycles of work, death and verification, and their results.

use crate::child::{Worker, verdict};
use crate::job::{Job, Line, Points, Product, Verdict};
use crate::log::promises::{Differences, Promises};
use crate::site::{FileSystem, Site, run};
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

/// The options of a campaign.
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
    /// The directory for the files of a failing cycle.
    pub(crate) keep: Option<PathBuf>,
}

/// A store or a log through its lives.
struct Subject {
    site: Site,
    job: Job,
    /// The newest durable checkpoint, and the durable points.
    token: u64,
    points: Points,
    log: Promises,
}

impl Campaign {
    pub(crate) async fn run(&self) -> io::Result<Tally> {
        let mut random = Random::new(self.seed);
        let mut tally = Tally::default();
        let begun = Instant::now();
        let mut subject = None;
        while tally.cycles < self.cycles {
            let mut current = match subject.take() {
                Some(subject) => subject,
                None => self.begin(&mut random, tally.cycles)?,
            };
            let is_sound = self.cycle(&mut current, &mut random, &mut tally).await?;
            if is_sound && current.job.life < LIVES && !current.site.is_worn()? {
                subject = Some(current);
            }
        }
        tally.took = begun.elapsed();
        Ok(tally)
    }

    fn begin(&self, random: &mut Random, cycle: u64) -> io::Result<Subject> {
        let site = Site::new(&self.base, self.file_system)?;
        let job = Job {
            what: self.what,
            path: site.store(),
            backend: self.backend,
            bytes: cycle / LIVES % 2 == 1,
            seed: random.next_u64(),
            life: 0,
            lie: self.lie,
            throttle: self.throttle,
            names: BTreeMap::new(),
            void: BTreeMap::new(),
        };
        Ok(Subject { site, job, token: 0, points: Points::new(), log: Promises::new() })
    }

    /// Runs one life and verifies the rest. Returns whether the store may have another life.
    async fn cycle(
        &self,
        subject: &mut Subject,
        random: &mut Random,
        tally: &mut Tally,
    ) -> io::Result<bool> {
        let worker = Worker::start(&subject.job)?;
        let mut failures = Vec::new();
        if self.file_system.is_none() && random.below(4) == 0 && worker.said(Line::is_opened).await
        {
            failures.extend(second_opening(&subject.job).await);
        }
        wait(&worker, random).await;
        let before = worker.lines();
        subject.site.cut()?;
        let (all, complaints) = worker.kill().await?;
        subject.site.unmount().await?;
        self.preserve(&subject.site)?;
        subject.site.mount()?;

        failures.extend(subject.note_lines(&before, &all, tally));
        if complaints.contains("panicked") {
            failures.push(complaints);
        }
        tally.cycles += 1;
        tally.failed += u64::from(!failures.is_empty());
        let bad = judge(subject, tally, &mut failures).await;
        if !failures.is_empty() {
            self.report(subject, tally, &failures)?;
        }
        subject.job.life += 1;
        Ok(!bad)
    }

    fn preserve(&self, site: &Site) -> io::Result<()> {
        let Some(keep) = &self.keep else { return Ok(()) };
        let latest = keep.join("latest");
        run(Command::new("rm").arg("-rf").arg(&latest))?;
        if site.evidence().exists() {
            let mut copy = Command::new("cp");
            run(copy.args(["-a", "--sparse=always"]).arg(site.evidence()).arg(&latest))?;
        }
        Ok(())
    }

    fn report(&self, subject: &Subject, tally: &Tally, failures: &[String]) -> io::Result<()> {
        println!("{self}, cycle {} of seed {}:", tally.cycles, self.seed);
        for failure in failures {
            println!("  {failure}");
        }
        println!("  {}", serde_json::to_string(&subject.job)?);
        if let Some(keep) = &self.keep {
            let place = keep.join(format!("{self}-{}", tally.cycles).replace(' ', "-"));
            rename(&keep.join("latest"), &place)?;
            println!("  verified files: {}", place.display());
        }
        Ok(())
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if from.exists() { std::fs::rename(from, to) } else { Ok(()) }
}

impl Subject {
    /// Notes the sessions and promises. Returns the failures before the end.
    fn note_lines(&mut self, before: &[Line], all: &[Line], tally: &mut Tally) -> Vec<String> {
        // A worker may have continued between its last reading and the end.
        for (place, line) in all.iter().enumerate() {
            match line {
                Line::Session { id, number } => _ = self.job.names.insert(*id, *number),
                Line::Log(line) => self.log.note(line, place < before.len()),
                Line::Opened | Line::Checkpoint { .. } | Line::Durable { .. } | Line::Failed(_) => {
                }
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
                Line::Durable { id, point } => {
                    tally.count(("durable writes", 1));
                    self.points.insert(*id, point.clone());
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

    /// Returns the durable operations that are missing.
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

/// Verifies as soon as the kernel has released the directory. A killed ring keeps the lock until
/// its transfers end.
async fn verdict_when_free(job: &Job) -> io::Result<Verdict> {
    for _ in 0..50 {
        match verdict(job).await {
            Ok(Verdict::Refused { in_use: true, .. }) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            found => return found,
        }
    }
    verdict(job).await
}

/// Verifies. Returns whether the store is unusable.
async fn judge(subject: &mut Subject, tally: &mut Tally, failures: &mut Vec<String>) -> bool {
    match verdict_when_free(&subject.job).await {
        Ok(Verdict::Opened { token, points, wrong }) => {
            let differences = Differences { lost: subject.missing(token, &points), wrong };
            subject.job.void(&points);
            (subject.token, subject.points) = (token, points);
            note(subject, tally, differences, failures)
        }
        Ok(Verdict::Log(found)) => {
            let differences = subject.log.compare(found);
            note(subject, tally, differences, failures)
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

/// Counts and notes broken promises. Returns whether there is wrong data.
fn note(
    subject: &Subject,
    tally: &mut Tally,
    found: Differences,
    failures: &mut Vec<String>,
) -> bool {
    let bad = !found.wrong.is_empty();
    tally.lost += u64::from(!found.lost.is_empty());
    tally.wrong += u64::from(bad);
    // A lie must cause losses.
    failures.extend(found.lost.into_iter().filter(|_| !subject.job.lie));
    failures.extend(found.wrong.into_iter().map(|wrong| format!("wrong: {wrong}")));
    bad
}

/// Waits for the moment of the end. One in four comes during creation or recovery as a rule. One
/// comes soon after a promise, and two come at any time.
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

/// Checks that another process cannot open the store while it is open.
async fn second_opening(job: &Job) -> Option<String> {
    match verdict(job).await {
        Ok(Verdict::Refused { in_use: true, .. }) => None,
        other => Some(format!("opened while another process has it: {other:?}")),
    }
}

impl fmt::Display for Campaign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            Product::Store => "",
            Product::Wal => " wal",
            Product::Log => " log",
        };
        let device = if self.throttle { " throttled" } else { "" };
        match self.file_system {
            Some(file_system) => write!(formatter, "{file_system} {}{what}{device}", self.backend),
            None => write!(formatter, "kill {}{what}{device}", self.backend),
        }
    }
}

/// The number of lives of a store before the next one is created.
const LIVES: u64 = 6;
