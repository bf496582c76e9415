//! Settings out of their bounds: the error names each one, and the opening leaves no files.

use std::time::Duration;

use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::{ErrorKind, FasterLog, log};

use super::small;

fn refused(config: log::Config, field: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let error = block_on(FasterLog::open(&path, config)).expect_err(field);
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(error.to_string().contains(field), "{field}: {error}");
    assert!(!path.exists(), "{field}: something was created");
}

#[test]
fn every_setting_has_bounds() {
    refused(small().with_memory(ByteSize::kib(23)), "memory = ");
    refused(small().with_memory(ByteSize::new(2 << 40)), "memory = ");
    refused(small().with_memory(ByteSize::kib(24)).with_page_size(ByteSize::kib(8)), "memory = ");
    refused(small().with_commit_every(Duration::ZERO), "commit_every = ");
    refused(small().with_commit_bytes(ByteSize::new(0)), "commit_bytes = ");
    for commits in [0, 65] {
        refused(small().with_commits_in_flight(commits), "commits_in_flight = ");
    }
    for bytes in [2 << 10, 5000, 64 << 20] {
        refused(small().with_page_size(ByteSize::new(bytes)), "page_size = ");
    }
    for bytes in [2 << 10, 6 << 10, 2 << 40] {
        refused(small().with_segment_size(ByteSize::new(bytes)), "segment_size = ");
    }
    for depth in [0, 1, 20_000] {
        refused(small().with_depth(depth), "depth = ");
    }
    for threads in [0, 2000] {
        refused(small().with_backend(Backend::Threads).with_io_threads(threads), "io_threads = ");
    }
}

#[test]
fn the_bounds_themselves_are_accepted() {
    let memory = small().with_backend(Backend::Memory);
    for config in [
        memory.clone().with_memory(ByteSize::kib(24)),
        memory.clone().with_commit_every(Duration::from_nanos(1)),
        memory.clone().with_commit_bytes(ByteSize::new(1)),
        memory.clone().with_commits_in_flight(1),
        memory.clone().with_commits_in_flight(64),
        memory.clone().with_segment_size(ByteSize::kib(4)),
        memory.clone().with_yield_every(0),
        memory.clone().with_yield_every(1),
    ] {
        block_on(async {
            let log = FasterLog::open("unused", config).await.expect("opens");
            for number in 0..50_u32 {
                log.append_durable(&number.to_le_bytes().repeat(100)).await.expect("durable");
            }
            log.close().await.expect("closes");
        });
    }
}

/// With `commit_bytes` of 2^64 - 1 a sum wrapped around, so that a log of one entry committed 700
/// times a second. The log refuses each extreme number by name, or works with it.
#[test]
fn every_number_at_its_extremes_is_refused_or_works() {
    let sizes = [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX].map(ByteSize::new);
    let times = sizes.map(|size| Duration::from_nanos(size.bytes()));
    let counts = [0, 1, u32::MAX / 2, u32::MAX - 1, u32::MAX];
    let small = || small().with_backend(Backend::Memory);
    let mut configs = Vec::new();
    for size in sizes {
        configs.push(small().with_memory(size));
        configs.push(small().with_commit_bytes(size));
        configs.push(small().with_page_size(size));
        configs.push(small().with_segment_size(size));
    }
    configs.extend(sizes.map(|size| small().with_commit_bytes(ByteSize::new(size.bytes() >> 15))));
    for time in times.into_iter().chain([Duration::MAX, Duration::from_secs(u64::MAX)]) {
        configs.push(small().with_commit_every(time));
    }
    for count in counts {
        configs.push(small().with_commits_in_flight(count));
        configs.push(small().with_depth(count));
        configs.push(small().with_io_threads(count));
        configs.push(small().with_yield_every(count));
    }
    for config in configs {
        block_on(async {
            let log = match FasterLog::open("unused", config.clone()).await {
                Ok(log) => log,
                Err(error) => return assert_eq!(error.kind(), ErrorKind::InvalidArgument),
            };
            for _ in 0..40 {
                log.append(&[7; 900]).await.expect("appended");
            }
            let commits = log.commit().await.expect("committed").number;
            assert!(commits <= 41, "{commits} commits of 40 entries: {config:?}");
            log.close().await.expect("closes");
        });
    }
}

#[test]
fn settings_are_text_as_well() {
    let text = "memory = '16MiB'\ncommit_every = '5ms'\ncommit_bytes = '64KiB'\n\
                commits_in_flight = 4\nbackend = 'threads'\ndirect = false\ndepth = 32\n\
                io_threads = 2\npage_size = '8KiB'\nsegment_size = '1MiB'\nallow_fallback = true\n\
                yield_every = 1\nhuge_pages = false";
    let config = log::Config::default()
        .with_memory(ByteSize::mib(16))
        .with_commit_every(Duration::from_millis(5))
        .with_commit_bytes(ByteSize::kib(64))
        .with_commits_in_flight(4)
        .with_backend(Backend::Threads)
        .with_direct(false)
        .with_depth(32)
        .with_io_threads(2)
        .with_page_size(ByteSize::kib(8))
        .with_segment_size(ByteSize::mib(1))
        .with_allow_fallback(true)
        .with_yield_every(1)
        .with_huge_pages(false);
    assert_eq!(log::Config::from_toml(text).expect("sound"), config);
    assert_eq!(log::Config::from_toml("").expect("sound"), log::Config::default());
    for (wrong, why) in [
        ("memry = '1MiB'", "unknown field `memry`"),
        ("memory = 'much'", "\"much\" is not a size"),
        ("memory = '1MiB'\ncommit_every = 'often'", "often"),
    ] {
        let error = log::Config::from_toml(wrong).expect_err(wrong);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(why), "{error}");
        let line = format!("line {}", wrong.lines().count());
        assert!(error.to_string().contains(&line), "{error}");
    }
}

/// Pages and segments keep the sizes with which the log was created. A log silently ignored another
/// page size, while a store refuses it.
#[test]
fn pages_and_segments_stay_as_they_were_created() {
    let directory = tempfile::tempdir().expect("a directory");
    block_on(async {
        let log = FasterLog::open(directory.path(), small()).await.expect("opens");
        log.append(&[1; 3000]).await.expect("appended");
        log.close().await.expect("closes");
        let other = small().with_page_size(ByteSize::kib(8));
        let error = FasterLog::open(directory.path(), other).await.expect_err("pages of 4 KiB");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let path = directory.path().display();
        let text =
            format!("page_size = 8KiB: the log in {path} was created with pages of 4KiB; omit it");
        assert_eq!(error.to_string(), text);
        let other = small().with_segment_size(ByteSize::kib(64));
        let log = FasterLog::open(directory.path(), other).await.expect("opens");
        for _ in 0..20 {
            log.append(&[2; 3000]).await.expect("appended");
        }
        log.close().await.expect("closes");
        let bytes = std::fs::metadata(directory.path().join("log.000001")).expect("there").len();
        assert!(bytes <= 32 << 10, "{bytes}");
    });
}
