//! Manifests that contradict their files, under a good checksum, lead to problems and never a
//! panic.

use super::inspect;
use crate::FasterKv;
use crate::config::Config;
use kvick_io::{Directory, MemoryDirectory};
use kvick_runtime::block_on;
use std::ops::Range;
use std::sync::Arc;

async fn store() -> MemoryDirectory {
    let directory = MemoryDirectory::new();
    let builder =
        FasterKv::<u64, [u8]>::builder(Config::tiny()).directory(Arc::new(directory.clone()));
    let store = builder.open_in_directory().await.expect("memory");
    for key in 0..100 {
        store.upsert(&key, &[7; 100]).await.expect("memory");
    }
    store.flush().await.expect("memory");
    for key in 100..200 {
        store.upsert(&key, &[7; 100]).await.expect("memory");
    }
    store.checkpoint().snapshot().await.expect("memory");
    for key in 150..250 {
        store.upsert(&key, &[8; 90]).await.expect("memory");
    }
    store.checkpoint().incremental().await.expect("memory");
    store.close().await.expect("memory");
    directory
}

/// Returns the positions of the numbers in a text.
fn numbers(text: &str) -> Vec<Range<usize>> {
    let mut numbers: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match numbers.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ => numbers.push(at..at + 1),
        }
    }
    numbers
}

#[test]
fn numbers_that_contradict_the_files_are_problems() {
    block_on(async {
        let directory = store().await;
        let sound = inspect(Arc::new(directory.clone())).await.expect("memory");
        assert!(sound.problems.is_empty(), "{sound}");
        let bytes = directory.read_file("manifest").await.expect("there");
        let text = String::from_utf8(bytes).expect("text");
        let (body, _) = text.split_once("# crc32c").expect("a checksum");
        let mut damaged = 0;
        for place in numbers(body) {
            let number: u64 = body[place.clone()].parse().unwrap_or(0);
            for other in [
                0,
                1,
                2,
                number / 2,
                number.saturating_sub(8),
                number + 1,
                number + 8,
                number.saturating_mul(2),
                number + 504,
                4095,
                4096,
                (1 << 47) - 1,
                1 << 47,
                (1 << 63) - 1,
            ] {
                let mut changed = body.to_owned();
                changed.replace_range(place.clone(), &other.to_string());
                let checksum = crc32c::crc32c(changed.as_bytes());
                changed.push_str(&format!("# crc32c {checksum:#010x}\n"));
                directory.write_file("manifest", changed.as_bytes()).await.expect("memory");
                let found = inspect(Arc::new(directory.clone())).await.expect("memory");
                damaged += usize::from(!found.problems.is_empty());
            }
        }
        assert!(damaged > 300, "{damaged} of them are seen");
    });
}
