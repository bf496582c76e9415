//! The description of a type that a store keeps.

use super::Value;

/// A type, as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeName {
    pub(crate) encoding: String,
    pub(crate) width: Option<usize>,
    /// The text that distinguishes it from other types of that encoding, if the encoding is not
    /// enough.
    pub(crate) fingerprint: Option<String>,
}

impl TypeName {
    pub(crate) fn of<V: Value + ?Sized>() -> Self {
        let (encoding, fingerprint) = (V::type_name(), V::fingerprint());
        let fingerprint = (fingerprint != encoding).then(|| fingerprint.into_owned());
        Self { encoding: encoding.into_owned(), width: V::WIDTH, fingerprint }
    }

    pub(crate) fn shown(&self) -> &str {
        self.fingerprint.as_ref().unwrap_or(&self.encoding)
    }

    /// Returns whether bytes that were stored as `self` can be read as a `V`.
    pub(crate) fn is_read_as<V: Value + ?Sized>(&self) -> bool {
        // A store may be older than fingerprints.
        let stored = self.fingerprint.as_deref();
        let is_accepted = stored.is_none_or(|text| V::accept_fingerprint(text) == Some(""));
        self.encoding == V::type_name() && is_accepted
    }
}
