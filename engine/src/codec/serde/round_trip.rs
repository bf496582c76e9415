//! Checks that an encoding reads back the value that it wrote.
//!
//! A derived encoding may write bytes that it cannot read. Examples are a field that is left out
//! when it is empty, in a format without field names, and an enum without tags. This must fail when
//! such a value is written, not when it is read years later.

use crate::codec::CodecError;
use std::any::{TypeId, type_name};
use std::cell::RefCell;

/// The number of values of a type that each thread checks first; then it checks one in `SAMPLE`.
const FIRST: u32 = 1024;
const SAMPLE: u32 = 64;

thread_local! {
    /// The types that this thread has encoded, and the number of their values.
    static SEEN: RefCell<Vec<(TypeId, u32)>> = const { RefCell::new(Vec::new()) };
}

/// Returns whether the next value of `T` is checked. Builds with debug assertions check every
/// value.
#[inline]
pub(super) fn is_due<T: 'static>() -> bool {
    cfg!(debug_assertions) || is_sampled::<T>()
}

fn is_sampled<T: 'static>() -> bool {
    let wanted = TypeId::of::<T>();
    let look = |seen: &RefCell<Vec<(TypeId, u32)>>| {
        let mut seen = seen.borrow_mut();
        let place = seen.iter().position(|(id, _)| *id == wanted).unwrap_or_else(|| {
            seen.push((wanted, 0));
            seen.len() - 1
        });
        let count = &mut seen[place].1;
        *count = count.wrapping_add(1).max(1);
        *count <= FIRST || count.is_multiple_of(SAMPLE)
    };
    // A destructor of a thread that ends may find it gone.
    SEEN.try_with(look).unwrap_or(true)
}

/// Compares the written bytes with the bytes of the value that was read back.
///
/// # Errors
/// Fails if they differ by more than the order of their bytes. An unordered map in the value may
/// come back in another order.
#[cold]
pub(super) fn check<T>(
    written: &[u8],
    read_back: Result<T, CodecError>,
    write: impl FnOnce(&T) -> Result<Vec<u8>, CodecError>,
) -> Result<(), CodecError> {
    let again = read_back.and_then(|value| write(&value));
    let reason = match again {
        Ok(again) if is_alike(written, &again) => return Ok(()),
        Ok(_) => "what is read back is another value".to_owned(),
        Err(error) => format!("what is written does not read back ({error})"),
    };
    Err(CodecError::new(format!(
        "{}: {reason}; fields that are skipped, flattened or untagged need another encoding",
        type_name::<T>()
    )))
}

fn is_alike(one: &[u8], other: &[u8]) -> bool {
    let counts = |bytes: &[u8]| {
        let mut counts = [0_u32; 256];
        bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        counts
    };
    one == other || one.len() == other.len() && counts(one) == counts(other)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_first_values_are_checked_and_then_a_sample() {
        let due = (0..FIRST + 64 * 100).filter(|_| is_sampled::<[u8; 77]>()).count();
        assert_eq!(due, 1024 + 100);
        assert!(is_sampled::<[u8; 78]>(), "each type has a count of its own");
    }

    #[test]
    fn another_order_is_alike_and_other_bytes_are_not() {
        assert!(is_alike(b"", b"") && is_alike(b"abc", b"cab"));
        assert!(!is_alike(b"abc", b"abd") && !is_alike(b"abc", b"ab"));
    }
}
