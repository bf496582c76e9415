//! The two directions: a table to lines, and lines to a table. Neither holds more in memory than a
//! scan, or a batch.

use std::error::Error;
use std::io::{BufRead, Write};

use futures::TryStreamExt;
use kvick::{FasterKv, Session};

use crate::line::Line;

/// The table: any text as a key, any bytes as a value.
pub(crate) type Table = FasterKv<str, [u8]>;

pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// The limits of a batch: its number of records, and the bytes of its values.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// Writes all records that the table has at one moment. Other tasks may change the table meanwhile.
/// Returns the number of records.
pub(crate) async fn export(table: &Table, mut output: impl Write) -> Result<u64, Failed> {
    let mut scan = table.scan();
    let mut records = 0;
    while let Some((key, value)) = scan.try_next().await? {
        // A file blocks this thread. The scan has the next reads of the device in flight meanwhile.
        writeln!(output, "{}", Line::Record(key, value).write()?)?;
        records += 1;
    }
    writeln!(output, "{}", Line::End(records).write()?)?;
    output.flush()?;
    Ok(records)
}

/// Adds the records of a file to the table, and makes them durable. Returns their number.
///
/// It ends with an error if a line is wrong or missing, or if the table has one of the keys. No
/// checkpoint has the records then: they are gone when the table is opened the next time, unless
/// it is closed first.
pub(crate) async fn import(table: &Table, input: impl BufRead) -> Result<u64, Failed> {
    let before = table.count().await?;
    let mut batch = Batch::new(table.session()?);
    let mut end = None;
    for (number, text) in (1..).zip(input.lines()) {
        let line = Line::read(&text?).map_err(|reason| format!("line {number}: {reason}"))?;
        match line {
            _ if end.is_some() => return Err(format!("line {number} is after the last one").into()),
            Line::End(records) => end = Some(records),
            Line::Record(key, value) => batch.add(number, key, value).await?,
        }
    }
    let records = batch.finish().await?;
    match end {
        Some(end) if end == records => {}
        Some(end) => return Err(format!("{records} records, but the last line says {end}").into()),
        None => {
            let reason = "without the last line, which has their number: the file is truncated";
            return Err(format!("{records} records {reason}").into());
        }
    }
    let after = table.count().await?;
    if after != before + records {
        return Err(format!("{before} keys and {records} records became {after} keys").into());
    }
    table.checkpoint().await?;
    Ok(records)
}

/// The records of the next call of a session.
struct Batch {
    session: Session<str, [u8]>,
    records: Vec<(String, Vec<u8>)>,
    bytes: usize,
    /// The line of the first record.
    first: u64,
    done: u64,
}

impl Batch {
    fn new(session: Session<str, [u8]>) -> Self {
        Self { session, records: Vec::with_capacity(BATCH), bytes: 0, first: 1, done: 0 }
    }

    async fn add(&mut self, line: u64, key: String, value: Vec<u8>) -> Result<(), Failed> {
        if self.records.len() == BATCH || self.bytes > BATCH_BYTES {
            self.insert().await?;
            self.first = line;
        }
        self.bytes += value.len();
        self.records.push((key, value));
        Ok(())
    }

    async fn insert(&mut self) -> Result<(), Failed> {
        let inserted = self.session.insert_many(&self.records).await?;
        let mut lines = (self.first..).zip(&self.records).zip(inserted);
        if let Some(((line, (key, _)), _)) = lines.find(|(_, is_new)| !is_new) {
            return Err(format!("line {line}: the table has the key {key:?} already").into());
        }
        self.done += self.records.len() as u64;
        self.records.clear();
        self.bytes = 0;
        Ok(())
    }

    async fn finish(mut self) -> Result<u64, Failed> {
        self.insert().await?;
        Ok(self.done)
    }
}
