//! Readers of a log at work: each sees exactly the appended entries, without gaps.

use futures::{FutureExt, StreamExt};
use kvick::config::ByteSize;
use kvick::log::Scan;
use kvick::{ErrorKind, Result, log};
use tests::log_state::Change;
use tests::simulated::{World, seeds};

use crate::log_work::Job;

impl Job {
    /// Reads all entries, so late that they are on the device.
    pub(crate) async fn read_from_afar(self) {
        let mut random = self.site.random(400);
        while !self.is_over() {
            self.pause(&mut random, 5000).await;
            let mut scan = self.log.scan(self.log.begin_address()..);
            let mut from = log::Address::FIRST;
            while let Some(next) = self.next(&mut scan, &mut from).await {
                self.acknowledge_entry(next);
                if random.chance(0.05) {
                    self.pause(&mut random, 1000).await;
                }
            }
        }
    }

    pub(crate) async fn follow(self, uncommitted: bool) {
        let mut tail = self.log.follow_from(self.log.begin_address());
        if uncommitted {
            tail = tail.uncommitted();
        }
        let mut from = log::Address::FIRST;
        while let Some(next) = self.next(&mut tail, &mut from).await {
            if !uncommitted {
                self.acknowledge_entry(next);
            }
        }
    }

    /// Returns the address of the next entry of a reader; `None` at its end.
    async fn next(&self, scan: &mut Scan, from: &mut log::Address) -> Option<log::Address> {
        let entry = self.sound(scan.next().await?)?;
        self.ledger.lock().check_next(*from, &entry);
        *from = entry.next;
        Some(entry.address)
    }

    /// Returns the value of a read, if the disk is sound and the log is open.
    fn sound<T>(&self, read: Result<T>) -> Option<T> {
        match read {
            Err(error) if error.kind() == ErrorKind::Closed => None,
            read => self.value_of(read),
        }
    }

    /// Reads single entries at random.
    pub(crate) async fn pick(self) {
        let mut random = self.site.random(500);
        while !self.is_over() {
            self.pause(&mut random, 1500).await;
            let visible = self.ledger.lock().visible();
            if visible.is_empty() {
                continue;
            }
            let address = visible[random.index(visible.len())];
            match self.sound(self.log.read(address).await) {
                Some(Some(found)) => {
                    assert_eq!(self.ledger.lock().payload(address), Some(&found[..]));
                }
                Some(None) => assert!(!self.ledger.lock().visible().contains(&address)),
                None => {}
            }
        }
    }

    /// Consumes entries with a named iterator, and forgets the iterator now and then.
    pub(crate) async fn consume(self, name: &str) {
        let mut random = self.site.random(u64::from(name.as_bytes()[0]));
        loop {
            let mut iterator = self.log.iterator(name).expect("no other task has it");
            let mut from = iterator.completed_until();
            while !random.chance(0.03) {
                let Some(entry) = iterator.next().await else { return };
                let Some(entry) = self.sound(entry) else { return };
                self.ledger.lock().check_next(from, &entry);
                from = entry.next;
                if random.chance(0.3) {
                    let done = if random.chance(0.1) { entry.address } else { entry.next };
                    let change = Change::Place(name.to_owned(), Some(done.raw()));
                    self.ledger.lock().change(change);
                    self.sound(iterator.complete_until(done).await);
                }
                if random.chance(0.02) {
                    let change = Change::Place(name.to_owned(), Some(log::Address::FIRST.raw()));
                    self.ledger.lock().change(change);
                    self.sound(iterator.complete_until(log::Address::FIRST).await);
                }
            }
            drop(iterator);
            if random.chance(0.3) && self.log.forget_iterator(name) {
                self.ledger.lock().change(Change::Place(name.to_owned(), None));
            }
        }
    }
}

/// A log was truncated within the page of a lookup while the lookup waited for the device. The
/// lookup counted the bytes from its address back to the new begin as missed: a negative number.
#[test]
fn a_lookup_misses_nothing_below_its_address() {
    seeds(20, |seed| {
        let world = World::new(seed);
        let site = world.site.clone();
        world.simulation.run(async {
            let config = log::Config::small().with_memory(ByteSize::kib(48));
            let log = site.open_log(config).await;
            let mut at = Vec::new();
            for number in 0..200_u8 {
                at.push(log.append(&[number; 500]).await.expect("a sound disk"));
            }
            log.commit().await.expect("a sound disk");
            let mut lookup = Box::pin(log.read_at_or_after(at[4]));
            assert!(lookup.as_mut().now_or_never().is_none(), "the entry is on the device");
            log.truncate_until(at[2]).await.expect("a sound disk");
            let found = lookup.await.expect("a sound disk").expect("it is there");
            assert_eq!((found.address, &found.payload[..]), (at[4], &[4; 500][..]));
            log.close().await.expect("a sound disk");
        });
    });
}
