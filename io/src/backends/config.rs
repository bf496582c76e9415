//! The settings of transfers to real files.

use std::io;

/// The backend that carries out transfers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendChoice {
    /// io_uring where the kernel allows it, else threads.
    #[default]
    Auto,
    /// io_uring, or an error.
    Uring,
    /// Blocking calls on a pool of threads.
    Threads,
    /// As `Auto`, but reads issued on a glommio executor use the ring of that executor. Needs the
    /// feature `glommio`, and Linux.
    Glommio,
}

/// Settings of [`open_directory`](crate::open_directory) and of
/// [`SharedIo`](crate::SharedIo).
#[derive(Clone, Debug, PartialEq)]
pub struct IoConfig {
    /// The backend that carries out transfers. The environment variable `KVICK_IO` (`auto`,
    /// `uring`, `threads` or `glommio`) overrides it.
    pub backend: BackendChoice,
    /// The most operations in the kernel at once, at least 2; more wait in a queue. A depth beyond
    /// the parallelism of the device gains nothing.
    pub depth: u32,
    /// The share of `depth`, and of `threads`, that reads leave to writes and syncs, and writes and
    /// syncs leave to reads. Between 0 and 0.5.
    pub write_reserve: f64,
    /// The number of threads of the `threads` backend, at least 1.
    pub threads: u32,
    /// Whether to bypass the page cache where the file system supports it.
    pub direct: bool,
}

impl Default for IoConfig {
    fn default() -> Self {
        Self {
            backend: BackendChoice::Auto,
            depth: 256,
            write_reserve: 0.25,
            threads: 16,
            direct: true,
        }
    }
}

/// The largest depth. A larger queue is a mistake, and more than the kernel accepts.
const MAX_DEPTH: u32 = 16_384;
const MAX_THREADS: u32 = 1024;

impl IoConfig {
    pub(crate) fn check(&self) -> io::Result<()> {
        let sane = (2..=MAX_DEPTH).contains(&self.depth)
            && (1..=MAX_THREADS).contains(&self.threads)
            && (0.0..=0.5).contains(&self.write_reserve);
        if sane {
            return Ok(());
        }
        let message = format!(
            "depth {}, threads {} or write_reserve {} is out of range; choose 2..={MAX_DEPTH}, \
             1..={MAX_THREADS} and 0..=0.5",
            self.depth, self.threads, self.write_reserve
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    /// Returns how many of `total` one class of operations may take.
    pub(crate) fn class_limit(&self, total: u32) -> usize {
        let reserve = (f64::from(total) * self.write_reserve).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked: a share of at most one half, rounded up, of a small number"
        )]
        let reserve = reserve as u32;
        total.saturating_sub(reserve).max(1) as usize
    }

    /// Returns the backend: that of the environment if set, else that of the settings.
    pub(crate) fn choice(&self) -> io::Result<BackendChoice> {
        match std::env::var("KVICK_IO") {
            Ok(value) => parse(&value),
            Err(_) => Ok(self.backend),
        }
    }
}

fn parse(value: &str) -> io::Result<BackendChoice> {
    match value {
        "auto" => Ok(BackendChoice::Auto),
        "uring" => Ok(BackendChoice::Uring),
        "threads" => Ok(BackendChoice::Threads),
        "glommio" => Ok(BackendChoice::Glommio),
        other => {
            let message =
                format!("KVICK_IO={other} is unknown; use auto, uring, threads or glommio");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_leaves_something_to_the_other() {
        let config = IoConfig::default();
        assert_eq!(config.class_limit(256), 192);
        assert_eq!(config.class_limit(16), 12);
        assert_eq!(config.class_limit(2), 1);
        assert_eq!(config.class_limit(1), 1);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(IoConfig::default().check().is_ok());
        for config in [
            IoConfig { depth: 1, ..IoConfig::default() },
            IoConfig { threads: 0, ..IoConfig::default() },
            IoConfig { write_reserve: 0.6, ..IoConfig::default() },
            IoConfig { write_reserve: f64::NAN, ..IoConfig::default() },
        ] {
            assert_eq!(config.check().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert!(parse("fast").is_err());
        assert_eq!(parse("threads").unwrap(), BackendChoice::Threads);
    }
}
