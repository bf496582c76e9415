//! Stores of format 3: an unintended change of the format fails here.
//!
//! `cargo test -p api-tests -- --ignored golden --nocapture` writes the files anew. This is right
//! only together with a new format number.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use kvick::io::{Directory, MemoryDirectory};
use kvick::runtime::block_on;
use kvick::{Database, FasterKv, Result, checkpoint, codec::Expiring, inspect, session};
use tests::configs::two_buckets;
use tests::crowd::{CROWD, pass_through};

const KINDS: [(&str, checkpoint::Kind); 3] = [
    ("fold-over", checkpoint::Kind::FoldOver),
    ("snapshot", checkpoint::Kind::Snapshot),
    ("incremental", checkpoint::Kind::Incremental),
];
/// The identity of the first session of each golden store. Its first half is the seed.
const SESSION: &str = "000000000000004d0000000000000001";
const SEED: u64 = 77;
/// The second at which the golden database was written.
const SECOND: u64 = 1_800_000_000;
/// The number of idle sessions that each store of words forgets before its newest checkpoint.
const FORGOTTEN: usize = 2;

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/format-3").join(name)
}

async fn open<K, V>(directory: &MemoryDirectory) -> Result<FasterKv<K, V>>
where
    K: kvick::Key + ?Sized,
    V: kvick::Value + ?Sized,
{
    let builder = FasterKv::builder(two_buckets()).seed(SEED);
    builder.directory(Arc::new(directory.clone())).open_in_directory().await
}

/// Opens a database at this second of its clock.
async fn open_tables(directory: &MemoryDirectory, second: u64) -> Result<Database> {
    let builder = Database::builder(two_buckets()).seed(SEED);
    let builder = builder.clock(move || UNIX_EPOCH + Duration::from_secs(second));
    builder.directory(Arc::new(directory.clone())).open_in_directory().await
}

/// Returns a copy of the files of one store.
async fn copy(name: &str) -> MemoryDirectory {
    let directory = MemoryDirectory::new();
    for entry in fs::read_dir(place(name)).expect("it is in the repository") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("ASCII");
        let bytes = fs::read(&path).expect("a file");
        directory.write_file(name, &bytes).await.expect("memory");
    }
    directory
}

async fn write(name: &str, directory: &MemoryDirectory) -> usize {
    let place = place(name);
    fs::create_dir_all(&place).expect("the directory is created");
    let mut total = 0;
    for name in directory.list().await.expect("memory") {
        let bytes = directory.read_file(&name).await.expect("memory");
        total += bytes.len();
        if name != "lock" {
            fs::write(place.join(name), bytes).expect("space");
        }
    }
    total
}

fn text(number: u64) -> String {
    "key/".repeat(usize::try_from(number % 4).expect("small")) + &number.to_string()
}

/// Returns bytes of a length that depends on `number`: up to several pieces of a long value.
fn value(number: u64) -> Vec<u8> {
    let length = if number == 13 { 5000 } else { number % 40 };
    (0..length).map(|byte| (byte * 7 + number).to_le_bytes()[0]).collect()
}

#[test]
#[ignore = "writes the golden files anew: for a new format only"]
fn golden_files_are_written() {
    block_on(async {
        for (name, kind) in KINDS {
            let directory = MemoryDirectory::new();
            let store: FasterKv<u64, u64> = open(&directory).await.expect("memory");
            let mut session = store.session().expect("open");
            assert_eq!(session.id().to_string(), SESSION);
            pass_through(&store, CROWD, 1000).await.expect("memory");
            for key in 0..150 {
                session.upsert(&key, &(key * key)).await.expect("memory");
            }
            store.checkpoint().snapshot().await.expect("memory");
            let waiting = store.recovered_sessions().into_keys();
            waiting.take(FORGOTTEN).for_each(|id| assert!(store.forget_session(id)));
            for key in (0..150).step_by(10) {
                session.rmw(&key, |value| value.unwrap_or(0) + 1).await.expect("memory");
                session.delete(&(key + 5)).await.expect("memory");
            }
            store.checkpoint().kind(kind).await.expect("memory");
            store.upsert(&1, &u64::MAX).await.expect("memory");
            let bytes = write(&format!("words-{name}"), &directory).await;
            println!("words-{name}: {bytes} bytes");

            let directory = MemoryDirectory::new();
            let store: FasterKv<str, [u8]> = open(&directory).await.expect("memory");
            for number in 0..60 {
                store.upsert(&text(number), &value(number + 1)).await.expect("memory");
            }
            store.checkpoint().snapshot().await.expect("memory");
            for number in 0..60 {
                store.upsert(&text(number), &value(number)).await.expect("memory");
            }
            store.delete(&text(7)).await.expect("memory");
            store.checkpoint().kind(kind).await.expect("memory");
            let bytes = write(&format!("texts-{name}"), &directory).await;
            println!("texts-{name}: {bytes} bytes");
        }
    });
}

