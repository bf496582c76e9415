//! Manifests that are whole, but of another format or for other types.

use super::built::{self, Built, Newest, build};
use kvick::config::ByteSize;
use kvick::{Config, ErrorKind, Key, Value};
use tests::files::{Contents, Files, Found, reopen};

/// Returns the files with a replaced text in the manifest, under a right checksum.
fn edited(built: &Built<u64>, from: &str, to: &str) -> Files {
    built.files.with_manifest(|body| {
        assert!(body.contains(from), "{body}");
        body.replacen(from, to, 1)
    })
}

fn without_page_size(built: &Built<u64>) -> Config {
    let mut config = built.config.clone();
    config.page_size = None;
    config
}

fn refusal(files: &Files, config: &Config) -> kvick::Error {
    let nothing = Contents::<u64>::new();
    match reopen::<u64, u64>(files, config, built::KEYS, |_| &nothing) {
        Found::Refused(error) => error,
        Found::Opened(report, _) => panic!("opened: {report:?}"),
    }
}

#[test]
fn other_formats_are_refused() {
    let built = build::<u64, u64>(Newest::Incremental, 1);
    for allow_fallback in [false, true] {
        let config = built.config.clone().with_allow_fallback(allow_fallback);
        for (from, to, said) in [
            ("format = 3", "format = 4", "format 4"),
            ("format = 3", "format = 2", "format 2"),
            ("features = []", "features = [\"dreams\"]", "dreams"),
            ("kvick = \"store\"", "kvick = \"cellar\"", "cellar"),
            ("features = []", "features = []\ncolour = 1", "colour"),
            ("rapidhash", "slowhash", "slowhash"),
            ("page_bytes = 4096", "page_bytes = 4095", "4095"),
            ("unit_bytes = 512", "unit_bytes = 8", "units of 8"),
            ("unit_bytes = 512", "unit_bytes = 8192", "8192"),
        ] {
            let error = refusal(&edited(&built, from, to), &config);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{to}: {error}");
            assert!(error.to_string().contains(said), "{to}: {error}");
        }
    }
}

/// Sizes that contradict each other under a right checksum are refused.
#[test]
fn impossible_sizes_are_refused() {
    let built = build::<u64, u64>(Newest::Incremental, 1);
    for (from, to) in [
        ("page_bytes = 4096", "page_bytes = 4611686018427387904"),
        ("page_bytes = 4096", "page_bytes = 1024"),
        ("page_bytes = 4096", "page_bytes = 8192"),
        ("segment_bytes = 8192", "segment_bytes = 0"),
        ("segment_bytes = 8192", "segment_bytes = 5000"),
        ("segment_bytes = 8192", "segment_bytes = 16384"),
        ("unit_bytes = 512", "unit_bytes = 4096"),
        ("buckets = 4", "buckets = 0"),
        ("buckets = 4", "buckets = 5"),
        ("buckets = 4", "buckets = 9223372036854775807"),
        ("block = ", "block = 1"),
        ("bytes = ", "bytes = 9"),
        ("until = ", "until = -"),
    ] {
        let text = built.files.manifest();
        if !text.contains(from) {
            continue;
        }
        let config = without_page_size(&built);
        let found = reopen::<u64, u64>(&edited(&built, from, to), &config, 300, |report| {
            built.state(report)
        });
        if let Found::Refused(error) = found {
            assert!(super::reports_damage(error.kind()), "{to}: {error}");
        }
    }
}

#[test]
fn other_types_are_refused() {
    let built = build::<u64, u64>(Newest::Snapshot, 1);
    refused_as::<u64, i64>(&built);
    refused_as::<u32, u64>(&built);
    refused_as::<str, u64>(&built);
    refused_as::<u64, [u8]>(&built);
}

fn refused_as<K: Key + ?Sized, V: Value + ?Sized>(built: &Built<u64>) {
    let simulation = kvick::runtime::Simulation::new(1);
    let handle = simulation.handle();
    simulation.run(async {
        let directory = built.files.restore().await;
        let opened = tests::files::open_in::<K, V>(&directory, built.config.clone(), handle).await;
        let error = opened.expect_err("other types");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains(&*V::type_name()), "{error}");
        assert!(Files::of(&directory).await == built.files, "refused, but changed");
    });
}

#[test]
fn another_page_size_is_refused_and_the_right_one_is_found_out() {
    let built = build::<u64, u64>(Newest::FoldOver, 1);
    let other = built.config.clone().with_page_size(ByteSize::kib(8));
    let other = other.with_segment_size(ByteSize::kib(64));
    let error = refusal(&built.files, &other);
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    let unsaid = without_page_size(&built).with_segment_size(ByteSize::mib(1));
    let found =
        reopen::<u64, u64>(&built.files, &unsaid, built::KEYS, |report| built.state(report));
    assert!(matches!(found, Found::Opened(_, refused) if refused.is_empty()));
}
