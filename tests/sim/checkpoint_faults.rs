//! Every operation of the disk fails once, under checkpoints of every kind and under load. The
//! caller gets an error, and every acknowledged checkpoint is recovered.

use std::cell::Cell;
use std::io;
use std::task::Poll;
use std::time::Duration;

use kvick::checkpoint::Checkpoint;
use kvick::io::sim::Survival;
use kvick::{Config, ErrorKind, FasterKv, Result, checkpoint};
use tests::crowd::{CROWD, pass_through};
use tests::journal::{ALL_KINDS, Journal, Record};
use tests::simulated::{Site, World, seeds};

/// A number that exceeds the disk operations of a run.
const OPERATIONS: u64 = 2000;

fn config(site: &Site) -> Config {
    site.small_config().with_checkpoint_on_close(false)
}

/// Returns the number of sessions beside the one of the journal: none in every other run.
fn crowd(site: &Site) -> usize {
    if site.seed.is_multiple_of(2) { CROWD } else { 0 }
}

/// A store under load, and the known state of its checkpoints.
struct Run {
    site: Site,
    store: FasterKv<u64, u64>,
    journal: Journal,
    /// The serial number in the newest successful checkpoint.
    durable: u64,
    /// Whether a read found that the medium lost written bytes.
    has_lost: bool,
}

/// The state after a run.
struct Left {
    record: Record,
    durable: u64,
    is_poisoned: bool,
}

impl Run {
    async fn new(site: &Site) -> Self {
        let store = site.open::<u64, u64>(config(site)).await;
        pass_through(&store, crowd(site), 1000).await.expect("a sound disk");
        let journal = Journal::new(&store, 0, site.random(3)).expect("open");
        Self { site: site.clone(), store, journal, durable: 0, has_lost: false }
    }

    /// Takes a checkpoint while the journal continues.
    async fn checkpoint(&mut self, kind: checkpoint::Kind) -> Result<Checkpoint> {
        let taking = self.store.checkpoint().kind(kind).start()?;
        let mut taking = std::pin::pin!(taking);
        loop {
            if let Poll::Ready(taken) = futures::poll!(taking.as_mut()) {
                if let (Ok(taken), true) = (&taken, kind != checkpoint::Kind::IndexOnly) {
                    let id = self.journal.session().id();
                    self.durable =
                        taken.sessions.get(&id).map_or(self.durable, |point| point.until);
                    assert_eq!(self.journal.session().commit_point().until, self.durable);
                }
                return taken;
            }
            self.step().await;
            self.site.handle.sleep(Duration::from_micros(100)).await;
        }
    }

    /// Works for a while. An operation may fail because of a full disk or of poison.
    async fn work(&mut self) {
        for _ in 0..120 {
            self.step().await;
        }
    }

    async fn step(&mut self) {
        match self.journal.step().await {
            Err(error) if error.kind() == ErrorKind::Corrupt => self.has_lost = true,
            Err(error) => assert_allowed(&error),
            Ok(()) => {}
        }
    }

    /// Returns whether the store is poisoned. If so, checks that poison is permanent and reaches
    /// all writers.
    async fn is_poisoned(&mut self) -> bool {
        match self.store.checkpoint().index_only().start() {
            Err(error) if error.kind() == ErrorKind::Poisoned => {}
            Err(error) => panic!("{error}"),
            Ok(taking) => {
                let taken = taking.await;
                let Err(error) = taken else { return false };
                if error.kind() != ErrorKind::Poisoned {
                    assert_allowed(&error);
                    return false;
                }
            }
        }
        let error = self.journal.step().await.expect_err("a write to a poisoned store");
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
        let error = self.store.checkpoint().await.expect_err("a poisoned store");
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
        true
    }
}

fn assert_allowed(error: &kvick::Error) {
    let kind = error.kind();
    let is_allowed = matches!(kind, ErrorKind::StorageFull | ErrorKind::Poisoned);
    let text = error.to_string();
    assert!(is_allowed || kind == ErrorKind::Io && text.contains("simulated"), "{text}");
}

/// Returns whether the durable state is unknown after such a failure.
fn is_grave(text: &str, kind: io::ErrorKind) -> bool {
    // The store writes `manifest.new` again as a whole if it was not renamed. A rename without
    // space has changed nothing.
    let is_aside = text.contains("manifest.new") && !text.contains("Rename");
    let is_rename = text.contains(", Rename") && kind != io::ErrorKind::StorageFull;
    (text.contains(", Sync") || is_rename) && !is_aside
}

