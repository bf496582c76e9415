//! Files of a checkpoint, and of the log, with other contents under checksums that are right.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use kvick::runtime::{Handle, Simulation};

use super::checksums::{PlainFile, with_checksum};
use super::store_files::{STORE, config};
use crate::files::{Files, open_in};

/// The most changed words of one input.
const MOST: usize = 24;
const WORD: usize = 8;

/// Changes words of index images, deltas, commit points, parts and the log, computes all checksums,
/// and opens the store. It reads no key: operations trust addresses that a checksum covered.
///
/// # Panics
/// Panics if the engine does. A forged value is no failure.
pub fn block_files(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let options: u8 = input.arbitrary().unwrap_or(0);
    let mut files = STORE.files.clone();
    let _end_of_input = forge(&mut input, &mut files);
    let simulation = Simulation::new(u64::from(options >> 4));
    let handle = simulation.handle();
    simulation.run(open(&files, options & 1 == 1, handle));
}

/// Inspects a store of forged files, and opens it.
pub(super) async fn open(files: &Files, allow_fallback: bool, handle: Handle) {
    let directory = files.restore().await;
    drop(kvick::inspect(Arc::new(directory.clone())).await);
    let config = config().with_allow_fallback(allow_fallback);
    let Ok(store) = open_in::<u64, [u8]>(&directory, config, handle).await else {
        return;
    };
    drop(store.flush().await);
    drop(store.close().await);
}

fn forge(input: &mut Unstructured<'_>, files: &mut Files) -> Result<()> {
    let is_forged = |name: &&String| !name.starts_with("manifest");
    let names: Vec<String> = files.0.keys().filter(is_forged).cloned().collect();
    let mut count = input.int_in_range(1..=MOST)?;
    while count > 0 && !input.is_empty() {
        let name = input.choose(&names)?;
        let mut file = PlainFile::of(name, files);
        let edits = input.int_in_range(1..=count)?;
        for _ in 0..edits {
            change(input, &mut file.contents)?;
        }
        count -= edits;
        let bytes = file.with_checksums();
        files.0.insert(name.clone(), bytes);
        let text = file.in_manifest(files.manifest());
        files.0.insert("manifest".to_owned(), with_checksum(text.as_bytes()));
    }
    Ok(())
}

/// Changes a word, or the number of words.
fn change(input: &mut Unstructured<'_>, contents: &mut Vec<u8>) -> Result<()> {
    let words = contents.len() / WORD;
    let at = usize::from(input.arbitrary::<u16>()?) % (words + 1) * WORD;
    let kind = input.int_in_range(0..=15)?;
    if kind == 0 {
        contents.truncate(at);
    }
    if kind == 1 {
        let added = usize::from(input.arbitrary::<u8>()?) * WORD;
        contents.splice(at..at, std::iter::repeat_n(0, added));
    }
    let Some(word) = contents.get(at..at + WORD) else {
        return Ok(());
    };
    let old = u64::from_le_bytes(word.try_into().expect("8 bytes"));
    let new = match kind {
        0 | 1 => old,
        2 => 0,
        3 => u64::MAX,
        4 => input.arbitrary()?,
        5 => input.arbitrary::<u16>()?.into(),
        6 => old.wrapping_add(u64::from(input.arbitrary::<u8>()?) * 8),
        7 => old.wrapping_sub(u64::from(input.arbitrary::<u8>()?) * 8),
        8 => old ^ u64::from(input.arbitrary::<u16>()?) << 48,
        9 => old & !0xffff | u64::from(input.arbitrary::<u16>()?),
        10 => old & !0xffff_ffff | u64::from(input.arbitrary::<u32>()?),
        11 => old << 32 >> 32 | u64::from(input.arbitrary::<u32>()?) << 32,
        12 => {
            let from = usize::from(input.arbitrary::<u16>()?) % words * WORD;
            u64::from_le_bytes(contents[from..from + WORD].try_into().expect("8 bytes"))
        }
        _ => old ^ 1 << input.int_in_range(0..=63)?,
    };
    contents[at..at + WORD].copy_from_slice(&new.to_le_bytes());
    Ok(())
}
