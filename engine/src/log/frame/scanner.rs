//! A walk along the sound frames of a log on the device, for code that looks for commits.
//!
//! It trusts only bytes with a correct checksum, and changes nothing. At the place where it stops,
//! the log may end, or may be torn or damaged. Only later bytes can decide that ([`proof_behind`]).
//!
//! [`proof_behind`]: Walk::proof_behind

use super::format::{Framing, Kind, Parsed};
use super::stored_files::StoredFiles;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::hybrid_log::{Units, is_missing};
use crate::log::commit::record::CommitRecord;
use crate::record::WORD;
use kvick_io::{AlignedBuf, BufPool, Device};

/// The bytes of one read.
const READ: usize = 1 << 20;

/// The bytes that are looked at together for the end of the zeros after a log.
const ZEROS: u64 = 64 << 10;

/// The log to walk along.
#[derive(Debug)]
pub(crate) struct FrameScanner<'d> {
    pub(crate) framing: Framing,
    pub(crate) device: &'d dyn Device,
    pub(crate) buffers: &'d BufPool,
    pub(crate) stored: StoredFiles,
}

/// A sound frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'b> {
    pub(crate) address: Address,
    pub(crate) kind: Kind,
    pub(crate) payload: &'b [u8],
    pub(crate) next: Address,
}

/// The place where a walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// No sound frame begins here.
    pub(crate) at: Address,
    /// The first unit that is missing or not sound.
    pub(crate) unit: Address,
}

/// The commits that a walk shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commits {
    /// Commits that were written up to the end of their physical block. Only these can have been
    /// acknowledged, and the log continues after that end.
    Whole,
    /// Any commit, as evidence of the bytes that were durable when it was written.
    Any,
}

/// The sound bytes of one page, from the start of a unit.
#[derive(Debug)]
struct Run {
    start: Address,
    bytes: Vec<u8>,
    /// The address of the next unit.
    next: Address,
    /// Whether the next unit is missing or not sound.
    is_last: bool,
}

impl Stop {
    fn new(units: Units, at: Address, unit: Address) -> Self {
        debug_assert!(
            units.unit_start(at) <= unit,
            "the units before the stop are sound: {at:?}, {unit:?}"
        );
        Self { at, unit }
    }
}

