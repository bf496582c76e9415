//! A walk along a whole log that continues after damage.

use super::damage::Damage;
use crate::base::address::Address;
use crate::base::error::Result;
use crate::log::commit::record::CommitRecord;
use crate::log::commit::state::CommitState;
use crate::log::frame::format::Kind;
use crate::log::frame::scanner::{Frame, FrameScanner, Stop};
use std::ops::RangeInclusive;

/// The result of a walk along a whole log.
#[derive(Debug)]
pub(crate) struct FullScan {
    /// The state as of the newest commit.
    pub(crate) commit_state: CommitState,
    pub(crate) entries: u64,
    pub(crate) entry_bytes: u64,
    pub(crate) damage: Vec<Damage>,
    /// The numbers of the commits whose records are lost, in ascending order.
    pub(crate) lost_commits: Vec<RangeInclusive<u64>>,
    /// The entries and bytes after the newest commit so far.
    since: [u64; 2],
    /// The end of the commit in the manifest.
    saved: Address,
    /// The address of the current entry in pieces, and its bytes so far.
    first: Option<(Address, u64)>,
    /// Whether the newest damage may contain the first piece of the current entry.
    is_after_damage: bool,
}

impl FullScan {
    /// Walks from the begin of the log to its end. `saved` is the commit of the manifest.
    ///
    /// A later commit may have truncated entries at either end that the walk has counted. So the
    /// walk is repeated with the state of the newest commit. Only that walk shows whether a frame
    /// begins where the log begins.
    pub(crate) async fn of(scanner: &FrameScanner<'_>, mut saved: CommitState) -> Result<Self> {
        // The first walk meets the records after the manifest. Later ones begin after them.
        let mut lost_commits = None;
        loop {
            let (number, begin, holes) = (saved.number, saved.begin, saved.holes.clone());
            let mut scan = Self::walk(scanner, saved).await?;
            scan.lost_commits = lost_commits.unwrap_or(scan.lost_commits);
            if (scan.commit_state.begin, &scan.commit_state.holes) == (begin, &holes) {
                return Ok(scan);
            }
            debug_assert!(number < scan.commit_state.number, "the repetitions end");
            // It ends: each repetition has a later commit.
            lost_commits = Some(scan.lost_commits);
            saved = scan.commit_state;
        }
    }

    async fn walk(scanner: &FrameScanner<'_>, saved: CommitState) -> Result<Self> {
        let units = scanner.framing.units;
        let mut at = saved.begin;
        let mut scan = Self {
            saved: saved.until,
            commit_state: saved,
            entries: 0,
            entry_bytes: 0,
            damage: Vec::new(),
            lost_commits: Vec::new(),
            since: [0; 2],
            first: None,
            is_after_damage: false,
        };
        loop {
            let stop = scanner.along(at, |frame| scan.take_in(scanner, frame)).await?;
            let is_lost = stop.at < scan.commit_state.until
                || scanner.proof_behind(stop, scan.commit_state.until).await?.is_some();
            if !is_lost {
                break;
            }
            let next = scanner.sound_frame_behind(stop).await?;
            let next = next.unwrap_or(scan.commit_state.until).max(units.unit_behind(stop.at));
            scan.note(scanner, stop, next);
            debug_assert!(at < next, "a walk goes forward over damage: {at:?} to {next:?}");
            at = next;
        }
        let until = scan.commit_state.until;
        scan.damage.retain(|damage| damage.start.inner() < until);
        Ok(scan)
    }

    fn take_in(&mut self, scanner: &FrameScanner<'_>, frame: Frame<'_>) -> Result<()> {
        let bytes = frame.payload.len() as u64;
        match frame.kind {
            Kind::Whole => {
                self.lose_pieces(scanner, frame.address);
                self.is_after_damage = false;
                self.count(frame.address, bytes);
            }
            Kind::First => {
                self.lose_pieces(scanner, frame.address);
                self.is_after_damage = false;
                self.first = Some((frame.address, bytes));
            }
            Kind::Middle | Kind::Last => self.piece(frame, bytes),
            Kind::Commit => {
                let until = scanner.framing.units.block_behind_end(frame.next);
                if frame.address >= self.saved
                    && let Some(record) = CommitRecord::decode(frame.payload)
                    && self.commit_state.precedes(&record, until)
                {
                    let next = self.commit_state.number + 1;
                    self.commit_state.apply(&record, until);
                    if next < self.commit_state.number {
                        self.lost_commits.push(next..=self.commit_state.number - 1);
                    }
                    self.entries += std::mem::take(&mut self.since[0]);
                    self.entry_bytes += std::mem::take(&mut self.since[1]);
                }
            }
            Kind::Padding => {}
        }
        Ok(())
    }

    fn piece(&mut self, frame: Frame<'_>, bytes: u64) {
        match &mut self.first {
            Some((_, sum)) => *sum += bytes,
            // The first piece of the entry is lost, so this piece is lost too.
            None if self.is_after_damage => {
                let damage = self.damage.last_mut().expect("it was noted");
                damage.end = frame.next.into();
            }
            // The entry was taken back, or it was truncated.
            None => {}
        }
        if frame.kind == Kind::Last
            && let Some((first, sum)) = self.first.take()
        {
            self.count(first, sum);
        }
    }

    fn count(&mut self, address: Address, bytes: u64) {
        debug_assert!(
            self.saved <= self.commit_state.until,
            "the commits that a walk finds follow the one of the manifest"
        );
        let is_in_hole =
            self.commit_state.holes.iter().any(|[start, end]| (*start..*end).contains(&address));
        if address < self.commit_state.begin || is_in_hole {
            return;
        }
        if address < self.saved {
            self.entries += 1;
            self.entry_bytes += bytes;
        } else {
            self.since[0] += 1;
            self.since[1] += bytes;
        }
    }

    /// Notes the pieces of an entry that is not complete where another entry begins, at `next`.
    fn lose_pieces(&mut self, scanner: &FrameScanner<'_>, next: Address) {
        if let Some((first, _)) = self.first.take() {
            self.lose(scanner, first, [first, next]);
        }
    }

    /// Notes the damage between a stop and the next sound frame.
    fn note(&mut self, scanner: &FrameScanner<'_>, stop: Stop, next: Address) {
        let start = self.first.take().map_or(stop.at, |(first, _)| first);
        debug_assert!(start <= stop.at && stop.at < next, "{start:?}, {stop:?}, {next:?}");
        self.lose(scanner, stop.unit, [start, next]);
    }

    /// Notes damage in `unit` by which `[start, next)` is lost, unless that is in a hole.
    fn lose(&mut self, scanner: &FrameScanner<'_>, unit: Address, [start, next]: [Address; 2]) {
        let is_in_hole = |[from, end]: &[Address; 2]| *from <= start && next <= *end;
        self.is_after_damage = !self.commit_state.holes.iter().any(is_in_hole);
        if !self.is_after_damage {
            return;
        }
        let offset = scanner.framing.units.device_offset(unit);
        let (file, offset) = scanner.device.locate(offset);
        self.damage.push(Damage { start: start.into(), end: next.into(), file, offset });
    }
}
