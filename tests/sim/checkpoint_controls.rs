//! Negative controls: the checks of checkpoints must fail on disks that report false durability.

use std::sync::atomic::Ordering;

use kvick::io::sim::{SimOptions, Survival};
use tests::journal::{ALL_KINDS, Journal, Record};
use tests::simulated::{World, two_pages};

use super::control::{Lie, open};

const SEEDS: u64 = 6;

/// Takes checkpoints, cuts the power, and returns the result of the checks. `None` is a sound disk.
fn verdict(seed: u64, options: SimOptions, lie: Option<Lie>) -> Result<(), String> {
    let world = World::with(seed, options);
    let site = world.site.clone();
    let (record, durable) = world.simulation.run(async {
        let (store, is_active) = open(&site, lie.unwrap_or(Lie::ReadsElsewhere)).await;
        is_active.store(lie.is_some(), Ordering::Relaxed);
        let mut journal = Journal::new(&store, 0, site.random(3)).expect("open");
        let mut durable = 0;
        for kind in ALL_KINDS {
            for _ in 0..50 {
                // A disk that drops writes may show it at once: the missing bytes cannot be read.
                if journal.step().await.is_err() {
                    return (journal.end(), durable);
                }
            }
            store.checkpoint().kind(kind).await.expect("the disk reports success");
            durable = journal.session().commit_point().until;
        }
        (journal.end(), durable)
    });
    let world = World::on(seed, site.disk.crash_with(seed, Survival::NOTHING));
    let site = world.site.clone();
    world.simulation.run(async { found_again(&site, &record, durable).await })
}

async fn found_again(
    site: &tests::simulated::Site,
    record: &Record,
    durable: u64,
) -> Result<(), String> {
    let config = two_pages().with_checkpoint_on_close(false);
    let opened = site.try_open::<u64, u64>(config).await;
    let store = opened.map_err(|error| error.to_string())?;
    let points = store.recovered_sessions();
    let until = points.get(&record.id()).map_or(0, |point| point.until);
    if until < durable {
        return Err(format!("{until} of {durable}"));
    }
    record.check(&store).await;
    Ok(())
}

fn caught(options: &SimOptions, lie: Option<Lie>) -> u64 {
    (0..SEEDS).map(|seed| u64::from(verdict(seed, options.clone(), lie).is_err())).sum()
}

#[test]
fn a_disk_that_tells_the_truth_passes() {
    for seed in 0..SEEDS {
        verdict(seed, SimOptions::default(), None).expect("a sound disk");
    }
}

#[test]
fn a_disk_that_lies_about_durability_is_caught() {
    let sound = SimOptions::default();
    let lazy = SimOptions { ignore_syncs: true, ..SimOptions::default() };
    assert_eq!(caught(&lazy, None), SEEDS);
    for lie in [Lie::SyncsNothing, Lie::ForgetsNames, Lie::WritesNothing] {
        assert_eq!(caught(&sound, Some(lie)), SEEDS, "{lie:?}");
    }
}
