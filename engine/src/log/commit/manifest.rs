//! The state of a log's directory as text: one file, replaced as a whole.
//!
//! The manifest usually lags the log. Commits are in the log itself, and recovery walks on from the
//! commit of the manifest. `manifest/text.rs` describes the text.

use super::state::CommitState;
use crate::base::address::{ADDRESS_MAX, Address};
use crate::base::error::{Error, Result};
use crate::base::serialized::{bytes_of, hex_of};
use crate::hybrid_log::{Life, LogEnd, Units};
use crate::log::config::PAGES;
use crate::manifest::publish::Publishable;
use crate::manifest::text::{self, Edition, Hex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const EDITION: Edition = Edition { kind: "log", format: 2, features: &[] };
/// No log was made with larger pages.
const LARGEST_PAGE: u64 = 32 << 20;
const _: () = assert!(PAGES[1] <= LARGEST_PAGE, "an opening accepts the pages of a creation");

/// The manifest of one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    kvick: String,
    format: u32,
    features: Vec<String>,
    /// The number of the newest opening that has written to the log, or is about to.
    life: u32,
    /// The address where the life `life` begins.
    life_begin: u64,
    /// The number of times that the log discarded commits that a follower may have seen.
    #[serde(default, skip_serializing_if = "text::is_zero")]
    rewinds: u64,
    pub(crate) log: Sizes,
    commit: PersistedCommit,
}

/// The identity of a log, and its life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) sizes: Sizes,
    pub(crate) life: Life,
    /// The number of times that the log discarded commits that a follower may have seen.
    pub(crate) rewinds: u64,
}

/// The sizes of a log, fixed at its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sizes {
    pub(crate) salt: Hex,
    pub(crate) page_bytes: u64,
    pub(crate) unit_bytes: u64,
    /// The bytes that the medium writes at once. An interrupted write may damage all of them.
    pub(crate) block_bytes: u64,
    pub(crate) segment_bytes: u64,
}

/// A durable commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PersistedCommit {
    number: u64,
    until: u64,
    begin: u64,
    completed: bool,
    /// The cookie in hexadecimal.
    cookie: String,
    #[serde(rename = "voids", default, skip_serializing_if = "Vec::is_empty")]
    holes: Vec<[u64; 2]>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    iterators: BTreeMap<String, u64>,
}

impl Publishable for Manifest {
    fn encode(&self) -> Vec<u8> {
        text::encode(self)
    }

    fn decode(file: &str, bytes: &[u8]) -> Result<Self> {
        let manifest: Self = text::decode(file, bytes, EDITION)?;
        manifest.log.check()?;
        if manifest.saved().is_none() {
            return Err(text::contradiction(file));
        }
        Ok(manifest)
    }
}

impl Manifest {
    pub(crate) fn new(identity: Identity, commit_state: &CommitState) -> Self {
        let Identity { sizes: log, life, rewinds } = identity;
        let CommitState { number, until, begin, completed, cookie, iterators, holes, changes: _ } =
            commit_state;
        let commit = PersistedCommit {
            number: *number,
            until: until.raw(),
            begin: begin.raw(),
            completed: *completed,
            cookie: hex_of(cookie),
            holes: holes.iter().map(|hole| hole.map(Address::raw)).collect(),
            iterators: iterators.iter().map(|(name, at)| (name.clone(), at.raw())).collect(),
        };
        let kvick = EDITION.kind.to_owned();
        let (format, features) = (EDITION.format, Vec::new());
        let (life, life_begin) = (life.number(), life.begin().raw());
        let manifest = Self { kvick, format, features, life, life_begin, rewinds, log, commit };
        debug_assert_eq!(
            manifest.saved(),
            Some(CommitState { changes: 0, ..commit_state.clone() }),
            "an opening reads the state that the manifest names"
        );
        manifest
    }

    /// Returns the values that the next manifest of the log takes over.
    pub(crate) fn identity(&self) -> Identity {
        Identity { sizes: self.log, life: self.life(), rewinds: self.rewinds }
    }

    /// Returns the newest life of the log.
    pub(crate) fn life(&self) -> Life {
        Life::named(self.life, Address::new(self.life_begin))
    }

    /// Returns the units of the log.
    pub(crate) fn units(&self) -> Units {
        self.log.units(self.life())
    }

    /// Returns the commit of the manifest.
    pub(crate) fn commit_state(&self) -> CommitState {
        self.saved().expect("looked at when it was decoded")
    }

