//! Tasks that open new tables by name at the same time, and use them.
//!
//! Each task gets the table of the name, whichever task creates it. Some runs drop a table
//! meanwhile, so that a task that comes later creates the next one of the name. After a power cut
//! at any I/O each table whose creation was acknowledged is there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kvick::io::sim::{Random, SimDisk, SimOptions};
use kvick::runtime::Simulation;
use kvick::{Database, ErrorKind, FasterKv};
use tests::crash::{Image, Shared, Snapshots};
use tests::simulated::{Site, seeds, two_pages};

use super::open;

const NAMES: [&str; 2] = ["users", "visits"];

/// What must be there after a power cut: the names of tables that a task has got.
type Known = BTreeSet<&'static str>;

#[test]
fn tasks_open_a_new_table_at_the_same_time() {
    let seen = Shared::new([0; 2]);
    seeds(60, |seed| {
        let mut random = Random::new(seed ^ 0x0e4);
        let disk = SimDisk::new(seed, SimOptions::default());
        let known = Shared::new(Known::new());
        let snapshots = Snapshots::new(disk.clone(), known.clone(), 0.1, random.fork());
        let snapshots = Arc::new(snapshots);
        let simulation = Simulation::new(seed);
        simulation.add_source(snapshots.clone());
        let site = Site { handle: simulation.handle(), disk, seed };
        simulation.run(run(&site, &known, &mut random));
        for image in snapshots.take() {
            let mut seen = seen.lock();
            seen[0] += 1;
            seen[1] += usize::from(!image.acknowledged.is_empty());
            look(seed, &image);
        }
    });
    let seen = seen.lock();
    assert!(seen[1] > 0 && seen[1] < seen[0], "power cuts before and after a creation: {seen:?}");
}

async fn run(site: &Site, known: &Shared<Known>, random: &mut Random) {
    let config = two_pages().with_checkpoint_on_close(false);
    let database = open(site, config).await;
    // A task that drops a table leaves it to no task to know which tables are there.
    let drops = random.chance(0.3);
    let mut tasks: Vec<_> = (0..2 + random.below(10))
        .map(|task| {
            let name = NAMES[random.index(NAMES.len())];
            let opener = Opener { database: database.clone(), known: known.clone(), name, drops };
            let (site, wait) = (site.clone(), Duration::from_micros(random.below(4000)));
            site.clone().handle.spawn("opener", async move {
                site.handle.sleep(wait).await;
                opener.open_and_use(task).await;
            })
        })
        .collect();
    if drops {
        let (database, site, wait) = (database.clone(), site.clone(), random.below(5000));
        tasks.push(site.clone().handle.spawn("dropper", async move {
            site.handle.sleep(Duration::from_micros(wait)).await;
            if let Err(error) = database.drop_table(NAMES[0]).await {
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            }
        }));
    }
    for task in tasks {
        task.await.expect("no task panics");
    }
    for name in NAMES {
        let table = database.table::<u64, u64>(name).await.expect("a sound disk");
        table.upsert(&100, &100).await.expect("a sound disk");
        assert_eq!(table.read(&100).await.expect("in memory"), Some(100));
    }
    database.checkpoint().await.expect("a sound disk");
    known.lock().remove(NAMES[0]);
    database.drop_table(NAMES[0]).await.expect("a sound disk");
    database.close().await.expect("a sound disk");
}

/// A task that opens a table by name.
struct Opener {
    database: Database,
    known: Shared<Known>,
    name: &'static str,
    /// Whether another task may drop a table.
    drops: bool,
}

impl Opener {
    async fn open_and_use(&self, key: u64) {
        let opened = self.database.table::<u64, u64>(self.name).await;
        let table: FasterKv<u64, u64> = opened.expect("a sound disk");
        if !self.drops {
            self.known.lock().insert(self.name);
        }
        let used = async {
            table.upsert(&key, &key).await?;
            table.read(&key).await
        };
        match used.await {
            Err(error) if self.drops => {
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            }
            used => assert_eq!(used.expect("in memory"), Some(key)),
        }
    }
}

/// Opens an image in a run of its own, and looks for the tables.
fn look(seed: u64, image: &Image<Known>) {
    let disk = image.disk.crash(seed);
    let simulation = Simulation::new(seed);
    simulation.add_source(Arc::new(disk.clone()));
    let site = Site { handle: simulation.handle(), disk, seed };
    simulation.run(async {
        let database = open(&site, two_pages()).await;
        let names: BTreeSet<String> = database.tables().into_iter().map(|it| it.name).collect();
        let acknowledged = &image.acknowledged;
        assert!(
            acknowledged.iter().all(|name| names.contains(*name)),
            "{acknowledged:?} {names:?}"
        );
        for name in NAMES {
            let table = database.table::<u64, u64>(name).await.expect("its types");
            table.upsert(&1, &1).await.expect("a sound disk");
        }
        database.close().await.expect("a sound disk");
    });
}
