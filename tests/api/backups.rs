//! Backups of a running store, in directories of the file system and in others.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use kvick::codec::Expiring;
use kvick::config::{Backend, ByteSize};
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::session::Expiry;
use kvick::{Config, Database, ErrorKind, FasterKv, Result, backup, checkpoint, inspect};
use tests::simulated::two_pages;

use crate::places::contents;

type Store = FasterKv<u64, u64>;

async fn filled(path: &Path, config: Config, keys: u64) -> Result<Store> {
    let store = Store::open(path, config).await?;
    for key in 0..keys {
        store.upsert(&key, &(key * 3)).await?;
    }
    Ok(store)
}

async fn assert_has(store: &Store, keys: u64) -> Result<()> {
    assert_eq!(store.count().await?, keys);
    for key in 0..keys {
        assert_eq!(store.read(&key).await?, Some(key * 3));
    }
    Ok(())
}

#[test]
fn a_backup_has_all_tables_and_sessions() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let copy = place.path().join("far").join("copy");
    block_on(async {
        let database = Database::open(place.path().join("data"), two_pages()).await?;
        let texts = database.table::<str, [u8]>("texts").await?;
        let tokens = database.table::<u64, Expiring<u64>>("tokens").await?;
        let mut session = texts.session()?;
        for key in 0..500_u64 {
            session.upsert(&format!("key {key}"), &vec![7; 20_000]).await?;
            let hour = Expiry::after(std::time::Duration::from_secs(3600));
            tokens.upsert_with(&key, &key, hour).await?;
        }
        let id = session.id();
        let backup = database.backup(&copy).await?;
        session.upsert("key 1", b"later").await?;
        assert!(backup.bytes > 500 * 20_000, "{backup:?}");

        let restored = Database::open(&copy, two_pages()).await?;
        assert_eq!(restored.recovered_sessions()[&id].until, 500);
        assert_eq!(restored.checkpoints().len(), 1);
        let texts = restored.table::<str, [u8]>("texts").await?;
        assert_eq!(texts.count().await?, 500);
        assert_eq!(texts.read("key 1").await?, Some(vec![7; 20_000]));
        let tokens = restored.table::<u64, Expiring<u64>>("tokens").await?;
        assert_eq!(tokens.read(&499).await?, Some(499));
        // A backup of a backup.
        let again = Arc::new(MemoryDirectory::new());
        restored.backup_to_directory(again.clone()).await?;
        assert!(inspect(again).await?.problems.is_empty());
        restored.close().await?;
        database.close().await
    })
}

#[test]
fn an_occupied_directory_is_refused_and_unchanged() -> Result<()> {
    let place = tempfile::tempdir().expect("a directory");
    let (data, other, foreign) =
        (place.path().join("data"), place.path().join("other"), place.path().join("foreign"));
    block_on(async {
        let store = filled(&data, two_pages(), 100).await?;
        filled(&other, two_pages(), 1).await?.close().await?;
        fs::create_dir(&foreign).expect("a fresh name");
        fs::write(foreign.join("notes.txt"), "mine").expect("written");
        for (path, kind) in [
            (&data, ErrorKind::AlreadyExists),
            (&other, ErrorKind::AlreadyExists),
            (&foreign, ErrorKind::AlreadyExists),
        ] {
            let before = (path != &data).then(|| contents(path));
            let error = store.backup(path).await.expect_err("it is not empty");
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(path.to_str().expect("ASCII")), "{error}");
            assert!(before.is_none_or(|before| before == contents(path)), "{error}");
        }
        let file = foreign.join("notes.txt");
        let error = store.backup(&file).await.expect_err("a file");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        let error = store.backup("").await.expect_err("no name");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert_has(&store, 100).await?;
        store.close().await?;
        let error = store.backup(place.path().join("late")).await.expect_err("closed");
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        assert!(!place.path().join("late").exists(), "nothing was begun");
        Ok(())
    })
}

#[test]
fn an_older_checkpoint_can_be_copied() -> Result<()> {
    block_on(async {
        let place = tempfile::tempdir().expect("a directory");
        let config = two_pages().with_keep_checkpoints(3);
        let store = filled(&place.path().join("data"), config.clone(), 1000).await?;
        let older = store.checkpoint().snapshot().await?.token;
        store.clear().await?;
        store.checkpoint().await?;
        let copy = place.path().join("copy");
        let unknown = checkpoint::Token::new(99);
        let error = store.backup(&copy).of(unknown).await.expect_err("not kept");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert_eq!(store.backup(&copy).of(older).await?.token, older);
        let restored = Store::open(&copy, config).await?;
        assert_has(&restored, 1000).await?;
        restored.close().await?;
        store.close().await
    })
}

/// Copies what a checkpoint needs of its files, as a program would.
fn copy_files(files: &[backup::File], [from, to]: [&Path; 2]) {
    for backup::File { name, bytes, .. } in files {
        let contents = fs::read(from.join(name)).expect("kept");
        let needed = &contents[..usize::try_from(*bytes).expect("small")];
        fs::write(to.join(name), needed).expect("written");
    }
}

