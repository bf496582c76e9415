//! Checkpoints that an opening took while it repeated the write-ahead log.

use super::{Place, config};
use kvick::ErrorKind;
use kvick::reader::StoreReader;
use kvick::runtime::block_on;
use std::sync::Arc;
use tests::files::Files;

/// Readers took such a checkpoint, whose records are of no single moment.
#[test]
fn a_partial_checkpoint_counts_only_with_its_log() {
    block_on(async {
        let place = Place::default();
        let store = place.open(config().with_keep_checkpoints(2)).await.expect("opens");
        let mut token = None;
        for value in [b"old", b"new"] {
            store.upsert(&1, value).await.expect("written");
            token = Some(store.checkpoint().await.expect("taken").token);
        }
        let token = token.expect("two were taken");
        store.close().await.expect("closes");
        let partial = Files::of(&place.store).await.with_manifest(|body| {
            let start = body.rfind("\nwal = ").expect("the newest has a cut") + 1;
            let end = start + body[start..].find('\n').expect("a line");
            format!("{}\nis_partial = true{}", &body[..end], &body[end..])
        });
        let place = Place { store: partial.restore().await, ..place };
        let directory = Arc::new(place.store.clone());
        let reader = StoreReader::<u64, [u8]>::builder(config()).directory(directory);
        let reader = reader.open_in_directory().await.expect("there is another one");
        assert_eq!(reader.read(&1).await.expect("read").as_deref(), Some(&b"old"[..]));
        drop(reader);
        let refused = place.recover(token).await.expect_err("it is of no single moment");
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        assert!(refused.to_string().contains("no single moment"), "{refused}");

        let store = place.open(config()).await.expect("opens");
        let kept: Vec<_> = store.checkpoints().into_iter().map(|info| info.token).collect();
        assert!(kept.len() == 1 && kept[0] > token, "a whole one takes its place: {kept:?}");
        assert_eq!(store.read(&1).await.expect("read").as_deref(), Some(&b"new"[..]));
        store.close().await.expect("closes");
    });
}
