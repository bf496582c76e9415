//! Small numbers for threads. No two threads have the same number at the same time.
//!
//! A thread takes the lowest free number when it first asks, and returns it when it ends. It has
//! none if all are taken. A destructor of thread-local memory may ask after the number was
//! returned, in any order: then it gets none.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of numbers.
pub(super) const NUMBERS: usize = u64::BITS as usize;

/// The number of the current thread. It does not leave the thread, and the thread keeps the number
/// for longer than any value of this type lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThreadNumber {
    number: usize,
    of_this_thread: PhantomData<*const ()>,
}

/// The numbers that are taken, a bit for each.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// A thread that has not asked for a number. Numbers are below.
const UNASKED: usize = usize::MAX;
/// A thread that found all numbers taken, or is ending. It asks no more.
const NONE: usize = UNASKED - 1;

thread_local! {
    // Has no destructor, so that destructors may ask it.
    static NUMBER: Cell<usize> = const { Cell::new(UNASKED) };
    static RETURNED: ReturnedAtEnd = const { ReturnedAtEnd };
}

/// Returns the number of a thread that ends.
struct ReturnedAtEnd;

impl Drop for ReturnedAtEnd {
    fn drop(&mut self) {
        let number = NUMBER.replace(NONE);
        if number < NONE {
            // Release: pairs with the thread that takes the number next, and what belongs to it.
            let taken = TAKEN.fetch_and(!(1 << number), Ordering::Release);
            assert!(taken & (1 << number) != 0, "a thread has its number until it returns it");
        }
    }
}

impl ThreadNumber {
    /// Returns the number of this thread, if it has one.
    #[inline(always)]
    pub(super) fn get() -> Option<Self> {
        let number = NUMBER.get();
        (number < NONE).then_some(Self { number, of_this_thread: PhantomData })
    }

    /// Returns the number of this thread. Takes one, if it is the first time.
    pub(super) fn get_or_take() -> Option<Self> {
        // Without the value that returns it, a number would stay taken.
        if NUMBER.get() == UNASKED && RETURNED.try_with(|_| ()).is_ok() {
            let lowest = |taken: u64| (taken != u64::MAX).then(|| taken | (taken + 1));
            // Acquire: pairs with the thread that returned the number. Relaxed if there is none.
            let before = TAKEN.fetch_update(Ordering::Acquire, Ordering::Relaxed, lowest);
            NUMBER.set(before.map_or(NONE, |taken| taken.trailing_ones() as usize));
        }
        Self::get()
    }

    #[inline(always)]
    pub(super) fn index(self) -> usize {
        self.number
    }
}

/// Locked by tests that take all numbers, or that need one of them.
#[cfg(test)]
pub(super) static NUMBERS_FOR_A_TEST: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    /// Asks for its number at the end of its thread, and sends the answer.
    struct AsksAtEnd(Cell<Option<std::sync::mpsc::Sender<Option<usize>>>>);

    impl Drop for AsksAtEnd {
        fn drop(&mut self) {
            let answer = ThreadNumber::get_or_take().map(ThreadNumber::index);
            self.0.take().expect("it was set").send(answer).expect("the test waits");
        }
    }

    thread_local! {
        static BEFORE: AsksAtEnd = const { AsksAtEnd(Cell::new(None)) };
        static AFTER: AsksAtEnd = const { AsksAtEnd(Cell::new(None)) };
    }

    /// One of the two destructors runs after the number was returned, whatever the order is.
    #[test]
    fn a_thread_that_ends_takes_no_second_number() {
        let _numbers = NUMBERS_FOR_A_TEST.lock().expect("no other test failed");
        let (sender, answers) = std::sync::mpsc::channel();
        let ending = thread::Builder::new().spawn(move || {
            BEFORE.with(|asks| asks.0.set(Some(sender.clone())));
            let number = ThreadNumber::get_or_take().map(ThreadNumber::index);
            AFTER.with(|asks| asks.0.set(Some(sender)));
            number
        });
        let number = ending.expect("a thread").join().expect("no panic");
        assert!(number.is_some());
        let answers: Vec<_> = answers.iter().collect();
        assert_eq!(answers.len(), 2);
        assert!(answers.contains(&None) && answers.contains(&number), "{answers:?} of {number:?}");
    }

    #[test]
    fn threads_at_the_same_time_have_different_numbers() {
        let _numbers = NUMBERS_FOR_A_TEST.lock().expect("no other test failed");
        // More than there are numbers: the last ones have none.
        let all_have_asked = Barrier::new(NUMBERS + 2);
        let mut numbers: Vec<_> = thread::scope(|scope| {
            let ask = || {
                let number = ThreadNumber::get_or_take().map(ThreadNumber::index);
                all_have_asked.wait();
                assert_eq!(number, ThreadNumber::get_or_take().map(ThreadNumber::index));
                number
            };
            let threads: Vec<_> = (0..NUMBERS + 2).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(numbers.len() <= NUMBERS && numbers.iter().all(|number| *number < NUMBERS));
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }
}
