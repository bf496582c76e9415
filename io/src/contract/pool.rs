//! A pool of recycled buffers, so that a read in steady state allocates nothing.
//!
//! The pool keeps buffers on shelves by size class: powers of two from 512 bytes to 1 MiB. A larger
//! buffer is allocated and freed each time; it is rare, and keeping it would use up the budget.
//! Shelves are lock-free queues. The budget is one counter, raised before a buffer is kept and
//! lowered when it leaves, so the retained bytes never exceed it. Buffers in use count too: the
//! pool keeps no buffer while the buffers in use alone reach the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;

use crate::contract::buf::{AlignedBuf, Home, SMALLEST};

/// A pool of [`AlignedBuf`]s by size class. Clones share the pool.
///
/// ```
/// let pool = kvick_io::BufPool::new(1 << 20);
/// let buf = pool.take(512);
/// assert_eq!((buf.len(), pool.outstanding_bytes()), (512, 512));
/// drop(buf);
/// assert_eq!((pool.retained_bytes(), pool.outstanding_bytes()), (512, 0));
/// ```
#[derive(Clone, Debug)]
pub struct BufPool {
    shelves: Arc<Shelves>,
}

/// The shared state of a pool. A pooled buffer returns to it.
#[derive(Debug)]
struct Shelves {
    // Any thread, atomic.
    max_retained: AtomicUsize,
    classes: [ArrayQueue<AlignedBuf>; CLASSES],
    retained: CachePadded<AtomicUsize>,
    outstanding: CachePadded<AtomicUsize>,
}

const CLASSES: usize = 12;
const LARGEST_CLASS: usize = SMALLEST << (CLASSES - 1);
/// The largest number of idle buffers of one class: several times the depth of any device.
const SHELF_LIMIT: usize = 1024;

impl BufPool {
    /// Creates an empty pool that keeps at most `max_retained_bytes` of unused buffers.
    pub fn new(max_retained_bytes: usize) -> Self {
        let classes = std::array::from_fn(|class| {
            ArrayQueue::new((max_retained_bytes / (SMALLEST << class)).clamp(1, SHELF_LIMIT))
        });
        let shelves = Shelves {
            max_retained: AtomicUsize::new(max_retained_bytes),
            classes,
            retained: CachePadded::default(),
            outstanding: CachePadded::default(),
        };
        Self { shelves: Arc::new(shelves) }
    }

    /// Returns a buffer of `len` bytes. Its contents are initialised but unspecified. It returns to
    /// the pool when dropped.
    pub fn take(&self, len: usize) -> AlignedBuf {
        let mut buf = self.shelves.reuse(len).unwrap_or_else(|| {
            AlignedBuf::zeroed(class_of(len).map_or(len, |class| SMALLEST << class))
        });
        buf.set_len(len);
        // Relaxed: a statistic; the buffer itself moves to the caller.
        self.shelves.outstanding.fetch_add(buf.capacity(), Ordering::Relaxed);
        buf.set_home(Some(Arc::clone(&self.shelves) as Arc<dyn Home>));
        buf
    }

    /// Sets the limit of bytes of unused buffers, and frees unused buffers beyond it.
    ///
    /// The pool has room for as many buffers as its first limit, so a higher limit may not be
    /// reached.
    pub fn set_max_retained(&self, bytes: usize) {
        // Relaxed: a limit that is seen late is kept late.
        self.shelves.max_retained.store(bytes, Ordering::Relaxed);
        // The largest buffers first.
        for class in (0..CLASSES).rev() {
            while self.retained_bytes() > bytes {
                // The buffer has no home here, so its drop frees it.
                let Some(buf) = self.shelves.reuse(SMALLEST << class) else {
                    break;
                };
                drop(buf);
            }
        }
    }

    /// Returns the bytes of unused buffers that the pool keeps.
    pub fn retained_bytes(&self) -> usize {
        self.shelves.retained.load(Ordering::Relaxed)
    }

    /// Returns the bytes of buffers that callers or devices hold: taken and not yet dropped.
    pub fn outstanding_bytes(&self) -> usize {
        self.shelves.outstanding.load(Ordering::Relaxed)
    }
}

impl Shelves {
    fn reuse(&self, len: usize) -> Option<AlignedBuf> {
        let buf = self.classes[class_of(len)?].pop()?;
        // Relaxed: only the sum matters; the queue orders the buffer itself.
        self.retained.fetch_sub(buf.capacity(), Ordering::Relaxed);
        Some(buf)
    }
}

impl Home for Shelves {
    /// Keeps the buffer if the budget allows, else frees it.
    fn put_back(&self, buf: AlignedBuf) {
        let capacity = buf.capacity();
        let before = self.outstanding.fetch_sub(capacity, Ordering::Relaxed);
        debug_assert!(before >= capacity, "more bytes came back than were taken");
        let Some(class) = class_of(capacity) else {
            return;
        };
        debug_assert_eq!(SMALLEST << class, capacity, "pooled buffers fill their class");
        let retained = self.retained.fetch_add(capacity, Ordering::Relaxed) + capacity;
        if retained + (before - capacity) > self.max_retained.load(Ordering::Relaxed)
            || self.classes[class].push(buf).is_err()
        {
            self.retained.fetch_sub(capacity, Ordering::Relaxed);
        }
    }
}

/// Returns the class whose buffers hold `len` bytes, or `None` if `len` exceeds every class.
fn class_of(len: usize) -> Option<usize> {
    if len > LARGEST_CLASS {
        return None;
    }
    let sectors = len.div_ceil(SMALLEST).max(1).next_power_of_two();
    Some(sectors.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_powers_of_two_up_to_a_mebibyte() {
        assert_eq!(class_of(0), Some(0));
        assert_eq!(class_of(512), Some(0));
        assert_eq!(class_of(513), Some(1));
        assert_eq!(class_of(4096), Some(3));
        assert_eq!(class_of(1 << 20), Some(11));
        assert_eq!(class_of((1 << 20) + 1), None);
    }

    #[test]
    fn a_buffer_is_reused_and_the_budget_holds() {
        let pool = BufPool::new(8192);
        let first = pool.take(100);
        let address = first.as_ptr();
        drop(first);
        assert_eq!(pool.take(512).as_ptr(), address);

        let pool = BufPool::new(8192);
        let many: Vec<_> = (0..8).map(|_| pool.take(4096)).collect();
        assert_eq!(pool.outstanding_bytes(), 8 * 4096);
        drop(many);
        assert_eq!(pool.retained_bytes(), 8192);
        assert_eq!(pool.outstanding_bytes(), 0);
    }

    #[test]
    fn a_lower_limit_frees_unused_buffers() {
        let pool = BufPool::new(64 << 10);
        let many: Vec<_> = [4096, 512, 4096, 1024].map(|bytes| pool.take(bytes)).into();
        drop(many);
        pool.set_max_retained(2000);
        assert_eq!(pool.retained_bytes(), 1536);
        drop(pool.take(4096));
        assert_eq!(pool.retained_bytes(), 1536, "it keeps no more than it may");
        pool.set_max_retained(64 << 10);
        drop(pool.take(4096));
        assert_eq!(pool.retained_bytes(), 4096 + 1536);
    }

    #[test]
    fn large_buffers_are_counted_but_not_kept() {
        let pool = BufPool::new(64 << 20);
        let large = pool.take(3 << 20);
        assert_eq!(pool.outstanding_bytes(), 3 << 20);
        drop(large);
        assert_eq!((pool.retained_bytes(), pool.outstanding_bytes()), (0, 0));
    }
}
