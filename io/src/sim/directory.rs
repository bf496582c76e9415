//! A directory on a simulated disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::contract::boxed::BoxFuture;
use crate::contract::buf::AlignedBuf;
use crate::contract::device::Device;
use crate::contract::directory::{DeviceOptions, Directory, Lock};
use crate::contract::names;
use crate::files::segments::{Extent, Segments};
use crate::sim::device::SimDevice;
use crate::sim::failures::{Failures, NAMES};
use crate::sim::medium::file::SimFile;
use crate::sim::medium::history::OperationKind;
use crate::sim::medium::work::{Coverage, Work};
use crate::sim::medium::world::{World, is_not_now, not_found};
use crate::sim::shared::Shared;

pub(super) struct SimDirectory {
    pub(super) path: String,
    pub(super) disk: Arc<Shared>,
    /// The failed syncs of the names.
    pub(super) failures: Arc<Failures>,
}

impl SimDirectory {
    /// Performs one operation on names, after checking them.
    fn call<T: Send + 'static>(
        &self,
        kind: OperationKind,
        names: &[&str],
        effect: impl FnOnce(&mut World) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, io::Result<T>> {
        let checked = names.iter().try_for_each(|name| names::check(name));
        let subject = format!("{}/{}", self.path, names.join(" "));
        Box::pin(async move {
            checked?;
            let effect = move |world: &mut World, verdict: io::Result<()>| {
                verdict?;
                effect(world)
            };
            self.disk.perform(kind, subject, move |_| effect).await
        })
    }

    async fn write(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        let (path, owned) = (self.path.clone(), name.to_owned());
        let length = bytes.len() as u64;
        let create = move |world: &mut World| {
            let file = world.file_or_new(&path, &owned);
            // An overwritten file needs no more space than it has.
            world.change(&file, |contents| contents.shorten(length));
            Ok(file)
        };
        let file = self.call(OperationKind::Create, &[name], create).await?;
        let subject = format!("{}/{name} 0+{}", self.path, bytes.len());
        if !bytes.is_empty() {
            let mut buf = AlignedBuf::zeroed(bytes.len());
            buf.copy_from_slice(&bytes);
            let extent = Extent { file: Arc::clone(&file), offset: 0, len: bytes.len() };
            let work = Work::Write(vec![extent], buf, None);
            let writing = self.disk.begin_now(OperationKind::Write, subject.clone(), move |_| work);
            writing.await.result?;
        }
        let sync = move |_: &mut World| {
            let stamp = file.contents().stamp();
            // A handle of its own: earlier failures do not affect it.
            let failures = Arc::default();
            let files = vec![(file, stamp)];
            Work::Sync(Coverage { files, directory: None, failures }, None)
        };
        let syncing = self.disk.begin_now(OperationKind::Sync, subject, sync);
        syncing.await.result
    }
}

