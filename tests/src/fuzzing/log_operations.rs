//! Operations on a log and on its model, which must agree through closes and power cuts.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use futures::TryStreamExt;
use kvick::io::sim::{SimDisk, SimOptions};
use kvick::{FasterLog, log};

use crate::log_model::{LogAcknowledged, LogLedger};
use crate::log_state::Change;
use crate::polling::AtMost;
use crate::samples::pattern;
use crate::simulated::{World, four_log_pages};

/// The bounds of one input.
const LIVES: usize = 8;
const STEPS: usize = 400;
/// The names of iterators.
const NAMES: [&str; 2] = ["a", "b"];

/// Performs the operations that the bytes encode.
///
/// # Panics
/// Panics if the log and the model differ, or an operation fails: the disk has no faults.
pub fn log_operations(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(mut story) = Story::new(&mut input) else {
        return;
    };
    for _ in 0..LIVES {
        if story.live(&mut input) {
            break;
        }
    }
}

/// A log through all of its lives, and what it must hold.
struct Story {
    config: log::Config,
    seed: u64,
    disk: SimDisk,
    ledger: LogLedger,
    known: LogAcknowledged,
    /// The number of entries so far, so that no two are alike.
    entries: u64,
    steps: usize,
}

/// The end of one life of a log.
enum Ending {
    Closed,
    Cut(u64),
    Over,
}

impl Story {
    fn new(input: &mut Unstructured<'_>) -> Result<Self> {
        let config = match input.int_in_range(0..=3)? {
            0 => four_log_pages().with_commit_every(Duration::from_micros(700)),
            1 => four_log_pages().with_commit_bytes(kvick::config::ByteSize::new(900)),
            _ => four_log_pages(),
        };
        let seed = input.arbitrary::<u16>()?.into();
        let physical_block = input.choose(&[None, None, Some(2048)])?;
        let options = SimOptions {
            write_once: vec!["log.".to_owned()],
            physical_block: *physical_block,
            ..SimOptions::default()
        };
        Ok(Self {
            config,
            seed,
            disk: SimDisk::new(seed, options),
            ledger: LogLedger::default(),
            known: LogAcknowledged::default(),
            entries: 0,
            steps: 0,
        })
    }

    /// Opens the log, checks it, and works on it. Returns whether the input has ended.
    fn live(&mut self, input: &mut Unstructured<'_>) -> bool {
        self.seed += 1;
        let World { simulation, site } = World::on(self.seed, self.disk.clone());
        let ending = simulation.run(async {
            let log = site.open_log(self.config.clone()).await;
            (self.ledger, self.known) = self.ledger.verify(&log, &self.known).await;
            loop {
                self.steps += 1;
                if self.steps > STEPS || self.ledger.is_completed() {
                    break Ending::Over;
                }
                match self.step(input, &log).await {
                    Ok(None) => {}
                    Ok(Some(ending)) => break ending,
                    Err(_) => break Ending::Over,
                }
            }
        });
        drop(simulation);
        if let Ending::Cut(seed) = ending {
            self.disk = self.disk.crash(seed);
        }
        matches!(ending, Ending::Over)
    }

    fn payload(&mut self, input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        self.entries += 1;
        let length = usize::from(input.arbitrary::<u16>()?);
        let longest = if input.ratio(1, 8)? { 7000 } else { 300 };
        Ok(pattern(self.entries, 8 + length % longest))
    }

