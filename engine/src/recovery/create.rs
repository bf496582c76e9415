//! Creates a store. The manifest is published before the log has any record.

use super::Opening;
use super::types::TypeNames;
use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::hash::{HASH_ID, KeyHasher};
use crate::base::kinds::Durability;
use crate::checkpoint::files::manifest::{Manifest, StoreFormat, TableFormat};
use crate::config::space_sizes::SpaceSizes;
use crate::config::{ByteSize, Geometry, largest_memory};
use crate::epoch::Epoch;
use crate::hash_index::HashIndex;
use crate::hybrid_log::{HybridLog, LEAST_FRAMES, Life, LogEnd, LogExtent, LogGeometry};
use crate::manifest::files::LOG;
use crate::manifest::text::Hex;
use crate::memory::MemoryGovernor;
use crate::opening::ending::Maintenance;
use crate::opening::lock;
use crate::record::TableNumber;
use crate::space::SpaceGovernor;
use crate::store::sessions::points::Points;
use crate::store::sessions::table::SessionTable;
use crate::store::{StoreInner, StoreParts, Tables, WriteAheadLog};
use kvick_io::{BufPool, Device, DeviceOptions};
use std::sync::Arc;

impl Opening {
    pub(super) async fn create(
        &self,
        types: Option<&TypeNames>,
    ) -> Result<(StoreInner, Manifest, Option<Maintenance>)> {
        let geometry = Geometry::of(&self.config)?;
        // First, so that a refused type leaves no file.
        types.map(|types| types.limits(&geometry)).transpose()?;
        let device = self.open_log(geometry.segment_bytes, true).await?;
        // A unit is at least the smallest transfer of the device.
        let unit_bytes = geometry.unit_bytes.max(device.geometry().block as usize);
        let salt = self.seed.rotate_left(32) ^ 0x6b76_6963_6b6c_6f67;
        let store = StoreFormat {
            hash: HASH_ID.to_owned(),
            seed: Hex(self.seed),
            hash_of_kvick: Hex(KeyHasher::new(self.seed).hash(b"kvick").bits()),
            salt: Hex(salt),
            page_bytes: 1 << geometry.page_bits,
            unit_bytes: unit_bytes as u64,
            block_bytes: device.geometry().physical_block.into(),
            segment_bytes: geometry.segment_bytes,
            index_root_bits: geometry.index.root_bits,
            tables: types
                .map(|it| it.table(TableNumber::FIRST, TableFormat::DEFAULT))
                .into_iter()
                .collect(),
        };
        let mut manifest = Manifest::new(store);
        // First, so that the sizes of a store without enough memory are never published.
        let (index, log, governor) = match self.reserve(&manifest, &geometry, device) {
            Ok(reserved) => reserved,
            Err(error) => {
                lock::give_up_creation(&*self.directory).await;
                return Err(error);
            }
        };
        let wal = match self.open_wal(log.epoch(), &mut manifest, (None, Address::FIRST)).await {
            Ok(wal) => wal,
            Err(error) => {
                drop(log);
                lock::give_up_creation(&*self.directory).await;
                return Err(error);
            }
        };
        let checkpoint_files = self.files(manifest.clone());
        if let Err(failed) = checkpoint_files.publish(manifest.clone(), Durability::PowerCut).await
        {
            if failed.is_certain {
                drop(log);
                lock::give_up_creation(&*self.directory).await;
            }
            return Err(failed.error);
        }
        let sessions = SessionTable::new(self.life, Points::default());
        let version = manifest.next_token;
        let tables = tables(&manifest.store);
        let (wal, maintenance) = wal.map(|opened| (opened.wal, opened.maintenance)).unzip();
        let core = self.core(tables, (index, log, governor), (version, sessions, wal));
        Ok((core, manifest, maintenance))
    }

