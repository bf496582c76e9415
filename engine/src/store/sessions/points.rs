//! The commit points of sessions at the end of the last version, and the order of their changes.
//!
//! # Generations
//! Changes are ordered in *generations*, which begin with 1. [`Points::end_generation`] ends a
//! generation, and later changes belong to the next. A session is only in the generation of its
//! newest change. Suppose that a task has written everything up to the end of a generation. Then it
//! needs to write only the later generations, however many sessions there are.
//!
//! A forgotten session has changed, too. It stays in its generation, without a point, as long as
//! something written may have a point of it ([`Points::drop_forgotten`]). Only a session with a
//! name comes back, with a point of its own, and may be in that generation, too, until then.

use crate::store::sessions::identity::{CommitPoint, SessionId};
use std::collections::{BTreeMap, BTreeSet};

/// The place of a session among the changes.
pub(crate) type Place = (u64, SessionId);

/// The commit points of the sessions that checkpoints have.
#[derive(Debug)]
pub(crate) struct Points {
    /// The commit point of each session, and the generation of its newest change.
    points: BTreeMap<SessionId, (u64, CommitPoint)>,
    /// Every session, also the forgotten ones, by its generation.
    changes: BTreeSet<Place>,
    /// The sessions that have no point any more.
    forgotten: BTreeSet<Place>,
    /// The generation of the next change.
    generation: u64,
    /// The number of points with a name or an offset.
    texts: usize,
}

impl Default for Points {
    fn default() -> Self {
        let (changes, forgotten) = (BTreeSet::new(), BTreeSet::new());
        Self { points: BTreeMap::new(), changes, forgotten, generation: 1, texts: 0 }
    }
}

impl Points {
    /// Records a commit point, unless it is empty or not later than the recorded point.
    pub(in crate::store) fn enter(&mut self, id: SessionId, point: &CommitPoint) {
        let before = self.points.get(&id).map(|(_, before)| before);
        let is_news = before.is_none_or(|before| point != before && point.is_after(before));
        if is_news && !point.is_empty() {
            self.set(id, point);
        }
    }

    /// Records a written point of a session. An empty point means that the session was forgotten.
    pub(crate) fn set(&mut self, id: SessionId, point: &CommitPoint) {
        if point.is_empty() {
            return self.forget(id);
        }
        let generation = self.generation;
        // A named session may be forgotten and begin again.
        self.forgotten.remove(&(generation, id));
        self.texts += usize::from(point.has_text());
        if let Some((before, old)) = self.points.insert(id, (generation, point.clone())) {
            self.changes.remove(&(before, id));
            self.texts -= usize::from(old.has_text());
        }
        self.changes.insert((generation, id));
    }

    /// Removes the commit point of a session.
    pub(in crate::store) fn forget(&mut self, id: SessionId) {
        if let Some((before, old)) = self.points.remove(&id) {
            self.texts -= usize::from(old.has_text());
            self.changes.remove(&(before, id));
            self.changes.insert((self.generation, id));
            self.forgotten.insert((self.generation, id));
        }
    }

    /// Ends the generation of the changes so far, and returns its number.
    pub(crate) fn end_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation - 1
    }

    /// Returns the number of sessions with a commit point.
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// Returns the number of sessions whose commit point has a name or an offset.
    pub(crate) fn texts(&self) -> usize {
        self.texts
    }

    /// Returns the number of sessions that have changed since the end of a generation.
    pub(crate) fn count_since(&self, end: u64) -> usize {
        self.changes.range(first_of(end + 1)..).count()
    }

    /// Passes at most `most` changes from a place on to `show`, of generations up to `end`.
    /// Forgotten sessions have an empty point. Returns the place of the next change.
    pub(crate) fn show(
        &self,
        (from, end): (Place, u64),
        most: usize,
        mut show: impl FnMut(SessionId, &CommitPoint),
    ) -> Option<Place> {
        let nothing = CommitPoint::default();
        let mut changes = self.changes.range(from..first_of(end + 1));
        for (_, id) in changes.by_ref().take(most) {
            show(*id, self.points.get(id).map_or(&nothing, |(_, point)| point));
        }
        changes.next().copied()
    }

    /// Returns the changes since the end of a generation. Forgotten sessions have an empty point.
    pub(crate) fn since(&self, end: u64) -> BTreeMap<SessionId, CommitPoint> {
        let mut since = BTreeMap::new();
        let all = (first_of(end + 1), self.generation);
        self.show(all, usize::MAX, |id, point| _ = since.insert(id, point.clone()));
        since
    }

    /// Returns all commit points.
    pub(crate) fn all(&self) -> BTreeMap<SessionId, CommitPoint> {
        self.points.iter().map(|(id, (_, point))| (*id, point.clone())).collect()
    }

    /// Drops the sessions that were forgotten in generations up to `end`. Nothing written has a
    /// point of them, or will have one.
    pub(crate) fn drop_forgotten(&mut self, end: u64) {
        let kept = self.forgotten.split_off(&first_of(end.saturating_add(1)));
        for place in std::mem::replace(&mut self.forgotten, kept) {
            self.changes.remove(&place);
        }
    }
}

