//! The protocol of future and sink in one thread. The loom tests cover the interleavings.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::*;
use crate::contract::pool::BufPool;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll(completion: &mut Completion, waker: &Waker) -> Poll<Transfer> {
    Pin::new(completion).poll(&mut Context::from_waker(waker))
}

fn done(buf: Option<AlignedBuf>) -> Transfer {
    Transfer { result: Ok(()), buf }
}

#[test]
fn delivers_once_and_wakes() {
    let table = OpTable::new();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));

    let (mut completion, sink) = OpTable::begin(&table);
    assert!(poll(&mut completion, &waker).is_pending());
    sink.complete(done(Some(AlignedBuf::zeroed(512))));
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    let Poll::Ready(transfer) = poll(&mut completion, &waker) else { panic!("not ready") };
    assert_eq!(transfer.into_buf().unwrap().len(), 512);
}

#[test]
fn the_last_waker_is_the_one_woken() {
    let table = OpTable::new();
    let counts = [(); 2].map(|()| Arc::new(Count::default()));
    let (mut completion, sink) = OpTable::begin(&table);
    for count in &counts {
        assert!(poll(&mut completion, &Waker::from(Arc::clone(count))).is_pending());
    }
    sink.complete(done(None));
    assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
}

#[test]
fn a_dropped_future_frees_its_slot_and_a_late_delivery_its_buffer() {
    let table = OpTable::new();
    let pool = BufPool::new(1 << 20);
    let (completion, late) = OpTable::begin(&table);
    let index = late.index;
    assert!(!late.is_abandoned());
    drop(completion);
    assert!(late.is_abandoned());

    let (mut next, sink) = OpTable::begin(&table);
    assert_eq!(sink.index, index, "the slot is recycled at once");
    late.complete(done(Some(pool.take(4096))));
    assert_eq!(pool.outstanding_bytes(), 0);
    assert!(poll(&mut next, Waker::noop()).is_pending(), "the late delivery went elsewhere");
    sink.complete(done(None));
    assert!(poll(&mut next, Waker::noop()).is_ready());
}

#[test]
fn an_unread_result_is_dropped_with_the_future() {
    let table = OpTable::new();
    let pool = BufPool::new(1 << 20);
    let (completion, sink) = OpTable::begin(&table);
    sink.complete(done(Some(pool.take(4096))));
    assert_eq!(pool.outstanding_bytes(), 4096);
    drop(completion);
    assert_eq!(pool.outstanding_bytes(), 0);
}

#[test]
fn a_lost_sink_is_an_error() {
    let (mut completion, sink) = OpTable::begin(&OpTable::new());
    drop(sink);
    let Poll::Ready(transfer) = poll(&mut completion, Waker::noop()) else { panic!("not ready") };
    assert!(transfer.result.is_err());
}

#[test]
fn the_table_grows_and_every_slot_is_distinct() {
    let table = OpTable::new();
    let pairs: Vec<_> = (0..1000).map(|_| OpTable::begin(&table)).collect();
    let mut indices: Vec<_> = pairs.iter().map(|(_, sink)| sink.index).collect();
    indices.sort_unstable();
    assert_eq!(indices, (0..1000).collect::<Vec<_>>());
}
