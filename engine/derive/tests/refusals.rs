//! Tests how a store refuses a type that is not its own: the error says what to do.

use std::sync::Arc;

use kvick::config::ByteSize;
use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{Config, ErrorKind, FasterKv, Key, Result, Value};

fn open<K: Key + ?Sized, V: Value + ?Sized>(
    directory: &MemoryDirectory,
    accept: bool,
) -> Result<FasterKv<K, V>> {
    let config = Config::default()
        .with_memory(ByteSize::kib(256))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::mib(1))
        .with_index_buckets(8)
        .with_huge_pages(false);
    let builder = FasterKv::builder(config).directory(Arc::new(directory.clone()));
    block_on(builder.accept_type_change(accept).open_in_directory())
}

fn close<K: Key + ?Sized, V: Value + ?Sized>(store: &FasterKv<K, V>) {
    block_on(store.close()).expect("memory");
}

/// Returns the text of the refusal to open a store of `K` and `V` with `L` and `W`.
fn refusal<K: Key + ?Sized, V: Value + ?Sized, L: Key + ?Sized, W: Value + ?Sized>() -> String {
    let directory = MemoryDirectory::new();
    close(&open::<K, V>(&directory, false).expect("memory"));
    let error = open::<L, W>(&directory, false).expect_err("another type");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    close(&open::<K, V>(&directory, false).expect("a refusal changes nothing"));
    error.to_string()
}

/// Checks that the advice of a refused type of values ends with `end`.
#[track_caller]
fn advised<V: Value + ?Sized, W: Value + ?Sized>(end: &str) {
    let text = refusal::<u64, V, u64, W>();
    assert!(text.ends_with(end), "{text}");
}

#[derive(Value)]
#[kvick(name = "account", version = 1)]
struct First(u64);

/// The program of `First` after a change that forgot the version.
#[derive(Value)]
#[kvick(name = "account", version = 1)]
struct Changed(u64, u64);

#[derive(Value)]
#[kvick(name = "account", version = 2, from(1) = First)]
struct Second(u64, u64);

impl From<First> for Second {
    fn from(First(amount): First) -> Self {
        Self(amount, 0)
    }
}

#[derive(Value)]
#[kvick(name = "account", version = 3)]
struct WithoutFrom(u64);

#[derive(Value)]
#[kvick(name = "bill", version = 1)]
struct Renamed(u64);

#[derive(Value)]
#[kvick(name = "account")]
struct Plain(u64);

/// The only advice was `accept_type_change`. It made a store of changed fields unreadable.
#[test]
fn a_refused_value_type_says_what_to_do() {
    assert_eq!(
        refusal::<u64, First, u64, Changed>(),
        "the store holds keys u64, values account version 1 (0: u64), and is opened with keys u64, \
         values account version 1 (0: u64, 1: u64); the fields of `account` differ; keep the old \
         type as `AccountV1`, and derive the new one with `version = 2, from(1) = AccountV1`"
    );
    advised::<Second, First>(
        "a newer program has opened this store, which knows version 2 of `account`; open it with \
         that program",
    );
    advised::<First, WithoutFrom>(
        "`account` does not read version 1; keep the old type as `AccountV1`, and add \
         `from(1) = AccountV1`",
    );
    advised::<First, Plain>("has no version; derive it with `version = 1` again");
    advised::<Plain, First>("open it with its own `account`, or write to a new store");
    advised::<First, Renamed>("`accept_type_change` lets in a type that was only renamed or moved");
    advised::<First, str>("; open it with its own types");
    advised::<u64, str>("; open it with its own types");
    advised::<Option<First>, Option<Changed>>(
        "and a member with other fields needs `version` and `from`",
    );
}

mod before {
    #[derive(kvick::Key, kvick::Value, PartialEq, Eq)]
    #[kvick(name = "page", version = 1)]
    pub(super) enum Page {
        Logins(u64),
    }
}

mod after {
    #[derive(kvick::Key, kvick::Value, PartialEq, Eq)]
    #[kvick(name = "page", version = 2)]
    pub(super) enum Page {
        Logins(u64),
    }

    #[derive(kvick::Key, kvick::Value, PartialEq, Eq)]
    #[kvick(name = "page", version = 1)]
    pub(super) enum Longer {
        Logins(u64),
        Visits(u64),
    }

    #[derive(kvick::Key, kvick::Value, PartialEq, Eq)]
    #[kvick(name = "page", version = 1)]
    pub(super) enum Other {
        Logins(u32),
    }
}

/// A key of another version was accepted as a renamed type, and every key was absent.
#[test]
fn a_key_keeps_its_version() {
    fn stays_closed<K: Key + ?Sized, L: Key + ?Sized>() {
        let directory = MemoryDirectory::new();
        close(&open::<K, u64>(&directory, false).expect("memory"));
        let error = open::<L, u64>(&directory, true).expect_err("another version");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        let end = "none of the stored keys would be found; open it with the key type of its \
                   creation";
        assert!(error.to_string().ends_with(end), "{error}");
        close(&open::<K, u64>(&directory, false).expect("a refusal changes nothing"));
    }
    stays_closed::<before::Page, after::Page>();
    stays_closed::<after::Page, before::Page>();
    stays_closed::<(u64, before::Page), (u64, after::Page)>();
    let text = refusal::<before::Page, u64, after::Other, u64>();
    assert!(text.ends_with("`page` differ, and a key cannot change; keep its fields"), "{text}");
}

#[test]
fn a_key_may_gain_variants_at_its_end() {
    let text = refusal::<before::Page, u64, after::Longer, u64>();
    assert!(text.ends_with("at its end; open it once with `accept_type_change`"), "{text}");
    let directory = MemoryDirectory::new();
    let store = open::<before::Page, u64>(&directory, false).expect("memory");
    block_on(store.upsert(&before::Page::Logins(7), &1)).expect("memory");
    close(&store);
    for accept in [true, false] {
        let store = open::<after::Longer, u64>(&directory, accept).expect("accepted once");
        let read = |key| block_on(store.read(&key)).expect("memory");
        assert_eq!(read(after::Longer::Logins(7)), Some(1));
        assert_eq!(read(after::Longer::Visits(7)), None);
        close(&store);
    }
}
