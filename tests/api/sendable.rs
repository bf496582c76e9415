//! Every future of the public interface may move between threads, as `tokio::spawn` needs.
//!
//! `tokio::spawn(FasterKv::open(..))` did not compile. The future held a callback that is not
//! `Sync` across an await, and showed the pages of a recovery to async closures. So this file
//! covers each public `async fn`, and the test compares it with the text of the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kvick::codec::Expiring;
use kvick::config::Backend;
use kvick::config::ByteSize;
use kvick::epoch::Epoch;
use kvick::feed::Start;
use kvick::io::{Directory, MemoryDirectory};
use kvick::reader::{DatabaseReader, StoreReader};
use kvick::runtime::{Handle, block_on};
use kvick::session::{Expiry, Update, WriteBatch};
use kvick::{Config, Database, Error, FasterKv, FasterLog, Result, checkpoint, inspect, log};
use tests::configs::memory_store;
use tests::simulated::two_pages;

/// The files and functions whose futures are covered.
type Asked = BTreeSet<(&'static str, &'static str)>;

/// Compiles only if the future of `make` is `Send`. It does not call `make`.
fn ask<T: Send>(asked: &mut Asked, file: &'static str, name: &'static str, _: impl FnOnce() -> T) {
    asked.insert((file, name));
}

fn directory() -> Arc<dyn Directory> {
    Arc::new(MemoryDirectory::new())
}

fn ask_batch(asked: &mut Asked, store: &FasterKv<u64, [u8]>) -> Result<()> {
    let (mut session, batch) = (store.session()?, WriteBatch::new());
    ask(asked, "whole.rs", "write_batch", || session.write_batch(&batch, b"place"));
    Ok(())
}

