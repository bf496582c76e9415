//! Manifests of both products: their text, their files, and the one way to publish and read them.

pub(crate) mod contents;
pub(crate) mod copy;
pub(crate) mod files;
pub(crate) mod outdated;
pub(crate) mod publish;
pub(crate) mod read;
pub(crate) mod text;
