//! The sessions that a store keeps, and the numbers of their operations.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::{ErrorKind, FasterKv, Result};
use tests::configs::many_pages;

async fn open(directory: &MemoryDirectory) -> Result<FasterKv<u64, u64>> {
    let builder = FasterKv::builder(many_pages()).directory(Arc::new(directory.clone()));
    builder.open_in_directory().await
}

/// Workers hold their sessions until the store is closed, and no task asks for their identities.
/// Every later life recovered all these sessions, a thousand after ten lives, and kept them in the
/// manifest.
#[test]
fn sessions_without_an_identity_do_not_pile_up() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        for _life in 0..10 {
            let store = open(&directory).await?;
            assert!(store.recovered_sessions().is_empty());
            let mut sessions = Vec::new();
            for _ in 0..100 {
                sessions.push(store.session()?);
            }
            for session in &mut sessions {
                session.upsert(&1, &1).await?;
            }
            store.close().await?;
        }
        Ok(())
    })
}

/// Only the list of sessions had changed, so closing took no checkpoint, and the session came back.
#[test]
fn a_forgotten_session_stays_forgotten() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let store = open(&directory).await?;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let mut session = store.session()?;
            ids.push(session.id());
            session.upsert(&1, &1).await?;
        }
        store.close().await?;
        let store = open(&directory).await?;
        assert_eq!(store.recovered_sessions().len(), 3);
        assert!(store.forget_session(ids[0]));
        assert!(!store.forget_session(ids[0]), "once");
        store.close().await?;
        let store = open(&directory).await?;
        assert!(store.recovered_sessions().keys().eq(&ids[1..]));
        let newest = store.checkpoint().await?.token.version();
        assert_eq!(store.forget_sessions(|id, point| point.version < newest && id == ids[1]), 1);
        store.close().await?;
        let store = open(&directory).await?;
        assert!(store.recovered_sessions().keys().eq(&ids[2..]));
        store.close().await
    })
}

/// The closure ran under the lock of the sessions: a store that it asked never answered.
#[test]
fn a_closure_that_forgets_sessions_may_use_the_store() -> Result<()> {
    block_on(async {
        let store = open(&MemoryDirectory::new()).await?;
        let mut ids = Vec::new();
        for key in 0..4 {
            let mut session = store.session()?;
            ids.push(session.id());
            session.upsert(&key, &1).await?;
        }
        assert_eq!(store.recovered_sessions().len(), 4);
        let mut open = Vec::new();
        let forgotten = store.forget_sessions(|id, point| {
            assert_eq!(store.recovered_sessions().get(&id), Some(point));
            // The first session is open afterwards, the second has done more, the third has not.
            match ids.iter().position(|it| *it == id) {
                Some(0) => open.push(store.resume_session(id).expect("it waits")),
                Some(1) => {
                    let mut session = store.resume_session(id).expect("it waits");
                    block_on(session.upsert(&9, &9)).expect("sound memory");
                }
                Some(2) => drop(store.resume_session(id).expect("it waits")),
                _ => assert!(store.forget_session(id)),
            }
            true
        });
        assert_eq!(forgotten, 1, "the third; the closure has forgotten the last");
        assert!(store.recovered_sessions().keys().eq([&ids[1]]));
        drop(open);
        assert!(store.recovered_sessions().keys().eq(&ids[..2]));
        store.close().await
    })
}

/// The panic poisoned the lock, and then the next checkpoint poisoned the store.
#[test]
fn a_closure_that_forgets_sessions_may_panic() -> Result<()> {
    block_on(async {
        let store = open(&MemoryDirectory::new()).await?;
        for key in 0..2 {
            let mut session = store.session()?;
            session.id();
            session.upsert(&key, &1).await?;
        }
        let mut calls = 0;
        let forget = || {
            store.forget_sessions(|_, _| {
                calls += 1;
                assert!(calls < 2, "the closure panics");
                true
            })
        };
        catch_unwind(AssertUnwindSafe(forget)).expect_err("the closure panics");
        assert_eq!(store.recovered_sessions().len(), 2, "nothing is forgotten");
        let mut session = store.session()?;
        session.upsert(&1, &2).await?;
        store.checkpoint().await?;
        assert_eq!(store.forget_sessions(|_, _| true), 2);
        store.close().await
    })
}

/// A store keeps an identity even if the task asks for it late.
#[test]
fn asking_for_an_identity_is_a_change() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let store = open(&directory).await?;
        let mut session = store.session()?;
        session.upsert(&1, &1).await?;
        assert!(store.checkpoint().await?.sessions.is_empty());
        let id = session.id();
        store.close().await?;
        drop(session);
        let store = open(&directory).await?;
        assert_eq!(store.recovered_sessions()[&id].until, 1);
        store.close().await
    })
}

