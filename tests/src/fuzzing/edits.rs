//! Edits of the files of a directory, decoded from an input.

use arbitrary::{Result, Unstructured};

use crate::files::Files;

/// The most edits of one input.
const MOST: usize = 12;
const SECTOR: usize = 512;

/// Applies the edits that `input` has to `files`. Takes bytes of `older` files of the same
/// directory too.
pub(super) fn edited(input: &mut Unstructured<'_>, files: &Files, older: &[Files]) -> Files {
    let mut edited = files.clone();
    let count = input.int_in_range(0..=MOST).unwrap_or(0);
    for _ in 0..count {
        if edited.0.is_empty() || edit(input, &mut edited, older).is_err() {
            break;
        }
    }
    edited
}

fn edit(input: &mut Unstructured<'_>, files: &mut Files, older: &[Files]) -> Result<()> {
    let name = chosen(input, files)?;
    let kind = input.int_in_range(0..=9)?;
    let length = files.0[&name].len();
    match kind {
        0 => {
            let other = chosen(input, files)?;
            let (one, two) = (files.0[&name].clone(), files.0[&other].clone());
            files.0.insert(name, two);
            files.0.insert(other, one);
        }
        1 => drop(files.0.remove(&name)),
        2 => {
            // The files of an earlier moment are right in themselves.
            let before = input.choose(older)?;
            if let Some(bytes) = before.0.get(&name) {
                files.0.insert(name, bytes.clone());
            }
        }
        3 => {
            let at = place(input, length)?;
            files.0.entry(name).and_modify(|bytes| bytes.truncate(at));
        }
        4 => {
            let added = input.int_in_range(1..=2000)?;
            let byte = input.arbitrary()?;
            let bytes = files.0.entry(name).or_default();
            bytes.resize(bytes.len() + added, byte);
        }
        5 => {
            let (from, sectors) = (chosen(input, files)?, input.int_in_range(1..=8)?);
            let source = files.0[&from].clone();
            let (start, at) = (place(input, source.len())?, place(input, length)?);
            let end = source.len().min(start + sectors * SECTOR);
            overwrite(files, &name, at, &source[start..end]);
        }
        6 => {
            let before = input.choose(older)?;
            let (at, sectors) = (place(input, length)?, input.int_in_range(1..=8)?);
            if let Some(bytes) = before.0.get(&name).and_then(|bytes| bytes.get(at..)) {
                overwrite(files, &name, at, &bytes[..bytes.len().min(sectors * SECTOR)]);
            }
        }
        7 => {
            let (at, sectors) = (place(input, length)?, input.int_in_range(1..=8)?);
            overwrite(files, &name, at, &vec![0; sectors * SECTOR]);
        }
        _ => {
            let at = place(input, length)?;
            let bytes = usize::from(input.arbitrary::<u8>()? % 32) + 1;
            let bytes = input.bytes(bytes.min(input.len()))?;
            overwrite(files, &name, at, bytes);
        }
    }
    Ok(())
}

fn chosen(input: &mut Unstructured<'_>, files: &Files) -> Result<String> {
    let number = input.choose_index(files.0.len())?;
    Ok(files.0.keys().nth(number).expect("the file exists").clone())
}

/// Draws a place within a file, at the start of a sector or not.
fn place(input: &mut Unstructured<'_>, length: usize) -> Result<usize> {
    let at = usize::from(input.arbitrary::<u16>()?);
    let sectors = length.div_ceil(SECTOR).max(1);
    if input.arbitrary()? {
        return Ok(at % (length + 1));
    }
    Ok((at % sectors * SECTOR).min(length))
}

fn overwrite(files: &mut Files, name: &str, at: usize, bytes: &[u8]) {
    let file = files.0.get_mut(name).expect("the file exists");
    let end = at + bytes.len();
    file.resize(file.len().max(end), 0);
    file[at..end].copy_from_slice(bytes);
}
