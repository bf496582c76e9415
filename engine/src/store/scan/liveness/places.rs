//! Places that are taken in their order, while others are added.

use std::collections::BinaryHeap;

/// The part of all places that is added before these are sorted into the others.
pub(super) const ADDED_PART: usize = 8;

/// Places, the greatest one first.
///
/// Most places are there from the beginning, so they are sorted once. A place is added only after
/// another one was taken. So there is room for all that are kept within the first ones:
///
/// ```text
/// 0          left                 ended
/// | sorted   | free               | ended |
/// ```
#[derive(Debug)]
pub(super) struct Places<P> {
    all: Vec<P>,
    /// The number of sorted places, the greatest one last.
    left: usize,
    /// The places that have ended are from here on.
    ended: usize,
    /// Places that were added since the others were sorted.
    added: BinaryHeap<P>,
}

impl<P: Copy + Ord> Places<P> {
    pub(super) fn new(mut all: Vec<P>) -> Self {
        all.sort_unstable();
        let left = all.len();
        Self { all, left, ended: left, added: BinaryHeap::new() }
    }

    /// Adds a place, for one that was taken.
    pub(super) fn add(&mut self, place: P) {
        self.added.push(place);
        let kept = self.left + self.added.len();
        assert!(kept <= self.ended, "a place is added for one that was taken");
        if self.added.len() * ADDED_PART >= self.all.len() {
            for (free, place) in self.all[self.left..].iter_mut().zip(self.added.drain()) {
                *free = place;
            }
            self.left = kept;
            self.all[..kept].sort_unstable();
        }
    }

    /// Keeps a place, which was taken, until the end.
    pub(super) fn end(&mut self, place: P) {
        assert!(self.left + self.added.len() < self.ended, "a place that ends was taken");
        self.ended -= 1;
        self.all[self.ended] = place;
    }

    /// Returns the greatest place.
    pub(super) fn peek(&self) -> Option<&P> {
        self.all[..self.left].last().max(self.added.peek())
    }

    /// Takes the greatest place.
    pub(super) fn pop(&mut self) -> Option<P> {
        let sorted = self.all[..self.left].last().copied();
        if self.added.peek() > sorted.as_ref() {
            return self.added.pop();
        }
        self.left -= usize::from(sorted.is_some());
        sorted
    }

    /// Returns the places that were not taken, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &P> {
        self.all[..self.left].iter().chain(&self.added)
    }

    /// Returns the places that have ended.
    pub(super) fn into_ended(mut self) -> Vec<P> {
        self.all.drain(..self.ended);
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_in_order_while_others_are_added() {
        let mut places = Places::new((0..100_u32).map(|place| place * 7_919 % 1_009).collect());
        let (mut model, mut ended) = (BinaryHeap::from(places.all.clone()), Vec::new());
        while let Some(place) = model.pop() {
            assert_eq!(places.peek(), Some(&place));
            assert_eq!(places.pop(), Some(place));
            // Far down, close by, as the very next one, and at the end.
            match place % 4 {
                _ if place < 8 => {
                    places.end(place);
                    ended.push(place);
                }
                0 => continue,
                part => {
                    let added = [place / 2, place - 8, place - 1][part as usize - 1];
                    places.add(added);
                    model.push(added);
                }
            }
            let mut kept: Vec<_> = places.iter().copied().collect();
            kept.sort_unstable();
            assert_eq!(kept, model.clone().into_sorted_vec());
        }
        assert_eq!(places.pop(), None);
        assert!(ended.len() > 20, "{} have ended", ended.len());
        let mut all = places.into_ended();
        all.sort_unstable_by(|one, other| other.cmp(one));
        assert_eq!(all, ended);
    }
}
