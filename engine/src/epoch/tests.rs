//! What the epoch promises, checked directly and, under loom, for every interleaving.

use super::*;

#[cfg(not(loom))]
mod plain {
    use super::*;

    #[test]
    fn an_idle_participant_delays_nobody() {
        let epoch = Epoch::new();
        let _idle = epoch.register();
        let retired = epoch.bump();
        assert!(epoch.is_drained(retired));
    }

    #[test]
    fn a_guard_delays_older_epochs_only() {
        let epoch = Epoch::new();
        let mut first = epoch.register();
        let mut second = epoch.register();
        first.protected(|_| {
            let retired = epoch.bump();
            second.protected(|_| assert!(!epoch.is_drained(retired)));
            assert!(!epoch.is_drained(retired));
        });
        let retired = epoch.bump();
        first.protected(|_| assert!(epoch.is_drained(retired)));
    }

    #[test]
    fn a_panic_ends_protection() {
        let epoch = Epoch::new();
        let mut participant = epoch.register();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            participant.protected(|_| panic!("as a closure of a user may"));
        }));
        assert!(result.is_err());
        let retired = epoch.bump();
        assert!(epoch.is_drained(retired));
        participant.protected(|_| ());
    }

    #[test]
    fn places_are_used_again() {
        let epoch = Epoch::new();
        for _ in 0..100 {
            let mut participant = epoch.register();
            participant.protected(|_| ());
        }
        assert_eq!(epoch.participants(), 1);
        let many: Vec<_> = (0..300).map(|_| epoch.register()).collect();
        assert_eq!(epoch.participants(), 300);
        drop(many);
        assert_eq!(epoch.participants(), 300);
    }

    /// Ten thousand sessions, one of which was slow: the driver went through all of them sixty-four
    /// times without a pause, five milliseconds in which nothing was flushed.
    #[test]
    fn a_drain_goes_on_where_it_had_to_wait() {
        let epoch = Epoch::new();
        let mut many: Vec<_> = (0..10_000).map(|_| epoch.register()).collect();
        let mut slow = many.swap_remove(5_000);
        let places = &epoch.shared.places;
        let (mut drain, at) = slow.protected(|_guard| {
            let mut drain = Drain::new(epoch.bump());
            assert!(!places.go_on(&mut drain));
            let at = drain.position();
            assert!(!places.go_on(&mut drain));
            assert_eq!(drain.position(), at, "the others were looked at again");
            (drain, at)
        });
        assert!(at > (0, 0));
        assert!(places.go_on(&mut drain));
    }

    #[test]
    fn drained_waits_for_the_guard() {
        let epoch = Epoch::new();
        let handle = Handle::background().expect("a thread starts");
        let mut participant = epoch.register();
        let retired = participant.protected(|_| epoch.bump());
        kvick_runtime::block_on(epoch.drained(retired, &handle));
        assert!(epoch.is_drained(retired));
    }
}

#[cfg(loom)]
mod loom_tests {
    use super::*;
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    /// A reader uses an object while it is linked; a writer unlinks it, bumps, and frees it once
    /// drained. No interleaving may free it under the reader.
    #[test]
    fn loom_nothing_is_freed_under_a_guard() {
        loom::model(|| {
            let epoch = Epoch::new();
            let linked = Arc::new(AtomicBool::new(true));
            let freed = Arc::new(AtomicBool::new(false));
            let reader = {
                let (mut participant, linked, freed) =
                    (epoch.register(), Arc::clone(&linked), Arc::clone(&freed));
                thread::spawn(move || {
                    participant.protected(|_| {
                        if linked.load(Ordering::Relaxed) {
                            assert!(!freed.load(Ordering::Relaxed), "freed under a guard");
                        }
                    });
                })
            };
            linked.store(false, Ordering::Relaxed);
            let retired = epoch.bump();
            if epoch.is_drained(retired) {
                freed.store(true, Ordering::Relaxed);
            }
            reader.join().expect("the reader did not panic");
        });
    }

