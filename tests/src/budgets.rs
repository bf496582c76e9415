//! Changes of the memory of an open store.

use kvick::config::ByteSize;
use kvick::io::sim::Random;
use kvick::{ErrorKind, FasterKv, Key, Value};

/// The limit of memory that tests set: a multiple of the memory of small configurations.
const MOST: u64 = 256 << 10;

/// Sets the memory of a store somewhere between its floor and a few times its memory, and checks
/// that the pages in memory are within it.
///
/// # Panics
/// If the store refuses a memory above its floor, or keeps more than that in memory.
pub async fn set_some_memory<K, V>(store: &FasterKv<K, V>, random: &mut Random)
where
    K: Key + ?Sized,
    V: Value + ?Sized,
{
    let floor = store.stats().memory.floor;
    let memory = if random.chance(0.3) { floor } else { floor.max(MOST / 4) + random.below(MOST) };
    match store.set_memory(ByteSize::new(memory)).await {
        Ok(()) => {}
        // The index or the sessions have grown meanwhile.
        Err(error) if store.stats().memory.floor > memory => {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            return;
        }
        Err(error) => panic!("a sound disk, and a possible memory: {error}"),
    }
    let stats = store.stats();
    let in_memory = stats.log.mutable + stats.log.read_only;
    assert!(in_memory <= stats.memory.frames, "more pages than {memory} bytes allow: {stats}");
}
