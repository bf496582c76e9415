//! The files of a small store with checkpoints of every kind, written by the engine.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use kvick::io::{Directory, MemoryDirectory};
use kvick::runtime::Simulation;
use kvick::{Config, FasterKv, Result, checkpoint};

use crate::configs::two_buckets;
use crate::crowd::CROWD;
use crate::files::{Contents, Files};
use crate::samples::pattern;

/// The store that targets damage.
pub(super) static STORE: LazyLock<StoreFiles> = LazyLock::new(StoreFiles::new);

/// The keys below this number have been written at some time.
pub(super) const KEYS: u64 = 40;

/// The files of a store.
#[derive(Debug)]
pub(super) struct StoreFiles {
    /// The files when the store had closed.
    pub(super) files: Files,
    /// The files after each checkpoint.
    pub(super) older: Vec<Files>,
    /// The contents of each checkpoint, by token.
    pub(super) states: BTreeMap<u64, Contents<[u8]>>,
}

/// Returns the configuration of the store.
pub(super) fn config() -> Config {
    two_buckets().with_keep_checkpoints(8)
}

impl StoreFiles {
    fn new() -> Self {
        let simulation = Simulation::new(1);
        let handle = simulation.handle();
        simulation.run(async {
            let directory = MemoryDirectory::new();
            let store = FasterKv::<u64, [u8]>::builder(config())
                .runtime(handle)
                .directory(Arc::new(directory.clone()))
                .seed(1)
                .open_in_directory()
                .await
                .expect("created");
            let mut built =
                Self { files: Files::default(), older: Vec::new(), states: BTreeMap::new() };
            built.fill(&store, &directory).await.expect("memory");
            built
        })
    }

    async fn fill(&mut self, store: &FasterKv<u64, [u8]>, directory: &dyn Directory) -> Result<()> {
        let mut contents = BTreeMap::new();
        for _ in 0..CROWD {
            let mut session = store.session()?;
            let _id = session.id();
            session.delete(&KEYS).await?;
        }
        let rounds = [
            (checkpoint::Kind::FoldOver, 1),
            (checkpoint::Kind::Snapshot, 2),
            (checkpoint::Kind::Incremental, 3),
            (checkpoint::Kind::FoldOver, 2),
            (checkpoint::Kind::Snapshot, 4),
            (checkpoint::Kind::Incremental, 5),
        ];
        for (round, (kind, step)) in (1_u64..).zip(rounds) {
            for key in (0..KEYS).step_by(step) {
                // Some are longer than a page.
                let length = if key == 9 { 6000 } else { key * 7 % 250 };
                let value = pattern(round << 8 | key, usize::try_from(length).expect("small"));
                store.upsert(&key, &value).await?;
                contents.insert(key, value);
            }
            store.delete(&round).await?;
            contents.remove(&round);
            let request = store.checkpoint().kind(kind);
            let taken = if round % 2 == 1 { request.with_index().await } else { request.await }?;
            self.states.insert(taken.token.version(), contents.clone());
            self.older.push(Files::of(directory).await);
        }
        store.upsert(&0, b"in no checkpoint").await?;
        store.close().await?;
        self.files = Files::of(directory).await;
        for files in self.older.iter_mut().chain([&mut self.files]) {
            files.0.remove("lock");
        }
        Ok(())
    }
}
