//! Sessions over versions, checkpoints and lives.

use super::*;
use crate::store::sessions::identity::Offset;
use kvick_runtime::block_on;

/// A session, and the counter of its seat.
struct One {
    ledger: Arc<SessionState>,
    counter: Arc<CachePadded<SerialCounter>>,
}

impl One {
    fn new() -> Self {
        let counter = Arc::default();
        Self { ledger: SessionTable::open(&counter), counter }
    }

    fn resumed(sessions: &SessionTable, id: SessionId) -> Result<Self> {
        let counter = Arc::default();
        Ok(Self { ledger: sessions.resume(id, &counter)?, counter })
    }

    /// Runs one operation, and returns its number.
    fn operate(&self, sessions: &SessionTable, version: u64) -> u64 {
        sessions.begin(version, Some(&self.ledger));
        let number = self.ledger.upcoming();
        self.counter.advance();
        assert_eq!(self.ledger.serial(), number);
        number
    }
}

fn checkpoint(sessions: &SessionTable, next: u64) -> BTreeMap<SessionId, CommitPoint> {
    let mut ended = sessions.end_version();
    block_on(sessions.read(&mut ended, next));
    let points = ended.points();
    block_on(sessions.record_outcome(ended, next, Some(true)));
    points
}

fn recovered(all: impl IntoIterator<Item = (SessionId, CommitPoint)>) -> Points {
    let mut points = Points::default();
    all.into_iter().for_each(|(id, point)| points.set(id, &point));
    points
}

fn point(until: u64, excluded: &[u64], version: u64) -> CommitPoint {
    let excluded = excluded.iter().copied().collect();
    CommitPoint { until, excluded, version, ..CommitPoint::default() }
}

#[test]
fn what_is_put_off_is_excluded_until_it_catches_up() {
    let sessions = SessionTable::new(9, Points::default());
    let one = One::new();
    let id = sessions.identify(&one.ledger);
    one.operate(&sessions, 1);
    let serial = sessions.put_off(1, &one.ledger);
    one.operate(&sessions, 1);
    assert_eq!(checkpoint(&sessions, 2)[&id], point(3, &[2], 1));
    sessions.catch_up(2, &one.ledger, serial);
    assert_eq!(checkpoint(&sessions, 3)[&id], point(3, &[], 2));
}

/// Commit points are read after operations continue, and must not contain these operations.
#[test]
fn what_the_next_version_does_is_not_in_the_point_of_the_one_before() {
    let sessions = SessionTable::new(9, Points::default());
    let (one, idle) = (One::new(), One::new());
    let id = sessions.identify(&one.ledger);
    one.operate(&sessions, 1);
    idle.operate(&sessions, 1);
    let serial = sessions.put_off(1, &one.ledger);
    let mut ended = sessions.end_version();
    sessions.catch_up(2, &one.ledger, serial);
    one.operate(&sessions, 2);
    block_on(sessions.read(&mut ended, 2));
    assert_eq!(ended.points()[&id], point(2, &[2], 1));
    block_on(sessions.record_outcome(ended, 2, Some(true)));
    assert_eq!(one.ledger.durable(), point(2, &[2], 1));
    assert_eq!(idle.ledger.durable(), point(1, &[], 1));
    assert_eq!(checkpoint(&sessions, 3), [(id, point(3, &[], 2))].into());
    assert!(checkpoint(&sessions, 4).is_empty(), "the session did nothing since then");
}

#[test]
fn what_was_not_published_is_in_the_next_checkpoint() {
    let sessions = SessionTable::new(9, Points::default());
    let one = One::new();
    let id = sessions.identify(&one.ledger);
    one.operate(&sessions, 1);
    let ended = sessions.end_version();
    assert!(!sessions.is_outdated());
    block_on(sessions.record_outcome(ended, 2, None));
    assert!(sessions.is_outdated());
    assert_eq!(one.ledger.durable().until, 0);
    assert_eq!(checkpoint(&sessions, 3)[&id], point(1, &[], 1));
    assert_eq!(one.ledger.durable().until, 1);
    assert!(!sessions.is_outdated());
}

