//! The manifest of a store, as text: one file, replaced as a whole.
//!
//! The manifest names the store's types and sizes, every kept checkpoint, and the files that each
//! checkpoint needs. `manifest/text.rs` describes the encoding.

use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::kinds::Durability;
use crate::codec::TypeName;
use crate::hybrid_log::{Life, Units};
use crate::manifest::publish::Publishable;
use crate::manifest::text::{self, Edition, Hex};
use crate::store::sessions::identity::{CommitPoint, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The format that this build writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 2;
const EDITION: Edition = Edition { kind: "store", format: FORMAT };

/// No store was made with larger pages.
const LARGEST_PAGE: u64 = 32 << 20;

/// The manifest of one store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    kvick: String,
    pub(crate) format: u32,
    features: Vec<String>,
    /// No checkpoint, published or not, had this number or a higher number when this was written.
    pub(crate) next_token: u64,
    /// The number of the newest opening that has written to the log, or is about to.
    life: u32,
    /// The log address at which the newest life began.
    life_begin: u64,
    pub(crate) store: StoreFormat,
    /// The kept checkpoints by token, ascending. The last one is the newest.
    #[serde(default)]
    pub(crate) checkpoints: Vec<CheckpointEntry>,
    /// The images of the index by token, ascending.
    #[serde(default)]
    pub(crate) indexes: Vec<IndexImage>,
    /// The devices of checkpoints that the last opening passed over. They are kept until the next
    /// opening is done.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) passed_over: BTreeSet<String>,
}

/// The types and sizes with which a store was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreFormat {
    pub(crate) key: String,
    pub(crate) value: String,
    /// The number of bytes of every key, if all keys have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_width: Option<usize>,
    /// The number of bytes of every value, if all values have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value_width: Option<usize>,
    /// Tells the type of keys from other types of the same encoding, if the encoding does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_fingerprint: Option<String>,
    /// Tells the type of values from other types of the same encoding, if the encoding does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value_fingerprint: Option<String>,
    pub(crate) hash: String,
    pub(crate) seed: Hex,
    /// The hash of `kvick` under the seed. A build that computes another hash cannot find a key.
    pub(crate) hash_of_kvick: Hex,
    pub(crate) salt: Hex,
    pub(crate) page_bytes: u64,
    pub(crate) unit_bytes: u64,
    /// The number of bytes that the medium writes at once. It may damage all of them.
    pub(crate) block_bytes: u64,
    pub(crate) segment_bytes: u64,
    /// Chains of records belong to buckets, so opening must not change the number of buckets.
    pub(crate) index_buckets: u64,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointEntry {
    pub(crate) token: u64,
    pub(crate) kind: Kind,
    pub(crate) durability: Durability,
    /// The first address of the log.
    pub(crate) begin: u64,
    /// The log itself has the records below this address.
    pub(crate) flushed: u64,
    /// The address at which the version ends.
    pub(crate) end: u64,
    /// The token of the image of the index, if it has an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u64>,
    /// The files with the records from `flushed` on, by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<PartFile>,
    /// The files of changes of the records in `parts`, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) deltas: Vec<BlockFile>,
    /// Files of commit points, if many sessions have changed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) point_files: Vec<PointFile>,
    /// The number of sessions in the checkpoint, if it has point files.
    #[serde(default, skip_serializing_if = "text::is_zero")]
    pub(crate) session_count: u64,
    /// The commit points that have changed since the last point file. A forgotten session is up to
    /// 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sessions: BTreeMap<SessionId, CommitPoint>,
}

/// The kind of capture of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    FoldOver,
    Snapshot,
    Incremental,
}

/// A range of the log in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartFile {
    /// The checkpoint that wrote it.
    pub(crate) token: u64,
    pub(crate) from: u64,
    pub(crate) end: u64,
}

/// A file of checksummed blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockFile {
    /// The checkpoint that wrote it.
    pub(crate) token: u64,
    /// The number of bytes of its contents.
    pub(crate) bytes: u64,
    /// The number of bytes of a whole block.
    pub(crate) block: u64,
}

