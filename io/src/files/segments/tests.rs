//! Look-ups, discarding and truncation of segments.

use super::*;

fn segments(indices: &[u64]) -> Segments<u64> {
    let files = indices.iter().map(|&index| (index, Arc::new(index))).collect();
    Segments::new("log", 100, files)
}

fn present(lookup: Lookup<u64>) -> Vec<(u64, u64, usize)> {
    let Lookup::Present(extents) = lookup else { panic!("not present: {lookup:?}") };
    let all = std::iter::once(extents.first).chain(extents.rest);
    all.map(|extent| (*extent.file, extent.offset, extent.len)).collect()
}

#[test]
fn ranges_are_cut_at_boundaries() {
    let table = segments(&[0, 1, 2]);
    assert_eq!(present(table.look_up(0, 100)), [(0, 0, 100)]);
    assert_eq!(present(table.look_up(150, 160)), [(1, 50, 10)]);
    assert_eq!(present(table.look_up(90, 210)), [(0, 90, 10), (1, 0, 100), (2, 0, 10)]);
    assert!(matches!(table.look_up(290, 310), Lookup::Missing(3)));
}

#[test]
fn discarding_keeps_the_segment_that_holds_the_offset() {
    let table = segments(&[0, 1, 2]);
    assert_eq!(discarded(&table, 199), [0]);
    assert!(matches!(table.look_up(99, 110), Lookup::Discarded(_)));
    assert_eq!(present(table.look_up(100, 110)), [(1, 0, 10)]);
    assert_eq!(table.insert(0, Arc::new(0)), Insertion::Discarded);
    assert!(matches!(table.look_up(0, 10), Lookup::Discarded(_)));
    assert_eq!(discarded(&table, 1000), [1, 2]);
    assert!(matches!(table.look_up(1000, 1001), Lookup::Missing(10)));
}

/// Discards, and records that all files are deleted.
fn discarded(table: &Segments<u64>, offset: u64) -> Vec<u64> {
    let gone = table.discard_below(offset).into_iter();
    gone.map(|(index, _)| index).inspect(|&index| table.note_deleted(index)).collect()
}

/// A file could not be deleted, and the table forgot the other discarded segments with it.
#[test]
fn what_is_not_deleted_is_given_out_again() {
    let table = segments(&[0, 1, 2, 3]);
    assert_eq!(table.discard_below(200).len(), 2);
    table.note_deleted(1);
    let again: Vec<_> = table.discard_below(0).into_iter().map(|(index, _)| index).collect();
    assert_eq!(again, [0]);
    assert_eq!(discarded(&table, 300), [0, 2]);
    assert!(table.discard_below(300).is_empty());
}

#[test]
fn segments_that_are_closed_are_there() {
    let table = segments(&[2, 3]);
    table.insert_closed(1, 100);
    table.insert_closed(4, 60);
    table.begin_at_the_lowest();
    assert!(matches!(table.look_up(150, 160), Lookup::Missing(1)) && table.is_closed(1));
    assert!(matches!(table.look_up(99, 110), Lookup::Discarded(_)));
    assert_eq!((table.last(), table.sum(|_| 1), table.open_count()), (Some(4), 162, 2));
    let Truncation { removed, removed_closed, cut, closed_cut } = table.truncation(430).unwrap();
    assert!(removed.is_empty() && removed_closed.is_empty() && cut.is_none());
    assert_eq!(closed_cut, Some(4));
    let Truncation { removed, removed_closed, cut, closed_cut } = table.truncation(250).unwrap();
    assert_eq!((removed[0].0, removed_closed, closed_cut), (3, vec![4], None));
    assert_eq!(cut.map(|(file, to)| (*file, to)), Some((2, 50)));
    drop(removed);
    assert_eq!(table.insert(4, Arc::new(4)), Insertion::Present);
    assert!(!table.is_closed(4));
    assert_eq!(table.first_unsynced_closed(), Some(1));
    table.note_closed_synced(1);
    assert_eq!(table.first_unsynced_closed(), None);
    assert_eq!(discarded(&table, 250), [1]);
}

#[test]
fn what_something_has_is_not_closed() {
    let table = segments(&[0, 1, 2]);
    let lookup = table.look_up(0, 10);
    let idle: Vec<_> = table.idle_files().into_iter().map(|(index, _)| index).collect();
    assert_eq!(idle, [1], "the highest is about to be written");
    assert!(!table.close(0, 5, |_| true), "a transfer has it");
    drop(lookup);
    assert!(!table.close(0, 5, |_| false));
    assert!(table.close(0, 5, |_| true) && table.is_closed(0));
    assert!(!table.close(0, 5, |_| true));
}

/// Returns the segments that go, and the segment that is shortened, with its length.
fn truncation(table: &Segments<u64>, end: u64) -> (Vec<u64>, Option<(u64, u64)>) {
    let Truncation { removed, cut, .. } = table.truncation(end).expect("not discarded");
    assert!(removed.iter().all(|(index, file)| *index == **file));
    (removed.into_iter().map(|(index, _)| index).collect(), cut.map(|(file, to)| (*file, to)))
}

#[test]
fn truncating_cuts_one_segment_and_removes_those_above() {
    let table = segments(&[0, 1, 2, 4]);
    assert_eq!(truncation(&table, 500), (vec![], None));
    assert_eq!(truncation(&table, 410), (vec![], Some((4, 10))));
    assert_eq!(truncation(&table, 400), (vec![4], None));
    assert_eq!(truncation(&table, 310), (vec![4], None));
    assert_eq!(truncation(&table, 299), (vec![4], Some((2, 99))));
    assert_eq!(truncation(&table, 100), (vec![4, 2, 1], None));
    assert_eq!(truncation(&table, 0), (vec![4, 2, 1], Some((0, 0))));
    table.remove(4);
    assert!(matches!(table.look_up(400, 401), Lookup::Missing(4)));
    assert_eq!(table.insert(4, Arc::new(4)), Insertion::Present);
}

#[test]
fn truncating_keeps_the_lowest_file_and_stays_above_what_was_discarded() {
    let table = segments(&[0, 1, 2, 5]);
    assert_eq!(discarded(&table, 299), [0, 1]);
    let refused = table.truncation(199).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert_eq!(truncation(&table, 200), (vec![5], Some((2, 0))));
    table.remove(2);
    assert_eq!(truncation(&table, 250), (vec![], Some((5, 0))));
    table.remove(5);
    assert_eq!(truncation(&table, 200), (vec![], None));
}

#[test]
fn a_truncation_knows_what_it_reaches() {
    let table = segments(&[0, 1]);
    let truncation = table.truncation(50).unwrap();
    let reaches = |offset, end| {
        let Lookup::Present(extents) = table.look_up(offset, end) else { panic!("present") };
        truncation.reaches(&extents.first)
    };
    assert!(!reaches(0, 50) && reaches(0, 51) && reaches(60, 70) && reaches(100, 110));
}

#[test]
fn the_lowest_file_says_what_was_discarded_before() {
    assert!(matches!(segments(&[3]).look_up(0, 1), Lookup::Discarded(_)));
    assert!(matches!(segments(&[]).look_up(0, 1), Lookup::Missing(0)));
}
