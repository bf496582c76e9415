//! The shared state of a simulated disk, under a lock, and the start of operations.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::contract::completion::{Completion, OpTable, SharedTable};
use crate::sim::SimOptions;
use crate::sim::medium::history::OperationKind;
use crate::sim::medium::work::Work;
use crate::sim::medium::world::World;

/// The state that the handles, directories and devices of a disk share.
pub(super) struct Shared {
    pub(super) block: u32,
    pub(super) physical_block: u32,
    table: SharedTable,
    world: Mutex<World>,
}

impl Shared {
    pub(super) fn new(world: World) -> Self {
        let SimOptions { block, physical_block, .. } = world.options;
        let physical_block = physical_block.unwrap_or(block);
        Self { block, physical_block, table: OpTable::new(), world: Mutex::new(world) }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        // An audit panics under the lock, at a point where the state is consistent.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an operation.
    pub(super) fn begin(
        &self,
        world: &mut World,
        kind: OperationKind,
        subject: String,
        work: Work<World>,
    ) -> Completion {
        let (completion, sink) = OpTable::begin(&self.table);
        world.begin(kind, subject, work, sink);
        completion
    }

    /// Starts an operation that `prepare` makes, under the lock.
    pub(super) fn begin_now(
        &self,
        kind: OperationKind,
        subject: String,
        prepare: impl FnOnce(&mut World) -> Work<World>,
    ) -> Completion {
        let mut world = self.world();
        let work = prepare(&mut world);
        self.begin(&mut world, kind, subject, work)
    }

    /// Carries out one operation with a result. At the first poll `prepare` sees the disk as it is
    /// then, and returns the effect, which takes place when the operation ends.
    pub(super) async fn perform<T, E>(
        &self,
        kind: OperationKind,
        subject: String,
        prepare: impl FnOnce(&mut World) -> E,
    ) -> io::Result<T>
    where
        T: Send + 'static,
        E: FnOnce(&mut World, io::Result<()>) -> io::Result<T> + Send + 'static,
    {
        let reply = Arc::new(Mutex::new(None));
        let cell = Arc::clone(&reply);
        let completion = self.begin_now(kind, subject, move |world| {
            let effect = prepare(world);
            Work::Other(Box::new(move |world, verdict| {
                let result = effect(world, verdict);
                let end = result.as_ref().map(|_| ()).map_err(io::Error::kind);
                *cell.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                end
            }))
        });
        completion.await.result?;
        let replied = reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        replied.expect("an operation that is awaited is carried out")
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Shared({:?})", self.world())
    }
}
