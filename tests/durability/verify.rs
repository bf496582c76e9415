//! The verifier: a fresh process that opens the store and compares all of it with its expected
//! contents.

use crate::content::Content;
use crate::job::{Job, Points, Product, Verdict, with_value_type};
use crate::log;
use crate::plan::{Model, keys};
use crate::worker::say;
use kvick::{FasterKv, Result};
use std::collections::BTreeSet;

pub(crate) async fn run(job: Job) {
    say(&match job.what {
        Product::Store | Product::Wal => with_value_type!(&job, verify),
        Product::Log => log::verify::verify(&job).await,
    });
}

async fn verify<V: Content + ?Sized>(job: &Job) -> Verdict {
    let store = match job.open::<V>().await {
        Ok(store) => store,
        Err(error) => return Verdict::refused(&error),
    };
    let points = store.recovered_sessions();
    let chosen = store.recovery().and_then(|report| report.chosen);
    let token = chosen.map_or(0, |token| token.version());
    let mut wrong = Vec::new();
    let compared = compare(job, &store, &points, &mut wrong).await;
    if let Err(error) = compared {
        wrong.push(format!("reading: {:?}: {error}", error.kind()));
    }
    if let Err(error) = store.close().await {
        wrong.push(format!("closing: {error}"));
    }
    wrong.truncate(SHOWN);
    Verdict::Opened { token, points, wrong }
}

async fn compare<V: Content + ?Sized>(
    job: &Job,
    store: &FasterKv<u64, V>,
    points: &Points,
    wrong: &mut Vec<String>,
) -> Result<()> {
    let mut model = Model::default();
    let mut seen = BTreeSet::new();
    let none = BTreeSet::new();
    for (id, point) in points {
        let void = job.void.get(id).unwrap_or(&none);
        match job.names.get(id) {
            Some(number) if seen.insert(*number) => model.replay(job.plan(*number), point, void),
            known => wrong.push(format!("session {id} ({known:?}) should not be there")),
        }
    }
    let keys: Vec<u64> = keys().collect();
    for some in keys.chunks(64) {
        let values = store.read_many(some).await?;
        for (key, value) in some.iter().zip(values) {
            let found = value.as_ref().map(|value| V::word(value));
            let expected = model.word(*key).map(Some);
            if found != expected {
                wrong.push(format!("key {key:#x}: {found:x?}, expected {expected:x?}"));
            }
        }
    }
    Ok(())
}

/// The number of reported differences. More of them add no information.
const SHOWN: usize = 8;
