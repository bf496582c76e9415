//! Which operation fails, and how.

use std::collections::BTreeMap;
use std::io;

use crate::sim::Random;
use crate::sim::history::OperationKind;
use crate::sim::options::FaultRates;

/// The switches and the schedule of faults.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) at: BTreeMap<u64, io::ErrorKind>,
    pub(super) reads: Option<io::ErrorKind>,
    pub(super) writes: Option<io::ErrorKind>,
    pub(super) syncs: bool,
    pub(super) rates: FaultRates,
}

impl Faults {
    /// Whether the operation with this number fails. Asked once for each, when it would end.
    pub(super) fn verdict(
        &mut self,
        number: u64,
        kind: OperationKind,
        random: &mut Random,
    ) -> io::Result<()> {
        let scheduled = self.at.remove(&number);
        let (switch, rate) = match kind {
            _ if kind.is_read() => (self.reads, self.rates.read),
            // A switch for writes also stops files from being created.
            OperationKind::Create => (self.writes, self.rates.name),
            _ if kind.is_write() => (self.writes, self.rates.write),
            _ if kind.is_sync() => {
                let switch = self.syncs.then_some(io::ErrorKind::Other);
                (switch, self.rates.sync)
            }
            _ => (None, self.rates.name),
        };
        // Drawn always, so that a switch does not change what later operations draw.
        let chance = random.chance(rate).then_some(io::ErrorKind::Other);
        match scheduled.or(switch).or(chance) {
            Some(error) => {
                let message = format!("simulated fault of operation {number}, {kind:?}");
                Err(io::Error::new(error, message))
            }
            None => Ok(()),
        }
    }
}
