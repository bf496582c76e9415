//! The pause of callers after the kernel has refused many reads in a row.
//!
//! Some file systems always block, and a device does for a while if its queue is full. Each refusal
//! costs a system call. So after a row of refusals callers give many reads to the ring, and then
//! try again.

use std::sync::atomic::{AtomicU32, Ordering};

/// The refusals since the kernel last took a read.
#[derive(Debug, Default)]
pub(super) struct Caution {
    // Relaxed everywhere: a lost change makes a pause longer or shorter.
    row: AtomicU32,
    pause: AtomicU32,
}

/// The refusals in a row that begin a pause.
const ROW: u32 = 16;
/// The length of a pause, in reads.
const PAUSE: u32 = 4096;

impl Caution {
    /// Returns whether the caller of a read tries it by itself.
    pub(super) fn tries(&self) -> bool {
        let left = self.pause.load(Ordering::Relaxed);
        if left > 0 {
            self.pause.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    /// Records that the kernel has carried out a read.
    pub(super) fn served(&self) {
        if self.row.load(Ordering::Relaxed) > 0 {
            self.row.store(0, Ordering::Relaxed);
        }
    }

    /// Records that the kernel has refused a read.
    #[cold]
    pub(super) fn refused(&self) {
        let row = self.row.load(Ordering::Relaxed) + 1;
        self.row.store(row % ROW, Ordering::Relaxed);
        if row >= ROW {
            self.pause.store(PAUSE, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_refusals_is_followed_by_a_pause() {
        let caution = Caution::default();
        for _ in 0..2 * ROW {
            caution.refused();
            caution.served();
        }
        assert!(caution.tries(), "they were not in a row");
        for _ in 0..2 {
            (0..ROW - 1).for_each(|_| caution.refused());
            assert!(caution.tries());
            caution.refused();
            assert!((0..PAUSE).all(|_| !caution.tries()));
            assert!(caution.tries(), "the pause is over");
        }
    }
}
