//! The matrix of sizes, backends and runtimes, in which every store must behave in the same way.

use std::fmt;

use kvick::config::{Backend, ByteSize};
use kvick::runtime::{Handle, block_on};
use kvick::{Config, FasterKv, Key, Value};

use crate::simulated::small_configs;

/// Returns the small configurations, and one in which everything fits in memory.
pub fn sizes() -> Vec<Config> {
    let mut sizes = small_configs();
    sizes.push(
        Config::default()
            .with_memory(ByteSize::mib(8))
            .with_expected_keys(1000)
            .with_huge_pages(false),
    );
    sizes
}

/// Returns a configuration of 64 pages.
pub fn many_pages() -> Config {
    Config::default()
        .with_memory(ByteSize::kib(256))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(32))
        .with_huge_pages(false)
}

/// Returns the configuration of stores whose files are kept from one build to the next: sixteen
/// pages, two buckets.
pub fn two_buckets() -> Config {
    Config::default()
        .with_memory(ByteSize::kib(64))
        .with_page_size(ByteSize::kib(4))
        .with_segment_size(ByteSize::kib(8))
        .with_index_buckets(2)
        .with_huge_pages(false)
        .with_checkpoint_on_close(false)
}

/// Returns every runtime with every backend that works on it.
pub fn hosts_and_backends() -> Vec<(Host, Backend)> {
    let hosts = Host::all().into_iter();
    let pairs = hosts.flat_map(|host| backends().into_iter().map(move |backend| (host, backend)));
    pairs.filter(|(host, backend)| host.has(*backend)).collect()
}

/// Returns the backends of this platform that hold data.
pub fn backends() -> Vec<Backend> {
    let mut backends = vec![Backend::Memory, Backend::Threads, Backend::Auto];
    if cfg!(all(feature = "glommio", target_os = "linux")) {
        backends.push(Backend::Glommio);
    }
    backends
}

/// The runtime of the test, which also runs the maintenance of its stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// `block_on`, and the built-in background thread.
    Builtin,
    /// Tokio with two worker threads.
    TokioMulti,
    /// Tokio on the calling thread alone.
    TokioCurrent,
    /// A glommio executor.
    #[cfg(all(feature = "glommio", target_os = "linux"))]
    Glommio,
}

impl Host {
    /// Returns all runtimes of this build.
    pub fn all() -> Vec<Self> {
        vec![
            Self::Builtin,
            Self::TokioMulti,
            Self::TokioCurrent,
            #[cfg(all(feature = "glommio", target_os = "linux"))]
            Self::Glommio,
        ]
    }

    /// Returns whether this is a glommio executor, which the glommio backend needs.
    pub fn is_glommio(self) -> bool {
        !matches!(self, Self::Builtin | Self::TokioMulti | Self::TokioCurrent)
    }

    /// Returns the runtimes that end with [`run`](Self::run), together with their tasks.
    pub fn mortal() -> Vec<Self> {
        Self::all().into_iter().filter(|host| *host != Self::Builtin).collect()
    }

    /// Returns whether stores of `backend` work on this runtime.
    pub fn has(self, backend: Backend) -> bool {
        backend != Backend::Glommio || self.is_glommio()
    }

    /// Runs `body` to its end, with the handle for its stores.
    pub fn run<T, F>(self, body: F) -> T
    where
        F: AsyncFnOnce(Handle) -> T + Send + 'static,
        T: Send + 'static,
    {
        match self {
            Self::Builtin => {
                let handle = Handle::background().expect("a thread starts");
                block_on(body(handle))
            }
            Self::TokioMulti => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                on_tokio(builder.worker_threads(2), body)
            }
            Self::TokioCurrent => {
                on_tokio(&mut tokio::runtime::Builder::new_current_thread(), body)
            }
            #[cfg(all(feature = "glommio", target_os = "linux"))]
            Self::Glommio => glommio::LocalExecutorBuilder::default()
                .spawn(move || async move { body(Handle::glommio()).await })
                .expect("an executor starts")
                .join()
                .expect("the executor ends well"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

fn on_tokio<T>(builder: &mut tokio::runtime::Builder, body: impl AsyncFnOnce(Handle) -> T) -> T {
    let runtime = builder.enable_time().build().expect("tokio starts");
    let handle = Handle::tokio(runtime.handle().clone());
    runtime.block_on(body(handle))
}

/// Opens a store whose device is memory, with maintenance on a thread of its own.
pub fn memory_store<K, V>(config: Config) -> FasterKv<K, V>
where
    K: Key + ?Sized,
    V: Value + ?Sized,
{
    let config = config.with_backend(Backend::Memory);
    block_on(FasterKv::open("not a path", config)).expect("a store in memory opens")
}
