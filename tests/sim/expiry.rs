//! Keys that expire, under power cuts at any I/O, while the clock goes back from one life to the
//! next.
//!
//! A session writes to a table of words and a table of texts, and the time goes on. Sometimes the
//! log is compacted beside it. After each power cut the tables have the operations up to the commit
//! point of the session, and the time of the store is no earlier than at the acknowledged
//! checkpoint. So no key comes back that had expired before that checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kvick::codec::{Expires, Expiring};
use kvick::config::ByteSize;
use kvick::io::sim::{Random, SimDisk, SimOptions};
use kvick::runtime::Simulation;
use kvick::session::{Expiry, Update};
use kvick::{
    Config, Database, Error, FasterKv, Key, Result, Session, checkpoint, inspect, session,
};
use tests::crash::{Image, Shared, Snapshots};
use tests::journal::ALL_KINDS;
use tests::polling::AtMost;
use tests::simulated::{Site, after_each_number_of_polls, seeds, two_pages};

const LIVES: u64 = 4;
const STEPS: u64 = 150;
const KEYS: u64 = 12;

/// The version of a key, and the second at which it expires.
type State = (u64, Option<u64>);

/// An operation on a key of one of the tables, by its effect.
#[derive(Clone, Copy, Debug)]
struct Operation {
    in_texts: bool,
    key: u64,
    effect: Effect,
}

#[derive(Clone, Copy, Debug)]
enum Effect {
    Put(State),
    Remove,
    /// Changes the expiry of a key that is there.
    Expire(Option<u64>),
    Nothing,
}

/// Everything that must be there after a power cut.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The operations of the session, by serial number.
    operations: BTreeMap<u64, Operation>,
    session: Option<session::Id>,
    /// The token of the newest acknowledged checkpoint, its commit point, and a second that the
    /// store had reached before.
    acknowledged: (u64, u64, u64),
}

impl Known {
    /// Returns the state of a key, which may have expired.
    fn state(&self, in_texts: bool, key: u64) -> Option<State> {
        let mut state = None;
        let of_key = |it: &&Operation| (it.in_texts, it.key) == (in_texts, key);
        for operation in self.operations.values().filter(of_key) {
            state = match operation.effect {
                Effect::Put(state) => Some(state),
                Effect::Remove => None,
                Effect::Expire(second) => state.map(|(version, _)| (version, second)),
                Effect::Nothing => state,
            };
        }
        state
    }
}

fn is_alive((_, second): &State, now: u64) -> bool {
    second.is_none_or(|second| now < second)
}

/// Returns the wall clock of a life, which is up to a minute ahead of those of other lives.
fn clock(site: &Site) -> impl Fn() -> SystemTime + Send + Sync + 'static {
    let begin = UNIX_EPOCH + Duration::from_secs(1_800_000_000 + site.seed % 60);
    let handle = site.handle.clone();
    move || begin + handle.now()
}

fn config(random: &mut Random) -> Config {
    let buckets = [1, 2, 64][random.index(3)];
    two_pages()
        .with_memory(ByteSize::kib(128))
        .with_index_buckets(buckets)
        .with_keep_checkpoints(2)
        .with_checkpoint_on_close(false)
}

fn text(version: u64) -> String {
    // Some values are longer than a page.
    let times = if version.is_multiple_of(11) { 900 } else { version % 9 };
    format!("{version} ").repeat(usize::try_from(times).expect("small") + 1)
}

/// An open database, and its time.
struct Life {
    site: Site,
    database: Database,
    words: FasterKv<u64, Expiring<u64>>,
    texts: FasterKv<u64, Expiring<str>>,
    /// The second of the store when it was opened.
    opened: u64,
}

impl Life {
    async fn open(site: &Site, config: Config) -> Result<Self> {
        let builder = Database::builder(config).runtime(site.handle.clone()).clock(clock(site));
        let builder = builder.directory(site.disk.directory("db")).seed(site.seed);
        let database = builder.open_in_directory().await?;
        let (words, texts) = (database.table("words").await?, database.table("texts").await?);
        let inspection = inspect(site.disk.directory("db")).await?;
        let opened = inspection.store.map_or(0, |store| store.clock.into());
        Ok(Self { site: site.clone(), database, words, texts, opened })
    }

    /// Returns the second that the store shows now.
    fn now(&self) -> u64 {
        let since = clock(&self.site)().duration_since(UNIX_EPOCH).expect("after 1970");
        since.as_secs().max(self.opened)
    }

