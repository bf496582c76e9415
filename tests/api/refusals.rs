//! Refusals: of configurations out of bounds, and of every operation on a closed store.

use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::{Config, Error, ErrorKind, FasterKv, Result, Session};
use tests::configs::memory_store;
use tests::simulated::two_pages;

#[test]
fn a_configuration_out_of_bounds_is_refused_by_name() {
    let sound = || Config::default().with_backend(Backend::Memory);
    let wrong = [
        ("memory", sound().with_memory(ByteSize::kib(1))),
        ("page_size", sound().with_page_size(ByteSize::new(5000))),
        ("page_size", sound().with_page_size(ByteSize::kib(1))),
        ("memory", sound().with_memory(ByteSize::kib(64)).with_index_buckets(10_000)),
        ("mutable_fraction", sound().with_mutable_fraction(1.5)),
        ("mutable_fraction", sound().with_mutable_fraction(f64::NAN)),
        ("segment_size", sound().with_segment_size(ByteSize::new(12_345_678))),
        ("max_value", sound().with_max_value(ByteSize::gib(2))),
        ("index_buckets", sound().with_index_buckets(0)),
        ("depth", sound().with_depth(0)),
        ("io_threads", sound().with_io_threads(0)),
    ];
    for (field, config) in wrong {
        let opened = block_on(FasterKv::<u64, u64>::open("not a path", config));
        let error = opened.expect_err(field);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains(field), "does not name {field}: {error}");
    }
}

#[test]
fn a_configuration_in_text_is_the_same() -> Result<()> {
    let text = "memory = '64KiB'\npage_size = '4KiB'\nindex_buckets = 370\n\
                segment_size = '16KiB'\nhuge_pages = false\nbackend = 'memory'";
    let config = Config::from_toml(text)?;
    assert_eq!(config, two_pages().with_backend(Backend::Memory));
    let store: FasterKv<u64, u64> = block_on(FasterKv::open("not a path", config.clone()))?;
    assert_eq!(store.config(), &config);
    let error = Config::from_toml("memory = '64KiB'\nmemroy = 1").expect_err("a typing error");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("memroy"), "{error}");
    block_on(store.close())
}

/// Runs every operation, and returns its error.
async fn all_operations(
    store: &FasterKv<u64, u64>,
    session: &mut Session<u64, u64>,
) -> Vec<Option<Error>> {
    vec![
        session.read(&1).await.err(),
        session.read_with(&1, |view| view).await.err(),
        session.contains(&1).await.err(),
        session.upsert(&1, &1).await.err(),
        session.rmw(&1, |_| 1).await.err(),
        session.delete(&1).await.err(),
        session.insert_if_absent(&1, &1).await.err(),
        session.compare_and_swap(&1, &1, &1).await.err(),
        session.read_many(&[1, 2]).await.err(),
        session.upsert_many(&[(1, 1), (2, 2)]).await.err(),
        session.rmw_many(&[1, 2], |_, _| 1).await.err(),
        store.read(&1).await.err(),
        store.upsert(&1, &1).await.err(),
        store.flush().await.err(),
        store.flush_and_evict().await.err(),
        store.session().err(),
    ]
}

#[test]
fn a_closed_store_refuses_everything() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(two_pages());
    block_on(async {
        let mut session = store.session()?;
        let other = store.clone();
        let errors = all_operations(&store, &mut session).await;
        assert!(errors.iter().all(Option::is_none), "open: {errors:?}");
        store.close().await?;
        let errors = all_operations(&other, &mut session).await;
        for (number, error) in errors.into_iter().enumerate() {
            let error = error.unwrap_or_else(|| panic!("operation {number} is not refused"));
            assert_eq!(error.kind(), ErrorKind::Closed, "operation {number}: {error}");
        }
        other.close().await?;
        store.close().await
    })
}

/// Each task that waits while the store is closed gets an error or its result.
#[test]
fn closing_ends_every_wait() -> Result<()> {
    let store: FasterKv<u64, u64> = memory_store(two_pages());
    block_on(async {
        for key in 0..2000 {
            store.upsert(&key, &key).await?;
        }
        let keys: Vec<u64> = (0..7000).collect();
        let reads = keys[..200].iter().map(|key| store.read(key));
        let writes = keys[5000..].iter().map(|key| store.upsert(key, key));
        let reads = futures::future::join_all(reads);
        let writes = futures::future::join_all(writes);
        let (reads, writes, closed) = futures::future::join3(reads, writes, store.close()).await;
        closed?;
        for (key, read) in (0..).zip(reads) {
            match read {
                Ok(value) => assert_eq!(value, Some(key)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
            }
        }
        let refused = writes.into_iter().filter_map(std::result::Result::err);
        for error in refused {
            assert_eq!(error.kind(), ErrorKind::Closed);
        }
        Ok(())
    })
}

#[test]
fn a_null_device_forgets_cold_records() -> Result<()> {
    let config = two_pages().with_backend(Backend::Null);
    let store: FasterKv<u64, u64> = block_on(FasterKv::open("not a path", config))?;
    block_on(async {
        for key in 0..1000 {
            store.upsert(&key, &key).await?;
        }
        assert_eq!(store.read(&999).await?, Some(999));
        let error = store.read(&1).await.expect_err("it was forgotten");
        assert!(!error.is_retryable(), "{error}");
        store.close().await
    })
}

#[test]
fn a_refused_configuration_touches_no_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store");
    let config = two_pages().with_memory(ByteSize::kib(1));
    let opened = block_on(FasterKv::<u64, u64>::open(&path, config));
    let error = opened.expect_err("too little memory");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(!path.exists(), "a directory was made for nothing");
}