impl Directory for SimDirectory {
    fn open_device(
        &self,
        name: &str,
        options: DeviceOptions,
    ) -> BoxFuture<'_, io::Result<Arc<dyn Device>>> {
        let (path, owned) = (self.path.clone(), name.to_owned());
        let opened = self.call(OperationKind::Open, &[name], move |world| {
            options.check()?;
            segments(world, &path, &owned, options)
        });
        Box::pin(async move {
            let device: Arc<dyn Device> = Arc::new(SimDevice {
                segments: Arc::new(opened.await?),
                directory: self.path.clone(),
                disk: Arc::clone(&self.disk),
                failures: Arc::default(),
                names: Arc::clone(&self.failures),
            });
            Ok(device)
        })
    }

    fn list(&self) -> BoxFuture<'_, io::Result<Vec<String>>> {
        let path = self.path.clone();
        self.call(OperationKind::List, &[], move |world| {
            Ok(world.directory(&path).names().keys().cloned().collect())
        })
    }

    fn read_file(&self, name: &str) -> BoxFuture<'_, io::Result<Vec<u8>>> {
        let (path, owned) = (self.path.clone(), name.to_owned());
        self.call(OperationKind::ReadFile, &[name], move |world| {
            let file = existing(world, &path, &owned)?;
            let contents = file.contents();
            let length = usize::try_from(contents.length()).expect("it is in memory");
            let mut bytes = vec![0; length];
            assert!(contents.read(0, &mut bytes), "the file is this long");
            Ok(bytes)
        })
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> BoxFuture<'_, io::Result<()>> {
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        Box::pin(async move { self.write(&name, bytes).await })
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'_, io::Result<()>> {
        let (path, old, new) = (self.path.clone(), from.to_owned(), to.to_owned());
        self.call(OperationKind::Rename, &[from, to], move |world| {
            let file = existing(world, &path, &old)?;
            if let Some(replaced) = world.directory(&path).rename(&file, &new) {
                world.change(&replaced, |contents| contents.linked = false);
            }
            Ok(())
        })
    }

    fn exchange(&self, one: &str, other: &str) -> BoxFuture<'_, io::Result<()>> {
        let (path, first, second) = (self.path.clone(), one.to_owned(), other.to_owned());
        self.call(OperationKind::Rename, &[one, other], move |world| {
            let (one, other) = (existing(world, &path, &first)?, existing(world, &path, &second)?);
            world.directory(&path).exchange((&first, &one), (&second, &other));
            Ok(())
        })
    }

    fn remove_file(&self, name: &str) -> BoxFuture<'_, io::Result<()>> {
        let (path, owned) = (self.path.clone(), name.to_owned());
        self.call(OperationKind::Remove, &[name], move |world| world.unlink(&path, &owned))
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        let (path, failures) = (self.path.clone(), Arc::clone(&self.failures));
        let start = move |world: &mut World| {
            // Changes that end while the sync is in flight are not covered.
            let stamp = world.directory(&path).stamp();
            move |world: &mut World, verdict: io::Result<()>| {
                let mut random = world.random.fork();
                let ignored = world.options.ignore_syncs;
                failures.check([NAMES])?;
                match verdict {
                    verdict if ignored => verdict,
                    Ok(()) => {
                        world.directory(&path).sync(stamp);
                        Ok(())
                    }
                    Err(error) if is_not_now(&error) => Err(error),
                    Err(error) => {
                        world.directory(&path).fail_sync(stamp, &mut random);
                        Err(failures.note(&[NAMES], error))
                    }
                }
            }
        };
        let subject = self.path.clone();
        Box::pin(self.disk.perform(OperationKind::SyncDirectory, subject, start))
    }

    fn lock(&self, name: &str) -> BoxFuture<'_, io::Result<Box<dyn Lock>>> {
        let (path, owned) = (self.path.clone(), name.to_owned());
        self.call(OperationKind::Lock, &[name], move |world| {
            if !world.read_only {
                world.file_or_new(&path, &owned);
            }
            let key = (path, owned);
            let locked = Arc::clone(&world.locked);
            if !keys(&locked).insert(key.clone()) {
                let message =
                    format!("{}/{} is locked by another handle; close it first", key.0, key.1);
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            let lock: Box<dyn Lock> = Box::new(SimLock { key, locked });
            Ok(lock)
        })
    }

    fn is_read_only(&self) -> bool {
        self.disk.world().read_only
    }

    fn describe(&self) -> String {
        format!("sim:{}", self.path)
    }
}

impl fmt::Debug for SimDirectory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SimDirectory({})", self.path)
    }
}

type Locked = Mutex<BTreeSet<(String, String)>>;

#[derive(Debug)]
struct SimLock {
    key: (String, String),
    locked: Arc<Locked>,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        keys(&self.locked).remove(&self.key);
    }
}

fn keys(locked: &Locked) -> std::sync::MutexGuard<'_, BTreeSet<(String, String)>> {
    locked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn existing(world: &mut World, path: &str, name: &str) -> io::Result<Arc<SimFile>> {
    let file = world.directory(path).names().get(name).map(Arc::clone);
    file.ok_or_else(|| not_found(name))
}

/// Returns the segments of a device that is being opened.
fn segments(
    world: &mut World,
    path: &str,
    name: &str,
    options: DeviceOptions,
) -> io::Result<Segments<SimFile>> {
    let names = world.directory(path).names().iter();
    let mut files: BTreeMap<u64, Arc<SimFile>> = names
        .filter_map(|(file, contents)| {
            Some((names::segment_index(name, file)?, Arc::clone(contents)))
        })
        .collect();
    if files.is_empty() {
        if !options.create {
            return Err(not_found(name));
        }
        world.check_changes(name)?;
        files.insert(0, world.file_or_new(path, &names::segment(name, 0)));
    }
    Ok(Segments::new(name, options.segment_bytes, files))
}
