//! A log that another task or process writes. A follower reads it and never writes.

use super::device::FollowedDevice;
use crate::base::error::{Error, ErrorKind, Result};
use crate::log::Address;
use crate::log::commit::manifest::{Identity, Manifest};
use crate::log::commit::record::CommitRecord;
use crate::log::commit::state::{Commit, CommitState};
use crate::log::frame::format::{Framing, Kind};
use crate::log::frame::scanner::FrameScanner;
use crate::log::frame::stored_files::StoredFiles;
use crate::log::read::entry::Entry;
use crate::log::read::last;
use crate::log::read::options::ScanOptions;
use crate::log::read::range::ReadableRange;
use crate::log::read::reader::Reader;
use crate::log::read::scan::Scan;
use crate::log::read::start::Start;
use crate::log::recover::opening::look;
use crate::log::view::LogView;
use crate::manifest::read::read_sound_manifest;
use crate::opening::directory::background;
use crate::opening::ending::ENDED;
use futures::stream::{self, BoxStream, StreamExt};
use kvick_io::sync::Mutex;
use kvick_io::{BufPool, Device, Directory, ReadOnlyDirectory};
use kvick_runtime::Handle;
use std::fmt;
use std::io;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The largest number of attempts to open a log while its files are being deleted.
const OPENINGS: u32 = 16;

/// Bytes of buffers that a follower keeps.
const BUFFERS: usize = 4 << 20;

/// Reads a log to which another process may append. It takes no lock and changes nothing.
///
/// It sees new commits when it [looks for them](Self::refresh), as far as they can be read. It may
/// see a commit a moment before the writer knows that the commit is durable.
///
/// # Blocking calls
/// [`open`](Self::open), [`refresh`](Self::refresh), scans and tails read files by blocking calls
/// on the polling thread. They use the page cache. On an executor that must not wait for a disk,
/// give a follower a thread or a task that may block. A follower has no thread of its own, with one
/// exception. The first tail without a runtime starts a thread for its clock;
/// [`open_with`](Self::open_with) uses the clock of a runtime instead.
///
/// A `refresh` that sees a truncation closes the files that the writer has deleted. A scan that
/// reaches a deleted file before ends with an error of kind `Truncated`. A tail looks for the begin
/// of the log and continues there.
///
/// # Missed entries
/// The stream of [`follow_from`](Self::follow_from) skips truncated entries silently. A scan
/// reports them with [`fail_on_truncated`](Scan::fail_on_truncated) or [`skipped`](Scan::skipped).
/// [Patterns](crate::guide::patterns#tail-and-follow) has the loop. A follower has no named place:
/// store the [`next`](Entry::next) of the last entry yourself, as a
/// [number](Address::raw).
///
/// ```
/// # use kvick::{log, FasterLog};
/// # use futures::TryStreamExt;
/// # let place = tempfile::tempdir().unwrap();
/// # let path = place.path().join("log");
/// # kvick::runtime::block_on(async {
/// let log = FasterLog::open(&path, log::Config::default()).await?;
/// log.append_durable(b"one").await?;
///
/// let follower = log::Follower::open(&path).await?; // mostly in another process
/// log.append_durable(b"two").await?;
/// follower.refresh().await?;
/// let entries: Vec<_> = follower.scan(..).try_collect().await?;
/// assert_eq!(entries.len(), 2);
/// # log.close().await
/// # }).unwrap();
/// ```
///
/// # Taking over from a stuck writer
/// A stopped process that has not ended keeps the lock of its log, and may continue at any time. So
/// no other process can write in its directory. Give each writer a directory of its own, named by
/// an increasing epoch. A new writer opens the directory of the next epoch *first*. Then it follows
/// the previous log up to its newest commit, and continues from there.
///
/// A writer looks for a later epoch *after* each entry is durable, and *before* it acknowledges the
/// entry. If there is none, the next writer will open its directory later than that, and so finds
/// the entry. If there is one, the entry may be missing there, and the writer ends.
#[derive(Clone)]
pub struct Follower {
    followed: Arc<Followed>,
}

struct Followed {
    directory: Arc<dyn Directory>,
    /// The clock; `None` until a tail needs it.
    handle: Mutex<Option<Handle>>,
    identity: Identity,
    device: Arc<FollowedDevice>,
    view: Arc<LogView>,
    // Held while a task looks for newer commits, so that commits are found in order. True while the
    // end of the last entry must still be found.
    looking: futures::lock::Mutex<bool>,
}

