//! Each control of the simulated disk, and each of its promises.

mod audit;
mod crash;
mod faults;
mod transfers;
mod truncation;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::EventSource;
use crate::contract::buf::AlignedBuf;
use crate::contract::device::Device;
use crate::contract::directory::{DeviceOptions, Directory};
use crate::sim::{SimDisk, SimOptions};

/// Polls a future to its end, and runs the disk whenever the future waits.
fn drive<F: Future>(disk: &SimDisk, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        disk.run_event(disk.next_event().expect("something is in flight"));
    }
}

/// Polls a future once.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn disk(options: SimOptions) -> (SimDisk, Arc<dyn Directory>) {
    let disk = SimDisk::new(1, options);
    let directory = disk.directory("db");
    (disk, directory)
}

const SEGMENT: u64 = 8192;

fn open(disk: &SimDisk, directory: &Arc<dyn Directory>) -> Arc<dyn Device> {
    let options = DeviceOptions { segment_bytes: SEGMENT, create: true };
    drive(disk, directory.open_device("log", options)).expect("opens")
}

/// Returns `blocks` blocks of 512 bytes filled with `fill`.
fn page(blocks: usize, fill: u8) -> AlignedBuf {
    let mut buf = AlignedBuf::zeroed(blocks * 512);
    buf.fill(fill);
    buf
}

fn write(disk: &SimDisk, device: &dyn Device, offset: u64, buf: AlignedBuf) {
    let transfer = drive(disk, device.write_at(offset, buf));
    transfer.result.expect("the write succeeds");
}

fn read(disk: &SimDisk, device: &dyn Device, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
    let transfer = drive(disk, device.read_at(offset, AlignedBuf::zeroed(len)));
    transfer.into_buf().map(|buf| buf.to_vec())
}

/// Returns the bytes of a file on a disk without faults.
fn contents(disk: &SimDisk, name: &str) -> std::io::Result<Vec<u8>> {
    let directory = disk.directory("db");
    drive(disk, directory.read_file(name))
}
