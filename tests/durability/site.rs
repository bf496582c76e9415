//! The site of a store: a directory, or a file system of its own whose power the parent can cut.

use crate::shutdown::shut_down;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FileSystem {
    Ext4,
    Xfs,
}

/// A site for one store.
#[derive(Debug)]
pub(crate) struct Site {
    base: TempDir,
    /// The file system. Without one, the parent only kills processes.
    file_system: Option<FileSystem>,
    mounted: bool,
}

impl Site {
    /// Creates an empty site below `base`.
    pub(crate) fn new(base: &Path, file_system: Option<FileSystem>) -> io::Result<Self> {
        let base = tempfile::Builder::new().prefix("durability-").tempdir_in(base)?;
        let mut site = Self { base, file_system, mounted: false };
        let Some(file_system) = file_system else {
            return Ok(site);
        };
        std::fs::create_dir(site.mount_point())?;
        std::fs::File::create(site.image())?.set_len(IMAGE_BYTES)?;
        run(Command::new(format!("mkfs.{file_system}")).arg("-q").arg(site.image()))?;
        site.mount()?;
        Ok(site)
    }

    /// Returns the directory of the store.
    pub(crate) fn store(&self) -> PathBuf {
        match self.file_system {
            Some(_) => self.mount_point().join("store"),
            None => self.base.path().join("store"),
        }
    }

    /// Returns the file or directory that holds the whole rest of the store.
    pub(crate) fn evidence(&self) -> PathBuf {
        if self.file_system.is_some() { self.image() } else { self.store() }
    }

    /// Cuts the power: bytes that are not synced now are lost.
    pub(crate) fn cut(&self) -> io::Result<()> {
        if self.mounted { shut_down(&self.mount_point()) } else { Ok(()) }
    }

    /// Unmounts the file system. The requests of a killed process to its ring may keep it busy for
    /// a while.
    pub(crate) async fn unmount(&mut self) -> io::Result<()> {
        for _ in 0..400 {
            if self.try_unmount().is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.try_unmount()
    }

    fn try_unmount(&mut self) -> io::Result<()> {
        if self.mounted {
            run(Command::new("umount").arg(self.mount_point()))?;
            self.mounted = false;
        }
        Ok(())
    }

    /// Mounts the file system that the power cut left.
    pub(crate) fn mount(&mut self) -> io::Result<()> {
        if self.file_system.is_some() {
            let mut command = Command::new("mount");
            run(command.args(["-o", "loop"]).arg(self.image()).arg(self.mount_point()))?;
            self.mounted = true;
        }
        Ok(())
    }

    /// Returns whether the store needs a new site before it runs out of space.
    pub(crate) fn is_worn(&self) -> io::Result<bool> {
        let used = run(Command::new("du").arg("-sk").arg(self.store()))?;
        let text = String::from_utf8_lossy(&used.stdout);
        let kib = text.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
        Ok(kib.is_none_or(|kib| kib * 1024 > IMAGE_BYTES / 3))
    }

    fn image(&self) -> PathBuf {
        self.base.path().join("image")
    }

    fn mount_point(&self) -> PathBuf {
        self.base.path().join("mount")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Err(error) = self.try_unmount() {
            eprintln!("{error}; left: {}", self.base.path().display());
            self.base.disable_cleanup(true);
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        })
    }
}

/// Runs a command to its end. An error has its error output.
pub(crate) fn run(command: &mut Command) -> io::Result<Output> {
    let output = command.output();
    let named = |text: String| io::Error::other(format!("{command:?}: {text}"));
    match output {
        Ok(output) if output.status.success() => Ok(output),
        Ok(output) => Err(named(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Err(error) => Err(named(error.to_string())),
    }
}

/// The size of the image, which is a sparse file.
const IMAGE_BYTES: u64 = 1 << 30;
