//! Where a store lies: a directory, or a file system of its own whose power can be cut.

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

/// A place for one store.
#[derive(Debug)]
pub(crate) struct Ground {
    base: TempDir,
    /// Without one, processes are killed and the machine goes on.
    file_system: Option<FileSystem>,
    mounted: bool,
}

impl Ground {
    /// A place below `base`, with nothing in it.
    pub(crate) fn new(base: &Path, file_system: Option<FileSystem>) -> io::Result<Self> {
        let base = tempfile::Builder::new().prefix("durability-").tempdir_in(base)?;
        let mut ground = Self { base, file_system, mounted: false };
        let Some(file_system) = file_system else {
            return Ok(ground);
        };
        std::fs::create_dir(ground.mount_point())?;
        std::fs::File::create(ground.image())?.set_len(IMAGE_BYTES)?;
        run(Command::new(format!("mkfs.{file_system}")).arg("-q").arg(ground.image()))?;
        ground.mount()?;
        Ok(ground)
    }

    /// The directory of the store.
    pub(crate) fn store(&self) -> PathBuf {
        match self.file_system {
            Some(_) => self.mount_point().join("store"),
            None => self.base.path().join("store"),
        }
    }

    /// What keeps everything that is left of the store.
    pub(crate) fn evidence(&self) -> PathBuf {
        if self.file_system.is_some() { self.image() } else { self.store() }
    }

    /// What is not synced now is lost.
    pub(crate) fn cut(&self) -> io::Result<()> {
        if self.mounted { shut_down(&self.mount_point()) } else { Ok(()) }
    }

    /// Lets go of the file system. Requests of a killed process to the ring of its kernel may hold
    /// it for a while.
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

    /// Mounts what the cut has left.
    pub(crate) fn mount(&mut self) -> io::Result<()> {
        if self.file_system.is_some() {
            let mut command = Command::new("mount");
            run(command.args(["-o", "loop"]).arg(self.image()).arg(self.mount_point()))?;
            self.mounted = true;
        }
        Ok(())
    }

    /// Whether to go on with a new one, before the store fails for want of space.
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

impl Drop for Ground {
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

/// Runs a command to its end; an error says what it said.
pub(crate) fn run(command: &mut Command) -> io::Result<Output> {
    let output = command.output();
    let named = |text: String| io::Error::other(format!("{command:?}: {text}"));
    match output {
        Ok(output) if output.status.success() => Ok(output),
        Ok(output) => Err(named(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Err(error) => Err(named(error.to_string())),
    }
}

/// Of a file with holes.
const IMAGE_BYTES: u64 = 1 << 30;
