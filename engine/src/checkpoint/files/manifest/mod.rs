//! The manifest of a store, as text: one file, replaced as a whole.
//!
//! The manifest names the store's sizes and tables, every kept checkpoint, and the files that each
//! checkpoint needs. `manifest/text.rs` describes the encoding.

mod entry;
mod removal;
mod store_format;
mod table_format;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use entry::{BlockFile, CheckpointEntry, IndexImage, Kind, PartFile, PointFile};
pub(crate) use removal::not_kept;
pub(crate) use store_format::StoreFormat;
pub(crate) use table_format::TableFormat;

use crate::base::address::Address;
use crate::base::error::{Error, Result};
use crate::base::kinds::Durability;
use crate::base::wall_clock::WallClock;
use crate::hybrid_log::{Life, Units};
use crate::manifest::publish::Publishable;
use crate::manifest::text::{self, Edition, Hex};
use crate::space::RoundHistory;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The format that this build writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 3;
const EDITION: Edition =
    Edition { kind: "store", format: FORMAT, features: &[TABLES, EXPIRY, WAL, CONTENTS] };
/// The feature of a store with any other table than the first.
const TABLES: &str = "tables";
/// The feature of a store with a table whose records have an expiry.
const EXPIRY: &str = "expiry";

/// The feature of a store with a write-ahead log.
const WAL: &str = "wal";
/// The feature of a store whose contents were replaced.
const CONTENTS: &str = "contents";

/// The largest number of write-ahead logs whose files are deleted after the store has left them.
pub(crate) const MOST_LEFT: usize = 16;

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
    /// The second that the clock of the store showed when this was written, in a store that has an
    /// expiry.
    #[serde(default, skip_serializing_if = "text::is_zero")]
    pub(crate) clock: u32,
    /// The number of the contents, with which the names of their files begin. 0 for the first.
    #[serde(default, skip_serializing_if = "text::is_zero")]
    contents: u64,
    pub(crate) store: StoreFormat,
    /// The salt of the write-ahead log, which tells it from all others, in a store that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wal: Option<Hex>,
    /// The salt of the write-ahead log that the store has left last, whose files go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wal_left: Option<Hex>,
    /// The salts of those that it has left before, the latest at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wal_left_before: Vec<Hex>,
    /// The address of the write-ahead log below which it has changes that were given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wal_rewound: Option<u64>,
    /// The number of times that changes in it were given up.
    #[serde(default, skip_serializing_if = "text::is_zero")]
    wal_rewinds: u64,
    /// The number of times that the write-ahead log itself had discarded commits, as a repair does,
    /// when it was opened last.
    #[serde(default, skip_serializing_if = "text::is_zero")]
    wal_discards: u64,
    /// The history of the rounds of compaction, in a store that compacts by itself, or once did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rounds: Option<RoundHistory>,
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

/// A place in the write-ahead log of a store: the cut of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalPlace {
    /// See [`Manifest::wal_identity`].
    pub(crate) identity: u64,
    pub(crate) cut: Address,
}

impl Manifest {
    /// Returns the manifest of an empty store.
    pub(crate) fn new(store: StoreFormat) -> Self {
        let mut manifest = Self {
            kvick: EDITION.kind.to_owned(),
            format: FORMAT,
            features: Vec::new(),
            next_token: 1,
            life: Life::FIRST.number(),
            life_begin: Life::FIRST.begin().raw(),
            clock: 0,
            contents: 0,
            store,
            wal: None,
            wal_left: None,
            wal_left_before: Vec::new(),
            wal_rewound: None,
            wal_rewinds: 0,
            wal_discards: 0,
            rounds: None,
            checkpoints: Vec::new(),
            indexes: Vec::new(),
            passed_over: BTreeSet::new(),
        };
        manifest.note_features();
        manifest
    }

    /// Returns the newest life of the log.
    pub(crate) fn life(&self) -> Life {
        Life::named(self.life, Address::new(self.life_begin))
    }

    /// Returns the life of this opening, which continues the log at `begin`. The numbers of `lost`
    /// lives are not used.
    ///
    /// # Errors
    /// `AddressesExhausted` after four billion openings of the store.
    pub(crate) fn next_life(&self, begin: Address, lost: u32) -> Result<Life> {
        self.life().next_apart(begin, lost).ok_or_else(Error::lives_exhausted)
    }

