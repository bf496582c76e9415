//! The races of the index in every interleaving, with lines of two words.

use super::*;
use loom::sync::Arc;
use loom::thread;

/// Hashes whose entries go to bucket 0 or 1 when one bucket is split, and meet in one line.
const LOW: KeyHash = KeyHash::from_bits(0b00);
const HIGH: KeyHash = KeyHash::from_bits(0b01);

const FIRST: Address = Address::new(64);
const SECOND: Address = Address::new(72);

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// Returns an index of one bucket, or of two after a split, with these entries at `FIRST`.
fn index_of(is_split: bool, hashes: &[KeyHash]) -> Arc<HashIndex> {
    let index = index(1, 2);
    for hash in hashes {
        let entry = index.find_or_create(*hash).expect("memory");
        assert!(index.try_update(entry, FIRST));
    }
    let buckets = index.buckets();
    if is_split && buckets == 1 {
        step(&index, Step::Split);
    }
    assert_eq!(index.buckets(), 1 + u64::from(is_split));
    Arc::new(index)
}

#[derive(Clone, Copy)]
enum Step {
    Split,
    Merge,
    /// Bucket 0 is written anew.
    Tidy,
}

fn step(index: &HashIndex, step: Step) {
    let mut steps = index.lock_steps();
    let made = match step {
        Step::Split => index.split(&mut steps),
        Step::Merge => index.merge(&mut steps),
        Step::Tidy => {
            steps.made += 1;
            steps.in_room(|room, steps| {
                index.refill(index.freeze(0, &mut room.all), &room.all, steps)
            });
            Ok(())
        }
    };
    made.expect("memory");
}

/// Runs work on another thread.
fn aside<T: 'static>(
    index: &Arc<HashIndex>,
    work: impl FnOnce(&HashIndex) -> T + 'static,
) -> thread::JoinHandle<T> {
    let index = Arc::clone(index);
    thread::spawn(move || work(&index))
}

/// Runs `own` on an index while it takes steps in a thread of its own.
fn beside(index: &Arc<HashIndex>, made: &'static [Step], own: impl FnOnce(&HashIndex)) {
    let stepping = aside(index, |index| made.iter().for_each(|made| step(index, *made)));
    own(index);
    stepping.join().expect("no panic");
}

/// Steps of one pair of buckets, which may come right after each other, and whether the index is
/// split before.
const STEPS: [(&[Step], bool); 4] = [
    (&[Step::Split], false),
    (&[Step::Merge], true),
    (&[Step::Split, Step::Merge], false),
    (&[Step::Merge, Step::Split], true),
];

/// A search finds an entry that moves, whenever it looks.
#[test]
fn loom_a_search_beside_a_step() {
    for (made, is_split) in STEPS {
        check(move || {
            let index = index_of(is_split, &[LOW, HIGH]);
            beside(&index, made, |index| {
                assert_eq!(index.find(HIGH).expect("there").address(), FIRST);
            });
            assert_eq!(index.find(LOW).expect("there").address(), FIRST);
            assert_eq!(index.find(HIGH).expect("there").address(), FIRST);
        });
    }
}

/// An update takes effect or fails. From then on each search sees it.
#[test]
fn loom_an_update_beside_a_step() {
    for (made, is_split) in STEPS {
        check(move || {
            let index = index_of(is_split, &[LOW, HIGH]);
            let mut is_updated = false;
            beside(&index, made, |index| {
                let entry = index.find(HIGH).expect("there");
                is_updated = index.try_update(entry, SECOND);
                let expected = if is_updated { SECOND } else { FIRST };
                assert_eq!(index.find(HIGH).expect("there").address(), expected);
            });
            let expected = if is_updated { SECOND } else { FIRST };
            assert_eq!(index.find(HIGH).expect("there").address(), expected);
            assert_eq!(index.find(LOW).expect("there").address(), FIRST);
        });
    }
}

