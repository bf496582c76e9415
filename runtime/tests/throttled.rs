//! A throttled directory on the clock of a simulation.

use std::sync::Arc;
use std::time::Duration;

use kvick_io::sim::{SimDisk, SimOptions};
use kvick_io::wrap::Throttled;
use kvick_io::{AlignedBuf, Device, DeviceOptions, Directory};
use kvick_runtime::{Handle, Simulation};

const BYTES_PER_SECOND: u64 = 1 << 20;

async fn device(disk: &SimDisk, handle: Handle) -> Arc<dyn Device> {
    let inner = disk.directory("store");
    let directory = Throttled::new(inner, BYTES_PER_SECOND, Arc::new(handle));
    directory.open_device("log", DeviceOptions::default()).await.expect("a sound disk")
}

fn run<F: Future>(test: impl FnOnce(SimDisk, Handle) -> F) -> F::Output {
    let simulation = Simulation::new(1);
    let disk = SimDisk::new(1, SimOptions::default());
    simulation.add_source(Arc::new(disk.clone()));
    let handle = simulation.handle();
    simulation.run(test(disk, handle))
}

#[test]
fn transfers_take_as_long_as_their_bytes() {
    run(async |disk, handle| {
        let device = device(&disk, handle.clone()).await;
        let begun = handle.now();
        let writes: Vec<_> =
            (0..17).map(|page| device.write_at(page << 16, AlignedBuf::zeroed(1 << 16))).collect();
        for write in writes {
            write.await.result.expect("a sound disk");
        }
        // The first write starts at once, the last when a second of the others has passed. The disk
        // itself takes a millisecond at most.
        let took = handle.now() - begun;
        let second = Duration::from_secs(1);
        assert!((second..second + Duration::from_millis(2)).contains(&took), "{took:?}");
    });
}

#[test]
fn a_dropped_waiting_transfer_does_not_start() {
    run(async |disk, handle| {
        let device = device(&disk, handle.clone()).await;
        device.write_at(0, AlignedBuf::zeroed(1 << 16)).await.result.expect("a sound disk");
        let begun = disk.operations();
        drop(device.write_at(1 << 16, AlignedBuf::zeroed(1 << 16)));
        handle.sleep(Duration::from_secs(1)).await;
        assert_eq!(disk.operations(), begun);
    });
}
