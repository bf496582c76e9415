//! The sizes and tables of a store, as its manifest has them.

use super::table_format::{TableFormat, check_name};
use crate::base::error::{Error, Result};
use crate::manifest::text::Hex;
use crate::record::{Layouts, TableNumber};
use serde::{Deserialize, Serialize};

/// No store was made with larger pages.
const LARGEST_PAGE: u64 = 32 << 20;

/// No store was made with more buckets at least.
const MOST_ROOT_BITS: u32 = 37;

/// The sizes with which a store was created, and its tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreFormat {
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
    /// Chains of records belong to prefixes of hashes, which have this many bits and 17 more. The
    /// index has at least `2^index_root_bits` buckets.
    pub(crate) index_root_bits: u32,
    /// The tables by number, ascending.
    #[serde(default)]
    pub(crate) tables: Vec<TableFormat>,
}

impl StoreFormat {
    /// Returns the tables that are not dropped.
    pub(crate) fn live_tables(&self) -> impl Iterator<Item = &TableFormat> {
        self.tables.iter().filter(|table| !table.dropped)
    }

    /// Returns the layouts of all tables. Dropped tables may still have records.
    pub(crate) fn layouts(&self) -> Layouts {
        let layouts = Layouts::new();
        for table in &self.tables {
            layouts.set(table.number(), table.layout());
            if table.dropped {
                layouts.transition_to_dropped(table.number());
            }
        }
        layouts
    }

    /// Returns whether `next` may replace this description. Sizes are fixed at the creation, and a
    /// table keeps its number, its layout and the end of its life.
    pub(crate) fn may_become(&self, next: &Self) -> bool {
        let sizes = Self { tables: next.tables.clone(), ..self.clone() };
        sizes == *next
            && self.tables.iter().all(|table| {
                let mut same = next.tables.iter().filter(|next| next.number == table.number);
                same.any(|next| next.layout() == table.layout() && next.dropped >= table.dropped)
            })
    }

    /// Returns the table with this name, if there is one.
    pub(crate) fn table(&self, name: &str) -> Option<&TableFormat> {
        self.live_tables().find(|table| table.name == name)
    }

    /// As [`table`](Self::table), of a table that must exist.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such table.
    pub(crate) fn present_table(&self, name: &str) -> Result<&TableFormat> {
        self.table(name).ok_or_else(|| self.no_table(name))
    }

    /// As [`table`](Self::table), to change it.
    pub(crate) fn table_mut(&mut self, name: &str) -> Option<&mut TableFormat> {
        self.tables.iter_mut().find(|table| !table.dropped && table.name == name)
    }

    /// Adds the table that `new` returns for its number.
    ///
    /// # Errors
    /// `InvalidArgument` if `name` is no name, or no number is free.
    pub(crate) fn add_table(
        &mut self,
        name: &str,
        new: impl FnOnce(TableNumber) -> TableFormat,
    ) -> Result<TableFormat> {
        check_name(name)?;
        let used =
            |number: &TableNumber| self.tables.iter().any(|table| table.number == number.raw());
        let numbers = (0..TableNumber::LAST.raw()).filter_map(TableNumber::new);
        let Some(number) = numbers.clone().find(|number| !used(number)) else {
            let (has, most) = (self.tables.len(), numbers.count());
            let dropped = has - self.live_tables().count();
            return Err(Error::invalid(format!(
                "table `{name}`: the store has {has} tables, {dropped} of them dropped, and can \
                 have at most {most}; keep several kinds of records in one table, with the kind as \
                 a part of the key, or open another store"
            )));
        };
        let table = new(number);
        let place = self.tables.partition_point(|other| other.number < table.number);
        self.tables.insert(place, table.clone());
        Ok(table)
    }

    /// Renames a table.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no table `old`, or a table `new`, or `new` is no name.
    pub(crate) fn rename_table(&mut self, old: &str, new: &str) -> Result<TableFormat> {
        check_name(new)?;
        if old != new && self.table(new).is_some() {
            let what = format!("table `{new}` exists already");
            return Err(Error::invalid(format!("{what}; drop it first, or choose another name")));
        }
        let Some(table) = self.table_mut(old) else {
            return Err(self.no_table(old));
        };
        new.clone_into(&mut table.name);
        Ok(table.clone())
    }

    /// Marks a table as dropped.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no such table.
    pub(crate) fn drop_table(&mut self, name: &str) -> Result<TableFormat> {
        let Some(table) = self.table_mut(name) else {
            return Err(self.no_table(name));
        };
        table.dropped = true;
        Ok(table.clone())
    }

    #[cold]
    fn no_table(&self, name: &str) -> Error {
        if let Err(error) = check_name(name) {
            return error;
        }
        let names: Vec<String> = self.live_tables().map(TableFormat::shown).collect();
        let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Error::invalid(format!("table `{name}`: there is no such table; the store has {has}"))
    }

    /// Returns whether a reader must know that a store has tables.
    pub(crate) fn has_many_tables(&self) -> bool {
        self.tables.iter().any(|table| table.number != TableNumber::FIRST.raw())
    }

    /// Returns whether a reader must know that records have an expiry.
    pub(crate) fn has_expiry(&self) -> bool {
        self.tables.iter().any(TableFormat::has_expiry)
    }

    /// Returns whether the tables fit together.
    pub(super) fn has_sound_tables(&self) -> bool {
        let are_sorted = self.tables.windows(2).all(|pair| pair[0].number < pair[1].number);
        let mut names: Vec<&str> = self.live_tables().map(|table| &*table.name).collect();
        names.sort_unstable();
        are_sorted
            && self.tables.iter().all(TableFormat::is_sound)
            && names.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// Checks that this build knows all features of the tables. `file` is the manifest.
    ///
    /// # Errors
    /// `Unsupported`.
    pub(super) fn check_features(&self, file: &str) -> Result<()> {
        self.tables.iter().try_for_each(|table| table.check_features(file))
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
            && self.block_bytes.is_power_of_two()
            && self.index_root_bits <= MOST_ROOT_BITS;
        if is_sound {
            return Ok(());
        }
        let Self { page_bytes, unit_bytes, index_root_bits, .. } = self;
        Err(Error::unsupported(format!(
            "pages of {page_bytes} bytes in units of {unit_bytes}, index_root_bits \
             {index_root_bits}"
        )))
    }
}
