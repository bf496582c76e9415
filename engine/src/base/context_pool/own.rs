//! Resources that belong to threads.

#![expect(unsafe_code, reason = "a thread shares nothing with others in its own resource")]

use super::CachePadded;
use super::thread_number::{NUMBERS, ThreadNumber};
use std::cell::{RefCell, RefMut};
use std::sync::OnceLock;

/// A resource for each thread number, made when its first thread needs it. Threads with the same
/// number use it one after the other.
pub(super) struct OwnContexts<T: Send>(Box<[OnceLock<Box<Own<T>>>]>);

/// A resource that only the thread with its number reaches.
struct Own<T>(CachePadded<RefCell<T>>);

// SAFETY: `OwnContexts` borrows it only for a `ThreadNumber`, which one thread at a time has, and
// whose return happens before the next thread takes it. So no two threads use it at the same time,
// and what moves from one to the next is `Send`. A thread that ends the process while it borrows
// may return its number before that. It never gives the borrow back, and the next thread sees the
// flag of the `RefCell`.
unsafe impl<T: Send> Sync for Own<T> {}

impl<T: Send> OwnContexts<T> {
    pub(super) fn new() -> Self {
        Self(std::iter::repeat_with(OnceLock::new).take(NUMBERS).collect())
    }

    /// Returns the resource of this thread, unless it is in use.
    #[inline(always)]
    pub(super) fn get(&self) -> Option<RefMut<'_, T>> {
        let own = self.0.get(ThreadNumber::get()?.index())?.get()?;
        own.0.try_borrow_mut().ok()
    }

    /// Makes the resource of this thread, if there is none for its number, and returns it unless it
    /// is in use.
    pub(super) fn make(&self, make: impl FnOnce() -> T) -> Option<RefMut<'_, T>> {
        let place = self.0.get(ThreadNumber::get_or_take()?.index())?;
        let own = place.get_or_init(|| Box::new(Own(CachePadded::new(RefCell::new(make())))));
        own.0.try_borrow_mut().ok()
    }
}
