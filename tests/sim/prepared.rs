//! Blocks that a log prepares after its end: lone commits rarely change the length of a file, and
//! the zeros are no torn bytes.

use std::sync::Arc;

use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::log;
use kvick::runtime::Simulation;
use kvick::stats::Condition;
use tests::files::Files;
use tests::log_files::open_log_in;
use tests::simulated::{World, four_log_pages, seeds};

fn large_pages() -> log::Config {
    four_log_pages()
        .with_memory(ByteSize::mib(1))
        .with_page_size(ByteSize::kib(64))
        .with_segment_size(ByteSize::mib(1))
}

/// A sync of a file that has grown takes two to three times as long on ext4.
#[test]
fn lone_commits_rarely_make_a_file_longer() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let log = site.open_log(large_pages()).await;
            let (mut grown, mut stored) = (0, 0);
            for _ in 0..200 {
                log.append_durable(b"small").await.expect("a sound disk");
                let now = log.stats().device.bytes_stored;
                grown += u32::from(now > stored);
                stored = now;
                let bytes = log.tail_address().raw();
                assert!(stored <= bytes * 33 / 16 + (17 << 10), "{stored} are stored of {bytes}");
            }
            assert!(grown <= 12, "200 commits made files longer {grown} times");
            log.close().await.expect("a sound disk");
        });
    });
}

/// The zeros had the space that the entry needed, and the append was refused for a full disk.
#[test]
fn a_commit_that_fits_is_not_refused_for_its_zeros() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let log = site.open_log(large_pages()).await;
            log.append_durable(&[7; 60_000]).await.expect("a sound disk");
            for _ in 0..8 {
                site.disk.set_capacity(Some(site.disk.bytes_used() + 4096));
                log.append_durable(&[8; 1000]).await.expect("there is space for it");
                assert_eq!(log.health().condition, Condition::Sound);
            }
            site.disk.set_capacity(None);
            log.close().await.expect("a sound disk");
        });
    });
}

/// Large parts follow each other, and have no zeros written after them.
#[test]
fn large_parts_are_written_as_they_are() {
    let world = World::new(1);
    let site = world.site.clone();
    world.simulation.run(async {
        let log = site
            .open_log(
                large_pages().with_memory(ByteSize::mib(2)).with_page_size(ByteSize::kib(256)),
            )
            .await;
        for _ in 0..20 {
            let entries = [[7_u8; 1000]; 100];
            log.append_many(&entries).await.expect("memory has room");
            log.commit().await.expect("a sound disk");
        }
        let (written, bytes) = (log.stats().device.write_bytes, log.tail_address().raw());
        assert!(written <= bytes + bytes / 10, "{written} bytes are written for {bytes}");
        log.close().await.expect("a sound disk");
    });
}

/// The zeros after a commit are not reported as removed bytes, and stay for the next commits.
#[test]
fn zeros_after_the_end_are_not_torn() {
    let simulation = Simulation::new(3);
    let handle = simulation.handle();
    simulation.run(async {
        let directory = MemoryDirectory::new();
        let log = open_log_in(&directory, large_pages(), handle.clone()).await.expect("created");
        for _ in 0..3 {
            log.append_durable(b"small").await.expect("memory");
        }
        let mut files = Files::of(&directory).await;
        files.0.remove("lock");
        let stored = files.0["log.000000"].len();
        assert!(stored > 12 << 10, "{stored} bytes");
        let mut torn = files.clone();
        torn.0.get_mut("log.000000").expect("it is there")[8192] = 1;

        let after_kill = files.restore().await;
        let checked = log::check(Arc::new(after_kill.clone())).await;
        assert_eq!(checked.expect("it is sound").torn_bytes, 0);
        let again = open_log_in(&after_kill, large_pages(), handle.clone()).await.expect("opens");
        let recovery = again.recovery().expect("recovered").clone();
        assert_eq!((recovery.walked_entries, recovery.dropped_bytes), (3, 0));
        again.append_durable(b"more").await.expect("memory");
        again.close().await.expect("closes");

        let torn = torn.restore().await;
        let again = open_log_in(&torn, large_pages(), handle.clone()).await.expect("opens");
        let dropped = again.recovery().expect("recovered").dropped_bytes;
        assert!((1..stored as u64).contains(&dropped), "{dropped} bytes");
        again.close().await.expect("closes");
        log.close().await.expect("closes");
    });
}
