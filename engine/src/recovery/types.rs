//! The key and value types of a table. A table must be opened with the types of its creation.
//!
//! For each type a store keeps the name of its encoding, its width, and a fingerprint that tells it
//! from other types of that encoding. The bytes mean something else if one of these differs. Then
//! every key would be missing, or reads would return values that were never written, without an
//! error.

use super::type_change::{advice_for_key, advice_for_value, has_other_version};
use crate::base::error::{Error, Result};
use crate::checkpoint::files::manifest::TableFormat;
use crate::codec::{Key, TypeName, Value};
use crate::config::{Config, Geometry};
use crate::record::{Layout, TableNumber};
use crate::store::{Limits, layout};

/// The key and value types of a table.
#[derive(Clone, Debug)]
pub(crate) struct TypeNames {
    pub(crate) key: TypeName,
    pub(crate) value: TypeName,
    pub(crate) layout: Layout,
    /// Whether the key type and the value type read bytes that were stored as another type.
    reads: [fn(&TypeName) -> bool; 2],
}

impl TypeNames {
    pub(crate) fn of<K: Key + ?Sized, V: Value + ?Sized>() -> Self {
        Self {
            key: TypeName::of::<K>(),
            value: TypeName::of::<V>(),
            layout: layout::<K, V>(),
            reads: [TypeName::is_read_as::<K>, TypeName::is_read_as::<V>],
        }
    }

    /// Returns the limits of a table of these types in a store of these sizes.
    ///
    /// # Errors
    /// `InvalidArgument` if the store cannot hold these types.
    pub(crate) fn limits(&self, geometry: &Geometry) -> Result<Limits> {
        Limits::of(geometry, (self.layout, [self.key.width, self.value.width]))
    }

    /// Checks that a store of this configuration can hold these types.
    ///
    /// # Errors
    /// As for [`limits`](Self::limits).
    pub(crate) fn check_limits(&self, config: &Config) -> Result<()> {
        self.limits(&Geometry::of(config)?).map(drop)
    }

    /// Returns a new table of these types.
    pub(crate) fn table(&self, number: TableNumber, name: &str) -> TableFormat {
        TableFormat::new(number, name, [&self.key, &self.value], self.layout.has_expiry)
    }

    /// Checks that the table holds these types, and gives the table their names. Names that mean
    /// another type need `accepts_change`. A key never has another version, and a table never gets
    /// an expiry or loses it. Returns whether a name has changed.
    ///
    /// # Errors
    /// `InvalidArgument` that names both types.
    pub(crate) fn adopt(&self, table: &mut TableFormat, accepts_change: bool) -> Result<bool> {
        let [reads_key, reads_value] = self.reads;
        let (key, value) = (table.key_type(), table.value_type());
        if !reads_key(&key) && (!accepts_change || has_other_version(&key, &self.key)) {
            return Err(self.wrong_types(table, &advice_for_key(&key, &self.key)));
        }
        if !reads_value(&value) && !accepts_change {
            return Err(self.wrong_types(table, &advice_for_value(&value, &self.value)));
        }
        for (what, stored, asked) in [("key", &key, &self.key), ("value", &value, &self.value)] {
            if stored.width != asked.width {
                return Err(wrong_width(&table.subject(), what, stored, asked));
            }
        }
        if table.has_expiry() != self.layout.has_expiry {
            return Err(wrong_expiry(table, self.value.shown()));
        }
        let is_changed = key != self.key || value != self.value;
        if is_changed {
            table.set_types(&self.key, &self.value);
        }
        Ok(is_changed)
    }

    #[cold]
    fn wrong_types(&self, table: &TableFormat, advice: &str) -> Error {
        let (key, value) = (table.key_type(), table.value_type());
        let subject = table.subject();
        Error::invalid(format!(
            "{subject} holds keys {}, values {}, and is opened with keys {}, values {}; {advice}",
            key.shown(),
            value.shown(),
            self.key.shown(),
            self.value.shown()
        ))
    }
}

#[cold]
fn wrong_width(subject: &str, what: &str, stored: &TypeName, asked: &TypeName) -> Error {
    let shown = |width: Option<usize>| {
        width.map_or_else(|| "of any length".to_owned(), |bytes| format!("of {bytes} bytes"))
    };
    Error::invalid(format!(
        "{subject} holds each {what} as {} {}, and is opened with {} {}: the records have another \
         layout",
        stored.shown(),
        shown(stored.width),
        asked.shown(),
        shown(asked.width)
    ))
}

#[cold]
fn wrong_expiry(table: &TableFormat, asked: &str) -> Error {
    let subject = table.subject();
    Error::invalid(if table.has_expiry() {
        format!(
            "{subject} was created with expiry, and is opened with values {asked} without expiry; \
             open it with values `Expiring<{asked}>`"
        )
    } else {
        format!(
            "{subject} was created without expiry, and is opened with values `Expiring<{asked}>`; \
             open it with values {asked}"
        )
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;
    use crate::codec::ZeroCopy;

    fn name(encoding: &str, width: Option<usize>, fingerprint: Option<&str>) -> TypeName {
        TypeName {
            encoding: encoding.to_owned(),
            width,
            fingerprint: fingerprint.map(str::to_owned),
        }
    }

    #[test]
    fn encodings_without_a_fingerprint_read_those_of_before() {
        type Stored = ZeroCopy<u64>;
        let plain = name("u64", Some(8), None);
        let one = name("zerocopy 8 bytes", Some(8), Some("zerocopy u64"));
        let other = name("zerocopy 8 bytes", Some(8), Some("zerocopy i64"));
        assert!(plain.is_read_as::<u64>() && one.is_read_as::<Stored>());
        assert!(!other.is_read_as::<Stored>() && !plain.is_read_as::<Stored>());
        let longer = name("zerocopy 8 bytes", Some(8), Some("zerocopy u64 and more"));
        assert!(!longer.is_read_as::<Stored>() && !one.is_read_as::<u64>());
        let older = name("zerocopy 8 bytes", Some(8), None);
        assert!(older.is_read_as::<Stored>(), "of an older store");
        let one = name("postcard", None, Some("postcard app::One"));
        let error = wrong_width("table `users`", "key", &plain, &one);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("u64 of 8 bytes"), "{error}");
        assert!(error.to_string().contains("app::One of any length"), "{error}");
    }
}
