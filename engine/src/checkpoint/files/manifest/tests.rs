//! A manifest is read as it was written, or refused.

use super::*;
use crate::base::error::ErrorKind;
use crate::codec::TypeName;
use crate::manifest::text::Hex;
use crate::record::TableNumber;
use crate::store::sessions::identity::CommitPoint;

fn table(number: TableNumber, name: &str) -> TableFormat {
    let types = [&TypeName::of::<u64>(), &TypeName::of::<[u8]>()];
    TableFormat::new(number, name, types, false)
}

fn manifest() -> Manifest {
    let store = StoreFormat {
        hash: "rapidhash-v3".to_owned(),
        seed: Hex(u64::MAX),
        hash_of_kvick: Hex(7),
        salt: Hex(1 << 63),
        page_bytes: 4096,
        unit_bytes: 512,
        block_bytes: 4096,
        segment_bytes: 32768,
        index_root_bits: 3,
        tables: vec![table(TableNumber::FIRST, TableFormat::DEFAULT)],
    };
    let stream = |token| BlockFile { token, bytes: 1000, block: 4096 };
    let session = "000000000000000a0000000000000001".parse().expect("an id");
    let mut manifest = Manifest::new(store);
    manifest.next_token = 9;
    let [copied_records, copied_bytes, live_bytes] = [10, 300, 900];
    manifest.rounds = Some(RoundHistory {
        rest_until: 2500,
        source_bytes: 504,
        copied_records,
        copied_bytes,
        live_bytes,
    });
    manifest.indexes = vec![IndexImage { start: 64, end: 700, buckets: 8, stream: stream(5) }];
    manifest.checkpoints = vec![CheckpointEntry {
        token: 8,
        kind: Kind::Incremental,
        durability: Durability::PowerCut,
        begin: 64,
        flushed: 504,
        end: 2016,
        index: Some(5),
        cookie: "00ff10".to_owned(),
        wal: Some(4096),
        wal_durable: None,
        is_partial: true,
        parts: vec![
            PartFile { token: 7, from: 504, end: 1008 },
            PartFile { token: 8, from: 1008, end: 2016 },
        ],
        deltas: vec![stream(8)],
        point_files: vec![PointFile { points: 70, stream: stream(6) }],
        session_count: 71,
        sessions: [(
            session,
            CommitPoint {
                until: 9,
                excluded: [4].into_iter().collect(),
                version: 8,
                ..CommitPoint::default()
            },
        )]
        .into(),
    }];
    manifest
}

