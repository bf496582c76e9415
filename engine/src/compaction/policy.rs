//! Decides when a store compacts by itself, and how much.

use super::looks::Looked;
use crate::space::RoundHistory;
use crate::store::Round;

/// The addresses of a log, and of its space on the device, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogSpace {
    /// The first file of the log begins here.
    pub(super) files_begin: u64,
    pub(super) begin: u64,
    pub(super) flushed: u64,
    pub(super) tail: u64,
    /// Values may not be appended from here on.
    pub(super) end: u64,
    /// The bytes of a round that only finds out what is live, if one is due.
    pub(super) probe: Option<u64>,
    /// The end is that of a budget, within which writers wait.
    pub(super) is_budget: bool,
}

/// Numbers that tell about the live data of a store, without a look at the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    /// The entries of the index. Those of keys that have expired, or were deleted after they had
    /// left memory, stay until a round meets them.
    pub(super) entries: u64,
    /// The bytes of a record, on an average over those that operations have appended, or 0.
    pub(super) record_bytes: u64,
    /// The removals so far, without those of absent keys.
    pub(super) deletes: u64,
}

/// The rules of one store.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// No round begins before the tail is here, unless it is a probe.
    rest_until: u64,
    /// No probe begins before the tail is here.
    no_probe_until: u64,
    /// The recent rounds, of about as many bytes as the log has.
    recent: Round,
    /// The bytes of the log that were live at the last round, by the share that was found.
    last_live: u64,
    /// The bytes of the log after the last round, or 0.
    last_log: u64,
    /// The deletions before the last round.
    last_deletes: u64,
    /// The bytes of the last round, if it has found so little live that the next one is likely to
    /// cost hardly more than its reads, or 0.
    rich_bytes: u64,
    /// The last look.
    pub(super) looked: Looked,
}

/// A round begins when this part of the space is left.
const LEFT_PART: u64 = 4;
/// A space ratio counts from this number of files on.
const FILES: u64 = 2;
/// The part of the log that one round compacts at least.
const PART: u64 = 8;
/// The part of the log that a probe compacts, and at least a file.
const PROBE_PART: u64 = 64;
/// A probe is due when keys were deleted since the last round whose records take this part of the
/// log.
const DELETED_PART: u64 = 4;
/// No round begins before the log has grown by this part since the first opening with a policy, or
/// since an opening after which it would rest longer.
const OPENING_PART: u64 = 16;
/// The whole of which a share is computed.
const WHOLE: u64 = 1 << 20;

impl LogSpace {
    /// Returns the bytes that the log may have, with what kept checkpoints need of it.
    fn usable(self) -> u64 {
        self.end.saturating_sub(self.files_begin)
    }

    fn left(self) -> u64 {
        self.end.saturating_sub(self.tail)
    }

    /// Returns the bytes that are left when a round becomes due.
    pub(super) fn due_left(self) -> u64 {
        self.usable() / LEFT_PART
    }

    /// Returns the bytes that are left too few, or 0.
    pub(super) fn debt(self) -> u64 {
        self.due_left().saturating_sub(self.left())
    }
}

impl Policy {
    /// Returns the rules of a store with this history at its opening, with the log at these
    /// addresses. Without a history it is unknown what is live, and how much is new.
    pub(super) fn of(history: Option<RoundHistory>, [begin, tail]: [u64; 2]) -> Self {
        // A recovery may have gone back, so that the tail is far from there.
        let longest_rest = tail + (tail - begin) / OPENING_PART;
        let Some(history) = history else {
            let no_probe_until = longest_rest;
            return Self { rest_until: longest_rest, no_probe_until, ..Self::default() };
        };
        let RoundHistory { rest_until, source_bytes, copied_records, copied_bytes, live_bytes } =
            history;
        let recent = Round { source_bytes, copied_records, copied_bytes, dropped_records: 0 };
        let rest_until = rest_until.min(longest_rest);
        let last_log = scaled(live_bytes, [source_bytes, copied_bytes.max(1)]);
        // Before the first round, a rest is for growth.
        let no_probe_until = if source_bytes == 0 { rest_until } else { 0 };
        let last_live = live_bytes;
        Self { rest_until, no_probe_until, recent, last_live, last_log, ..Self::default() }
    }

    /// Returns the history for the next opening.
    pub(super) fn history(&self) -> RoundHistory {
        let Round { source_bytes, copied_records, copied_bytes, .. } = self.recent;
        let (rest_until, live_bytes) = (self.rest_until, self.last_live);
        RoundHistory { rest_until, source_bytes, copied_records, copied_bytes, live_bytes }
    }