    async fn read(&self, in_texts: bool, key: u64) -> Result<(Option<u64>, Option<Expiry>)> {
        if in_texts {
            let text = self.texts.read(&key).await?;
            let number = |text: String| {
                let version = text.split(' ').next().and_then(|it| it.parse().ok());
                let version = version.expect("a number comes first");
                assert_eq!(text, self::text(version), "a torn value");
                version
            };
            return Ok((text.map(number), self.texts.expiry(&key).await?));
        }
        Ok((self.words.read(&key).await?, self.words.expiry(&key).await?))
    }

    /// Checks a key. The second may end during the reads.
    async fn check(&self, known: &Known, in_texts: bool, key: u64, what: &str) -> Result<()> {
        let before = self.now();
        let (version, expiry) = self.read(in_texts, key).await?;
        let state = known.state(in_texts, key);
        let at = |now| state.filter(|state| is_alive(state, now));
        let possible = [at(before), at(self.now())];
        let versions = possible.map(|state| state.map(|(version, _)| version));
        assert!(versions.contains(&version), "{version:?} of {key}, {state:?}: {what}");
        let expiries = possible.map(|state| state.map(|(_, second)| expiry_at(second)));
        assert!(expiries.contains(&expiry), "{expiry:?} of {key}, {state:?}: {what}");
        Ok(())
    }

    /// Checks the recovered tables, and lets `known` continue from them.
    async fn verify(&self, known: &mut Known) -> Result<()> {
        let report = self.database.recovery();
        let token = report.and_then(|report| report.chosen).map_or(0, |token| token.version());
        let points = report.map(|report| &report.sessions);
        let point = known.session.and_then(|id| points?.get(&id)).map_or(0, |point| point.until);
        let (least, until, second) = known.acknowledged;
        assert!(token >= least && point >= until, "{token} and {point} after {least} and {until}");
        assert!(self.opened >= second, "the time went back from {second} to {}", self.opened);
        known.operations.retain(|serial, _| *serial <= point);
        for in_texts in [false, true] {
            for key in 0..KEYS {
                let what = format!("texts {in_texts}, up to {point}, at {}", self.now());
                self.check(known, in_texts, key, &what).await?;
            }
        }
        Ok(())
    }

    async fn take(
        &self,
        known: &Shared<Known>,
        session: &Session<u64, Expiring<u64>>,
        kind: checkpoint::Kind,
    ) -> Result<()> {
        let second = self.now();
        let taken = self.database.checkpoint().kind(kind).await?;
        if kind != checkpoint::Kind::IndexOnly {
            let point = session.commit_point().until;
            known.lock().acknowledged = (taken.token.version(), point, second);
        }
        Ok(())
    }

    /// Makes an operation at random, and notes its effect.
    async fn operate(
        &self,
        known: &Shared<Known>,
        session: &mut Session<u64, Expiring<u64>>,
        random: &mut Random,
    ) -> Result<()> {
        let (in_texts, key) = (random.chance(0.5), random.below(KEYS));
        let (serial, before) = (session.next_serial(), self.now());
        let state = known.lock().state(in_texts, key);
        let later = before + if random.chance(0.2) { random.below(120) } else { random.below(3) };
        let later = random.chance(0.8).then_some(later);
        let step = Step { kind: random.below(7), key, version: serial * 100 + key, later, state };
        let effect = if in_texts {
            let texts = &mut session.on(&self.texts)?;
            change(texts, &step, text).await?
        } else {
            change(session, &step, |version| version).await?
        };
        // The operation decided whether the key was there. It may be right before or after the end
        // of a second.
        let (effect, was_there) = effect;
        let alive = |now| state.is_some_and(|state| is_alive(&state, now));
        let possible = [alive(before), alive(self.now())];
        let is_right = was_there.is_none_or(|there| possible.contains(&there));
        assert!(is_right, "{step:?} found {was_there:?} at {before} to {}", self.now());
        known.lock().operations.insert(serial, Operation { in_texts, key, effect });
        let now_known = known.lock().clone();
        self.check(&now_known, in_texts, key, &format!("{step:?}")).await
    }
}

fn expiry_at(second: Option<u64>) -> Expiry {
    second.map_or(Expiry::never(), |it| Expiry::at(UNIX_EPOCH + Duration::from_secs(it)))
}