/// Batches that were dropped while their keys were on the device left their numbers in every later
/// checkpoint. After 300 batches, 298,612 numbers filled a manifest of four megabytes.
#[test]
fn what_is_given_up_is_taken_by_the_next_operations() {
    let sessions = SessionTable::new(9, Points::default());
    let one = One::new();
    let id = sessions.identify(&one.ledger);
    for round in 1..=300 {
        let batch: Vec<u64> = (0..10).map(|_| sessions.put_off(round, &one.ledger)).collect();
        assert_eq!(batch, Vec::from_iter(1..=10));
        batch.into_iter().for_each(|serial| one.ledger.give_up(serial));
    }
    assert_eq!(sessions.points().len(), 0);
    let serials = one.ledger.upcoming_many(12);
    assert_eq!(serials, Vec::from_iter(1..=12));
    for serial in serials {
        let until = serial.clamp(11, 12) - 1;
        assert_eq!(checkpoint(&sessions, 300 + serial)[&id].until, until);
        assert_eq!(one.operate(&sessions, 300 + serial), serial);
    }
    assert_eq!(checkpoint(&sessions, 400)[&id], point(12, &[], 312));
}

/// A number that an earlier life had excluded stayed excluded, even after its operation was
/// repeated. The next crash asked for the operation once more.
#[test]
fn what_was_excluded_and_is_done_again_leaves_the_list() {
    let id = "00000000000000070000000000000001".parse().expect("an id");
    let sessions = SessionTable::new(8, recovered([(id, point(9, &[4, 6, 7], 3))]));
    let one = One::resumed(&sessions, id).expect("it waits");
    assert_eq!((one.ledger.serial(), one.ledger.upcoming()), (9, 4));
    assert_eq!(one.ledger.upcoming_many(5), [4, 6, 7, 10, 11]);
    assert!(one.ledger.is_durable(&one.ledger.present()));
    assert_eq!(one.operate(&sessions, 5), 4);
    assert!(!one.ledger.is_durable(&one.ledger.present()));
    assert_eq!(checkpoint(&sessions, 6)[&id], point(9, &[6, 7], 5));
    assert!(one.ledger.is_durable(&one.ledger.present()));
    assert_eq!(sessions.put_off(6, &one.ledger), 6);
    assert_eq!(one.operate(&sessions, 6), 7);
    assert_eq!(one.operate(&sessions, 6), 10);
    assert_eq!(checkpoint(&sessions, 7)[&id], point(10, &[6], 6));
    one.ledger.give_up(6);
    assert_eq!(one.operate(&sessions, 7), 6);
    assert_eq!(one.operate(&sessions, 7), 11);
    assert_eq!(checkpoint(&sessions, 8)[&id], point(11, &[], 7));
}

/// Sessions that no caller could resume stayed in every manifest permanently.
#[test]
fn sessions_without_an_identity_are_not_kept() {
    let sessions = SessionTable::new(9, Points::default());
    for _ in 0..1000 {
        let one = One::new();
        one.operate(&sessions, 1);
        sessions.close(&one.ledger);
    }
    assert!(sessions.activity().sessions.is_empty(), "not even until the next checkpoint");
    let (kept, other) = (One::new(), One::new());
    kept.operate(&sessions, 1);
    other.operate(&sessions, 1);
    assert!(checkpoint(&sessions, 2).is_empty());
    let id = sessions.identify(&kept.ledger);
    assert!(sessions.is_outdated());
    assert_eq!(checkpoint(&sessions, 3), [(id, point(1, &[], 1))].into());
    assert_eq!(sessions.points().len(), 1);
}

