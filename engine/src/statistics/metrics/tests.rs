//! The published metrics are the metrics in the table of the guide.

use super::super::tests::sample;
use crate::base::error::Error;
use crate::base::health::Health;
use crate::log::{Address, Commit, Stats as LogStats};
use crate::statistics::DeviceStats;
use metrics::{Key, Unit, with_local_recorder};
use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::collections::{BTreeMap, BTreeSet};

/// A published value, by the name, the labels and the kind of its metric.
type Published = BTreeMap<(String, String), (MetricKind, Option<Unit>, String, DebugValue)>;

fn published(publish: impl FnOnce()) -> Published {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    with_local_recorder(&recorder, publish);
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    snapshot
        .map(|(key, unit, text, value)| {
            let (kind, key) = key.into_parts();
            let text = text.map_or_else(String::new, |text| text.to_string());
            ((key.name().to_owned(), labels(&key)), (kind, unit, text, value))
        })
        .collect()
}

fn labels(key: &Key) -> String {
    let labels: Vec<_> = key.labels().map(|it| format!("{}={}", it.key(), it.value())).collect();
    labels.join(" ")
}

fn of_store() -> Published {
    published(|| {
        sample().record_metrics(&[("store", "links")]);
        Health::new(None, Some(Error::busy("it was busy"))).record_metrics(&[("store", "links")]);
    })
}

fn of_log() -> Published {
    published(|| {
        log_stats().record_metrics(&[("store", "links")]);
        Health::new(Some(Error::closed()), None).record_metrics(&[("store", "links")]);
    })
}

fn log_stats() -> LogStats {
    let until = Address::new(2_000_000);
    LogStats {
        begin: Address::new(4096),
        head: Address::new(1_000_000),
        commit: Commit { number: 1234, until, cookie: Vec::new() },
        end: Address::new(2_001_000),
        device: DeviceStats { writes: 12, ..DeviceStats::default() },
        frame_bytes: 1 << 20,
        buffer_bytes: 96 << 10,
    }
}

/// Returns the cells of the rows of the guide that begin with a name in backticks.
fn rows() -> impl Iterator<Item = Vec<String>> {
    let lines = include_str!("../../guide/running.rs").lines();
    let section = lines.skip_while(|line| *line != "//! # Metrics").skip(1);
    let section = section.take_while(|line| *line != "//! # A full disk");
    let rows = section.filter_map(|line| line.strip_prefix("//! | `"));
    rows.map(|row| {
        row.trim_end_matches('|').split('|').map(|it| it.trim().replace('`', "")).collect()
    })
}

/// The uses of memory that a log has. A store has more.
const LOG_USES: [&str; 2] = ["frames", "buffers"];

fn unit_of(name: &str) -> Unit {
    let is_of = |unit| name.contains(unit);
    if is_of("_bytes") {
        Unit::Bytes
    } else if is_of("_seconds") {
        Unit::Seconds
    } else {
        Unit::Count
    }
}

#[test]
fn the_guide_names_every_metric_with_its_labels_and_meaning() {
    let rows: Vec<Vec<String>> = rows().collect();
    let values: BTreeMap<&str, Vec<&str>> = rows
        .iter()
        .filter(|row| row.len() == 2)
        .map(|row| (row[0].as_str(), row[1].split(", ").collect()))
        .collect();
    for (product, published) in [("store", of_store()), ("log", of_log())] {
        let mut expected = BTreeSet::new();
        for row in rows.iter().filter(|row| row.len() == 4) {
            let [name, label, of, meaning] = [&row[0], &row[1], &row[2], &row[3]];
            if of != product && of != "both" {
                continue;
            }
            let labels = values.get(label.as_str()).cloned().unwrap_or_default();
            let is_of_logs = |value: &&&str| label != "use" || LOG_USES.contains(*value);
            let labels = labels.iter().filter(|value| product == "store" || is_of_logs(value));
            let mut labels: Vec<String> =
                labels.map(|value| format!("store=links {label}={value}")).collect();
            if label.is_empty() {
                labels.push("store=links".to_owned());
            }
            expected.extend(labels.into_iter().map(|it| (name.clone(), it, meaning.clone())));
        }
        let found: BTreeSet<_> = published
            .iter()
            .map(|((name, labels), (_, _, text, _))| (name.clone(), labels.clone(), text.clone()))
            .collect();
        assert_eq!(found, expected, "{product}");
    }
}

#[test]
fn names_tell_the_kind_and_the_unit() {
    for ((name, _), (kind, unit, ..)) in of_store().into_iter().chain(of_log()) {
        assert_eq!(kind == MetricKind::Counter, name.ends_with("_total"), "{name}");
        assert_eq!(unit, Some(unit_of(&name)), "{name}");
    }
}

#[test]
fn values_are_those_of_the_statistics() {
    let (store, log) = (of_store(), of_log());
    let value = |published: &Published, name: &str, label: &str| {
        let labels = format!("store=links {label}").trim_end().to_owned();
        match &published[&(format!("kvick_{name}"), labels)].3 {
            DebugValue::Counter(sum) => sum.to_string(),
            DebugValue::Gauge(value) => value.to_string(),
            DebugValue::Histogram(_) => panic!("{name} is a histogram"),
        }
    };
    for (name, label, expected) in [
        ("operations_total", "kind=read", "12345678"),
        ("hits_total", "place=on-device", "70000"),
        ("log_bytes", "region=on-device", "2748779069440"),
        ("device_read_latency_seconds", "quantile=0.99", "0.001048576"),
        ("checkpoints_total", "outcome=failed", "2"),
        ("last_checkpoint_age_seconds", "", "90"),
        ("condition", "condition=sound", "1"),
        ("condition", "condition=closed", "0"),
        ("checkpoint_failed", "", "1"),
    ] {
        assert_eq!(value(&store, name, label), expected, "{name}");
    }
    for (name, label, expected) in [
        ("log_address_bytes", "mark=committed", "2000000"),
        ("log_commit_number", "", "1234"),
        ("device_writes_total", "", "12"),
        ("condition", "condition=closed", "1"),
        ("checkpoint_failed", "", "0"),
    ] {
        assert_eq!(value(&log, name, label), expected, "{name}");
    }
}
