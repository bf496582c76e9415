//! Tests the sizes with a table, and every bound from both sides.

use super::*;
use crate::base::error::ErrorKind;
use crate::config::index_sizes::IndexSizes;

fn with_memory(memory: ByteSize) -> Config {
    Config::default().with_memory(memory)
}

/// Returns the total of all memory in `geometry`, in bytes.
fn footprint(geometry: &Geometry) -> u64 {
    let index = geometry.index.buckets * 128;
    let log = u64::from(geometry.frames) << geometry.page_bits;
    index + geometry.io_budget_bytes as u64 + log
}

#[test]
fn the_default_divides_256_mib() {
    let geometry = Geometry::of(&Config::default()).expect("the default is valid");
    let index =
        IndexSizes { root_bits: 7, least: 1 << 14, buckets: 1 << 14, limit: (1 << 24) / 64 * 5 };
    assert_eq!(geometry.index, index);
    assert_eq!(geometry.io_budget_bytes, 16 << 20);
    assert_eq!((geometry.page_bits, geometry.frames), (22, 59));
    // 16 times the memory.
    assert_eq!(geometry.reserved_frames, 1024);
    assert_eq!(geometry.unit_bytes, 512);
    assert_eq!(geometry.segment_bytes, 1 << 30);
    assert_eq!(geometry.max_value, 64 << 20);
    assert_eq!((geometry.max_key, geometry.max_inline), (128 << 10, 256 << 10));
}

#[test]
fn the_parts_never_exceed_the_memory_and_use_most_of_it() {
    for kib in [64, 65, 100, 128, 1000, 1 << 10, 10_000, 1 << 15, 1 << 20, 1 << 24, 1 << 34] {
        let memory = ByteSize::kib(kib);
        let config = with_memory(memory);
        let geometry = Geometry::of(&config).expect("valid");
        let used = footprint(&geometry);
        assert!(used <= memory.bytes(), "{memory}: {geometry:?}");
        // At most one page is left over: 1/8 of the smallest log, 1/32 of others.
        assert!(used >= memory.bytes() / 10 * 9, "{memory}: {geometry:?}");
    }
}

/// Returns numbers of all magnitudes, the same at every run.
fn numbers() -> impl FnMut(u64) -> u64 {
    let mut state = 0x6b76_6963_6b00_0001_u64;
    move |most| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let magnitude = state >> 58;
        (state >> 8).rotate_left(8) % (most >> (magnitude % u64::from(most.ilog2())) | 1)
    }
}

#[test]
fn any_settings_give_parts_within_the_memory_or_the_memory_they_need() {
    let mut number = numbers();
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..20_000 {
        let memory = ByteSize::new((64 << 10) + number(1 << 44));
        let mut config = with_memory(ByteSize::new(memory.bytes().min(1 << 44)));
        config.page_size = (round % 3 != 0).then(|| ByteSize::new(4096 << number(14)));
        config.expected_keys = (round % 2 != 0).then(|| number(1 << 40));
        config.mutable_fraction = f64::from(u32::try_from(number(96)).expect("small")) / 100.0;
        let error = match Geometry::of(&config) {
            Ok(geometry) => {
                assert!(footprint(&geometry) <= config.memory.bytes(), "{config:?}: {geometry:?}");
                let frames = geometry.frames;
                assert!(frames >= 2 && geometry.reserved_frames >= frames, "{geometry:?}");
                accepted += 1;
                continue;
            }
            Err(error) => error.to_string(),
        };
        if let Some(least) = least_memory(&error) {
            assert!(least > config.memory, "{error}");
            if least <= ByteSize::gib(16 << 10) {
                let enough = config.clone().with_memory(least);
                // An eighth of it may be too many pages.
                let refusal = Geometry::of(&enough).err().map(|error| error.to_string());
                let is_enough = refusal.is_none_or(|it| it.contains("pages in memory"));
                assert!(is_enough, "{config:?}: {error}");
            }
            let short = least.bytes() - (least.bytes() / 100).max(2048);
            if let Ok(geometry) = Geometry::of(&config.with_memory(ByteSize::new(short))) {
                panic!("{error}: {short} is enough: {geometry:?}");
            }
        }
        refused += 1;
    }
    assert!(accepted > 4000 && refused > 4000, "{accepted} and {refused}");
}

