//! Shows usual tasks done right, each as a small program.
//!
//! # Offsets with state
//! A service reads a stream of input and keeps results in a store. After a crash it must continue
//! at the right place of the input. A checkpoint has a prefix of the writes of each session. So
//! write the result first and the offset second, through the *same* session: a recovered offset
//! never claims a result that is missing.
//!
//! ```
//! use kvick::{Config, FasterKv};
//! # use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! let store: FasterKv<str, u64> = FasterKv::open("data", config).await?;
//! let mut session = store.session()?;
//! let input = ["a", "b", "a"];
//! let start = session.read("offset").await?.unwrap_or(0);
//! for (offset, word) in (0..).zip(input).skip(start as usize) {
//!     session.rmw(word, |count| count.unwrap_or(0) + 1).await?; // the result
//!     session.upsert("offset", &(offset + 1)).await?; // then the offset
//! }
//! store.checkpoint().await?;
//! # assert_eq!(session.read("a").await?, Some(2));
//! # drop(session);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! A crash between the two writes repeats one input: *at least once*. That is enough if a repeated
//! input has the same result. Otherwise use serial numbers.
//!
//! # Exactly once
//! Each write of a session has a serial number, and a checkpoint has exactly the numbers that its
//! commit point [covers](crate::session::CommitPoint::covers). If each input is one write, the
//! number is the offset:
//!
//! ```
//! use kvick::{Config, FasterKv};
//! # use kvick::io::MemoryDirectory;
//! # use std::sync::Arc;
//!
//! # let files = Arc::new(MemoryDirectory::new());
//! # let open = || {
//! #   // A close without a checkpoint loses the same writes as a crash.
//! #   let config = Config::default().with_checkpoint_on_close(false);
//! #   FasterKv::<u64, u64>::builder(config).directory(files.clone()).open_in_directory()
//! # };
//! # kvick::runtime::block_on(async {
//! # #[cfg(any())]
//! let open = || FasterKv::<u64, u64>::open("data", Config::default());
//!
//! // Input n adds n to the key n % 3.
//! let store = open().await?;
//! let mut session = store.session()?;
//! let id = session.id(); // keep it where the input is, before the first write
//! while session.next_serial() <= 10 {
//!     let n = session.next_serial();
//!     session.rmw(&(n % 3), |sum| sum.unwrap_or(0) + n).await?;
//!     if n == 6 {
//!         store.checkpoint().await?;
//!     }
//! }
//! # drop(session);
//! # store.close().await?;
//! // A crash: writes 7 to 10 are in no checkpoint.
//!
//! let store = open().await?;
//! let mut session = store.resume_session(id)?;
//! assert_eq!(session.next_serial(), 7);
//! while session.next_serial() <= 10 {
//!     let n = session.next_serial();
//!     session.rmw(&(n % 3), |sum| sum.unwrap_or(0) + n).await?;
//! }
//! let sums = session.read_many(&[0, 1, 2]).await?;
//! assert_eq!(sums, [Some(3 + 6 + 9), Some(1 + 4 + 7 + 10), Some(2 + 5 + 8)]);
//! # drop(session);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! * Always take the input of [`next_serial`](crate::Session::next_serial), or of
//!   [`next_serials`](crate::Session::next_serials) for a batch. Do not count yourself: after a
//!   crash in an `rmw_many` the numbers may have holes, and these come first.
//! * Forget the input of a number only when a durable commit point covers it.
//! * `resume_session` fails with `InvalidArgument` if no checkpoint has the session: begin again
//!   with number 1 and a new session.
//!
//! # Backup
//! Copy a checkpoint while the store runs, and check the copy: see
//! [`formats`](super::formats#backup).
//!
//! # A queue
//! A log is a durable queue of jobs: producers append, a named iterator remembers the place. A job
//! is done at least once. The space of done jobs is freed a segment at a time.
//!
//! ```
//! use futures::StreamExt;
//! use kvick::{log, FasterLog};
//! # use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! # let config = log::Config::default().with_backend(Backend::Memory);
//! let log = FasterLog::open("queue", config).await?;
//! log.append_durable(b"job 1").await?;
//! log.append_durable(b"job 2").await?;
//! log.complete().await?; // no more jobs; without it the loop waits for the next job
//!
//! let mut jobs = log.iterator("worker")?;
//! while let Some(job) = jobs.next().await {
//!     let job = job?;
//!     println!("{}", String::from_utf8_lossy(&job.payload)); // do it
//!     jobs.complete_until(job.next).await?;
//!     log.commit().await?; // keeps the place
//!     log.truncate_until(job.next).await?; // the next commit frees the space
//! }
//! # drop(jobs);
//! # log.close().await
//! # }).unwrap();
//! ```
//!
//! The example `queue` does this with batches, several workers, and a killed process.
//!
//! # Tail and follow
//! [`FasterLog::follow`](crate::FasterLog::follow) is a stream of entries as they are committed.
//! Any number of tasks can have one. Slow readers read from the device and delay no writer.
//!
//! Another process follows the log with a [`log::Follower`](crate::log::Follower), which writes
//! nothing and takes no lock:
//!
//! ```
//! use futures::StreamExt;
//! use kvick::{log, FasterLog};
//! use std::time::Duration;
//!
//! # let place = tempfile::tempdir().unwrap();
//! # let path = place.path().join("log");
//! # #[cfg(any())]
//! let path = "log";
//! # kvick::runtime::block_on(async {
//! let log = FasterLog::open(&path, log::Config::default()).await?;
//! log.append_durable(b"one").await?;
//!
//! let follower = log::Follower::open(&path).await?; // in another process
//! let mut entries = follower.follow_from(follower.begin_address(), Duration::from_millis(10));
//! assert_eq!(&entries.next().await.expect("it does not end")?.payload[..], b"one");
//!
//! log.append_durable(b"two").await?;
//! assert_eq!(&entries.next().await.expect("it does not end")?.payload[..], b"two");
//! # drop(entries);
//! # log.close().await
//! # }).unwrap();
//! ```
//!
//! A reader that must not miss entries calls
//! [`fail_on_truncated`](crate::log::Scan::fail_on_truncated); [`lag`](crate::log::Scan::lag) tells
//! how far it is after the newest entry.
//!
//! # Shutdown
//! Writers end first, then the store or log, then the runtime. `close` on one handle ends all of
//! them: later operations get [`Closed`](crate::ErrorKind::Closed).
//!
//! ```
//! use futures::future::join_all;
//! use kvick::{Config, FasterKv, Result};
//! # use kvick::config::Backend;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicBool, Ordering};
//!
//! async fn write(store: FasterKv<u64, u64>, writer: u64, stop: Arc<AtomicBool>) -> Result<()> {
//!     let mut session = store.session()?;
//!     while !stop.load(Ordering::Relaxed) {
//!         session.rmw(&writer, |count| count.unwrap_or(0) + 1).await?;
//!     }
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<()> {
//! #   let config = Config::default().with_backend(Backend::Memory);
//! #   #[cfg(any())]
//!     let config = Config::default();
//!     let store: FasterKv<u64, u64> = FasterKv::open("data", config).await?;
//!     let stop = Arc::new(AtomicBool::new(false));
//!     let writers = (0..4).map(|n| tokio::spawn(write(store.clone(), n, Arc::clone(&stop))));
//!     let writers: Vec<_> = writers.collect();
//!     // ... until a signal comes
//!     stop.store(true, Ordering::Relaxed);
//!     for writer in join_all(writers).await {
//!         writer.expect("no writer panics")?;
//!     }
//!     store.close().await // with a last checkpoint of everything
//! }
//! ```
