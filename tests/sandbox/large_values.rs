//! The number of copies of a large value of a fixed width that are on the stack at once.
//!
//! A value of the type `[u8; 131_072]` overflowed a stack of 2 MiB, which threads of tests and of
//! tokio have. In a build without optimization each layer of a read had several copies of it, 64
//! together. Each case here runs on a thread whose stack has room for 14 copies; the process ends
//! if a case needs more.

use std::thread;

use kvick::config::{Backend, ByteSize};
use kvick::futures::TryRead;
use kvick::runtime::block_on;
use kvick::{Config, FasterKv};

use crate::alone::alone;

const LENGTH: usize = 131_072;

/// The number of copies for which a thread needs room, as [`kvick::Value`] documents.
const COPIES: usize = 14;

/// The bytes of a stack that a thread needs for everything else.
const SLACK: usize = 128 << 10;

type Large = [u8; LENGTH];
type Store = FasterKv<u64, Large>;
type Case = (&'static str, fn(&Store));

fn value(byte: u8) -> Box<Large> {
    vec![byte; LENGTH].into_boxed_slice().try_into().expect("of this length")
}

/// Runs `body` on a thread that has room for this many values.
fn with_room_for(copies: usize, store: &Store, body: fn(&Store)) {
    let store = store.clone();
    let thread = thread::Builder::new().stack_size(copies * LENGTH + SLACK);
    thread.spawn(move || body(&store)).expect("a thread").join().expect("no panic");
}

/// The operations. Each is a function of its own, and checks its result in place, because an
/// unoptimized function has room for all its values at once.
const CASES: [Case; 11] = [
    ("upsert", |store| block_on(store.upsert(&1, &value(1))).map(drop).expect("written")),
    ("read", |store| {
        let answer = block_on(store.read(&1));
        assert!(matches!(&answer, Ok(Some(value)) if value[LENGTH - 1] == 1));
    }),
    ("read in a session", |store| {
        let mut session = store.session().expect("open");
        let answer = block_on(session.read(&1));
        assert!(matches!(&answer, Ok(Some(value)) if value[LENGTH - 1] == 1));
    }),
    ("read within an async function", |store| {
        block_on(async {
            let answer = store.read(&1).await;
            assert!(matches!(&answer, Ok(Some(value)) if value[LENGTH - 1] == 1));
        });
    }),
    ("try_read", |store| match store.try_read(&1) {
        TryRead::Ready(answer) => assert!(matches!(&answer, Ok(Some(value)) if value[0] == 1)),
        // The value is on the device.
        TryRead::Pending(_) => {}
    }),
    ("read_with", |store| {
        assert_eq!(block_on(store.read_with(&1, |value| value[0])).expect("sound"), Some(1));
    }),
    ("read_many", |store| {
        let answers = block_on(store.read_many(&[1, 1, 2])).expect("sound");
        assert!(answers[..2].iter().all(|value| value.is_some_and(|value| value[0] == 1)));
        assert!(answers[2].is_none());
    }),
    ("rmw", |store| {
        let new = block_on(store.rmw(&1, changed)).expect("written");
        assert!(new[0] > 0 && new.iter().all(|byte| *byte == new[0]));
    }),
    ("rmw_many", |store| {
        block_on(store.rmw_many(&[1, 1], |_, found| changed(found))).expect("written");
    }),
    ("compare_and_swap", |store| {
        assert!(block_on(store.compare_and_swap(&1, &value(4), &value(1))).expect("written"));
    }),
    ("insert_if_absent", |store| {
        assert!(!block_on(store.insert_if_absent(&1, &value(2))).expect("sound"));
    }),
];

fn changed(found: Option<Large>) -> Large {
    let mut found = found.unwrap_or([0; LENGTH]);
    found.iter_mut().for_each(|byte| *byte += 1);
    found
}

#[test]
fn a_large_value_is_on_the_stack_few_times() {
    alone("large_values::a_large_value_is_on_the_stack_few_times", || {
        let config = Config::default()
            .with_backend(Backend::Memory)
            .with_memory(ByteSize::mib(16))
            .with_page_size(ByteSize::mib(1))
            .with_huge_pages(false);
        let store: Store = block_on(FasterKv::open("not a path", config)).expect("opens");
        block_on(store.upsert(&1, &value(1))).expect("written");
        for is_cold in [false, true] {
            for (name, case) in CASES {
                if is_cold {
                    block_on(store.flush_and_evict()).expect("sound memory");
                }
                println!("{name}, {}", if is_cold { "on the device" } else { "in memory" });
                with_room_for(COPIES, &store, case);
            }
        }
    });
}
