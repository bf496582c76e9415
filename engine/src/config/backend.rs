//! The backend that performs the I/O of a store.

use std::fmt;
use std::str::FromStr;

use kvick_io::{BackendChoice, IoConfig};
use serde::{Deserialize, Serialize};

use super::Config;
use crate::base::error::{Error, Result};

/// The backend that performs the I/O of a store; in text, its name in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Backend {
    /// io_uring where the kernel allows it, else threads.
    #[default]
    Auto,
    /// io_uring, or an error.
    Uring,
    /// Blocking calls on a pool of threads.
    Threads,
    /// Needs the feature `glommio`, and Linux. Like `Auto`, but reads go through the ring of the
    /// calling glommio executor.
    Glommio,
    /// Device and files in memory, in addition to [`Config::memory`]. They vanish with the store.
    Memory,
    /// Accepts every write and discards it; cold reads fail. It is for measurements without the
    /// disk.
    Null,
}

impl Backend {
    const ALL: [Self; 6] =
        [Self::Auto, Self::Uring, Self::Threads, Self::Glommio, Self::Memory, Self::Null];

    const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Threads => "threads",
            Self::Glommio => "glommio",
            Self::Memory => "memory",
            Self::Null => "null",
        }
    }

    /// Returns the same choice for the I/O layer.
    ///
    /// `Memory` and `Null` are directories there, not backends. The code that opens a store handles
    /// them before this call.
    pub(crate) fn io_config(self, config: &Config) -> Result<IoConfig> {
        let Config { depth, io_threads: threads, direct, .. } = *config;
        self.io_with(IoConfig { depth, threads, direct, ..IoConfig::default() })
    }

    /// Returns `settings` with this backend.
    pub(crate) fn io_with(self, settings: IoConfig) -> Result<IoConfig> {
        let backend = match self {
            Self::Auto => BackendChoice::Auto,
            Self::Uring => BackendChoice::Uring,
            Self::Threads => BackendChoice::Threads,
            Self::Glommio => BackendChoice::Glommio,
            Self::Memory | Self::Null => {
                return Err(Error::unsupported(format!("I/O on files by the backend {self}")));
            }
        };
        Ok(IoConfig { backend, ..settings })
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Backend {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("{text:?} is not a backend: it is none of {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    #[test]
    fn names_are_the_same_everywhere() {
        for backend in Backend::ALL {
            let name = backend.to_string();
            assert_eq!(name.parse::<Backend>().expect("its own name"), backend);
            let config = Config::from_toml(&format!("backend = '{name}'")).expect(&name);
            assert_eq!(config.backend, backend);
        }
        for text in ["", "Auto", " auto", "aio"] {
            let error = text.parse::<Backend>().expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("auto, uring, threads"), "{error}");
        }
    }

    #[test]
    fn choices_of_the_io_layer() {
        let config = Config::default().with_depth(8).with_io_threads(3).with_direct(false);
        for (backend, choice) in [
            (Backend::Auto, BackendChoice::Auto),
            (Backend::Uring, BackendChoice::Uring),
            (Backend::Threads, BackendChoice::Threads),
            (Backend::Glommio, BackendChoice::Glommio),
        ] {
            let io = backend.io_config(&config).expect("does I/O");
            assert_eq!((io.backend, io.depth), (choice, 8));
            assert_eq!((io.threads, io.direct), (3, false));
        }
        for backend in [Backend::Memory, Backend::Null] {
            let error = backend.io_config(&config).expect_err("does none");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
        }
        let defaults = Backend::default().io_config(&Config::default());
        assert_eq!(defaults.expect("does I/O"), IoConfig::default());
    }
}