/// A file of changed commit points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PointFile {
    pub(crate) points: u64,
    pub(crate) stream: BlockFile,
}

/// An image of the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexImage {
    /// Every record below this address is in the image, or in the log from here on.
    pub(crate) start: u64,
    /// The image leads to no record at or above this address.
    pub(crate) end: u64,
    pub(crate) buckets: u64,
    pub(crate) stream: BlockFile,
}

impl Manifest {
    /// Returns the manifest of an empty store.
    pub(crate) fn new(store: StoreFormat) -> Self {
        Self {
            kvick: EDITION.kind.to_owned(),
            format: FORMAT,
            features: Vec::new(),
            next_token: 1,
            life: Life::FIRST.number(),
            life_begin: Life::FIRST.begin().raw(),
            store,
            checkpoints: Vec::new(),
            indexes: Vec::new(),
            passed_over: BTreeSet::new(),
        }
    }

    /// Returns the newest life of the log.
    pub(crate) fn life(&self) -> Life {
        Life::named(self.life, Address::new(self.life_begin))
    }

    /// Names the life of this opening, which continues the log at `begin`.
    ///
    /// # Errors
    /// `AddressesExhausted` after four billion openings of the store.
    pub(crate) fn begin_life(&mut self, begin: Address) -> Result<()> {
        let life = self.life().next(begin).ok_or_else(Error::lives_exhausted)?;
        (self.life, self.life_begin) = (life.number(), life.begin().raw());
        Ok(())
    }

    /// Returns the units of the log. The sizes have been checked.
    pub(crate) fn units(&self) -> Units {
        let StoreFormat { page_bytes, unit_bytes, salt, block_bytes, .. } = &self.store;
        let unit_bytes = usize::try_from(*unit_bytes).expect("a unit fits in memory");
        let units = Units::new(page_bytes.ilog2(), unit_bytes, salt.0, self.life());
        units.on_blocks(*block_bytes)
    }

    pub(crate) fn index(&self, token: u64) -> Option<&IndexImage> {
        self.indexes.iter().find(|image| image.stream.token == token)
    }

    pub(crate) fn checkpoint(&self, token: u64) -> Option<&CheckpointEntry> {
        self.checkpoints.iter().find(|record| record.token == token)
    }

    /// Returns the newest checkpoint that survives power cuts.
    pub(crate) fn newest_safe(&self) -> Option<u64> {
        let is_safe = |record: &&CheckpointEntry| record.durability == Durability::PowerCut;
        self.checkpoints.iter().rfind(is_safe).map(|record| record.token)
    }

    /// Drops the checkpoints after `chosen`, and the images of the index that were taken after it.
    /// From now on other records use the addresses that these images lead to. Returns whether
    /// anything was dropped.
    pub(crate) fn forget_after(&mut self, chosen: Option<&CheckpointEntry>) -> bool {
        let before = (self.checkpoints.len(), self.indexes.len());
        let (token, end) = chosen.map_or((0, 0), |record| (record.token, record.end));
        self.checkpoints.retain(|record| record.token <= token);
        self.indexes.retain(|image| image.end <= end);
        before != (self.checkpoints.len(), self.indexes.len())
    }

    /// Drops the images of the index that no checkpoint uses.
    pub(crate) fn drop_images_of_none(&mut self) {
        self.keep_images(None);
    }

    /// Drops the images of the index that neither a checkpoint nor a later one would use.
    pub(crate) fn drop_unused(&mut self) {
        self.keep_images(self.indexes.last().map(|image| image.stream.token));
    }

    /// Drops the images of the index that no checkpoint uses, except the image of `also`.
    fn keep_images(&mut self, also: Option<u64>) {
        let used = self.checkpoints.iter().filter_map(|record| record.index);
        let kept: Vec<u64> = used.chain(also).collect();
        self.indexes.retain(|image| kept.contains(&image.stream.token));
        let mut used = self.checkpoints.iter().filter_map(|record| record.index);
        assert!(used.all(|token| self.index(token).is_some()), "each checkpoint keeps its image");
    }

