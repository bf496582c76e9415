//! One scan, by one of the ways to scan.

use std::time::Duration;

use futures::TryStreamExt as _;
use kvick::{FasterKv, Result};
use serde::Serialize;

use crate::clock::Stopwatch;
use crate::keys::key_of;
use crate::payload::Payload;
use crate::process::ProcessorTime;

/// A way to scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `scan_with`: a closure sees each key and value in place.
    View,
    /// `scan`: the stream returns owned keys and values.
    Owned,
    /// `count`.
    Count,
}

impl Form {
    /// All ways, in the order of the report.
    pub const ALL: [Self; 3] = [Self::View, Self::Owned, Self::Count];

    /// Returns the name of the operation.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "scan_with",
            Self::Owned => "scan",
            Self::Count => "count",
        }
    }
}

/// The result of one scan.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pass {
    /// The number of records.
    pub records: u64,
    /// Whether it has shown each key exactly once, as far as a sum can tell.
    pub is_sound: bool,
    /// Bytes of the log that it has passed over.
    pub log_bytes: u64,
    /// Bytes that were read from the device meanwhile.
    pub read_bytes: u64,
    /// Its time.
    pub seconds: f64,
    /// Processor time of the whole process meanwhile.
    pub processor_seconds: f64,
}

impl Pass {
    /// Returns the records per second.
    pub fn rate(&self) -> f64 {
        self.records as f64 / self.seconds
    }

    /// Returns the processor time of a record, in nanoseconds.
    pub fn processor_nanoseconds(&self) -> f64 {
        self.processor_seconds * 1e9 / self.records.max(1) as f64
    }

    /// Returns the megabytes of log per second.
    pub fn megabytes(&self) -> f64 {
        self.log_bytes as f64 / 1e6 / self.seconds
    }
}

/// The number of records, and the sum of their keys.
type Sums = (u64, u64);

/// Scans a table with the keys of `records` indexes.
///
/// # Errors
///
/// Returns the error of the scan.
pub async fn scan<V: Payload + ?Sized>(
    store: &FasterKv<u64, V>,
    form: Form,
    records: u64,
) -> Result<Pass> {
    let (before, expected) = (store.stats(), sum_of(records));
    let log_bytes = before.log.mutable + before.log.read_only + before.log.on_device;
    let (started, processor) = (Stopwatch::start(), ProcessorTime::now());
    let (count, sum) = match form {
        Form::View => view(store).await?,
        Form::Owned => owned(store).await?,
        Form::Count => (store.count().await?, expected),
    };
    let (elapsed, processor) = (started.elapsed(), ProcessorTime::now().since(&processor));
    Ok(Pass {
        records: count,
        is_sound: (count, sum) == (records, expected),
        processor_seconds: processor.total().as_secs_f64(),
        log_bytes,
        read_bytes: store.stats().device.read_bytes - before.device.read_bytes,
        seconds: elapsed.max(Duration::from_nanos(1)).as_secs_f64(),
    })
}

async fn view<V: Payload + ?Sized>(store: &FasterKv<u64, V>) -> Result<Sums> {
    let (mut count, mut sum) = (0, 0_u64);
    let mut scan = store.scan_with(|key, _value| {
        count += 1;
        sum = sum.wrapping_add(key);
        None::<()>
    });
    while scan.try_next().await?.is_some() {}
    drop(scan);
    Ok((count, sum))
}

async fn owned<V: Payload + ?Sized>(store: &FasterKv<u64, V>) -> Result<Sums> {
    let (mut count, mut sum) = (0, 0_u64);
    let mut scan = store.scan();
    while let Some((key, value)) = scan.try_next().await? {
        drop(std::hint::black_box(value));
        count += 1;
        sum = sum.wrapping_add(key);
    }
    Ok((count, sum))
}

fn sum_of(records: u64) -> u64 {
    (0..records).fold(0, |sum, index| sum.wrapping_add(key_of(index)))
}

/// Returns the number of values that do not belong to their key.
///
/// # Errors
///
/// Returns the error of the scan.
pub async fn wrong<V: Payload + ?Sized>(store: &FasterKv<u64, V>, length: usize) -> Result<u64> {
    let mut wrong = 0;
    let mut scan = store.scan_with(|key, value| {
        wrong += u64::from(!V::verify_view(&value, key, length));
        None::<()>
    });
    while scan.try_next().await?.is_some() {}
    drop(scan);
    Ok(wrong)
}