/// A session was asked for its identity while a checkpoint was taken, too late for that checkpoint.
#[test]
fn an_identity_that_comes_too_late_is_in_the_next_checkpoint() {
    let sessions = SessionTable::new(9, Points::default());
    let one = One::new();
    one.operate(&sessions, 1);
    let mut ended = sessions.end_version();
    block_on(sessions.read(&mut ended, 2));
    let id = sessions.identify(&one.ledger);
    block_on(sessions.record_outcome(ended, 2, Some(true)));
    assert!(sessions.is_outdated() && sessions.points().len() == 0);
    assert_eq!(checkpoint(&sessions, 3)[&id], point(1, &[], 1));
    assert!(checkpoint(&sessions, 4).is_empty(), "once is enough");
}

#[test]
fn a_session_that_was_dropped_is_resumed_in_the_same_life() {
    let sessions = SessionTable::new(9, Points::default());
    let one = One::new();
    let id = sessions.identify(&one.ledger);
    one.operate(&sessions, 1);
    let error = One::resumed(&sessions, id).map(drop).expect_err("it is open");
    assert!(error.to_string().contains("in use"), "{error}");
    sessions.close(&one.ledger);
    assert_eq!(sessions.waiting()[&id], point(1, &[], 1));
    let again = One::resumed(&sessions, id).expect("it waits");
    assert_eq!(again.operate(&sessions, 1), 2);
    assert_eq!(checkpoint(&sessions, 2)[&id], point(2, &[], 1));
    assert_eq!(again.ledger.durable().until, 2);
    sessions.close(&again.ledger);
    assert!(sessions.forget_one(id) && !sessions.forget_one(id));
    assert!(sessions.is_outdated() && sessions.points().len() == 0);
    assert!(One::resumed(&sessions, id).is_err());
}

#[test]
fn old_sessions_are_forgotten_together() {
    let id = |number| SessionId::new(1, number);
    let points = (1..=9).map(|number| (id(number), point(5, &[], number)));
    let sessions = SessionTable::new(2, recovered(points));
    let open = One::resumed(&sessions, id(1)).expect("it waits");
    assert_eq!(sessions.forget(|_id, point| point.version < 8), 6);
    let left: Vec<SessionId> = sessions.points().all().into_keys().collect();
    assert_eq!(left, [id(1), id(8), id(9)]);
    sessions.close(&open.ledger);
    assert_eq!(sessions.waiting().len(), 3);
}

/// A session that was asked for its identity and forgotten kept its account until the next
/// checkpoint, however far that was.
#[test]
fn a_forgotten_session_leaves_nothing() {
    let sessions = SessionTable::new(9, Points::default());
    for together in [false, true] {
        let one = One::new();
        let id = sessions.identify(&one.ledger);
        one.operate(&sessions, 1);
        let account = Arc::downgrade(&one.ledger);
        sessions.close(&one.ledger);
        drop(one);
        assert!(account.upgrade().is_some(), "the next checkpoint must have it");
        let forgotten = match together {
            true => sessions.forget(|_id, _point| true),
            false => usize::from(sessions.forget_one(id)),
        };
        assert_eq!(forgotten, 1);
        assert!(account.upgrade().is_none() && sessions.is_outdated());
    }
    assert!(checkpoint(&sessions, 2).is_empty());
}

/// A session was forgotten while a checkpoint was about to read its point, and the next one with
/// its name had begun.
#[test]
fn a_named_session_begins_anew_after_it_was_forgotten() {
    let sessions = SessionTable::new(9, Points::default());
    let named = || {
        let counter = Arc::default();
        let ledger = sessions.open_named("one", &counter);
        ledger.map(|ledger| One { ledger, counter })
    };
    let one = named().expect("new");
    let id = sessions.identify(&one.ledger);
    assert_eq!(id, SessionId::named("one").expect("short"));
    assert!(named().is_err(), "it is open");
    for _ in 0..9 {
        one.operate(&sessions, 1);
    }
    let mut ended = sessions.end_version();
    sessions.close(&one.ledger);
    // Another account of the session is the last one.
    sessions.close(&named().expect("waits").ledger);
    assert!(sessions.forget_one(id));
    let again = named().expect("new");
    assert_eq!(again.operate(&sessions, 2), 1);
    block_on(sessions.read(&mut ended, 2));
    assert!(ended.points().is_empty());
    assert!(sessions.points().all().is_empty());
    block_on(sessions.record_outcome(ended, 2, None));
    let name = Some("one".to_owned());
    let expected = CommitPoint { name, ..point(1, &[], 2) };
    assert_eq!(checkpoint(&sessions, 3), [(id, expected)].into());
    assert_eq!(again.ledger.durable().until, 1);
}