impl Follower {
    /// Opens the log in `path` for reading, up to its current newest commit.
    ///
    /// # Errors
    /// `NotFound` if there is no log yet: create it with [`FasterLog`](crate::FasterLog) first.
    /// `Corrupt`, `Unsupported`, `Io`. `Busy` if the writer keeps deleting files while they are
    /// being opened.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_on(read_only(path.as_ref())?, None).await
    }

    /// Opens like [`open`](Self::open), with the clock of your own runtime.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn open_with(path: impl AsRef<Path>, handle: Handle) -> Result<Self> {
        Self::open_on(read_only(path.as_ref())?, Some(handle)).await
    }

    /// Opens like [`open`](Self::open), in your own directory and with the clock of your own
    /// runtime.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn open_in(directory: Arc<dyn Directory>, handle: Handle) -> Result<Self> {
        Self::open_on(directory, Some(handle)).await
    }

    /// Opens the log. Starts again if the writer has published another manifest in the meantime,
    /// because it may have deleted files that the first manifest needs.
    async fn open_on(directory: Arc<dyn Directory>, handle: Option<Handle>) -> Result<Self> {
        let mut manifest = manifest_in(&*directory).await?;
        for _ in 0..OPENINGS {
            let opened = Self::open_as(&manifest, Arc::clone(&directory), handle.clone()).await;
            let Err(error) = opened else {
                return opened;
            };
            let newer = manifest_in(&*directory).await?;
            if newer == manifest {
                return Err(error);
            }
            manifest = newer;
        }
        Err(Error::busy("the writer deletes files of the log faster than they can be opened"))
    }

    async fn open_as(
        manifest: &Manifest,
        directory: Arc<dyn Directory>,
        handle: Option<Handle>,
    ) -> Result<Self> {
        let (sizes, state) = (manifest.log, manifest.commit_state());
        let device = Arc::new(FollowedDevice::open(Arc::clone(&directory), sizes).await?);
        let framing = Framing::new(manifest.units().followed(), sizes.salt.0);
        let range = ReadableRange::new(state);
        let view = LogView::new(framing, device.clone(), BufPool::new(BUFFERS), range);
        let followed = Followed {
            directory,
            handle: Mutex::new(handle),
            identity: manifest.identity(),
            device,
            view: Arc::new(view),
            looking: futures::lock::Mutex::new(true),
        };
        let follower = Self { followed: Arc::new(followed) };
        follower.followed.look_for_newer().await?;
        Ok(follower)
    }

    /// Looks for newer commits, and returns the newest one that it can see.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported`, `Io`. `InvalidArgument` if there is another log now, or if
    /// recovery or repair took the log back to an earlier commit. The commits seen before stay
    /// visible.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time.
    pub async fn refresh(&self) -> Result<Commit> {
        self.followed.look_for_newer().await?;
        Ok(self.last_commit())
    }

    /// Returns the newest commit that the follower has seen.
    #[must_use]
    pub fn last_commit(&self) -> Commit {
        self.followed.view.range().committed().commit()
    }

    /// Returns the address of the first entry, or of the next entry if the log is empty.
    #[must_use]
    pub fn begin_address(&self) -> Address {
        self.followed.view.range().begin().into()
    }

    /// Returns the entries that begin in `range`, in order, as of the newest commit that the
    /// follower has seen at the first poll. Ranges work as in
    /// [`FasterLog::scan`](crate::FasterLog::scan).
    pub fn scan(&self, range: impl RangeBounds<Address>) -> Scan {
        let options =
            ScanOptions { end: Address::end_of(&range), follow: false, uncommitted: false };
        let reader = Reader::new(Arc::clone(&self.followed.view), Start::of(&range), options);
        Scan::new(reader, None)
    }

    /// Returns all entries from `address` on. At the end it looks for newer commits, and again each
    /// time that `every` has passed. The stream ends when the log is completed, and after an error.
    ///
    /// It skips entries that the writer truncates before it has read them, and does not report it;
    /// see [Missed entries](Self#missed-entries).
    pub fn follow_from(
        &self,
        address: Address,
        every: Duration,
    ) -> BoxStream<'static, Result<Entry>> {
        let scan = Some(self.scan(address..));
        let state = (self.clone(), scan);
        let next = move |(follower, scan): (Self, Option<Scan>)| async move {
            let mut scan = scan?;
            loop {
                match scan.next().await {
                    Some(Ok(entry)) => return Some((Ok(entry), (follower, Some(scan)))),
                    Some(Err(error)) => match follower.past(scan.position(), error).await {
                        Ok(()) => {}
                        Err(error) => return Some((Err(error), (follower, None))),
                    },
                    None => {}
                }
                // The end is read after the flag, so it is then the final end.
                let committed = follower.followed.view.range().committed();
                let is_completed = committed.is_completed();
                let position = scan.position();
                if is_completed && position >= committed.until().into() {
                    return None;
                }
                if position >= committed.until().into()
                    && let Err(error) = follower.refresh_after(every).await
                {
                    return Some((Err(error), (follower, None)));
                }
                scan = follower.scan(position..);
            }
        };
        stream::unfold(state, next).boxed()
    }
}