fn ask_store(asked: &mut Asked, store: &FasterKv<u64, [u8]>) -> Result<()> {
    type Store = FasterKv<String, [u8]>;
    let config = || Config::default();
    let token = checkpoint::Token::new(1);
    let pairs = [(1, b"".to_vec())];
    ask(asked, "builder.rs", "open", || Store::open("", config()));
    ask(asked, "builder.rs", "recover", || Store::recover("", config(), token));
    ask(asked, "builder.rs", "open", || {
        Store::builder(config()).on_recovery_progress(drop).recover(token).open(Path::new(""))
    });
    ask(asked, "builder.rs", "open_in_directory", || {
        Store::builder(config()).directory(directory()).open_in_directory()
    });
    ask(asked, "kv.rs", "delete_checkpoint", || store.delete_checkpoint(token));
    ask(asked, "kv.rs", "prune_checkpoints", || store.prune_checkpoints(1));
    ask(asked, "kv.rs", "compact", || store.compact().into_future());
    ask(asked, "kv.rs", "flush", || store.flush());
    ask(asked, "kv.rs", "set_memory", || store.set_memory(ByteSize::mib(1)));
    ask(asked, "kv.rs", "flush_and_evict", || store.flush_and_evict());
    ask(asked, "kv.rs", "close", || store.close());
    ask(asked, "request.rs", "into_future", || store.checkpoint().into_future());
    ask(asked, "request.rs", "into_future", || store.backup("").into_future());
    ask(asked, "backups.rs", "files_of", || store.files_of(token));
    ask(asked, "kept.rs", "at", || store.at(token));
    ask(asked, "kept.rs", "at", || store.database().at(token));
    ask(asked, "request.rs", "start", || store.checkpoint().start().map(|it| (it.progress(), it)));
    ask(asked, "operations.rs", "read_many", || store.read_many(&[1]));
    ask(asked, "operations.rs", "upsert_many", || store.upsert_many(&pairs));
    ask(asked, "operations.rs", "rmw_many", || store.rmw_many(&[1], |_, _| Vec::new()));
    ask(asked, "operations.rs", "insert_many", || store.insert_many(&pairs));
    ask(asked, "operations.rs", "delete_many", || store.delete_many(&[1]));
    ask(asked, "computed.rs", "get_or_insert_with", || {
        store.get_or_insert_with(&1, async || Vec::new())
    });
    ask(asked, "computed.rs", "try_get_or_insert_with", || {
        store.try_get_or_insert_with(&1, async || Ok::<_, Error>(Vec::new()))
    });
    ask(asked, "iterators.rs", "read_each", || store.read_each([1]));
    ask(asked, "iterators.rs", "upsert_each", || store.upsert_each(pairs.clone()));
    ask(asked, "iterators.rs", "rmw_each", || store.rmw_each([1], |_, _| Vec::new()));
    ask(asked, "iterators.rs", "insert_each", || store.insert_each(pairs.clone()));
    ask(asked, "iterators.rs", "delete_each", || store.delete_each([1]));
    ask(asked, "scans.rs", "count", || store.count());
    ask(asked, "scans.rs", "retain", || store.retain(|_, value| value.is_empty()));
    ask(asked, "scans.rs", "clear", || store.clear());
    ask(asked, "scans.rs", "scan", || store.scan());
    ask(asked, "scans.rs", "scan_in_parts", || store.scan_in_parts(2));
    ask(asked, "scans.rs", "scan_with", || store.scan_with(|key, _| Some(key)));
    ask(asked, "feeds.rs", "log_records", || store.log_records(..));
    ask(asked, "feeds.rs", "subscribe", || store.subscribe());
    ask(asked, "feeds.rs", "subscribe_from", || store.subscribe_from(log::Address::FIRST));
    let mut session = store.session()?;
    ask(asked, "session.rs", "wait_durable", || session.wait_durable());
    ask(asked, "operations.rs", "read", || session.read(&1));
    ask(asked, "operations.rs", "read_with", || session.read_with(&1, <[u8]>::len));
    ask(asked, "batches.rs", "read_many", || session.read_many(&[1]));
    ask(asked, "batches.rs", "upsert_many", || session.upsert_many(&pairs));
    ask(asked, "batches.rs", "rmw_many", || session.rmw_many(&[1], |_, _| Vec::new()));
    ask(asked, "batches.rs", "insert_many", || session.insert_many(&pairs));
    ask(asked, "batches.rs", "delete_many", || session.delete_many(&[1]));
    ask(asked, "iterators.rs", "read_each", || session.read_each([1]));
    ask(asked, "iterators.rs", "upsert_each", || session.upsert_each(pairs.clone()));
    ask(asked, "iterators.rs", "rmw_each", || session.rmw_each([1], |_, _| Vec::new()));
    ask(asked, "iterators.rs", "insert_each", || session.insert_each(pairs.clone()));
    ask(asked, "iterators.rs", "delete_each", || session.delete_each([1]));
    ask(asked, "mod.rs", "inspect", || inspect(directory()));
    ask(asked, "mod.rs", "with_wal", || inspect::with_wal(directory(), directory()));
    let handle = Handle::background().expect("the system starts a thread");
    let epoch = Epoch::new();
    ask(asked, "mod.rs", "drained", || epoch.drained(1, &handle));
    Ok(())
}

fn ask_durable(asked: &mut Asked, store: &FasterKv<u64, [u8]>) -> Result<()> {
    let session = store.session()?;
    ask(asked, "kv.rs", "sync", || store.sync());
    ask(asked, "session.rs", "sync", || session.sync());
    ask(asked, "durable.rs", "upsert", || store.upsert(&1, b"").durable());
    ask(asked, "durable.rs", "rmw", || store.rmw(&1, Option::unwrap_or_default).durable());
    ask(asked, "changes.rs", "next_durable", || async {
        store.changes(Start::Now)?.next_durable().await
    });
    ask(asked, "feeds.rs", "changes", || store.changes(Start::Now));
    ask(asked, "durable.rs", "take", || store.take(&1).durable());
    ask(asked, "durable.rs", "update", || {
        store.update(&1, |_| Update::<Vec<u8>, ()>::Keep(())).durable()
    });
    Ok(())
}

fn ask_expiring(asked: &mut Asked, store: &FasterKv<u64, Expiring<u64>>) {
    let items = [(1, 1, Expiry::never())];
    ask(asked, "expiry.rs", "upsert_many_with", || store.upsert_many_with(&items));
    ask(asked, "expiry.rs", "upsert_each_with", || store.upsert_each_with(items));
    ask(asked, "expiry.rs", "update_with", || {
        store.update_with(&1, |_| Update::<(u64, Expiry), ()>::Keep(()))
    });
    ask(asked, "computed.rs", "try_get_or_insert_expiring", || {
        store.try_get_or_insert_expiring(&1, async || Ok::<_, Error>((1, Expiry::never())))
    });
}

