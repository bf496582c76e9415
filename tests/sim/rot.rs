//! Every byte of every file of a store, damaged: opening or reading says so, or it does not matter.

mod built;
mod exchanged;
mod fallback;
mod manifests;

use built::{Built, KINDS, Newest, build};
use kvick::ErrorKind;
use tests::files::{Files, Found, reopen};
use tests::samples::{SampleKey, SampleValue};

/// How many damages were told, and how many did not matter.
#[derive(Debug, Default)]
struct Tally {
    on_opening: u32,
    on_reading: u32,
    harmless: u32,
}

impl Tally {
    /// Opens damaged files. Returns whether the damage was reported.
    fn meet<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
        &mut self,
        built: &Built<V>,
        damaged: &Files,
    ) -> bool {
        let found = reopen::<K, V>(damaged, &built.config, built::KEYS, |report| {
            assert!(report.rejected.is_empty() && !report.from_copy, "nothing falls back");
            built.state(report)
        });
        match found {
            Found::Refused(error) => {
                let kind = error.kind();
                assert!(is_telling(kind), "{kind:?}: {error}");
                self.on_opening += 1;
                true
            }
            Found::Opened(_, refused) if refused.is_empty() => {
                self.harmless += 1;
                false
            }
            Found::Opened(_, refused) => {
                for (_, error) in refused {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                }
                self.on_reading += 1;
                true
            }
        }
    }
}

/// Kinds of errors that say that what is there is not to be used.
fn is_telling(kind: ErrorKind) -> bool {
    use ErrorKind::{AlreadyExists, Corrupt, InvalidArgument, NotFound, Unsupported};
    matches!(kind, Corrupt | NotFound | Unsupported | InvalidArgument | AlreadyExists)
}

#[test]
fn every_byte_of_words() {
    flip_bytes::<u64, u64>(Newest::FoldOver, 1, 1);
    flip_bytes::<u64, u64>(Newest::Snapshot, 1, 7);
    flip_bytes::<u64, u64>(Newest::Incremental, 1, 7);
}

#[test]
fn bytes_of_bytes() {
    for newest in KINDS {
        flip_bytes::<[u8], [u8]>(newest, 13, 29);
    }
}

/// Flips one bit of every `step`th byte of what the newest checkpoint needs, all bits of the heads
/// of streams, and one bit of every `other`th byte of the rest.
fn flip_bytes<K, V>(newest: Newest, step: usize, other: usize)
where
    K: SampleKey + ?Sized,
    V: SampleValue + ?Sized,
{
    let built = build::<K, V>(newest, 1);
    let mut tally = Tally::default();
    for (name, bytes) in &built.files.0 {
        let vital = built.vital(name);
        for at in 0..bytes.len() {
            let must_be = vital.iter().any(|range| range.contains(&at));
            let bits = match () {
                () if must_be && is_stream(name) && at < 16 => 0..8,
                () if at % if must_be { step } else { other } == 0 => at % 8..at % 8 + 1,
                () => continue,
            };
            for bit in bits {
                let damaged = built.files.with(name, |bytes| bytes[at] ^= 1 << bit);
                let is_told = tally.meet::<K, V>(&built, &damaged);
                assert!(is_told || !must_be, "{newest:?}: bit {bit} of byte {at} of {name}");
            }
        }
    }
    println!(
        "{newest:?}, {} bytes: {tally:?}",
        built.files.0.values().map(Vec::len).sum::<usize>()
    );
    assert!(tally.on_opening > 0 && tally.harmless > 0, "{tally:?}");
}

fn is_stream(name: &str) -> bool {
    ["index-", "delta-", "sessions-"].iter().any(|kind| name.starts_with(kind))
}
