//! Checks the promises of the epoch directly and, under loom, for every interleaving.

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
            participant.protected(|_| panic!("a closure of a user panics"));
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

    /// One session of ten thousand was slow. The driver checked all of them sixty-four times
    /// without a pause, and nothing was flushed for five milliseconds.
    #[test]
    fn a_drain_goes_on_where_it_had_to_wait() {
        let epoch = Epoch::new();
        let mut many: Vec<_> = (0..10_000).map(|_| epoch.register()).collect();
        let mut slow = many.swap_remove(5_000);
        let places = &epoch.clock.places;
        let (mut drain, at) = slow.protected(|_guard| {
            let mut drain = Drain::new(epoch.bump());
            assert!(!places.go_on(&mut drain));
            let at = drain.position();
            assert!(!places.go_on(&mut drain));
            assert_eq!(drain.position(), at, "the drain checked the other participants again");
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

#[cfg(not(any(loom, shuttle)))]
mod late {
    use super::*;
    use kvick_runtime::{BoxFuture, Runtime};
    use std::fmt;
    use std::pin::pin;
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::{Context, Waker};
    use tracing::field::{Field, Visit};
    use tracing::{Event, Metadata, Subscriber, span};

    /// A runtime whose clock advances while a task sleeps, by at least a millisecond.
    #[derive(Debug, Default)]
    struct Drowsy {
        sleeps: AtomicUsize,
        millis: AtomicUsize,
    }

    impl Runtime for Drowsy {
        fn spawn(&self, _name: &'static str, _future: BoxFuture<'static, ()>) {
            panic!("a drain spawns nothing");
        }

        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            self.sleeps.fetch_add(1, Relaxed);
            let millis = usize::try_from(duration.as_millis()).expect("short");
            self.millis.fetch_add(millis.max(1), Relaxed);
            Box::pin(yield_once())
        }

        fn now(&self) -> Duration {
            Duration::from_millis(self.millis.load(Relaxed) as u64)
        }
    }

    /// The log messages about epochs.
    #[derive(Clone, Default)]
    struct Heard(Arc<StdMutex<Vec<String>>>);

    impl Subscriber for Heard {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "kvick::epoch"
        }

        fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

        fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().expect("no panic under it").push(text.0);
        }

        fn enter(&self, _span: &span::Id) {}

        fn exit(&self, _span: &span::Id) {}
    }

    struct Text(String);

    impl Visit for Text {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.0 += &format!("{field}={value:?} ");
        }
    }

    /// Polls a drain that waits for `participant`, `polls` times. Returns the number of sleeps, and
    /// the warnings.
    fn poll(polls: usize, epoch: &Epoch, participant: &mut Participant) -> (usize, Vec<String>) {
        let (runtime, heard) = (Arc::new(Drowsy::default()), Heard::default());
        let handle = Handle::custom(runtime.clone());
        participant.protected(|_guard| {
            let retired = epoch.bump();
            let mut drained = pin!(epoch.drained(retired, &handle));
            tracing::subscriber::with_default(heard.clone(), || {
                for _ in 0..polls {
                    let mut context = Context::from_waker(Waker::noop());
                    assert!(drained.as_mut().poll(&mut context).is_pending());
                }
            });
        });
        let heard = heard.0.lock().expect("no panic under it").clone();
        (runtime.sleeps.load(Relaxed), heard)
    }

    /// The shortest sleep of tokio is a millisecond. So a drain that met a guard took fifteen times
    /// as long there as elsewhere.
    #[test]
    fn a_drain_gives_others_their_turn_before_it_sleeps() {
        let epoch = Epoch::new();
        let (sleeps, _) = poll(TURNS, &epoch, &mut epoch.register());
        assert_eq!(sleeps, 0);
        let (sleeps, _) = poll(TURNS + 10, &epoch, &mut epoch.register());
        assert!(sleeps > 0);
    }

    /// A closure of an `rmw` waited for a checkpoint, which waited for the guard of the closure.
    /// All writers stopped, and no message said why.
    #[test]
    fn who_holds_up_a_drain_is_named_once() {
        let epoch = Epoch::new();
        let _others: Vec<_> = (0..3).map(|_| epoch.register()).collect();
        let mut participant = epoch.register();
        let place = format!("place={} ", participant.number());
        let (_, heard) = poll(TURNS + 900, &epoch, &mut participant);
        assert_eq!(heard, [] as [String; 0], "in less than a second");
        let (_, heard) = poll(TURNS + 3000, &epoch, &mut participant);
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert!(heard[0].contains(&place) && heard[0].contains("a closure blocks"), "{heard:?}");
        assert!(format!("{participant:?}").contains(place.trim().replace('=', ": ").as_str()));
    }
}

#[cfg(loom)]
mod loom_tests {
    use super::slot::UNPROTECTED;
    use super::*;
    use kvick_io::sync::atomic::{AtomicU64, Ordering};
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    /// A reader uses an object while it is linked. A writer unlinks it, bumps, and frees it once
    /// drained. No interleaving may free it while the reader uses it.
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

    /// Checks a drain in several steps against a reader that registers late and enters twice.
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
                epoch.clock.places.go_on(&mut drain) || epoch.clock.places.go_on(&mut drain)
            });
        });
    }

    /// The negative control: the drain counts checks that it made before the bump.
    #[test]
    #[should_panic(expected = "freed under a guard")]
    fn loom_a_drain_that_begins_before_its_bump_is_none() {
        loom::model(|| {
            nothing_is_freed_under_a_guard(|epoch, unlink| {
                let mut drain = Drain::new(u64::MAX);
                let is_done = epoch.clock.places.go_on(&mut drain);
                unlink(epoch);
                is_done
            });
        });
    }

    /// Two participants use one place after each other. The second sees the writes of the first,
    /// and finds the place unprotected.
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
                assert_eq!(
                    written.load(Ordering::Relaxed),
                    1,
                    "the write of the first participant is lost"
                );
            }
            second.protected(|_| ());
            first.join().expect("no panic");
        });
    }

    /// The negative control: a place that counts as free by a counter that orders nothing.
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

    /// Work under protection is visible to the thread that acts after the drain.
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
