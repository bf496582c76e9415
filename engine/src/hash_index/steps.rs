//! The state of the task that makes steps.

pub(super) mod hold;

use super::entry::HashBucketEntry;
use kvick_io::sync::hint::spin_loop;
use kvick_io::sync::thread;

/// The looks at a bucket in which a step works, before the thread lets others run.
const SPINS: u32 = if cfg!(any(loom, shuttle)) { 0 } else { 256 };

/// The state of the task that makes a step.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// The number of steps so far, which is the version of the buckets of the next.
    pub(super) made: u64,
    /// Lines that were taken out of their buckets.
    pub(super) retired: Vec<u64>,
    /// The next bucket that is tidied.
    pub(super) tidied: u64,
    /// The number of images that are being copied. An image goes up from bucket to bucket, so no
    /// entry may move down.
    pub(super) images: usize,
    /// Room for the entries of the buckets of a step.
    room: Room,
}

/// Room for entries, so that a step allocates only if its buckets have overflow lines.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The entries of the buckets that a step freezes.
    pub(super) all: Vec<HashBucketEntry>,
    /// Those that a split moves up.
    pub(super) up: Vec<HashBucketEntry>,
    /// Those that stay.
    pub(super) stay: Vec<HashBucketEntry>,
}

impl Steps {
    /// Does the work of a step in its room, which is empty.
    pub(super) fn in_room<T>(&mut self, work: impl FnOnce(&mut Room, &mut Self) -> T) -> T {
        let mut room = std::mem::take(&mut self.room);
        for entries in [&mut room.all, &mut room.up, &mut room.stay] {
            entries.clear();
        }
        let done = work(&mut room, self);
        self.room = room;
        done
    }
}

/// Waits a moment for a step or a creator. If its thread was preempted, this thread gives the
/// processor away.
#[cold]
pub(super) fn wait_a_moment(tries: u32) {
    if tries < SPINS {
        spin_loop();
    } else {
        thread::yield_now();
    }
}