/// A client that lost its connection comes back to the same process. It could not resume its
/// session before the next opening of the store.
#[test]
fn a_session_that_was_dropped_is_resumed_in_the_same_life() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let mut id = None;
        for life in 0..3 {
            let store = open(&directory).await?;
            for round in 0..3 {
                let mut session = match id {
                    Some(id) => store.resume_session(id)?,
                    None => store.session()?,
                };
                let id = *id.get_or_insert(session.id());
                assert_eq!(session.serial(), life * 3 + round);
                let error = store.resume_session(id).expect_err("it is in use");
                assert_eq!(error.kind(), ErrorKind::InUse);
                assert!(error.to_string().ends_with("is in use; drop it first"), "{error}");
                session.upsert(&round, &life).await?;
                if round == 1 {
                    let taken = store.checkpoint().await?;
                    assert_eq!(taken.sessions[&id].until, life * 3 + 2);
                    assert_eq!(session.commit_point().until, life * 3 + 2);
                }
            }
            store.close().await?;
        }
        Ok(())
    })
}

/// A checkpoint names only the sessions with an operation since the previous checkpoint.
#[test]
fn a_checkpoint_says_nothing_of_idle_sessions_and_keeps_them() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let store = open(&directory).await?;
        let (mut busy, mut idle) = (store.session()?, store.session()?);
        let ids = [busy.id(), idle.id()];
        idle.upsert(&1, &1).await?;
        busy.upsert(&2, &2).await?;
        assert_eq!(store.checkpoint().await?.sessions.len(), 2);
        busy.upsert(&3, &3).await?;
        assert!(store.checkpoint().await?.sessions.keys().eq(&ids[..1]));
        assert_eq!((busy.commit_point().until, idle.commit_point().until), (2, 1));
        idle.wait_durable().await?;
        store.close().await?;
        drop((busy, idle));
        let store = open(&directory).await?;
        let points = store.recovered_sessions();
        assert_eq!(ids.map(|id| points[&id].until), [2, 1]);
        store.close().await
    })
}

#[test]
fn a_named_session_is_found_again_in_each_life() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        // More points than a manifest has.
        let names: Vec<String> = (0..100).map(|number| format!("partition-{number}")).collect();
        for life in 0..3_u64 {
            let store = open(&directory).await?;
            assert_eq!(store.recovered_sessions().len() as u64, life.min(1) * 100);
            for name in &names {
                let mut session = store.session_named(name)?;
                let error = store.session_named(name).expect_err("it is open");
                assert_eq!(error.kind(), ErrorKind::InUse, "{error}");
                assert!(error.to_string().contains(name.as_str()), "{error}");
                assert_eq!(session.serial(), life);
                let offset = session.offset().map(|offset| (offset.bytes, offset.serial));
                let expected = (life > 0).then(|| (format!("{name} {life}").into_bytes(), life));
                assert_eq!(offset, expected);
                session.upsert(&life, &life).await?;
                session.set_offset(format!("{name} {}", life + 1).as_bytes())?;
            }
            let waiting = store.recovered_sessions();
            assert!(waiting.values().all(|point| names.contains(point.name.as_ref().unwrap())));
            store.close().await?;
        }
        for name in ["", &"x".repeat(129)] {
            let error = open(&MemoryDirectory::new()).await?.session_named(name);
            assert_eq!(error.expect_err("a bad name").kind(), ErrorKind::InvalidArgument);
        }
        Ok(())
    })
}

#[test]
fn a_forgotten_name_begins_anew() -> Result<()> {
    block_on(async {
        let directory = MemoryDirectory::new();
        let store = open(&directory).await?;
        let mut session = store.session_named("one")?;
        session.upsert_many(&[(1, 1), (2, 2), (3, 3)]).await?;
        session.set_offset(b"three")?;
        let id = session.id();
        drop(session);
        store.checkpoint().await?;
        assert!(store.forget_session(id));
        assert!(!store.forget_session_named("one")?, "once");
        let mut session = store.session_named("one")?;
        assert_eq!((session.id(), session.serial(), session.offset()), (id, 0, None));
        session.upsert(&1, &10).await?;
        drop(session);
        store.close().await?;
        let store = open(&directory).await?;
        let session = store.session_named("one")?;
        assert_eq!((session.serial(), session.offset()), (1, None));
        assert!(!store.forget_session_named("one")?, "it is open");
        drop(session);
        assert!(!store.forget_session_named("another")?);
        assert_eq!(store.recovered_sessions().len(), 1);
        assert!(store.forget_session_named("one")?);
        let error = store.forget_session_named("").expect_err("no name");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        store.close().await?;
        let store = open(&directory).await?;
        assert_eq!(store.session_named("one")?.serial(), 0);
        store.close().await
    })
}