/// An entry that is made beside a step is there afterwards, once, if its record was linked.
fn check_creator(made: &'static [Step], is_split: bool) {
    check(move || {
        let index = index_of(is_split, &[LOW]);
        let mut is_linked = false;
        beside(&index, made, |index| {
            if let Ok(entry) = index.find_or_create(HIGH) {
                is_linked = index.try_update(entry, SECOND);
            }
        });
        let found = index.find(HIGH).map(FoundEntry::address);
        assert!(!is_linked || found == Some(SECOND), "{found:?}");
        let entries = (0..index.buckets()).flat_map(|bucket| {
            let lines = index.lines(bucket, index.tag(HIGH)).flat_map(Line::entries);
            lines.map(|word| HashBucketEntry::from_raw(word.load(Ordering::Relaxed)))
        });
        let high = entries.filter(|entry| entry.tag() == index.tag(HIGH)).count();
        assert!(high <= 1, "{high} entries of one prefix");
        assert_eq!(index.find(LOW).expect("there").address(), FIRST);
    });
}

#[test]
fn loom_a_creator_beside_a_split() {
    check_creator(&[Step::Split], false);
}

#[test]
fn loom_a_creator_beside_a_merge() {
    check_creator(&[Step::Merge], true);
}

/// An image that is copied beside a split has the entry that moves.
#[test]
fn loom_an_image_beside_a_split() {
    check(|| {
        let index = index_of(false, &[LOW, HIGH]);
        beside(&index, &[Step::Split], |index| {
            let mut image = Vec::new();
            let mut copy = index.image();
            while copy.copy(1, &mut image) {}
            drop(copy);
            let words = image.chunks_exact(8);
            let words = words.map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
            let entries: Vec<u64> = words.filter(|word| *word >= 1 << 62).collect();
            for hash in [LOW, HIGH] {
                let entry = HashBucketEntry::new(index.tag(hash), FIRST);
                assert!(entries.contains(&entry.raw()), "{entry:?} is missing");
            }
        });
    });
}

fn place(index: &HashIndex, entry: FoundEntry) -> usize {
    let mut lines = index.lines(index.bucket(entry.hash), index.tag(entry.hash));
    let slot = lines.find_map(|line| line.slot_of(entry.observed));
    std::ptr::from_ref(slot.expect("unchanged")).addr()
}

fn made(index: &HashIndex, hash: KeyHash) -> usize {
    loop {
        if let Ok(entry) = index.find_or_create(hash) {
            return place(index, entry);
        }
        thread::yield_now();
    }
}

/// Two creators of one prefix make one entry in every interleaving, and both get it.
#[test]
fn loom_one_entry_per_prefix() {
    check(|| {
        let index = Arc::new(index(1, 1));
        let other = aside(&index, |index| made(index, LOW));
        let own = made(&index, LOW);
        assert_eq!(own, other.join().expect("no panic"), "two entries of one prefix");
    });
}

/// A creator gives its entry up while another creator links a record, which stays.
#[test]
fn loom_an_entry_is_given_up_beside_a_creator() {
    check(|| {
        let index = Arc::new(index(1, 1));
        let other = aside(&index, |index| {
            let entry = index.find_or_create(LOW);
            entry.is_ok_and(|entry| index.try_update(entry, FIRST))
        });
        if let Ok(entry) = index.find_or_create(LOW)
            && entry.address() == Address::UNSET
        {
            index.give_up(entry);
        }
        let is_linked = other.join().expect("no panic");
        let found = index.find(LOW).map(FoundEntry::address);
        assert_eq!(found, is_linked.then_some(FIRST));
        assert_eq!(index.entries(), u64::from(is_linked));
    });
}

/// Two tasks update one entry, and the loser learns of it.
#[test]
fn loom_one_update_wins() {
    check(|| {
        let index = Arc::new(index(1, 1));
        let entry = index.find_or_create(LOW).expect("memory");
        assert_eq!(entry.address(), Address::UNSET);
        let other = aside(&index, |index| {
            let entry = index.find(LOW).expect("made before");
            (entry.address(), index.try_update(entry, SECOND))
        });
        let own = index.try_update(entry, FIRST);
        let (seen, other) = other.join().expect("no panic");
        assert!(own || other, "one task wins");
        assert!(!(own && other) || seen == FIRST, "a lost update");
    });
}

const THIRD: Address = Address::new(80);

