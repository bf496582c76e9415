//! Lives of a log: which opening wrote a unit.
//!
//! Each opening of a log that writes is a *life* with a number of its own. Every unit carries the
//! number of the life that wrote it, under its checksum. The manifest names the newest life and the
//! address at which it began; it says so before that life writes its first unit. Units from there
//! on count only if that very life wrote them.
//!
//! So bytes of an earlier life are never sound behind the end at which a recovery cut the log off,
//! however late they reach the medium: a transfer of a process that was killed, or one that its
//! runtime left behind, may land after the next opening has read the file, and a file that is made
//! in place of a deleted one may still hold what that held.
//!
//! Below its beginning a life has units of earlier ones, and units of its own, where a recovery
//! writes again what it has read.

use crate::address::Address;

/// A life of a log, as units are compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    number: u32,
    /// Units from here on are of this life.
    begin: Address,
    /// Units from here to `begin` are of this life or the one before it.
    begin_before: Address,
    scope: Scope,
}

/// Which units a life is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Those of the log.
    Log,
    /// Those of a log that another process writes, which may begin further lives.
    Followed,
    /// Those of a file that one life writes as a whole, under a name that is given once.
    File,
}

impl Life {
    /// The life that creates a log.
    pub(crate) const FIRST: Self = Self::named(1, Address::NONE);

    /// The life that a manifest names.
    pub(crate) const fn named(number: u32, begin: Address) -> Self {
        Self { number, begin, begin_before: begin, scope: Scope::Log }
    }

    /// The life of the next opening, which goes on at `begin`; `None` when the numbers are used up.
    pub(crate) fn next(self, begin: Address) -> Option<Self> {
        let number = self.number.checked_add(1)?;
        Some(Self { number, begin, begin_before: self.begin, scope: Scope::Log })
    }

    /// The same life for a reader beside the writer.
    pub(crate) fn followed(self) -> Self {
        Self { scope: Scope::Followed, ..self }
    }

    /// The same life for a file beside the log.
    pub(crate) fn of_file(self) -> Self {
        Self { scope: Scope::File, ..self }
    }

    pub(crate) fn number(self) -> u32 {
        self.number
    }

    pub(crate) fn begin(self) -> Address {
        self.begin
    }

    /// Whether a unit at `address` that carries `number` counts.
    pub(crate) fn accepts(self, address: Address, number: u32) -> bool {
        if self.scope == Scope::Followed && number > self.number {
            return true;
        }
        let oldest = if self.scope == Scope::File || address < self.begin.min(self.begin_before) {
            1
        } else if address < self.begin {
            self.number - 1
        } else {
            self.number
        };
        (oldest..=self.number).contains(&number)
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
    fn what_the_life_before_wrote_is_told_from_what_was_there_before_it() {
        let [first, second] = [504, 1008].map(Address::new);
        let life = Life::named(3, first).next(second).expect("there are more");
        let accepted = |address| (0..6).filter(|number| life.accepts(address, *number)).collect();
        let [oldest, before, own]: [Vec<u32>; 3] = [Address::NONE, first, second].map(accepted);
        assert_eq!((oldest, before, own), (vec![1, 2, 3, 4], vec![3, 4], vec![4]));
        // An older checkpoint is recovered: what came after it is given up.
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
