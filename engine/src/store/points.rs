//! What the last version that ended had of each session, and when that changed.
//!
//! # Generations
//! Changes are told apart by *generations*, which begin with 1: [`Points::end_generation`] ends
//! one, and what changes from then on is of the next. A session is in the generation of its newest
//! change alone. So whoever has written down everything up to the end of a generation needs to
//! write what is of later ones, and no more, however many sessions there are.
//!
//! A session that is forgotten has changed, too: it stays in its generation, without a point, as
//! long as something that was written down may have one ([`Points::drop_forgotten`]). It does not
//! come back: no other session will have its id.

use super::identity::{CommitPoint, SessionId};
use std::collections::{BTreeMap, BTreeSet};

/// Where a session is among the changes.
pub(crate) type Place = (u64, SessionId);

/// The commit points of the sessions that checkpoints have.
#[derive(Debug)]
pub(crate) struct Points {
    /// Of the generation that a session is in, and its point.
    points: BTreeMap<SessionId, (u64, CommitPoint)>,
    /// Every session, by its generation.
    changes: BTreeSet<Place>,
    /// Those that have no point any more.
    forgotten: BTreeSet<Place>,
    /// Of what changes now.
    generation: u64,
}

impl Default for Points {
    fn default() -> Self {
        let (changes, forgotten) = (BTreeSet::new(), BTreeSet::new());
        Self { points: BTreeMap::new(), changes, forgotten, generation: 1 }
    }
}

impl Points {
    /// Notes a commit point, unless a later one of the same session is there, or it has nothing.
    pub(super) fn enter(&mut self, id: SessionId, point: &CommitPoint) {
        let before = self.points.get(&id).map(|(_, before)| before);
        let is_news = before.is_none_or(|before| point != before && point.is_after(before));
        if is_news && point.until > 0 {
            self.set(id, point);
        }
    }

    /// Notes what was written down: the point of a session, or that it was forgotten if there is
    /// nothing of it.
    pub(crate) fn set(&mut self, id: SessionId, point: &CommitPoint) {
        if point.until == 0 {
            return self.forget(id);
        }
        let generation = self.generation;
        if let Some((before, _)) = self.points.insert(id, (generation, point.clone())) {
            self.changes.remove(&(before, id));
        }
        self.changes.insert((generation, id));
    }

    /// Leaves out a session.
    pub(super) fn forget(&mut self, id: SessionId) {
        if let Some((before, _)) = self.points.remove(&id) {
            self.changes.remove(&(before, id));
            self.changes.insert((self.generation, id));
            self.forgotten.insert((self.generation, id));
        }
    }

    /// Ends the generation of what has changed until now; which one that was.
    pub(crate) fn end_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation - 1
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// How many sessions have changed since the end of a generation.
    pub(crate) fn count_since(&self, end: u64) -> usize {
        self.changes.range(first_of(end + 1)..).count()
    }

    /// Shows `most` of the changes from a place on that are of generations up to `end`; the
    /// forgotten ones have nothing. Gives the place of the next one.
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

    /// What has changed since the end of a generation; the forgotten ones have nothing.
    pub(crate) fn since(&self, end: u64) -> BTreeMap<SessionId, CommitPoint> {
        let mut since = BTreeMap::new();
        let all = (first_of(end + 1), self.generation);
        self.show(all, usize::MAX, |id, point| _ = since.insert(id, point.clone()));
        since
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeMap<SessionId, CommitPoint> {
        self.points.iter().map(|(id, (_, point))| (*id, point.clone())).collect()
    }

    /// What was forgotten in generations up to this one is in nothing that was written down, nor
    /// will be.
    pub(crate) fn drop_forgotten(&mut self, end: u64) {
        let kept = self.forgotten.split_off(&first_of(end.saturating_add(1)));
        for place in std::mem::replace(&mut self.forgotten, kept) {
            self.changes.remove(&place);
        }
    }
}

/// The place before all others of a generation.
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

    /// What was written down at the ends of some generations, the older first, comes to what there
    /// is now, whatever has changed and was forgotten in between.
    #[test]
    fn what_was_written_down_adds_up() {
        let mut random = Random::new(3);
        for _ in 0..200 {
            let (mut points, mut ends) = (Points::default(), vec![0]);
            // Whose place another one takes when it is forgotten.
            let mut ids: Vec<u64> = (0..20).collect();
            let forget = |points: &mut Points, ids: &mut Vec<u64>, place: usize| {
                points.forget(SessionId::new(1, ids[place]));
                ids[place] += 20;
            };
            let mut written: Vec<BTreeMap<SessionId, CommitPoint>> = Vec::new();
            for until in 1..200 {
                let place = random.index(20);
                match random.below(10) {
                    0 => forget(&mut points, &mut ids, place),
                    1 => {
                        // What a new one takes in.
                        let kept = random.index(ends.len());
                        ends.truncate(kept + 1);
                        written.truncate(kept);
                        let after = ends[kept];
                        let end = points.end_generation();
                        let (mut next, mut layer) = (Some(first_of(after + 1)), BTreeMap::new());
                        while let Some(from) = next {
                            let most = 1 + random.index(5);
                            next = points.show((from, end), most, |id, point| {
                                if after > 0 || point.until > 0 {
                                    layer.insert(id, point.clone());
                                }
                            });
                            // Others have their turn.
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