    /// Returns the space of a store with a space ratio, in percent, whose files have `file` bytes.
    ///
    /// A round begins when a part of the space is left, so it is larger by that part.
    ///
    /// Entries of keys that are gone count as live until a round meets them. So a small round, a
    /// *probe*, is due when the log has grown by the ratio since the last round, or many keys were
    /// deleted. If it finds next to nothing live, a round twice as large is due at once. The rounds
    /// of a look come first.
    pub(super) fn by_ratio(
        &self,
        space: LogSpace,
        percent: u64,
        data: Data,
        file: u64,
    ) -> LogSpace {
        let log = space.tail - space.begin;
        if let Some(bytes) = self.looked.due([space.begin, space.tail], percent, file) {
            let just_due = log + log / (LEFT_PART - 1);
            return LogSpace { end: space.begin + just_due, probe: Some(bytes), ..space };
        }
        let wanted = scaled(self.live_of(data).min(log), [percent, 100]);
        let bytes = scaled(wanted, [LEFT_PART, LEFT_PART - 1]).max(FILES * file);
        // With so many a round is just due, if the log is not too short.
        let just_due = (log + log / (LEFT_PART - 1)).max(FILES * file);
        let deletes = data.deletes.saturating_sub(self.last_deletes);
        let is_probe = log > scaled(self.last_log, [percent, 100])
            || deletes.saturating_mul(self.record(data)) > log / DELETED_PART;
        if just_due < bytes && (self.rich_bytes > 0 || is_probe) {
            // So the last one copies no more than the others have freed.
            let further = (2 * self.rich_bytes).min(log / PART);
            let probe = Some(further.max(log / PROBE_PART).max(file));
            return LogSpace { end: space.begin + just_due, probe, ..space };
        }
        // Without any size of a record nothing seems to be live, after an opening: the oldest part
        // tells more.
        let is_unknown = data.entries > 0 && self.record(data) == 0 && self.last_live == 0;
        let part = is_unknown.then_some((log / PART).max(file));
        LogSpace { end: space.begin.saturating_add(bytes), probe: part, ..space }
    }

    /// Returns about the bytes that are live. An entry leads to one key at least, and the oldest
    /// part of a log has the smallest share of live records. So the larger number counts.
    fn live_of(&self, data: Data) -> u64 {
        data.entries.saturating_mul(self.record(data)).max(self.last_live)
    }

    /// Returns about the bytes of a live record.
    fn record(&self, data: Data) -> u64 {
        let Round { copied_records, copied_bytes, .. } = self.recent;
        copied_bytes.checked_div(copied_records).unwrap_or(data.record_bytes)
    }

    /// Returns about the bytes of `log` that are live. All are before a round.
    pub(super) fn live_estimate(&self, log: u64, data: Data) -> u64 {
        if self.recent.source_bytes == 0 { log } else { self.live_of(data).min(log) }
    }

    /// Returns the address up to which a round should compact, if one is due.
    pub(super) fn due(&self, space: LogSpace) -> Option<u64> {
        let LogSpace { begin, flushed, tail, end, probe, is_budget, .. } = space;
        debug_assert!(begin <= flushed && flushed <= tail, "{space:?}");
        let is_full = space.left() <= space.due_left();
        // More at once if rounds are slower than writers, which only a budget slows down: there the
        // next space comes the sooner the shorter a round is.
        let excess = (space.usable() / 8 * 3 + tail).saturating_sub(end);
        let excess = if is_budget { 0 } else { excess };
        let bytes = probe.unwrap_or((tail - begin).div_ceil(PART).max(excess));
        let until = (begin + bytes).min(flushed);
        let rest_until = if probe.is_some() { self.no_probe_until } else { self.rest_until };
        (is_full && tail >= rest_until).then_some(until)
    }

    /// Takes the result of a round, after which the log was here, in a store with this space ratio,
    /// in percent, and so many deletions so far. A log that is mostly live has a rest, so that it
    /// is not copied over and over.
    pub(super) fn note(&mut self, round: Round, space: LogSpace, percent: u64, deletes: u64) {
        let is_poor = round.copied_bytes / 7 >= round.source_bytes / 8;
        self.rest_until = if is_poor { space.tail + space.usable() / 16 } else { 0 };
        self.no_probe_until = 0;
        self.recent.add(round);
        if self.recent.source_bytes > space.tail - space.begin {
            self.recent.source_bytes /= 2;
            self.recent.copied_bytes /= 2;
            self.recent.copied_records /= 2;
        }
        self.last_log = space.tail - space.begin;
        self.last_live = self.live(self.last_log);
        self.last_deletes = deletes;
        // Of a log that is overwritten evenly at random, the oldest part has a larger share.
        let copied = u128::from(round.copied_bytes) * 2 * u128::from(percent).pow(2);
        let is_rich = copied <= u128::from(round.source_bytes) * 100 * 100;
        self.rich_bytes = if is_rich { round.source_bytes } else { 0 };
    }