#[test]
fn an_offset_is_kept_with_the_operations_before_it() {
    let sessions = SessionTable::new(9, Points::default());
    let one = One::new();
    assert!(sessions.set_offset(1, &one.ledger, &[7; 257]).is_err(), "too long");
    sessions.set_offset(1, &one.ledger, b"a").expect("nothing is undone");
    let id = one.ledger.id().expect("it has one");
    let offset = |bytes: &[u8], serial, count| Offset { bytes: bytes.to_vec(), serial, count };
    let found = checkpoint(&sessions, 2)[&id].clone();
    assert_eq!((found.until, found.offset), (0, Some(offset(b"a", 0, 1))));
    // A put-off operation may be before the place.
    let serial = sessions.put_off(2, &one.ledger);
    assert!(sessions.set_offset(2, &one.ledger, b"b").is_err(), "operation {serial} is undone");
    sessions.catch_up(2, &one.ledger, serial);
    sessions.set_offset(2, &one.ledger, b"b").expect("nothing is undone");
    let mut ended = sessions.end_version();
    // The next version is not in the point of this one.
    one.operate(&sessions, 3);
    sessions.set_offset(3, &one.ledger, b"c").expect("nothing is undone");
    block_on(sessions.read(&mut ended, 3));
    let found = ended.points()[&id].clone();
    assert_eq!((found.until, found.offset), (1, Some(offset(b"b", 1, 2))));
    let wanted = one.ledger.present();
    block_on(sessions.record_outcome(ended, 3, Some(true)));
    assert!(!one.ledger.is_durable(&wanted));
    let found = checkpoint(&sessions, 4)[&id].clone();
    assert_eq!((found.until, found.offset), (2, Some(offset(b"c", 2, 3))));
    assert!(one.ledger.is_durable(&wanted));
    // Again at the same place.
    sessions.set_offset(4, &one.ledger, b"d").expect("nothing is undone");
    assert!(!one.ledger.is_durable(&one.ledger.present()));
    let found = checkpoint(&sessions, 5)[&id].clone();
    assert_eq!((found.offset, found.version), (Some(offset(b"d", 2, 4)), 4), "it is in use");
}

/// An offset asks for its checkpoint once in an interval. A session that is listed only because an
/// earlier checkpoint was weak has not asked.
#[test]
fn an_offset_asks_for_the_next_checkpoint() {
    let sessions = SessionTable::new(9, Points::default());
    let one = One::new();
    let set = |version, bytes: &[u8]| sessions.set_offset(version, &one.ledger, bytes);
    for version in 1..9 {
        let (bytes, is_published) = ([version, 0], version % 3 == 0);
        if version % 2 == 0 {
            one.operate(&sessions, version.into());
        }
        set(version.into(), &[0]).expect("nothing is undone");
        set(version.into(), &bytes).expect("nothing is undone");
        assert!(sessions.is_outdated(), "{version}");
        let mut ended = sessions.end_version();
        assert!(!sessions.is_outdated());
        if version % 4 == 0 {
            // It comes too late for this checkpoint, or in time.
            set(version.into(), &[version, 1]).expect("nothing is undone");
            assert!(sessions.is_outdated());
        }
        let next = u64::from(version) + 1;
        block_on(sessions.read(&mut ended, next));
        let points = ended.points();
        let point = points.values().next().expect("the session was asked for");
        assert_eq!(point.offset.as_ref().map(|offset| offset.bytes[0]), Some(version));
        block_on(sessions.record_outcome(ended, next, Some(is_published)));
        let point = one.ledger.present();
        assert_eq!(one.ledger.is_durable(&point), is_published, "{version}");
    }
}
