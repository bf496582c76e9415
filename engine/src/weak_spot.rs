//! Weak spots, for the tests that run whole operations under random schedules: where a thread is
//! put aside, and mistakes that negative controls make on purpose. Every other build has none.
//!
//! The scheduler of those tests runs all their threads on one thread of the system, so what a test
//! asks for is kept beside that.

#[cfg(shuttle)]
mod asked {
    use shuttle::rand::Rng;
    use std::cell::Cell;

    std::thread_local! {
        static ASKED: Cell<WeakSpots> = const { Cell::new(WeakSpots::NONE) };
        static STAGE: Cell<Stage> = const { Cell::new(Stage::Changeable) };
    }

    /// How far the freeze of a snapshot has come.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Stage {
        /// It has not begun.
        Changeable,
        /// Records are copied when they change.
        Frozen,
        /// The lower floor has come down.
        Thawing,
    }

    /// What a run does wrong, or slowly.
    #[derive(Clone, Copy, Debug)]
    pub struct WeakSpots {
        /// A thaw waits for one drain in place of two.
        pub one_drain: bool,
        /// How many others may run between finding an entry and looking at a record, at most.
        pub pauses: u32,
    }

    impl WeakSpots {
        /// All is as it should be.
        pub const NONE: Self = Self { one_drain: false, pauses: 0 };

        /// From now on; no freeze has begun.
        pub fn set(self) {
            ASKED.set(self);
            STAGE.set(Stage::Changeable);
        }

        /// How far the freeze of this run has come.
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

    /// Puts the thread aside, at random.
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
    pub(crate) const fn pause() {}
}

#[cfg(not(shuttle))]
pub(crate) use asked::Stage;
#[cfg(shuttle)]
pub use asked::{Stage, WeakSpots};
pub(crate) use asked::{enter, is_thawed_after_one_drain, pause};