    /// Takes the result of a look, which is evidence enough for its rounds.
    pub(super) fn note_look(&mut self, removals: u64, live: u64, tail: u64) {
        self.looked.note(removals, live, tail);
        self.forget_failure();
    }

    /// Lets a probe, or a round of a look, begin in spite of an earlier failure.
    pub(super) fn forget_failure(&mut self) {
        self.no_probe_until = 0;
    }

    /// Takes a failed round, which is not repeated at once.
    pub(super) fn note_failed(&mut self, space: LogSpace) {
        self.rest_until = space.tail + space.usable() / 16;
        self.no_probe_until = self.rest_until;
    }

    /// Returns the bytes of `log` that are live, by the share that recent rounds have found. All
    /// are before a round.
    pub(super) fn live(&self, log: u64) -> u64 {
        let Round { source_bytes, copied_bytes, .. } = self.recent;
        if source_bytes == 0 {
            return log;
        }
        scaled(log, [copied_bytes.min(source_bytes), source_bytes])
    }

    /// Returns the most pages that a round may compact whose copies have `free` pages. `safe` pages
    /// fit in any case. A round whose copies do not fit ends early.
    pub(super) fn source(&self, free: u64, safe: u64) -> u64 {
        let live = self.live(WHOLE);
        if live == WHOLE {
            return safe.max(1);
        }
        // An eighth more than expected, a page that is begun, and one that is not filled.
        let expected = free.saturating_sub(2) * 8 * WHOLE / (9 * live).max(WHOLE);
        expected.max(safe).max(1)
    }
}