fn ask_database(asked: &mut Asked, database: &Database) {
    let token = checkpoint::Token::new(1);
    ask(asked, "database.rs", "files_of", || database.files_of(token));
    ask(asked, "database.rs", "open", || Database::open("", Config::default()));
    ask(asked, "tables.rs", "table", || database.table::<String, [u8]>("it"));
    ask(asked, "database.rs", "rename_table", || database.rename_table("it", "other"));
    ask(asked, "database.rs", "drop_table", || database.drop_table("it"));
    ask(asked, "database.rs", "delete_checkpoint", || database.delete_checkpoint(token));
    ask(asked, "database.rs", "prune_checkpoints", || database.prune_checkpoints(1));
    ask(asked, "database.rs", "compact", || database.compact().into_future());
    ask(asked, "database.rs", "flush", || database.flush());
    ask(asked, "database.rs", "flush_and_evict", || database.flush_and_evict());
    ask(asked, "database.rs", "set_memory", || database.set_memory(ByteSize::mib(1)));
    ask(asked, "database.rs", "sync", || database.sync());
    ask(asked, "database.rs", "close", || database.close());
    ask(asked, "feeds.rs", "log_records", || database.log_records(..));
    ask(asked, "feeds.rs", "subscribe", || database.subscribe());
    ask(asked, "feeds.rs", "changes", || database.changes(Start::Now));
    ask(asked, "feeds.rs", "subscribe_from", || database.subscribe_from(log::Address::FIRST));
}

fn ask_log(asked: &mut Asked, log: &FasterLog) {
    let config = || log::Config::default();
    let address = log::Address::FIRST;
    ask(asked, "builder.rs", "open", || FasterLog::open("", config()));
    ask(asked, "builder.rs", "open", || FasterLog::builder(config()).recover(1).open(""));
    ask(asked, "builder.rs", "open_in_directory", || {
        FasterLog::builder(config()).directory(directory()).open_in_directory()
    });
    ask(asked, "handle.rs", "append", || log.append(b""));
    ask(asked, "handle.rs", "append_entry", || log.append_entry(b""));
    ask(asked, "handle.rs", "wait_for_room", || log.wait_for_room(1));
    ask(asked, "handle.rs", "last", || log.last());
    ask(asked, "handle.rs", "read_at_or_after", || log.read_at_or_after(address));
    ask(asked, "named.rs", "complete_until", || async {
        log.iterator("it")?.complete_until(address).await
    });
    ask(asked, "handle.rs", "append_many", || log.append_many(&[b""]));
    ask(asked, "handle.rs", "append_durable", || log.append_durable(b""));
    ask(asked, "handle.rs", "commit", || log.commit().into_future());
    ask(asked, "handle.rs", "wait_for_commit", || log.wait_for_commit(address));
    ask(asked, "handle.rs", "scan", || log.scan(..));
    ask(asked, "handle.rs", "follow", || log.follow_from(address).uncommitted());
    ask(asked, "handle.rs", "read", || log.read(address));
    ask(asked, "handle.rs", "complete", || log.complete());
    ask(asked, "handle.rs", "close", || log.close());
    ask(asked, "sink.rs", "sink", || log.sink());
    ask(asked, "named.rs", "iterator", || log.iterator("it"));
    ask(asked, "handle.rs", "truncate_until", || log.truncate_until(address));
    ask(asked, "handle.rs", "truncate_suffix", || log.truncate_suffix(address));
    let typed = log.typed::<str>();
    ask(asked, "typed.rs", "append", || typed.append(""));
    ask(asked, "typed.rs", "append_durable", || typed.append_durable(""));
    ask(asked, "typed.rs", "read", || typed.read(address));
    ask(asked, "typed.rs", "scan", || typed.scan(..));
    ask(asked, "examine.rs", "check_log", || log::check(directory()));
    ask(asked, "examine.rs", "repair_log", || log::repair(directory()));
}

