//! The tail between threads, in every order.

use super::*;
use crate::hybrid_log::allocate::limits::Limits;
use loom::{sync::Arc, thread};

/// Two writers over a page turn never get the same bytes.
#[test]
fn loom_no_bytes_are_taken_twice() {
    loom::model(|| {
        let tail = Arc::new(Tail::new(Address::FIRST, 12, 128));
        let take = |tail: &Tail| loop {
            match tail.reserve(48, Claim::Value) {
                Ok(address) => return address,
                Err(closed) => _ = tail.turn(closed),
            }
        };
        let other = {
            let tail = Arc::clone(&tail);
            thread::spawn(move || [take(&tail), take(&tail)])
        };
        let own = take(&tail);
        let [first, second] = other.join().expect("no panic");
        assert!(first < second);
        for address in [first, second] {
            let apart = own.raw().abs_diff(address.raw());
            assert!(apart >= 48, "{own:?} and {address:?} overlap");
        }
    });
}

/// Two writers beside a full page take back the bytes that they add to its offset. Without that
/// (`takes_back` false) some order adds both records and leaves them there.
fn overshoot(takes_back: bool) -> u64 {
    let most = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = std::sync::Arc::clone(&most);
    loom::model(move || {
        let tail = Arc::new(Tail::new(Address::FIRST, 12, 128));
        let add = move |tail: &Tail| {
            if takes_back {
                let _closed = tail.reserve(72, Claim::Value).expect_err("there are 64 bytes");
            } else {
                tail.word.fetch_add(72 >> WORD_BITS, Ordering::AcqRel);
            }
        };
        let other = {
            let tail = Arc::clone(&tail);
            thread::spawn(move || (add(&tail), add(&tail)))
        };
        add(&tail);
        other.join().expect("no panic");
        let left = offset(tail.word.load(Ordering::Relaxed));
        seen.fetch_max(left, Ordering::Relaxed);
    });
    most.load(Ordering::Relaxed)
}

#[test]
fn loom_an_overshoot_is_taken_back() {
    assert_eq!(overshoot(true), 128);
    assert_eq!(overshoot(false), 64 + 3 * 72);
}

/// Two writers close a page. Its rest is returned once, and no bytes of it are taken.
#[test]
fn loom_the_rest_of_a_page_is_told_once() {
    loom::model(|| {
        let tail = Arc::new(Tail::new(Address::FIRST, 12, 128));
        let take = |tail: &Tail| {
            let mut rests = Vec::new();
            loop {
                match tail.reserve(40, Claim::Value) {
                    Ok(address) => return (address, rests),
                    Err(closed) => {
                        rests.extend(closed.rest);
                        rests.extend(tail.turn(closed));
                    }
                }
            }
        };
        let other = {
            let tail = Arc::clone(&tail);
            thread::spawn(move || take(&tail))
        };
        let (own, mut rests) = take(&tail);
        let (address, others) = other.join().expect("no panic");
        rests.extend(others);
        let second = PageRemainder { start: Address::new(104), bytes: 24 };
        assert_eq!(rests, [second]);
        assert_eq!(own.raw().min(address.raw()), 64);
        assert_eq!(own.raw().max(address.raw()), 1 << 12);
    });
}

/// A writer opens the last page for values while a copy opens the next page, and takes room there.
fn beside_a_reserved_page(
    copier: impl Fn(&Tail) -> Option<Address> + Send + Sync + 'static,
    check: impl Fn(&[Address], Option<Address>) + Send + Sync + 'static,
) {
    let copier = std::sync::Arc::new(copier);
    loom::model(move || {
        let tail = Arc::new(Tail::closed_before(Address::at(1, 0, 12), 12, 128));
        tail.limits().set(Limits { values: 2, removals: 2, copies: 3 });
        let other = {
            let (tail, copier) = (Arc::clone(&tail), std::sync::Arc::clone(&copier));
            thread::spawn(move || {
                let _rest = tail.turn(PageClosed { page: 1, rest: None });
                copier(&tail)
            })
        };
        let _rest = tail.turn(PageClosed { page: 0, rest: None });
        let taken: Vec<_> = (0..3).filter_map(|_| tail.reserve(16, Claim::Value).ok()).collect();
        check(&taken, other.join().expect("no panic"));
    });
}

/// Returns the most records of a reserved page that one writer takes. Without the bit in the word
/// (`is_marked` false) it misses the mark beside the word again and again.
///
/// The copier takes nothing. Loom would let the writer read an older value of that mark than its
/// own, once the other thread has read it, too.
fn taken_of_a_reserved_page(is_marked: bool) -> u64 {
    let most = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = std::sync::Arc::clone(&most);
    let copier = move |tail: &Tail| {
        if !is_marked && tail.page() == 2 {
            tail.word.fetch_and(!RESERVED, Ordering::AcqRel);
        }
        None
    };
    beside_a_reserved_page(copier, move |taken, _copy| {
        let of_page = taken.iter().filter(|address| address.page(12) == 2).count();
        seen.fetch_max(of_page as u64, Ordering::Relaxed);
    });
    most.load(Ordering::Relaxed)
}

#[test]
fn loom_a_writer_takes_one_record_of_a_reserved_page() {
    assert_eq!(taken_of_a_reserved_page(true), 1);
    assert_eq!(taken_of_a_reserved_page(false), 3);
}

#[test]
fn loom_no_bytes_of_a_reserved_page_are_taken_twice() {
    let copier = |tail: &Tail| tail.reserve(16, Claim::Copy).ok();
    beside_a_reserved_page(copier, |taken, copy| {
        assert!(copy.is_none_or(|copy| !taken.contains(&copy)), "{copy:?} is taken twice");
    });
}