/// An operation to make.
#[derive(Debug)]
struct Step {
    kind: u64,
    key: u64,
    version: u64,
    /// The new expiry.
    later: Option<u64>,
    /// The state of the key before, which may have expired.
    state: Option<State>,
}

/// Makes an operation. Returns its effect, and whether the key was there, if that is known.
async fn change<K, V, P>(
    session: &mut Session<K, V, P>,
    step: &Step,
    value: fn(u64) -> V::Owned,
) -> Result<(Effect, Option<bool>)>
where
    K: Key<Item = u64> + ?Sized,
    V: Expires + ?Sized,
    P: session::Place,
{
    use std::borrow::Borrow;
    let Step { kind, key, version, later, state } = step;
    let new = value(*version);
    let kept = state.and_then(|(_, second)| second);
    Ok(match kind {
        0 => (Effect::Put((*version, None)), session.upsert(key, new.borrow()).await?.known()),
        1 => {
            let previous = session.upsert_with(key, new.borrow(), expiry_at(*later)).await?;
            (Effect::Put((*version, *later)), previous.known())
        }
        2 => {
            let mut seen = false;
            let update = |old: Option<V::Owned>| {
                seen = old.is_some();
                value(*version)
            };
            session.rmw(key, update).await?;
            (Effect::Put((*version, kept.filter(|_| seen))), Some(seen))
        }
        3 => (Effect::Remove, session.delete(key).await?.known()),
        4 => {
            let inserted = session.insert_if_absent(key, new.borrow()).await?;
            let put = Effect::Put((*version, None));
            (if inserted { put } else { Effect::Nothing }, Some(!inserted))
        }
        5 => {
            let mut seen = None;
            let decide = |old: Option<(V::Owned, Expiry)>| {
                seen = old.map(|(_, expiry)| expiry);
                Update::Put((value(*version), expiry_at(*later)), ())
            };
            session.update_with(key, decide).await?;
            assert!(seen.is_none_or(|seen| seen == expiry_at(kept)), "{step:?} saw {seen:?}");
            (Effect::Put((*version, *later)), Some(seen.is_some()))
        }
        _ => {
            let was_there = session.set_expiry(key, expiry_at(*later)).await?;
            (if was_there { Effect::Expire(*later) } else { Effect::Nothing }, Some(was_there))
        }
    })
}

#[test]
fn expired_keys_stay_absent_over_power_cuts() {
    let seen = Shared::new([0; 3]);
    seeds(10, |seed| {
        let mut random = Random::new(seed ^ 0xe7b1);
        let config = config(&mut random);
        let options = SimOptions { write_once: vec!["log.".to_owned()], ..SimOptions::default() };
        let disk = SimDisk::new(seed, options);
        let mut image = Image { disk, acknowledged: Known::default() };
        for life in 0..LIVES {
            let Image { disk, acknowledged } = image;
            let known = Shared::new(acknowledged);
            let snapshots = Snapshots::new(disk.clone(), known.clone(), 0.03, random.fork());
            let snapshots = Arc::new(snapshots);
            let in_life = seed ^ (life + 1) << 32 ^ random.below(1000);
            let simulation = Simulation::new(in_life);
            simulation.add_source(snapshots.clone());
            let site = Site { handle: simulation.handle(), disk: disk.clone(), seed: in_life };
            let lived = simulation.run(live(&site, config.clone(), &known, random.fork()));
            lived.expect("a sound disk");
            let mut images = snapshots.take();
            let acknowledged = known.lock().clone();
            images.push(Image { disk: disk.crash(random.next_u64()), acknowledged });
            for image in &images {
                let found = look(seed, image, config.clone());
                let mut seen = seen.lock();
                (0..3).for_each(|at| seen[at] += found[at]);
            }
            image = images.swap_remove(random.index(images.len()));
        }
    });
    let [images, expired, held] = *seen.lock();
    assert!(expired > images && held > 0, "{images} images, {expired} expired keys, {held} held");
}

