//! Futures that are dropped after n polls, for every n. An operation took effect completely or not
//! at all.

use kvick::session::Update;
use kvick::{Config, FasterKv, Result};
use tests::polling::AtMost;
use tests::samples::pattern;
use tests::simulated::{Site, after_each_number_of_polls, seeds, small_configs, two_pages};

/// A number of polls that exceeds those of any operation here except insertions.
const POLLS_MAX: u32 = 400;
/// A number of polls that exceeds those of a batch of insertions.
const STEPS_MAX: u32 = 20_000;
/// The key of the operations.
const KEY: u64 = 5;

type Store = FasterKv<u64, [u8]>;

fn old() -> Vec<u8> {
    pattern(1, 300)
}

/// Opens a store with the key on the device and other keys in memory.
async fn prepare(site: &Site, config: Config, old: Option<&[u8]>) -> Store {
    let store = site.open::<u64, [u8]>(config).await;
    if let Some(old) = old {
        store.upsert(&KEY, old).await.expect("a sound disk");
    }
    store.flush_and_evict().await.expect("a sound disk");
    for key in 100..140 {
        store.upsert(&key, &pattern(key, 200)).await.expect("a sound disk");
    }
    store
}

/// Drops `operation` after 1, 2, 3, .. polls until it finishes by itself. The key must hold `old`
/// each time, and `new` after the last.
fn drop_after_each_poll(
    seed: u64,
    [old, new]: [Option<Vec<u8>>; 2],
    operation: impl AsyncFn(&Store) -> Result<()>,
) {
    after_each_number_of_polls(seed, 1..POLLS_MAX, async |site, polls| {
        let config = if seed.is_multiple_of(2) { two_pages() } else { small_configs()[1].clone() };
        let store = prepare(site, config, old.as_deref()).await;
        let finished = AtMost::new(polls, operation(&store)).await;
        if let Some(result) = &finished {
            result.as_ref().expect("a sound disk");
        }
        let expected = if finished.is_some() { &new } else { &old };
        for _ in 0..2 {
            let found = store.read(&KEY).await.expect("a sound disk");
            assert_eq!(&found, expected, "dropped after {polls} polls");
            store.flush_and_evict().await.expect("a sound disk");
        }
        // The store continues as if the operation had not existed.
        let other = store.read(&120).await.expect("a sound disk");
        assert_eq!(other, Some(pattern(120, 200)));
        store.upsert(&KEY, b"later").await.expect("a sound disk");
        let later = store.read(&KEY).await.expect("a sound disk");
        assert_eq!(later.as_deref(), Some(&b"later"[..]));
        store.close().await.expect("closes");
        finished.is_some()
    });
}

#[test]
fn a_read_leaves_nothing() {
    seeds(16, |seed| {
        drop_after_each_poll(seed, [Some(old()), Some(old())], async |store| {
            assert_eq!(store.read(&KEY).await?, Some(old()));
            Ok(())
        });
    });
}

#[test]
fn an_upsert_happens_or_not() {
    seeds(16, |seed| {
        let new = pattern(2, 1500);
        drop_after_each_poll(seed, [Some(old()), Some(new.clone())], async |store| {
            store.upsert(&KEY, &new).await.map(drop)
        });
    });
}

#[test]
fn an_upsert_in_pieces_happens_or_not() {
    seeds(16, |seed| {
        let new = pattern(3, 20_000);
        drop_after_each_poll(seed, [Some(old()), Some(new.clone())], async |store| {
            store.upsert(&KEY, &new).await.map(drop)
        });
    });
}

#[test]
fn a_modification_happens_or_not() {
    seeds(16, |seed| {
        let new = [old(), pattern(4, 900)].concat();
        drop_after_each_poll(seed, [Some(old()), Some(new)], async |store| {
            let append = |value: Option<Vec<u8>>| [value.unwrap_or_default(), pattern(4, 900)];
            store.rmw(&KEY, |value| append(value).concat()).await.map(drop)
        });
    });
}

#[test]
fn a_modification_in_pieces_happens_or_not() {
    seeds(16, |seed| {
        let long = pattern(6, 9000);
        let new = [long.clone(), pattern(4, 900)].concat();
        drop_after_each_poll(seed, [Some(long), Some(new)], async |store| {
            let append = |value: Option<Vec<u8>>| [value.unwrap_or_default(), pattern(4, 900)];
            store.rmw(&KEY, |value| append(value).concat()).await.map(drop)
        });
    });
}

#[test]
fn a_delete_happens_or_not() {
    seeds(16, |seed| {
        drop_after_each_poll(seed, [Some(old()), None], async |store| {
            store.delete(&KEY).await.map(drop)
        });
    });
}

#[test]
fn an_insertion_happens_or_not() {
    seeds(16, |seed| {
        let new = pattern(7, 3000);
        drop_after_each_poll(seed, [None, Some(new.clone())], async |store| {
            assert!(store.insert_if_absent(&KEY, &new).await?);
            Ok(())
        });
    });
}

#[test]
fn a_swap_happens_or_not() {
    seeds(16, |seed| {
        let new = pattern(8, 40);
        drop_after_each_poll(seed, [Some(old()), Some(new.clone())], async |store| {
            assert!(store.compare_and_swap(&KEY, &old(), &new).await?);
            Ok(())
        });
    });
}

#[test]
fn a_take_happens_or_not() {
    for old in [old(), pattern(6, 9000)] {
        seeds(16, |seed| {
            drop_after_each_poll(seed, [Some(old.clone()), None], async |store| {
                assert_eq!(store.take(&KEY).await?.as_ref(), Some(&old));
                Ok(())
            });
        });
    }
}

