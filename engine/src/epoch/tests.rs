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
