//! A fresh process that opens the store and compares all of it with what it must hold.

use crate::content::Content;
use crate::log;
use crate::plan::{Model, keys};
use crate::scene::{Points, Product, Scene, Verdict, with_value_type};
use crate::worker::say;
use kvick::{FasterKv, Result};
use std::collections::BTreeSet;

pub(crate) async fn run(scene: Scene) {
    say(&match scene.what {
        Product::Store => with_value_type!(&scene, verify),
        Product::Log => log::verify::verify(&scene).await,
    });
}

async fn verify<V: Content + ?Sized>(scene: &Scene) -> Verdict {
    let store = match scene.open::<V>().await {
        Ok(store) => store,
        Err(error) => return Verdict::refused(&error),
    };
    let points = store.recovered_sessions();
    let chosen = store.recovery().and_then(|report| report.chosen);
    let token = chosen.map_or(0, |token| token.version());
    let mut wrong = Vec::new();
    let compared = compare(scene, &store, &points, &mut wrong).await;
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
    scene: &Scene,
    store: &FasterKv<u64, V>,
    points: &Points,
    wrong: &mut Vec<String>,
) -> Result<()> {
    let mut model = Model::default();
    let mut seen = BTreeSet::new();
    let none = BTreeSet::new();
    for (id, point) in points {
        let void = scene.void.get(id).unwrap_or(&none);
        match scene.names.get(id) {
            Some(number) if seen.insert(*number) => model.replay(scene.plan(*number), point, void),
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

/// Differences beyond the first few tell nothing new.
const SHOWN: usize = 8;
