//! Macros that forward the methods of a wrapper to its `inner`.

/// Forwards methods of a [`Device`](crate::Device) to `self.inner`, by name, in an `impl`.
///
/// Name each method of the trait that the wrapper does not implement itself, including methods with
/// a default in the trait.
#[macro_export]
macro_rules! forward_device {
    ($($method:ident),+ $(,)?) => { $($crate::forward_device!(@ $method);)+ };
    (@ read_at) => {
        fn read_at(&self, offset: u64, buf: $crate::AlignedBuf) -> $crate::Completion {
            self.inner.read_at(offset, buf)
        }
    };
    (@ read_many) => {
        fn read_many(
            &self,
            reads: ::std::vec::Vec<(u64, $crate::AlignedBuf)>,
        ) -> ::std::vec::Vec<$crate::Completion> {
            self.inner.read_many(reads)
        }
    };
    (@ forget_below) => {
        fn forget_below(&self, offset: u64) {
            self.inner.forget_below(offset);
        }
    };
    (@ sync) => {
        fn sync(&self) -> $crate::Completion {
            self.inner.sync()
        }
    };
    (@ write_at) => {
        fn write_at(
            &self,
            offset: u64,
            buf: $crate::AlignedBuf,
        ) -> $crate::Completion {
            self.inner.write_at(offset, buf)
        }
    };
    (@ write_and_sync) => {
        fn write_and_sync(
            &self,
            offset: u64,
            buf: $crate::AlignedBuf,
        ) -> ::std::result::Result<$crate::Completion, $crate::AlignedBuf> {
            self.inner.write_and_sync(offset, buf)
        }
    };
    (@ discard_below) => {
        fn discard_below(
            &self,
            offset: u64,
        ) -> $crate::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.discard_below(offset)
        }
    };
    (@ truncate) => {
        fn truncate(&self, end: u64) -> $crate::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.truncate(end)
        }
    };
    (@ geometry) => {
        fn geometry(&self) -> $crate::Geometry {
            self.inner.geometry()
        }
    };
    (@ locate) => {
        fn locate(&self, offset: u64) -> (String, u64) {
            self.inner.locate(offset)
        }
    };
    (@ bytes_stored) => {
        fn bytes_stored(&self) -> u64 {
            self.inner.bytes_stored()
        }
    };
}

/// Forwards methods of a [`Directory`](crate::Directory) to `self.inner`, by name, in an `impl`.
/// See [`forward_device`](crate::forward_device). Without names it forwards every method but
/// `open_device`.
#[macro_export]
macro_rules! forward_directory {
    () => {
        $crate::forward_directory!(
            list, read_file, file_bytes, write_file, rename, exchange, remove_file, sync, lock,
            is_read_only, describe,
        );
    };
    ($($method:ident),+ $(,)?) => { $($crate::forward_directory!(@ $method);)+ };
    (@ list) => {
        fn list(&self) -> $crate::BoxFuture<'_, ::std::io::Result<Vec<String>>> {
            self.inner.list()
        }
    };
    (@ read_file) => {
        fn read_file(
            &self,
            name: &str,
        ) -> $crate::BoxFuture<'_, ::std::io::Result<Vec<u8>>> {
            self.inner.read_file(name)
        }
    };
    (@ file_bytes) => {
        fn file_bytes(&self, name: &str) -> $crate::BoxFuture<'_, ::std::io::Result<u64>> {
            self.inner.file_bytes(name)
        }
    };
    (@ write_file) => {
        fn write_file(
            &self,
            name: &str,
            bytes: &[u8],
        ) -> $crate::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.write_file(name, bytes)
        }
    };
    (@ rename) => {
        fn rename(
            &self,
            from: &str,
            to: &str,
        ) -> $crate::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.rename(from, to)
        }
    };
    (@ exchange) => {
        fn exchange(
            &self,
            one: &str,
            other: &str,
        ) -> $crate::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.exchange(one, other)
        }
    };
    (@ remove_file) => {
        fn remove_file(
            &self,
            name: &str,
        ) -> $crate::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.remove_file(name)
        }
    };
    (@ sync) => {
        fn sync(&self) -> $crate::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.sync()
        }
    };
    (@ lock) => {
        fn lock(
            &self,
            name: &str,
        ) -> $crate::BoxFuture<'_, ::std::io::Result<Box<dyn $crate::Lock>>> {
            self.inner.lock(name)
        }
    };
    (@ is_read_only) => {
        fn is_read_only(&self) -> bool {
            self.inner.is_read_only()
        }
    };
    (@ describe) => {
        fn describe(&self) -> String {
            self.inner.describe()
        }
    };
}
