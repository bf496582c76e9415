//! Random direct reads of 512 bytes at several depths: this crate, a bare io_uring loop and a
//! blocking `pread`. They take turns in one process, so that all see the same disk and the same
//! noise.
//!
//! ```text
//! cargo run --release -p kvick-io --example read_depth -- DIRECTORY [SECONDS [ROUNDS [MEBIBYTES]]]
//! ```
//!
//! DIRECTORY must be on a real disk. The example creates a file there and deletes it at the end.
//! The figures are the medians of the rounds. Processor time is that of the process, including the
//! kernel.

#[cfg(target_os = "linux")]
mod arms;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(all(feature = "glommio", target_os = "linux"))]
mod on_glommio;
#[cfg(target_os = "linux")]
mod raw;

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the example compares with io_uring and runs only on Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    use kvick_io::{BackendChoice, IoConfig, open_directory};

    use crate::arms::{self, Runtime};
    use crate::measure::{BARE, Job, Table};
    use crate::raw;

    const DEPTHS: [usize; 5] = [1, 4, 16, 64, 128];

    pub(crate) fn main() -> io::Result<()> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let Some(path) = arguments.first() else {
            return Err(io::Error::other(
                "no directory is given; pass a directory as the first argument",
            ));
        };
        let number = |index: usize, default: u64| {
            arguments.get(index).map_or(Ok(default), |text| text.parse::<u64>())
        };
        let parse = |index, default| number(index, default).map_err(io::Error::other);
        let (seconds, rounds, mebibytes) = (parse(1, 2)?, parse(2, 5)?, parse(3, 2048)?);
        let job = Job { bytes: mebibytes << 20, time: Duration::from_secs(seconds) };

        let path = Path::new(path);
        arms::prepare(path, &job)?;
        let outcome = measure(path, &job, rounds.max(1));
        arms::delete(path)?;
        outcome?.print();
        Ok(())
    }

    fn measure(path: &Path, job: &Job, rounds: u64) -> io::Result<Table> {
        let open = |backend| {
            let config = IoConfig { backend, ..IoConfig::default() };
            pollster::block_on(async { arms::device(&*open_directory(path, &config)?, job).await })
        };
        let (uring, threads) = (open(BackendChoice::Auto)?, open(BackendChoice::Threads)?);
        let name = uring.geometry().backend;
        let mut table = Table::default();
        for _ in 0..rounds {
            table.add(1, "pread, blocking", raw::pread(path, job)?);
            table.add(1, &format!("{name}, block_on"), arms::one_by_one(&*uring, job)?);
            for depth in DEPTHS {
                table.add(depth, BARE, raw::io_uring(path, job, depth)?);
                for (runtime, label) in [(Runtime::Current, "tokio 1"), (Runtime::Two, "tokio 2")] {
                    let figures = arms::tasks(&uring, job, depth, runtime)?;
                    table.add(depth, &format!("{name}, {label}"), figures);
                }
                let figures = arms::batches(&*uring, job, depth)?;
                table.add(depth, &format!("{name}, read_many"), figures);
                let figures = arms::tasks(&threads, job, depth, Runtime::Two)?;
                table.add(depth, "threads, tokio 2", figures);
            }
            #[cfg(feature = "glommio")]
            for depth in DEPTHS {
                table.add(depth, "glommio", crate::on_glommio::tasks(path, job, depth)?);
            }
        }
        Ok(table)
    }
}
