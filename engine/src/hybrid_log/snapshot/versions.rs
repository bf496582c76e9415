//! The end of a version of the store: for the log, an address.
//!
//! The caller holds the version barrier (`Cut`). No operation changes anything between the first of
//! these calls and the end of the barrier. So every record below the end belongs to the version
//! that ends, and every later record to the next version.
//!
//! # Invariants
//! 1. A mark that moves *down* needs two drains. All other marks move up, and one drain is enough:
//!    it waits for operations that saw the old mark. A mark that comes down makes a record
//!    changeable again while other operations copy it. After the first drain, no copy of the record
//!    is linked any more. But an operation that entered meanwhile may have found the entry before
//!    the last copy was linked. It would change, in place, a record that no entry leads to. The
//!    second drain waits for such operations.
//! 2. A freeze stores the pin of pages before it loads `flushed`, and eviction loads `flushed`
//!    before it loads the pin. So an eviction up to a mark that a capture has not counted on sees
//!    the pin. This holds even if the drivers of a log run on several threads.

use crate::base::address::Address;
use crate::base::weak_spot;
use crate::hybrid_log::pages::region::NOT_PINNED;
use crate::hybrid_log::parts::LogParts;
use crate::record::RecordInfo;
use kvick_io::sync::atomic::{Ordering, fence};

/// The ends of the versions of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions<'l>(pub(in crate::hybrid_log) &'l LogParts);

impl Versions<'_> {
    /// Ends a version and returns its end. A flush can end there, and no record is after it.
    pub(crate) fn end_version(self) -> Address {
        let LogParts { tail, file, .. } = self.0;
        let end = tail.pad(file.units().block_payload());
        debug_assert_eq!(end, tail.address(), "nothing is appended during a barrier");
        debug_assert_eq!(end, file.units().unit_start(end), "a version ends with a unit");
        end
    }

    /// Makes everything below `end` permanently immutable. It will then be flushed. No operation is
    /// in the middle of a change, so there is none to wait for.
    pub(crate) fn fold_over(self, end: Address) {
        let LogParts { tail, requests, .. } = self.0;
        let marks = self.0.pages.marks();
        assert!(end <= tail.address(), "only what was handed out becomes read-only");
        assert!(marks.flushed.load() <= end, "nothing above the end of a version was written");
        marks.read_only.raise(end);
        marks.safe_read_only.raise(end);
        marks.check();
        requests.events.read_only.notify(usize::MAX);
    }

    /// Keeps everything below `end` unchanged until its [`thaw`](Self::thaw). Freezes may overlap.
    pub(crate) fn freeze(self, end: Address) {
        let LogParts { tail, requests, .. } = self.0;
        let marks = self.0.pages.marks();
        assert!(end <= tail.address(), "only what was handed out is frozen");
        debug_assert!(marks.read_only.load() <= end, "a version ends above the marks: {end:?}");
        marks.safe_read_only.freeze(end);
        marks.read_only.freeze(end);
        weak_spot::enter(weak_spot::Stage::Frozen);
        marks.check();
        requests.events.read_only.notify(usize::MAX);
    }

    /// Freezes like [`freeze`](Self::freeze), and keeps everything in memory until
    /// [`unpin`](Self::unpin). Returns the flushed mark: the range from there to `end` is to be
    /// captured.
    pub(crate) fn freeze_pinned(self, end: Address) -> Address {
        let marks = self.0.pages.marks();
        let pinned = marks.pinned.load(Ordering::Relaxed);
        assert_eq!(pinned, NOT_PINNED, "one capture at a time");
        // Everything is pinned before `flushed` is loaded (invariant 2).
        marks.pinned.store(Address::FIRST.raw(), Ordering::Relaxed);
        // Pairs with the fence in `reachable`: eviction sees the pin, or this load sees its
        // `flushed`.
        fence(Ordering::SeqCst);
        let flushed = marks.flushed.load().min(end);
        assert!(marks.head.load() <= flushed, "what is to be captured is in memory");
        // Release: pairs with the Acquire of eviction.
        marks.pinned.store(flushed.raw(), Ordering::Release);
        self.freeze(end);
        flushed
    }

    /// Lets pages leave memory that only a capture kept there.
    pub(crate) fn unpin(self) {
        let LogParts { requests, .. } = self.0;
        let marks = self.0.pages.marks();
        assert_ne!(marks.pinned.load(Ordering::Relaxed), NOT_PINNED, "it follows a freeze");
        marks.pinned.store(NOT_PINNED, Ordering::Release);
        requests.notify_demand();
    }

    /// Ends one freeze up to each of `ends`. Addresses are mutable again, unless another freeze
    /// reaches beyond them.
    pub(crate) async fn thaw(self, ends: &[Address]) {
        let LogParts { requests, .. } = self.0;
        let marks = self.0.pages.marks();
        for end in ends {
            marks.safe_read_only.thaw(*end);
        }
        weak_spot::enter(weak_spot::Stage::Thawing);
        // An operation that saw a frozen record as final may read it in place, or link a copy.
        self.0.drain().await;
        if !weak_spot::is_thawed_after_one_drain() {
            // Operations that found an entry before the last of those copies was linked have left
            // after this drain.
            self.0.drain().await;
        }
        for end in ends {
            marks.read_only.thaw(*end);
        }
        requests.events.read_only.notify(usize::MAX);
    }

    /// Sets the version tag of records that are changed from now on.
    pub(crate) fn set_version_tag(self, version_tag: u64) {
        debug_assert_eq!(
            version_tag,
            RecordInfo::from_raw(version_tag).version_tag(),
            "a tag shares its word with an address"
        );
        // Relaxed: set during a barrier. Every operation that continues afterwards has seen its
        // end.
        self.0.pages.marks().version_tag.store(version_tag, Ordering::Relaxed);
    }
}
