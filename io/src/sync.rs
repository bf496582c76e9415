//! The primitives of protocol code: `std`, `loom` under `cfg(loom)`, or `shuttle` under
//! `cfg(shuttle)`.
//!
//! Code whose ordering a loom test checks imports its atomics, cells and wakers only from here.
//! [`UnsafeCell`] gives pointers to closures, as loom's does, so that loom sees how long each
//! access lasts. [`AtomicWaker`] has the same small API over either crate.

use std::fmt;
use std::task::Waker;

#[cfg(not(any(loom, shuttle)))]
pub use std::sync::{Arc, Mutex, MutexGuard, RwLock};

#[cfg(shuttle)]
pub use shuttle::sync::{Arc, Mutex, MutexGuard, RwLock};

#[cfg(loom)]
pub use loom::sync::{Arc, Mutex, MutexGuard, RwLock};

/// Atomic types and fences.
pub mod atomic {
    #[cfg(not(any(loom, shuttle)))]
    pub use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, fence,
    };

    #[cfg(shuttle)]
    pub use shuttle::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, fence,
    };

    #[cfg(loom)]
    pub use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, fence,
    };

    pub use std::sync::atomic::{Ordering, compiler_fence};
}

/// Hints to the processor or to the model checker.
pub mod hint {
    #[cfg(not(any(loom, shuttle)))]
    pub use std::hint::spin_loop;

    #[cfg(shuttle)]
    pub use shuttle::hint::spin_loop;

    #[cfg(loom)]
    pub use loom::hint::spin_loop;
}

/// The thread functions that protocol code and its tests need.
pub mod thread {
    #[cfg(not(any(loom, shuttle)))]
    pub use std::thread::yield_now;

    #[cfg(shuttle)]
    pub use shuttle::thread::yield_now;

    #[cfg(loom)]
    pub use loom::thread::yield_now;
}

/// A cell that gives a raw pointer to its contents to a closure.
#[cfg(not(loom))]
#[derive(Default)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Calls `f` with a pointer for reading.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Calls `f` with a pointer for reading and writing.
    #[inline]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

#[cfg(not(loom))]
impl<T> fmt::Debug for UnsafeCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsafeCell(..)")
    }
}

#[cfg(loom)]
pub use loom::cell::UnsafeCell;

/// A slot for one waker: one task registers, any thread wakes.
pub struct AtomicWaker {
    #[cfg(not(loom))]
    waker: atomic_waker::AtomicWaker,
    #[cfg(loom)]
    waker: loom::future::AtomicWaker,
}

impl AtomicWaker {
    /// Creates an empty slot.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self { waker: atomic_waker::AtomicWaker::new() }
    }

    /// Creates an empty slot.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self { waker: loom::future::AtomicWaker::new() }
    }

    /// Replaces the waker. The caller must check its condition once more afterwards, because an
    /// earlier wake is not remembered.
    #[inline]
    pub fn register(&self, waker: &Waker) {
        #[cfg(not(loom))]
        self.waker.register(waker);
        #[cfg(loom)]
        self.waker.register_by_ref(waker);
    }

    /// Wakes and removes the registered waker, if any.
    #[inline]
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Removes and returns the registered waker.
    #[inline]
    pub fn take(&self) -> Option<Waker> {
        #[cfg(not(loom))]
        return self.waker.take();
        #[cfg(loom)]
        return self.waker.take_waker();
    }
}

impl Default for AtomicWaker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for AtomicWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtomicWaker(..)")
    }
}
