//! The processor time and the resident memory of the process, from `/proc/self`.
//!
//! On systems without `/proc` every figure is zero and the report says "unknown".

use std::fs;
use std::time::Duration;

/// Clock ticks per second in `/proc`: fixed by the kernel's user interface on every architecture.
const TICKS_PER_SECOND: u64 = 100;

/// Bytes of a page in `/proc/self/statm`, on the machines of these benchmarks.
const PAGE_BYTES: u64 = 4096;

/// Processor time of all threads of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessorTime {
    /// Time in user mode.
    pub user: Duration,
    /// Time in the kernel for the process.
    pub system: Duration,
}

impl ProcessorTime {
    /// Returns the processor time so far, to 10 ms.
    pub fn now() -> Self {
        let Ok(stat) = fs::read_to_string("/proc/self/stat") else {
            return Self::default();
        };
        // The command is in parentheses and may contain spaces, so fields are counted after it.
        let after_command = stat.rsplit(')').next().unwrap_or_default();
        let mut fields = after_command.split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        Self { user: from_ticks(ticks()), system: from_ticks(ticks()) }
    }

    /// Returns the time since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    /// Returns the sum of user and system time.
    pub fn total(&self) -> Duration {
        self.user + self.system
    }
}

/// Returns the resident bytes of the process, without its code and other contents of files.
pub fn resident_bytes() -> u64 {
    let [resident, of_files] = resident_and_files();
    resident.saturating_sub(of_files)
}

/// Returns the resident bytes of the process, and those of them that are contents of files.
fn resident_and_files() -> [u64; 2] {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = statm.split_ascii_whitespace().map(|pages| pages.parse().unwrap_or(0)).skip(1);
    [(); 2].map(|()| pages.next().unwrap_or(0) * PAGE_BYTES)
}

/// Forgets the peak of resident memory so far.
pub fn reset_peak() {
    // A kernel that refuses it reports the peak since the start of the process.
    if let Err(error) = fs::write("/proc/self/clear_refs", "5") {
        eprintln!("the peak of memory is since the start: {error}");
    }
}

/// Returns the largest number of resident bytes since [`reset_peak`], without contents of files.
pub fn peak_resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().split(' ').next()?.parse::<u64>().ok());
    let [_, of_files] = resident_and_files();
    kib.map_or(0, |kib| kib << 10).saturating_sub(of_files)
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_running_process_is_resident() {
        assert!(resident_bytes() > 1 << 16);
    }
}
