//! Truncations: when they are durable, and how they relate to commits.

use kvick::{FasterLog, log};
use tests::simulated::{Site, World, seeds};

use super::{open_on, payloads, small};

async fn append(log: &FasterLog, count: usize) -> Vec<log::Address> {
    let mut places = Vec::new();
    for _ in 0..count {
        places.push(log.append(&[7; 300]).await.expect("appended"));
    }
    places
}

/// Returns the begin of the log after a power cut now.
fn begin_after_a_power_cut(site: &Site, number: u64) -> log::Address {
    let world = World::on(site.seed, site.disk.crash(site.seed + number));
    world.simulation.run(async {
        let log = open_on(&world.site, small()).await;
        let begin = log.begin_address();
        log.close().await.expect("closes");
        begin
    })
}

/// Users had to find out how truncations relate to commits. Every later request for a commit
/// includes the truncation. No earlier commit does, and nothing else makes it durable.
#[test]
fn a_truncation_is_durable_with_the_next_commit() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        let (log, places) = world.simulation.run(async {
            let log = open_on(&site, small()).await;
            let places = append(&log, 40).await;
            log.commit().await.expect("committed");
            log.truncate_until(places[10]).await.expect("truncated");
            assert_eq!(log.begin_address(), places[10], "at once for readers");
            site.handle.sleep(std::time::Duration::from_secs(1)).await;
            (log, places)
        });
        let (first, tenth) = (log::Address::FIRST, places[10]);
        assert_eq!(begin_after_a_power_cut(&site, 1), first, "no commit was asked for");
        world.simulation.run(async {
            log.commit().await.expect("committed");
        });
        assert_eq!(begin_after_a_power_cut(&site, 2), tenth);
        let mut started = world.simulation.run(async {
            append(&log, 5).await;
            let started = log.commit().start().expect("started");
            log.truncate_until(places[20]).await.expect("truncated");
            Some(started)
        });
        assert!([tenth, places[20]].contains(&begin_after_a_power_cut(&site, 3)), "in it or not");
        world.simulation.run(async {
            started.take().expect("started").await.expect("committed");
            // The appended entries need not be committed before their truncation.
            let more = append(&log, 3).await;
            log.truncate_until(more[1]).await.expect("truncated");
            let commit = log.commit().await.expect("committed");
            assert!(commit.until > more[2]);
            // A later truncation to a smaller address changes nothing.
            log.truncate_until(places[30]).await.expect("nothing to do");
            assert_eq!(log.begin_address(), more[1]);
        });
        let begin = world.simulation.run(async { log.begin_address() });
        assert_eq!(begin_after_a_power_cut(&site, 4), begin);
        world.simulation.run(async { log.close().await.expect("closes") });
    });
}

/// A log accepted the end of a page as its begin, where no frame begins.
#[test]
fn a_truncation_at_the_end_of_a_page_is_one_at_the_next_page() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async {
        let log = open_on(&site, small()).await;
        let mut addresses = Vec::new();
        for number in 0..6 {
            // Four frames of 992 bytes fill the first page from its first address on.
            addresses.push(log.append(&[number; 984]).await.expect("appended"));
        }
        log.commit().await.expect("committed");
        let page_end = log::Address::new(addresses[3].raw() + 992);
        assert!(page_end < addresses[4], "the rest of a page has no frame");
        log.truncate_suffix(page_end).await.expect("taken back");
        assert_eq!(numbers(&log).await, [0, 1, 2, 3]);
        log.append(&[6; 984]).await.expect("appended");
        log.commit().await.expect("committed");
        log.truncate_until(page_end).await.expect("truncated");
        assert_eq!(log.begin_address(), addresses[4]);
        assert_eq!(numbers(&log).await, [6]);
        log.close().await.expect("closes");
        let log = open_on(&site, small()).await;
        assert_eq!(numbers(&log).await, [6]);
        log.close().await.expect("closes");
    });
}

/// Returns the first byte of each entry.
async fn numbers(log: &FasterLog) -> Vec<u8> {
    payloads(log).await.iter().map(|payload| payload[0]).collect()
}