    async fn step(
        &mut self,
        input: &mut Unstructured<'_>,
        log: &FasterLog,
    ) -> Result<Option<Ending>> {
        match input.int_in_range(0..=19)? {
            0 if input.is_empty() => return Ok(Some(Ending::Over)),
            0..7 => {
                let payload = self.payload(input)?;
                let address = log.append(&payload).await.expect("a sound disk");
                self.ledger.append(&[address], vec![payload]);
            }
            7 => {
                let mut payloads = Vec::new();
                for _ in 0..input.int_in_range(1..=5)? {
                    payloads.push(self.payload(input)?);
                    let last = payloads.last_mut().expect("one was added");
                    // A batch is within one page.
                    last.truncate(600);
                }
                let addresses = log.append_many(&payloads).await.expect("a sound disk");
                self.ledger.append(&addresses, payloads);
            }
            8..11 => self.commit(log, input.arbitrary()?).await,
            11 => self.truncate_until(input, log).await?,
            12 => self.truncate_suffix(input, log).await?,
            13 => self.iterate(input, log).await?,
            14 => self.read(input, log).await?,
            15 => self.scan(log).await,
            16 => return self.close(log).await.map(Some),
            17 => return Ok(Some(Ending::Cut(input.arbitrary()?))),
            _ => {
                // The power is cut while a commit is on its way.
                let cookie = self.ledger.next_cookie(log.tail_address(), None);
                let request = log.commit().cookie(&cookie);
                let polls = input.int_in_range(1..=12)?;
                drop(AtMost::new(polls, request.into_future()).await);
                return Ok(Some(Ending::Cut(input.arbitrary()?)));
            }
        }
        Ok(None)
    }

    async fn commit(&mut self, log: &FasterLog, has_cookie: bool) {
        let mut request = log.commit();
        if has_cookie {
            request = request.cookie(&self.ledger.next_cookie(log.tail_address(), None));
        }
        let asked = self.ledger.asked(log, has_cookie);
        let commit = request.await.expect("a sound disk");
        self.ledger.acknowledge(&mut self.known, &commit, &asked);
    }

    async fn close(&mut self, log: &FasterLog) -> Result<Ending> {
        let asked = self.ledger.asked(log, false);
        log.close().await.expect("a sound disk");
        self.ledger.acknowledge(&mut self.known, &log.last_commit(), &asked);
        Ok(Ending::Closed)
    }

    fn visible(&self, input: &mut Unstructured<'_>) -> Result<Option<log::Address>> {
        let visible = self.ledger.visible();
        if visible.is_empty() {
            return Ok(None);
        }
        input.choose(&visible).copied().map(Some)
    }

    async fn truncate_until(
        &mut self,
        input: &mut Unstructured<'_>,
        log: &FasterLog,
    ) -> Result<()> {
        if let Some(until) = self.visible(input)? {
            log.truncate_until(until).await.expect("a sound disk");
            self.ledger.change(Change::Begin(until.raw()));
        }
        Ok(())
    }

    async fn truncate_suffix(
        &mut self,
        input: &mut Unstructured<'_>,
        log: &FasterLog,
    ) -> Result<()> {
        if let Some(from) = self.visible(input)? {
            self.ledger.change(Change::Void([from.raw(), log.tail_address().raw()]));
            let asked = self.ledger.asked(log, false);
            let commit = log.truncate_suffix(from).await.expect("a sound disk");
            self.ledger.acknowledge(&mut self.known, &commit, &asked);
        }
        Ok(())
    }

    /// Moves an iterator to the next committed entry, or forgets it.
    async fn iterate(&mut self, input: &mut Unstructured<'_>, log: &FasterLog) -> Result<()> {
        let name = *input.choose(&NAMES)?;
        if input.ratio(1, 8)? {
            if log.forget_iterator(name) {
                self.ledger.change(Change::Place(name.to_owned(), None));
            }
            return Ok(());
        }
        let from = log.iterators().get(name).copied().unwrap_or(log::Address::FIRST);
        let next = log.scan(from..).try_next().await.expect("a sound disk");
        if let Some(entry) = next.filter(|entry| entry.next <= log.committed_until()) {
            let iterator = log.iterator(name).expect("no other has the name");
            iterator.complete_until(entry.next).await.expect("a sound disk");
            self.ledger.change(Change::Place(name.to_owned(), Some(entry.next.raw())));
        }
        Ok(())
    }

    async fn read(&self, input: &mut Unstructured<'_>, log: &FasterLog) -> Result<()> {
        if let Some(address) = self.visible(input)? {
            let read = log.read(address).await.expect("a sound disk");
            assert_eq!(read.as_deref(), self.ledger.payload(address), "the entry at {address}");
        }
        Ok(())
    }

    async fn scan(&self, log: &FasterLog) {
        let (mut scan, mut from) = (log.scan(..), log.begin_address());
        while let Some(entry) = scan.try_next().await.expect("a sound disk") {
            self.ledger.check_next(from, &entry);
            from = entry.next;
        }
    }
}
