//! Epoch protection without a store: when may a thing be freed that other tasks may still read?
//!
//! You learn: `kvick::epoch` without a store. A reader announces itself for a moment. A writer
//! replaces the current thing, bumps the epoch, and waits until each reader that may have seen the
//! old thing has left. It needs no lock and no reference count, and a parked task delays no other.
//! The program needs the feature `tokio` of kvick.
//!
//! ```text
//! cargo run --release --example epoch_protection
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use kvick::epoch::{Epoch, Participant};
use kvick::runtime::Handle;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const CELLS: usize = 2;
const CHANGES: u64 = 1000;
const READERS: usize = 4;

/// Two cells: one is current, and the other is free for a write.
#[derive(Debug, Default)]
struct Board {
    current: AtomicUsize,
    cells: [[AtomicU64; 2]; CELLS],
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let epoch = Epoch::new();
    let board = Arc::new(Board::default());

    // A protected reader holds back exactly the epochs that began after it.
    let mut participant = epoch.register();
    participant.protected(|_guard| {
        let bumped = epoch.bump();
        assert!(!epoch.is_drained(bumped));
    });
    // `protected` takes a plain closure, so it ends before any `.await`. A parked or forgotten task
    // is not protected.
    assert!(epoch.is_drained(epoch.bump()));
    drop(participant);

    let mut readers = JoinSet::new();
    let start = Arc::new(Barrier::new(READERS + 1));
    for _ in 0..READERS {
        let (epoch, board, start) = (epoch.clone(), Arc::clone(&board), Arc::clone(&start));
        readers.spawn(async move {
            let participant = epoch.register();
            start.wait().await;
            read_until_the_end(participant, &board).await
        });
    }
    start.wait().await;
    assert_eq!(epoch.participants(), READERS); // a reader reuses the first place

    let handle = Handle::tokio(tokio::runtime::Handle::current());
    for change in 1..=CHANGES {
        let free = 1 - board.current.load(Ordering::Relaxed);
        // No reader uses this cell: the last change waited for its readers.
        for half in &board.cells[free] {
            half.store(change, Ordering::Relaxed);
        }
        // Release pairs with the Acquire in `read_until_the_end`: a reader that finds the cell sees
        // all of it.
        board.current.store(free, Ordering::Release);
        let retired = epoch.bump();
        epoch.drained(retired, &handle).await;
    }

    let mut looks = 0;
    while let Some(reader) = readers.join_next().await {
        looks += reader?;
    }
    println!("{CHANGES} changes, {looks} looks, and no reader saw a cell that was being rewritten");
    Ok(())
}

async fn read_until_the_end(mut participant: Participant, board: &Board) -> u64 {
    let mut looks = 0;
    loop {
        let seen = participant.protected(|_guard| {
            // Acquire pairs with the Release of the writer.
            let cell = &board.cells[board.current.load(Ordering::Acquire)];
            [0, 1].map(|half| cell[half].load(Ordering::Relaxed))
        });
        assert_eq!(seen[0], seen[1], "the cell was rewritten under protection");
        looks += 1;
        if seen[0] == CHANGES {
            return looks;
        }
        tokio::task::yield_now().await;
    }
}