    /// What a drain in several looks allows, to a reader that registers late and comes back.
    fn nothing_is_freed_under_a_guard(look: fn(&Epoch, &mut dyn FnMut(&Epoch) -> u64) -> bool) {
        let epoch = Epoch::new();
        let linked = Arc::new(AtomicBool::new(true));
        let freed = Arc::new(AtomicBool::new(false));
        let reader = {
            let (epoch, linked, freed) = (epoch.clone(), Arc::clone(&linked), Arc::clone(&freed));
            thread::spawn(move || {
                let mut participant = epoch.register();
                for _ in 0..2 {
                    participant.protected(|_| {
                        if linked.load(Ordering::Relaxed) {
                            assert!(!freed.load(Ordering::Relaxed), "freed under a guard");
                        }
                    });
                }
            })
        };
        let mut unlink = |epoch: &Epoch| {
            linked.store(false, Ordering::Relaxed);
            epoch.bump()
        };
        if look(&epoch, &mut unlink) {
            freed.store(true, Ordering::Relaxed);
        }
        reader.join().expect("the reader did not panic");
    }

    #[test]
    fn loom_a_drain_may_stop_and_go_on() {
        loom::model(|| {
            nothing_is_freed_under_a_guard(|epoch, unlink| {
                let mut drain = Drain::new(unlink(epoch));
                epoch.shared.places.go_on(&mut drain) || epoch.shared.places.go_on(&mut drain)
            });
        });
    }

    /// The negative control: what was looked at before the bump counts.
    #[test]
    #[should_panic(expected = "freed under a guard")]
    fn loom_a_drain_that_begins_before_its_bump_is_none() {
        loom::model(|| {
            nothing_is_freed_under_a_guard(|epoch, unlink| {
                let mut drain = Drain::new(u64::MAX);
                let is_done = epoch.shared.places.go_on(&mut drain);
                unlink(epoch);
                is_done
            });
        });
    }

    /// One participant after the other in one place: the second sees what the first one did, and
    /// finds the place unprotected.
    #[test]
    fn loom_a_place_changes_hands_whole() {
        loom::model(|| {
            let epoch = Epoch::new();
            let written = Arc::new(AtomicU64::new(0));
            let first = {
                let (mut participant, written) = (epoch.register(), Arc::clone(&written));
                thread::spawn(move || {
                    participant.protected(|_| written.store(1, Ordering::Relaxed));
                })
            };
            let mut second = epoch.register();
            if epoch.participants() == 1 {
                assert_eq!(written.load(Ordering::Relaxed), 1, "what the first one did is lost");
            }
            second.protected(|_| ());
            first.join().expect("no panic");
        });
    }

    /// The negative control: a place that is free by a count that orders nothing.
    #[test]
    #[should_panic(expected = "a free place is unprotected")]
    fn loom_a_place_that_is_free_by_a_count_is_not() {
        loom::model(|| {
            let slot = Arc::new(AtomicU64::new(UNPROTECTED));
            let owners = Arc::new(AtomicU64::new(1));
            let first = {
                let (slot, owners) = (Arc::clone(&slot), Arc::clone(&owners));
                thread::spawn(move || {
                    slot.store(7, Ordering::Release);
                    slot.store(UNPROTECTED, Ordering::Release);
                    owners.store(0, Ordering::Release);
                })
            };
            if owners.load(Ordering::Relaxed) == 0 {
                let announced = slot.load(Ordering::Acquire);
                assert_eq!(announced, UNPROTECTED, "a free place is unprotected");
            }
            first.join().expect("no panic");
        });
    }

    /// What was done under protection is visible to whoever acts after the drain.
    #[test]
    fn loom_work_under_a_guard_happens_before_the_drain() {
        loom::model(|| {
            let epoch = Epoch::new();
            let sealed = Arc::new(AtomicBool::new(false));
            let written = Arc::new(AtomicU64::new(0));
            let writer = {
                let (mut participant, sealed, written) =
                    (epoch.register(), Arc::clone(&sealed), Arc::clone(&written));
                thread::spawn(move || {
                    participant.protected(|_| {
                        if !sealed.load(Ordering::Relaxed) {
                            written.store(1, Ordering::Relaxed);
                            written.store(2, Ordering::Relaxed);
                        }
                    });
                })
            };
            sealed.store(true, Ordering::Relaxed);
            let retired = epoch.bump();
            if epoch.is_drained(retired) {
                let first = written.load(Ordering::Relaxed);
                let second = written.load(Ordering::Relaxed);
                assert_eq!(first, second, "a sealed page changed after the drain");
                assert_ne!(first, 1, "half of an update was flushed");
            }
            writer.join().expect("the writer did not panic");
        });
    }
}
