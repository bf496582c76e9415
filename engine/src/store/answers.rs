//! The answers of writes, and the decision of an update.

/// The state of a key before it was set or deleted, as far as memory shows it.
///
/// [`upsert`](crate::Session::upsert) and [`delete`](crate::Session::delete) read nothing from the
/// device, so they cannot always know. `Present` and `Absent` are exact, also beside concurrent
/// operations on the key. [`replace`](crate::Session::replace) and
/// [`take`](crate::Session::take) always know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Previous {
    /// The key had a value.
    Present,
    /// The key had no value.
    Absent,
    /// Memory does not show it: the record is on the device, or other operations may be changing
    /// it.
    Unknown,
}

impl Previous {
    #[inline(always)]
    pub(in crate::store) fn of(was_present: bool) -> Self {
        if was_present { Self::Present } else { Self::Absent }
    }

    /// Returns whether the key had a value; `None` if that is unknown.
    ///
    /// ```
    /// use kvick::session::Previous;
    ///
    /// assert_eq!(Previous::Present.known(), Some(true));
    /// assert_eq!(Previous::Unknown.known(), None);
    /// ```
    #[must_use]
    pub fn known(self) -> Option<bool> {
        match self {
            Self::Present => Some(true),
            Self::Absent => Some(false),
            Self::Unknown => None,
        }
    }
}

/// The decision of the closure of [`update`](crate::Session::update), with its answer to the
/// caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update<T, R = ()> {
    /// Keeps the value, or its absence.
    Keep(R),
    /// Sets this value.
    Put(T, R),
    /// Removes the value, if there is one.
    Remove(R),
}
