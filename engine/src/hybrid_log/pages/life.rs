//! Lives of a log: the openings that wrote its units.
//!
//! Each opening of a log for writing is a *life* with its own number. Every unit carries the number
//! of the life that wrote it, under its checksum. The manifest names the newest life and the
//! address at which it began, before that life writes its first unit. Units from this address on
//! count only if that life wrote them.
//!
//! So bytes of an earlier life are never sound after the end at which a recovery truncated the log,
//! however late they reach the medium. A transfer of a killed process, or a transfer that its
//! runtime abandoned, may land after the next opening has read the file. A file that replaces a
//! deleted file may still hold the bytes of the deleted file.
//!
//! Below its beginning a life has units of earlier lives. It also has units of its own there, if a
//! recovery writes units again that it has read.

use crate::base::address::Address;

/// A life of a log, with which units are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    number: u32,
    /// Units from here on belong to this life.
    begin: Address,
    /// The number of the life before it.
    before: u32,
    /// Units from here to `begin` belong to this life or the life before it.
    begin_before: Address,
    scope: Scope,
}

/// The units that are compared with a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The units of the log.
    Log,
    /// The units of a log that another process writes. That process may begin further lives.
    Followed,
    /// The units of a file that one life writes as a whole, under a name that is used once.
    File,
}

impl Life {
    /// The life that creates a log.
    pub(crate) const FIRST: Self = Self::named(1, Address::NONE);

    /// Returns the life that a manifest names.
    pub(crate) const fn named(number: u32, begin: Address) -> Self {
        Self { number, begin, before: number, begin_before: begin, scope: Scope::Log }
    }

    /// Returns the life of the next opening, which continues at `begin`. Returns `None` if no
    /// number is left.
    pub(crate) fn next(self, begin: Address) -> Option<Self> {
        self.next_apart(begin, 0)
    }

    /// As [`next`](Self::next), if `lost` more openings may have had the numbers after this one.
    /// Their units do not count.
    pub(crate) fn next_apart(self, begin: Address, lost: u32) -> Option<Self> {
        let number = self.number.checked_add(1)?.checked_add(lost)?;
        let (before, begin_before) = (self.number, self.begin);
        Some(Self { number, begin, before, begin_before, scope: Scope::Log })
    }

    /// Returns the same life for a reader beside the writer.
    pub(crate) fn followed(self) -> Self {
        Self { scope: Scope::Followed, ..self }
    }

    /// Returns the same life for a file beside the log.
    pub(crate) fn of_file(self) -> Self {
        Self { scope: Scope::File, ..self }
    }

    pub(crate) fn number(self) -> u32 {
        self.number
    }

    pub(crate) fn begin(self) -> Address {
        self.begin
    }

    /// Returns whether a unit at `address` with this `number` counts.
    pub(crate) fn accepts(self, address: Address, number: u32) -> bool {
        if self.scope == Scope::Followed && number > self.number {
            return true;
        }
        let oldest = if self.scope == Scope::File || address < self.begin.min(self.begin_before) {
            1
        } else if address < self.begin {
            self.before
        } else {
            return number == self.number;
        };
        (oldest..=self.before).contains(&number) || number == self.number
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn behind_its_beginning_only_the_life_itself_counts() {
        let (before, behind) = (Address::new(504), Address::new(1008));
        let life = Life::named(3, behind);
        assert!((1..=3).all(|number| life.accepts(before, number)));
        assert!(!life.accepts(before, 0) && !life.accepts(before, 4));
        assert!((0..6).all(|number| life.accepts(behind, number) == (number == 3)));
        let followed = life.followed();
        assert!((0..6).all(|number| followed.accepts(behind, number) == (number >= 3)));
        assert!((1..=3).all(|number| life.of_file().accepts(behind, number)));
    }

    #[test]
    fn lost_lives_do_not_count() {
        let [first, second] = [504, 1008].map(Address::new);
        let life = Life::named(3, first).next_apart(second, 2).expect("there are more");
        let accepted = |address| (0..8).filter(|number| life.accepts(address, *number)).collect();
        let [below, between, behind]: [Vec<u32>; 3] = [Address::NONE, first, second].map(accepted);
        assert_eq!((below, between, behind), (vec![1, 2, 3, 6], vec![3, 6], vec![6]));
    }

    #[test]
    fn what_the_life_before_wrote_is_told_from_what_was_there_before_it() {
        let [first, second] = [504, 1008].map(Address::new);
        let life = Life::named(3, first).next(second).expect("there are more");
        let accepted = |address| (0..6).filter(|number| life.accepts(address, *number)).collect();
        let [oldest, before, own]: [Vec<u32>; 3] = [Address::NONE, first, second].map(accepted);
        assert_eq!((oldest, before, own), (vec![1, 2, 3, 4], vec![3, 4], vec![4]));
        // An older checkpoint is recovered, and everything after it is discarded.
        let back = Life::named(3, second).next(first).expect("there are more");
        assert!(
            !back.accepts(first, 3) && back.accepts(second, 4) && back.accepts(Address::NONE, 3)
        );
    }

    #[test]
    fn numbers_go_up_and_end() {
        let next = Life::FIRST.next(Address::new(504)).expect("there are more");
        assert_eq!((next.number(), next.begin()), (2, Address::new(504)));
        assert_eq!(Life::named(u32::MAX, Address::NONE).next(Address::NONE), None);
    }
}