fn ask_other_logs(asked: &mut Asked, group: &log::Group, follower: Option<&log::Follower>) {
    let config = || log::Config::default();
    ask(asked, "group.rs", "open", || group.open(""));
    ask(asked, "group.rs", "open_with", || group.open_with("", config()));
    ask(asked, "group.rs", "open_in", || group.open_in(directory(), config()));
    ask(asked, "follower.rs", "open", || log::Follower::open(""));
    let handle = Handle::background().expect("the system starts a thread");
    ask(asked, "follower.rs", "open_in", || log::Follower::open_in(directory(), handle));
    let handle = Handle::background().expect("the system starts a thread");
    ask(asked, "follower.rs", "open_with", || log::Follower::open_with("", handle));
    ask(asked, "follower.rs", "refresh", || follower.map(log::Follower::refresh));
}

fn ask_readers(
    asked: &mut Asked,
    store: Option<&StoreReader<u64, [u8]>>,
    database: Option<&DatabaseReader>,
) {
    type Reader = StoreReader<u64, [u8]>;
    let config = || Config::default();
    ask(asked, "store_reader.rs", "open", || Reader::open("", config()));
    ask(asked, "store_reader.rs", "open", || Reader::builder(config()).open(""));
    ask(asked, "store_reader.rs", "open_in_directory", || {
        Reader::builder(config()).directory(directory()).open_in_directory()
    });
    ask(asked, "store_reader.rs", "refresh", || store.map(StoreReader::refresh));
    ask(asked, "store_reader.rs", "read", || store.map(|store| store.read(&1)));
    ask(asked, "store_reader.rs", "read_with", || store.map(|it| it.read_with(&1, <[u8]>::len)));
    ask(asked, "store_reader.rs", "contains", || store.map(|store| store.contains(&1)));
    ask(asked, "store_reader.rs", "read_many", || store.map(|store| store.read_many(&[1])));
    ask(asked, "store_reader.rs", "scan", || store.map(StoreReader::scan));
    ask(asked, "store_reader.rs", "count", || store.map(StoreReader::count));
    ask(asked, "database_reader.rs", "open", || DatabaseReader::open("", config()));
    ask(asked, "database_reader.rs", "open", || DatabaseReader::builder(config()).open(""));
    ask(asked, "database_reader.rs", "open_in_directory", || {
        DatabaseReader::builder(config()).directory(directory()).open_in_directory()
    });
    ask(asked, "database_reader.rs", "refresh", || database.map(DatabaseReader::refresh));
}

fn ask_replacements(
    asked: &mut Asked,
    stores: [Option<FasterKv<u64, [u8]>>; 2],
    databases: [Option<Database>; 2],
) {
    let ([one, other], [first, second]) = (stores, databases);
    let file = "replacing.rs";
    ask(asked, file, "replace_contents", || one.map(|it| it.replace_contents("")));
    ask(asked, file, "replace_contents", || first.map(|it| it.replace_contents("")));
    ask(asked, file, "replace_contents_from", || {
        other.map(|it| it.replace_contents_from(directory()))
    });
    ask(asked, file, "replace_contents_from", || {
        second.map(|it| it.replace_contents_from(directory()))
    });
}

#[test]
fn every_public_future_may_be_sent() -> Result<()> {
    let mut asked = Asked::new();
    let store = memory_store::<u64, [u8]>(two_pages());
    ask_store(&mut asked, &store)?;
    ask_durable(&mut asked, &store)?;
    ask_batch(&mut asked, &store)?;
    ask_expiring(&mut asked, &memory_store(two_pages()));
    ask_database(&mut asked, store.database());
    let config = log::Config::small().with_backend(Backend::Memory);
    let log = block_on(FasterLog::open("", config.clone()))?;
    ask_log(&mut asked, &log);
    ask_other_logs(&mut asked, &log::Group::new(config)?, None);
    ask_readers(&mut asked, None, None);
    ask_replacements(&mut asked, [None, None], [None, None]);
    let mut missing = Vec::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../engine/src");
    for file in files(&sources) {
        let name = file.file_name().and_then(|name| name.to_str()).expect("ASCII");
        let text = std::fs::read_to_string(&file).expect("a source");
        let functions = text.lines().filter_map(|line| line.trim().strip_prefix("pub async fn "));
        for function in functions.filter_map(|rest| rest.split(['(', '<']).next()) {
            if !asked.contains(&(name, function)) {
                missing.push(format!("{}: {function}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "no check covers\n{}", missing.join("\n"));
    block_on(async {
        log.close().await?;
        store.close().await
    })
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the sources are there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
