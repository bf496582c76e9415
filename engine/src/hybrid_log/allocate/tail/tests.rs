//! The tail, one writer after the other.

use super::*;
use crate::hybrid_log::allocate::limits::Limits;

#[test]
fn fills_a_page_and_turns() {
    let tail = Tail::new(Address::FIRST, 12, 4032);
    let mut taken = Vec::new();
    while let Ok(address) = tail.reserve(104, Claim::Value) {
        taken.push(address);
    }
    assert_eq!(taken.len(), (4032 - 64) / 104);
    assert!(taken.windows(2).all(|pair| pair[0].raw() + 104 == pair[1].raw()));
    // The first writer that overshot received the rest; that ended the loop above.
    let closed = PageClosed { page: 0, rest: None };
    assert_eq!(tail.reserve(104, Claim::Value), Err(closed));
    assert_eq!(tail.turn(closed), None);
    assert_eq!(tail.reserve(104, Claim::Value), Ok(Address::at(1, 0, 12)));
    // If a page is turned before a writer overshoots, the turn returns its rest.
    let closed = PageClosed { page: 1, rest: None };
    let rest = PageRemainder { start: Address::at(1, 104, 12), bytes: 4032 - 104 };
    assert_eq!(tail.turn(closed), Some(rest));
    assert_eq!(tail.turn(closed), None);
}

/// Four threads append to pages of 4 KiB. A record that overshot by far would have run into the
/// page number. Each thread that finds the page full takes its overshoot back.
#[test]
fn an_overshoot_is_taken_back() {
    let tail = Tail::new(Address::FIRST, 12, 4032);
    assert_eq!(tail.reserve(3960, Claim::Value), Ok(Address::FIRST));
    let rest = PageRemainder { start: Address::new(4024), bytes: 8 };
    assert_eq!(tail.reserve(504, Claim::Value), Err(PageClosed { page: 0, rest: Some(rest) }));
    assert_eq!(offset(tail.word.load(Ordering::Relaxed)), 4032);
    assert_eq!(tail.reserve(8, Claim::Value), Err(PageClosed { page: 0, rest: None }));
    assert_eq!(offset(tail.word.load(Ordering::Relaxed)), 4032);
    assert_eq!(tail.address(), Address::at(1, 0, 12));
}

#[test]
fn the_last_page_has_an_address() {
    for page_bits in [12, 21, 25] {
        let start = Address::at(MOST_PAGES - 2, 0, page_bits);
        let tail = Tail::new(start, page_bits, 4032);
        assert_eq!(tail.reserve(4032, Claim::Value), Ok(start));
        let closed = tail.reserve(8, Claim::Value).expect_err("full");
        assert_eq!(tail.turn(closed), None);
        assert_eq!(tail.reserve(8, Claim::Value), Ok(Address::at(MOST_PAGES - 1, 0, page_bits)));
    }
}

#[test]
fn many_pages_are_taken_in_one_step() {
    let tail = Tail::new(Address::FIRST, 12, 4032);
    assert_eq!(tail.reserve_with(|_from| None), None);
    let to = Position { page: 2, offset: 504 };
    let taken = tail.reserve_with(|from| Some(to).filter(|_| from.offset == 64));
    assert_eq!(taken, Some([Position { page: 0, offset: 64 }, to]));
    assert_eq!(tail.reserve(8, Claim::Value), Ok(Address::at(2, 504, 12)));
}

#[test]
fn padding_ends_on_a_unit_and_is_idempotent() {
    let tail = Tail::new(Address::FIRST, 12, 4032);
    assert_eq!(tail.pad(504), Address::new(504));
    assert_eq!(tail.pad(504), Address::new(504));
    tail.reserve(8, Claim::Value).expect("room");
    assert_eq!(tail.pad(504), Address::new(1008));
    while tail.reserve(504, Claim::Value).is_ok() {}
    assert_eq!(tail.pad(504), Address::at(1, 0, 12));
}

fn limited(values: u64) -> Tail {
    let tail = Tail::new(Address::at(1, 0, 12), 12, 4032);
    tail.limits().set(Limits { values, removals: values + 1, copies: values + 2 });
    tail
}

/// Closes the page and opens the next one.
fn turn(tail: &Tail) {
    let closed = PageClosed { page: tail.page(), rest: None };
    let _rest = tail.turn(closed);
}

#[test]
fn a_page_beyond_the_limit_of_values_is_reserved() {
    let tail = limited(2);
    assert_eq!(tail.reserve(24, Claim::Value), Ok(Address::at(1, 0, 12)));
    turn(&tail);
    assert_eq!(tail.reserve(104, Claim::Copy), Ok(Address::at(2, 0, 12)));
    let refused = Err(PageClosed { page: 2, rest: None });
    assert_eq!(tail.reserve(24, Claim::Value), refused);
    assert!(!tail.has_room(24, Claim::Value) && tail.has_room(24, Claim::Removal));
    assert_eq!(tail.reserve(24, Claim::Removal), Ok(Address::at(2, 104, 12)));
    assert_eq!(tail.pad(504), Address::at(2, 504, 12));
    assert_eq!(tail.reserve(24, Claim::Value), refused);
    // A limit that comes later opens the page.
    tail.limits().set(Limits { values: 3, removals: 3, copies: 3 });
    assert_eq!(tail.reserve(24, Claim::Value), Ok(Address::at(2, 504, 12)));
    while tail.reserve(24, Claim::Copy).is_ok() {}
    assert_eq!(tail.address(), Address::at(3, 0, 12));
    assert_eq!(tail.reserve(24, Claim::Value), refused);
    turn(&tail);
    assert_eq!(tail.reserve(24, Claim::Removal), Err(PageClosed { page: 3, rest: None }));
    assert_eq!(tail.reserve(24, Claim::Copy), Err(PageClosed { page: 3, rest: None }));
}

#[test]
fn the_end_of_a_reserved_page_is_taken_back() {
    let tail = limited(1);
    turn(&tail);
    assert_eq!(tail.reserve(3984, Claim::Copy), Ok(Address::at(2, 0, 12)));
    let rest = PageRemainder { start: Address::at(2, 3984, 12), bytes: 48 };
    tail.must_look.store(false, Ordering::Relaxed);
    assert_eq!(tail.reserve(56, Claim::Value), Err(PageClosed { page: 2, rest: Some(rest) }));
    assert_eq!(offset(tail.word.load(Ordering::Relaxed)), 4032);
    assert_eq!(tail.reserve(8, Claim::Copy), Err(PageClosed { page: 2, rest: None }));
    assert_eq!((tail.page(), tail.address()), (2, Address::at(3, 0, 12)));
}

/// A writer that turned an earlier page says late that the page is open.
#[test]
fn a_writer_that_misses_the_hint_takes_one_record() {
    let tail = limited(2);
    turn(&tail);
    tail.must_look.store(false, Ordering::Relaxed);
    assert_eq!(tail.reserve(24, Claim::Value), Ok(Address::at(2, 0, 12)));
    assert_eq!(tail.reserve(24, Claim::Value), Err(PageClosed { page: 2, rest: None }));
    assert_eq!(tail.reserve(24, Claim::Copy), Ok(Address::at(2, 24, 12)));
}
