//! The lives of a store or log on one disk, through closes and power cuts.

use arbitrary::{Result, Unstructured};
use kvick::io::sim::{SimDisk, SimOptions};

use crate::simulated::{Site, World};

/// The bounds of one input.
const LIVES: usize = 8;
const STEPS: usize = 400;

/// A store or log, and the contents that it must have.
pub(super) trait Story {
    /// The store or log while it is open.
    type Opened;

    /// Opens the store or log, and checks its recovered contents.
    async fn open(&mut self, site: &Site) -> Self::Opened;

    /// Performs one operation. Returns the end of this life, if the operation is that.
    async fn step(
        &mut self,
        input: &mut Unstructured<'_>,
        opened: &mut Self::Opened,
    ) -> Result<Option<Ending>>;

    /// Checks it at the end of a life.
    async fn check(&self, opened: &mut Self::Opened);
}

/// The end of one life.
pub(super) enum Ending {
    Closed,
    /// The power is cut. The number decides which of the bytes in flight reach the disk.
    Cut(u64),
    /// The input has ended.
    Over,
}

/// The disk of a story.
pub(super) struct Stage {
    seed: u64,
    disk: SimDisk,
    steps: usize,
}

impl Stage {
    pub(super) fn new(seed: u64, options: SimOptions) -> Self {
        let options = SimOptions { write_once: vec!["log.".to_owned()], ..options };
        Self { seed, disk: SimDisk::new(seed, options), steps: 0 }
    }

    /// Performs the operations that the input encodes, life after life.
    pub(super) fn perform(mut self, story: &mut impl Story, input: &mut Unstructured<'_>) {
        for _ in 0..LIVES {
            match self.live(story, input) {
                Ending::Closed => {}
                Ending::Cut(seed) => self.disk = self.disk.crash(seed),
                Ending::Over => break,
            }
        }
    }

    fn live(&mut self, story: &mut impl Story, input: &mut Unstructured<'_>) -> Ending {
        self.seed += 1;
        let World { simulation, site } = World::on(self.seed, self.disk.clone());
        simulation.run(async {
            let mut opened = story.open(&site).await;
            let ending = loop {
                self.steps += 1;
                if self.steps > STEPS {
                    break Ending::Over;
                }
                match story.step(input, &mut opened).await {
                    Ok(None) => {}
                    Ok(Some(ending)) => break ending,
                    Err(_) => break Ending::Over,
                }
            };
            story.check(&mut opened).await;
            ending
        })
    }
}
