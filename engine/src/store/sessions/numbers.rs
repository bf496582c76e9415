//! The numbers of the operations of a session. `state` describes them.

use crate::store::sessions::serials::Serials;

/// The numbers of operations at some moment.
#[derive(Debug)]
pub(super) struct Numbers {
    /// The highest number taken.
    pub(super) top: u64,
    /// The numbers below `top` without an operation.
    pub(super) free: Serials,
    /// The numbers of operations in flight.
    pub(super) put_off: Serials,
}

impl Numbers {
    /// Returns the counter at which no free number has been taken.
    pub(super) fn start(&self) -> u64 {
        self.top - self.free.len()
    }

    /// Returns the lowest number that is excluded from the commit point at this counter.
    pub(super) fn first_excluded(&self, counter: u64) -> Option<u64> {
        let free = self.free.nth(counter - self.start());
        free.into_iter().chain(self.put_off.nth(0)).min()
    }

    /// Returns the number of free numbers that were taken up to this counter.
    pub(super) fn free_taken(&self, counter: u64) -> u64 {
        (counter - self.start()).min(self.free.len())
    }

    /// Applies the counter to the numbers.
    pub(super) fn take_in(&mut self, counter: u64) {
        self.free.remove_lowest(counter - self.start());
        self.top = self.top.max(counter);
    }

    /// Returns the number that belongs to a count.
    pub(super) fn nth(&self, counter: u64) -> u64 {
        match counter.checked_sub(self.start() + 1) {
            Some(below) => self.free.nth(below).unwrap_or(counter),
            None => self.top,
        }
    }

    pub(super) fn put_off(&mut self) -> u64 {
        let serial = self.free.nth(0).unwrap_or(self.top + 1);
        self.free.remove(serial);
        self.top = self.top.max(serial);
        self.put_off.insert(serial);
        serial
    }
}