    fn saved(&self) -> Option<CommitState> {
        let PersistedCommit { number, until, begin, completed, cookie, iterators, holes } =
            &self.commit;
        let at = |raw: u64| (raw <= ADDRESS_MAX).then(|| Address::new(raw));
        let (until, begin) = (at(*until)?, at(*begin)?);
        let hole = |[start, end]: &[u64; 2]| Some([at(*start)?, at(*end)?]);
        let holes: Vec<[Address; 2]> = holes.iter().map(hole).collect::<Option<_>>()?;
        let ends: Vec<Address> = holes.iter().flatten().copied().collect();
        let iterators = iterators.iter().map(|(name, raw)| Some((name.clone(), at(*raw)?)));
        at(self.life_begin)?;
        let units = self.units();
        let is_sound = self.life > 0
            && Address::FIRST <= begin
            && begin <= until
            && LogEnd::of_entries(units.page_bits()).has_address(until.raw())
            && (until == Address::FIRST || until == units.unit_start(until))
            && ends.windows(2).all(|pair| pair[0] < pair[1]);
        let commit_state = CommitState {
            number: *number,
            until,
            begin,
            completed: *completed,
            cookie: bytes_of(cookie)?,
            iterators: iterators.collect::<Option<_>>()?,
            holes,
            changes: 0,
        };
        is_sound.then_some(commit_state)
    }
}

impl Sizes {
    /// Checks that this build can compute with the sizes of pages and units.
    fn check(&self) -> Result<()> {
        let Self { page_bytes, unit_bytes, block_bytes, segment_bytes, .. } = *self;
        let is_sound = page_bytes.is_power_of_two()
            && page_bytes <= LARGEST_PAGE
            && unit_bytes.is_power_of_two()
            && (512..=page_bytes).contains(&unit_bytes)
            && block_bytes.is_power_of_two()
            && segment_bytes >= page_bytes
            && segment_bytes.is_multiple_of(page_bytes);
        if is_sound {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "pages of {page_bytes} bytes in units of {unit_bytes} and segments of {segment_bytes}"
        )))
    }

    /// Returns the units that the life `life` of the log writes.
    pub(crate) fn units(&self, life: Life) -> Units {
        let unit_bytes = usize::try_from(self.unit_bytes).expect("a unit fits in memory");
        let units = Units::new(self.page_bytes.ilog2(), unit_bytes, self.salt.0, life);
        units.on_blocks(self.block_bytes)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    fn manifest() -> Manifest {
        let sizes = Sizes {
            salt: Hex(9),
            page_bytes: 4096,
            unit_bytes: 512,
            block_bytes: 512,
            segment_bytes: 8192,
        };
        let commit_state = CommitState {
            number: 3,
            until: Address::new(1008),
            begin: Address::new(64),
            completed: false,
            cookie: vec![0, 255, 16],
            iterators: BTreeMap::from([("worker 1".to_owned(), Address::new(504))]),
            holes: vec![[Address::new(80), Address::new(96)]],
            changes: 0,
        };
        Manifest::new(Identity { sizes, life: Life::FIRST, rewinds: 0 }, &commit_state)
    }

    #[test]
    fn comes_back() {
        let manifest = manifest();
        let decoded = Manifest::decode("manifest", &manifest.encode()).expect("sound");
        assert_eq!(decoded, manifest);
        assert_eq!(Manifest::new(manifest.identity(), &decoded.commit_state()), manifest);
    }

    #[test]
    fn contradictions_are_found_under_a_good_checksum() {
        let wrong: [fn(&mut Manifest); 9] = [
            |manifest| manifest.life = 0,
            |manifest| manifest.life_begin = u64::MAX,
            |manifest| manifest.commit.until = 1000,
            |manifest| manifest.commit.until = 1 << 48,
            |manifest| manifest.commit.begin = 2000,
            |manifest| manifest.commit.begin = 0,
            |manifest| manifest.commit.cookie.push('f'),
            |manifest| manifest.commit.holes.push([90, 100]),
            |manifest| manifest.commit.iterators = BTreeMap::from([("x".to_owned(), u64::MAX)]),
        ];
        for (number, spoil) in wrong.into_iter().enumerate() {
            let mut manifest = manifest();
            spoil(&mut manifest);
            let decoded = Manifest::decode("manifest", &manifest.encode());
            assert_eq!(decoded.expect_err("wrong").kind(), ErrorKind::Corrupt, "{number}");
        }
        let mut manifest = manifest();
        manifest.log.page_bytes = 5000;
        let decoded = Manifest::decode("manifest", &manifest.encode());
        assert_eq!(decoded.expect_err("wrong").kind(), ErrorKind::Unsupported);
    }
}
