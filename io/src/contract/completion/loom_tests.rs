//! Tests every interleaving of poll, completion and drop on the shipped code.

use std::task::Waker;

use loom::future::block_on;
use loom::thread;

use super::*;

fn done() -> Transfer {
    Transfer { result: Ok(()), buf: None }
}

#[test]
fn loom_poll_against_complete() {
    loom::model(|| {
        let table = OpTable::new();
        let (completion, sink) = OpTable::begin(&table);
        let completer = thread::spawn(move || sink.complete(done()));
        assert!(block_on(completion).result.is_ok());
        completer.join().unwrap();
    });
}

#[test]
fn loom_drop_against_complete() {
    loom::model(|| {
        let table = OpTable::new();
        let (mut completion, sink) = OpTable::begin(&table);
        let completer = thread::spawn(move || sink.complete(done()));
        let _ = Pin::new(&mut completion).poll(&mut Context::from_waker(Waker::noop()));
        drop(completion);
        // The slot is free again, or still in the sink's hands: then the table grows. Either way
        // the next operation is complete in itself.
        let (mut next, next_sink) = OpTable::begin(&table);
        next_sink.complete(done());
        let poll = Pin::new(&mut next).poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_ready());
        completer.join().unwrap();
    });
}

#[test]
fn loom_late_completion_leaves_the_next_operation_alone() {
    let mut model = loom::model::Builder::new();
    // Three threads: all interleavings would take minutes; interleavings with few preemptions take
    // a moment.
    model.preemption_bound = Some(2);
    model.check(|| {
        let table = OpTable::new();
        let (completion, late) = OpTable::begin(&table);
        drop(completion);
        let (next, sink) = OpTable::begin(&table);
        let completer = thread::spawn(move || late.complete(done()));
        let other = thread::spawn(move || drop(sink));
        assert!(block_on(next).result.is_err(), "only its own sink may complete it");
        completer.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn loom_slots_are_claimed_by_one() {
    loom::model(|| {
        let table = OpTable::new();
        drop(OpTable::begin(&table));
        let shared = Arc::clone(&table);
        let other = thread::spawn(move || {
            let (completion, sink) = OpTable::begin(&shared);
            sink.complete(done());
            drop(completion);
        });
        let (completion, sink) = OpTable::begin(&table);
        sink.complete(done());
        assert!(block_on(completion).result.is_ok());
        other.join().unwrap();
    });
}
