//! A read-modify-write whose result is an overflow value is suspended while its pieces are stored.
//! It must take effect on the value that the key has in the end, whatever other tasks do meanwhile.

use std::task::Poll;

use kvick::config::ByteSize;
use kvick::{Config, FasterKv, Result};
use tests::polling::poll_once;
use tests::simulated::{World, seeds};

/// The values of the key before the operation begins.
const BEFORE: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"x"), Some(b"longer than a word")];

/// The place of the record when the operation begins.
#[derive(Clone, Copy, Debug)]
enum Place {
    Mutable,
    Immutable,
    OnDevice,
}

/// The operations of another task meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    Nothing,
    Deletes,
    Empties,
    SetsTheSame,
    Modifies,
    DeletesAndInserts,
}

impl Meanwhile {
    const ALL: [Self; 6] = [
        Self::Nothing,
        Self::Deletes,
        Self::Empties,
        Self::SetsTheSame,
        Self::Modifies,
        Self::DeletesAndInserts,
    ];

    /// Performs the operations. Returns the value of the key after them.
    async fn happen(
        self,
        store: &FasterKv<u64, [u8]>,
        before: Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Nothing => return Ok(before),
            Self::Deletes => {
                store.delete(&1).await?;
            }
            Self::Empties => {
                store.upsert(&1, b"").await?;
            }
            Self::SetsTheSame => {
                store.upsert(&1, before.as_deref().unwrap_or_default()).await?;
            }
            Self::Modifies => {
                store.rmw(&1, |_| b"y".to_vec()).await?;
            }
            Self::DeletesAndInserts => {
                store.delete(&1).await?;
                assert!(store.insert_if_absent(&1, b"").await?);
            }
        }
        store.read(&1).await
    }
}

/// Returns the result of the read-modify-write, which is too long for a page.
fn made_of(value: Option<&[u8]>) -> Vec<u8> {
    let mut made = match value {
        None => b"made of nothing:".to_vec(),
        Some(value) => [b"made of a value:", value].concat(),
    };
    // The length exceeds the whole memory.
    made.resize(150_000, b'.');
    made
}

fn config() -> Config {
    Config::default()
        .with_memory(ByteSize::kib(96))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(64))
        .with_index_buckets(8)
        .with_huge_pages(false)
}

async fn run(store: FasterKv<u64, [u8]>, world: tests::simulated::Site, case: Case) -> Result<()> {
    let Case { before, place, meanwhile } = case;
    // The memory is full, so the pieces have to wait until pages are written.
    for key in 10..800 {
        store.upsert(&key, &[7; 100]).await?;
    }
    if let Some(before) = before {
        store.upsert(&1, before).await?;
    }
    match place {
        Place::Mutable => {}
        Place::Immutable => store.flush().await?,
        Place::OnDevice => store.flush_and_evict().await?,
    }
    let mut seen = Vec::new();
    world.disk.stall();
    let expected = {
        let update = |value: Option<Vec<u8>>| {
            let made = made_of(value.as_deref());
            seen.push(value);
            made
        };
        let mut rmw = store.rmw(&1, update);
        let mut now = before.map(<[u8]>::to_vec);
        if let Place::OnDevice = place {
            // The operation first waits for the device, and stores the pieces after that.
            world.disk.release();
        }
        let Poll::Pending = poll_once(&mut rmw) else { panic!("there is room for the pieces") };
        if let Place::OnDevice = place {
            world.handle.sleep(std::time::Duration::from_millis(50)).await;
            world.disk.stall();
            let _suspended = poll_once(&mut rmw);
        }
        let happens = meanwhile.happen(&store, now.clone());
        let released = world.disk.clone();
        let releasing = world.handle.spawn("release", {
            let handle = world.handle.clone();
            async move {
                handle.sleep(std::time::Duration::from_millis(50)).await;
                released.release();
            }
        });
        now = happens.await?;
        releasing.await.expect("no panic");
        rmw.await?;
        now
    };
    let last = seen.last().expect("the closure was called");
    assert_eq!(*last, expected, "{case:?}: called with {} values", seen.len());
    let found = store.read(&1).await?.expect("the result was stored");
    assert!(found == made_of(expected.as_deref()), "{case:?}: made of another value");
    store.close().await
}

#[derive(Clone, Copy, Debug)]
struct Case {
    before: Option<&'static [u8]>,
    place: Place,
    meanwhile: Meanwhile,
}

/// A task deleted an empty value while the pieces were being stored. The operation took the value
/// for unchanged: it stored a result made of the deleted value, and did not call the closure again.
#[test]
fn the_value_that_is_replaced_is_the_one_it_was_made_of() {
    seeds(1, |seed| {
        for before in BEFORE {
            for place in [Place::Mutable, Place::Immutable, Place::OnDevice] {
                for meanwhile in Meanwhile::ALL {
                    let world = World::new(seed);
                    let site = world.site.clone();
                    let case = Case { before, place, meanwhile };
                    world.simulation.run(async move {
                        let store = site.open::<u64, [u8]>(config()).await;
                        run(store, site, case).await.expect("nothing fails");
                    });
                }
            }
        }
    });
}
