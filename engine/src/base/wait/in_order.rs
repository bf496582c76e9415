//! Futures that run side by side, and whose outputs come in order.
//!
//! The ordered queue of `futures` returns an output that it has before it polls any other future.
//! A task that is busy between two outputs then starts no further future until it has taken the
//! outputs of all that have ended. So its device rests while it works, and it rests while its
//! device works. Here each look polls all futures that are new or were woken.

use futures::Stream;
use futures::future::{Join, Ready, join, ready};
use futures::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Futures in progress. As a stream it returns their outputs in the order in which they were added.
pub(crate) struct InOrder<F: Future> {
    /// Each with its number.
    running: FuturesUnordered<Join<F, Ready<u64>>>,
    /// The outputs, from that of future `first` on, as far as they are there.
    outputs: VecDeque<Option<F::Output>>,
    first: u64,
}

/// The futures of an iterator, of which a few run at once.
pub(crate) struct Ahead<I: Iterator<Item: Future>> {
    futures: I,
    in_order: InOrder<I::Item>,
    most: usize,
}

/// Returns a stream of the outputs of `futures`, in order. At most this many of them run at once,
/// or have an output that was not taken.
pub(crate) fn ahead<I: Iterator<Item: Future>>(futures: I, most: usize) -> Ahead<I> {
    assert!(most > 0, "a future runs");
    Ahead { futures, in_order: InOrder::new(), most }
}

impl<F: Future> InOrder<F> {
    pub(crate) fn new() -> Self {
        Self { running: FuturesUnordered::new(), outputs: VecDeque::new(), first: 0 }
    }

    /// Adds a future, which starts at the next look.
    pub(crate) fn push_back(&mut self, future: F) {
        let number = self.first + self.outputs.len() as u64;
        self.running.push(join(future, ready(number)));
        self.outputs.push_back(None);
    }

    /// Returns the number of futures whose outputs were not taken.
    pub(crate) fn len(&self) -> usize {
        self.outputs.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
}

impl<F: Future<Output: Unpin>> Stream for InOrder<F> {
    type Item = F::Output;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let Self { running, outputs, first } = &mut *self;
        while let Poll::Ready(Some((output, number))) = Pin::new(&mut *running).poll_next(context) {
            let place = usize::try_from(number - *first).expect("among the futures in progress");
            let before = outputs[place].replace(output);
            debug_assert!(before.is_none(), "a future ends once");
        }
        match outputs.front_mut() {
            None => Poll::Ready(None),
            Some(None) => Poll::Pending,
            Some(front) => {
                let output = front.take();
                outputs.pop_front();
                *first += 1;
                Poll::Ready(output)
            }
        }
    }
}

impl<I: Iterator<Item: Future<Output: Unpin>> + Unpin> Stream for Ahead<I> {
    type Item = <I::Item as Future>::Output;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { futures, in_order, most } = &mut *self;
        while in_order.len() < *most
            && let Some(future) = futures.next()
        {
            in_order.push_back(future);
        }
        Pin::new(in_order).poll_next(context)
    }
}

impl<F: Future> fmt::Debug for InOrder<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InOrder").field("first", &self.first).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use futures::channel::oneshot;
    use futures::stream::StreamExt;
    use std::cell::Cell;
    use std::task::Waker;

    fn poll<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
        stream.poll_next_unpin(&mut Context::from_waker(Waker::noop()))
    }

    /// A reader that worked between two reads had all its reads in flight, or none: with the queue
    /// of `futures` the fourth one here starts after the third output.
    #[test]
    fn a_future_starts_when_there_is_a_place_for_it() {
        let started = Cell::new(0);
        let (answers, reads): (Vec<_>, Vec<_>) = (0..6).map(|_| oneshot::channel::<u32>()).unzip();
        let reads = reads.into_iter().map(|read| {
            let started = &started;
            async move {
                started.set(started.get() + 1);
                read.await.expect("an answer")
            }
        });
        let mut ahead = ahead(reads, 3);
        assert_eq!(poll(&mut ahead), Poll::Pending);
        assert_eq!(started.get(), 3);
        for (number, answer) in (0..).zip(answers) {
            answer.send(number).expect("a read waits");
        }
        for number in 0..6 {
            assert_eq!(poll(&mut ahead), Poll::Ready(Some(number)));
            assert_eq!(started.get(), (number + 3).min(6));
        }
        assert_eq!(poll(&mut ahead), Poll::Ready(None));
    }

    #[test]
    fn outputs_come_in_order() {
        let mut in_order = InOrder::new();
        let (answers, reads): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel::<u32>()).unzip();
        reads.into_iter().for_each(|read| in_order.push_back(read));
        for (number, answer) in (0..3).zip(answers).rev() {
            assert_eq!(poll(&mut in_order), Poll::Pending);
            answer.send(number).expect("a read waits");
        }
        let outputs: Vec<_> = (0..3).map(|_| poll(&mut in_order)).collect();
        assert_eq!(outputs, [0, 1, 2].map(|number| Poll::Ready(Some(Ok(number)))));
        assert!(in_order.is_empty());
    }
}