/// Returns the memory that a refusal asks for.
fn least_memory(refusal: &str) -> Option<ByteSize> {
    let (_, rest) = refusal.split_once("must be at least ")?;
    rest.split(' ').next()?.parse().ok()
}

#[test]
fn expected_keys_take_a_bucket_for_eleven() {
    let config = Config::default().with_index_min(ByteSize::new(128));
    for (keys, buckets) in [(0, 128), (1, 128), (1409, 129), (1_000_000, 90_910)] {
        let geometry = Geometry::of(&config.clone().with_expected_keys(keys)).expect("valid");
        assert_eq!((geometry.index.root_bits, geometry.index.buckets), (7, buckets));
    }
    let config = config.with_expected_keys(1_000).with_index_buckets(3);
    let exactly = IndexSizes { root_bits: 1, least: 3, buckets: 3, limit: 3 };
    assert_eq!(Geometry::of(&config).expect("valid").index, exactly);
}

#[test]
fn the_index_stays_within_its_bounds() {
    let config =
        Config::default().with_index_min(ByteSize::kib(5)).with_index_max(ByteSize::mib(1));
    let index = Geometry::of(&config).expect("valid").index;
    assert_eq!(index, IndexSizes { root_bits: 0, least: 40, buckets: 40, limit: 8192 });
    let config = config.with_index_max(ByteSize::mib(26));
    let index = Geometry::of(&config).expect("valid").index;
    assert_eq!(
        index,
        IndexSizes { root_bits: 4, least: 40, buckets: 40, limit: (2 << 20) / 64 * 5 }
    );
}

/// A prefix takes 13 bytes at most, and the governor leaves the index 13 bytes of 16.
#[test]
fn the_prefixes_fit_in_the_memory() {
    for (mib, prefix_bits) in [(1, 17), (2, 17), (3, 17), (4, 18), (8, 19), (15, 19), (1024, 26)] {
        let index = Geometry::of(&with_memory(ByteSize::mib(mib))).expect("valid").index;
        assert_eq!(index.root_bits + 17, prefix_bits, "{mib} MiB");
        assert!(mib < 2 || (13 << prefix_bits) <= (mib << 20) / 16 * 13, "{mib} MiB");
        // More memory later does not change the prefixes, and the table needs no more than they.
        let later = Geometry::of(&with_memory(ByteSize::gib(64))).expect("valid").index;
        let later = later.with_root_bits(index.root_bits);
        assert_eq!(later.limit, index.limit.max(later.least), "{mib} MiB");
    }
}

#[test]
fn tiny_stores_for_tests() {
    let tiny =
        with_memory(ByteSize::kib(64)).with_page_size(ByteSize::kib(4)).with_index_buckets(1);
    let geometry = Geometry::of(&tiny).expect("valid");
    assert_eq!((geometry.page_bits, geometry.frames), (12, 13));
    assert_eq!((geometry.max_key, geometry.max_inline), (1008, 2016));
    assert_eq!(geometry.io_budget_bytes, 8 << 10);
}

