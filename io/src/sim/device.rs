//! A device on a simulated disk.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::completion::{Completion, Transfer};
use crate::contract::device::{Device, Geometry};
use crate::files::segments::{Extent, Extents, Insertion, Lookup, Segments, Truncation};
use crate::sim::failures::Failures;
use crate::sim::medium::blocks::{self, Block};
use crate::sim::medium::file::SimFile;
use crate::sim::medium::history::OperationKind;
use crate::sim::medium::work::{Coverage, CoveredNames, InFlight, NextSync, Work};
use crate::sim::medium::world::{World, did_not_begin};
use crate::sim::shared::Shared;

pub(super) struct SimDevice {
    pub(super) segments: Arc<Segments<SimFile>>,
    pub(super) directory: String,
    pub(super) disk: Arc<Shared>,
    /// The failed syncs of the segments.
    pub(super) failures: Arc<Failures>,
    pub(super) names: Arc<Failures>,
}

impl SimDevice {
    /// Returns the end of a non-empty range, or the completion of a transfer that ends here.
    fn check(&self, offset: u64, buf: AlignedBuf) -> Result<(u64, AlignedBuf), Completion> {
        match self.geometry().check(offset, buf.len()) {
            Ok(end) if end == offset => {
                Err(Completion::ready(Transfer { result: Ok(()), buf: Some(buf) }))
            }
            Ok(end) => Ok((end, buf)),
            Err(error) => Err(Completion::refused(self.refuse(error), Some(buf))),
        }
    }

    fn write(&self, offset: u64, buf: AlignedBuf, next: Option<NextSync>) -> Completion {
        let (end, buf) = match self.check(offset, buf) {
            Ok(checked) => checked,
            Err(completion) => return completion,
        };
        let mut world = self.disk.world();
        let extents = match self.extents(&mut world, offset, end) {
            Ok(extents) => in_order(extents),
            Err(error) => return Completion::refused(error, Some(buf)),
        };
        self.audit_write_once(&world, offset, &extents);
        let subject = self.subject(offset, buf.len());
        let work = Work::Write(extents, buf, next);
        self.disk.begin(&mut world, OperationKind::Write, subject, work)
    }

    /// Returns a function of what a sync covers that begins when it is called.
    fn coverage(&self) -> impl FnOnce() -> Coverage + Send + 'static {
        let segments = Arc::clone(&self.segments);
        let (path, names) = (self.directory.clone(), Arc::clone(&self.names));
        let failures = Arc::clone(&self.failures);
        move || {
            let files = segments.files().into_iter().map(|file| {
                let stamp = file.contents().stamp();
                (file, stamp)
            });
            let directory = Some(CoveredNames { path, failures: names });
            Coverage { files: files.collect(), directory, failures }
        }
    }

    /// Returns the error of a misaligned request. Panics if the disk audits misuse.
    fn refuse(&self, error: io::Error) -> io::Error {
        let world = self.disk.world();
        if world.options.audit {
            world.misuse(&error.to_string());
        }
        error
    }

    /// Returns the extents of a write, in segments that are created as needed.
    fn extents(&self, world: &mut World, offset: u64, end: u64) -> io::Result<Extents<SimFile>> {
        loop {
            match self.segments.look_up(offset, end) {
                Lookup::Present(extents) => return Ok(extents),
                Lookup::Discarded(error) => return Err(error),
                Lookup::Missing(index) => {
                    let name = self.segments.file_name(index);
                    world.check_opening(&name)?;
                    let file = world.file_or_new(&self.directory, &name);
                    let inserted = self.segments.insert(index, file);
                    assert_eq!(inserted, Insertion::Present, "discards hold the same lock");
                }
            }
        }
    }

    /// Returns the extents of a read in existing segments, including segments that appeared after
    /// the opening of the device.
    fn extents_there(
        &self,
        world: &mut World,
        offset: u64,
        end: u64,
    ) -> io::Result<Extents<SimFile>> {
        loop {
            match self.segments.look_up(offset, end) {
                Lookup::Present(extents) => return Ok(extents),
                Lookup::Discarded(error) => return Err(error),
                Lookup::Missing(index) => {
                    let name = self.segments.file_name(index);
                    let there = world.directory(&self.directory).names().get(&name).cloned();
                    let file = there.ok_or_else(|| self.segments.past_the_end(offset))?;
                    let inserted = self.segments.insert(index, file);
                    assert_eq!(inserted, Insertion::Present, "discards hold the same lock");
                }
            }
        }
    }

    fn audit_write_once(&self, world: &World, offset: u64, extents: &[Extent<SimFile>]) {
        let (name, _) = self.segments.locate(offset);
        if !world.options.is_write_once(&name) {
            return;
        }
        let first = offset / self.segments.segment_bytes();
        for (segment, extent) in (first..).zip(extents) {
            // Also by name: a removal that is not durable may bring another file back.
            let named = world.durable_file(&self.directory, &self.segments.file_name(segment));
            let physical = u64::from(self.disk.physical_block);
            let durable = durable_block(&extent.file, extent, physical);
            let durable = durable.or_else(|| durable_block(named?, extent, physical));
            if let Some(index) = durable {
                let len = extent.len;
                world.misuse(&format!(
                    "block {index} of a segment is durable and written again, by the write of \
                     {len} bytes that begins in {name} at device offset {offset}"
                ));
            }
        }
    }

    fn subject(&self, offset: u64, len: usize) -> String {
        let (file, within) = self.segments.locate(offset);
        format!("{}/{file} {within}+{len}", self.directory)
    }
}

