//! The table of slots: grows by blocks that never move, and recycles through a lock-free list.
//!
//! The free list is a stack of slot numbers. Its head packs a tag with the number. Every change
//! advances the tag, so a pop detects a head that was popped and pushed again meanwhile (ABA). A
//! slot takes about a hundred bytes. The table never shrinks; its size is the largest number of
//! operations that existed at once.

use std::sync::OnceLock;

use crate::contract::completion::slot::Slot;
use crate::contract::completion::{Completion, CompletionSink};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};
use crate::threads::process::Birthplace;

use crossbeam_utils::CachePadded;

/// The slots of operations in flight, shared by the futures and the devices of a backend.
#[derive(Debug)]
pub(crate) struct OpTable {
    // Each written once, under `grow`.
    chunks: [OnceLock<Box<[CachePadded<Slot>]>>; CHUNKS],
    // Any thread, atomic: tag in the upper half, slot number + 1 in the lower, 0 when empty.
    free: CachePadded<AtomicU64>,
    // Number of chunks in use.
    grow: Mutex<usize>,
    // Fixed: the process that has the threads that complete operations.
    birthplace: Birthplace,
}

/// Chunk `i` holds `FIRST_CHUNK << i` slots.
const CHUNKS: usize = 20;
#[cfg(not(loom))]
const FIRST_CHUNK: u32 = 64;
#[cfg(loom)]
const FIRST_CHUNK: u32 = 1;
const INDEX_MASK: u64 = u32::MAX as u64;
const TAG_ONE: u64 = 1 << 32;

impl OpTable {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: CachePadded::new(AtomicU64::new(0)),
            grow: Mutex::new(0),
            birthplace: Birthplace::here(),
        })
    }

    /// Starts an operation: returns the future for the caller and the sink for the device.
    pub(crate) fn begin(this: &Arc<Self>) -> (Completion, CompletionSink) {
        let index = this.pop();
        let generation = this.slot(index).claim();
        let sink = CompletionSink::new(Arc::clone(this), index, generation);
        (Completion::pending(Arc::clone(this), index, generation), sink)
    }

    pub(super) fn birthplace(&self) -> Birthplace {
        self.birthplace
    }

    pub(super) fn slot(&self, index: u32) -> &Slot {
        // Chunk i begins at FIRST_CHUNK * (2^i - 1).
        let rank = index / FIRST_CHUNK + 1;
        let chunk = rank.ilog2();
        let start = FIRST_CHUNK * ((1 << chunk) - 1);
        let slots = self.chunks[chunk as usize].get().expect("a slot number names a chunk in use");
        &slots[(index - start) as usize]
    }

    /// Returns a slot whose word is FREE.
    pub(super) fn recycle(&self, index: u32) {
        let mut head = self.free.load(Ordering::Relaxed);
        loop {
            let next = u32::try_from(head & INDEX_MASK).expect("masked to 32 bits");
            self.slot(index).next_free.store(next, Ordering::Relaxed);
            let new = (head & !INDEX_MASK).wrapping_add(TAG_ONE) | u64::from(index + 1);
            // Release pairs with the Acquire in `try_pop`: the next owner sees the free slot, its
            // empty cell, and `next_free`.
            match self.free.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(found) => head = found,
            }
        }
    }

    fn pop(&self) -> u32 {
        loop {
            if let Some(index) = self.try_pop() {
                return index;
            }
            self.add_chunk();
        }
    }

    fn try_pop(&self) -> Option<u32> {
        // Acquire, here and below, pairs with the Release in `recycle`.
        let mut head = self.free.load(Ordering::Acquire);
        loop {
            let index =
                u32::try_from(head & INDEX_MASK).expect("masked to 32 bits").checked_sub(1)?;
            // Relaxed: if another thread took the slot meanwhile, this is garbage, and the tag has
            // moved on.
            let next = self.slot(index).next_free.load(Ordering::Relaxed);
            let new = (head & !INDEX_MASK).wrapping_add(TAG_ONE) | u64::from(next);
            match self.free.compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(index),
                Err(found) => head = found,
            }
        }
    }

    #[cold]
    fn add_chunk(&self) {
        let mut used = self.grow.lock().expect("nothing panics while growing");
        // Another thread may have grown the table, or freed a slot, while this thread waited.
        if self.free.load(Ordering::Acquire) & INDEX_MASK != 0 {
            return;
        }
        assert!(*used < CHUNKS, "more than {CHUNKS} chunks of operations in flight");
        let length = FIRST_CHUNK << *used;
        let start = FIRST_CHUNK * ((1 << *used) - 1);
        let slots = (0..length).map(|_| CachePadded::new(Slot::new())).collect();
        self.chunks[*used].set(slots).expect("chunks are added in order, under the lock");
        *used += 1;
        // Downwards, so that low numbers are used first.
        for index in (start..start + length).rev() {
            self.recycle(index);
        }
    }
}
