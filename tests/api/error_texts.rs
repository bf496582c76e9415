//! The texts of errors: each names the thing, says what is wrong, and says what to do.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::{
    Config, Error, ErrorKind, FasterKv, FasterLog, Key, Result, Value, checkpoint, codec, log,
    session,
};
use tests::configs::memory_store;
use tests::crowd::{CROWD, pass_through};
use tests::simulated::{four_log_pages, two_pages};

/// Checks that a text is one clear line, repeats nothing, and has words instead of flag values.
#[track_caller]
fn is_clear(error: &Error) -> String {
    let text = error.to_string();
    assert!(text.is_ascii() && !text.contains('\n'), "{text}");
    for numbers in ["is 0x0, expected 0x1", "is 0x1, expected 0x0", "0x0, expected 0x0"] {
        assert!(!text.contains(numbers), "numbers for words: {text}");
    }
    let text = text.replace("; ", ": ");
    let parts: Vec<&str> = text.split(": ").map(str::trim).collect();
    for (place, part) in parts.iter().enumerate() {
        assert!(!part.is_empty(), "{text}");
        assert!(!parts[..place].contains(part), "said twice: {text}");
    }
    error.to_string()
}

fn on_disk() -> Config {
    two_pages().with_backend(Backend::Threads).with_direct(false)
}

fn log_on_disk() -> log::Config {
    four_log_pages().with_backend(Backend::Threads).with_direct(false)
}

/// Creates a store with checkpoints of every kind.
async fn make_store(path: &Path) -> Result<()> {
    let store: FasterKv<u64, u64> = FasterKv::open(path, on_disk()).await?;
    for round in 0..3 {
        for key in 0..200 {
            store.upsert(&key, &round).await?;
        }
        pass_through(&store, CROWD, 200).await?;
        match round {
            0 => store.checkpoint().await.map(drop)?,
            1 => store.checkpoint().snapshot().await.map(drop)?,
            _ => store.checkpoint().incremental().await.map(drop)?,
        }
    }
    store.close().await
}

async fn make_log(path: &Path) -> Result<()> {
    let log = FasterLog::open(path, log_on_disk()).await?;
    for number in 0..300_u32 {
        log.append(&number.to_le_bytes()).await?;
    }
    log.commit().await?;
    log.close().await
}

/// The ways in which the test damages a file.
const DAMAGES: [fn(&Path); 3] = [
    |file| fs::remove_file(file).expect("it is there"),
    |file| fs::write(file, b"").expect("it is there"),
    |file| {
        let mut bytes = fs::read(file).expect("it is there");
        bytes.iter_mut().step_by(7).for_each(|byte| *byte ^= 0x55);
        fs::write(file, bytes).expect("it is there");
    },
];

/// Creates files with `make`, damages each of them in each way, and returns the errors of `open`.
fn open_damaged(
    make: impl AsyncFn(&Path) -> Result<()>,
    open: impl AsyncFn(&Path) -> Result<()>,
) -> Vec<(String, Error)> {
    let place = tempfile::tempdir().expect("a directory");
    let made = place.path().join("made");
    block_on(make(&made)).expect("sound files");
    let list = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).expect("it is there");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("readable").file_name().into_string().expect("ASCII"))
            .collect();
        names.sort();
        names
    };
    let mut errors = Vec::new();
    for name in list(&made).into_iter().filter(|name| name != "lock") {
        for damage in DAMAGES {
            let copy = place.path().join("copy");
            fs::create_dir(&copy).expect("a directory");
            for file in list(&made) {
                fs::copy(made.join(&file), copy.join(&file)).expect("copied");
            }
            damage(&copy.join(&name));
            if let Err(error) = block_on(open(&copy)) {
                errors.push((name.clone(), error));
            }
            fs::remove_dir_all(&copy).expect("the directory is deleted");
        }
    }
    errors
}

/// An error about a missing file said `the file is 0x0, expected 0x1`, and none said what to do.
#[test]
fn damage_of_each_file_is_reported_with_advice() {
    let open_store = async |path: &Path| {
        let store: FasterKv<u64, u64> = FasterKv::open(path, on_disk()).await?;
        store.close().await
    };
    let open_log = async |path: &Path| FasterLog::open(path, log_on_disk()).await?.close().await;
    let stores = open_damaged(make_store, open_store);
    let logs = open_damaged(make_log, open_log);
    assert!(stores.len() > 5 && logs.len() > 2, "{} and {} errors", stores.len(), logs.len());
    for (file, error) in stores.into_iter().chain(logs) {
        let text = is_clear(&error);
        if error.kind() == ErrorKind::Unsupported {
            continue;
        }
        // An error about a file in segments names the first segment.
        let stem = file.split('.').next().unwrap_or(&file);
        assert!(text.contains(stem) || text.contains("already holds"), "{file}: {text}");
        assert!(text.contains("; "), "says what to do: {text}");
        if file == "manifest" && !text.contains("already holds") {
            assert!(text.contains("allow_fallback") && text.contains("manifest.copy"), "{text}");
        }
    }
}

