//! Logs that no task uses cost nothing: no timer, no poll, no operation of the disk.

use std::time::Duration;

use kvick::FasterLog;
use tests::simulated::{Site, World, four_log_pages};

const LOGS: u32 = 1000;
const HOUR: Duration = Duration::from_secs(3600);

async fn open(site: &Site, number: u32) -> FasterLog {
    FasterLog::builder(four_log_pages().with_commit_every(Duration::from_millis(1)))
        .runtime(site.handle.clone())
        .directory(site.disk.directory(&format!("log-{number}")))
        .seed(u64::from(number))
        .open_in_directory()
        .await
        .expect("a sound disk")
}

#[test]
fn a_thousand_idle_logs_do_nothing() {
    let world = World::new(1);
    let site = world.site.clone();
    let logs = world.simulation.run(async {
        let mut logs = Vec::new();
        for number in 0..LOGS {
            let log = open(&site, number).await;
            log.append_durable(b"and then nothing more").await.expect("a sound disk");
            logs.push(log);
        }
        site.handle.sleep(HOUR).await;
        logs
    });
    let (steps, operations) = (world.simulation.steps(), site.disk.operations());
    world.simulation.run(site.handle.sleep(HOUR));
    // The steps are those of the sleep: a poll, its timer, and another poll.
    assert!(world.simulation.steps() - steps <= 3, "{} steps", world.simulation.steps() - steps);
    assert_eq!(site.disk.operations(), operations);
    drop(logs);
}
