//! Reads commit points while operations continue, in every interleaving.

use super::*;
use crate::epoch::{Epoch, Participant};
use crate::store::system_state::SystemState;
use kvick_io::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

struct Store {
    phase: SystemState,
    epoch: Epoch,
    sessions: SessionTable,
    counter: Arc<CachePadded<SerialCounter>>,
    ledger: Arc<SessionState>,
    /// The data that operations change.
    done: AtomicU64,
}

/// Runs one operation, which begins as `StoreInner::must_wait` lets it begin.
fn operate(store: &Store, participant: &mut Participant) {
    participant.protected(|_guard| {
        let word = store.phase.word();
        if word != store.counter.phase() {
            if SystemState::is_cut_in(word) {
                return;
            }
            store.sessions.begin(SystemState::version_in(word), Some(&store.ledger));
            store.counter.note_phase(word);
        }
        store.done.store(store.done.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        store.counter.advance();
    });
}

fn points_are_those_of_the_version(read: fn(&SessionState, u64) -> CommitPoint) {
    let counter = Arc::default();
    let store = loom::sync::Arc::new(Store {
        phase: SystemState::new(1),
        epoch: Epoch::new(),
        sessions: SessionTable::new(1, Points::default()),
        ledger: SessionTable::open(&counter),
        counter,
        done: AtomicU64::new(0),
    });
    let writer = {
        let (store, mut participant) = (store.clone(), store.epoch.register());
        thread::spawn(move || (0..2).for_each(|_| operate(&store, &mut participant)))
    };
    let cut = store.phase.transition_to_cut().expect("no other barrier");
    let epoch = store.epoch.bump();
    while !store.epoch.is_drained(epoch) {
        thread::yield_now();
    }
    let ended = store.sessions.end_version();
    let done = store.done.load(Ordering::Relaxed);
    cut.end(2);
    let is_listed = ended.sessions.iter().any(|ledger| Arc::ptr_eq(ledger, &store.ledger));
    assert_eq!(is_listed, done > 0, "a session that did something is asked");
    if is_listed {
        let until = read(&store.ledger, 2).until;
        assert_eq!(until, done, "the commit point is that of the version");
    }
    writer.join().expect("no panic");
}

#[test]
fn loom_commit_points_are_those_of_the_version() {
    loom::model(|| points_are_those_of_the_version(SessionState::at_end_before));
}

/// The negative control: the point is read from the present state of the session.
#[test]
#[should_panic(expected = "the commit point is that of the version")]
fn loom_commit_points_are_not_the_present() {
    loom::model(|| points_are_those_of_the_version(|ledger, _next| ledger.present()));
}