/// Returns `bytes * by / of`.
fn scaled(bytes: u64, [by, of]: [u64; 2]) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(by) / u128::from(of)).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn space(begin: u64, tail: u64) -> LogSpace {
        let flushed = tail.saturating_sub(500);
        LogSpace { files_begin: 0, begin, flushed, tail, end: 8000, probe: None, is_budget: false }
    }

    fn data(entries: u64) -> Data {
        Data { entries, record_bytes: 0, deletes: 0 }
    }

    #[test]
    fn a_long_log_gives_its_oldest_part() {
        let policy = Policy::default();
        assert_eq!(policy.due(space(1000, 5999)), None);
        assert_eq!(policy.due(space(1000, 6000)), Some(2000));
        assert_eq!(policy.due(space(1000, 7000)), Some(3000));
        let unflushed = LogSpace { flushed: 1100, ..space(1000, 8000) };
        assert_eq!(policy.due(unflushed), Some(1100));
        // Copies may go on after the end for values.
        assert_eq!(policy.due(space(1000, 9000)), Some(5000));
        // Writers wait for the next space within a budget.
        let budget = LogSpace { is_budget: true, ..space(1000, 9000) };
        assert_eq!(policy.due(budget), Some(2000));
    }

    #[test]
    fn an_opening_goes_on_with_the_history() {
        let log = [1000, 9000];
        // Growth counts from the first opening on.
        let first = Policy::of(None, log);
        assert_eq!(first.rest_until, 9500);
        assert_eq!(Policy::of(Some(first.history()), [1000, 9400]).rest_until, 9500);
        // The log may end earlier after a recovery.
        assert_eq!(Policy::of(Some(first.history()), [1000, 2600]).rest_until, 2700);
        let mut policy = Policy::default();
        let round = Round { source_bytes: 800, copied_bytes: 200, ..Round::default() };
        policy.note(Round { copied_records: 10, ..round }, space(1000, 9000), 200, 0);
        let opened = Policy::of(Some(policy.history()), log);
        assert_eq!((opened.live(8000), opened.live_of(data(150))), (2000, 3000));
        assert_eq!(opened.last_log, 8000);
        assert_eq!((policy.live(8000), policy.live_of(data(150))), (2000, 3000));
    }

    /// No record had a size yet. So nothing seemed to be live, and one round took nearly all of a
    /// log whose newest part was live.
    #[test]
    fn an_opening_without_sizes_begins_with_a_part() {
        let history = Policy::of(None, [0, 8000]).history();
        let policy = Policy::of(Some(history), [0, 8499]);
        let due = |tail, record_bytes| {
            let data = Data { record_bytes, ..data(400) };
            let space = LogSpace { flushed: tail, ..space(0, tail) };
            policy.due(policy.by_ratio(space, 200, data, 100))
        };
        assert_eq!((due(8499, 0), due(8500, 0)), (None, Some(1062)));
        assert_eq!(due(9600, 3), Some(7600), "most of the log is dead");
    }

    #[test]
    fn pinned_files_leave_less_space() {
        let space = LogSpace { files_begin: 4000, ..space(5000, 6999) };
        assert_eq!((space.debt(), Policy::default().due(space)), (0, None));
        let space = LogSpace { tail: 7100, flushed: 7000, ..space };
        assert_eq!((space.debt(), Policy::default().due(space)), (100, Some(5600)));
    }

    #[test]
    fn a_log_that_is_live_has_a_rest() {
        let mut policy = Policy::default();
        let round = Round { source_bytes: 800, copied_bytes: 700, ..Round::default() };
        policy.note(round, space(0, 6000), 200, 0);
        assert_eq!(policy.due(space(0, 6400)), None);
        assert!(policy.due(space(0, 6500)).is_some());
        policy.note(Round { copied_bytes: 600, ..round }, space(0, 6000), 200, 0);
        assert!(policy.due(space(0, 6000)).is_some());
        policy.note_failed(space(0, 6000));
        assert_eq!(policy.due(space(0, 6400)), None);
    }

    /// A ratio of 2, files of 1000 bytes.
    #[test]
    fn a_ratio_gives_space_by_entries_and_by_rounds() {
        let mut policy = Policy::default();
        let end = |policy: &Policy, tail, entries| {
            policy.by_ratio(space(1000, tail), 200, data(entries), 1000).end
        };
        // Nothing is known before a round but that two files are little.
        assert_eq!(end(&policy, 9000, 100), 3000);
        let round = Round { source_bytes: 800, copied_bytes: 200, ..Round::default() };
        policy.note(Round { copied_records: 10, ..round }, space(1000, 9000), 200, 0);
        // By the share, and by 200 records of 20 bytes, but never more than all.
        assert_eq!(end(&policy, 9000, 10), 1000 + 2000 * 8 / 3);
        assert_eq!(end(&policy, 9000, 150), 1000 + 3000 * 8 / 3);
        assert_eq!(end(&policy, 9000, 1 << 60), 1000 + 8000 * 8 / 3);
        // A round is due at twice the live bytes.
        let due = |tail, entries| {
            let end = end(&policy, tail, entries);
            policy.due(LogSpace { end, files_begin: 1000, ..space(1000, tail) })
        };
        assert_eq!(due(6999, 150), None);
        assert_eq!(due(7000, 150), Some(2000));
    }

    /// A ratio of 2, files of 100 bytes. All entries look live.
    #[test]
    fn probes_find_what_entries_hide() {
        let data = |tail: u64, deletes| Data { entries: tail / 20, record_bytes: 20, deletes };
        let due = |policy: &Policy, tail, deletes| {
            let data = data(tail, deletes);
            let by_ratio =
                policy.by_ratio(LogSpace { flushed: tail, ..space(0, tail) }, 200, data, 100);
            policy.due(by_ratio)
        };
        // Before a round, and as soon as there are two files.
        let mut policy = Policy::default();
        assert_eq!((due(&policy, 149, 0), due(&policy, 152, 0)), (None, Some(100)));
        let round = |copied, of| Round {
            source_bytes: of,
            copied_bytes: copied,
            copied_records: copied / 20,
            dropped_records: 0,
        };
        policy.note(round(1000, 1000), space(0, 8000), 200, 0);
        // By growth, in a 64th of the log.
        assert_eq!((due(&policy, 16_000, 0), due(&policy, 16_002, 0)), (None, Some(250)));
        // By deletions of a quarter. What was copied last is no reason to wait, but a failure is.
        assert_eq!((due(&policy, 8000, 100), due(&policy, 8000, 101)), (None, Some(125)));
        policy.note_failed(space(0, 8000));
        assert_eq!(due(&policy, 8000, 101), None);
        // An eighth of the round is live, so larger ones follow.
        policy.note(round(120, 1000), space(0, 9000), 200, 101);
        assert_eq!(due(&policy, 9000, 101), Some(1125));
        // More is live.
        policy.note(round(140, 1000), space(0, 9000), 200, 101);
        assert_eq!((due(&policy, 18_000, 101), due(&policy, 18_003, 101)), (None, Some(281)));
        // Rounds that find nothing live tell nothing of the rest.
        policy.note(round(0, 100_000), space(0, 9000), 200, 101);
        assert_eq!(policy.live_estimate(9000, data(4000, 0)), 4000);
    }

    #[test]
    fn recent_rounds_tell_what_is_live() {
        let mut policy = Policy::default();
        assert_eq!((policy.live(6000), policy.source(12, 3)), (6000, 3));
        let round = |copied| Round { source_bytes: 800, copied_bytes: copied, ..Round::default() };
        policy.note(round(400), space(0, 6000), 200, 0);
        assert_eq!((policy.live(6000), policy.source(12, 3)), (3000, 17));
        for _ in 0..40 {
            policy.note(round(0), space(0, 6000), 200, 0);
        }
        assert!(policy.live(6000) < 100, "{policy:?}");
        assert_eq!(policy.source(0, 0), 1);
    }
}
