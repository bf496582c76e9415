//! A store that destructors of thread-local memory use.

use super::{Place, config};
use kvick::FasterKv;
use kvick::runtime::block_on;
use std::cell::RefCell;
use std::thread::{self, LocalKey};

type Store = FasterKv<u64, [u8]>;

/// Writes a key when its thread ends.
struct WritesAtEnd(RefCell<Option<(Store, u64)>>);

impl WritesAtEnd {
    const fn new() -> Self {
        Self(RefCell::new(None))
    }
}

impl Drop for WritesAtEnd {
    fn drop(&mut self) {
        let (store, key) = self.0.take().expect("it was set");
        let written = async {
            store.upsert(&key, &key.to_le_bytes()[..]).durable().await?;
            store.read(&key).await
        };
        assert_eq!(block_on(written).expect("sound memory"), Some(key.to_le_bytes().to_vec()));
    }
}

thread_local! {
    static BEFORE: WritesAtEnd = const { WritesAtEnd::new() };
    static AFTER: WritesAtEnd = const { WritesAtEnd::new() };
}

/// Some memory of a thread that ends is gone by then. It depends on the order in which it was used
/// first, so one of the two finds that of the store gone. A panic there aborts the process.
#[test]
fn a_thread_that_ends_writes_durably() {
    let place = Place::default();
    let store = block_on(place.open(config())).expect("opens");
    let set = |local: &'static LocalKey<WritesAtEnd>, store: &Store, key| {
        local.with(|at_end| at_end.0.replace(Some((store.clone(), key))));
    };
    let inner = store.clone();
    let ending = thread::Builder::new().spawn(move || {
        set(&BEFORE, &inner, 1);
        block_on(inner.upsert(&0, &[0; 8][..]).durable()).expect("sound memory");
        set(&AFTER, &inner, 2);
    });
    ending.expect("a thread").join().expect("no panic");
    for key in 0..3_u64 {
        let found = block_on(store.read(&key)).expect("sound memory");
        assert_eq!(found, Some(key.to_le_bytes().to_vec()), "key {key}");
    }
    block_on(store.close()).expect("closes");
}
