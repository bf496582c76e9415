//! Creates entries, in two phases.
//!
//! A creator claims a free slot with a tentative entry. Then it searches the whole bucket for
//! another entry of the same tag, tentative or not, and checks that no step has moved the bucket.
//! If there is another, or the bucket has moved, it frees the slot and starts over; otherwise it
//! completes the entry. Two creators of one prefix cannot both miss the other: the claims are
//! `SeqCst`, so the later creator sees the earlier claim.
//!
//! A step waits for tentative slots before it moves their entries: a creator needs nothing of
//! others to end its claim. If a step closed the slot and opened it again, the late creator would
//! complete the claim of another one, which has not looked for others yet.

use super::entry::{HashBucketEntry, Tag};
use super::line::{Line, Link};
use super::{FoundEntry, HashIndex, LINE_WORDS};
use crate::base::address::Address;
use crate::base::hash::KeyHash;
use kvick_io::sync::atomic::{AtomicU64, Ordering, fence};
use kvick_io::sync::hint::spin_loop;
use std::io;

/// The number of tries of a creator, before it lets other tasks run.
const TRIES: usize = if cfg!(any(loom, shuttle)) { 2 } else { 256 };

/// The growth is told with each of this many lines: 64 KiB.
const TOLD_LINES: u64 = 1024;

/// The reason why there is no entry.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Other tasks are changing the bucket.
    Contended,
    /// The bucket is full, and the system has no memory for another line.
    NoMemory(io::Error),
}

