//! The rivals: DashMap, papaya with atomic values, the bare probe, and oxifaster on request.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use benches::keys::key_of;
use benches::payload::Payload;
use benches::workload::Operation;
use dashmap::DashMap;
use papaya::{Guard, HashMapRef};
use versus::slices::{STRETCH, Walk};

use crate::bare::{Bare, Probe};
use crate::contest::{Map, Mix, is_right, step_by_step, take_all, value_of};

/// DashMap with a hasher.
pub type Dash<S> = DashMap<u64, u64, S>;

/// papaya with a hasher. Its values are atomic, for updates in place without allocations.
pub type Papaya<S> = papaya::HashMap<u64, AtomicU64, S>;

impl<S: BuildHasher + Clone> Map for Dash<S> {
    #[inline]
    fn read(&self, key: u64) -> Option<u64> {
        self.get(&key).map(|value| *value)
    }

    #[inline]
    fn write(&self, key: u64, value: u64) {
        self.insert(key, value);
    }

    #[inline]
    fn count(&self, key: u64) -> bool {
        let Some(mut value) = self.get_mut(&key) else {
            return false;
        };
        let next = u64::next(Some(*value), key, 8);
        *value = next;
        true
    }
}

impl<S: BuildHasher, G: Guard> Map for HashMapRef<'_, u64, AtomicU64, S, G> {
    #[inline]
    fn read(&self, key: u64) -> Option<u64> {
        self.get(&key).map(|value| value.load(Ordering::Acquire))
    }

    #[inline]
    fn write(&self, key: u64, value: u64) {
        if let Some(place) = self.get(&key) {
            place.store(value, Ordering::Release);
        } else {
            self.insert(key, AtomicU64::new(value));
        }
    }

    #[inline]
    fn count(&self, key: u64) -> bool {
        self.get(&key).map(|value| value.fetch_add(1, Ordering::AcqRel)).is_some()
    }
}

/// papaya in its usual form, with a guard for each operation.
pub struct PinEach<'a, S>(pub &'a Papaya<S>);

impl<S: BuildHasher> Map for PinEach<'_, S> {
    #[inline]
    fn read(&self, key: u64) -> Option<u64> {
        self.0.pin().read(key)
    }

    #[inline]
    fn write(&self, key: u64, value: u64) {
        self.0.pin().write(key, value);
    }

    #[inline]
    fn count(&self, key: u64) -> bool {
        self.0.pin().count(key)
    }
}

/// Runs papaya with one guard for every [`STRETCH`] operations.
pub fn pin_per_stretch(map: &Papaya<impl BuildHasher>, mix: Mix, walk: &mut Walk) {
    let mut version = 0;
    while let Some(stretch) = walk.stretch() {
        take_all(&map.pin(), mix, walk, stretch, &mut version);
    }
}

impl Map for Bare {
    #[inline]
    fn read(&self, key: u64) -> Option<u64> {
        self.find(self.probe(key)).map(|value| value.load(Ordering::Relaxed))
    }

    #[inline]
    fn write(&self, key: u64, value: u64) {
        if let Some(place) = self.find(self.probe(key)) {
            place.store(value, Ordering::Relaxed);
        }
    }

    #[inline]
    fn count(&self, key: u64) -> bool {
        self.find(self.probe(key)).map(|value| value.fetch_add(1, Ordering::Relaxed)).is_some()
    }
}

/// Runs the bare probe in prefetched batches.
pub fn bare_batches(bare: &Bare, mix: Mix, walk: &mut Walk) {
    let mut version = 0;
    let mut probes: [Probe; STRETCH] = [bare.probe(0); STRETCH];
    while let Some(stretch) = walk.stretch() {
        for (probe, step) in probes.iter_mut().zip(stretch) {
            *probe = bare.probe(key_of(step.target()));
            bare.prefetch_bucket(*probe);
        }
        for probe in probes {
            bare.prefetch_record(probe);
        }
        for (probe, step) in probes.iter().zip(stretch) {
            finish(bare, mix.operation(*step), *probe, walk, &mut version);
        }
    }
}

#[inline]
fn finish(bare: &Bare, operation: Operation, probe: Probe, walk: &mut Walk, version: &mut u32) {
    let Some(place) = bare.find(probe) else {
        walk.saw(None);
        return;
    };
    match operation {
        Operation::Read => {
            walk.saw(Some(is_right(probe.key(), place.load(Ordering::Relaxed))));
        }
        Operation::Update | Operation::Insert => {
            *version = version.wrapping_add(1);
            place.store(value_of(probe.key(), *version), Ordering::Relaxed);
        }
        Operation::ReadModifyWrite => {
            place.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Loads DashMap.
pub fn load_dash<S: BuildHasher + Clone + Default>(records: u64) -> Dash<S> {
    let capacity = usize::try_from(records).expect("records fit into memory");
    let map = Dash::with_capacity_and_hasher(capacity, S::default());
    for index in 0..records {
        map.insert(key_of(index), value_of(key_of(index), 0));
    }
    map
}

/// Loads papaya.
pub fn load_papaya<S: BuildHasher + Default>(records: u64) -> Papaya<S> {
    let capacity = usize::try_from(records).expect("records fit into memory");
    let map = Papaya::with_capacity_and_hasher(capacity, S::default());
    let pinned = map.pin();
    for index in 0..records {
        pinned.insert(key_of(index), AtomicU64::new(value_of(key_of(index), 0)));
    }
    drop(pinned);
    map
}

/// Returns a function that runs a map one by one.
pub fn one_by_one(map: &impl Map, mix: Mix) -> impl Fn(&mut Walk) {
    move |walk| step_by_step(map, mix, walk)
}

/// Returns whether a contestant is a rival with default settings.
pub fn is_default_rival(name: &str) -> bool {
    is_rival(name) && !name.contains("rapidhash")
}

/// Returns whether a contestant is a rival, even with another hasher.
pub fn is_rival(name: &str) -> bool {
    name.starts_with("DashMap") || name.starts_with("papaya")
}