#[test]
fn a_replacement_happens_or_not() {
    for (old, new) in [(300, 20_000), (9000, 40)] {
        let (old, new) = (pattern(1, old), pattern(2, new));
        seeds(16, |seed| {
            drop_after_each_poll(seed, [Some(old.clone()), Some(new.clone())], async |store| {
                assert_eq!(store.replace(&KEY, &new).await?.as_ref(), Some(&old));
                Ok(())
            });
        });
    }
}

#[test]
fn an_update_happens_or_not() {
    for long in [900, 20_000] {
        let put = |old: Option<Vec<u8>>| {
            let length = old.as_ref().map_or(0, Vec::len);
            Update::Put([old.unwrap_or_default(), pattern(4, long)].concat(), length)
        };
        seeds(16, |seed| {
            let new = [old(), pattern(4, long)].concat();
            drop_after_each_poll(seed, [Some(old()), Some(new)], async |store| {
                assert_eq!(store.update(&KEY, put).await?, old().len());
                Ok(())
            });
        });
    }
}

#[test]
fn an_update_that_removes_happens_or_not() {
    seeds(16, |seed| {
        drop_after_each_poll(seed, [Some(old()), None], async |store| {
            let removed = store.update(&KEY, |old| Update::Remove(old.is_some())).await?;
            assert!(removed);
            Ok(())
        });
    });
}

#[test]
fn a_conditional_removal_happens_or_not() {
    seeds(16, |seed| {
        drop_after_each_poll(seed, [Some(old()), None], async |store| {
            assert!(store.delete_if(&KEY, |view| view.len() == 300).await?);
            Ok(())
        });
        drop_after_each_poll(seed, [Some(old()), None], async |store| {
            assert!(store.compare_and_delete(&KEY, &old()).await?);
            Ok(())
        });
    });
}

/// A dropped batch of writes has set a prefix of its pairs, and each value is whole.
#[test]
fn many_upserts_are_set_from_the_first_on() {
    seeds(16, |seed| {
        after_each_number_of_polls(seed, 1..POLLS_MAX, async |site, polls| {
            let store = prepare(site, two_pages(), None).await;
            let pairs: Vec<(u64, Vec<u8>)> =
                (200..240).map(|key| (key, pattern(key, 400))).collect();
            let finished = AtMost::new(polls, store.upsert_many(&pairs)).await;
            let keys: Vec<u64> = (200..240).collect();
            let found = store.read_many(&keys).await.expect("a sound disk");
            let set = found.iter().take_while(|value| value.is_some()).count();
            for ((_, value), found) in pairs.iter().zip(&found[..set]) {
                assert_eq!(found.as_ref(), Some(value));
            }
            assert!(found[set..].iter().all(Option::is_none), "a gap after {set}");
            assert!(finished.is_none() || set == pairs.len());
            store.close().await.expect("closes");
            finished.is_some()
        });
    });
}

/// Keys that share a page with others wait for space. A dropped batch of deletions has removed a
/// prefix.
#[test]
fn many_deletions_happen_from_the_first_on() {
    seeds(16, |seed| {
        after_each_number_of_polls(seed, 1..POLLS_MAX, async |site, polls| {
            let store = prepare(site, two_pages(), None).await;
            let keys: Vec<u64> = (200..2200).collect();
            for key in &keys {
                store.upsert(key, &pattern(*key, 40)).await.expect("a sound disk");
            }
            store.flush_and_evict().await.expect("a sound disk");
            let finished = AtMost::new(polls, store.delete_many(&keys)).await;
            let found = store.read_many(&keys).await.expect("a sound disk");
            let removed = found.iter().take_while(|value| value.is_none()).count();
            assert!(found[removed..].iter().all(Option::is_some), "a gap after {removed}");
            assert!(finished.is_none() || removed == keys.len());
            assert!(finished.is_none() || polls > 1, "the deletions never waited");
            store.close().await.expect("closes");
            finished.is_some()
        });
    });
}

/// Returns numbers of polls in growing steps. Insertions that share two pages of memory wait for
/// room again and again.
fn steps() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(1), |polls| Some(polls + 1 + polls / 16))
        .take_while(|polls| *polls < STEPS_MAX)
}

/// A dropped batch of insertions has inserted each value completely or not at all, and old values
/// stay.
#[test]
fn many_insertions_happen_or_not() {
    seeds(16, |seed| {
        after_each_number_of_polls(seed, steps(), async |site, polls| {
            let store = prepare(site, two_pages(), None).await;
            for key in (200..240).step_by(2) {
                store.upsert(&key, &old()).await.expect("a sound disk");
            }
            store.flush_and_evict().await.expect("a sound disk");
            let pairs: Vec<(u64, Vec<u8>)> =
                (200..240).map(|key| (key, pattern(key, 400))).collect();
            let finished = AtMost::new(polls, store.insert_many(&pairs)).await;
            for (key, value) in &pairs {
                let found = store.read(key).await.expect("a sound disk");
                if key % 2 == 0 {
                    assert_eq!(found, Some(old()), "key {key}");
                } else {
                    assert!(found.is_none_or(|found| found == *value), "key {key}");
                }
            }
            if let Some(inserted) = &finished {
                let inserted = inserted.as_ref().expect("a sound disk");
                assert!(inserted.iter().copied().eq((0..40).map(|place| place % 2 == 1)));
            }
            assert!(finished.is_none() || polls > 1, "the insertions never waited");
            store.close().await.expect("closes");
            finished.is_some()
        });
    });
}
