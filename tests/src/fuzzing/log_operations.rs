//! Operations on a log and on its model, which must agree through closes and power cuts.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use futures::TryStreamExt;
use kvick::io::sim::SimOptions;
use kvick::{FasterLog, log};

use super::story::{Ending, Stage, Story};
use crate::log_model::{LogAcknowledged, LogLedger};
use crate::log_state::Change;
use crate::polling::AtMost;
use crate::samples::pattern;
use crate::simulated::{Site, four_log_pages};

/// The names of iterators.
const NAMES: [&str; 2] = ["a", "b"];

/// Performs the operations that the bytes encode.
///
/// # Panics
/// Panics if the log and the model differ, or an operation fails: the disk has no faults.
pub fn log_operations(data: &[u8]) {
    let mut input = Unstructured::new(data);
    if let Ok((mut story, stage)) = LogStory::new(&mut input) {
        stage.perform(&mut story, &mut input);
    }
}

/// A log through all of its lives, and its expected contents.
struct LogStory {
    config: log::Config,
    ledger: LogLedger,
    known: LogAcknowledged,
    /// The number of entries so far, so that no two are alike.
    entries: u64,
}

impl Story for LogStory {
    type Opened = FasterLog;

    async fn open(&mut self, site: &Site) -> FasterLog {
        let log = site.open_log(self.config.clone()).await;
        (self.ledger, self.known) = self.ledger.verify(&log, &self.known).await;
        log
    }

    async fn step(
        &mut self,
        input: &mut Unstructured<'_>,
        log: &mut FasterLog,
    ) -> Result<Option<Ending>> {
        if self.ledger.is_completed() {
            return Ok(Some(Ending::Over));
        }
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

    async fn check(&self, _log: &mut FasterLog) {}
}

impl LogStory {
    fn new(input: &mut Unstructured<'_>) -> Result<(Self, Stage)> {
        let config = match input.int_in_range(0..=3)? {
            0 => four_log_pages().with_commit_every(Duration::from_micros(700)),
            1 => four_log_pages().with_commit_bytes(kvick::config::ByteSize::new(900)),
            _ => four_log_pages(),
        };
        let seed = input.arbitrary::<u16>()?.into();
        let physical_block = *input.choose(&[None, None, Some(2048)])?;
        let options = SimOptions { physical_block, ..SimOptions::default() };
        let (ledger, known) = (LogLedger::default(), LogAcknowledged::default());
        Ok((Self { config, ledger, known, entries: 0 }, Stage::new(seed, options)))
    }

    fn payload(&mut self, input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        self.entries += 1;
        let length = usize::from(input.arbitrary::<u16>()?);
        let longest = if input.ratio(1, 8)? { 7000 } else { 300 };
        Ok(pattern(self.entries, 8 + length % longest))
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
