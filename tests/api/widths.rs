//! Types of every width with pages of every size. Values that fit come back. A width that fits in
//! no page is refused before any write.

use std::borrow::Cow;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kvick::config::{Backend, ByteSize};
use kvick::runtime::block_on;
use kvick::{Config, Error, ErrorKind, FasterKv, Key, Result, Value, codec};
use tests::configs::memory_store;
use tests::samples::pattern;

/// A codec for byte strings of one fixed width.
struct Wide<const WIDTH: usize>;

impl<const WIDTH: usize> Value for Wide<WIDTH> {
    type Item = [u8];
    type Owned = Vec<u8>;
    type View<'a> = &'a [u8];
    type Bytes<'a> = &'a [u8];
    const WIDTH: Option<usize> = Some(WIDTH);

    fn type_name() -> Cow<'static, str> {
        format!("wide {WIDTH}").into()
    }
    fn encode(item: &[u8]) -> Result<&[u8], codec::Error> {
        Ok(item)
    }
    fn view(bytes: &[u8]) -> Result<&[u8], codec::Error> {
        Ok(bytes)
    }
    fn decode(bytes: &[u8]) -> Result<Vec<u8>, codec::Error> {
        Ok(bytes.to_vec())
    }
}

impl<const WIDTH: usize> Key for Wide<WIDTH> {}

fn pages_of(page: ByteSize) -> Config {
    Config::default()
        .with_backend(Backend::Memory)
        .with_memory(ByteSize::kib(256))
        .with_page_size(page)
        .with_segment_size(ByteSize::mib(1))
        .with_index_buckets(8)
        .with_huge_pages(false)
}

