//! The statistics of one table of several.

use std::sync::Arc;

use kvick::io::MemoryDirectory;
use kvick::runtime::block_on;
use kvick::stats::{OperationCounts, TableStats};
use kvick::{Database, FasterKv, Result};
use tests::configs::two_buckets;

async fn open() -> Result<Database> {
    let builder = Database::builder(two_buckets()).directory(Arc::new(MemoryDirectory::new()));
    builder.open_in_directory().await
}

#[test]
fn a_table_counts_its_own_appends() {
    block_on(async {
        let database = open().await?;
        let words = database.table::<u64, u64>("words").await?;
        let texts = database.table::<str, str>("texts").await?;
        let mut session = words.session()?;
        for key in 0..10 {
            session.upsert(&key, &key).await?;
            session.upsert(&key, &(key + 1)).await?; // in place
        }
        session.on(&texts)?.upsert("a", "b").await?;
        let [words, texts] = [words.table_stats(), texts.table_stats()];
        assert_eq!((words.appended_records, words.appended_bytes), (10, 240));
        assert_eq!((texts.appended_records, texts.appended_bytes), (1, 40));
        assert_eq!(database.stats().operations.upserts, 21);
        drop(session);
        database.close().await
    })
    .expect("memory does not fail");
}

/// Makes operations of each kind by a session, its table sessions, batches and the handles. Returns
/// the statistics of both tables.
async fn operate(
    words: &FasterKv<u64, u64>,
    texts: &FasterKv<str, str>,
) -> Result<[TableStats; 2]> {
    let mut session = words.session()?;
    for key in 0..5 {
        session.upsert(&key, &key).await?;
        session.on(texts)?.upsert(&key.to_string(), "b").await?;
        session.rmw(&key, |word| word.unwrap_or(0) + 1).await?;
        session.on(texts)?.on(words)?.read(&key).await?;
    }
    session.read_many(&[0_u64, 1, 77]).await?;
    session.on(texts)?.read("absent").await?;
    session.read(&3).await?;
    words.read(&4).await?;
    texts.delete("4").await?;
    words.upsert_many(&[(8_u64, 8_u64), (9, 9)]).await?;
    texts.read("3").await?;
    Ok([words.table_stats(), texts.table_stats()])
}

#[test]
fn a_table_counts_its_own_operations() {
    block_on(async {
        let database = open().await?;
        let words = database.table::<u64, u64>("words").await?;
        let texts = database.table::<str, str>("texts").await?;
        let [of_words, of_texts] = operate(&words, &texts).await?;
        let counted = |stats: &TableStats| {
            let OperationCounts { reads, upserts, modifies, deletes, .. } = stats.operations;
            [reads, upserts, modifies, deletes]
        };
        assert_eq!(counted(&of_words), [10, 7, 5, 0]);
        assert_eq!(counted(&of_texts), [2, 5, 0, 1]);
        assert_eq!((of_words.misses, of_texts.misses), (1, 1));
        assert_eq!((of_words.hit_ratio(), of_texts.hit_ratio()), (Some(0.9), Some(0.5)));
        assert_eq!((of_words.hits.mutable, of_words.hits.absent), (14, 8));

        // The session is dropped; its counts and those of handles stay.
        drop(texts);
        let texts = database.table::<str, str>("texts").await?;
        assert_eq!([words.table_stats(), texts.table_stats()], [of_words, of_texts]);
        database.drop_table("texts").await?;
        let again = database.table::<str, str>("texts").await?;
        assert_eq!((again.table_stats(), texts.table_stats()), (TableStats::default(), of_texts));
        let all = database.stats();
        assert_eq!((all.operations.reads, all.operations.upserts), (12, 12));
        assert_eq!((all.operations.modifies, all.operations.deletes), (5, 1));
        database.close().await
    })
    .expect("memory does not fail");
}
