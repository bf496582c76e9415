//! Media without a free block, and media that cannot be written. The tests need the right to mount,
//! and print a message if it is missing.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kvick_io::{
    AlignedBuf, BackendChoice, Device, DeviceOptions, Directory, IoConfig, open_directory,
};
use pollster::block_on;
use tempfile::TempDir;

const SEGMENT: u64 = 64 << 10;

/// How long a file may stay open after its last user was dropped.
const LET_GO: Duration = Duration::from_secs(60);

/// A small file system, which is unmounted when this is dropped.
struct Mounted {
    place: TempDir,
    kind: &'static str,
}

impl Mounted {
    fn all() -> Vec<Self> {
        ["tmpfs", "ext4"].into_iter().filter_map(Self::new).collect()
    }

    fn new(kind: &'static str) -> Option<Self> {
        let place = tempfile::tempdir().expect("scratch works");
        let (at, image) = (place.path().join("mount"), place.path().join("image"));
        fs::create_dir(&at).expect("scratch works");
        let at = at.to_str().expect("plain").to_owned();
        let done = match kind {
            "tmpfs" => run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs", &at]),
            _ => {
                fs::File::create(&image).expect("scratch works").set_len(8 << 20).expect("sparse");
                let image = image.to_str().expect("plain");
                run("mkfs.ext4", &["-q", "-m", "0", "-O", "^has_journal", image])
                    && run("mount", &["-o", "loop", image, &at])
            }
        };
        if !done {
            println!("skipped {kind}: it cannot be mounted here");
        }
        done.then_some(Self { place, kind })
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("mount")
    }

    /// Changes how the file system is mounted. A file that is open for writing forbids `ro`, and a
    /// dropped ring closes its last file on a thread of its own or of the kernel: the loop waits
    /// for that.
    fn remount(&self, how: &str) {
        let at = self.path();
        let options = format!("remount,{how}");
        until_let_go(|| match run("mount", &["-o", &options, at.to_str().expect("plain")]) {
            true => Ok(()),
            false => Err(self.kind),
        });
    }

    /// Takes every free block, and returns the file that has them.
    fn fill(&self) -> PathBuf {
        let ballast = self.path().join("ballast");
        let mut file = fs::File::create(&ballast).expect("a name has room");
        // Until its pages are on the medium, a file system reserves blocks that it will not need.
        loop {
            let before = file.metadata().expect("it is open").len();
            for size in [64 << 10, 4096, 512] {
                while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
            }
            let synced = file.sync_all();
            if file.metadata().expect("it is open").len() == before {
                println!("{}: full, {synced:?}", self.kind);
                break;
            }
        }
        ballast
    }
}

/// Repeats `attempt`, which fails while a dropped file is still open.
#[expect(clippy::disallowed_methods, reason = "the kernel closes files on the real clock")]
fn until_let_go<E: std::fmt::Debug>(mut attempt: impl FnMut() -> Result<(), E>) {
    let until = Instant::now() + LET_GO;
    while let Err(error) = attempt() {
        assert!(Instant::now() < until, "after {LET_GO:?} still: {error:?}");
        thread::yield_now();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: the last file of a dropped ring may be open for a moment.
        run("umount", &["-l", self.path().to_str().expect("plain")]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn backends() -> [BackendChoice; 2] {
    [BackendChoice::Auto, BackendChoice::Threads]
}

fn directory(path: &Path, backend: BackendChoice) -> Arc<dyn Directory> {
    let config = IoConfig { backend, ..IoConfig::default() };
    open_directory(&path.join("store"), &config).expect("it opens")
}

fn device(directory: &dyn Directory) -> Arc<dyn Device> {
    let options = DeviceOptions { segment_bytes: SEGMENT, create: true };
    block_on(directory.open_device("log", options)).expect("it opens")
}

/// Creates a device of six segments.
fn write(path: &Path, backend: BackendChoice) {
    let directory = directory(path, backend);
    let device = device(&*directory);
    let mut buf = AlignedBuf::zeroed(6 << 16);
    buf.fill(7);
    block_on(device.write_at(0, buf)).result.expect("it fits");
    block_on(device.sync()).result.expect("it fits");
    block_on(directory.write_file("manifest", b"a store")).expect("it fits");
}

fn assert_reads(device: &dyn Device, offset: u64) {
    let read = block_on(device.read_at(offset, AlignedBuf::zeroed(4096)));
    assert!(read.into_buf().expect("it is there").iter().all(|&byte| byte == 7));
}

/// A log had filled its file system. It could not be opened any more, not even to delete entries.
/// The opening first wrote a scratch file, and there was no block for that.
#[test]
fn a_full_medium_is_opened_read_and_freed() {
    for mounted in Mounted::all() {
        for backend in backends() {
            write(&mounted.path(), backend);
            let ballast = mounted.fill();
            let directory = directory(&mounted.path(), backend);
            let device = device(&*directory);
            assert_reads(&*device, 0);
            assert_eq!(block_on(directory.read_file("manifest")).unwrap(), b"a store");
            drop(block_on(directory.lock("manifest")).unwrap());
            let full = block_on(device.write_at(7 * SEGMENT, AlignedBuf::zeroed(1 << 16)));
            let full = full.result.expect_err("there is no room");
            assert_eq!(full.kind(), ErrorKind::StorageFull, "{}: {full}", mounted.kind);
            block_on(device.discard_below(4 * SEGMENT)).unwrap();
            block_on(directory.sync()).unwrap();
            // A file thread closes the deleted segments, which frees their blocks.
            until_let_go(|| block_on(directory.write_file("manifest.new", &[1; 4096])));
            assert_reads(&*device, 5 * SEGMENT);
            drop(device);
            fs::remove_file(ballast).unwrap();
            fs::remove_dir_all(mounted.path().join("store")).unwrap();
        }
    }
}

#[test]
fn a_medium_that_cannot_be_written_is_opened_and_read() {
    for mounted in Mounted::all() {
        for backend in backends() {
            write(&mounted.path(), backend);
            mounted.remount("ro");
            let directory = directory(&mounted.path(), backend);
            let device = device(&*directory);
            assert_reads(&*device, 5 * SEGMENT);
            assert_eq!(block_on(directory.read_file("manifest")).unwrap(), b"a store");
            let lock = block_on(directory.lock("lock")).unwrap();
            assert!(block_on(directory.lock("lock")).is_err());
            drop(lock);
            for refused in [
                block_on(directory.write_file("manifest", b"x")).unwrap_err(),
                block_on(directory.rename("manifest", "x")).unwrap_err(),
                block_on(directory.remove_file("manifest")).unwrap_err(),
                block_on(device.write_at(9 * SEGMENT, AlignedBuf::zeroed(4096)))
                    .result
                    .unwrap_err(),
            ] {
                assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem, "{refused}");
            }
            drop((device, directory));
            mounted.remount("rw");
        }
    }
}
