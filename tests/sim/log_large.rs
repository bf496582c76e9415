//! Large entries beside many small ones, in memory that is always full.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kvick::config::ByteSize;
use kvick::log;
use tests::simulated::{World, seeds};

/// The number of small entries that may pass a waiting large one. A large entry without a reserved
/// place would wait for the end of all small ones.
const PATIENCE: u32 = 5000;

fn config() -> log::Config {
    log::Config::small().with_memory(ByteSize::kib(48)).with_segment_size(ByteSize::kib(64))
}

#[test]
fn a_large_entry_gets_its_turn() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let log = site.open_log(config()).await;
            let (small, is_appended) = (Cell::new(0), Cell::new(false));
            let writer = || async {
                while !is_appended.get() && small.get() < PATIENCE {
                    log.append(&[7; 500]).await.expect("a sound disk");
                    small.set(small.get() + 1);
                }
            };
            let large = async {
                site.handle.sleep(Duration::from_millis(1)).await;
                let before = small.get();
                log.append(&[9; 14_000]).await.expect("a sound disk");
                is_appended.set(true);
                small.get() - before
            };
            let (passed, ..) = futures::join!(large, writer(), writer(), writer());
            assert!(small.get() < PATIENCE, "{passed} small entries went first");
            log.close().await.expect("a sound disk");
        });
    });
}

/// A task that waits for many pages and is never polled again stops no other task.
#[test]
fn an_unpolled_large_entry_stops_no_task() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let log = site.open_log(config()).await;
            let large = vec![9; 14_000];
            // Memory is full now, or will be soon.
            let mut parked = Vec::new();
            for _ in 0..200 {
                log.append(&[7; 500]).await.expect("a sound disk");
                let mut append = Box::pin(log.append(&large));
                match append.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(appended) => drop(appended.expect("a sound disk")),
                    Poll::Pending => parked.push(append),
                }
            }
            assert!(!parked.is_empty(), "there was always room");
            for _ in 0..200 {
                let append = pin!(log.append(&[7; 500]));
                append.await.expect("a sound disk");
            }
            log.commit().await.expect("a sound disk");
            let took = site.handle.now();
            assert!(took < Duration::from_secs(60), "{took:?}");
            drop(parked);
            log.close().await.expect("a sound disk");
        });
    });
}