    /// Checks that the entries fit together, which a checksum cannot tell.
    fn check(&self, file: &str) -> Result<()> {
        let ascending = |tokens: Vec<u64>| tokens.windows(2).all(|pair| pair[0] < pair[1]);
        let tokens: Vec<u64> = self.checkpoints.iter().map(|record| record.token).collect();
        let images: Vec<u64> = self.indexes.iter().map(|image| image.stream.token).collect();
        let below = |tokens: &[u64]| tokens.iter().all(|token| *token < self.next_token);
        let is_sound = below(&tokens)
            && below(&images)
            && ascending(tokens)
            && ascending(images)
            && self.life > 0
            && self.life_begin <= crate::base::address::ADDRESS_MASK
            && self.checkpoints.iter().all(|record| record.is_sound(self));
        if is_sound {
            return Ok(());
        }
        Err(text::contradiction(file))
    }
}

impl Publishable for Manifest {
    fn encode(&self) -> Vec<u8> {
        text::encode(self)
    }

    fn decode(file: &str, bytes: &[u8]) -> Result<Self> {
        let manifest: Self = text::decode(file, bytes, EDITION)?;
        manifest.check(file)?;
        Ok(manifest)
    }
}

impl CheckpointEntry {
    /// Returns the address at which the version ends.
    pub(crate) fn end(&self) -> Address {
        Address::new(self.end)
    }

    /// Records that the log itself has the whole version, durably. Returns whether this is new.
    pub(crate) fn settle(&mut self) -> bool {
        let is_news = !self.parts.is_empty() || self.durability != Durability::PowerCut;
        self.parts.clear();
        self.deltas.clear();
        self.flushed = self.end;
        self.durability = Durability::PowerCut;
        is_news
    }

    fn is_sound(&self, manifest: &Manifest) -> bool {
        let index = self.index.map(|token| manifest.index(token));
        let ends: Vec<u64> = self.parts.iter().flat_map(|part| [part.from, part.end]).collect();
        let joined = ends.windows(2).all(|pair| pair[0] <= pair[1]);
        let spans = match (ends.first(), ends.last()) {
            (Some(from), Some(end)) => *from <= self.flushed && *end == self.end,
            _ => self.flushed == self.end,
        };
        joined
            && spans
            && self.has_sound_points()
            && Address::FIRST.raw() <= self.begin
            && self.begin <= self.flushed
            && self.flushed <= self.end
            && self.end <= crate::base::address::ADDRESS_MASK
            && index.is_none_or(|image| image.is_some_and(|image| image.end <= self.end))
    }
}

impl CheckpointEntry {
    /// Returns the number of sessions in this checkpoint.
    pub(crate) fn count_sessions(&self) -> usize {
        if self.point_files.is_empty() {
            return self.sessions.len();
        }
        usize::try_from(self.session_count).unwrap_or(usize::MAX)
    }

    fn has_sound_points(&self) -> bool {
        let tokens = self.point_files.iter().map(|file| file.stream.token);
        let tokens: Vec<u64> = tokens.chain([self.token + 1]).collect();
        let has_all = self.session_count == 0 && self.sessions.values().all(|it| it.until > 0);
        tokens.windows(2).all(|pair| pair[0] < pair[1])
            && self.sessions.values().all(CommitPoint::is_sound)
            && (has_all || !self.point_files.is_empty())
    }
}

impl StoreFormat {
    pub(crate) fn key_type(&self) -> TypeName {
        TypeName {
            encoding: self.key.clone(),
            width: self.key_width,
            fingerprint: self.key_fingerprint.clone(),
        }
    }

    pub(crate) fn value_type(&self) -> TypeName {
        TypeName {
            encoding: self.value.clone(),
            width: self.value_width,
            fingerprint: self.value_fingerprint.clone(),
        }
    }

    /// Replaces the names of the types; their widths stay.
    pub(crate) fn set_types(&mut self, key: &TypeName, value: &TypeName) {
        self.key.clone_from(&key.encoding);
        self.key_fingerprint.clone_from(&key.fingerprint);
        self.value.clone_from(&value.encoding);
        self.value_fingerprint.clone_from(&value.fingerprint);
    }

