//! Words, and the chunks of a text to which they belong.
//!
//! A word is a longest run of the letters A to Z in either case, counted in lower case. Every other
//! byte separates words. This equals `LC_ALL=C tr -cs 'A-Za-z' '\n'` followed by `tr 'A-Z' 'a-z'`.
//!
//! A text is counted in chunks, in any order. A word belongs to the chunk in which it begins:
//!
//! ```text
//!   chunk    |  . . a  w o r d   c u|t   h e r e . .  |
//!   counted     - - ^  ^       <----here: the whole "cut", though its end lies beyond
//!                                        ^ the next chunk skips that end and starts here
//! ```

use std::io;
use std::ops::Range;

/// Words longer than this are refused, so that a chunk is never much larger than its range.
pub(crate) const LONGEST_WORD: u64 = 64 << 10;
/// The number of bytes of each read that looks for the end of the last word of a chunk.
const LOOK_AHEAD: u64 = 4 << 10;

/// Returns the words of a text, in their original case.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let separated = text.split(|&byte| !is_letter(&byte));
    separated.filter(|word| !word.is_empty())
}

/// Returns the words that begin within `range` of a longer text, in lower case with their
/// separators. The longer text has `length` bytes, and `read` returns any range of it.
///
/// # Errors
/// Returns an error of `read`, or `InvalidData` for a word that is too long.
pub(crate) fn beginning_in(
    range: Range<u64>,
    length: u64,
    mut read: impl FnMut(Range<u64>) -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    assert!(range.start < range.end && range.end <= length, "a part of the text");
    let mut text = read(range.start.saturating_sub(1)..range.end)?;
    if range.start > 0 {
        // The text includes the byte before the chunk, because a word there began in an earlier
        // chunk.
        let begun_before = text.iter().take_while(|byte| is_letter(byte)).count();
        text.drain(..begun_before);
    }
    let mut end = range.end;
    while end < length && text.last().is_some_and(is_letter) {
        if end - range.end > LONGEST_WORD {
            let reason = format!("a word of more than {LONGEST_WORD} letters");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let next = (end + LOOK_AHEAD).min(length);
        let ahead = read(end..next)?;
        let letters = ahead.iter().take_while(|byte| is_letter(byte)).count();
        text.extend_from_slice(&ahead[..letters]);
        if letters < ahead.len() {
            break;
        }
        end = next;
    }
    text.make_ascii_lowercase();
    Ok(text)
}

fn is_letter(byte: &u8) -> bool {
    byte.is_ascii_alphabetic()
}
