//! Tests the transitions of the seqlock, and its readers and writers in every interleaving.

use super::*;

#[cfg(not(loom))]
mod plain {
    use super::*;

    #[test]
    fn a_write_moves_the_sequence() {
        let word = AtomicU64::new(ValueState::new(5).raw());
        let state = ValueState::observe(&word).expect("free");
        state.transition_to_locked(&word).expect("free");
        assert_eq!(ValueState::observe(&word), Err(Contended));
        assert!(!state.is_unchanged(&word));
        state.unlock(&word, 7);
        let after = ValueState::observe(&word).expect("released");
        assert_eq!(after.length(), 7);
        assert_eq!(state.transition_to_locked(&word), Err(Contended));
    }

    #[test]
    fn a_seal_stops_writers_not_readers() {
        let word = AtomicU64::new(ValueState::new(5).raw());
        let state = ValueState::observe(&word).expect("free");
        state.transition_to_sealed(&word).expect("free");
        assert!(state.is_unchanged(&word));
        let sealed = ValueState::observe(&word).expect("a seal is no lock");
        assert_eq!(sealed.transition_to_locked(&word), Err(Contended));
        assert_eq!(sealed.transition_to_sealed(&word), Err(Contended));
        state.unseal(&word);
        state.transition_to_locked(&word).expect("free again");
    }

    #[test]
    fn the_sequence_wraps_into_nothing_else() {
        let word = AtomicU64::new(SEQUENCE_MASK | 3);
        let state = ValueState::observe(&word).expect("free");
        state.transition_to_locked(&word).expect("free");
        state.unlock(&word, 4);
        assert_eq!(word.load(Ordering::Relaxed), 4);
    }
}

#[cfg(loom)]
mod loom_tests {
    use super::*;
    use loom::{sync::Arc, thread};

    /// Two words must always be equal: a reader never accepts a torn pair.
    #[test]
    fn loom_a_read_is_never_torn() {
        loom::model(|| {
            let value = Arc::new([AtomicU64::new(8), AtomicU64::new(0), AtomicU64::new(0)]);
            let writer = {
                let value = Arc::clone(&value);
                thread::spawn(move || {
                    let state = ValueState::observe(&value[0]).expect("one writer");
                    state.transition_to_locked(&value[0]).expect("one writer");
                    value[1].store(1, Ordering::Relaxed);
                    value[2].store(1, Ordering::Relaxed);
                    state.unlock(&value[0], 8);
                })
            };
            if let Ok(state) = ValueState::observe(&value[0]) {
                let pair = [value[1].load(Ordering::Relaxed), value[2].load(Ordering::Relaxed)];
                if state.is_unchanged(&value[0]) {
                    assert_eq!(pair[0], pair[1], "torn");
                }
            }
            writer.join().expect("the writer did not panic");
        });
    }

    /// Either a writer in place or a copier wins: no update is lost.
    #[test]
    fn loom_a_seal_excludes_a_write() {
        loom::model(|| {
            let value = Arc::new([AtomicU64::new(8), AtomicU64::new(0)]);
            let writer = {
                let value = Arc::clone(&value);
                thread::spawn(move || {
                    let Ok(state) = ValueState::observe(&value[0]) else {
                        return false;
                    };
                    if state.transition_to_locked(&value[0]).is_err() {
                        return false;
                    }
                    value[1].store(1, Ordering::Relaxed);
                    state.unlock(&value[0], 8);
                    true
                })
            };
            let mut copied = None;
            if let Ok(state) = ValueState::observe(&value[0]) {
                let copy = value[1].load(Ordering::Relaxed);
                if state.transition_to_sealed(&value[0]).is_ok() {
                    copied = Some(copy);
                }
            }
            let wrote = writer.join().expect("the writer did not panic");
            if let Some(copy) = copied {
                assert_eq!(copy, u64::from(wrote), "an update was lost");
            }
        });
    }
}
