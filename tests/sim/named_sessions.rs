//! Named sessions whose offsets let each message of a queue be done once, over any number of power
//! cuts.
//!
//! A message is a list of keys whose counters it raises, and may be empty. Each life finds its
//! sessions by their names, skips the operations that a checkpoint has, and goes on. At the end
//! each counter has exactly the number of times that messages name its key.

use std::cell::Cell;

use kvick::config::{ByteSize, DurableBy};
use kvick::io::sim::Random;
use kvick::session::Offset;
use kvick::{Config, FasterKv, Session};
use tests::journal::ALL_KINDS;
use tests::polling::AtMost;
use tests::simulated::{Site, World, seeds};

const PARTITIONS: u64 = 3;
const MESSAGES: usize = 40;
const KEYS: u64 = 20;

type Message = Vec<u64>;

fn messages(seed: u64, partition: u64) -> Vec<Message> {
    let mut random = Random::new(seed ^ partition << 32);
    let key = |random: &mut Random| partition * KEYS + random.below(KEYS);
    (0..MESSAGES).map(|_| (0..random.below(6)).map(|_| key(&mut random)).collect()).collect()
}

/// A third of the stores have a write-ahead log.
fn is_logged(site: &Site) -> bool {
    site.seed.is_multiple_of(3)
}

fn config(site: &Site) -> Config {
    let config = site.small_config().with_checkpoint_on_close(false);
    if !is_logged(site) {
        return config;
    }
    config.with_durability(DurableBy::Wal).with_wal_memory(ByteSize::kib(256))
}

/// Does the messages of a partition from the offset on.
async fn consume(store: &FasterKv<u64, u64>, site: &Site, partition: u64) {
    let mut session: Session<u64, u64> =
        store.session_named(&format!("partition-{partition}")).expect("waits or is new");
    let (mut next, mut done) = session.offset().map_or((0, session.serial()), |offset| {
        let Offset { bytes, serial, .. } = offset;
        (u64::from_le_bytes(bytes.try_into().expect("8 bytes")), session.serial() - serial)
    });
    let messages = messages(site.seed, partition);
    let mut random = site.random(partition);
    while let Some(keys) = messages.get(usize::try_from(next).expect("small")) {
        let left = &keys[usize::try_from(done).expect("small")..];
        for key in left {
            let raise = |count: Option<u64>| count.unwrap_or(0) + 1;
            session.rmw(key, raise).await.expect("a sound disk");
        }
        (next, done) = (next + 1, 0);
        session.set_offset(&next.to_le_bytes()).expect("all are done");
        if is_logged(site) && random.chance(0.2) {
            session.sync().await.expect("a sound disk");
        }
    }
}

#[test]
fn each_message_is_done_once() {
    seeds(60, |seed| {
        let mut world = World::new(seed);
        let mut random = Random::new(seed ^ 0x0ff5);
        let lives = 1 + random.below(6);
        for life in 0..=lives {
            let site = world.site.clone();
            let is_last = life == lives;
            let polls = u32::try_from(20 + random.below(600)).expect("small");
            let polls = if is_last { u32::MAX } else { polls };
            world.simulation.run(AtMost::new(polls, one_life(&site, random.fork(), is_last)));
            let disk = world.site.disk.crash(random.next_u64());
            world = World::on(seed, disk);
        }
    });
}

async fn one_life(site: &Site, mut random: Random, is_last: bool) {
    let store = site.open::<u64, u64>(config(site)).await;
    let is_over = Cell::new(false);
    let consuming = async {
        let partitions = (0..PARTITIONS).map(|partition| consume(&store, site, partition));
        futures::future::join_all(partitions).await;
        is_over.set(true);
    };
    let checkpoints = async {
        while !is_over.get() {
            let kind = ALL_KINDS[random.index(ALL_KINDS.len())];
            store.checkpoint().kind(kind).await.expect("a sound disk");
        }
    };
    futures::join!(consuming, checkpoints);
    if is_last {
        for partition in 0..PARTITIONS {
            let all = messages(site.seed, partition).concat();
            for key in partition * KEYS..(partition + 1) * KEYS {
                let times = all.iter().filter(|named| **named == key).count() as u64;
                let found = store.read(&key).await.expect("a sound disk").unwrap_or(0);
                assert_eq!(found, times, "key {key}");
            }
        }
        store.close().await.expect("closes");
    }
}
