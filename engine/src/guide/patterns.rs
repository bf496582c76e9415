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
//! The state and the offset may have tables of their own. The session is one sequence over both:
//!
//! ```
//! use kvick::{Config, Database};
//! # use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! let database = Database::open("data", config).await?;
//! let counts = database.table::<str, u64>("counts").await?;
//! let offsets = database.table::<u32, u64>("offsets").await?; // by the part of the input
//! let mut session = counts.session()?;
//! session.rmw("a", |count| count.unwrap_or(0) + 1).await?; // the result
//! session.on(&offsets)?.upsert(&0, &1).await?; // then the offset
//! database.checkpoint().await?;
//! # assert_eq!(session.serial(), 2);
//! # drop(session);
//! # database.close().await
//! # }).unwrap();
//! ```
//!
//! # Exactly once
//! Each write of a session has a serial number, and a checkpoint has exactly the numbers that its
//! commit point [covers](crate::session::CommitPoint::covers). A
//! [named session](crate::FasterKv::session_named) is found again by its name, in each life. If
//! each input is one write, the number is the offset:
//!
//! ```
//! use kvick::{Config, FasterKv};
//!
//! # kvick::runtime::block_on(async {
//! # let place = tempfile::tempdir().unwrap();
//! # let data = &place.path().join("data");
//! # let config = Config::default().with_checkpoint_on_close(false);
//! # let store = FasterKv::<u64, u64>::open(data, config).await?;
//! # let mut session = store.session_named("worker-1")?;
//! # while session.next_serial() <= 8 {
//! #     let n = session.next_serial();
//! #     session.rmw(&(n % 3), |sum| sum.unwrap_or(0) + n).await?;
//! #     if n == 6 {
//! #         store.checkpoint().await?;
//! #     }
//! # }
//! # drop(session);
//! # store.close().await?; // without a checkpoint it loses the same writes as a crash
//! # #[cfg(any())]
//! let data = "data";
//!
//! // Input n adds n to the key n % 3. The process may be killed and started again at any time.
//! let store: FasterKv<u64, u64> = FasterKv::open(data, Config::default()).await?;
//! let mut session = store.session_named("worker-1")?;
//! # assert_eq!(session.next_serial(), 7);
//! while session.next_serial() <= 10 {
//!     let n = session.next_serial();
//!     session.rmw(&(n % 3), |sum| sum.unwrap_or(0) + n).await?;
//!     if n % 6 == 0 {
//!         store.checkpoint().await?;
//!     }
//! }
//! let sums = session.read_many(&[0, 1, 2]).await?;
//! assert_eq!(sums, [Some(3 + 6 + 9), Some(1 + 4 + 7 + 10), Some(2 + 5 + 8)]);
//! drop(session);
//! store.close().await?;
//! # Ok::<(), kvick::Error>(())
//! # }).unwrap();
//! ```
//!
//! * If an input takes any number of writes, keep the place in the input as the
//!   [offset](crate::Session::set_offset) of the session; see
//!   [`session_named`](crate::FasterKv::session_named). The writes of an input must be the same
//!   each time. Or make all writes of an input at once, with the offset after it, by
//!   [`write_batch`](crate::Session::write_batch): then a crash leaves none of them in part.
//! * Always take the input of [`next_serial`](crate::Session::next_serial), or of
//!   [`next_serials`](crate::Session::next_serials) for a batch. Do not count yourself. After a
//!   crash in an `rmw_many` some lower numbers may be undone; `next_serial` returns these first.
//! * Forget the input of a number only when a durable commit point covers it.
//! * Drop the session and close the store before the same process opens the directory again.
//!   Otherwise the opening fails with `InUse`.
//!
//! # Change a type
//! Give every derived value type a `version` from the start. It takes one byte in each value.
//! A type without a version can never change: a store refuses the same type with a version. Then
//! a program that changes the fields keeps the older type, and names it in the newer type:
//!
//! ```
//! # #[cfg(feature = "derive")]
//! # fn main() -> kvick::Result<()> {
//! use kvick::session::Update;
//! use kvick::{Config, FasterKv, Value};
//! # use kvick::io::MemoryDirectory;
//! # use std::sync::Arc;
//!
//! #[derive(Value)]
//! #[kvick(name = "account", version = 1)]
//! struct AccountV1 {
//!     owner: String,
//! }
//!
//! #[derive(Value, Debug, PartialEq)]
//! #[kvick(name = "account", version = 2, from(1) = AccountV1)]
//! struct Account {
//!     owner: String,
//!     cents: u64,
//! }
//!
//! impl From<AccountV1> for Account {
//!     fn from(old: AccountV1) -> Self {
//!         Self { owner: old.owner, cents: 0 }
//!     }
//! }
//!
//! # let files = Arc::new(MemoryDirectory::new());
//! # kvick::runtime::block_on(async {
//! # let builder = FasterKv::<u64, AccountV1>::builder(Config::default());
//! # let store = builder.directory(files.clone()).open_in_directory().await?;
//! # store.upsert(&7, &AccountV1 { owner: "Ada".into() }).await?;
//! # store.close().await?;
//! # let builder = FasterKv::<u64, Account>::builder(Config::default());
//! # let store = builder.directory(files.clone()).open_in_directory().await?;
//! # #[cfg(any())]
//! // The store was written with values of AccountV1.
//! let store: FasterKv<u64, Account> = FasterKv::open("data", Config::default()).await?;
//! let ada = store.read(&7).await?.expect("it was written by the older program");
//! assert_eq!(ada, Account { owner: "Ada".into(), cents: 0 });
//!
//! // Writes the value in the newest version, if the key has one.
//! let rewrite = |value: Option<Account>| match value {
//!     Some(value) => Update::Put(value, ()),
//!     None => Update::Keep(()),
//! };
//! # let richer = Account { owner: "Ada".into(), cents: 5 };
//! # assert!(!store.compare_and_swap(&7, &ada, &richer).await?);
//! store.update(&7, rewrite).await?;
//! # assert!(store.compare_and_swap(&7, &ada, &richer).await?);
//! # store.close().await
//! # })
//! # }
//! # #[cfg(not(feature = "derive"))]
//! # fn main() {}
//! ```
//!
//! * The store rewrites nothing by itself: a value stays in its version until it is written again.
//!   So keep every older type, with a `from` of its own in the newest type. A value of a version
//!   that no `from` names fails to read, with [`Codec`](crate::ErrorKind::Codec).
//! * After the first opening with the newer type, the older program can no longer open the store.
//! * `compare_and_swap` and `compare_and_delete` compare stored bytes. A value of an older version
//!   is not equal to itself read back. Use `update`, or rewrite the value first as above.
//! * To rewrite all values, [update each key of a scan](#change-all-values).
//! * Key types have no `from`, so the fields of a key never change. Only an enum may gain variants,
//!   after all others and under the same version: open the store once with
//!   [`accept_type_change`](crate::Builder::accept_type_change).
//!
//! # Change all values
//! A scan shows one moment, so the updates of the loop do not come again. The closure of `update`
//! gets the present value, which may be newer than the scanned one, or gone:
//!
//! ```
//! use futures::TryStreamExt;
//! use kvick::session::Update;
//! use kvick::{Config, FasterKv};
//! # use kvick::config::Backend;
//!
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! let cents: FasterKv<u64, u64> = FasterKv::open("data", config).await?;
//! # cents.upsert_each((0..100).map(|n| (n, n))).await?;
//! let mut rich = cents.scan_with(|account, cents| (cents > 50).then_some(account));
//! while let Some(account) = rich.try_next().await? {
//!     let tax = |cents: Option<u64>| match cents {
//!         Some(cents) => Update::Put(cents - cents / 10, ()),
//!         None => Update::Keep(()),
//!     };
//!     cents.update(&account, tax).await?;
//! }
//! # assert_eq!(cents.read(&60).await?, Some(54));
//! # drop(rich);
//! # cents.close().await
//! # }).unwrap();
//! ```
//!
//! # Keys that expire
//! A table of [`Expiring`](crate::codec::Expiring) values forgets its keys by itself: tokens,
//! answers that are true for a while. Here a token lasts until it was not used for some minutes:
//!
//! ```
//! use kvick::codec::Expiring;
//! use kvick::session::Expiry;
//! use kvick::{Config, FasterKv, Result};
//! # use kvick::config::Backend;
//! use std::time::Duration;
//!
//! type Tokens = FasterKv<str, Expiring<u64>>; // the users of tokens
//!
//! const IDLE: Duration = Duration::from_secs(600);
//!
//! /// Returns the user of a token, and lets the token last longer.
//! async fn user(tokens: &Tokens, token: &str) -> Result<Option<u64>> {
//!     let user = tokens.read(token).await?;
//!     // It may have expired since it was read.
//!     let lasts = tokens.set_expiry(token, Expiry::after(IDLE)).await?;
//!     Ok(user.filter(|_| lasts))
//! }
//!
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! # #[cfg(any())]
//! let config = Config::default();
//! let tokens = Tokens::open("tokens", config).await?;
//! tokens.upsert_with("a1b2", &7, Expiry::after(IDLE)).await?;
//! assert_eq!(user(&tokens, "a1b2").await?, Some(7));
//! assert_eq!(user(&tokens, "c3d4").await?, None);
//! # tokens.close().await
//! # }).unwrap();
//! ```
//!
//! If the value changes with each use, too, [`update_with`](crate::Session::update_with) decides
//! about value and expiry in one step. A plain `upsert` sets a value that never expires;
//! [`Expiring`](crate::codec::Expiring) has a table of all operations.
//!
//! # Return memory
//! A store cannot go below the floor of its memory, which moves while tasks write. This function
//! goes down as far as possible. Call it again later: the floor comes down with the index.
//!
//! ```
//! use kvick::config::ByteSize;
//! use kvick::{Config, ErrorKind, FasterKv, Result};
//! # use kvick::config::Backend;
//!
//! /// Sets the memory to `wanted`, or to the floor if that is more. Returns the new memory.
//! async fn lower(store: &FasterKv<u64, u64>, wanted: ByteSize) -> Result<ByteSize> {
//!     loop {
//!         let target = wanted.max(ByteSize::new(store.stats().memory.floor));
//!         match store.set_memory(target).await {
//!             // The floor has grown meanwhile.
//!             Err(error)
//!                 if error.kind() == ErrorKind::InvalidArgument
//!                     && store.stats().memory.floor > target.bytes() => {}
//!             set => return set.map(|()| target),
//!         }
//!     }
//! }
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_memory(ByteSize::mib(64)).with_backend(Backend::Memory);
//! # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
//! # assert_eq!(lower(&store, ByteSize::mib(32)).await?, ByteSize::mib(32));
//! # let least = lower(&store, ByteSize::kib(1)).await?;
//! # assert!(ByteSize::kib(1) < least && least < ByteSize::mib(32), "{least}");
//! # assert_eq!(store.stats().memory.budget, least.bytes());
//! # assert!(lower(&store, ByteSize::gib(64)).await.is_err(), "more than was reserved");
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! # Follow a store
//! A second store may have a copy of the tables of the first, and stay up to date. With a
//! write-ahead log its [changes](crate::feed#a-replica-of-changes) are durable when they show, and
//! a token is the place to go on at, after any restart. They also feed a search index, a cache or a
//! queue. The example `mirror` is a program that follows them. Only the process that has the store
//! open reads its changes: it sends them to others.
//!
//! Without that log: subscribe to the records, scan into an empty table, then take in the records.
//! [`feed`](crate::feed#a-replica) has the rules, and the example `replica` is a program that
//! follows them, through restarts, a crash, and a time away that was too long.
//!
//! # Read beside the writer
//! Another process reads a store as of a checkpoint with a [`StoreReader`](crate::reader), which
//! takes no lock and writes nothing. It sees nothing of a write-ahead log, and no store that has no
//! checkpoint yet. Take checkpoints as often as readers should see changes
//! ([`Config::checkpoint_every`](crate::Config::checkpoint_every)), and keep more than one
//! ([`Config::keep_checkpoints`](crate::Config::keep_checkpoints)), so that a reader has time to
//! refresh. A [cookie](crate::checkpoint::Request::cookie) tells readers what a checkpoint has.
//!
//! # Backup
//! [`backup`](crate::FasterKv::backup) copies a running store: see
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
//!
//! let mut jobs = log.iterator("worker")?;
//! while let Some(job) = jobs.next().await { // waits for a job
//!     let job = job?;
//!     println!("{}", String::from_utf8_lossy(&job.payload)); // do it
//!     jobs.complete_until(job.next).await?;
//!     log.commit().await?; // keeps the place
//!     log.truncate_until(job.next).await?; // the next commit frees the space
//!     if jobs.is_caught_up() {
//!         break; // only in this example: a worker waits for the next job
//!     }
//! }
//! # drop(jobs);
//! # log.close().await
//! # }).unwrap();
//! ```
//!
//! Do not end a queue by [`complete`](crate::FasterLog::complete): a completed log never takes an
//! entry again, also after it was closed and opened. A named iterator exists only in the process
//! that writes the log. To watch its progress from another task, compare
//! [`iterators`](crate::FasterLog::iterators) with the `next` of [`last`](crate::FasterLog::last).
//!
//! Jobs of one type: a [`TypedLog`](crate::log::TypedLog) appends, scans and follows, but it has no
//! iterator yet. Decode the payload of an entry with
//! [`Value::decode`](crate::codec::Value::decode).
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
//! Both streams skip entries that the writer truncates before the reader reaches them. A reader in
//! the writing process notices it with [`fail_on_truncated`](crate::log::Scan::fail_on_truncated);
//! [`lag`](crate::log::Scan::lag) tells how many bytes it lags. The stream of a follower has
//! neither, and skips *silently*. A follower that must not miss entries scans in a loop, and keeps
//! its place itself:
//!
//! ```
//! use futures::StreamExt;
//! use kvick::{log, FasterLog, Result};
//! use std::time::Duration;
//!
//! /// Handles every entry from `place` on. Fails with `Truncated` if entries are missing.
//! async fn follow(follower: &log::Follower, mut place: log::Address) -> Result<()> {
//!     loop {
//!         follower.refresh().await?;
//!         let mut entries = follower.scan(place..).fail_on_truncated();
//!         while let Some(entry) = entries.next().await {
//!             let entry = entry?;
//!             println!("{}", String::from_utf8_lossy(&entry.payload)); // handle it
//!             place = entry.next; // store `place.raw()`; `log::Address::new` reads it back
//! #           if &entry.payload[..] == b"last" {
//! #               return Ok(());
//! #           }
//!         }
//!         tokio::time::sleep(Duration::from_millis(10)).await;
//!     }
//! }
//! # #[tokio::main]
//! # async fn main() -> Result<()> {
//! # let place = tempfile::tempdir().unwrap();
//! # let path = place.path().join("log");
//! # let log = FasterLog::open(&path, log::Config::default()).await?;
//! # let first = log.append_durable(b"one").await?;
//! # let follower = log::Follower::open(&path).await?;
//! # let task = tokio::spawn(async move { follow(&follower, first).await });
//! # tokio::time::sleep(Duration::from_millis(30)).await;
//! # let last = log.append_durable(b"last").await?;
//! # task.await.expect("it does not panic")?;
//! # let follower = log::Follower::open(&path).await?;
//! # log.truncate_until(last).await?;
//! # log.commit().await?;
//! # let missed = follow(&follower, first).await.expect_err("the first entry is truncated");
//! # assert_eq!(missed.kind(), kvick::ErrorKind::Truncated);
//! # let begin = follower.begin_address();
//! # follow(&follower, begin).await?;
//! # log.close().await
//! # }
//! ```
//!
//! If the loss after a `Truncated` is acceptable, [`refresh`](crate::log::Follower::refresh) the
//! follower, and go on at its [`begin_address`](crate::log::Follower::begin_address).
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
