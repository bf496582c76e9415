//! The command line of `kvbench scan`.

use clap::Args;
use kvick::Config;
use kvick::config::{Backend, ByteSize};

use crate::options::{self, Updates};
use crate::output::Output;

/// Bytes of an index for each key, with some room.
const INDEX_BYTES_PER_KEY: u64 = 16;

/// Bytes of memory beside the index in a store whose records are on the device.
const COLD_BYTES: u64 = 64 << 20;

/// Scans a table in memory, beside a writer, and from the device; there against a plain sequential
/// read of the same files.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Number of records to load.
    #[arg(long, default_value_t = 10_000_000)]
    pub records: u64,
    /// Bytes of a value. 8 selects a `FasterKv<u64, u64>`, any other number a `FasterKv<u64,
    /// [u8]>`.
    #[arg(long, default_value_t = 8)]
    pub value: usize,
    /// Memory of the store that has all records in memory, with a unit.
    #[arg(long, default_value = "4GiB")]
    pub memory: ByteSize,
    /// Memory of the store whose records are on the device. By default 64 MiB, and 16 bytes a key
    /// for the index.
    #[arg(long)]
    pub cold_memory: Option<ByteSize>,
    /// Number of repetitions; the table has medians.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// The backend that moves bytes from the device: auto, uring, threads.
    #[arg(long, default_value = "auto")]
    pub backend: Backend,
    /// The place of the store and the file of the results.
    #[command(flatten)]
    pub output: Output,
}

impl Options {
    /// Returns the reason for which the options are refused.
    ///
    /// # Errors
    ///
    /// The error is the reason.
    pub fn check(&self) -> Result<(), String> {
        if self.records == 0 || self.runs == 0 || self.value < 8 {
            return Err("one record, one run and values of 8 bytes, at least".to_owned());
        }
        if matches!(self.backend, Backend::Null | Backend::Memory) {
            return Err("the store is opened again; use a backend with files".to_owned());
        }
        Ok(())
    }

    /// Returns the configuration of a store with this memory.
    pub fn config(&self, memory: ByteSize) -> Config {
        let mut config = Config::default().with_memory(memory).with_backend(self.backend);
        config.expected_keys = Some(self.records);
        config.checkpoint_on_close = false;
        config
    }

    /// Returns the memory of the store whose records are on the device.
    pub fn cold_memory(&self) -> ByteSize {
        let bytes = COLD_BYTES + INDEX_BYTES_PER_KEY * self.records;
        self.cold_memory.unwrap_or(ByteSize::new(bytes))
    }

    /// Returns the options of the writer.
    pub fn of_writer(&self) -> options::Options {
        let Self { records, value, memory, backend, .. } = *self;
        let updates = Updates { records, value, memory, disk: None, threads: 1, backend };
        options::Options::of_updates(updates, &self.output)
    }
}
