//! Tests of the example `export`: every record there and back, and no file that is half there.

#[path = "../export/line.rs"]
mod line;
#[path = "../export/transfer.rs"]
mod transfer;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use futures::TryStreamExt;
use kvick::config::ByteSize;
use kvick::runtime::block_on;
use kvick::{Config, ErrorKind, FasterKv};
use line::Line;
use transfer::{Failed, Table, export, import};

type Records = BTreeMap<String, Vec<u8>>;

/// Opens the store when its directory is free. A dropped store ends in the background.
async fn open(path: &Path) -> Table {
    loop {
        let config = Config::default().with_memory(ByteSize::mib(1));
        match FasterKv::open(path, config).await {
            Err(error) if error.kind() == ErrorKind::InUse => {}
            opened => return opened.expect("a sound disk"),
        }
    }
}

async fn records_of(table: &Table) -> Records {
    table.scan().try_collect().await.expect("a sound disk")
}

/// Imports a text into a fresh table, and returns the message of the error. The table is opened
/// again afterwards, and must be empty.
fn refused(text: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    block_on(async {
        let table = open(directory.path()).await;
        let error = import(&table, text.as_bytes()).await.expect_err("it is refused");
        drop(table);
        let table = open(directory.path()).await;
        assert_eq!(table.count().await.expect("a sound disk"), 0, "{error}");
        table.close().await.expect("closes");
        error.to_string()
    })
}

#[test]
fn every_record_comes_back_from_its_file() {
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let mut records: Records = (0..20_000_u32)
        .map(|number| (format!("key {number}"), format!("{number} ").repeat(20).into_bytes()))
        .collect();
    records.insert("all bytes".to_owned(), (0..=255).collect());
    records.insert("\"quoted\"\nand \u{e9}\u{0}".to_owned(), b"{\"records\":1}\n\\".to_vec());
    records.insert(String::new(), Vec::new());
    records.insert("long".to_owned(), vec![b'x'; 1 << 20]);
    block_on(async {
        let table = open(one.path()).await;
        let pairs = records.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        table.session().unwrap().upsert_each(pairs).await.unwrap();
        let mut lines = Vec::new();
        let count = export(&table, &mut lines).await.unwrap();
        assert_eq!(count, records.len() as u64);
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), records.len() + 1);
        table.close().await.unwrap();

        let table = open(other.path()).await;
        assert_eq!(import(&table, &lines[..]).await.unwrap(), count);
        drop(table);
        // The checkpoint of the import has all of them.
        let table = open(other.path()).await;
        assert!(records_of(&table).await == records);
        table.close().await.unwrap();
    });
}

#[test]
fn a_truncated_file_changes_nothing() {
    let whole =
        "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"hex\":\"ff\"}\n{\"records\":2}\n";
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        let table = open(directory.path()).await;
        assert_eq!(import(&table, whole.as_bytes()).await.unwrap(), 2);
        let expected = [("a", b"1".to_vec()), ("b", vec![0xff])];
        assert_eq!(records_of(&table).await, expected.map(|(k, v)| (k.to_owned(), v)).into());
        table.close().await.unwrap();
    });
    assert!(refused(&lines[..2].concat()).contains("the file is truncated"));
    assert!(refused("").contains("the file is truncated"));
    assert!(refused(&[lines[0], lines[2]].concat()).contains("the last line says 2"));
    assert!(refused(&whole[..30]).starts_with("line 2: "));
    assert!(refused(&[whole, lines[0]].concat()).contains("line 4 is after the last one"));
}

#[test]
fn a_wrong_line_is_named() {
    for (line, reason) in [
        ("", "EOF"),
        ("{\"key\":\"b\"}", "`value` or `hex`"),
        ("{\"key\":\"b\",\"value\":\"\",\"hex\":\"\"}", "`value` or `hex`"),
        ("{\"key\":\"b\",\"hex\":\"0\"}", "two digits"),
        ("{\"key\":\"b\",\"hex\":\"0g\"}", "two digits"),
        ("{\"key\":1,\"value\":\"\"}", "invalid type"),
        ("{\"kex\":\"b\",\"value\":\"\"}", "unknown field"),
    ] {
        let text = format!("{{\"key\":\"a\",\"value\":\"\"}}\n{line}\n{{\"records\":2}}\n");
        let error = refused(&text);
        assert!(error.starts_with("line 2: ") && error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn a_key_that_is_there_is_named_with_its_line() {
    // The key comes again in a later batch.
    let mut lines: Vec<String> = (0..1000)
        .map(|number| Line::Record(number.to_string(), Vec::new()).write().unwrap())
        .collect();
    lines.push(Line::Record("7".to_owned(), b"other".to_vec()).write().unwrap());
    lines.push(Line::End(1001).write().unwrap());
    assert_eq!(refused(&lines.join("\n")), "line 1001: the table has the key \"7\" already");
}

#[test]
fn an_output_that_fails_ends_the_export() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let directory = tempfile::tempdir().unwrap();
    block_on(async {
        let table = open(directory.path()).await;
        let records = (0..100).map(|number| (format!("key {number}"), *b"value"));
        table.session().unwrap().upsert_each(records).await.unwrap();
        let error: Failed = export(&table, Full(1000)).await.expect_err("it is full");
        let error = error.downcast::<io::Error>().expect("the error of the output");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(table.count().await.unwrap(), 100);
        table.close().await.unwrap();
    });
}