/// Opens an image in a run of its own, and verifies it. Returns 1, the number of expired keys, and
/// whether the clock showed less than the time of the store.
fn look(seed: u64, image: &Image<Known>, config: Config) -> [u64; 3] {
    let disk = image.disk.crash(seed);
    let simulation = Simulation::new(seed);
    simulation.add_source(Arc::new(disk.clone()));
    let site = Site { handle: simulation.handle(), disk, seed };
    let found: Result<[u64; 3]> = simulation.run(async {
        let mut known = image.acknowledged.clone();
        let life = Life::open(&site, config).await?;
        life.verify(&mut known).await?;
        let now = life.now();
        let states = [false, true].map(|texts| (0..KEYS).map(move |key| (texts, key)));
        let states = states.into_iter().flatten();
        let states = states.filter_map(|(texts, key)| known.state(texts, key));
        let expired = states.filter(|state| !is_alive(state, now)).count() as u64;
        let shown = clock(&site)().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        life.database.close().await?;
        Ok([1, expired, u64::from(shown < now)])
    });
    found.expect("a sound disk")
}

async fn live(
    site: &Site,
    config: Config,
    known: &Shared<Known>,
    mut random: Random,
) -> Result<()> {
    let life = Life::open(site, config).await?;
    let mut at_first = known.lock().clone();
    life.verify(&mut at_first).await?;
    *known.lock() = at_first;
    let recovered = life.database.recovered_sessions();
    let id = known.lock().session.filter(|id| recovered.contains_key(id));
    let mut session = match id {
        Some(id) => life.words.resume_session(id)?,
        None => life.words.session()?,
    };
    known.lock().session = Some(session.id());
    for _step in 0..STEPS {
        match random.below(100) {
            0..8 => {
                let kind = ALL_KINDS[random.index(ALL_KINDS.len())];
                life.take(known, &session, kind).await?;
            }
            8..10 => life.database.flush_and_evict().await?,
            10..13 => {
                // Beside the operations that follow, if its future is dropped.
                let polls = if random.chance(0.7) { 1 } else { u32::MAX };
                AtMost::new(polls, life.database.compact().into_future()).await.transpose()?;
            }
            13..30 => site.handle.sleep(Duration::from_millis(random.below(900))).await,
            _ => life.operate(known, &mut session, &mut random).await?,
        }
    }
    Ok(())
}

/// Returns a decision that puts the value that is there, with another expiry.
fn put_until<T>(expiry: Expiry) -> impl FnMut(Option<(T, Expiry)>) -> Update<(T, Expiry), bool> {
    move |current| match current {
        Some((value, _)) => Update::Put((value, expiry), true),
        None => Update::Keep(false),
    }
}

/// Drops a change of an expiry after each number of polls. It took effect completely, or not at
/// all, and the key is as usable as before.
fn set_and_drop(seed: u64, in_texts: bool, on_device: bool, decides: bool) {
    let [first, second] = [1_900_000_000, 1_950_000_000].map(|second| expiry_at(Some(second)));
    after_each_number_of_polls(seed, 1..400, async |site, polls| {
        let dropped = async {
            let life = Life::open(site, two_pages().with_checkpoint_on_close(false)).await?;
            if in_texts {
                life.texts.upsert_with(&1, &text(5), first).await?;
            } else {
                life.words.upsert_with(&1, &5, first).await?;
            }
            if on_device {
                life.database.flush_and_evict().await?;
            }
            let set = async {
                match (in_texts, decides) {
                    (false, false) => life.words.set_expiry(&1, second).await,
                    (true, false) => life.texts.set_expiry(&1, second).await,
                    (false, true) => life.words.update_with(&1, put_until(second)).await,
                    (true, true) => life.texts.update_with(&1, put_until(second)).await,
                }
            };
            let finished = AtMost::new(polls, Box::pin(set)).await.transpose()?;
            assert_ne!(finished, Some(false), "the key is there");
            let expected = if finished.is_some() { second } else { first };
            for _ in 0..2 {
                let found = life.read(in_texts, 1).await?;
                assert_eq!(found, (Some(5), Some(expected)), "dropped after {polls} polls");
                life.database.flush_and_evict().await?;
            }
            life.words.rmw(&1, |value| value.unwrap_or(0) + 1).await?;
            life.texts.upsert(&1, &text(6)).await?;
            assert_eq!(life.read(true, 1).await?, (Some(6), Some(Expiry::never())));
            life.database.close().await?;
            Ok::<_, Error>(finished.is_some())
        };
        dropped.await.expect("a sound disk")
    });
}

#[test]
fn an_expiry_is_set_or_not() {
    seeds(8, |seed| {
        for in_texts in [false, true] {
            for on_device in [false, true] {
                set_and_drop(seed, in_texts, on_device, false);
                set_and_drop(seed, in_texts, on_device, true);
            }
        }
    });
}