/// Makes `THIRD` the newest record of both entries at once, unless they are contended. Nothing
/// changes while they are held. `stepping` is the index whose steps wait.
fn change_held(index: &HashIndex, stepping: &HashIndex) -> bool {
    let both = [LOW, HIGH];
    let Ok(mut held) = index.try_hold(both.into_iter(), stepping) else {
        return false;
    };
    for (place, hash) in both.into_iter().enumerate() {
        let found = index.find(hash).map_or(Address::UNSET, FoundEntry::address);
        assert_eq!(found, held.address(place), "a held entry has changed");
    }
    for place in 0..2 {
        held.change(place, THIRD);
    }
    true
}

/// Held entries stay where they are beside steps.
#[test]
fn loom_entries_are_held_beside_steps() {
    for (made, is_split) in &STEPS[..2] {
        check(move || {
            let index = index_of(*is_split, &[LOW, HIGH]);
            let mut is_changed = false;
            beside(&index, made, |index| is_changed = change_held(index, index));
            for hash in [LOW, HIGH] {
                let found = index.find(hash).expect("there").address();
                assert_eq!(found, if is_changed { THIRD } else { FIRST });
            }
        });
    }
}

/// The negative control: the holder does not have the lock of the steps.
#[test]
#[should_panic(expected = "only its holder changes it")]
fn loom_entries_that_a_step_may_move_are_not_held() {
    check(|| {
        let (index, other) = (index_of(false, &[LOW, HIGH]), index_of(false, &[]));
        beside(&index, &[Step::Split], |index| _ = change_held(index, &other));
    });
}

/// An update beside the holder takes effect before it or after it, or fails.
#[test]
fn loom_entries_are_held_beside_an_update() {
    check(|| {
        let index = index_of(false, &[LOW, HIGH]);
        let other = aside(&index, |index| {
            let entry = index.find(HIGH).expect("there");
            (entry.address(), index.try_update(entry, SECOND))
        });
        let is_changed = change_held(&index, &index);
        let (seen, is_updated) = other.join().expect("no panic");
        let found = index.find(HIGH).expect("there").address();
        let is_last = is_updated && (seen == THIRD || !is_changed);
        let before = if is_changed { THIRD } else { FIRST };
        assert_eq!(found, if is_last { SECOND } else { before });
    });
}

/// A holder and a creator of one prefix make one entry. A holder that changes nothing takes an
/// entry without a record away.
#[test]
fn loom_a_missing_entry_is_held_beside_a_creator() {
    for changes in [true, false] {
        check(move || {
            let index = Arc::new(index(1, 1));
            let other = aside(&index, |index| {
                let entry = index.find_or_create(LOW);
                entry.is_ok_and(|entry| index.try_update(entry, FIRST))
            });
            let mut is_changed = false;
            if let Ok(mut held) = index.hold([LOW].into_iter()) {
                if changes {
                    held.change(0, THIRD);
                    is_changed = true;
                }
            }
            let is_linked = other.join().expect("no panic");
            let found = index.find(LOW).map(FoundEntry::address);
            match found {
                Some(Address::UNSET) => assert!(!is_linked && !is_changed, "an update is lost"),
                Some(_) => assert!(is_linked || is_changed, "a record that was not linked"),
                None => assert!(!is_linked && !is_changed, "an update is lost"),
            }
            assert_eq!(index.entries(), u64::from(found.is_some()), "two entries of one prefix");
        });
    }
}

/// A step closed a claimed slot and opened it again. Then a late creator could complete the claim
/// of another one, which had not looked for a third.
#[test]
fn loom_a_step_waits_for_a_claim() {
    for is_sound in [true, false] {
        check(move || {
            let index = Arc::new(index(1, 1));
            let tag = index.tag(LOW);
            let slot = &index.line(0, tag.line()).entries()[0];
            slot.store(HashBucketEntry::tentative(tag).raw(), Ordering::Relaxed);
            let holder = aside(&index, |index| {
                step(index, Step::Tidy);
                index.hold([LOW].into_iter()).map(|mut held| held.change(0, THIRD)).is_ok()
            });
            if HashIndex::end_claim(slot, tag, is_sound).is_some() {
                index.load.count(0, 1);
            }
            let is_changed = holder.join().expect("no panic");
            let found = index.find(LOW).map(FoundEntry::address);
            let is_linked = found.is_some_and(|address| address == THIRD);
            assert_eq!(is_linked, is_changed, "an update is lost: {found:?}");
            assert_eq!(index.entries(), u64::from(found.is_some()), "two entries of one prefix");
        });
    }
}
