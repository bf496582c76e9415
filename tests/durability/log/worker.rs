//! The worker of a log, which the parent kills: appenders, a reader that truncates, and commits.

use super::{ITERATOR, LogLine, Mark, TASKS, open_for_work, words_of};
use crate::content::Content;
use crate::job::{Failure, Job, Line};
use crate::worker::say;
use futures::StreamExt;
use kvick::FasterLog;
use kvick::io::sim::Random;
use std::time::Duration;

/// Works until the parent kills it, or until a failure.
pub(crate) async fn work(job: &Job) -> Outcome {
    let log = open_for_work(job).await?;
    say(&Line::Opened);
    let mut random = Random::new(!job.seed ^ job.life);
    for task in 0..TASKS {
        let word = words_of(task, job.life);
        let appender = Appender { log: log.clone(), word, random: random.fork(), lie: job.lie };
        tokio::spawn(reported(appender.run(task == 0)));
    }
    tokio::spawn(reported(follow(log.clone(), random.fork())));
    commits(&log, random, job.life).await
}

/// A task that appends.
struct Appender {
    log: FasterLog,
    /// The word of its last entry.
    word: u64,
    random: Random,
    /// Whether it claims durability for entries that are not durable.
    lie: bool,
}

impl Appender {
    async fn run(mut self, may_void: bool) -> Outcome {
        loop {
            match self.random.below(64) {
                0..32 => self.one().await?,
                32..48 => self.some().await?,
                48 if may_void => self.void().await?,
                _ => drop(self.append().await?),
            }
        }
    }

    async fn append(&mut self) -> Result<u64, kvick::Error> {
        let address = self.log.append(&<[u8]>::of(self.word + 1)).await?.raw();
        self.say_appended(vec![address], self.lie);
        Ok(address)
    }

    async fn one(&mut self) -> Outcome {
        if self.lie {
            self.append().await?;
        } else {
            let address = self.log.append_durable(&<[u8]>::of(self.word + 1)).await?;
            self.say_appended(vec![address.raw()], true);
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn some(&mut self) -> Outcome {
        let count = 1 + self.random.below(8);
        let entries: Vec<Vec<u8>> =
            (1..=count).map(|number| <[u8]>::of(self.word + number)).collect();
        let addresses = self.log.append_many(&entries).await?;
        let addresses: Vec<u64> = addresses.iter().map(|address| address.raw()).collect();
        let (word, again) = (self.word + 1, addresses.clone());
        self.say_appended(addresses, self.lie);
        if !self.lie {
            commit(&self.log).await?;
            say_log(LogLine::Appended { word, addresses: again, durable: true });
        }
        Ok(())
    }

    /// Truncates its last entry, and all entries that other tasks appended after it.
    async fn void(&mut self) -> Outcome {
        let address = self.append().await?;
        tokio::time::sleep(Duration::from_micros(self.random.below(2000))).await;
        say_log(LogLine::Voiding { from: address });
        let least = self.log.tail_address().raw();
        self.log.truncate_suffix(kvick::log::Address::new(address)).await?;
        say_log(LogLine::Voided { from: address, least, most: self.log.tail_address().raw() });
        Ok(())
    }

    fn say_appended(&mut self, addresses: Vec<u64>, durable: bool) {
        let word = self.word + 1;
        self.word += addresses.len() as u64;
        say_log(LogLine::Appended { word, addresses, durable });
    }
}

/// Reads committed entries, and truncates entries that it read some time ago.
async fn follow(log: FasterLog, mut random: Random) -> Outcome {
    let mut entries = log.iterator(ITERATOR)?;
    let mut places = Vec::new();
    loop {
        for _ in 0..random.below(32) {
            entries.next().await.ok_or("a log that is not completed has an end")??;
        }
        let entry = entries.next().await.ok_or("a log that is not completed has an end")??;
        if <[u8]>::word(&entry.payload.to_vec()).is_none() {
            return Err(format!("the iterator has read nonsense at {}", entry.address).into());
        }
        say_log(LogLine::Moving(Mark::Place, entry.next.raw()));
        entries.complete_until(entry.next).await?;
        commit(&log).await?;
        say_log(LogLine::Moved(Mark::Place, entry.next.raw()));
        places.push(entry.next);
        if places.len() > LAG && random.chance(0.25) {
            let begin = places[places.len() - LAG];
            places.clear();
            say_log(LogLine::Moving(Mark::Begin, begin.raw()));
            log.truncate_until(begin).await?;
            commit(&log).await?;
            say_log(LogLine::Moved(Mark::Begin, begin.raw()));
        }
    }
}

/// Commits with cookies, one after the other.
async fn commits(log: &FasterLog, mut random: Random, life: u64) -> Outcome {
    let mut cookie = (life + 1) << 32;
    loop {
        tokio::time::sleep(Duration::from_micros(random.below(10_000))).await;
        cookie += 1;
        say_log(LogLine::Moving(Mark::Cookie, cookie));
        let commit = log.commit().cookie(&cookie.to_le_bytes()).await?;
        say_log(LogLine::Committed { number: commit.number, until: commit.until.raw() });
        say_log(LogLine::Moved(Mark::Cookie, cookie));
    }
}

async fn commit(log: &FasterLog) -> Outcome {
    let commit = log.commit().await?;
    say_log(LogLine::Committed { number: commit.number, until: commit.until.raw() });
    Ok(())
}

async fn reported(work: impl Future<Output = Outcome>) {
    if let Err(error) = work.await {
        say(&Line::Failed(error.to_string()));
    }
}

fn say_log(line: LogLine) {
    say(&Line::Log(line));
}

/// The number of places between the iterator and a truncation.
const LAG: usize = 4;

/// The end of work that only a failure ends.
pub(crate) type Outcome = Result<(), Failure>;
