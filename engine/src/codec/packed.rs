//! The bytes of several members, one after the other.

use super::{CodecError, Value};

/// The bytes of an encoded `Option` or tuple; up to 38 bytes need no allocation.
#[derive(Clone, Debug)]
pub struct Packed(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Vec<u8>),
}

const INLINE: usize = 38;
const LENGTH_PREFIX: usize = size_of::<u32>();

impl Packed {
    pub(super) const EMPTY: Self = Self(Repr::Inline { len: 0, bytes: [0; INLINE] });

    #[inline]
    pub(super) fn push(&mut self, more: &[u8]) {
        match &mut self.0 {
            Repr::Heap(bytes) => bytes.extend_from_slice(more),
            Repr::Inline { len, bytes } => {
                let start = usize::from(*len);
                let end = start + more.len();
                if end <= INLINE {
                    bytes[start..end].copy_from_slice(more);
                    *len = u8::try_from(end).expect("INLINE fits a byte");
                } else {
                    let mut heap = Vec::with_capacity(end);
                    heap.extend_from_slice(&bytes[..start]);
                    heap.extend_from_slice(more);
                    self.0 = Repr::Heap(heap);
                }
            }
        }
    }

    /// Adds a member that is not the last. Its length comes first, unless its type has a width.
    pub(super) fn push_member<M: Value>(&mut self, item: &M::Item) -> Result<(), CodecError> {
        let bytes = M::encode(item)?;
        let bytes = bytes.as_ref();
        if M::WIDTH.is_none() {
            let len = u32::try_from(bytes.len()).map_err(|_| {
                let reason = format_args!("{} bytes, a tuple holds 4 GiB a member", bytes.len());
                CodecError::malformed(&M::type_name(), reason)
            })?;
            self.push(&len.to_le_bytes());
        }
        self.push(bytes);
        Ok(())
    }
}

impl AsRef<[u8]> for Packed {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(bytes) => bytes,
        }
    }
}

/// Removes the bytes of one member from the front of `rest` and returns them.
pub(super) fn take_member<'a, M: Value>(rest: &mut &'a [u8]) -> Result<&'a [u8], CodecError> {
    let too_short = |got| CodecError::malformed(&M::type_name(), format_args!("ends after {got}"));
    let width = match M::WIDTH {
        Some(width) => width,
        None => {
            let (prefix, tail) =
                rest.split_first_chunk::<LENGTH_PREFIX>().ok_or_else(|| too_short(rest.len()))?;
            *rest = tail;
            usize::try_from(u32::from_le_bytes(*prefix)).expect("32 bits fit an address")
        }
    };
    let (member, tail) = rest.split_at_checked(width).ok_or_else(|| too_short(rest.len()))?;
    *rest = tail;
    Ok(member)
}

/// Members of an encoded `V`: for a tuple of 2 to 12 types, a tuple of their items, borrowed or
/// not.
///
/// `("tenant", 7)`, `(name.as_str(), 7)` and `(name, 7)` all are members of `(String, u32)`.
pub trait Members<V: Value + ?Sized> {
    #[doc(hidden)]
    fn pack(&self) -> Result<Packed, CodecError>;
}

/// Returns the sum of widths, if all have one.
pub(super) const fn sum(widths: &[Option<usize>]) -> Option<usize> {
    let mut total = 0;
    let mut member = 0;
    while member < widths.len() {
        match widths[member] {
            Some(width) => total += width,
            None => return None,
        }
        member += 1;
    }
    Some(total)
}

const _: () = assert!(size_of::<Packed>() == 40);