/// Returns the place before all others of a generation.
pub(crate) fn first_of(generation: u64) -> Place {
    (generation, SessionId::LEAST)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use kvick_io::sim::Random;

    fn point(until: u64) -> CommitPoint {
        CommitPoint { until, ..CommitPoint::default() }
    }

    /// The points that were written at the ends of some generations, older first, add up to the
    /// present points. Changes and forgotten sessions in between make no difference.
    #[test]
    fn what_was_written_down_adds_up() {
        let mut random = Random::new(3);
        for _ in 0..200 {
            let (mut points, mut ends) = (Points::default(), vec![0]);
            // A new id replaces that of a forgotten session, unless it had a name.
            let mut ids: Vec<u64> = (0..20).collect();
            let forget = |points: &mut Points, ids: &mut Vec<u64>, place: usize| {
                points.forget(SessionId::new(1, ids[place]));
                ids[place] += if place.is_multiple_of(2) { 20 } else { 0 };
            };
            let mut written: Vec<BTreeMap<SessionId, CommitPoint>> = Vec::new();
            for until in 1..200 {
                let place = random.index(20);
                match random.below(10) {
                    0 => forget(&mut points, &mut ids, place),
                    1 => {
                        // A new layer takes in the layers after this one.
                        let kept = random.index(ends.len());
                        ends.truncate(kept + 1);
                        written.truncate(kept);
                        let after = ends[kept];
                        let end = points.end_generation();
                        let (mut next, mut layer) = (Some(first_of(after + 1)), BTreeMap::new());
                        while let Some(from) = next {
                            let most = 1 + random.index(5);
                            next = points.show((from, end), most, |id, point| {
                                if after > 0 || !point.is_empty() {
                                    layer.insert(id, point.clone());
                                }
                            });
                            // Another task has its turn.
                            if random.chance(0.1) {
                                forget(&mut points, &mut ids, place);
                            }
                        }
                        (ends, written) =
                            ([ends, vec![end]].concat(), [written, vec![layer]].concat());
                        points.drop_forgotten(ends[1]);
                    }
                    _ => points.enter(SessionId::new(1, ids[place]), &point(until)),
                }
                let mut found = Points::default();
                let newest = points.since(ends[ends.len() - 1]);
                for (id, point) in written.iter().chain([&newest]).flatten() {
                    found.set(*id, point);
                }
                assert_eq!(found.all(), points.all());
                assert_eq!(found.len(), points.len());
            }
        }
    }

    #[test]
    fn what_has_not_changed_is_not_shown() {
        let mut points = Points::default();
        let [first, second] = [1, 2].map(|number| SessionId::new(1, number));
        points.enter(first, &point(5));
        points.enter(second, &point(6));
        let end = points.end_generation();
        points.enter(first, &point(5));
        points.enter(second, &point(4));
        assert_eq!(points.count_since(end), 0);
        points.enter(second, &point(7));
        assert_eq!(points.since(end), [(second, point(7))].into());
    }

    #[test]
    fn what_is_forgotten_leaves_nothing_in_the_end() {
        let mut points = Points::default();
        let id = SessionId::new(1, 1);
        points.enter(id, &point(5));
        let end = points.end_generation();
        points.forget(id);
        points.drop_forgotten(end);
        assert_eq!(points.since(end), [(id, point(0))].into(), "it was written down");
        let end = points.end_generation();
        points.drop_forgotten(end);
        assert_eq!(points.count_since(0), 0);
        assert!(points.forgotten.is_empty());
    }
}
