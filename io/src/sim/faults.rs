//! The faults of a simulated disk: which operation fails, and with which error.

use std::collections::BTreeMap;
use std::io;

use crate::error::with_context;
use crate::sim::Random;
use crate::sim::medium::history::OperationKind;
use crate::sim::options::FaultRates;

/// The way in which an operation of a simulated disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fails with an error of this kind. A failed change leaves the disk unchanged if the
    /// [class](crate::ErrorClass) of the error is a shortage; a failed sync does so if the class is
    /// `NotNow`.
    Kind(io::ErrorKind),
    /// Fails as the operating system does when a process has too many open files. The class is
    /// [`NotNow`](crate::ErrorClass::NotNow): the operation did not start.
    NoDescriptors,
}

impl From<io::ErrorKind> for Fault {
    fn from(kind: io::ErrorKind) -> Self {
        Self::Kind(kind)
    }
}

impl Fault {
    pub(super) fn error(self) -> io::Error {
        match self {
            Self::Kind(kind) => kind.into(),
            Self::NoDescriptors => too_many_files(),
        }
    }
}

fn too_many_files() -> io::Error {
    #[cfg(unix)]
    return io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
    #[cfg(windows)]
    return io::Error::from_raw_os_error(4);
    #[cfg(not(any(unix, windows)))]
    return io::ErrorKind::OutOfMemory.into();
}

/// The switches and the schedule of faults.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) at: BTreeMap<u64, Fault>,
    pub(super) reads: Option<io::ErrorKind>,
    pub(super) writes: Option<io::ErrorKind>,
    pub(super) syncs: bool,
    pub(super) opens: Option<Fault>,
    pub(super) rates: FaultRates,
}

impl Faults {
    /// Returns whether the operation with this number fails. Asked once for each, at its end.
    pub(super) fn verdict(
        &mut self,
        number: u64,
        kind: OperationKind,
        random: &mut Random,
    ) -> io::Result<()> {
        let scheduled = self.at.remove(&number);
        let (switch, rate) = match kind {
            _ if kind.is_read() => (self.reads, self.rates.read),
            // A switch for writes also prevents the creation of files.
            OperationKind::Create => (self.writes, self.rates.name),
            _ if kind.is_write() => (self.writes, self.rates.write),
            _ if kind.is_sync() => {
                let switch = self.syncs.then_some(io::ErrorKind::Other);
                (switch, self.rates.sync)
            }
            _ => (None, self.rates.name),
        };
        let opening = self.opens.filter(|_| kind.opens_files());
        // Always drawn, so that a switch does not change the draws of later operations.
        let chance = random.chance(rate).then_some(io::ErrorKind::Other);
        match scheduled.or(switch.map(Fault::Kind)).or(opening).or(chance.map(Fault::Kind)) {
            Some(fault) => {
                let message = format!("simulated fault of operation {number}, {kind:?}");
                Err(with_context(fault.error(), message))
            }
            None => Ok(()),
        }
    }
}