impl Device for SimDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        let (end, buf) = match self.check(offset, buf) {
            Ok(checked) => checked,
            Err(completion) => return completion,
        };
        let mut world = self.disk.world();
        let extents = match self.extents_there(&mut world, offset, end) {
            Ok(extents) => in_order(extents),
            Err(error) => return Completion::refused(error, Some(buf)),
        };
        let subject = self.subject(offset, buf.len());
        let work = Work::Read(extents, buf);
        self.disk.begin(&mut world, OperationKind::Read, subject, work)
    }

    fn write_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        self.write(offset, buf, None)
    }

    fn write_and_sync(&self, offset: u64, buf: AlignedBuf) -> Result<Completion, AlignedBuf> {
        Ok(self.write(offset, buf, Some(Box::new(self.coverage()))))
    }

    fn sync(&self) -> Completion {
        let mut world = self.disk.world();
        let (file, _) = self.segments.locate(0);
        let subject = format!("{}/{file} and later", self.directory);
        let work = Work::Sync(self.coverage()(), None);
        self.disk.begin(&mut world, OperationKind::Sync, subject, work)
    }

    fn discard_below(&self, offset: u64) -> BoxFuture<'_, io::Result<()>> {
        let (segments, directory) = (Arc::clone(&self.segments), self.directory.clone());
        let effect = move |world: &mut World, verdict: io::Result<()>| {
            verdict?;
            for (index, _) in segments.discard_below(offset) {
                world.check_changes(&segments.file_name(index))?;
                world.unlink(&directory, &segments.file_name(index))?;
                segments.note_deleted(index);
            }
            Ok(())
        };
        let subject = format!("below {}", self.subject(offset, 0));
        Box::pin(self.disk.perform(OperationKind::Discard, subject, move |_| effect))
    }

    fn truncate(&self, end: u64) -> BoxFuture<'_, io::Result<()>> {
        let (segments, directory) = (Arc::clone(&self.segments), self.directory.clone());
        let start = move |world: &mut World| {
            if let Ok(truncation) = segments.truncation(end) {
                audit_truncation(world, &truncation);
            }
            move |world: &mut World, verdict: io::Result<()>| {
                let truncation = segments.truncation(end)?;
                audit_truncation(world, &truncation);
                truncate(world, truncation, &segments, &directory, verdict)
            }
        };
        Box::pin(async move {
            self.geometry().check(end, 0).map_err(|error| self.refuse(error))?;
            let subject = format!("at and above {}", self.subject(end, 0));
            self.disk.perform(OperationKind::Truncate, subject, start).await
        })
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            block: self.disk.block,
            physical_block: self.disk.physical_block,
            direct: true,
            backend: "sim",
            segment_bytes: self.segments.segment_bytes(),
        }
    }

    fn locate(&self, offset: u64) -> (String, u64) {
        self.segments.locate(offset)
    }

    fn bytes_stored(&self) -> u64 {
        self.segments.sum(|file| file.contents().length())
    }
}

impl fmt::Debug for SimDevice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SimDevice")
            .field("directory", &self.directory)
            .field("segments", &self.segments)
            .finish_non_exhaustive()
    }
}

fn in_order(extents: Extents<SimFile>) -> Vec<Extent<SimFile>> {
    std::iter::once(extents.first).chain(extents.rest).collect()
}

/// Returns a durable block of `file` among the blocks that the medium writes for this range, unless
/// its bytes are zeros, which prepare a place.
fn durable_block(file: &SimFile, range: &Extent<SimFile>, physical: u64) -> Option<u64> {
    let contents = file.contents();
    let start = range.offset / physical * physical;
    let end = (range.offset + range.len as u64).next_multiple_of(physical);
    let len = usize::try_from(end - start).expect("a little more than a transfer");
    let mut parts = blocks::parts(contents.block, start, len);
    let has_bytes = |block: &Block| block.iter().any(|byte| *byte != 0);
    parts
        .find(|part| contents.durable.get(&part.index).is_some_and(has_bytes))
        .map(|part| part.index)
}

/// Carries out a truncation. A failed truncation applies to each file as a whole or not at all.
fn truncate(
    world: &mut World,
    truncation: Truncation<SimFile>,
    segments: &Segments<SimFile>,
    directory: &str,
    verdict: io::Result<()>,
) -> io::Result<()> {
    let cut = truncation.cut.filter(|(file, length)| file.contents().length() > *length);
    if !truncation.removed.is_empty() || cut.is_some() {
        world.check_changes("a truncation")?;
    }
    if verdict.as_ref().is_err_and(did_not_begin) {
        return verdict;
    }
    let mut random = world.random.fork();
    let mut reaches = || verdict.is_ok() || random.chance(0.5);
    for (index, _) in truncation.removed {
        if reaches() {
            world.unlink(directory, &segments.file_name(index))?;
            segments.remove(index);
        }
    }
    if let Some((file, length)) = cut
        && reaches()
    {
        world.change(&file, |contents| contents.truncate(length));
    }
    verdict
}

/// Checks that no transfer is in flight where a truncation deletes bytes. A read without a waiting
/// caller is harmless.
fn audit_truncation(world: &World, truncation: &Truncation<SimFile>) {
    if !world.options.audit {
        return;
    }
    for other in world.in_flight.values() {
        let extents = match &other.work {
            Work::Read(extents, _) if !other.sink.is_abandoned() => extents,
            Work::Write(extents, ..) => extents,
            _ => continue,
        };
        if extents.iter().any(|extent| truncation.reaches(extent)) {
            let InFlight { number, subject, .. } = other;
            world.misuse(&format!("a truncation overlaps operation {number}, of {subject}"));
        }
    }
}
