//! Scans over entries that were taken back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{StreamExt, TryStreamExt};
use kvick::FasterLog;
use kvick::config::ByteSize;
use kvick::io::{
    AlignedBuf, BoxFuture, Completion, Device, DeviceOptions, Directory, MemoryDirectory,
};
use kvick::runtime::block_on;

use super::small;
use tests::files::Files;
use tests::wrapping::open_wrapped;

/// A directory whose devices count their reads.
#[derive(Debug)]
struct Counting {
    inner: Arc<MemoryDirectory>,
    reads: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CountingDevice {
    inner: Arc<dyn Device>,
    reads: Arc<AtomicU64>,
}

impl Device for CountingDevice {
    fn read_at(&self, offset: u64, buf: AlignedBuf) -> Completion {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read_at(offset, buf)
    }

    kvick::io::forward_device!(
        write_at,
        sync,
        discard_below,
        truncate,
        geometry,
        locate,
        bytes_stored
    );
}

impl Directory for Counting {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        open_wrapped(&*self.inner, name, options, |inner| {
            let reads = Arc::clone(&self.reads);
            CountingDevice { inner, reads }
        })
    }

    kvick::io::forward_directory!();
}

async fn open(inner: &Arc<MemoryDirectory>) -> (FasterLog, Arc<AtomicU64>) {
    let reads = Arc::new(AtomicU64::new(0));
    let directory = Counting { inner: Arc::clone(inner), reads: Arc::clone(&reads) };
    let config = small().with_memory(ByteSize::kib(512)).with_page_size(ByteSize::kib(32));
    let config = config.with_segment_size(ByteSize::mib(1));
    let builder = FasterLog::builder(config).directory(Arc::new(directory));
    (builder.open_in_directory().await.expect("opens"), reads)
}

/// A scan read the bytes between two voids separately, and waited for each read. A log that had
/// lost thousands of entries to a consensus took a second to read, most of it waiting.
#[test]
fn a_scan_over_many_voids_reads_each_part_of_the_log_once() {
    const VOIDS: u32 = 400;
    block_on(async {
        let directory = Arc::new(MemoryDirectory::new());
        let (log, _) = open(&directory).await;
        for number in 0..VOIDS {
            log.append(&number.to_le_bytes()).await.expect("appended");
            let wrong = log.append(b"taken back").await.expect("appended");
            log.truncate_suffix(wrong).await.expect("taken back");
        }
        let expected: Vec<_> = (0..VOIDS).map(|number| number.to_le_bytes().to_vec()).collect();
        let payloads = |log: &FasterLog| {
            let scan = log.scan(..);
            scan.map(|entry| entry.map(|entry| entry.payload.to_vec())).try_collect::<Vec<_>>()
        };
        assert_eq!(payloads(&log).await.expect("sound"), expected, "in memory");
        log.close().await.expect("closes");

        let (log, reads) = open(&directory).await;
        let before = reads.load(Ordering::Relaxed);
        assert_eq!(payloads(&log).await.expect("sound"), expected, "on the device");
        let reads = reads.load(Ordering::Relaxed) - before;
        let pages = log.tail_address().raw() / (32 << 10) + 1;
        assert!(pages * 4 < u64::from(VOIDS), "many voids in a page");
        assert!(reads <= pages, "{reads} reads of {pages} pages");
        log.close().await.expect("closes");
    });
}

async fn open_in(directory: &MemoryDirectory) -> kvick::Result<FasterLog> {
    let builder = FasterLog::builder(small()).directory(Arc::new(directory.clone()));
    builder.open_in_directory().await
}

/// A repair of a log brought entries back that a commit had taken back, since the only record of
/// that commit was damaged. The check said nothing of it.
#[test]
fn a_check_names_the_commits_whose_records_are_lost() -> kvick::Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let log = open_in(&directory).await?;
        let mut addresses = Vec::new();
        for number in 0..6_u8 {
            addresses.push(log.append_durable(&[number]).await?);
        }
        let before = Files::of(&directory).await;
        let lost = log.truncate_suffix(addresses[3]).await?.number;
        let after = Files::of(&directory).await;
        for number in 6..9_u8 {
            log.append_durable(&[number]).await?;
        }
        let crashed = Files::of(&directory).await;
        log.close().await?;
        let sound = kvick::log::check(Arc::new(crashed.restore().await)).await?;
        assert!(sound.is_sound() && sound.lost_commits.is_empty());

        let name = "log.000000";
        let at = after.0[name].iter().zip(before.0[name].iter().chain(std::iter::repeat(&0)));
        let at = at.into_iter().position(|(new, old)| new != old).expect("a record was written");
        let damaged = crashed.with(name, |bytes| bytes[at + 20] ^= 1).restore().await;
        let check = kvick::log::check(Arc::new(damaged.clone())).await?;
        assert_eq!(check.damage.len(), 1);
        assert_eq!(check.lost_commits, [lost..=lost]);
        kvick::log::repair(Arc::new(damaged.clone())).await?;
        let check = kvick::log::check(Arc::new(damaged.clone())).await?;
        assert!(check.is_sound() && check.lost_commits.is_empty());
        open_in(&damaged).await?.close().await
    })
}

/// Damage within a void extended the damage before it over all sound entries in between, and a
/// repair dropped them.
#[test]
fn damage_within_a_void_takes_no_sound_entry() -> kvick::Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let log = open_in(&directory).await?;
        log.append_durable(b"sound").await?;
        let damaged = log.append_durable(b"damaged").await?;
        for number in 0..20_u8 {
            log.append_durable(&[number]).await?;
        }
        let before = Files::of(&directory).await;
        let void = log.append_durable(&[9; 9000]).await?;
        let after = Files::of(&directory).await;
        log.truncate_suffix(void).await?;
        log.append_durable(b"sound").await?;
        log.close().await?;

        let name = "log.000000";
        let old = before.0[name].iter().chain(std::iter::repeat(&0));
        let in_void = after.0[name].iter().zip(old).position(|(new, old)| new != old);
        let in_void = in_void.expect("an entry was written");
        let of_damaged = usize::try_from(damaged.raw()).expect("small");
        let files = Files::of(&directory).await;
        let files = files.with(name, |bytes| {
            bytes[of_damaged + 10] ^= 1;
            bytes[in_void + 20] ^= 1;
        });
        let directory = files.restore().await;
        let check = kvick::log::check(Arc::new(directory.clone())).await?;
        assert_eq!((check.entries, check.damage.len()), (22, 1), "{check:?}");
        kvick::log::repair(Arc::new(directory.clone())).await?;
        let log = open_in(&directory).await?;
        assert_eq!(log.scan(..).try_collect::<Vec<_>>().await?.len(), 22);
        log.close().await
    })
}
