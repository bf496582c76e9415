//! Damages every byte of every file of a store. Opening or reading reports the damage, or it is
//! harmless.

mod built;
mod exchanged;
mod fallback;
mod manifests;

use built::{Built, KINDS, Newest, build};
use kvick::ErrorKind;
use tests::files::{Files, Found, reopen};
use tests::samples::{SampleKey, SampleValue};

/// The numbers of reported and of harmless damages.
#[derive(Debug, Default)]
struct Tally {
    on_opening: u32,
    on_reading: u32,
    harmless: u32,
}

impl Tally {
    /// Opens damaged files. Returns whether the damage was reported.
    fn open<K: SampleKey + ?Sized, V: SampleValue + ?Sized>(
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
                assert!(reports_damage(kind), "{kind:?}: {error}");
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

/// Returns whether an error of this kind reports that the files are unusable.
fn reports_damage(kind: ErrorKind) -> bool {
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

/// Flips one bit of every `step`th byte that the newest checkpoint needs, and of every `other`th
/// byte of the rest. Flips each bit of the heads of streams.
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
                let is_reported = tally.open::<K, V>(&built, &damaged);
                assert!(is_reported || !must_be, "{newest:?}: bit {bit} of byte {at} of {name}");
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
