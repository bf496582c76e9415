//! Readers of tables whose keys expire.

use std::time::{Duration, UNIX_EPOCH};

use kvick::FasterKv;
use kvick::codec::Expiring;
use kvick::reader::StoreReader;
use kvick::runtime::Handle;
use kvick::session::Expiry;
use tests::simulated::{World, two_pages};

#[test]
fn keys_expire_by_the_clock_of_the_reader() {
    type Tokens = StoreReader<u64, Expiring<u64>>;
    let world = World::new(6);
    let site = world.site.clone();
    world.simulation.run(async {
        let epoch = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let clock = |handle: Handle| move || epoch + handle.now();
        let builder = FasterKv::<u64, Expiring<u64>>::builder(two_pages());
        let builder = builder.runtime(site.handle.clone()).clock(clock(site.handle.clone()));
        let store = builder.directory(site.disk.directory("db")).open_in_directory().await;
        let store = store.expect("a sound disk");
        for key in 0..100 {
            let after = Expiry::after(Duration::from_secs(if key < 50 { 100 } else { 1000 }));
            store.upsert_with(&key, &key, after).await.expect("a sound disk");
        }
        store.checkpoint().await.expect("a sound disk");
        let builder = Tokens::builder(two_pages()).runtime(site.handle.clone());
        let builder = builder.clock(clock(site.handle.clone()));
        let reader = builder.directory(site.disk.directory("db")).open_in_directory().await;
        let reader = reader.expect("a sound disk");
        assert_eq!(reader.count().await.expect("sound"), 100);
        site.handle.sleep(Duration::from_secs(200)).await;
        assert_eq!(reader.read(&1).await.expect("sound"), None);
        assert_eq!(reader.read(&99).await.expect("sound"), Some(99));
        assert_eq!(reader.count().await.expect("sound"), 50);
        store.close().await.expect("closes");
    });
}
