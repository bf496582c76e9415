//! The format of a stored store, compared with this build and with a configuration.

use super::{Opening, TypeNames};
use crate::base::error::{Error, Result};
use crate::base::hash::{HASH_ID, KeyHasher};
use crate::checkpoint::files::manifest::{StoreFormat, TableFormat};
use crate::config::space_sizes::SpaceSizes;
use crate::config::{ByteSize, Config, Geometry};
use crate::store::Limits;

/// Returns the table of a store that has one table.
///
/// # Errors
/// `InvalidArgument` if it has none, or several.
pub(super) fn only_table<'s>(
    store: &'s mut StoreFormat,
    place: &str,
) -> Result<&'s mut TableFormat> {
    let names: Vec<String> = store.live_tables().map(|table| table.name.clone()).collect();
    let [name] = &*names else {
        let names = names.join("`, `");
        let which = if names.is_empty() { "no table".to_owned() } else { format!("`{names}`") };
        return Err(Error::invalid(format!(
            "the store in {place} has not one table, but {which}; open it with `Database::open`"
        )));
    };
    Ok(store.table_mut(name).expect("the name is of a table"))
}

/// Checks that this build has the hash function of the store, and can use its sizes.
pub(super) fn check_store(store: &StoreFormat) -> Result<()> {
    let hash = KeyHasher::new(store.seed.0).hash(b"kvick").bits();
    if store.hash != HASH_ID || store.hash_of_kvick.0 != hash {
        return Err(Error::unsupported(format!(
            "the store's keys are hashed by {}, which this build does not have",
            store.hash
        )));
    }
    store.check_sizes()
}

impl Opening {
    /// Checks that the store can have contents of this format.
    ///
    /// # Errors
    /// As for an opening of a store of this format.
    pub(crate) fn check_contents(
        &self,
        types: Option<&TypeNames>,
        store: &StoreFormat,
    ) -> Result<()> {
        check_store(store)?;
        let config = adopt(&self.config, store)?;
        let geometry = Geometry::of(&config)?;
        if let Some(types) = types {
            let (mut store, place) = (store.clone(), self.directory.describe());
            types.adopt(only_table(&mut store, &place)?, self.accepts_type_change)?;
            types.limits(&geometry)?;
        }
        if config.has_wal() {
            // A replay needs them, also those of tables that are not opened.
            for table in store.live_tables() {
                limits_of(table, &geometry)?;
            }
        }
        Ok(())
    }
}

/// Returns the limits of a table that is stored.
///
/// # Errors
/// As for [`Limits::of`].
pub(super) fn limits_of(table: &TableFormat, geometry: &Geometry) -> Result<Limits> {
    Limits::of(geometry, (table.layout(), [table.key_width, table.value_width]))
}

/// Returns the configuration with the sizes of the store. Refuses other sizes.
pub(super) fn adopt(config: &Config, store: &StoreFormat) -> Result<Config> {
    let page = ByteSize::new(store.page_bytes);
    if config.page_size.is_some_and(|asked| asked != page) {
        let asked = config.page_size.unwrap_or(page);
        return Err(Error::invalid(format!(
            "page_size = {asked}: this store was created with pages of {page}"
        )));
    }
    let mut config = config.clone().with_page_size(page);
    config.segment_size = ByteSize::new(store.segment_bytes);
    let space = SpaceSizes::of(&config, store.page_bytes, store.segment_bytes);
    space.map_or(Ok(()), SpaceSizes::check)?;
    Ok(config)
}
