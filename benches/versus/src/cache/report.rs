//! The table of the caches.

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde::Serialize;
use versus::table::{Row, best_of, rate};

/// What a filled cache showed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Standing {
    /// The share of gets that did not ask the source.
    pub hit_ratio: f64,
    /// The resident memory that the cache took.
    pub resident_bytes: u64,
}

/// The figures of one cache in one contest.
#[derive(Clone, Debug, Serialize)]
pub struct CacheRow {
    /// The figures of any contestant; `missing` counts the misses.
    #[serde(flatten)]
    pub row: Row,
    /// The figures of the filled cache.
    #[serde(flatten)]
    pub standing: Standing,
}

/// Prints one contest. The fastest moka counts as 1.
pub fn print(contest: &str, rows: &[CacheRow]) {
    let plain: Vec<_> = rows.iter().map(|cache| cache.row.clone()).collect();
    let rival = best_of(&plain, |name| name.starts_with("moka"));
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        contest,
        "gets/s",
        "slices",
        "x moka",
        "hit ratio",
        "CPU us/get",
        "resident MiB",
        "wrong",
    ]);
    for CacheRow { row, standing } in rows {
        table.add_row([
            row.contestant.clone(),
            rate(row.operations_per_second),
            format!("{} .. {}", rate(row.range.0), rate(row.range.1)),
            format!("{:.2}", row.operations_per_second / rival),
            format!("{:.4}", standing.hit_ratio),
            format!("{:.3}", row.processor_microseconds),
            format!("{:.1}", standing.resident_bytes as f64 / f64::from(1 << 20)),
            row.wrong.to_string(),
        ]);
    }
    println!("{table}\n");
}

/// Prints what each cache promises.
pub fn print_promises() {
    println!(
        "\nkvick and moka: of many callers of an absent key one asks the source; an expiry for \
         each key.\n\
         kvick: its memory, index and buffers included, stays below a setting in bytes; evicts by \
         age, and a read of an old record moves it to the front; a disk below the memory on \
         request; a hit copies the value out.\n\
         moka: the sum of weights that its user computes stays near a setting; evicts by recency, \
         and admits by frequency (TinyLFU); a listener of evictions; a hit clones the value, here \
         an `Arc`.\n\
         foyer: the sum of weights stays below a setting; evicts by recency (LRU, its default); a \
         hit returns a counted entry; here each caller of an absent key asks the source."
    );
}