#[test]
#[ignore = "writes the golden files anew: for a new format only"]
fn golden_files_of_tables_are_written() {
    block_on(async {
        let directory = MemoryDirectory::new();
        let database = open_tables(&directory, SECOND).await.expect("memory");
        let words = database.table::<u64, u64>("words").await.expect("memory");
        let counts = database.table::<u64, Expiring<u64>>("counts").await.expect("memory");
        let texts = database.table::<str, Expiring<[u8]>>("texts").await.expect("memory");
        for version in 0..2 {
            for number in 0..40 {
                words.upsert(&number, &(number + version)).await.expect("memory");
                counts.upsert(&number, &(number + 2 * version)).await.expect("memory");
                texts.upsert(&text(number), &value(number + version)).await.expect("memory");
            }
            counts.delete(&7).await.expect("memory");
            let kind = KINDS[if version == 0 { 1 } else { 2 }].1;
            database.checkpoint().kind(kind).await.expect("memory");
        }
        let bytes = write("tables", &directory).await;
        println!("tables: {bytes} bytes");
    });
}

#[test]
fn tables_of_this_format_are_read() -> Result<()> {
    block_on(async {
        let directory = copy("tables").await;
        let recorded = async || {
            let inspection = inspect(Arc::new(directory.clone())).await?;
            assert!(inspection.problems.is_empty(), "{inspection}");
            Ok::<_, kvick::Error>(inspection.store.expect("a store").clock)
        };
        assert_eq!(u64::from(recorded().await?), SECOND);
        let database = open_tables(&directory, SECOND - 9).await?;
        let words = database.table::<u64, u64>("words").await?;
        let counts = database.table::<u64, Expiring<u64>>("counts").await?;
        let texts = database.table::<str, Expiring<[u8]>>("texts").await?;
        for number in 0..50 {
            let is_there = number < 40;
            assert_eq!(words.read(&number).await?, is_there.then_some(number + 1));
            let count = (is_there && number != 7).then_some(number + 2);
            assert_eq!(counts.read(&number).await?, count, "{number}");
            let text_of = is_there.then(|| value(number + 1));
            assert_eq!(texts.read(&text(number)).await?, text_of, "{number}");
        }
        counts.rmw(&7, |count| count.unwrap_or(0) + 1).await?;
        database.checkpoint().await?;
        assert_eq!(u64::from(recorded().await?), SECOND, "the time never goes back");
        database.close().await
    })
}

#[test]
fn stores_of_this_format_are_read() -> Result<()> {
    block_on(async {
        for (name, kind) in KINDS {
            let directory = copy(&format!("words-{name}")).await;
            let store: FasterKv<u64, u64> = open(&directory).await?;
            let report = store.recovery().expect("recovered").clone();
            assert_eq!(report.chosen.map(|token| token.version()), Some(2));
            let session: session::Id = SESSION.parse()?;
            assert_eq!(report.sessions[&session].until, 180);
            assert_eq!(report.sessions.len(), 1 + CROWD - FORGOTTEN);
            assert_eq!(store.checkpoints().last().map(|info| info.kind), Some(kind));
            for key in 0..160 {
                let expected = match key % 10 {
                    _ if key >= 150 => None,
                    0 => Some(key * key + 1),
                    5 => None,
                    _ => Some(key * key),
                };
                assert_eq!(store.read(&key).await?, expected, "{name}: {key}");
            }
            // The recovered store continues from there.
            store.upsert(&1, &2).await?;
            assert_eq!(store.checkpoint().await?.token.version(), 3);
            store.close().await?;

            let directory = copy(&format!("texts-{name}")).await;
            let store: FasterKv<str, [u8]> = open(&directory).await?;
            for number in 0..70 {
                let expected = (number < 60 && number != 7).then(|| value(number));
                assert_eq!(store.read(&text(number)).await?, expected, "{name}: {number}");
            }
            store.close().await?;
        }
        Ok(())
    })
}

/// The control: the same files with another format number are refused.
#[test]
fn another_number_of_the_format_is_refused() {
    block_on(async {
        for (name, _) in KINDS {
            let directory = copy(&format!("words-{name}")).await;
            let bytes = directory.read_file("manifest").await.expect("there");
            let newer = String::from_utf8(bytes).expect("text").replace("format = 3", "format = 4");
            directory.write_file("manifest", newer.as_bytes()).await.expect("memory");
            assert!(open::<u64, u64>(&directory).await.is_err());
        }
    });
}
