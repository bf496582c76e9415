//! Futures of a log that are dropped or leaked after n polls, for every n. The operation took
//! effect completely or not at all, and the log continues.

use futures::{StreamExt, TryStreamExt};
use kvick::{FasterLog, Result, log};
use tests::polling::AtMost;
use tests::samples::pattern;
use tests::simulated::{Site, after_each_number_of_polls, four_log_pages, seeds};

/// A number of polls that exceeds those of any operation here.
const POLLS_MAX: u32 = 300;
const SEEDS: u64 = 100;

/// The effect of an operation on a log.
struct Case {
    /// The entries that a finished operation has appended.
    new: Vec<Vec<u8>>,
    /// Whether a dropped operation may have taken effect.
    is_loose: bool,
}

impl Case {
    fn nothing() -> Self {
        Self { new: Vec::new(), is_loose: false }
    }
}

/// Opens a log with full memory, so that an append has to wait. Returns the appended entries.
async fn prepare(site: &Site) -> (FasterLog, Vec<(log::Address, Vec<u8>)>) {
    let log = site.open_log(four_log_pages()).await;
    let mut entries = Vec::new();
    for number in 0..25 {
        let payload = pattern(number, 900);
        entries.push((log.append(&payload).await.expect("a sound disk"), payload));
    }
    log.commit().await.expect("a sound disk");
    while let Ok(address) = log.try_append(b"to be written") {
        entries.push((address, b"to be written".to_vec()));
    }
    (log, entries)
}

async fn payloads(log: &FasterLog) -> Vec<Vec<u8>> {
    log.scan(..).map_ok(|entry| entry.payload.to_vec()).try_collect().await.expect("a sound disk")
}

/// Drops `operation` after 1, 2, 3, .. polls until it finishes by itself. Compares the entries each
/// time, also after the log was opened again.
fn drop_after_each_poll(
    case: &Case,
    operation: impl AsyncFn(&FasterLog, &[(log::Address, Vec<u8>)]) -> Result<()>,
    expected: impl Fn(&[Vec<u8>], bool) -> Vec<Vec<u8>>,
) {
    seeds(SEEDS, |seed| {
        after_each_number_of_polls(seed, 1..POLLS_MAX, async |site, polls| {
            let (log, before) = prepare(site).await;
            let operation = AtMost::new(polls, operation(&log, &before));
            let finished = operation.leaking(seed % 2 == 1).await;
            let is_finished = finished.is_some();
            finished.unwrap_or(Ok(())).expect("a sound disk");
            let before: Vec<Vec<u8>> = before.into_iter().map(|(_, payload)| payload).collect();
            log.append_durable(b"later").await.expect("a sound disk");
            let found = payloads(&log).await;
            let mut may_be = vec![expected(&before, is_finished)];
            if case.is_loose {
                may_be.push(expected(&before, true));
            }
            may_be.iter_mut().for_each(|entries| entries.push(b"later".to_vec()));
            assert!(may_be.contains(&found), "after {polls} polls: {} entries", found.len());
            log.close().await.expect("a sound disk");
            let log = site.open_log(four_log_pages()).await;
            assert!(payloads(&log).await == found, "opened again, after {polls} polls");
            log.close().await.expect("a sound disk");
            is_finished
        });
    });
}

/// Drops `operation` after each poll. The log has its entries if it has finished.
fn appends(
    case: &Case,
    operation: impl AsyncFn(&FasterLog, &[(log::Address, Vec<u8>)]) -> Result<()>,
) {
    drop_after_each_poll(case, operation, |before, is_finished| {
        let new = if is_finished { &case.new[..] } else { &[] };
        [before, new].concat()
    });
}

#[test]
fn an_append_happens_or_not() {
    let case = Case { new: vec![pattern(100, 700)], ..Case::nothing() };
    appends(&case, async |log, _| log.append(&case.new[0]).await.map(drop));
}

#[test]
fn an_append_in_pieces_happens_or_not() {
    let case = Case { new: vec![pattern(100, 7000)], ..Case::nothing() };
    appends(&case, async |log, _| log.append(&case.new[0]).await.map(drop));
}

#[test]
fn many_entries_are_appended_or_none() {
    let new = (100..106).map(|number| pattern(number, 1000)).collect();
    let case = Case { new, ..Case::nothing() };
    appends(&case, async |log, _| log.append_many(&case.new).await.map(drop));
}

#[test]
fn a_durable_append_happens_or_not() {
    let case = Case { new: vec![pattern(100, 700)], is_loose: true };
    appends(&case, async |log, _| log.append_durable(&case.new[0]).await.map(drop));
}

#[test]
fn commits_leave_nothing() {
    let case = Case::nothing();
    appends(&case, async |log, _| log.commit().await.map(drop));
    appends(&case, async |log, _| log.commit().cookie(b"crumbs").await.map(drop));
    appends(&case, async |log, _| log.commit().number(77).await.map(drop));
}

#[test]
fn readers_leave_nothing() {
    let case = Case::nothing();
    appends(&case, async |log, before| {
        for (address, payload) in [&before[0], &before[30]] {
            assert_eq!(log.read(*address).await?.as_deref(), Some(&payload[..]));
        }
        let mut scan = log.scan(..);
        for _ in 0..20 {
            scan.next().await.expect("committed")?;
        }
        Ok(())
    });
}

#[test]
fn a_truncation_happens_or_not() {
    let case = Case { is_loose: true, ..Case::nothing() };
    drop_after_each_poll(
        &case,
        async |log, before| log.truncate_until(before[3].0).await,
        |before, is_finished| before[if is_finished { 3 } else { 0 }..].to_vec(),
    );
}

#[test]
fn entries_are_taken_back_or_not() {
    let case = Case { is_loose: true, ..Case::nothing() };
    drop_after_each_poll(
        &case,
        // This entry and those before it are on the device.
        async |log, before| log.truncate_suffix(before[3].0).await.map(drop),
        |before, is_finished| before[..if is_finished { 3 } else { before.len() }].to_vec(),
    );
}

/// A caller drops the future that closes, completes or opens a log, and repeats the operation.
#[test]
fn the_end_of_a_log_can_be_repeated() {
    seeds(SEEDS, |seed| {
        after_each_number_of_polls(seed, 1..POLLS_MAX, async |site, polls| {
            let (log, before) = prepare(site).await;
            let completes = seed % 3 == 0;
            let ending = async {
                if completes {
                    log.complete().await.expect("a sound disk");
                }
                log.close().await
            };
            let finished = AtMost::new(polls, ending).await;
            if completes && finished.is_none() {
                match log.complete().await {
                    Ok(commit) => assert!(commit.until > before[before.len() - 1].0),
                    Err(error) => assert_eq!(error.kind(), kvick::ErrorKind::Closed),
                }
            }
            match log.close().await {
                Ok(()) => {}
                Err(error) => assert_eq!(error.kind(), kvick::ErrorKind::Closed, "{error}"),
            }
            drop(log);
            let opening = AtMost::new(polls, site.try_open_log(four_log_pages())).await;
            drop(opening);
            let log = loop {
                // A log that was opened and dropped releases its directory later.
                match site.try_open_log(four_log_pages()).await {
                    Ok(log) => break log,
                    Err(error) => assert_eq!(error.kind(), kvick::ErrorKind::InUse),
                }
            };
            let before: Vec<Vec<u8>> = before.into_iter().map(|(_, payload)| payload).collect();
            assert!(payloads(&log).await == before, "after {polls} polls");
            log.close().await.expect("a sound disk");
            finished.is_some()
        });
    });
}