    /// Checks that this build can compute with the sizes of pages and units.
    ///
    /// # Errors
    /// `Unsupported`.
    pub(crate) fn check_sizes(&self) -> Result<()> {
        let is_sound = self.page_bytes.is_power_of_two()
            && self.page_bytes <= LARGEST_PAGE
            && self.unit_bytes.is_power_of_two()
            && (512..=self.page_bytes).contains(&self.unit_bytes)
            && self.block_bytes.is_power_of_two();
        if is_sound {
            return Ok(());
        }
        let Self { page_bytes, unit_bytes, .. } = self;
        Err(Error::unsupported(format!("pages of {page_bytes} bytes in units of {unit_bytes}")))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    fn manifest() -> Manifest {
        let store = StoreFormat {
            key: "u64".to_owned(),
            value: "[u8]".to_owned(),
            key_width: Some(8),
            value_width: None,
            key_fingerprint: None,
            value_fingerprint: None,
            hash: "rapidhash-v3".to_owned(),
            seed: Hex(u64::MAX),
            hash_of_kvick: Hex(7),
            salt: Hex(1 << 63),
            page_bytes: 4096,
            unit_bytes: 512,
            block_bytes: 4096,
            segment_bytes: 32768,
            index_buckets: 8,
        };
        let stream = |token| BlockFile { token, bytes: 1000, block: 4096 };
        let session = "000000000000000a0000000000000001".parse().expect("an id");
        let mut manifest = Manifest::new(store);
        manifest.next_token = 9;
        manifest.indexes = vec![IndexImage { start: 64, end: 700, buckets: 8, stream: stream(5) }];
        manifest.checkpoints = vec![CheckpointEntry {
            token: 8,
            kind: Kind::Incremental,
            durability: Durability::PowerCut,
            begin: 64,
            flushed: 504,
            end: 2016,
            index: Some(5),
            parts: vec![
                PartFile { token: 7, from: 504, end: 1008 },
                PartFile { token: 8, from: 1008, end: 2016 },
            ],
            deltas: vec![stream(8)],
            point_files: vec![PointFile { points: 70, stream: stream(6) }],
            session_count: 71,
            sessions: [(
                session,
                CommitPoint { until: 9, excluded: [4].into_iter().collect(), version: 8 },
            )]
            .into(),
        }];
        manifest
    }

    #[test]
    fn what_is_written_is_read() {
        let manifest = manifest();
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode("manifest", &bytes).expect("sound"), manifest);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = manifest().encode();
        for bit in 0..bytes.len() * 8 {
            let mut copy = bytes.clone();
            copy[bit / 8] ^= 1 << (bit % 8);
            let error = Manifest::decode("manifest", &copy).expect_err("damaged");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}: {error}");
        }
        for length in 0..bytes.len() {
            assert!(Manifest::decode("manifest", &bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn other_formats_are_refused_by_name() {
        let mut newer = manifest();
        newer.format = FORMAT + 1;
        let error = Manifest::decode("manifest", &newer.encode()).expect_err("newer");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("format 2"), "{error}");
        let mut featured = manifest();
        featured.features.push("compression".to_owned());
        let error = Manifest::decode("manifest", &featured.encode()).expect_err("unknown");
        assert!(error.to_string().contains("compression"), "{error}");
    }

    #[test]
    fn contradictions_are_found_under_a_good_checksum() {
        let wrong: [fn(&mut Manifest); 8] = [
            |manifest| manifest.next_token = 8,
            |manifest| manifest.indexes.clear(),
            |manifest| manifest.checkpoints[0].end += 504,
            |manifest| manifest.checkpoints[0].begin = 0,
            |manifest| manifest.indexes[0].end = 5000,
            |manifest| manifest.checkpoints[0].point_files.clear(),
            |manifest| manifest.checkpoints[0].point_files[0].stream.token = 9,
            |manifest| manifest.checkpoints[0].sessions.values_mut().for_each(|it| it.until = 3),
        ];
        for (number, spoil) in wrong.into_iter().enumerate() {
            let mut manifest = manifest();
            spoil(&mut manifest);
            assert!(Manifest::decode("manifest", &manifest.encode()).is_err(), "{number}");
        }
    }
}
