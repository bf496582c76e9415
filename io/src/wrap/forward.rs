//! Directories and devices around others: what a wrapper does not do itself goes to its `inner`.

/// Methods of a `Device` that go to `self.inner`, by name, within an `impl`.
#[macro_export]
macro_rules! forward_device {
    ($($method:ident),+ $(,)?) => { $($crate::forward_device!(@ $method);)+ };
    (@ sync) => {
        fn sync(&self) -> ::kvick::io::Completion {
            self.inner.sync()
        }
    };
    (@ write_at) => {
        fn write_at(
            &self,
            offset: u64,
            buf: ::kvick::io::AlignedBuf,
        ) -> ::kvick::io::Completion {
            self.inner.write_at(offset, buf)
        }
    };
    (@ discard_below) => {
        fn discard_below(
            &self,
            offset: u64,
        ) -> ::kvick::io::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.discard_below(offset)
        }
    };
    (@ truncate) => {
        fn truncate(&self, end: u64) -> ::kvick::io::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.truncate(end)
        }
    };
    (@ geometry) => {
        fn geometry(&self) -> ::kvick::io::Geometry {
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

/// Methods of a `Directory` that go to `self.inner`, by name, within an `impl`.
#[macro_export]
macro_rules! forward_directory {
    ($($method:ident),+ $(,)?) => { $($crate::forward_directory!(@ $method);)+ };
    (@ list) => {
        fn list(&self) -> ::kvick::io::BoxFuture<'_, ::std::io::Result<Vec<String>>> {
            self.inner.list()
        }
    };
    (@ read_file) => {
        fn read_file(
            &self,
            name: &str,
        ) -> ::kvick::io::BoxFuture<'_, ::std::io::Result<Vec<u8>>> {
            self.inner.read_file(name)
        }
    };
    (@ write_file) => {
        fn write_file(
            &self,
            name: &str,
            bytes: &[u8],
        ) -> ::kvick::io::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.write_file(name, bytes)
        }
    };
    (@ rename) => {
        fn rename(
            &self,
            from: &str,
            to: &str,
        ) -> ::kvick::io::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.rename(from, to)
        }
    };
    (@ remove_file) => {
        fn remove_file(
            &self,
            name: &str,
        ) -> ::kvick::io::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.remove_file(name)
        }
    };
    (@ sync) => {
        fn sync(&self) -> ::kvick::io::BoxFuture<'_, ::std::io::Result<()>> {
            self.inner.sync()
        }
    };
    (@ lock) => {
        fn lock(
            &self,
            name: &str,
        ) -> ::kvick::io::BoxFuture<'_, ::std::io::Result<Box<dyn ::kvick::io::Lock>>> {
            self.inner.lock(name)
        }
    };
    (@ describe) => {
        fn describe(&self) -> String {
            self.inner.describe()
        }
    };
}