#[test]
fn what_is_written_is_read() {
    let manifest = manifest();
    let bytes = manifest.encode();
    assert_eq!(Manifest::decode("manifest", &bytes).expect("sound"), manifest);
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let bytes = manifest().encode();
    for bit in 0..bytes.len() * 8 {
        let mut copy = bytes.clone();
        copy[bit / 8] ^= 1 << (bit % 8);
        let error = Manifest::decode("manifest", &copy).expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}: {error}");
    }
    for length in 0..bytes.len() {
        assert!(Manifest::decode("manifest", &bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn other_formats_are_refused_by_name() {
    let mut newer = manifest();
    newer.format = FORMAT + 1;
    let error = Manifest::decode("manifest", &newer.encode()).expect_err("newer");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("format 3"), "{error}");
    let mut featured = manifest();
    featured.features.push("compression".to_owned());
    let error = Manifest::decode("manifest", &featured.encode()).expect_err("unknown");
    assert!(error.to_string().contains("compression"), "{error}");
}

#[test]
fn tables_are_read_as_they_are_written() {
    let mut manifest = manifest();
    assert!(manifest.features.is_empty(), "a build without tables reads a store of one table");
    let mut store = manifest.store.clone();
    store.tables.push(table(TableNumber::new(5).expect("small"), "users"));
    let mut dropped = table(TableNumber::LAST, "users");
    dropped.dropped = true;
    store.tables.push(dropped);
    manifest.set_store(store);
    assert_eq!(manifest.features, [TABLES]);
    let decoded = Manifest::decode("manifest", &manifest.encode()).expect("sound");
    assert_eq!(decoded, manifest);
    assert_eq!(decoded.store.table("users").map(|table| table.number), Some(5));

    manifest.store.tables[1].features.push("compression".to_owned());
    let error = Manifest::decode("manifest", &manifest.encode()).expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("table `users` uses \"compression\""), "{error}");
}

#[test]
fn expiry_is_a_feature_of_the_table_and_of_the_store() {
    let mut manifest = manifest();
    let mut store = manifest.store.clone();
    let types = [&TypeName::of::<u64>(), &TypeName::of::<[u8]>()];
    store.tables.push(TableFormat::new(TableNumber::LAST, "tokens", types, true));
    manifest.set_store(store.clone());
    let text = String::from_utf8(manifest.encode()).expect("text");
    assert!(text.contains("\nfeatures = [\"tables\", \"expiry\"]\n"), "{text}");
    assert!(text.contains("name = \"tokens\"\nfeatures = [\"expiry\"]\n"), "{text}");
    let decoded = Manifest::decode("manifest", text.as_bytes()).expect("sound");
    assert_eq!(decoded, manifest);
    let layouts = decoded.store.layouts();
    let [plain, expiring] = [TableNumber::FIRST, TableNumber::LAST].map(|it| layouts.get(it));
    assert_eq!(expiring, plain.map(|layout| layout.with_expiry(true)));

    // A dropped table may still have records. No table gets an expiry later, or loses it.
    store.drop_table("tokens").expect("it is there");
    assert!(manifest.store.may_become(&store) && store.has_expiry());
    for number in 0..2 {
        let mut changed = store.clone();
        let features = &mut changed.tables[number].features;
        if features.pop().is_none() {
            features.push(EXPIRY.to_owned());
        }
        assert!(!store.may_become(&changed), "{changed:?}");
    }
}

#[test]
fn contradictions_are_found_under_a_good_checksum() {
    let wrong: [fn(&mut Manifest); 16] = [
        |manifest| manifest.store.tables[0].number = 128,
        |manifest| manifest.store.tables[0].name.clear(),
        |manifest| manifest.store.tables.push(table(TableNumber::LAST, "default")),
        |manifest| manifest.features.push(TABLES.to_owned()),
        |manifest| manifest.features.push(EXPIRY.to_owned()),
        |manifest| manifest.store.tables[0].features.push(EXPIRY.to_owned()),
        |manifest| {
            let twice = vec![EXPIRY.to_owned(); 2];
            manifest.store.tables[0].features = twice;
            manifest.features.push(EXPIRY.to_owned());
        },
        |manifest| manifest.next_token = 8,
        |manifest| manifest.indexes.clear(),
        |manifest| manifest.checkpoints[0].end += 504,
        |manifest| manifest.checkpoints[0].begin = 0,
        |manifest| manifest.checkpoints[0].cookie.push('f'),
        |manifest| manifest.indexes[0].end = 5000,
        |manifest| manifest.checkpoints[0].point_files.clear(),
        |manifest| manifest.checkpoints[0].point_files[0].stream.token = 9,
        |manifest| manifest.checkpoints[0].sessions.values_mut().for_each(|it| it.until = 3),
    ];
    for (number, spoil) in wrong.into_iter().enumerate() {
        let mut manifest = manifest();
        spoil(&mut manifest);
        assert!(Manifest::decode("manifest", &manifest.encode()).is_err(), "{number}");
    }
}

/// A store forgot a log that it had left as soon as it left another one.
#[test]
fn the_logs_that_were_left_last_are_remembered() {
    let mut manifest = manifest();
    for salt in 1..=20 {
        manifest.set_wal(Some(salt));
        manifest.leave_wal();
        // There is none to leave.
        manifest.leave_wal();
        let first = salt.saturating_sub(MOST_LEFT as u64) + 1;
        assert_eq!(manifest.wals_left(), (first..=salt).collect::<Vec<_>>());
        let read = Manifest::decode("manifest", &manifest.encode()).expect("sound");
        assert_eq!(read, manifest);
    }
    assert!(manifest.with_only(8).expect("a checkpoint").wals_left().is_empty());
    let mut torn = manifest;
    torn.wal_left = None;
    let refused = Manifest::decode("manifest", &torn.encode()).expect_err("none is the last");
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
}
