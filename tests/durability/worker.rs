//! The worker, which the parent kills: sessions on tasks, and checkpoints one after the other.

use crate::content::Content;
use crate::job::{Failure, Job, Line, Product, pick, with_value_type};
use crate::log;
use crate::plan::{Change, Plan, SESSIONS, Shape, Step};
use kvick::checkpoint::Durability;
use kvick::config::Acknowledge;
use kvick::io::sim::Random;
use kvick::{FasterKv, Result, Session, checkpoint, session};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// Works until the parent kills it, or until a failure.
pub(crate) async fn run(job: Job) {
    let ended = match job.what {
        Product::Store | Product::Wal => with_value_type!(&job, work),
        Product::Log => log::worker::work(&job).await,
    };
    if let Err(error) = ended {
        say(&Line::Failed(error.to_string()));
    }
}

async fn work<V: Content + ?Sized>(job: &Job) -> Result<(), Failure> {
    let store = job.open_for_work::<V>().await?;
    say(&Line::Opened);
    let mut random = Random::new(!job.seed ^ job.life);
    let mut recovered: BTreeMap<u32, session::Id> = BTreeMap::new();
    for id in store.recovered_sessions().into_keys() {
        recovered.insert(job.names[&id], id);
    }
    for number in 0..SESSIONS {
        let session = match recovered.get(&number) {
            // A session that stays idle must still exist after the next life.
            Some(_) if random.below(8) == 0 => continue,
            Some(id) => store.resume_session(*id)?,
            None => store.session()?,
        };
        say(&Line::Session { id: session.id(), number });
        let waits = job.what == Product::Wal && random.below(2) == 0;
        let promise = waits.then_some(if job.lie { Promise::Lie } else { Promise::Durable });
        tokio::spawn(operate(session, job.plan(number), promise));
    }
    checkpoints(&store, random, job.lie).await.map_err(Into::into)
}

async fn checkpoints<V: Content + ?Sized>(
    store: &FasterKv<u64, V>,
    mut random: Random,
    lie: bool,
) -> Result<()> {
    loop {
        tokio::time::sleep(Duration::from_micros(random.below(10_000))).await;
        let mut request = draw(store.checkpoint(), &mut random);
        if lie && random.chance(0.9) {
            request = request.durability(Durability::ProcessCrash);
        }
        let taken = request.await?;
        if taken.kind != checkpoint::Kind::IndexOnly {
            say(&Line::Checkpoint { token: taken.token.version(), points: taken.sessions });
        }
    }
}

fn draw<'s>(request: checkpoint::Request<'s>, random: &mut Random) -> checkpoint::Request<'s> {
    const KINDS: [checkpoint::Kind; 3] =
        [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot, checkpoint::Kind::Incremental];
    let request = request.kind(*pick(random, &KINDS));
    match random.below(8) {
        0 => request.index_only(),
        1..4 => request.without_index(),
        _ => request,
    }
}

/// The promise of a session after each write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// What its writes have waited for.
    Durable,
    /// Durability that they do not have.
    Lie,
}

/// Continues a session from its commit point.
async fn operate<V: Content + ?Sized>(
    mut session: Session<u64, V>,
    plan: Plan,
    promise: Option<Promise>,
) {
    if promise == Some(Promise::Durable) {
        session.set_acknowledge(Acknowledge::Durable).expect("there is a write-ahead log");
    }
    for serial in session.commit_point().excluded.iter() {
        assert_eq!(session.next_serial(), serial, "excluded numbers come first");
        if let Err(error) = session.delete(&u64::MAX).await {
            say(&Line::Failed(format!("session {}, serial {serial}: {error}", plan.session)));
            return;
        }
    }
    loop {
        let first = session.next_serial();
        let (shape, last) = plan.shape(first);
        let done = match shape {
            Shape::OneByOne => one(&mut session, plan.step(first)).await,
            Shape::ModifyMany => modify_many(&mut session, plan, first..=last).await,
            Shape::UpsertMany => upsert_many(&mut session, plan, first..=last).await,
        };
        if let Err(error) = done {
            say(&Line::Failed(format!("session {}, serial {first}: {error}", plan.session)));
            return;
        }
        let expected = if shape == Shape::OneByOne { first } else { last };
        if session.serial() != expected {
            let serial = session.serial();
            say(&Line::Failed(format!("serial {serial} after {shape:?} of {first}..={last}")));
            return;
        }
        if let Some(promise) = promise {
            let mut point = session.commit_point();
            match promise {
                Promise::Lie => point.until = session.serial(),
                Promise::Durable if point.until < session.serial() => {
                    say(&Line::Failed(format!("serial {expected} is not durable: {point:?}")));
                    return;
                }
                Promise::Durable => {}
            }
            say(&Line::Durable { id: session.id(), point });
        }
    }
}

async fn one<V: Content + ?Sized>(session: &mut Session<u64, V>, step: Step) -> Result<()> {
    match step.change {
        Change::Upsert => session.upsert(&step.key, V::of(step.word).borrow()).await.map(drop),
        Change::Delete => session.delete(&step.key).await.map(drop),
        Change::Modify | Change::Count => {
            session.rmw(&step.key, |before| updated::<V>(step, before)).await.map(drop)
        }
    }
}

async fn modify_many<V: Content + ?Sized>(
    session: &mut Session<u64, V>,
    plan: Plan,
    serials: std::ops::RangeInclusive<u64>,
) -> Result<()> {
    let steps: Vec<Step> = serials.map(|serial| plan.step(serial)).collect();
    let keys: Vec<u64> = steps.iter().map(|step| step.key).collect();
    session.rmw_many(&keys, |place, before| updated::<V>(steps[place], before)).await
}

async fn upsert_many<V: Content + ?Sized>(
    session: &mut Session<u64, V>,
    plan: Plan,
    serials: std::ops::RangeInclusive<u64>,
) -> Result<()> {
    let pairs: Vec<(u64, V::Owned)> =
        serials.map(|serial| plan.step(serial)).map(|step| (step.key, V::of(step.word))).collect();
    session.upsert_many(&pairs).await
}

fn updated<V: Content + ?Sized>(step: Step, before: Option<V::Owned>) -> V::Owned {
    let before = before.map(|value| V::word(&value).expect("only values of words are stored"));
    V::of(step.apply(before).expect("an update deletes nothing"))
}

/// Writes a message at once and as a whole, since the next moment may be the last.
pub(crate) fn say(line: &impl serde::Serialize) {
    let mut text = serde_json::to_string(line).expect("lines are plain data");
    text.push('\n');
    let mut out = std::io::stdout().lock();
    let said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    said.expect("the parent listens for as long as this process lives");
}