/// Performs one run with one fault. Returns also whether an operation met the fault.
async fn with_fault(site: &Site, number: u64, kind: io::ErrorKind) -> (bool, Left) {
    let mut run = Run::new(site).await;
    let planned = site.disk.operations() + number;
    site.disk.fail_at(planned, kind);
    let mut failures = 0;
    let mut is_poisoned = false;
    for checkpoint in ALL_KINDS {
        run.work().await;
        let Err(error) = run.checkpoint(checkpoint).await else {
            continue;
        };
        failures += 1;
        assert_allowed(&error);
        let text = error.to_string();
        is_poisoned = run.is_poisoned().await;
        assert!(is_poisoned || !is_grave(&text, kind), "not poisoned: {text}");
        if is_poisoned {
            break;
        }
        assert!(failures <= 1, "one fault, and a second failure: {text}");
    }
    let was_met = site.disk.operations() > planned;
    if !is_poisoned {
        // The store retries a write that met a full disk within half a second.
        site.handle.sleep(Duration::from_secs(1)).await;
        is_poisoned = run.is_poisoned().await;
    }
    assert!(is_poisoned || !run.has_lost, "a sound disk lost bytes");
    // Bytes written before a failed sync may be lost on the medium. Reads of them fail then.
    run.journal.check(|error| is_poisoned && error.kind() == ErrorKind::Corrupt).await;
    if !is_poisoned {
        run.checkpoint(checkpoint::Kind::Incremental).await.expect("a sound disk");
        assert_no_debris(site).await;
    }
    let durable = run.durable;
    (was_met, Left { record: run.journal.end(), durable, is_poisoned })
}

/// Checks that the manifest has each checkpoint that a file belongs to.
async fn assert_no_debris(site: &Site) {
    // The driver answers before or after it removes files, and both end soon.
    site.handle.sleep(Duration::from_secs(1)).await;
    let manifest = site.disk.directory("db").read_file("manifest").await.expect("there");
    let manifest = String::from_utf8(manifest).expect("text");
    for (file, _) in site.disk.files() {
        let name = file.trim_start_matches("db/");
        let Some((kind, rest)) = name.split_once('-') else {
            assert_ne!(name, "manifest.new", "it was left");
            continue;
        };
        let token = rest.split('.').next().expect("a first part");
        let named = format!("token = {token}\n");
        assert!(manifest.contains(&named), "{kind} {token} is debris:\n{manifest}");
    }
}

/// Opens the store that a run left on a sound disk.
async fn check_left(site: &Site, left: &Left, what: &str) {
    site.handle.sleep(Duration::from_secs(1)).await;
    let store = match site.try_open::<u64, u64>(config(site)).await {
        Ok(store) => store,
        Err(error) => panic!("{what}: {error}"),
    };
    let report = store.recovery().expect("there was a store");
    assert!(report.rejected.is_empty() && !report.from_copy, "{what}: {report:?}");
    let sessions = report.sessions.len();
    assert!(sessions == 0 || sessions == crowd(site) + 1, "{what}: {sessions} sessions");
    let until = left.record.check(&store).await;
    assert!(until >= left.durable, "{what}: {until} of {} durable", left.durable);
    assert!(until <= left.record.serial(), "{what}");
    store.close().await.expect("closes");
}

fn any_operation_may_fail(seed: u64, kind: io::ErrorKind) -> [u32; 2] {
    let [mut sound, mut poisoned] = [0, 0];
    for number in 0..OPERATIONS {
        let world = World::new(seed);
        let site = world.site.clone();
        let (was_met, left) = world.simulation.run(async { with_fault(&site, number, kind).await });
        site.disk.heal();
        let what = format!("fault {kind:?} at operation {number}");
        let images = [Survival::NOTHING, Survival::EVERYTHING]
            .map(|survival| site.disk.crash_with(seed, survival));
        world.simulation.run(check_left(&site, &left, &what));
        for image in images {
            let world = World::on(seed, image);
            world.simulation.run(check_left(&world.site, &left, &format!("{what}, power cut")));
        }
        if left.is_poisoned {
            poisoned += 1
        } else {
            sound += 1
        }
        if !was_met {
            return [sound, poisoned];
        }
    }
    panic!("a run has more operations than {OPERATIONS}");
}

#[test]
fn any_operation_may_fail_for_good() {
    let sum = Cell::new([0; 2]);
    seeds(2, |seed| {
        let [sound, poisoned] = any_operation_may_fail(seed, io::ErrorKind::Other);
        sum.set([sum.get()[0] + sound, sum.get()[1] + poisoned]);
    });
    println!("{:?} runs continued, and were poisoned", sum.get());
    assert!(sum.get().iter().all(|count| *count > 0));
}

#[test]
fn any_operation_may_meet_a_full_disk() {
    let sum = Cell::new([0; 2]);
    seeds(2, |seed| {
        let [sound, poisoned] = any_operation_may_fail(seed, io::ErrorKind::StorageFull);
        sum.set([sum.get()[0] + sound, sum.get()[1] + poisoned]);
    });
    println!("{:?} runs continued, and were poisoned", sum.get());
}