    /// Names the life of this opening.
    pub(crate) fn begin_life(&mut self, life: Life) {
        (self.life, self.life_begin) = (life.number(), life.begin().raw());
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

    /// Returns the image of the index that a checkpoint uses.
    fn image_of(&self, record: &CheckpointEntry) -> Option<&IndexImage> {
        record.index.and_then(|token| self.index(token))
    }

    pub(crate) fn checkpoint(&self, token: u64) -> Option<&CheckpointEntry> {
        self.checkpoints.iter().find(|record| record.token == token)
    }

    /// Returns the newest checkpoint that survives power cuts.
    pub(crate) fn newest_safe(&self) -> Option<u64> {
        let is_safe = |record: &&CheckpointEntry| record.durability == Durability::PowerCut;
        self.checkpoints.iter().rfind(is_safe).map(|record| record.token)
    }

    /// Returns the first address of the log that a kept checkpoint needs.
    ///
    /// It is the first of all if no checkpoint survives power cuts: the store would begin anew.
    pub(crate) fn log_needed_from(&self) -> Address {
        let lowest = self.checkpoints.iter().map(|record| record.begin).min();
        let lowest = lowest.filter(|_| self.newest_safe().is_some());
        lowest.map_or(Address::FIRST, Address::new)
    }

    /// Drops the checkpoints after `chosen`, and the images of the index that were taken after it.
    /// From now on other records use the addresses that these images lead to. Returns whether
    /// anything was dropped.
    pub(crate) fn forget_after(&mut self, chosen: Option<&CheckpointEntry>) -> bool {
        let before = (self.checkpoints.len(), self.indexes.len());
        let (token, end) = chosen.map_or((0, 0), |record| (record.token, record.end));
        self.checkpoints.retain(|record| record.token <= token);
        // A later image may lack the entry of a key that was deleted after `chosen`, and is back.
        self.indexes.retain(|image| image.end <= end && image.stream.token <= token);
        debug_assert_eq!(
            self.checkpoints.last().map(|record| record.token),
            chosen.map(|record| record.token),
            "the chosen checkpoint is the newest now"
        );
        before != (self.checkpoints.len(), self.indexes.len())
    }

    /// Returns a manifest of the same store that has this checkpoint alone. It is for a durable
    /// copy, so the checkpoint survives power cuts.
    pub(crate) fn with_only(&self, token: u64) -> Option<Self> {
        self.checkpoint(token)?;
        let mut only = self.clone();
        only.checkpoints.retain(|record| record.token == token);
        only.checkpoints.iter_mut().for_each(|record| record.durability = Durability::PowerCut);
        only.set_wal(None);
        only.wal_left = None;
        only.wal_left_before.clear();
        only.set_contents(0);
        only.passed_over.clear();
        only.drop_images_of_none();
        Some(only)
    }

    /// Returns the number of the contents.
    pub(crate) fn contents(&self) -> u64 {
        self.contents
    }

    fn set_contents(&mut self, number: u64) {
        self.contents = number;
        self.note_features();
    }

    /// Makes this manifest, of one checkpoint alone, that of contents `number`, which replace those
    /// of `before`. Its checkpoint gets a token that neither has had, so tokens only grow.
    pub(crate) fn replace(&mut self, before: &Self, number: u64) {
        debug_assert!(number > before.contents, "a number is used once: {number}");
        assert_eq!(self.checkpoints.len(), 1, "a manifest of this checkpoint alone");
        self.set_contents(number);
        self.set_wal(before.wal());
        self.wal_left = before.wal_left;
        self.wal_left_before.clone_from(&before.wal_left_before);
        (self.wal_rewinds, self.wal_discards) = (before.wal_rewinds, before.wal_discards);
        if self.store.has_expiry() {
            self.clock = self.clock.max(before.clock);
        }
        let token = self.next_token.max(before.next_token);
        self.checkpoints.iter_mut().for_each(|record| record.token = token);
        self.next_token = token + 1;
    }

    /// Returns the number of lives that `before` has had more.
    pub(crate) fn lives_behind(&self, before: &Self) -> u32 {
        before.life.saturating_sub(self.life)
    }

    /// Returns the salt of the write-ahead log.
    pub(crate) fn wal(&self) -> Option<u64> {
        self.wal.map(|salt| salt.0)
    }

    /// Returns the salts of write-ahead logs that the store has left. Their files may still be
    /// there.
    pub(crate) fn wals_left(&self) -> Vec<u64> {
        self.wal_left_before.iter().chain(&self.wal_left).map(|salt| salt.0).collect()
    }

    /// Leaves the write-ahead log, if there is one. The checkpoints have no place in it any more.
    pub(crate) fn leave_wal(&mut self) {
        if let Some(left) = self.wal {
            self.wal_left_before.extend(self.wal_left.replace(left));
            let excess = (self.wal_left_before.len() + 1).saturating_sub(MOST_LEFT);
            self.wal_left_before.drain(..excess);
        }
        self.set_wal(None);
    }

    /// Sets the write-ahead log. The checkpoints are older than it.
    pub(crate) fn set_wal(&mut self, salt: Option<u64>) {
        self.wal = salt.map(Hex);
        (self.wal_rewound, self.wal_rewinds, self.wal_discards) = (None, 0, 0);
        self.note_features();
        self.checkpoints.iter_mut().for_each(|record| record.set_wal(None));
    }

    /// Gives up the changes after checkpoint `token` in the write-ahead log, which ends at `end`.
    /// Older checkpoints would repeat them, so they go.
    pub(crate) fn rewind_wal(&mut self, token: u64, end: Address) {
        self.checkpoints.retain(|record| record.token == token);
        self.checkpoints.iter_mut().for_each(|record| record.set_wal(Some(end.raw())));
        self.lose_wal_changes(end);
        self.drop_images_of_none();
    }

    /// Records that changes after `end` are lost, where the write-ahead log goes on: no reader of
    /// changes goes on across that place.
    pub(crate) fn lose_wal_changes(&mut self, end: Address) {
        self.wal_rewound = Some(end.raw());
        self.wal_rewinds += 1;
    }

    /// Records how often the write-ahead log has discarded commits. The addresses of these are used
    /// again, so places in it count no more. Returns whether it is news.
    pub(crate) fn note_wal_discards(&mut self, discards: u64) -> bool {
        let more = discards.saturating_sub(self.wal_discards);
        self.wal_discards += more;
        self.wal_rewinds += more;
        more > 0
    }

    /// Returns the identity of the write-ahead log for places in it. It is another one after
    /// changes were given up.
    pub(crate) fn wal_identity(&self) -> Option<u64> {
        self.wal().map(|salt| salt.wrapping_add(self.wal_rewinds))
    }

    /// Returns the place after exactly the changes that a kept checkpoint has.
    pub(crate) fn wal_place(&self, token: u64) -> Option<WalPlace> {
        let entry = self.checkpoint(token).filter(|entry| !entry.is_partial)?;
        Some(WalPlace { identity: self.wal_identity()?, cut: Address::new(entry.wal?) })
    }

    /// Returns whether the store would come to wrong contents if it went back to the manifest
    /// `before`: that repeats changes that were given up, or does not know of the write-ahead log.
    ///
    /// A checkpoint that stands for entries of a full log does not count. The copy is what lets a
    /// full medium be freed, so it stays; a fallback to it loses what came after it.
    pub(crate) fn gives_up_after(&self, before: &Self) -> bool {
        self.wal_identity() != before.wal_identity()
    }

    /// Returns the address of the write-ahead log below which it has changes that were given up.
    pub(crate) fn wal_rewound(&self) -> Address {
        self.wal_rewound.map_or(Address::FIRST, Address::new)
    }

    /// Returns the number of times that changes in the write-ahead log were given up.
    pub(crate) fn wal_rewinds(&self) -> u64 {
        self.wal_rewinds
    }

    /// Returns the first address of the write-ahead log that a kept checkpoint needs. As for the
    /// [log](Self::log_needed_from), it is the first of all if no checkpoint survives power cuts.
    pub(crate) fn wal_needed_from(&self) -> Address {
        let lowest = self.checkpoints.iter().map(CheckpointEntry::wal_cut).min();
        lowest.filter(|_| self.newest_safe().is_some()).unwrap_or(Address::FIRST)
    }

    /// Returns the last cut of a checkpoint in the write-ahead log. No entry is before it that was
    /// not there when that checkpoint was taken.
    pub(crate) fn wal_reached(&self) -> Address {
        let cuts = self.checkpoints.iter().map(CheckpointEntry::wal_cut);
        cuts.max().unwrap_or(Address::FIRST)
    }

    /// Returns the address of the write-ahead log from which an opening repeats changes after a
    /// power cut.
    pub(crate) fn wal_replayed_from(&self) -> Address {
        let safe = self.newest_safe();
        let newest = self.checkpoints.iter().rfind(|record| Some(record.token) == safe);
        newest.map_or(Address::FIRST, CheckpointEntry::wal_cut)
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

    /// Records the second that the clock of the store shows, if the store has an expiry. Other
    /// manifests do not depend on the time.
    pub(crate) fn stamp(&mut self, clock: &WallClock) {
        if self.store.has_expiry() {
            self.clock = clock.now().second;
        }
    }

    /// Replaces the tables of the store.
    pub(crate) fn set_store(&mut self, store: StoreFormat) {
        self.store = store;
        self.note_features();
    }

    /// Names the features that a reader of this store must know.
    fn note_features(&mut self) {
        self.features = self.needed_features();
    }

    fn needed_features(&self) -> Vec<String> {
        let needed = [
            (TABLES, self.store.has_many_tables()),
            (EXPIRY, self.store.has_expiry()),
            (WAL, self.wal.is_some()),
            (CONTENTS, self.contents > 0),
        ];
        let needed = needed.into_iter().filter(|(_, is_needed)| *is_needed);
        needed.map(|(name, _)| name.to_owned()).collect()
    }

    /// Checks that the entries fit together, which a checksum cannot tell.
    fn check(&self, file: &str) -> Result<()> {
        let ascending = |tokens: Vec<u64>| tokens.windows(2).all(|pair| pair[0] < pair[1]);
        let tokens: Vec<u64> = self.checkpoints.iter().map(|record| record.token).collect();
        let images: Vec<u64> = self.indexes.iter().map(|image| image.stream.token).collect();
        let below = |tokens: &[u64]| tokens.iter().all(|token| *token < self.next_token);
        self.store.check_features(file)?;
        let is_sound = below(&tokens)
            && self.store.has_sound_tables()
            && self.features == self.needed_features()
            && (self.clock == 0 || self.store.has_expiry())
            && (self.wal_left.is_some() || self.wal_left_before.is_empty())
            && below(&images)
            && ascending(tokens)
            && ascending(images)
            && self.life > 0
            && self.life_begin <= crate::base::address::ADDRESS_MASK
            && self.checkpoints.iter().all(|record| record.is_sound(self.image_of(record)));
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