/// A program copies the manifest, and then the named files.
#[test]
fn the_files_of_a_checkpoint_make_a_copy() -> Result<()> {
    block_on(async {
        let place = tempfile::tempdir().expect("a directory");
        let (data, copy) = (place.path().join("data"), place.path().join("copy"));
        let config = two_pages().with_segment_size(ByteSize::kib(16)).with_keep_checkpoints(2);
        let store = filled(&data, config.clone(), 5000).await?;
        for kind in [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot] {
            let token = store.checkpoint().kind(kind).await?.token;
            fs::create_dir(&copy).expect("a fresh name");
            fs::copy(data.join("manifest"), copy.join("manifest")).expect("copied");
            let files = store.files_of(token).await?;
            assert!(files.is_sorted_by(|one, other| one.name < other.name), "{files:?}");
            // Later writes and checkpoints change none of the files.
            for key in 5000..6000 {
                store.upsert(&key, &0).await?;
            }
            let later = store.checkpoint().await?.token;
            copy_files(&files, [&data, &copy]);
            let restored = Store::recover(&copy, config.clone(), token).await?;
            assert_has(&restored, 5000).await?;
            restored.close().await?;
            fs::remove_dir_all(&copy).expect("removed");
            for key in 5000..6000 {
                store.delete(&key).await?;
            }
            assert!(later > token);
        }
        store.close().await
    })
}

/// The log of a small store has no byte on the device.
#[test]
fn the_files_of_a_small_store_make_a_copy() -> Result<()> {
    block_on(async {
        let place = tempfile::tempdir().expect("a directory");
        let (data, copy) = (place.path().join("data"), place.path().join("copy"));
        let store = filled(&data, Config::default(), 10).await?;
        let token = store.checkpoint().await?.token;
        fs::create_dir(&copy).expect("a fresh name");
        fs::copy(data.join("manifest"), copy.join("manifest")).expect("copied");
        let files = store.files_of(token).await?;
        copy_files(&files, [&data, &copy]);
        assert!(files.iter().any(|file| file.name == "log.000000"), "{files:?}");
        let restored = Store::recover(&copy, Config::default(), token).await?;
        assert_has(&restored, 10).await?;
        restored.close().await?;
        store.close().await
    })
}

/// A copy of a checkpoint that need not survive a power cut rotted in an archive, and opened empty.
#[test]
fn a_copy_of_a_weak_checkpoint_is_strong() -> Result<()> {
    block_on(async {
        let place = tempfile::tempdir().expect("a directory");
        let copy = place.path().join("copy");
        let store = filled(&place.path().join("data"), two_pages(), 3000).await?;
        let weak = checkpoint::Durability::ProcessCrash;
        let token = store.checkpoint().fold_over().without_index().durability(weak).await?.token;
        assert_eq!(store.backup(&copy).of(token).await?.token, token);
        store.close().await?;
        let file = copy.join("log.000000");
        let mut bytes = fs::read(&file).expect("copied");
        bytes[600] ^= 1;
        fs::write(&file, &bytes).expect("written");
        let error = Store::open(&copy, two_pages()).await.expect_err("it has rotted");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        bytes[600] ^= 1;
        fs::write(&file, &bytes).expect("written");
        let restored = Store::open(&copy, two_pages()).await?;
        assert_has(&restored, 3000).await?;
        restored.close().await
    })
}

/// A crash came after the manifest of a backup, and before its mark had gone.
#[test]
fn the_mark_of_a_complete_backup_goes() -> Result<()> {
    block_on(async {
        let place = tempfile::tempdir().expect("a directory");
        let copy = place.path().join("copy");
        let store = filled(&place.path().join("data"), two_pages(), 100).await?;
        store.backup(&copy).await?;
        store.close().await?;
        let mark = copy.join("backup.unfinished");
        fs::write(&mark, "").expect("written");
        let restored = Store::open(&copy, two_pages()).await?;
        assert_has(&restored, 100).await?;
        restored.upsert(&1, &3).await?;
        restored.close().await?;
        assert!(!mark.exists());
        Ok(())
    })
}

#[test]
fn an_unfinished_backup_is_no_store_and_is_replaced() -> Result<()> {
    block_on(async {
        let place = tempfile::tempdir().expect("a directory");
        let copy = place.path().join("copy");
        let store = filled(&place.path().join("data"), two_pages(), 1000).await?;
        // As a process leaves it that is killed.
        fs::create_dir(&copy).expect("a fresh name");
        for name in ["backup.unfinished", "log.000000", "part-7.000000", "lock"] {
            fs::write(copy.join(name), "half").expect("written");
        }
        let error = Store::open(&copy, two_pages()).await.expect_err("not complete");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert!(error.to_string().contains("an unfinished backup"), "{error}");
        fs::write(copy.join("notes.txt"), "mine").expect("written");
        let error = store.backup(&copy).await.expect_err("a foreign file");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        fs::remove_file(copy.join("notes.txt")).expect("removed");
        store.backup(&copy).await?;
        assert!(!copy.join("part-7.000000").exists() && !copy.join("backup.unfinished").exists());
        let restored = Store::open(&copy, two_pages()).await?;
        assert_has(&restored, 1000).await?;
        restored.close().await?;
        store.close().await
    })
}

#[test]
fn stores_without_files_of_their_own() -> Result<()> {
    block_on(async {
        let place = tempfile::tempdir().expect("a directory");
        let cache = Store::open("unused", Config::cache()).await?;
        let error = cache.backup(place.path().join("cache")).await.expect_err("no files");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let error = cache.files_of(checkpoint::Token::new(1)).await.expect_err("no files");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        cache.close().await?;
        // The device of a store in memory can be copied to a disk.
        let config = two_pages().with_backend(Backend::Memory);
        let store = filled(Path::new("unused"), config, 3000).await?;
        let copy = place.path().join("copy");
        store.backup(&copy).await?;
        let restored = Store::open(&copy, two_pages()).await?;
        assert_has(&restored, 3000).await?;
        restored.close().await?;
        store.close().await
    })
}
