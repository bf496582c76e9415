//! Maps the names of FASTER, Tsavorite and FasterLog to the names here, and lists the differences.
//!
//! # The store
//! | FASTER, Tsavorite | here |
//! |---|---|
//! | `FasterKV`, `TsavoriteKV` | [`FasterKv`] |
//! | `NewSession`, `ClientSession` | [`FasterKv::session`], [`Session`]; optional |
//! | `Read`, `Upsert`, `RMW`, `Delete` | [`read`], [`upsert`], [`rmw`], [`delete`] |
//! | `Status.NotFound` | `None` |
//! | `Status.Pending`, `CompletePending` | the `.await` of the operation; [`try_read`] for no I/O |
//! | `InitialUpdater`, `InPlaceUpdater`, `CopyUpdater` | the closure of [`rmw`] |
//! | output of `RMW`, `RMWAction.ExpireAndStop` | the closure of [`update`] |
//! | `SingleReader`, `ConcurrentReader` | [`read_with`] |
//! | serializers, `VarLen`, `SpanByte` | [`Value`]: `[u8]`, `str`, your own |
//! | `IFasterEqualityComparer` | none: keys are equal if their bytes are |
//! | `TakeHybridLogCheckpointAsync`, `TakeFullCheckpointAsync` | [`checkpoint`] |
//! | `CheckpointType.FoldOver`, `Snapshot`; incremental snapshots | [`checkpoint::Kind`] |
//! | `TakeIndexCheckpointAsync` | [`index_only`] |
//! | `Recover` | [`FasterKv::open`] recovers; [`recover`] takes a token |
//! | `ResumeSession`, `CommitPoint` | [`resume_session`], [`CommitPoint`] |
//! | `WaitForCommitAsync` of a session | [`Session::wait_durable`] |
//! | `LogSettings.MemorySizeBits`, `IndexSize` | [`memory`], [`expected_keys`] |
//! | `PageSizeBits`, `SegmentSizeBits` | [`page_size`], [`segment_size`] |
//! | `MutableFraction` | [`mutable_fraction`] |
//! | `IDevice`, `Devices.CreateLogDevice` | [`io::Device`], [`Backend`] |
//! | `LightEpoch` | [`epoch::Epoch`] |
//! | `Log.FlushAndEvict` | [`flush_and_evict`] |
//! | `Iterate`, `IterateLookupSnapshot` | [`scan`](crate::FasterKv::scan), as of one moment |
//! | `Log.Scan` | [`log_records`](crate::FasterKv::log_records), a stream |
//! | `Log.Subscribe` | [`subscribe`](crate::FasterKv::subscribe), a stream that may lag |
//! | `Log.Compact` | [`compact`](crate::FasterKv::compact), always by lookup |
//! | `ReadCacheEnabled`, `ReadCache` | [`read_cache`](crate::Config::read_cache), on by default |
//! | `LockableContext`, transactions | not yet |
//!
//! # The log
//! | FasterLog | here |
//! |---|---|
//! | `Enqueue`, `EnqueueAsync` | [`append`] |
//! | `TryEnqueue` | [`try_append`] |
//! | `Enqueue` of a batch | [`append_many`] |
//! | `EnqueueAndWaitForCommit` | [`append_durable`] |
//! | `Commit`, `CommitAsync` | [`commit`], with [`number`] and [`cookie`] |
//! | `WaitForCommit` | [`wait_for_commit`] |
//! | `BeginAddress`, `TailAddress` | [`begin_address`], [`tail_address`] |
//! | `CommittedUntilAddress` | [`committed_until`] |
//! | `Scan` | [`scan`], a `Stream` |
//! | `Scan` without an end, `WaitAsync` | [`follow`], [`follow_from`] |
//! | `Scan` with a name, `CompleteUntil` | [`iterator`], [`complete_until`] |
//! | `scanUncommitted` | [`Scan::uncommitted`] |
//! | `TruncateUntil` | [`truncate_until`] |
//! | `CompleteLog` | [`complete`] |
//! | a read-only `FasterLog`, `RefreshUncommitted`, `RecoverReadOnly` | [`log::Follower`] |
//! | `FastCommitMode` | always: a commit is a record in the log |
//! | `AutoRefreshSafeTailAddress` | always: uncommitted scans see entries at once |
//! | `TolerateDeviceFailure` | none: after a failed write only opening again helps |
//!
//! # Differences
//! * **Operations are futures.** There is no pending table and no `CompletePending`. A dropped
//!   future has had its whole effect or none ([`cancel_safety`](super::cancel_safety)).
//! * **Sessions are optional, and not bound to a thread.** A parked task holds no epoch.
//! * **One closure modifies.** It gets a copy, runs without a lock, and may run again. There is no
//!   code that changes a value in place under a lock of the record.
//! * **A checkpoint is a barrier.** Writers wait for each other for microseconds; no operation of a
//!   later version is in it, and nothing is undone at recovery.
//! * **Checkpoints survive power cuts** by default: everything is synced, and published by one
//!   rename. Every byte that is read is checked.
//! * **Recovery fails rather than guesses.** It opens an older checkpoint only with
//!   [`allow_fallback`](crate::Config::allow_fallback).
//! * **Settings are bytes**, not powers of two, and one of them is the budget.
//!
//! # A session, ported
//! ```csharp
//! using var session = store.NewSession(new SimpleFunctions<long, long>((a, b) => a + b));
//! session.RMW(ref key, ref input);          // adds
//! session.CompletePending(wait: true);
//! ```
//!
//! ```
//! # use kvick::{Config, FasterKv};
//! # use kvick::config::Backend;
//! # kvick::runtime::block_on(async {
//! # let config = Config::default().with_backend(Backend::Memory);
//! # let store: FasterKv<u64, u64> = FasterKv::open("unused", config).await?;
//! # let (key, input) = (1, 5);
//! let mut session = store.session()?;
//! session.rmw(&key, |sum| sum.unwrap_or(0) + input).await?;
//! # assert_eq!(session.read(&key).await?, Some(5));
//! # drop(session);
//! # store.close().await
//! # }).unwrap();
//! ```
//!
//! [`Backend`]: crate::config::Backend
//! [`checkpoint::Kind`]: crate::checkpoint::Kind
//! [`CommitPoint`]: crate::session::CommitPoint
//! [`FasterKv::open`]: crate::FasterKv::open
//! [`FasterKv::session`]: crate::FasterKv::session
//! [`FasterKv`]: crate::FasterKv
//! [`log::Follower`]: crate::log::Follower
//! [`Scan::uncommitted`]: crate::log::Scan::uncommitted
//! [`Session::wait_durable`]: crate::Session::wait_durable
//! [`Session`]: crate::Session
//! [`Value`]: crate::Value
//! [`append_durable`]: crate::FasterLog::append_durable
//! [`append_many`]: crate::FasterLog::append_many
//! [`append`]: crate::FasterLog::append
//! [`begin_address`]: crate::FasterLog::begin_address
//! [`checkpoint`]: crate::FasterKv::checkpoint
//! [`commit`]: crate::FasterLog::commit
//! [`committed_until`]: crate::FasterLog::committed_until
//! [`complete_until`]: crate::log::NamedIterator::complete_until
//! [`complete`]: crate::FasterLog::complete
//! [`cookie`]: crate::log::CommitRequest::cookie
//! [`delete`]: crate::FasterKv::delete
//! [`tail_address`]: crate::FasterLog::tail_address
//! [`epoch::Epoch`]: crate::epoch::Epoch
//! [`expected_keys`]: crate::Config::expected_keys
//! [`flush_and_evict`]: crate::FasterKv::flush_and_evict
//! [`index_only`]: crate::checkpoint::Request::index_only
//! [`io::Device`]: crate::io::Device
//! [`iterator`]: crate::FasterLog::iterator
//! [`memory`]: crate::Config::memory
//! [`mutable_fraction`]: crate::Config::mutable_fraction
//! [`number`]: crate::log::CommitRequest::number
//! [`page_size`]: crate::Config::page_size
//! [`read_with`]: crate::FasterKv::read_with
//! [`read`]: crate::FasterKv::read
//! [`recover`]: crate::FasterKv::recover
//! [`resume_session`]: crate::FasterKv::resume_session
//! [`rmw`]: crate::FasterKv::rmw
//! [`scan`]: crate::FasterLog::scan
//! [`segment_size`]: crate::Config::segment_size
//! [`follow_from`]: crate::FasterLog::follow_from
//! [`follow`]: crate::FasterLog::follow
//! [`truncate_until`]: crate::FasterLog::truncate_until
//! [`try_append`]: crate::FasterLog::try_append
//! [`try_read`]: crate::FasterKv::try_read
//! [`update`]: crate::FasterKv::update
//! [`upsert`]: crate::FasterKv::upsert
//! [`wait_for_commit`]: crate::FasterLog::wait_for_commit