impl Follower {
    /// Returns `error`, unless it is a truncation and the log now begins after `position`.
    async fn past(&self, position: Address, error: Error) -> Result<()> {
        if error.kind() != ErrorKind::Truncated {
            return Err(error);
        }
        self.refresh().await?;
        if self.begin_address() > position { Ok(()) } else { Err(error) }
    }

    async fn refresh_after(&self, pause: Duration) -> Result<()> {
        let clock = self.followed.clock()?;
        clock.sleep(pause).await;
        if clock.has_ended() {
            // Sleeps of an ended clock end at once.
            return Err(Error::unmaintained("clock of a follower", ENDED));
        }
        self.refresh().await.map(drop)
    }
}

/// Returns the manifest of the existing log.
async fn manifest_in(directory: &dyn Directory) -> Result<Manifest> {
    look(directory, true).await?.ok_or_else(|| no_log(&directory.describe()))
}

#[cold]
fn no_log(place: &str) -> Error {
    Error::not_found(&format!("the log in {place}"), "create it with `FasterLog` first")
}

fn read_only(path: &Path) -> Result<Arc<dyn Directory>> {
    let directory = ReadOnlyDirectory::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => no_log(&path.display().to_string()),
        _ => Error::io(format!("the directory of the log, {}", path.display()), error),
    })?;
    Ok(Arc::new(directory))
}

impl Followed {
    /// Returns the clock. Starts it if there is none yet.
    fn clock(&self) -> Result<Handle> {
        let mut handle = self.handle.lock().expect("nothing panics under it");
        if handle.is_none() {
            *handle = Some(background()?);
        }
        Ok(handle.clone().expect("looked at above"))
    }

    /// Shows readers the entries committed in the meantime.
    async fn look_for_newer(&self) -> Result<()> {
        let mut owes_last = self.looking.lock().await;
        let before = self.view.range().committed().state();
        let mut commit_state = before.clone();
        let mut manifest = read_sound_manifest(&*self.directory).await?;
        if manifest.is_none() {
            manifest = look(&*self.directory, true).await?;
        }
        if let Some(manifest) = manifest {
            self.check(&manifest)?;
            let saved = manifest.commit_state();
            // On a full medium a manifest may have the same commit and a later begin.
            if (saved.number, saved.begin) > (commit_state.number, commit_state.begin) {
                commit_state = saved;
            }
        }
        self.walk_on(&mut commit_state).await?;
        if commit_state != before {
            // Set first: if this future is dropped in between, the next look completes the work.
            *owes_last = true;
            self.show(commit_state);
        }
        if *owes_last {
            last::find(&self.view).await;
            *owes_last = false;
        }
        Ok(())
    }

    fn check(&self, manifest: &Manifest) -> Result<()> {
        let (now, then) = (manifest.identity(), self.identity);
        let what = if now.sizes != then.sizes {
            "there is another log now"
        } else if now.rewinds != then.rewinds {
            "the log went back to an earlier commit, and its addresses are used again"
        } else {
            return Ok(());
        };
        let place = self.directory.describe();
        Err(Error::invalid(format!("{place}: {what}; open it again")))
    }

    /// Continues to the newest readable commit.
    async fn walk_on(&self, commit_state: &mut CommitState) -> Result<()> {
        let units = self.view.units();
        let directory = &*self.directory;
        let stored = StoredFiles::look(directory, self.identity.sizes.segment_bytes).await?;
        self.device.catch_up(&stored).await?;
        let scanner = FrameScanner {
            framing: self.view.framing(),
            device: &**self.view.device(),
            buffers: self.view.buffers(),
            stored,
        };
        let stopped = scanner.along(commit_state.until, |frame| {
            let until = units.block_behind_end(frame.next);
            if frame.kind == Kind::Commit
                && let Some(record) = CommitRecord::decode(frame.payload)
                && commit_state.precedes(&record, until)
            {
                commit_state.apply(&record, until);
            }
            Ok(())
        });
        // At the place where it stops, the writer will continue, or has not arrived yet.
        stopped.await.map(drop)
    }

    /// Shows readers a newer commit.
    fn show(&self, state: CommitState) {
        let files_begin = self.view.units().page_start(state.begin);
        debug_assert!(
            self.view.memory().is_none(),
            "a follower has no memory that would have newer entries"
        );
        self.view.range().replace(state);
        self.device.forget_below(files_begin);
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Follower")
            .field("directory", &self.followed.directory)
            .field("source", &self.followed.view)
            .finish_non_exhaustive()
    }
}
