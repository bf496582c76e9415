//! A log of format 2: an unintended change of the format fails here.
//!
//! `cargo test -p api-tests -- --ignored golden_logs --nocapture` writes the files anew. This is
//! right only together with a new format number.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{FasterLog, Result, log};
use tests::files::Files;

/// The entries that are left. The entries before 10 were truncated, and 60 to 69 were taken back.
const LEFT: [std::ops::Range<u32>; 2] = [10..60, 70..90];
/// The number of the entry that is larger than a page, so that the log stores it in pieces.
const LARGE: u32 = 50;
const COOKIE: &[u8] = b"applied 42";

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/log-format-2")
}

fn entry(number: u32) -> Vec<u8> {
    let length = if number == LARGE { 9000 } else { number % 40 };
    (0..length).map(|byte| (byte * 7 + number).to_le_bytes()[0]).collect()
}

async fn open(directory: &MemoryDirectory) -> Result<FasterLog> {
    let config = log::Config::default()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(8))
        .with_huge_pages(false);
    let builder = FasterLog::builder(config).seed(77);
    builder.directory(Arc::new(directory.clone())).open_in_directory().await
}

/// Returns a copy of the files.
async fn copy() -> Files {
    let mut files = Files::default();
    for found in fs::read_dir(place()).expect("it is in the repository") {
        let path = found.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("ASCII").to_owned();
        files.0.insert(name, fs::read(&path).expect("a file"));
    }
    files
}

/// Writes the log. The manifest has one commit; the log file has three more, and one entry in no
/// commit.
async fn write(directory: &MemoryDirectory) -> Result<()> {
    let log = open(directory).await?;
    let mut addresses = Vec::new();
    for number in 0..20 {
        addresses.push(log.append(&entry(number)).await?);
    }
    log.iterator("gone")?.complete_until(addresses[3]).await?;
    log.truncate_until(addresses[5]).await?;
    log.commit().cookie(COOKIE).await?;
    log.close().await?;

    let log = open(directory).await?;
    for number in 20..40 {
        addresses.push(log.append(&entry(number)).await?);
    }
    log.iterator("worker")?.complete_until(addresses[30]).await?;
    log.forget_iterator("gone");
    log.commit().await?;
    let batch: Vec<Vec<u8>> = (40..70).map(entry).collect();
    addresses.extend(log.append_many(&batch).await?);
    log.truncate_suffix(addresses[60]).await?;
    for number in 70..90 {
        addresses.push(log.append(&entry(number)).await?);
    }
    log.truncate_until(addresses[10]).await?;
    log.commit().number(100).await?;
    log.append(b"in no commit").await?;
    Ok(())
}

#[test]
#[ignore = "writes the golden files anew: for a new format only"]
fn golden_logs_are_written() {
    block_on(async {
        let directory = MemoryDirectory::new();
        write(&directory).await.expect("memory");
        fs::create_dir_all(place()).expect("the directory is created");
        for (name, bytes) in Files::of(&directory).await.without("lock").0 {
            println!("{name}: {} bytes", bytes.len());
            fs::write(place().join(name), bytes).expect("space");
        }
    });
}

#[test]
fn a_log_of_format_2_is_read() -> Result<()> {
    block_on(async {
        let directory = copy().await.restore().await;
        let log = open(&directory).await?;
        let recovery = log.recovery().expect("recovered").clone();
        assert_eq!((recovery.commit.number, &recovery.commit.cookie[..]), (100, COOKIE));
        assert_eq!(recovery.walked_entries, 70);
        let entries: Vec<_> = log.scan(..).try_collect().await?;
        let expected = LEFT.into_iter().flatten();
        assert!(entries.iter().map(|entry| &entry.payload[..]).eq(expected.map(entry)));
        assert_eq!((entries.len(), log.begin_address()), (70, entries[0].address));
        let worker = log.iterator("worker")?;
        assert_eq!((worker.completed_until(), log.iterators().len()), (entries[20].address, 1));
        let addresses: Vec<u64> =
            [0, 20, 40, 41, 50, 69].map(|index: usize| entries[index].address.raw()).to_vec();
        assert_eq!(addresses, ADDRESSES);
        // The recovered log continues from there.
        let address = log.append_durable(b"new").await?;
        assert_eq!(log.last_commit().number, 101);
        drop(worker);
        log.close().await?;
        let log = open(&directory).await?;
        assert_eq!(log.read(address).await?.as_deref(), Some(&b"new"[..]));
        assert_eq!(log.scan(..).count().await, 71);
        log.close().await
    })
}

/// The same steps produce the same bytes, up to the zeros after the end of a log, for which there
/// is no rule: only the salt of a log is random.
#[test]
fn this_build_writes_the_golden_bytes() {
    block_on(async {
        let directory = MemoryDirectory::new();
        write(&directory).await.expect("memory");
        let written = Files::of(&directory).await.without("lock");
        let golden = copy().await;
        assert!(written.0.keys().eq(golden.0.keys()), "{:?}", written.0.keys());
        for (name, bytes) in &written.0 {
            let same = without_zeros(bytes) == without_zeros(&golden.0[name]);
            assert!(same, "{name} differs");
        }
    });
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().rposition(|byte| *byte != 0);
    &bytes[..last.map_or(0, |last| last + 1)]
}

/// The control: the same files with another format number are refused.
#[test]
fn another_number_of_the_format_is_refused() {
    block_on(async {
        let newer = copy().await.with("manifest", |bytes| {
            let text = String::from_utf8(std::mem::take(bytes)).expect("text");
            *bytes = text.replace("format = 2", "format = 3").into_bytes();
        });
        assert!(open(&newer.restore().await).await.is_err());
    });
}

/// The addresses of some of the entries.
const ADDRESSES: [u64; 6] = [224, 1368, 2176, 11328, 12288, 12880];
