//! Tests of the example `count_words`: its words, its files, and its top list.

#[path = "../count_words/files.rs"]
mod files;
#[path = "../count_words/top.rs"]
mod top;
#[path = "../count_words/words.rs"]
mod words;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use files::{CHUNK_BYTES, Feed, Input};
use kvick::runtime::block_on;
use top::Top;
use words::{LONGEST_WORD, beginning_in};

/// Returns the counts that a pipeline of `tr`, `sort` and `uniq` prints for a text.
fn counted(text: &[u8]) -> HashMap<Vec<u8>, u64> {
    let mut counts = HashMap::new();
    let mut word = Vec::new();
    for byte in text.iter().chain(b"\n") {
        if byte.is_ascii_alphabetic() {
            word.push(byte.to_ascii_lowercase());
        } else if !word.is_empty() {
            *counts.entry(std::mem::take(&mut word)).or_default() += 1;
        }
    }
    counts
}

fn add(counts: &mut HashMap<Vec<u8>, u64>, text: &[u8]) {
    for word in words::words(text) {
        assert!(word.iter().all(u8::is_ascii_lowercase));
        *counts.entry(word.to_vec()).or_default() += 1;
    }
}

/// Returns pseudo-random numbers, which are the same in every run.
fn numbers(seed: u64) -> impl Iterator<Item = usize> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        index(state >> 33)
    })
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("the tests are small")
}

#[test]
fn every_word_belongs_to_exactly_one_chunk() {
    let letters = b"aZ.b \n-9\xc3\xa9Q";
    for seed in 0..50 {
        let text: Vec<u8> =
            numbers(seed).map(|number| letters[number % letters.len()]).take(97).collect();
        let length = text.len() as u64;
        let read = |range: Range<u64>| {
            Ok::<_, io::Error>(text[index(range.start)..index(range.end)].to_vec())
        };
        for chunk in [1, 2, 3, 7, 96, 97, 200] {
            let mut counts = HashMap::new();
            for start in (0..length).step_by(index(chunk)) {
                let range = start..(start + chunk).min(length);
                add(&mut counts, &beginning_in(range, length, read).unwrap());
            }
            assert_eq!(counts, counted(&text), "seed {seed}, chunks of {chunk}");
        }
    }
}

#[test]
fn a_word_may_be_long_but_not_endless() {
    let read = |range: Range<u64>| Ok(vec![b'x'; index(range.end - range.start)]);
    let whole = beginning_in(0..10, LONGEST_WORD, read).unwrap();
    assert_eq!(whole.len() as u64, LONGEST_WORD);
    let rest = beginning_in(10..20, LONGEST_WORD, read).unwrap();
    assert_eq!(rest, b"", "it began before");
    let error = beginning_in(0..10, 10 * LONGEST_WORD, read).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn files_are_one_stream_in_the_order_of_their_paths() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::create_dir(path.join("a")).unwrap();
    // The order is by the bytes of the whole path: '.' before '/', as in `find | LC_ALL=C sort`.
    for (name, text) in
        [("a/z", "Three fo"), ("a.txt", "one two\n"), ("a/empty", ""), ("b", "ur five")]
    {
        fs::write(path.join(name), text).unwrap();
    }
    let input = Input::find(&[path.to_path_buf(), path.join("b")]).unwrap();
    assert_eq!((input.files(), input.length()), (5, 30));
    assert_eq!(input.read(0..30).unwrap(), b"one two\nThree four fiveur five");
    assert_eq!(input.read(7..18).unwrap(), b"\nThree four");
    assert!(Input::find(&[path.join("missing")]).is_err());
}

#[test]
fn a_feed_gives_every_chunk_once_to_any_number_of_takers() {
    let directory = tempfile::tempdir().unwrap();
    let mut whole = Vec::new();
    for (name, seed, bytes) in [("a", 1, 600_000), ("b", 2, 0), ("c", 3, 900_000)] {
        let bytes_of = |number: usize| b"etaoinETAOIN \n.'"[number % 16];
        let text: Vec<u8> = numbers(seed).map(bytes_of).take(bytes).collect();
        fs::write(directory.path().join(name), &text).unwrap();
        whole.extend(text);
    }
    let input = Arc::new(Input::find(&[directory.path().to_path_buf()]).unwrap());
    let feed = Feed::start(Arc::clone(&input)).unwrap();
    let take = async || {
        let mut taken = Vec::new();
        while let Some(chunk) = feed.next().await {
            taken.push(chunk.unwrap());
        }
        taken
    };
    let (one, other) = block_on(async { futures::join!(take(), take()) });
    let mut counts = HashMap::new();
    let mut bytes = 0;
    for chunk in one.iter().chain(&other) {
        add(&mut counts, &chunk.text);
        bytes += chunk.bytes;
    }
    assert_eq!(bytes, whole.len() as u64);
    assert_eq!(counts, counted(&whole));
}

#[test]
fn an_error_arrives_and_a_stopped_feed_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text");
    fs::write(&path, vec![b' '; 100 * index(CHUNK_BYTES)]).unwrap();
    let input = Arc::new(Input::find(std::slice::from_ref(&path)).unwrap());
    fs::write(&path, "shorter").unwrap();
    let feed = Feed::start(input).unwrap();
    block_on(async {
        let error = feed.next().await.expect("not the end").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("text: the file became shorter"));
        feed.stop();
        let mut left = 0;
        while feed.next().await.is_some() {
            left += 1;
        }
        assert!(left < 90, "{left} chunks after the end");
    });
}

#[test]
fn the_top_list_is_exact_though_most_words_are_dropped() {
    // Most numbers are rare and come early; some become frequent only at the end. The two tasks see
    // alternate occurrences, with the counts of all.
    let stream = numbers(7)
        .take(60_000)
        .map(|number| number % 20_000)
        .chain(numbers(8).take(20_000).map(|number| (number % 300).pow(2)));
    let mut counts: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut tasks = [Top::new(25), Top::new(25)];
    for (position, number) in stream.enumerate() {
        let word = number.to_string().into_bytes();
        let count = counts.entry(word.clone()).or_default();
        *count += 1;
        tasks[position % 2].saw(&word, *count);
    }
    let [mut all, other] = tasks;
    all.merge(other);
    let mut expected: Vec<_> = counts.into_iter().collect();
    expected.sort_by_key(|(word, count)| (Reverse(*count), word.clone()));
    let list: Vec<_> =
        all.into_list().into_iter().map(|(word, count)| (word.to_vec(), count)).collect();
    assert_eq!(list, expected[..25]);
}