impl FrameScanner<'_> {
    /// Shows the frames from `from` on, as long as they are sound. A frame begins at `from`.
    ///
    /// # Errors
    /// `Io`, and the errors of `show`, which end the walk.
    pub(crate) async fn along(
        &self,
        from: Address,
        mut show: impl FnMut(Frame<'_>) -> Result<()>,
    ) -> Result<Stop> {
        let units = self.framing.units;
        let mut at = from;
        let mut run = self.run(units.unit_start(from)).await?;
        loop {
            at = self.frames_of(&run, at, Commits::Whole, &mut show)?;
            debug_assert!(from <= at, "a walk goes forward: {from:?} to {at:?}");
            let is_over = at >= run.next;
            if run.is_last && !is_over {
                return Ok(Stop::new(units, at, run.next));
            }
            if is_over {
                run = self.run(units.unit_start(at)).await?;
                if run.bytes.is_empty() {
                    return Ok(Stop::new(units, at, run.next));
                }
            } else if self.is_stuck(&run, at) {
                return Ok(Stop::new(units, at, units.unit_start(at)));
            } else {
                self.extend(&mut run).await?;
            }
        }
    }

    /// Looks after `stop` for a commit which proves that the log was durable beyond `until`.
    /// Returns the proved end.
    pub(crate) async fn proof_behind(&self, stop: Stop, until: Address) -> Result<Option<Address>> {
        let mut proof = None;
        let looking = self.frames_behind(stop, |frame| {
            let record = (frame.kind == Kind::Commit).then_some(frame.payload);
            let durable = record.and_then(CommitRecord::decode).map(|record| record.durable);
            proof = proof.max(durable.filter(|durable| *durable > until));
            false
        });
        looking.await?;
        debug_assert!(proof.is_none_or(|proof| until < proof), "a proof is of later bytes");
        Ok(proof)
    }

    /// Returns the first sound frame after `stop`.
    pub(crate) async fn sound_frame_behind(&self, stop: Stop) -> Result<Option<Address>> {
        let mut first = None;
        let looking = self.frames_behind(stop, |frame| {
            first.get_or_insert(frame.address);
            true
        });
        looking.await?;
        debug_assert!(first.is_none_or(|first| stop.at < first), "{first:?} is after {stop:?}");
        Ok(first)
    }

    /// Returns the end of the stored bytes that are not zeros, as an offset on the device, or
    /// `from` if all bytes from there on are zeros. A log that is committed in small parts has
    /// zeros after its end.
    pub(crate) async fn end_of_bytes(&self, from: u64) -> Result<u64> {
        let unit = self.framing.units.unit_bytes() as u64;
        let mut end = self.stored.end();
        while end > from && end.is_multiple_of(unit) {
            let start = end.saturating_sub(ZEROS).max(from);
            if self.stored.from(start) < end - start {
                // They are of two files, or some are missing.
                break;
            }
            let bytes = usize::try_from(end - start).expect("few are read at once");
            let transfer = self.device.read_at(start, self.buffers.take(bytes)).await;
            let stored = match transfer.result {
                Ok(()) => transfer.buf.expect("a read gives its buffer back"),
                // The file became shorter after its length was read, or is of a later segment.
                Err(error) if is_missing(&error) => break,
                Err(error) => return Err(Error::reading(self.device, start, error)),
            };
            if let Some(last) = stored.iter().rposition(|byte| *byte != 0) {
                return Ok((start + last as u64 + 1).next_multiple_of(unit));
            }
            end = start;
        }
        Ok(end)
    }

    /// Shows the sound frames after `stop`, until `is_enough` returns true. They may begin anywhere
    /// in their units: the bytes before a frame may be damaged, and its checksum covers its
    /// address.
    async fn frames_behind(
        &self,
        stop: Stop,
        mut is_enough: impl FnMut(Frame<'_>) -> bool,
    ) -> Result<()> {
        let units = self.framing.units;
        // Not after `stop.unit`: the units before it are sound, and may have frames after the bytes
        // that are none.
        let mut from = units.unit_behind(stop.at);
        while units.device_offset(from) < self.stored.end() {
            for run in self.sound_runs(from).await? {
                let (mut at, mut is_over) = (run.start, false);
                while at < run.next && !is_over {
                    let behind = self.frames_of(&run, at, Commits::Any, &mut |frame| {
                        is_over = is_over || is_enough(frame);
                        Ok(())
                    })?;
                    at = if behind > at { behind } else { self.framing.behind(at, WORD) };
                }
                if is_over {
                    return Ok(());
                }
            }
            from = units.page_behind(from);
        }
        Ok(())
    }

    /// Returns the sound units of a page from `from` on. Adjacent units form one run.
    async fn sound_runs(&self, from: Address) -> Result<Vec<Run>> {
        let units = self.framing.units;
        let (page, mut unit) = (from.page(units.page_bits()), from);
        let mut runs: Vec<Run> = Vec::new();
        while unit.page(units.page_bits()) == page {
            let Some(stored) = self.read(unit, units.page_behind(unit)).await? else {
                break;
            };
            for mut bytes in stored.chunks_exact(units.unit_bytes()).map(<[u8]>::to_vec) {
                if units.open_sound(unit, &mut bytes) == 1 {
                    bytes.truncate(bytes.len() - Units::TRAILER);
                    match runs.last_mut().filter(|run| run.next == unit) {
                        Some(run) => run.bytes.extend_from_slice(&bytes),
                        None => runs.push(Run { start: unit, bytes, next: unit, is_last: true }),
                    }
                    let last = runs.last_mut().expect("there is one now");
                    last.next = units.unit_behind(unit);
                }
                unit = units.unit_behind(unit);
            }
        }
        debug_assert!(
            runs.windows(2).all(|pair| pair[0].next < pair[1].start),
            "a damaged unit is between two runs: {runs:?}"
        );
        Ok(runs)
    }

    /// Shows the frames of a run from `from` on. Returns the address of the first frame that is not
    /// whole.
    fn frames_of(
        &self,
        run: &Run,
        from: Address,
        commits: Commits,
        show: &mut impl FnMut(Frame<'_>) -> Result<()>,
    ) -> Result<Address> {
        debug_assert!(run.start <= from, "a run has the bytes from its start on: {from:?}");
        let mut address = from;
        while let Some(rest) = run.from(address) {
            let Parsed::Frame { kind, payload, next } = self.framing.parse(address, rest) else {
                break;
            };
            // The header alone proves padding. But readers pass all of its units, so these must be
            // sound.
            let needed = match (kind, commits) {
                (Kind::Commit, Commits::Whole) => self.framing.units.block_behind_end(next),
                _ => next,
            };
            if needed > run.next {
                break;
            }
            debug_assert!(address < next, "a walk goes forward: {address:?} to {next:?}");
            show(Frame { address, kind, payload: &rest[payload], next })?;
            address = next;
        }
        Ok(address)
    }

    /// Returns whether the bytes at `at` can never become a frame, even with more bytes.
    fn is_stuck(&self, run: &Run, at: Address) -> bool {
        let parsed = run.from(at).map(|rest| self.framing.parse(at, rest));
        parsed == Some(Parsed::Damaged)
    }

    async fn run(&self, start: Address) -> Result<Run> {
        let mut run = Run { start, bytes: Vec::new(), next: start, is_last: false };
        self.extend(&mut run).await?;
        Ok(run)
    }

    /// Reads further units of the page of a run.
    async fn extend(&self, run: &mut Run) -> Result<()> {
        let units = self.framing.units;
        debug_assert!(!run.is_last, "a run ends before the first unit that is not sound");
        let page_behind = units.page_behind(run.next);
        debug_assert!(
            page_behind == units.page_behind(run.start),
            "a run is in one page: {:?} to {:?}",
            run.start,
            run.next
        );
        let wanted = units.chunk([run.next, page_behind], self.at_once());
        let wanted = wanted.expect("within a page").units;
        let mut sound = 0;
        if let Some(mut bytes) = self.read(run.next, page_behind).await? {
            sound = units.open_sound(run.next, &mut bytes);
            let payload = usize::try_from(units.payload()).expect("small");
            debug_assert!(sound <= wanted, "{sound} units were read of {wanted}");
            run.bytes.extend_from_slice(&bytes[..sound * payload]);
        }
        run.next = units.align_up(Address::new(run.next.raw() + sound as u64 * units.payload()));
        run.is_last = sound < wanted;
        Ok(())
    }

    /// Reads stored units from `start` up to `end`, or only the first if they are many. Returns
    /// `None` if there are none.
    async fn read(&self, start: Address, end: Address) -> Result<Option<AlignedBuf>> {
        let units = self.framing.units;
        debug_assert_eq!(units.unit_start(start), start, "a read begins at a unit");
        let chunk = units.chunk([start, end], self.at_once()).expect("something to read");
        let stored = self.stored.from(units.device_offset(start)) / units.unit_bytes() as u64;
        let there = chunk.units.min(usize::try_from(stored).unwrap_or(usize::MAX));
        if there == 0 {
            return Ok(None);
        }
        let buffer = self.buffers.take(there * units.unit_bytes());
        let transfer = self.device.read_at(units.device_offset(start), buffer).await;
        match transfer.result {
            Ok(()) => Ok(transfer.buf),
            // The file became shorter after its length was read.
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(Error::reading(self.device, units.device_offset(start), error)),
        }
    }

    fn at_once(&self) -> usize {
        READ / self.framing.units.unit_bytes()
    }
}

impl Run {
    /// Returns the bytes from `at` on, if the run has any.
    fn from(&self, at: Address) -> Option<&[u8]> {
        let skipped = usize::try_from(at.raw().checked_sub(self.start.raw())?).ok()?;
        self.bytes.get(skipped..).filter(|rest| !rest.is_empty())
    }
}
