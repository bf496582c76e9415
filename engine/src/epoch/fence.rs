//! The two sides of the fence between announcing protection and reading protected memory.
//!
//! Every operation enters, but a log page needs only a few drains, so the draining side bears the
//! cost. `light` is a compiler fence. `heavy` asks the kernel for a barrier on each processor that
//! runs a thread of this process (`membarrier`). Both are `SeqCst` fences where the kernel refuses,
//! and under loom and Miri, which do not model `membarrier`.
#![cfg_attr(
    all(target_os = "linux", not(any(loom, shuttle, miri))),
    expect(unsafe_code, reason = "membarrier has no safe wrapper")
)]

use kvick_io::sync::atomic::{Ordering, compiler_fence, fence};

/// The kind of fences that this process uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fences {
    asymmetric: bool,
}

impl Fences {
    pub(super) fn new() -> Self {
        Self { asymmetric: register() }
    }

    /// Runs between announcing an epoch and reading. Pairs with `heavy`.
    #[inline(always)]
    pub(super) fn light(self) {
        if !self.asymmetric {
            fence(Ordering::SeqCst);
        }
        compiler_fence(Ordering::SeqCst);
    }

    /// Runs between publishing a change and scanning for participants that may miss it. Pairs with
    /// `light`.
    #[cold]
    pub(super) fn heavy(self) {
        fence(Ordering::SeqCst);
        if self.asymmetric {
            barrier_everywhere();
        }
    }
}

#[cfg(all(target_os = "linux", not(any(loom, shuttle, miri))))]
fn register() -> bool {
    // SAFETY: membarrier takes three integers and touches no memory of this process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_membarrier,
            libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
            0_i32,
            0_i32,
        )
    };
    result == 0
}

#[cfg(all(target_os = "linux", not(any(loom, shuttle, miri))))]
fn barrier_everywhere() {
    // SAFETY: as in `register`.
    let result = unsafe {
        libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0_i32, 0_i32)
    };
    // A registered process is never refused; continuing without the barrier would be unsound.
    assert_eq!(result, 0, "membarrier was registered, then refused");
}

#[cfg(not(all(target_os = "linux", not(any(loom, shuttle, miri)))))]
fn register() -> bool {
    false
}

#[cfg(not(all(target_os = "linux", not(any(loom, shuttle, miri)))))]
fn barrier_everywhere() {
    unreachable!("only a registered process is asymmetric");
}
