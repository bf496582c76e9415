//! The exact text of statistics with fixed values.

use super::{LastCheckpoint, Stats, WalStats};
use crate::base::error::ErrorKind;
use crate::base::kinds::{CheckpointKind, CheckpointToken};
use std::time::Duration;

/// Returns statistics with a different value in each place.
pub(super) fn sample() -> Stats {
    let mut stats = Stats::default();
    let (operations, hits) = (&mut stats.operations, &mut stats.hits);
    (operations.reads, operations.upserts) = (12_345_678, 1_000_000);
    (operations.modifies, operations.deletes) = (52_000, 17);
    (hits.mutable, hits.read_only, hits.on_device, hits.absent) = (9_000_000, 800_000, 70_000, 600);
    hits.read_cache = 50_000;
    (stats.suspensions, stats.expired, stats.appends) = (70_123, 345, 1_052_001);
    (stats.index.entries, stats.index.buckets) = (1_700_000, 141_666);
    (stats.misses, stats.promotions) = (56_789, 4321);
    stats.index.prefixes = 1 << 24;
    let log = &mut stats.log;
    (log.mutable, log.read_only, log.on_device) = (180 << 20, 20 << 20, 5 << 39);
    (stats.scans.in_progress, stats.scans.needed) = (3, 7 << 20);
    stats.scans.log_readers = 4;
    let space = &mut stats.space;
    (space.budget, space.used_bytes) = (Some(3 << 30), 2100 << 20);
    (space.live_bytes, space.dead_bytes) = (1500 << 20, 500 << 20);
    (space.pinned_bytes, space.debt_bytes) = (5 << 20, 6 << 20);
    (space.waiting, space.waits, space.refused) = (2, 5000, 70);
    (stats.space.compacted_bytes, stats.space.copied_bytes) = (1 << 30, 300 << 20);
    stats.space.evicted_bytes = 9 << 20;
    let device = &mut stats.device;
    (device.reads, device.read_bytes) = (70_000, 70_000 * 4096);
    (device.writes, device.write_bytes) = (1500, 3 << 30);
    device.read_latency_p50 = Duration::from_nanos(131_072);
    device.read_latency_p99 = Duration::from_nanos(1_048_576);
    device.write_latency_p50 = Duration::from_nanos(524_288);
    device.write_latency_p99 = Duration::from_nanos(1 << 32);
    device.bytes_stored = 5 << 29;
    let memory = &mut stats.memory;
    (memory.index, memory.frames, memory.buffers) = (18 << 20, 200 << 20, 1000);
    memory.read_cache = 32 << 20;
    (memory.sessions, memory.waits) = (9000, 2 << 20);
    (memory.budget, memory.floor) = (256 << 20, 64 << 20);
    memory.waited = 4000;
    stats.seats = 9;
    (stats.checkpoints.taken, stats.checkpoints.failed) = (41, 2);
    stats.checkpoints.last = Some(LastCheckpoint {
        token: CheckpointToken::new(44),
        kind: CheckpointKind::Snapshot,
        ago: Duration::from_secs(90),
        took: Duration::from_millis(1250),
        error: Some((ErrorKind::StorageFull, "the medium is full".to_owned())),
    });
    let mut wal = WalStats { kept_bytes: 40 << 20, replay_bytes: 30 << 20, ..WalStats::default() };
    (wal.uncommitted_bytes, wal.commits, wal.memory_bytes) = (2048, 77, 33 << 20);
    (wal.device.write_bytes, wal.device.bytes_stored) = (60 << 20, 50 << 20);
    wal.device.write_latency_p50 = Duration::from_nanos(262_144);
    wal.device.write_latency_p99 = Duration::from_nanos(8_388_608);
    stats.wal = Some(wal);
    stats
}

/// The table of the sample.
const TABLE: &str = "\
operations   reads               12,345,678
             upserts              1,000,000
             modifies                52,000
             deletes                     17
             suspensions             70,123
             appends              1,052,001
             expired                    345
             misses                  56,789
             promotions               4,321
found        mutable              9,000,000
             read-only              800,000
             on device               70,000
             absent                     600
             read cache              50,000
index        entries              1,700,000
             prefixes            16,777,216
             buckets                141,666
log          mutable              180.0 MiB
             read-only             20.0 MiB
             on device              2.5 TiB
scans        in progress                  3
             log readers                  4
             needed                 7.0 MiB
