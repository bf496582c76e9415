//! Keys that expire, against a model: every operation, wherever the record is, before and at the
//! second.

mod steps;

use std::borrow::Borrow;
use std::fmt::Debug;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kvick::codec::{Expires, Expiring};
use kvick::io::sim::Random;
use kvick::runtime::block_on;
use kvick::session::Expiry;
use kvick::{Result, checkpoint};
use steps::{KINDS, OPS, Op, Place, START, Site};

/// Makes every operation one second before its key expires, and at that second.
async fn every_operation<V: Expires + ?Sized>(of: fn(u64) -> V::Owned, place: Place) -> Result<()>
where
    V::Owned: Clone + PartialEq + Debug + Borrow<V::Item>,
{
    let mut site = Site::<V>::new(of).await?;
    let keys = 2 * OPS.len() as u64;
    for key in 0..keys {
        site.step(Op::UpsertWith, key, key + 1000, START + 50).await?;
    }
    site.bring_to(place).await?;
    for (key, op) in (0..).zip(OPS.iter().chain(&OPS)) {
        let is_over = key >= OPS.len() as u64;
        site.second.store(START + if is_over { 50 } else { 49 }, Ordering::Relaxed);
        site.step(*op, key, key + 2000, START + 90).await?;
    }
    for now in [START + 50, START + 90] {
        site.second.store(now, Ordering::Relaxed);
        for key in 0..keys {
            site.check(key, "all").await?;
        }
        site.bring_to(Place::Recovered(checkpoint::Kind::Snapshot)).await?;
    }
    site.database.close().await
}

fn everywhere<V: Expires + ?Sized>(of: fn(u64) -> V::Owned)
where
    V::Owned: Clone + PartialEq + Debug + Borrow<V::Item>,
{
    let of_kinds = |place: fn(checkpoint::Kind) -> Place| KINDS.map(place);
    let places = [Place::Mutable, Place::OnDevice];
    let places = places.into_iter().chain(of_kinds(Place::Checkpointed));
    for place in places.chain(of_kinds(Place::Recovered)) {
        block_on(every_operation::<V>(of, place)).expect("memory does not fail");
    }
}

fn word(number: u64) -> u64 {
    number
}

fn block(number: u64) -> [u8; 24] {
    [number.to_le_bytes()[0]; 24]
}

/// Bytes whose number depends on `number`, so a value often fits in no record of another.
fn bytes(number: u64) -> Vec<u8> {
    vec![number.to_le_bytes()[0]; 8 + usize::try_from(number % 40).expect("small")]
}

/// A value of several pages.
fn long(number: u64) -> Vec<u8> {
    vec![number.to_le_bytes()[0]; 9000 + usize::try_from(number % 40).expect("small")]
}

/// One value in four is in pieces.
fn mixed(number: u64) -> Vec<u8> {
    if number.is_multiple_of(4) { long(number) } else { bytes(number) }
}

#[test]
fn words_expire() {
    everywhere::<Expiring<u64>>(word);
}

#[test]
fn blocks_expire() {
    everywhere::<Expiring<[u8; 24]>>(block);
}

#[test]
fn bytes_expire() {
    everywhere::<Expiring<[u8]>>(bytes);
}

#[test]
fn values_in_pieces_expire() {
    everywhere::<Expiring<[u8]>>(long);
}

/// An expiry that changes in memory is in the next checkpoint, whatever the kinds of both.
async fn set_between_checkpoints<V: Expires + ?Sized>(
    of: fn(u64) -> V::Owned,
    kinds: [checkpoint::Kind; 2],
) -> Result<()>
where
    V::Owned: Clone + PartialEq + Debug + Borrow<V::Item>,
{
    let ops = [Op::SetExpiry, Op::Persist, Op::ExpireNow, Op::Read];
    let mut site = Site::<V>::new(of).await?;
    for key in 0..4 {
        site.step(Op::UpsertWith, key, key, START + 50).await?;
    }
    for round in 0..2 {
        site.bring_to(Place::Checkpointed(kinds[0])).await?;
        for (key, op) in (0..).zip(ops) {
            site.step(op, key, key, START + 60 + round).await?;
        }
        site.bring_to(Place::Recovered(kinds[1])).await?;
        for key in 0..4 {
            site.check(key, &format!("{kinds:?}, round {round}")).await?;
        }
    }
    site.database.close().await
}