#[test]
fn an_error_of_opening_names_the_path_once() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("file");
    fs::write(&file, b"not a directory").expect("written");
    for path in [file.join("store"), file.clone()] {
        for backend in [Backend::Threads, Backend::Auto] {
            let config = on_disk().with_backend(backend);
            let error = block_on(FasterKv::<u64, u64>::open(&path, config)).expect_err("a file");
            let text = is_clear(&error);
            assert!(text.contains(path.to_str().expect("ASCII")), "{text}");
            let config = log_on_disk().with_backend(backend);
            let error = block_on(FasterLog::open(&path, config)).expect_err("a file");
            is_clear(&error);
        }
    }
}

/// A closed log reported that the store was closed. If the memory did not suit an existing store,
/// the error named a setting that the caller had never made.
#[test]
fn errors_name_the_thing_of_the_caller() -> Result<()> {
    block_on(async {
        let log =
            FasterLog::open("no path", four_log_pages().with_backend(Backend::Memory)).await?;
        log.close().await?;
        let error = log.append(b"entry").await.expect_err("closed");
        assert_eq!(is_clear(&error), "the log is closed; open it again");
        let store: FasterKv<u64, u64> = memory_store(two_pages());
        store.close().await?;
        let error = store.read(&1).await.expect_err("closed");
        assert_eq!(is_clear(&error), "the store is closed; open it again");

        let place = tempfile::tempdir().expect("a directory");
        let config = Config::default().with_backend(Backend::Threads).with_huge_pages(false);
        let large = config.clone().with_memory(ByteSize::mib(64));
        let store: FasterKv<u64, u64> = FasterKv::open(place.path(), large).await?;
        store.close().await?;
        drop(store);
        let small = config.with_memory(ByteSize::kib(64));
        if let Err(error) = FasterKv::<u64, u64>::open(place.path(), small).await {
            let text = is_clear(&error);
            assert!(text.contains("memory = 64KiB"), "{text}");
            assert!(!text.contains("index_buckets"), "no user set it: {text}");
        }
        Ok(())
    })
}

/// A codec that does not encode 7 and decodes only 6.
struct NoSeven;

impl Value for NoSeven {
    type Item = u8;
    type Owned = u8;
    type View<'a> = u8;
    type Bytes<'a> = [u8; 1];
    const WIDTH: Option<usize> = Some(1);

    fn type_name() -> Cow<'static, str> {
        "u8".into()
    }
    fn encode(item: &u8) -> Result<[u8; 1], codec::Error> {
        if *item == 7 { Err(codec::Error::new("7 is refused")) } else { Ok([*item]) }
    }
    fn view(bytes: &[u8]) -> Result<u8, codec::Error> {
        let [6] = *bytes else { return Err(codec::Error::new("only 6 is read back")) };
        Ok(6)
    }
    fn decode(bytes: &[u8]) -> Result<u8, codec::Error> {
        Self::view(bytes)
    }
}

impl Key for NoSeven {}

/// The error `a key or value: postcard: Hit the end of buffer` named neither the item nor its type.
#[test]
fn errors_of_encodings_name_the_item_and_its_type() -> Result<()> {
    block_on(async {
        let store: FasterKv<NoSeven, NoSeven> = memory_store(two_pages());
        let key = "encoding the key as api::error_texts::NoSeven: 7 is refused";
        let value = "encoding the value as api::error_texts::NoSeven: 7 is refused";
        let decoded = "decoding the value as api::error_texts::NoSeven: only 6 is read back";
        store.upsert(&1, &8).await?;
        store.upsert(&2, &6).await?;
        let errors = [
            (store.read(&7).await.err(), key),
            (store.delete(&7).await.err(), key),
            (store.upsert(&7, &1).await.err(), key),
            (store.read_many(&[1, 7]).await.err(), key),
            (store.upsert(&1, &7).await.err(), value),
            (store.rmw(&2, |_| 7).await.err(), value),
            (store.insert_if_absent(&3, &7).await.err(), value),
            (store.compare_and_swap(&1, &7, &1).await.err(), value),
            (store.read(&1).await.err(), decoded),
            (store.read_with(&1, |_| ()).await.err(), decoded),
            (store.rmw(&1, |_| 1).await.err(), decoded),
            (store.read_many(&[1]).await.err(), decoded),
        ];
        for (number, (error, text)) in errors.into_iter().enumerate() {
            let error = error.unwrap_or_else(|| panic!("no error {number}: {text}"));
            assert_eq!(error.kind(), ErrorKind::Codec);
            assert_eq!(is_clear(&error), text, "error {number}");
        }
        store.close().await
    })
}

/// They had names that no program can write, such as `LogAddress(64)`.
#[test]
fn debug_texts_have_public_names() -> Result<()> {
    let id: session::Id = "0123456789abcdef0123456789abcdef".parse()?;
    assert_eq!(format!("{id:?}"), "Id(0123456789abcdef0123456789abcdef)");
    assert_eq!(format!("{:?}", log::Address::new(64)), "Address(64)");
    assert_eq!(format!("{:?}", checkpoint::Token::new(7)), "Token(7)");
    assert!(format!("{:?}", log::Config::default()).starts_with("Config {"));
    Ok(())
}
