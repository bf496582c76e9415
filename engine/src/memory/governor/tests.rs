//! The division of the memory.

use super::*;
use crate::base::error::ErrorKind;

const PAGE: u64 = 64 << 10;

fn governor() -> MemoryGovernor {
    MemoryGovernor::new([ByteSize::mib(8), ByteSize::mib(16)], PAGE, [2, 256], None)
}

/// Asserts that the parts fit in the budget.
fn check(governor: &MemoryGovernor) {
    let (parts, shares) = (governor.present(), governor.shares());
    let frames = u64::from(shares.frames) * PAGE;
    let others = parts.sessions + parts.read_cache + parts.superseded + shares.buffers as u64;
    let sum = parts.index + others + frames;
    assert!(sum <= parts.budget, "{parts:?} {shares:?}");
    assert!(frames + PAGE >= least_page_share(parts.budget), "{parts:?} {shares:?}");
}

#[test]
fn the_index_takes_from_the_frames_down_to_their_floor() {
    let governor = governor();
    let first = governor.shares();
    let read_cache = 1 << 20;
    assert_eq!(first, MemoryShares { frames: 120, buffers: 512 << 10, read_cache });
    // 8 MiB without the buffers and without an eighth.
    let most = (8 << 20) / 16 * 13;
    for index in (0..=most).step_by(64 << 10) {
        governor.note_index(index);
        check(&governor);
    }
    assert_eq!((governor.shares().frames, governor.shares().read_cache), (16, 0));
    governor.note_index(0);
    assert_eq!(governor.shares(), first);
}

#[test]
fn facts_leave_the_frames_their_floor() {
    let governor = governor();
    governor.note_sessions(1 << 20);
    assert_eq!(governor.shares().frames, 104);
    governor.note_index(1 << 30);
    assert_eq!(governor.shares().frames, 16);
}

#[test]
fn the_read_cache_takes_what_it_has_and_leaves_the_frames_their_floor() {
    let governor = governor();
    let first = governor.shares();
    governor.note_read_cache(first.read_cache);
    check(&governor);
    assert_eq!(governor.shares().frames, first.frames - 16);
    // 1.5 MiB above the floor, then half of one.
    for (index, limit) in [(5 << 20, 1 << 20), (6 << 20, 512 << 10)] {
        governor.note_index(index);
        assert_eq!(governor.shares().read_cache, limit);
        governor.note_read_cache(limit);
        check(&governor);
    }
    let budgets = [ByteSize::mib(8), ByteSize::mib(16)];
    for (set, limit) in [(0, 0), (64 << 20, (8 << 20) / 16 * 13)] {
        let set = Some(ByteSize::new(set));
        let governor = MemoryGovernor::new(budgets, PAGE, [2, 256], set);
        assert_eq!(governor.shares().read_cache, limit);
    }
}

#[test]
fn waits_beyond_their_share_take_from_the_frames() {
    let governor = governor();
    let first = governor.shares();
    let mut waiting: Vec<_> = (0..256).map(|_| governor.waiting()).collect();
    assert_eq!(governor.present().waits, 512 << 10);
    assert_eq!(governor.shares(), first, "the share for I/O is enough for them");
    waiting.extend((0..512).map(|_| governor.waiting()));
    assert_eq!(governor.shares().frames, first.frames - 16);
    let floor = governor.floor();
    drop(waiting);
    assert_eq!(governor.shares().frames, first.frames - 16, "until they are noted again");
    governor.note_waits();
    assert_eq!((governor.shares(), governor.floor()), (first, floor), "they come and go");
}

#[test]
fn gathered_records_take_from_the_frames_down_to_their_floor() {
    let governor = governor();
    let first = governor.shares();
    let gathered = [governor.gather(), governor.gather()];
    assert_eq!(gathered.each_ref().map(Gathered::bytes), [1 << 20, 128 << 10]);
    assert_eq!(governor.shares().frames, first.frames - 18);
    let floor = governor.floor();
    drop(gathered);
    governor.note_index(6 << 20);
    let last = governor.gather();
    assert_eq!((last.bytes(), governor.shares().frames), (512 << 10, 16));
    let least = governor.gather();
    assert_eq!((least.bytes(), governor.shares().frames), (128 << 10, 14));
    governor.note_index(0);
    drop((last, least));
    assert_eq!((governor.shares(), governor.floor()), (first, floor), "they come and go");
}

#[test]
fn noted_successors_take_from_the_frames_down_to_their_floor_and_give_it_back() {
    let governor = governor();
    let first = governor.shares();
    let note = |expected: u64| {
        governor.limit_superseded(|limit| {
            assert_eq!(limit, expected, "what is noted counts only once");
            limit
        });
    };
    note(2 << 20);
    check(&governor);
    assert_eq!(governor.shares().frames, first.frames - 32);
    note(2 << 20);
    // The index leaves the frames 512 KiB above their floor, and then nothing.
    governor.note_index(6 << 20);
    note(512 << 10);
    check(&governor);
    assert_eq!(governor.shares().frames, 16);
    governor.note_index(7 << 20);
    note(0);
    governor.note_index(0);
    assert_eq!(governor.shares(), first);
}

#[test]
fn a_budget_moves_between_the_floor_and_what_was_reserved() {
    let governor = governor();
    governor.note_index(1 << 20);
    let floor = governor.floor();
    let refusal = |budget: u64| {
        let error = governor.set_budget(ByteSize::new(budget)).expect_err("out of bounds");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.to_string()
    };
    let text = refusal(floor - 1);
    for part in ["index 1MiB", "sessions 0B", "I/O buffers", "at least 128KiB, for pages"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(refusal((16 << 20) + 1).contains("at most 16MiB"));
    assert_eq!(governor.shares().frames, 104, "a refusal changes nothing");
    for budget in [floor, 16 << 20, 8 << 20] {
        governor.set_budget(ByteSize::new(budget)).expect("within the bounds");
        check(&governor);
    }
}