    /// Reserves the memory of a new store.
    fn reserve(
        &self,
        manifest: &Manifest,
        geometry: &Geometry,
        device: Arc<dyn Device>,
    ) -> Result<(HashIndex, HybridLog, Arc<MemoryGovernor>)> {
        let governor = self.governor(geometry);
        let index = HashIndex::new(geometry.index, self.config.huge_pages);
        let index = index.map_err(no_memory)?;
        let life = (manifest.life(), true);
        let log = self.log(manifest, geometry, life, (LogExtent::EMPTY, device))?;
        Ok((index, log, governor))
    }

    pub(super) async fn open_log(
        &self,
        segment_bytes: u64,
        create: bool,
    ) -> Result<Arc<dyn Device>> {
        let options = DeviceOptions { segment_bytes, create };
        let doing = if create { "creating" } else { "opening" };
        self.directory.open_device(LOG, options).await.map_err(|error| {
            if !create && error.kind() == std::io::ErrorKind::NotFound {
                return Error::lost_file("log.000000");
            }
            Error::io(format!("{doing} the log in {}", self.directory.describe()), error)
        })
    }

    /// Returns the log of a store of these sizes in this life. The flag tells whether the manifest
    /// names the life already.
    pub(super) fn log(
        &self,
        manifest: &Manifest,
        geometry: &Geometry,
        (life, is_announced): (Life, bool),
        (extent, device): (LogExtent, Arc<dyn Device>),
    ) -> Result<HybridLog> {
        let unit_bytes = usize::try_from(manifest.store.unit_bytes);
        let log_geometry = LogGeometry {
            page_bits: geometry.page_bits,
            frames: geometry.frames,
            reserved_frames: geometry.reserved_frames,
            mutable_fraction: self.config.mutable_fraction,
            unit_bytes: unit_bytes.expect("a unit fits in memory"),
            block_bytes: manifest.store.block_bytes,
            salt: manifest.store.salt.0,
            life,
            is_announced,
            flush_bytes: geometry.io_budget_bytes,
            prepares: false,
            huge_pages: self.config.huge_pages,
            owner: "store",
            end: LogEnd::of_store(geometry.page_bits),
        };
        let clock = (Epoch::new(), self.handle.clone());
        let buffers = BufPool::new(geometry.io_budget_bytes);
        let device = (device, buffers, &*self.directory.describe());
        HybridLog::new(log_geometry, extent, device, clock).map_err(no_memory)
    }

    /// Returns the governor of the memory of a store of these sizes.
    pub(super) fn governor(&self, geometry: &Geometry) -> Arc<MemoryGovernor> {
        let budgets = [self.config.memory, largest_memory(&self.config)];
        let frames = [LEAST_FRAMES, geometry.reserved_frames];
        // A cache moves what is read to the front of its log.
        let none = self.config.cache.then_some(ByteSize::new(0));
        let read_cache = none.or(self.config.read_cache);
        Arc::new(MemoryGovernor::new(budgets, 1 << geometry.page_bits, frames, read_cache))
    }

    /// Assembles a store.
    pub(super) fn core(
        &self,
        tables: Tables,
        (index, log, governor): (HashIndex, HybridLog, Arc<MemoryGovernor>),
        (version, sessions, wal): (u64, SessionTable, Option<WriteAheadLog>),
    ) -> StoreInner {
        let (config, clock) = (self.config.clone(), Arc::clone(&self.clock));
        let page_bytes = 1 << log.file().units().page_bits();
        let segment_bytes = log.file().device().geometry().segment_bytes;
        let space = SpaceGovernor::new(SpaceSizes::of(&config, page_bytes, segment_bytes));
        StoreInner::new(StoreParts {
            config,
            clock,
            tables,
            index,
            log,
            version,
            sessions,
            governor,
            space,
            wal,
        })
    }
}

/// Returns the tables of a store.
pub(super) fn tables(store: &StoreFormat) -> Tables {
    Tables::new(store.seed.0, store.layouts())
}

/// Returns the number of device bytes that the log below `address` takes.
pub(super) fn device_bytes(manifest: &Manifest, address: Address) -> u64 {
    manifest.units().device_offset(address)
}

#[cold]
pub(super) fn no_memory(error: std::io::Error) -> Error {
    Error::io("reserving memory", error)
}
