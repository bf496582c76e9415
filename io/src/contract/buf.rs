//! Owned, aligned bytes: the only kind of memory that a caller lends to a device.
//!
//! Direct I/O needs addresses aligned to the sector of the device, and transfers whole sectors. So
//! a buffer is aligned to its own capacity if that is less than 4096, else to 4096. The kernel may
//! write into a buffer until the operation has ended. So a buffer is owned, never borrowed: it
//! moves into the operation and comes back with the result.
//!
//! Invariants: `start` points to `capacity` initialised bytes allocated with [`layout`];
//! `capacity` is a power of two from [`SMALLEST`] on, or a multiple of [`ALIGNMENT`];
//! `len <= capacity`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

/// Owned bytes, initialised and aligned, for devices with sectors of up to 4096 bytes.
///
/// The capacity is 512, 1024, 2048, or a multiple of 4096. The alignment equals the capacity, up to
/// 4096, so a transfer of whole sectors is aligned to sectors. A transfer moves `len()` bytes. A
/// buffer taken from a [`BufPool`](crate::BufPool) returns to the pool when it is dropped.
///
/// ```
/// let mut buf = kvick_io::AlignedBuf::zeroed(512);
/// buf[0] = 7;
/// assert_eq!((buf.len(), buf.capacity()), (512, 512));
/// ```
pub struct AlignedBuf {
    start: NonNull<u8>,
    len: usize,
    capacity: usize,
    home: Option<Arc<dyn Home>>,
}

/// The place to which a buffer returns when it is dropped.
pub(crate) trait Home: Send + Sync {
    /// Takes back a buffer that has this home.
    fn put_back(&self, buf: AlignedBuf);
}

/// The alignment of buffers of at least this capacity, and the unit of their capacity, in bytes.
pub(crate) const ALIGNMENT: usize = 4096;
/// The smallest capacity: the smallest sector size.
pub(crate) const SMALLEST: usize = 512;

#[expect(unsafe_code, reason = "a uniquely owned allocation may move between threads")]
// SAFETY: this value alone owns the bytes, and `Arc<dyn Home>` is Send.
unsafe impl Send for AlignedBuf {}

#[expect(unsafe_code, reason = "shared references give read access only")]
// SAFETY: a shared reference can only read the bytes.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// Allocates `len` zero bytes.
    ///
    /// # Panics
    /// If `len`, rounded up to 4096, exceeds `isize::MAX`.
    pub fn zeroed(len: usize) -> Self {
        let capacity = if len < ALIGNMENT {
            len.max(SMALLEST).next_power_of_two()
        } else {
            len.checked_next_multiple_of(ALIGNMENT).expect("length is sane")
        };
        let layout = layout(capacity);
        // SAFETY: the layout has a non-zero size: `capacity` is at least `SMALLEST`.
        #[expect(unsafe_code, reason = "aligned allocation has no safe form")]
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, len, capacity, home: None }
    }

    /// Returns the number of bytes in use. A transfer moves that many.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the length is zero.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of allocated bytes.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Changes the length. Bytes that become visible hold earlier contents or zeros.
    ///
    /// # Panics
    /// If `len` exceeds the capacity.
    #[inline]
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity, "length {len} exceeds the capacity {}", self.capacity);
        self.len = len;
    }

    /// Makes the buffer return to `home` when it is dropped. With `None`, the drop frees it.
    pub(crate) fn set_home(&mut self, home: Option<Arc<dyn Home>>) {
        self.home = home;
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            // The same allocation under a new owner. `self` frees nothing on this path.
            let returned =
                Self { start: self.start, len: self.len, capacity: self.capacity, home: None };
            home.put_back(returned);
            return;
        }
        // SAFETY: `zeroed` allocated `start` with this layout (invariants of the module). A buffer
        // with a home left through the branch above.
        #[expect(unsafe_code, reason = "frees what `zeroed` allocated")]
        unsafe {
            dealloc(self.start.as_ptr(), layout(self.capacity));
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `capacity >= len` initialised bytes, owned by `self`.
        #[expect(unsafe_code, reason = "view of the owned allocation")]
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr(), self.len)
        }
    }
}

impl DerefMut for AlignedBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        #[expect(unsafe_code, reason = "view of the owned allocation")]
        unsafe {
            std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len)
        }
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf")
            .field("len", &self.len)
            .field("capacity", &self.capacity)
            .field("pooled", &self.home.is_some())
            .finish()
    }
}

fn layout(capacity: usize) -> Layout {
    let alignment = capacity.min(ALIGNMENT);
    Layout::from_size_align(capacity, alignment).expect("the capacity fits the address space")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_zeroed_aligned_and_rounded_up() {
        for (len, capacity) in [
            (0, 512),
            (1, 512),
            (513, 1024),
            (1024, 1024),
            (2049, 4096),
            (4096, 4096),
            (4097, 8192),
            (100_000, 102_400),
        ] {
            let buf = AlignedBuf::zeroed(len);
            assert_eq!((buf.len(), buf.capacity()), (len, capacity));
            assert_eq!(buf.as_ptr() as usize % capacity.min(ALIGNMENT), 0);
            assert!(buf.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    #[should_panic(expected = "exceeds the capacity")]
    fn length_is_bounded_by_capacity() {
        AlignedBuf::zeroed(1).set_len(4097);
    }
}
