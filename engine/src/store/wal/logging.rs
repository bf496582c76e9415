//! Changes of keys, logged if the store has a write-ahead log.

use super::entry::{SessionProgress, WalEntry};
use super::key_change::KeyChange;
use super::write_ahead_log::WriteAheadLog;
use crate::base::error::Result;
use crate::hybrid_log::Room;
use crate::log::NotAppended;
use crate::store::answers::Previous;
use crate::store::context::Logger;
use crate::store::moment::Moment;
use crate::store::operation::attempt::{Attempt, Blocked, HashedKey};
use crate::store::sessions::state::SessionEntry;
use crate::store::table::TableRef;

/// The result of a try to change a key.
pub(in crate::store) trait TakesEffect {
    /// Returns whether the key has changed.
    fn took_effect(&self) -> bool;
}

/// The reason why a change was not made.
#[derive(Debug)]
pub(in crate::store) enum Unlogged {
    /// The log of the store has no room for its record.
    NoRoom(Room),
    /// The write-ahead log does not take its entry.
    NotAppended(NotAppended),
}

/// Makes a change of a key. With a write-ahead log, the change has an entry if it takes effect.
///
/// With that log, `lacks` returns the room that the change needs in the log of the store and that
/// is not there. A writer that has no room tries again and again, and each try would leave an entry
/// of zeros.
///
/// # Errors
/// One of the logs has no space. Then nothing was changed.
#[inline(always)]
pub(in crate::store) fn logged<'c, T: TakesEffect>(
    core: TableRef<'_>,
    logger: Logger<'_>,
    key: HashedKey<'_>,
    (describe, lacks, change): (
        impl FnOnce() -> KeyChange<'c> + Copy,
        impl FnOnce() -> Option<Room> + Copy,
        impl FnOnce() -> T + Copy,
    ),
) -> Result<T, Box<Unlogged>> {
    // The closures are copied for the call. So the values that they hold stay in registers without
    // this log.
    match &core.store.wal {
        Some(wal) if wal.is_live() => match lacks() {
            Some(room) => Err(Box::new(Unlogged::NoRoom(room))),
            None => log_change(wal, core, logger, key, (describe(), change)),
        },
        _ => Ok(change()),
    }
}

/// The needs of a change that appends no record.
#[inline(always)]
pub(in crate::store) fn needs_no_room() -> Option<Room> {
    None
}

/// As [`logged`], for a change that ends an attempt.
///
/// # Errors
/// The write-ahead log refuses the entry. Then nothing was changed.
#[inline(always)]
pub(in crate::store) fn logged_step(
    core: TableRef<'_>,
    logger: Logger<'_>,
    key: HashedKey<'_>,
    (description, lacks): (KeyChange<'_>, impl FnOnce() -> Option<Room> + Copy),
    change: impl FnOnce() -> Attempt<bool> + Copy,
) -> Result<Attempt<bool>> {
    match logged(core, logger, key, (move || description, lacks, change)) {
        Ok(step) => Ok(step),
        Err(why) => why.blocked().map(Attempt::Blocked),
    }
}

/// As [`logged`], for a whole try of an operation that runs no code of the user but the clock.
///
/// # Errors
/// Those of the try. The write-ahead log refuses the entry: then nothing was changed.
#[inline(always)]
pub(in crate::store) fn logged_try<T>(
    core: TableRef<'_>,
    logger: Logger<'_>,
    key: HashedKey<'_>,
    (description, lacks, moment): (
        KeyChange<'_>,
        impl FnOnce() -> Option<Room> + Copy,
        &Moment<'_>,
    ),
    change: impl FnOnce() -> Result<Option<Attempt<T>>> + Copy,
) -> Result<Option<Attempt<T>>>
where
    Attempt<T>: TakesEffect,
{
    let describe = move || {
        // Before the lock.
        moment.prepare(core.table.layout);
        description
    };
    match logged(core, logger, key, (describe, lacks, change)) {
        Ok(step) => step,
        Err(why) => why.blocked().map(|blocked| Some(Attempt::Blocked(blocked))),
    }
}

#[inline(never)]
fn log_change<T: TakesEffect>(
    wal: &WriteAheadLog,
    core: TableRef<'_>,
    logger: Logger<'_>,
    HashedKey { bytes: key, hash }: HashedKey<'_>,
    (description, change): (KeyChange<'_>, impl FnOnce() -> T),
) -> Result<T, Box<Unlogged>> {
    // The record comes while its entry is encoded and filled.
    core.log.pages().prefetch(core.index.newest_at_once(hash));
    let (session, until) = progress(wal, logger).map_err(unlogged)?.unzip();
    let (table, serial) = (core.table.number, session.as_ref().map(|session| session.serial));
    let entry = WalEntry::Change { table, key, change: description, session };
    let changed =
        wal.log_change(hash, &entry, logger.guard, (change, T::took_effect)).map_err(unlogged)?;
    if let (Some(serial), Some(until), Some(ledger)) = (serial, until, logger.account())
        && changed.took_effect()
    {
        ledger.note_logged(serial, until);
    }
    Ok(changed)
}

/// Returns the part of an entry that is about the session of its operation, and the highest number
/// that the log has with it. Logs the commit point of the session first, if no entry of a change
/// tells it.
fn progress(
    wal: &WriteAheadLog,
    logger: Logger<'_>,
) -> Result<Option<(SessionProgress, u64)>, NotAppended> {
    let Some((ledger, id)) = logger.account().and_then(|it| Some((it, it.kept_id()?))) else {
        return Ok(None);
    };
    ledger.log_point(|point, begins| {
        wal.log_entry(&WalEntry::Session { id, point, begins }, logger.guard)
    })?;
    let SessionEntry { serial, excluded, name, until } =
        ledger.next_entry(logger.deferred.map(|(_, serial)| serial));
    Ok(Some((SessionProgress { id, serial, excluded, name }, until)))
}

#[cold]
fn unlogged(why: NotAppended) -> Box<Unlogged> {
    Box::new(Unlogged::NotAppended(why))
}

impl Unlogged {
    /// Returns what the operation waits for.
    ///
    /// # Errors
    /// The write-ahead log refuses the entry.
    #[cold]
    pub(in crate::store) fn blocked(self) -> Result<Blocked> {
        match self {
            Self::NoRoom(room) => Ok(Blocked::NoSpace(room)),
            Self::NotAppended(why) => why.into_space().map(Blocked::NoWalSpace),
        }
    }
}

impl TakesEffect for Attempt<Previous> {
    fn took_effect(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl TakesEffect for Attempt<bool> {
    fn took_effect(&self) -> bool {
        matches!(self, Self::Done(true))
    }
}

impl<T: TakesEffect> TakesEffect for Option<T> {
    fn took_effect(&self) -> bool {
        self.as_ref().is_some_and(T::took_effect)
    }
}

impl<T: TakesEffect> TakesEffect for Result<T> {
    fn took_effect(&self) -> bool {
        self.as_ref().is_ok_and(T::took_effect)
    }
}