/// Opens a store with keys and values of these widths, or returns `None` if the error names the
/// width. It is not inlined, because the optimizer takes minutes for sixty openings in one
/// function.
#[inline(never)]
fn opened<const KEY: usize, const VALUE: usize>(
    page: ByteSize,
) -> Result<Option<FasterKv<Wide<KEY>, Wide<VALUE>>>> {
    match block_on(FasterKv::open("no path", pages_of(page))) {
        Ok(store) => Ok(Some(store)),
        Err(error) if error.kind() == ErrorKind::InvalidArgument => {
            let text = error.to_string();
            let names = |width: usize| text.contains(&format!("{width} bytes"));
            assert!(names(KEY) || names(VALUE), "{text}");
            assert!(text.contains("page"), "{text}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_taken<const KEY: usize, const VALUE: usize>(page: ByteSize) -> Result<bool> {
    Ok(opened::<KEY, VALUE>(page)?.is_some())
}

/// Checks that accepted widths come back. Only a few are checked, because each pair is one more
/// store to compile.
fn comes_back<const KEY: usize, const VALUE: usize>(page: ByteSize) -> Result<()> {
    let store = opened::<KEY, VALUE>(page)?.expect("taken");
    block_on(async {
        for number in 0..3 {
            let (key, value) = (pattern(number, KEY), pattern(number + 7, VALUE));
            store.upsert(&key, &value).await?;
            assert!(store.compare_and_swap(&key, &value, &pattern(number, VALUE)).await?);
            store.rmw(&key, |found| found.expect("was set")).await?;
        }
        store.flush_and_evict().await?;
        for number in 0..3 {
            let found = store.read(&pattern(number, KEY)).await?;
            assert_eq!(found, Some(pattern(number, VALUE)), "{KEY} and {VALUE} in {page}");
            store.delete(&pattern(number, KEY)).await?;
        }
        // A write that never ends fills one page after the other.
        assert!(store.stats().device.bytes_stored < 32 << 20, "{KEY} and {VALUE} in {page}");
        store.close().await
    })
}

/// Returns which widths of values are accepted with keys of this width.
fn row<const KEY: usize>(page: ByteSize) -> Result<[bool; 8]> {
    Ok([
        is_taken::<KEY, 0>(page)?,
        is_taken::<KEY, 8>(page)?,
        is_taken::<KEY, 9>(page)?,
        is_taken::<KEY, 1024>(page)?,
        is_taken::<KEY, 1025>(page)?,
        is_taken::<KEY, 4096>(page)?,
        is_taken::<KEY, { 100 << 10 }>(page)?,
        is_taken::<KEY, { 2 << 20 }>(page)?,
    ])
}

/// The pages have 4 KiB. A key of 8 KiB, or a value of 2 MiB whose list of pieces is longer than a
/// page, never found room. Every new page was free of errors, so the write never ended, and wrote
/// empty pages as fast as the disk could.
#[test]
fn a_width_that_fits_in_no_page_is_refused_at_opening() -> Result<()> {
    let page = ByteSize::kib(4);
    assert!(!is_taken::<8192, 8>(page)?);
    assert!(!is_taken::<8, { 2 << 20 }>(page)?);
    assert!(is_taken::<8, { 2 << 20 }>(ByteSize::kib(16))?);
    Ok(())
}

#[test]
fn the_widest_that_are_taken_come_back() -> Result<()> {
    comes_back::<4000, 8>(ByteSize::kib(4))?;
    comes_back::<1500, 4096>(ByteSize::kib(4))?;
    comes_back::<8, { 2 << 20 }>(ByteSize::kib(16))
}

#[test]
fn widths_of_types_against_sizes_of_pages() -> Result<()> {
    let (small, large) = (ByteSize::kib(4), ByteSize::kib(16));
    let all_but_the_longest = [true, true, true, true, true, true, true, false];
    for (page, key, taken) in [
        (small, 8, row::<8>(small)?),
        (small, 1000, row::<1000>(small)?),
        (small, 1500, row::<1500>(small)?),
        (small, 2000, row::<2000>(small)?),
        (small, 4000, row::<4000>(small)?),
        (small, 4096, row::<4096>(small)?),
    ] {
        // The list of pieces must fit in half a page, after the key.
        let expected = match key {
            8 => all_but_the_longest,
            1000 => [true, true, true, true, true, true, true, false],
            1500 => [true, true, true, true, true, true, false, false],
            2000 => [true, true, true, true, false, false, false, false],
            4000 => [true, true, false, false, false, false, false, false],
            _ => [false; 8],
        };
        assert_eq!(taken, expected, "keys of {key} bytes in pages of {page}");
    }
    assert_eq!(row::<8>(large)?, [true; 8]);
    assert_eq!(row::<4000>(large)?, [true, true, true, true, true, true, true, false]);
    Ok(())
}

/// A refused type leaves no files, so that the directory opens later with another type.
#[test]
fn a_refused_width_leaves_no_files() -> Result<()> {
    let place = tempfile::tempdir().expect("a place");
    let path = place.path().join("store");
    let config = || pages_of(ByteSize::kib(4)).with_backend(Backend::Auto);
    let refused = block_on(FasterKv::<Wide<8192>, u64>::open(&path, config()));
    assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::InvalidArgument));
    let store: FasterKv<u64, u64> = block_on(FasterKv::open(&path, config()))?;
    block_on(store.close())?;
    let tight = config().with_max_value(ByteSize::new(100));
    let refused = block_on(FasterKv::<u64, Wide<101>>::open(place.path().join("b"), tight));
    let text = refused.expect_err("wider than max_value").to_string();
    assert!(text.contains("101 bytes") && text.contains("max_value = 100"), "{text}");
    Ok(())
}

thread_local!(static ASKED: Cell<usize> = const { Cell::new(0) });

/// Encoded bytes that are longer from the second access on.
struct Growing;

struct GrowingBytes([Vec<u8>; 2]);

impl AsRef<[u8]> for GrowingBytes {
    fn as_ref(&self) -> &[u8] {
        let asked = ASKED.get();
        ASKED.set(asked + 1);
        &self.0[asked.min(1)]
    }
}

impl Value for Growing {
    type Item = [u8];
    type Owned = Vec<u8>;
    type View<'a> = &'a [u8];
    type Bytes<'a> = GrowingBytes;
    const WIDTH: Option<usize> = None;

    fn type_name() -> Cow<'static, str> {
        "growing".into()
    }
    fn encode(item: &[u8]) -> Result<GrowingBytes, codec::Error> {
        Ok(GrowingBytes([item.to_vec(), vec![1; 8192]]))
    }
    fn view(bytes: &[u8]) -> Result<&[u8], codec::Error> {
        Ok(bytes)
    }
    fn decode(bytes: &[u8]) -> Result<Vec<u8>, codec::Error> {
        Ok(bytes.to_vec())
    }
}

impl Key for Growing {}

/// The bytes of this codec change between two accesses. They pass every check, and then need more
/// than a page. The operation panics, and does not write pages without end.
#[test]
fn a_codec_that_breaks_its_word_writes_no_pages() -> Result<()> {
    let store: FasterKv<Growing, u64> = memory_store(pages_of(ByteSize::kib(4)));
    let key = b"key".to_vec();
    for tries in 0..4 {
        let write = || -> Result<(), Error> { block_on(store.upsert_many(&[(&key[..], 7)])) };
        ASKED.set(tries);
        let ended = catch_unwind(AssertUnwindSafe(write));
        if let Ok(Err(error)) = &ended {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        }
    }
    assert!(store.stats().device.bytes_stored < 1 << 20, "pages were written");
    // The failed operation holds up no other task.
    block_on(store.flush_and_evict())?;
    block_on(store.close())
}
