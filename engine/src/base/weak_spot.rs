//! Weak spots, for tests that run whole operations under random schedules.
//!
//! They are places where a thread is suspended, and mistakes that negative controls make on
//! purpose. Every other build has none. The scheduler of these tests runs all threads on one thread
//! of the system, so the requests of a test are kept in thread-local memory.

#[cfg(shuttle)]
mod asked {
    use shuttle::rand::Rng;
    use std::cell::Cell;

    std::thread_local! {
        static ASKED: Cell<WeakSpots> = const { Cell::new(WeakSpots::NONE) };
        static STAGE: Cell<Stage> = const { Cell::new(Stage::Changeable) };
    }

    /// The progress of the freeze of a snapshot.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Stage {
        /// The freeze has not begun.
        Changeable,
        /// Records are copied when they change.
        Frozen,
        /// The lower floor has come down.
        Thawing,
    }

    /// The errors and delays of a run.
    #[derive(Clone, Copy, Debug)]
    pub struct WeakSpots {
        /// A thaw waits for one drain in place of two.
        pub one_drain: bool,
        /// A removal takes the word of a frozen record for final at once.
        pub no_drain: bool,
        /// The begin of the log moves without a drain.
        pub begins_at_once: bool,
        /// A change is logged without the stripe of its key.
        pub no_stripe: bool,
        /// A copy, of compaction or of a read of a cache, is linked under the entry that is there
        /// now.
        pub copies_anew: bool,
        /// The limit of turns of other threads between finding an entry and reading a record.
        pub pauses: u32,
    }

    impl WeakSpots {
        /// No error and no delay.
        pub const NONE: Self = Self {
            one_drain: false,
            no_drain: false,
            begins_at_once: false,
            no_stripe: false,
            copies_anew: false,
            pauses: 0,
        };

        /// Sets the weak spots from now on. No freeze has begun.
        pub fn set(self) {
            ASKED.set(self);
            STAGE.set(Stage::Changeable);
        }

        /// Returns the progress of the freeze of this run.
        pub fn stage() -> Stage {
            STAGE.get()
        }
    }

    pub(crate) fn enter(stage: Stage) {
        STAGE.set(stage);
    }

    pub(crate) fn is_thawed_after_one_drain() -> bool {
        ASKED.get().one_drain
    }

    pub(crate) fn is_removed_without_drain() -> bool {
        ASKED.get().no_drain
    }

    pub(crate) fn begins_without_drain() -> bool {
        ASKED.get().begins_at_once
    }

    pub(crate) fn is_logged_without_stripe() -> bool {
        ASKED.get().no_stripe
    }

    pub(crate) fn is_copied_anew() -> bool {
        ASKED.get().copies_anew
    }

    /// Suspends the thread, at random.
    pub(crate) fn pause() {
        let most = ASKED.get().pauses;
        let pauses = if most > 0 { shuttle::rand::thread_rng().gen_range(0..most) } else { 0 };
        (0..pauses).for_each(|_| shuttle::thread::yield_now());
    }
}

#[cfg(not(shuttle))]
mod asked {
    pub(crate) enum Stage {
        Frozen,
        Thawing,
    }

    #[inline(always)]
    pub(crate) const fn enter(_stage: Stage) {}

    #[inline(always)]
    pub(crate) const fn is_thawed_after_one_drain() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn is_removed_without_drain() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn begins_without_drain() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn is_logged_without_stripe() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn is_copied_anew() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn pause() {}
}

#[cfg(not(shuttle))]
pub(crate) use asked::Stage;
#[cfg(shuttle)]
pub use asked::{Stage, WeakSpots};
pub(crate) use asked::{
    begins_without_drain, enter, is_copied_anew, is_logged_without_stripe,
    is_removed_without_drain, is_thawed_after_one_drain, pause,
};
