//! The speed of the machine for programs that do the minimum of the same work.

use std::io;
use std::path::Path;
use std::time::Duration;

use kvick::runtime::block_on;

use super::entries::Entries;
use crate::clock::Stopwatch;
use crate::sequential::Plain;

/// The number of entries between two readings of the clock.
const STRETCH: u64 = 64;

/// Returns the entries per second that one thread copies through a buffer of `memory` bytes, in
/// turn.
pub fn copies_per_second(entry_bytes: usize, memory: u64, duration: Duration) -> f64 {
    let memory = usize::try_from(memory).expect("memory of this machine").max(entry_bytes);
    // The buffer is written once, so that the system provides its pages before the clock starts.
    let mut buffer = vec![0x5A_u8; memory];
    let mut entries = Entries::new(0, entry_bytes);
    let (mut at, mut copied) = (0, 0);
    let started = Stopwatch::start();
    while started.elapsed() < duration {
        for _ in 0..STRETCH {
            let entry = entries.entry(copied);
            if at + entry.len() > buffer.len() {
                at = 0;
            }
            buffer[at..at + entry.len()].copy_from_slice(entry);
            at += entry.len();
            copied += 1;
        }
        std::hint::black_box(&mut buffer);
    }
    copied as f64 / started.elapsed().as_secs_f64()
}

/// Returns the bytes per second of a plain sequential write of `bytes`, with a sync.
///
/// # Errors
///
/// Returns an error of the I/O layer.
pub fn write_bytes_per_second(path: &Path, bytes: u64) -> io::Result<f64> {
    let took = block_on(Plain::open(path)?.write(bytes))?;
    Ok(bytes as f64 / took.as_secs_f64())
}

/// Writes `bytes`, and returns the bytes per second of a plain sequential read of them.
///
/// # Errors
///
/// Returns an error of the I/O layer.
pub fn read_bytes_per_second(path: &Path, bytes: u64) -> io::Result<f64> {
    let plain = Plain::open(path)?;
    block_on(plain.write(bytes))?;
    let took = block_on(plain.read(bytes))?;
    Ok(bytes as f64 / took.as_secs_f64())
}