#[test]
fn an_expiry_that_is_set_between_checkpoints_is_recovered() {
    for kinds in KINDS.iter().flat_map(|first| KINDS.map(|second| [*first, second])) {
        block_on(async {
            set_between_checkpoints::<Expiring<u64>>(word, kinds).await?;
            set_between_checkpoints::<Expiring<[u8; 24]>>(block, kinds).await?;
            set_between_checkpoints::<Expiring<[u8]>>(bytes, kinds).await?;
            set_between_checkpoints::<Expiring<[u8]>>(long, kinds).await
        })
        .expect("memory does not fail");
    }
}

/// The operations of one session on two tables, one of which expires.
#[test]
fn a_session_sets_and_sees_expiries_on_its_tables() {
    block_on(async {
        let site = Site::<Expiring<[u8]>>::new(bytes).await?;
        let counts = site.database.table::<u64, u64>("counts").await?;
        let mut session = counts.session()?;
        session.upsert(&1, &1).await?;
        let second = Expiry::after(Duration::from_secs(1));
        session.on(&site.table)?.upsert_with(&1, &[1; 9], second).await?;
        session.on(&site.table)?.upsert_with(&2, &[2; 9], second).await?;
        assert!(session.on(&site.table)?.persist(&2).await?);
        assert!(!session.on(&site.table)?.set_expiry(&3, second).await?);
        assert_eq!(session.serial(), 5);
        site.second.fetch_add(1, Ordering::Relaxed);
        let expired = site.database.stats().expired;
        let mut tokens = session.on(&site.table)?;
        assert_eq!(tokens.expiry(&1).await?, None);
        assert_eq!(tokens.read_many(&[1, 2]).await?, [None, Some(vec![2; 9])]);
        assert_eq!(tokens.expiry(&2).await?, Some(Expiry::never()));
        assert_eq!(session.read(&1).await?, Some(1), "the other table never expires");
        assert_eq!(site.database.stats().expired - expired, 2);
        drop(session);
        site.database.close().await
    })
    .expect("memory does not fail");
}

/// Random operations on a few keys while the time goes on.
async fn at_random<V: Expires + ?Sized>(of: fn(u64) -> V::Owned, seed: u64) -> Result<()>
where
    V::Owned: Clone + PartialEq + Debug + Borrow<V::Item>,
{
    let mut random = Random::new(seed);
    let mut site = Site::<V>::new(of).await?;
    for number in 0..1500 {
        if random.chance(0.2) {
            site.second.fetch_add(1, Ordering::Relaxed);
        }
        if random.chance(0.02) {
            let kind = KINDS[random.index(KINDS.len())];
            let place = [Place::Checkpointed(kind), Place::OnDevice, Place::Recovered(kind)];
            site.bring_to(place[random.index(place.len())]).await?;
        }
        let (op, key) = (OPS[random.index(OPS.len())], random.below(8));
        let later = site.now() + random.below(10);
        // Bytes repeat after 256 numbers: neighbours differ.
        site.step(op, key, number, later).await?;
    }
    site.database.close().await
}

#[test]
fn random_operations_agree_with_a_model() {
    block_on(async {
        for seed in 0..4 {
            at_random::<Expiring<u64>>(word, seed).await?;
            at_random::<Expiring<[u8; 24]>>(block, seed).await?;
            at_random::<Expiring<[u8]>>(bytes, seed).await?;
            at_random::<Expiring<[u8]>>(mixed, seed).await?;
        }
        Result::<()>::Ok(())
    })
    .expect("memory does not fail");
}
