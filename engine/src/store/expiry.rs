//! The expiry of a key, as callers set it and see it.

use super::moment::Moment;
use crate::base::wall_clock::WallTime;
use crate::record::ExpiryWord;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time at which a key expires: from then on it is absent for every operation.
///
/// Keys of a table of [`Expiring`](crate::codec::Expiring) values expire. A key expires at a whole
/// second of the [clock of the store](crate::Builder::clock), and never before its time: a fraction
/// of a second counts as a whole one. Times from 2106 on are never.
///
/// ```
/// use kvick::codec::Expiring;
/// use kvick::session::Expiry;
/// use kvick::{Config, FasterKv};
/// # use kvick::io::MemoryDirectory;
/// # use std::sync::Arc;
/// # use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::{Duration, UNIX_EPOCH};
///
/// # kvick::runtime::block_on(async {
/// let second = Arc::new(AtomicU64::new(1_800_000_000)); // a clock that the example sets
/// let shown = second.clone();
/// let store: FasterKv<str, Expiring<u64>> = FasterKv::builder(Config::default())
///     .clock(move || UNIX_EPOCH + Duration::from_secs(shown.load(Ordering::Relaxed)))
/// #     .directory(Arc::new(MemoryDirectory::new()))
///     .open_in_directory()
///     .await?;
///
/// store.upsert_with("token", &7, Expiry::after(Duration::from_secs(60))).await?;
/// let at = Expiry::at(UNIX_EPOCH + Duration::from_secs(1_800_000_060));
/// assert_eq!(store.expiry("token").await?, Some(at));
///
/// second.store(1_800_000_059, Ordering::Relaxed);
/// assert_eq!(store.read("token").await?, Some(7));
/// second.store(1_800_000_060, Ordering::Relaxed);
/// assert_eq!(store.read("token").await?, None);
/// assert!(store.insert_if_absent("token", &8).await?);
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Expiry(Kind);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    At(ExpiryWord),
    After(Duration),
}

impl Expiry {
    /// Returns the expiry of a key that stays until it is deleted.
    #[must_use]
    pub const fn never() -> Self {
        Self(Kind::At(ExpiryWord::NEVER))
    }

    /// Returns the expiry at a time. A key whose time has passed is absent at once.
    #[must_use]
    pub fn at(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(Kind::At(ExpiryWord::at(since.as_secs(), since.subsec_nanos())))
    }

    /// Returns the expiry after a duration, which begins when the operation takes effect.
    #[must_use]
    pub const fn after(duration: Duration) -> Self {
        Self(Kind::After(duration))
    }

    /// Returns the time, a whole second; `None` for [`never`](Self::never), and for
    /// [`after`](Self::after), which is no time yet.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        match self.0 {
            Kind::At(expiry) => {
                expiry.second().map(|second| UNIX_EPOCH + Duration::from_secs(second.into()))
            }
            Kind::After(_) => None,
        }
    }

    pub(crate) const fn of_word(expiry: ExpiryWord) -> Self {
        Self(Kind::At(expiry))
    }

    /// Returns the word of a record that an operation writes at `moment`.
    pub(in crate::store) fn word(self, moment: &Moment<'_>) -> ExpiryWord {
        match self.0 {
            Kind::At(expiry) => expiry,
            Kind::After(_) => self.word_at(moment.time()),
        }
    }

    /// Returns the word of a record that an operation writes at `now`.
    pub(in crate::store) fn word_at(self, now: WallTime) -> ExpiryWord {
        match self.0 {
            Kind::At(expiry) => expiry,
            Kind::After(duration) => {
                let now = Duration::new(now.second.into(), now.nanos);
                let at = now.saturating_add(duration);
                ExpiryWord::at(at.as_secs(), at.subsec_nanos())
            }
        }
    }
}

impl fmt::Debug for Expiry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::At(expiry) => match expiry.second() {
                Some(second) => write!(formatter, "at({second} s since 1970)"),
                None => formatter.write_str("never()"),
            },
            Kind::After(duration) => write!(formatter, "after({duration:?})"),
        }
    }
}
