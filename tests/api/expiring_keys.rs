//! Keys that expire, against a model: every operation, wherever the record is, before and at the
//! second.

mod steps;

use std::borrow::Borrow;
use std::fmt::Debug;
use std::sync::atomic::Ordering;

use kvick::codec::{Expires, Expiring};
use kvick::io::sim::Random;
use kvick::runtime::block_on;
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
