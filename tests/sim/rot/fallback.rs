//! A damaged newest checkpoint: the store recovers an older one if, and only if, the configuration
//! allows it.

use super::built::{self, Built, KINDS, Newest, build};
use kvick::runtime::Simulation;
use kvick::{Config, ErrorKind, checkpoint};
use tests::files::{Files, Found, open_in, reopen};

const ALL: [checkpoint::Kind; 3] =
    [checkpoint::Kind::FoldOver, checkpoint::Kind::Snapshot, checkpoint::Kind::Incremental];

fn lenient(built: &Built<u64>) -> Config {
    built.config.clone().with_allow_fallback(true)
}

/// Damages one file that only the newest checkpoint has.
fn damaged(built: &Built<u64>) -> Files {
    let token = format!("-{}.", built.newest());
    let own = built.files.0.keys().find(|name| name.contains(&token));
    let own = own.expect("the newest one wrote a file");
    built.files.with(own, |bytes| bytes[20] ^= 1)
}

#[test]
fn an_older_checkpoint_is_served_only_if_allowed() {
    for newest in KINDS {
        let built = build::<u64, u64>(newest, 1);
        let damaged = damaged(&built);
        let found = reopen::<u64, u64>(&damaged, &built.config, 1, |_| panic!("opened"));
        match found {
            Found::Refused(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
            Found::Opened(..) => panic!("opened"),
        }
        let found = reopen::<u64, u64>(&damaged, &lenient(&built), built::KEYS, |report| {
            built.state(report)
        });
        let Found::Opened(report, refused) = found else { panic!("{found:?}") };
        assert!(refused.is_empty(), "{refused:?}");
        let older = *built.states.keys().rev().nth(1).expect("there is an older one");
        assert_eq!(report.chosen.map(|token| token.version()), Some(older));
        let rejected: Vec<u64> = report.rejected.iter().map(|(token, _)| token.version()).collect();
        assert_eq!(rejected, [built.newest()]);
        assert!(report.rejected[0].1.contains("-6.") || newest == Newest::Incremental);
        assert!(!report.from_copy);
    }
}

/// A damaged byte leads to an older checkpoint, to the copy of the manifest, or to a refusal.
#[test]
fn any_damage_leaves_the_state_of_a_checkpoint() {
    for newest in KINDS {
        let built = build::<u64, u64>(newest, 1);
        for (name, bytes) in &built.files.0 {
            for at in (0..bytes.len()).step_by(11) {
                let damaged = built.files.with(name, |bytes| bytes[at] ^= 4);
                let config = lenient(&built);
                let found = reopen::<u64, u64>(&damaged, &config, built::KEYS, |report| {
                    assert_eq!(report.from_copy, name == "manifest");
                    built.state(report)
                });
                if let Found::Refused(error) = found {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{name} {at}: {error}");
                    // All checkpoints need the log and the first file of points.
                    let is_shared = name.starts_with("log.") || name.starts_with("sessions-1.");
                    assert!(is_shared, "{name} {at}: {error}");
                }
            }
        }
    }
}

#[test]
fn a_missing_manifest_is_replaced_by_its_copy_only_if_allowed() {
    for newest in KINDS {
        let built = build::<u64, u64>(newest, 1);
        let damaged = built.files.without("manifest");
        let found = reopen::<u64, u64>(&damaged, &built.config, 1, |_| panic!("opened"));
        assert!(matches!(found, Found::Refused(error) if error.kind() == ErrorKind::NotFound));
        let found = reopen::<u64, u64>(&damaged, &lenient(&built), built::KEYS, |report| {
            built.state(report)
        });
        let Found::Opened(report, refused) = found else { panic!("{found:?}") };
        assert!(report.from_copy && refused.is_empty());
        assert_eq!(report.chosen.map(|token| token.version()), Some(built.newest()));
    }
}

/// The copy may be older than the manifest, since the store writes it later. Tokens must increase
/// even so, or one name would mean two checkpoints.
#[test]
fn tokens_never_go_back() {
    for newest in KINDS {
        let built = build::<u64, u64>(newest, 1);
        let before = &built.before[built.before.len() - 2];
        let old_copy = built.files.replaced("manifest.copy", &before.0["manifest.copy"]);
        for damaged in [damaged(&built), old_copy.without("manifest")] {
            go_on_after_a_fallback(&built, &damaged);
        }
    }
}

/// Falls back, takes new checkpoints, and opens the store again without further damage.
fn go_on_after_a_fallback(built: &Built<u64>, damaged: &Files) {
    for kind in ALL {
        let mut highest = built.newest();
        let mut files = damaged.clone();
        let mut contents = None;
        for life in 0..3_u64 {
            let simulation = Simulation::new(life);
            let handle = simulation.handle();
            files = simulation.run(async {
                let directory = files.restore().await;
                let store = open_in::<u64, u64>(&directory, lenient(built), handle).await;
                let store = store.expect("it falls back");
                let report = store.recovery().expect("recovered");
                let is_clean = life > 0 || report.from_copy;
                assert_eq!(report.rejected.is_empty(), is_clean, "{life}: {report:?}");
                let mut state = contents.take().unwrap_or_else(|| built.state(report).clone());
                for key in 0..built::KEYS {
                    let found = store.read(&key).await.expect("sound");
                    assert_eq!(found, state.get(&key).copied(), "{kind:?} {life} {key}");
                }
                for key in (0..built::KEYS).step_by(3) {
                    store.upsert(&key, &(key + life)).await.expect("memory");
                    state.insert(key, key + life);
                }
                let taken = store.checkpoint().kind(kind).await.expect("memory");
                let token = taken.token.version();
                assert!(token > highest, "{kind:?}: {token} after {highest}");
                highest = token;
                contents = Some(state);
                Files::of(&directory).await
            });
        }
    }
}