#[test]
fn address_space_is_for_the_largest_memory() {
    let page = ByteSize::kib(64);
    let config = with_memory(ByteSize::mib(1)).with_page_size(page);
    let reserved = |config: &Config| Geometry::of(config).expect("valid").reserved_frames;
    assert_eq!(reserved(&config), 16 * 16);
    assert_eq!(reserved(&config.clone().with_memory_max(ByteSize::mib(2))), 32);
    assert_eq!(reserved(&config.clone().with_memory_max(ByteSize::mib(1))), 16);
    let tiny = with_memory(ByteSize::gib(16 << 10));
    assert_eq!(u64::from(reserved(&tiny)), (16 << 40) >> 22, "at most the largest memory");
    let error = Geometry::of(&config.with_memory_max(ByteSize::kib(1023))).expect_err("too small");
    let text = "memory_max = 1023KiB: must be between 1MiB and 16TiB";
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn records_of_small_pages_may_take_half_of_one() {
    for (page, inline) in [
        (ByteSize::kib(4), 2016),
        (ByteSize::kib(64), 128 * 504 / 2),
        (ByteSize::kib(128), 256 * 504 / 4),
        (ByteSize::mib(1), 2048 * 504 / 4),
        (ByteSize::mib(2), 256 << 10),
        (ByteSize::mib(32), 256 << 10),
    ] {
        let geometry = Geometry::of(&Config::default().with_page_size(page)).expect("valid");
        assert_eq!(geometry.max_inline, inline, "pages of {page}");
        assert_eq!(geometry.max_key, inline / 2);
    }
}

/// Settings to add to a store of 64 KiB, and the text of the refusal.
const OUT_OF_BOUNDS: [(&str, &str, &str); 30] = [
    ("page_size = 0", "page_size = 0B", "4KiB and 32MiB"),
    ("page_size = '2KiB'", "page_size = 2KiB", "4KiB and 32MiB"),
    ("page_size = '64MiB'", "page_size = 64MiB", "4KiB and 32MiB"),
    ("page_size = '5KiB'", "page_size = 5KiB", "a power of two"),
    ("page_size = '32KiB'", "memory = 64KiB", "at least 73KiB for the index and 2 pages of 32KiB"),
    ("expected_keys = 9999", "memory = 64KiB", "at least 157KiB for expected_keys = 9999 and an"),
    ("expected_keys = 9e12", "line 2", "invalid type"),
    ("expected_keys = 9000000000000", "expected_keys = 9000000000000", "0 and 1511828488192"),
    ("expected_keys = 1511828488192", "memory = 64KiB", "at least 19"),
    ("index_buckets = 0", "index_buckets = 0", "1 and 137438953472"),
    ("index_buckets = 137438953473", "index_buckets = 13", "1 and 137438953472"),
    ("index_buckets = 512", "memory = 64KiB", "at least 83KiB for an index of 512 buckets"),
    ("index_min = 127", "index_min = 127B", "128B and 16TiB"),
    ("index_max = '127B'", "index_max = 127B", "128B and 16TiB"),
    ("index_max = 256\nindex_min = 512", "index_max = 256B", "at least index_min, 512B"),
    ("mutable_fraction = 0.96", "mutable_fraction = 0.96", "0 and 0.95"),
    ("mutable_fraction = -0.1", "mutable_fraction = -0.1", "0 and 0.95"),
    ("mutable_fraction = nan", "mutable_fraction = NaN", "0 and 0.95"),
    ("space_ratio = 1.09", "space_ratio = 1.09", "1.1 and 1000"),
    ("space_ratio = nan", "space_ratio = NaN", "1.1 and 1000"),
    ("max_value = 0", "max_value = 0B", "1B and 1GiB"),
    ("max_value = '2GiB'", "max_value = 2GiB", "1B and 1GiB"),
    ("segment_size = 0", "segment_size = 0B", "4KiB and 1TiB"),
    ("segment_size = '2TiB'", "segment_size = 2TiB", "4KiB and 1TiB"),
    ("segment_size = '6KiB'", "segment_size = 6KiB", "a multiple of the page, 4KiB"),
    ("depth = 1", "depth = 1", "2 and 16384"),
    ("depth = 16385", "depth = 16385", "2 and 16384"),
    ("io_threads = 0", "io_threads = 0", "1 and 1024"),
    ("io_threads = 1025", "io_threads = 1025", "1 and 1024"),
    ("disk = 0", "disk = 0B", "at least 56KiB for pages of 4KiB and files of 4KiB"),
];

#[test]
fn what_is_out_of_bounds_is_named_with_value_and_bounds() {
    for (setting, value, bounds) in OUT_OF_BOUNDS {
        let text = format!("memory = '64KiB'\n{setting}");
        let error = Config::from_toml(&text).and_then(|config| Geometry::of(&config));
        let error = error.expect_err(setting);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let message = error.to_string();
        assert!(message.contains(value) && message.contains(bounds), "{setting}: {message}");
    }
    for (memory, value) in [("0", "0B"), ("'63KiB'", "63KiB"), ("'17TiB'", "17TiB")] {
        let config = Config::from_toml(&format!("memory = {memory}")).expect("well-formed");
        let message = Geometry::of(&config).expect_err(memory).to_string();
        assert_eq!(message, format!("memory = {value}: must be between 64KiB and 16TiB"));
    }
    let config = with_memory(ByteSize::gib(16 << 10)).with_page_size(ByteSize::kib(4));
    let config = config.with_index_buckets(1);
    let message = Geometry::of(&config).expect_err("too many pages").to_string();
    assert!(message.contains("must be at most 268435456"), "{message}");
}

#[test]
fn toml_reads_every_field_and_keeps_defaults() {
    assert_eq!(Config::from_toml("").expect("all defaults"), Config::default());
    let text = r#"
        memory = "64MiB"
        disk = 10_000_000_000
        space_ratio = 2.5
        cache = true
        expected_keys = 1000
        backend = "threads"
        direct = false
        depth = 32
        io_threads = 4
        max_value = "1MiB"
        page_size = "64KiB"
        mutable_fraction = 0.5
        segment_size = "1MiB"
        index_buckets = 7
        index_min = "1KiB"
        index_max = "1GiB"
        yield_every = 0
        huge_pages = false
    "#;
    let expected = Config::default()
        .with_memory(ByteSize::mib(64))
        .with_disk(ByteSize::new(10_000_000_000))
        .with_space_ratio(2.5)
        .with_cache(true)
        .with_expected_keys(1000)
        .with_backend(Backend::Threads)
        .with_direct(false)
        .with_depth(32)
        .with_io_threads(4)
        .with_max_value(ByteSize::mib(1))
        .with_page_size(ByteSize::kib(64))
        .with_mutable_fraction(0.5)
        .with_segment_size(ByteSize::mib(1))
        .with_index_buckets(7)
        .with_index_min(ByteSize::kib(1))
        .with_index_max(ByteSize::gib(1))
        .with_yield_every(0)
        .with_huge_pages(false);
    let config = Config::from_toml(text).expect("valid");
    assert_eq!(config, expected);
    let written = toml::to_string(&config).expect("settings are plain data");
    assert_eq!(Config::from_toml(&written).expect("own text"), config);
}

#[test]
fn toml_mistakes_are_named_with_their_line() {
    for (text, expected) in [
        ("memroy = 1", "configuration, line 1: unknown field `memroy`, expected one of `memory`"),
        ("depth = 8\nmemory = \"256M\"", "line 2: \"256M\" is not a size such as"),
        ("memory = -1", "line 1: invalid value: integer `-1`, expected a number of bytes"),
        ("memory = true", "line 1: invalid type: boolean `true`"),
        ("memory = 1.5", "line 1: invalid type: floating point"),
        ("\n\nbackend = \"aio\"", "line 3: unknown variant `aio`, expected one of `auto`"),
        ("depth = -1", "line 1: invalid value: integer `-1`"),
        ("memory = ", "line 1: "),
        ("[store]\nmemory = 1", "line 1: unknown field `store`"),
    ] {
        let error = Config::from_toml(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn toml_files_are_named_in_errors() {
    let error = Config::from_toml_file("no/such/file.toml").expect_err("no such file");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().starts_with("reading no/such/file.toml: "), "{error}");
}

#[test]
fn optional_settings_can_be_unset() {
    let config = Config::default()
        .with_disk(ByteSize::gib(8))
        .with_expected_keys(1000)
        .with_checkpoint_every(Duration::from_secs(60))
        .with_checkpoint_log_growth(ByteSize::gib(1))
        .with_page_size(ByteSize::kib(64))
        .with_index_buckets(1 << 10)
        .with_index_min(ByteSize::kib(1))
        .with_index_max(ByteSize::gib(1));
    assert_eq!(config.page_size, Some(ByteSize::kib(64)));
    let config = config.with_disk(None).with_expected_keys(None).with_checkpoint_every(None);
    let config = config.with_checkpoint_log_growth(None).with_page_size(None);
    let config = config.with_index_min(None).with_index_max(None);
    assert_eq!(config.with_index_buckets(None), Config::default());
}
