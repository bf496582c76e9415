//! Histories of a key whose expiry changes: some order of the operations explains each of them.
//!
//! The time stands still. One expiry has passed already, so a key that gets it is absent.

use std::time::{Duration, UNIX_EPOCH};

use kvick::codec::{Expires, Expiring};
use kvick::session::Expiry;
use kvick::{Session, WeakSpots};
use shuttle::future::block_on;
use tests::history::{Action, Event, NEVER, PASSED, add, is_linearizable};
use tests::numbers::{Growing, Number};

use super::{Ticks, drawn, many_schedules, open, random_schedules, tick};

/// The expiries of histories: see [`tests::history`].
const EXPIRIES: [u64; 4] = [NEVER, PASSED, 7, 8];

fn expiry(number: u64) -> Expiry {
    match number {
        NEVER => Expiry::never(),
        PASSED => Expiry::at(UNIX_EPOCH),
        later => Expiry::at(UNIX_EPOCH + Duration::from_secs((1 << 32) - 100 + later)),
    }
}

fn number(found: Expiry) -> u64 {
    EXPIRIES.into_iter().find(|number| expiry(*number) == found).expect("one of them")
}

/// Runs some operations of one thread on key 1, and returns them with their results.
async fn act<V: Number, W: Expires<Item = V, Owned = V>>(
    session: &mut Session<u64, W>,
    ticks: &Ticks,
) -> kvick::Result<Vec<Event>> {
    let mut events = Vec::new();
    for _ in 0..4 {
        let called = tick(ticks);
        let (one, at) = (drawn(3), EXPIRIES[usize::try_from(drawn(4)).expect("small")]);
        let value = V::of(one);
        let action = match drawn(10) {
            0 => Action::Upsert(one, session.upsert(&1, &value).await?.known()),
            1 | 2 => Action::Add(1, session.rmw(&1, add(1)).await?.get()),
            3 => Action::Delete(session.delete(&1).await?.known()),
            4 => Action::Insert(one, session.insert_if_absent(&1, &value).await?),
            5 => {
                let previous = session.upsert_with(&1, &value, expiry(at)).await?;
                Action::UpsertWith(one, at, previous.known())
            }
            6 => Action::Expiry(session.expiry(&1).await?.map(number)),
            7 | 8 => Action::SetExpiry(at, session.set_expiry(&1, expiry(at)).await?),
            _ => Action::Read(session.read(&1).await?.map(V::get)),
        };
        events.push(Event { action, called, returned: Some(tick(ticks)) });
    }
    Ok(events)
}

fn explain_a_history<V: Number, W: Expires<Item = V, Owned = V>>() {
    let store = block_on(open::<u64, W>());
    let ticks = Ticks::default();
    block_on(store.upsert_with(&1, &V::of(0), expiry(7))).expect("sound memory");
    let first = Action::UpsertWith(0, 7, None);
    let first = Event { action: first, called: tick(&ticks), returned: Some(tick(&ticks)) };
    let threads = [0, 1, 2].map(|_| {
        let (mut session, ticks) = (store.session().expect("open"), ticks.clone());
        shuttle::thread::spawn(move || {
            let events = block_on(act::<V, W>(&mut session, &ticks)).expect("sound memory");
            (session, events)
        })
    });
    block_on(store.flush_and_evict()).expect("sound memory");
    let ends = threads.map(|thread| thread.join().expect("no panic"));
    let mut history: Vec<Event> = ends.iter().flat_map(|(_, events)| events).copied().collect();
    history.push(first);
    drop(ends);
    block_on(store.close()).expect("closes");
    assert!(is_linearizable(&history), "a history has no order: {history:#?}");
}

#[test]
fn every_history_of_words_that_expire_can_be_explained() {
    many_schedules(explain_a_history::<u64, Expiring<u64>>);
}

#[test]
fn every_history_of_bytes_that_expire_can_be_explained() {
    many_schedules(explain_a_history::<Growing, Expiring<Growing>>);
}

/// One session counts slowly while another sets the expiry. Every count is in the value at the end,
/// and the set expiry too.
fn set_beside_a_counter<V: Number, W: Expires<Item = V, Owned = V>>(no_drain: bool) {
    WeakSpots { no_drain, pauses: 3, ..WeakSpots::NONE }.set();
    let store = block_on(open::<u64, W>());
    let [mut counts, mut sets] = [0; 2].map(|_| store.session().expect("open"));
    block_on(store.upsert_with(&1, &V::of(1), expiry(7))).expect("sound memory");
    let counter = shuttle::thread::spawn(move || {
        for _ in 0..2 {
            let slowly = |value: Option<V>| {
                (0..drawn(60)).for_each(|_| shuttle::thread::yield_now());
                add(1)(value)
            };
            block_on(counts.rmw(&1, slowly)).expect("sound memory");
        }
        counts
    });
    assert!(block_on(sets.set_expiry(&1, expiry(8))).expect("sound memory"));
    let counts = counter.join().expect("no panic");
    WeakSpots::NONE.set();
    let value = block_on(store.read(&1)).expect("sound memory").map(V::get);
    let found = block_on(store.expiry(&1)).expect("sound memory").map(number);
    drop((counts, sets));
    block_on(store.close()).expect("closes");
    assert_eq!((value, found), (Some(3), Some(8)), "a change is lost");
}

fn schedules_of_a_set<V: Number, W: Expires<Item = V, Owned = V>>(no_drain: bool) {
    random_schedules(move || set_beside_a_counter::<V, W>(no_drain));
}

#[test]
fn no_update_is_lost_to_a_change_of_the_expiry() {
    schedules_of_a_set::<u64, Expiring<u64>>(false);
    schedules_of_a_set::<Growing, Expiring<Growing>>(false);
}

/// The negative control: a word that is copied before the drain may still change, and the copy
/// loses the change.
#[test]
#[should_panic(expected = "a change is lost")]
fn a_word_is_not_copied_before_the_drain() {
    schedules_of_a_set::<u64, Expiring<u64>>(true);
}
