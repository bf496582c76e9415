//! An open directory whose files are found through its descriptor.
//!
//! A path names the place where a directory was. Another directory may take that place after the
//! opening, and files found by path would go there. So the path is looked up once. Every later call
//! uses the descriptor, if the operating system supports it.
//!
//! Links are not followed, and only regular files are opened. A named pipe with the name of a file
//! would block the thread that opens it.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::contract::names;
use crate::error::naming;
use crate::files::file::StorageFile;

/// A directory that is open.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    #[cfg(unix)]
    entries: Arc<StorageFile>,
}

/// The mode in which a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Opens the file for writing, else for reading only.
    pub(crate) write: bool,
    pub(crate) create: Creation,
    /// Bypasses the page cache. Linux only.
    pub(crate) direct: bool,
}

/// The action for a file that is absent, or that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creation {
    Never,
    IfAbsent,
    /// Fails if the file exists.
    New,
    /// Truncates an existing file to length zero.
    Empty,
}

impl Access {
    pub(crate) const READ: Self = Self { write: false, create: Creation::Never, direct: false };

    pub(crate) fn write(create: Creation) -> Self {
        Self { write: true, create, direct: false }
    }
}

impl Root {
    /// Returns whether the file system is mounted for reading only.
    #[cfg(unix)]
    pub(crate) fn is_read_only(&self) -> bool {
        use rustix::fs::{StatVfsMountFlags, fstatvfs};

        // A sandbox may refuse the call.
        fstatvfs(self.directory())
            .is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    /// Returns `false`: the system does not report it.
    #[cfg(not(unix))]
    pub(crate) fn is_read_only(&self) -> bool {
        false
    }

    /// Returns the path that was opened, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the sorted names that follow the grammar, without names of directories.
    pub(crate) fn list(&self) -> io::Result<Vec<String>> {
        // An entry with an invalid name was not created here, and no caller can open it.
        let mut names = self.names()?;
        names.retain(|name| names::check(name).is_ok());
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the index and the file name of every segment of `device`.
    pub(crate) fn list_segments(&self, device: &str) -> io::Result<Vec<(u64, String)>> {
        let files = self.list()?.into_iter();
        Ok(files.filter_map(|file| Some((names::segment_index(device, &file)?, file))).collect())
    }

    /// Opens a file for transfers.
    pub(crate) fn open_storage(&self, name: &str, access: Access) -> io::Result<StorageFile> {
        StorageFile::opened(self.open_file(name, access)?, name)
    }

    /// Returns the whole contents of a file.
    pub(crate) fn read_file(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let opened = self.open_file(name, Access::READ);
        let read = opened.and_then(|mut file| io::Read::read_to_end(&mut file, &mut bytes));
        read.map_err(naming(name))?;
        Ok(bytes)
    }
}

fn no_exchange(why: &dyn std::fmt::Display) -> io::Error {
    let message = format!("files cannot exchange names here; rename them instead: {why}");
    io::Error::new(io::ErrorKind::Unsupported, message)
}

fn expect_regular(found: &Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "this is not a regular file; move it away"))
}

#[cfg(unix)]
impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;

        let flags = rustix::fs::OFlags::DIRECTORY.bits().cast_signed();
        let directory = File::options().read(true).custom_flags(flags).open(path)?;
        let entries = Arc::new(StorageFile::directory(directory, path));
        Ok(Self { path: path.to_owned(), entries })
    }

    /// Returns the directory itself.
    pub(crate) fn directory(&self) -> &File {
        self.entries.file()
    }

    /// Returns the directory as a file to sync, where the system supports that.
    pub(crate) fn entries(&self) -> Option<&Arc<StorageFile>> {
        Some(&self.entries)
    }

    pub(crate) fn open_file(&self, name: &str, access: Access) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags, fcntl_setfl, openat};

        let kept = direct_flag(access.direct);
        // Nonblocking until the type of the opened file is known.
        let mut flags = kept | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        flags |= if access.write { OFlags::RDWR } else { OFlags::RDONLY };
        flags |= match access.create {
            Creation::Never => OFlags::empty(),
            Creation::IfAbsent => OFlags::CREATE,
            Creation::New => OFlags::CREATE | OFlags::EXCL,
            Creation::Empty => OFlags::CREATE | OFlags::TRUNC,
        };
        let mode = Mode::RUSR | Mode::WUSR;
        let open = || openat(self.directory(), name, flags, mode);
        let file = File::from(rustix::io::retry_on_intr(open)?);
        expect_regular(&file.metadata()?)?;
        fcntl_setfl(&file, kept)?;
        Ok(file)
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(self.directory(), from, self.directory(), to)?)
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn exchange(&self, one: &str, other: &str) -> io::Result<()> {
        use rustix::fs::{RenameFlags, renameat_with};
        use rustix::io::Errno;

        let flags = RenameFlags::EXCHANGE;
        match renameat_with(self.directory(), one, self.directory(), other, flags) {
            // The errors of kernels, file systems and filters of system calls without the exchange.
            Err(error @ (Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM)) => {
                Err(no_exchange(&error))
            }
            exchanged => Ok(exchanged?),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn exchange(&self, _one: &str, _other: &str) -> io::Result<()> {
        Err(no_exchange(&"this system has no exchange of names"))
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.directory(), name, rustix::fs::AtFlags::empty())?)
    }

    /// Returns the length of a file, or of the link if the entry is a link.
    pub(crate) fn file_bytes(&self, name: &str) -> io::Result<u64> {
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        let found = rustix::fs::statat(self.directory(), name, flags)?;
        Ok(u64::try_from(found.st_size).unwrap_or(0))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(self.directory())? {
            let entry = entry?;
            if let (Ok(name), false) = (entry.file_name().to_str(), entry.file_type().is_dir()) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

#[cfg(target_os = "linux")]
fn direct_flag(direct: bool) -> rustix::fs::OFlags {
    if direct { rustix::fs::OFlags::DIRECT } else { rustix::fs::OFlags::empty() }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn direct_flag(direct: bool) -> rustix::fs::OFlags {
    assert!(!direct, "direct I/O is offered on Linux only");
    rustix::fs::OFlags::empty()
}

#[cfg(not(unix))]
impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        std::fs::read_dir(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Returns `None`: this system cannot sync entries.
    pub(crate) fn entries(&self) -> Option<&Arc<StorageFile>> {
        None
    }

    pub(crate) fn open_file(&self, name: &str, access: Access) -> io::Result<File> {
        assert!(!access.direct, "direct I/O is offered on Linux only");
        let Access { write, create, .. } = access;
        let mut options = File::options();
        options.read(true).write(write).create(create == Creation::IfAbsent);
        options.create_new(create == Creation::New);
        if create == Creation::Empty {
            options.create(true).truncate(true);
        }
        let file = options.open(self.path.join(name))?;
        expect_regular(&file.metadata()?)?;
        Ok(file)
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    pub(crate) fn exchange(&self, _one: &str, _other: &str) -> io::Result<()> {
        Err(no_exchange(&"this system has no exchange of names"))
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    pub(crate) fn file_bytes(&self, name: &str) -> io::Result<u64> {
        Ok(std::fs::symlink_metadata(self.path.join(name))?.len())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }
}