/// The result of a search of a whole bucket for one tag.
enum Search<'i> {
    Found(HashBucketEntry),
    Free(&'i AtomicU64),
    /// The last line, with its link.
    Full(Line<'i>, Link),
    /// A step works on the bucket.
    Frozen,
}

/// The end of a claim.
enum Claim {
    /// The entry is complete.
    Complete(HashBucketEntry),
    /// Another task was faster, or a step moved the bucket.
    Lost,
    /// Another task holds an entry of the tag, to link its first record.
    Held,
}

impl Refused {
    /// Returns the error of a task that shares the index with no other task.
    pub(super) fn without_contention(self) -> io::Error {
        match self {
            Self::NoMemory(error) => error,
            Self::Contended => unreachable!("no other task uses the index"),
        }
    }
}

impl HashIndex {
    /// Returns the entry of `hash`, for which none was found. A new entry has the address `UNSET`.
    ///
    /// # Errors
    /// As for [`find_or_create`](Self::find_or_create).
    #[inline(always)]
    pub(crate) fn create(&self, hash: KeyHash) -> Result<FoundEntry, Refused> {
        Ok(FoundEntry { hash, observed: self.complete_entry(hash)? })
    }

    /// Removes an entry that leads to no record, unless it has changed: its creator writes none.
    ///
    /// It needs no drain. Other operations may have found the entry, and may link a record if the
    /// prefix gets an entry without a record again. A prefix that has had a record gets such an
    /// entry only after a drain. So its addresses only ever go up.
    #[cold]
    pub(crate) fn give_up(&self, entry: FoundEntry) {
        if entry.address() == Address::UNSET {
            self.try_remove(entry);
        }
    }

    #[cold]
    #[inline(never)]
    fn complete_entry(&self, hash: KeyHash) -> Result<HashBucketEntry, Refused> {
        // Before the claim, since a step loses entries that lead to no record yet.
        self.grow_if_full(self.bucket(hash));
        for attempt in 0..TRIES {
            let bucket = self.bucket(hash);
            let link = self.line(bucket, 1).link();
            let word = match self.search(bucket, self.tag(hash)) {
                Search::Found(found) => return Ok(found),
                Search::Free(word) => word,
                Search::Full(line, link) => {
                    self.extend(line, link).map_err(Refused::NoMemory)?;
                    continue;
                }
                Search::Frozen => {
                    spin_loop();
                    continue;
                }
            };
            match self.claim(hash, (bucket, link), word) {
                Claim::Complete(entry) => {
                    self.load.count(bucket, 1);
                    return Ok(entry);
                }
                Claim::Held => return Err(Refused::Contended),
                Claim::Lost => {}
            }
            // Two creators wait for different times, or they could meet forever.
            let unlike = std::ptr::from_ref(word).addr() / 8 % LINE_WORDS;
            for _ in 0..attempt.min(16) * (unlike + 1) {
                spin_loop();
            }
        }
        Err(Refused::Contended)
    }

    /// Makes an entry in a free slot of a bucket with this link.
    fn claim(&self, hash: KeyHash, (bucket, link): (u64, Link), word: &AtomicU64) -> Claim {
        let tag = self.tag(hash);
        let (free, tentative) =
            (HashBucketEntry::FREE.raw(), HashBucketEntry::tentative(tag).raw());
        // SeqCst with the fence below: of two claims of one tag, the later sees the earlier.
        let claim = word.compare_exchange(free, tentative, Ordering::SeqCst, Ordering::Relaxed);
        if claim.is_err() {
            return Claim::Lost;
        }
        fence(Ordering::SeqCst);
        let rival = self.rival_of(bucket, tag, word);
        let is_alone = rival.is_none() && !link.is_frozen();
        let is_sound = is_alone && self.is_unmoved(hash, bucket, link);
        match (Self::end_claim(word, tag, is_sound), rival) {
            (Some(entry), _) => Claim::Complete(entry),
            (None, Some(rival)) if rival.is_held_for_a_record() => Claim::Held,
            (None, _) => Claim::Lost,
        }
    }

    /// Completes an entry that is claimed, or frees its slot. Returns `None` if it is not complete.
    pub(super) fn end_claim(word: &AtomicU64, tag: Tag, is_sound: bool) -> Option<HashBucketEntry> {
        let complete = is_sound.then(|| HashBucketEntry::new(tag, Address::UNSET));
        // Release: only the claim precedes it; pairs with the Acquire of searches.
        let before = word.swap(complete.unwrap_or(HashBucketEntry::FREE).raw(), Ordering::Release);
        assert_eq!(before, HashBucketEntry::tentative(tag).raw(), "only its creator ends a claim");
        complete
    }

    /// Searches the bucket for a complete entry, else for a free slot, else for its end.
    fn search(&self, bucket: u64, tag: Tag) -> Search<'_> {
        let mut free = None;
        let mut last = None;
        for line in self.lines(bucket, tag) {
            if let Some(observed) = line.find(tag) {
                return Search::Found(observed);
            }
            let is_free = |word: &&AtomicU64| word.load(Ordering::Relaxed) == 0;
            free = free.or_else(|| line.entries().iter().find(is_free));
            if line.has_link() {
                last = Some(line);
            }
        }
        let last = last.expect("line 1 has a link");
        let link = last.link();
        match free {
            _ if link.is_frozen() || self.line(bucket, 1).link().is_frozen() => Search::Frozen,
            Some(word) => Search::Free(word),
            None => Search::Full(last, link),
        }
    }

    /// Returns the entry of another slot of the bucket that holds this tag, tentative or not.
    fn rival_of(&self, bucket: u64, tag: Tag, own: &AtomicU64) -> Option<HashBucketEntry> {
        let rival = |word: &AtomicU64| {
            // Acquire, after the SeqCst fence in `claim`.
            let entry = HashBucketEntry::from_raw(word.load(Ordering::Acquire));
            (entry.tag() == tag && !std::ptr::eq(word, own)).then_some(entry)
        };
        let in_line = |line: Line<'_>| line.entries().iter().find_map(rival);
        // In two steps, without the state of a chained iterator.
        let in_table = [0, 1].into_iter().find_map(|parity| in_line(self.line(bucket, parity)));
        in_table.or_else(|| self.overflow_of(bucket).find_map(|(_number, line)| in_line(line)))
    }

    /// Links a new overflow line after `line`, unless its link is not `seen` any more. Then another
    /// task has linked one, or a step has changed the bucket.
    pub(super) fn extend(&self, line: Line<'_>, seen: Link) -> io::Result<()> {
        if seen.number() != 0 {
            return Ok(());
        }
        let number = self.overflow.take()?;
        if number.is_multiple_of(TOLD_LINES) {
            self.grown.notify(usize::MAX);
        }
        if !line.try_link(seen, number) {
            self.overflow.give_back(number);
        }
        Ok(())
    }
}