space        budget                 3.0 GiB
             used                   2.0 GiB
             live                   1.4 GiB
             dead                 500.0 MiB
             ratio                     1.40
             pinned                 5.0 MiB
             debt                   6.0 MiB
             waiting                      2
             waits                    5,000
             refused                     70
             compacted              1.0 GiB
             copied               300.0 MiB
             evicted                9.0 MiB
device       reads                   70,000
             read                 273.4 MiB
             read p50              131.0 us
             read p99                1.0 ms
             writes                   1,500
             written                3.0 GiB
             write p50             524.2 us
             write p99                4.2 s
             stored                 2.5 GiB
memory       index                 18.0 MiB
             frames               200.0 MiB
             buffers                 1000 B
             read cache            32.0 MiB
             sessions               8.7 KiB
             waits                  2.0 MiB
             budget               256.0 MiB
             floor                 64.0 MiB
             waited                   4,000
             seats                        9
checkpoints  taken                       41
             failed                       2
             last ended      1 min 30 s ago
             last took                1.2 s
             last error  the medium is full
wal          kept                  40.0 MiB
             to replay             30.0 MiB
             uncommitted            2.0 KiB
             commits                     77
             memory                33.0 MiB
             written               60.0 MiB
             write p50             262.1 us
             write p99               8.3 ms
             stored                50.0 MiB";

#[test]
fn a_table_has_every_number_in_its_group() {
    assert_eq!(sample().to_string(), TABLE);
}

#[test]
fn a_table_without_a_checkpoint_ends_with_their_numbers() {
    let table = Stats::default().to_string();
    let end = "\
checkpoints  taken                        0
             failed                       0";
    assert!(table.ends_with(end), "{table}");
    assert_eq!(table.lines().count(), 56);
}

#[cfg(feature = "serde")]
#[test]
fn data_has_the_names_of_the_fields() {
    let expected = concat!(
        r#"{"operations":{"reads":12345678,"upserts":1000000,"modifies":52000,"deletes":17},"#,
        r#""hits":{"mutable":9000000,"read_only":800000,"on_device":70000,"#,
        r#""read_cache":50000,"absent":600},"#,
        r#""suspensions":70123,"expired":345,"misses":56789,"promotions":4321,"#,
        r#""appends":1052001,"#,
        r#""index":{"entries":1700000,"prefixes":16777216,"buckets":141666},"#,
        r#""log":{"mutable":188743680,"read_only":20971520,"on_device":2748779069440},"#,
        r#""scans":{"in_progress":3,"log_readers":4,"needed":7340032},"#,
        r#""device":{"reads":70000,"read_bytes":286720000,"writes":1500,"#,
        r#""write_bytes":3221225472,"read_latency_p50_seconds":0.000131072,"#,
        r#""read_latency_p99_seconds":0.001048576,"write_latency_p50_seconds":0.000524288,"#,
        r#""write_latency_p99_seconds":4.294967296,"bytes_stored":2684354560},"#,
        r#""memory":{"index":18874368,"frames":209715200,"buffers":1000,"#,
        r#""read_cache":33554432,"sessions":9000,"waits":2097152,"#,
        r#""budget":268435456,"floor":67108864,"#,
        r#""waited":4000},"#,
        r#""seats":9,"#,
        r#""checkpoints":{"taken":41,"failed":2,"last":{"token":44,"kind":"snapshot","#,
        r#""ago_seconds":90.0,"took_seconds":1.25,"#,
        r#""error":{"kind":"storage-full","message":"the medium is full"}}},"#,
        r#""space":{"budget":3221225472,"used_bytes":2202009600,"live_bytes":1572864000,"#,
        r#""dead_bytes":524288000,"pinned_bytes":5242880,"debt_bytes":6291456,"#,
        r#""waiting":2,"waits":5000,"refused":70,"rounds":0,"failed":0,"#,
        r#""compacted_bytes":1073741824,"#,
        r#""copied_records":0,"copied_bytes":314572800,"dropped_records":0,"#,
        r#""evicted_bytes":9437184},"#,
        r#""wal":{"kept_bytes":41943040,"replay_bytes":31457280,"uncommitted_bytes":2048,"#,
        r#""commits":77,"memory_bytes":34603008,"device":{"reads":0,"read_bytes":0,"writes":0,"#,
        r#""write_bytes":62914560,"read_latency_p50_seconds":0.0,"read_latency_p99_seconds":0.0,"#,
        r#""write_latency_p50_seconds":0.000262144,"write_latency_p99_seconds":0.008388608,"#,
        r#""bytes_stored":52428800}}}"#
    );
    assert_eq!(serde_json::to_string(&sample()).expect("data"), expected);
}
