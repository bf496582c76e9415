//! The promises of a worker about a log, and the comparison with the recovered log.

use super::{Found, LogLine, Mark, parts};
use kvick::log;
use std::collections::{BTreeMap, BTreeSet};

/// The promises about a log.
#[derive(Debug)]
pub(crate) struct Promises {
    /// The words of the appended entries by address. They must exist below the end of the log.
    entries: BTreeMap<u64, u64>,
    /// The number and the end of a durable commit.
    number: u64,
    until: u64,
    /// The least and the greatest place of each mark.
    marks: BTreeMap<Mark, [u64; 2]>,
    voids: Vec<Void>,
    /// The end of the log when this life began.
    start: u64,
}

/// Truncated entries: from `from` on, at least up to `least` and at most up to `most`.
#[derive(Debug)]
struct Void {
    from: u64,
    least: u64,
    most: u64,
}

/// The differences between a log and its promises.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) lost: Vec<String>,
    pub(crate) wrong: Vec<String>,
}

impl Promises {
    /// Returns the promises about a log that does not exist yet.
    pub(crate) fn new() -> Self {
        let first = log::Address::FIRST.raw();
        Self {
            entries: BTreeMap::new(),
            number: 0,
            until: first,
            marks: BTreeMap::from([(Mark::Begin, [first, first])]),
            voids: Vec::new(),
            start: first,
        }
    }

    /// Notes a message. It is a promise only if it came `in_time`, before the end.
    pub(crate) fn note(&mut self, line: &LogLine, in_time: bool) {
        match line {
            LogLine::Appended { word, addresses, durable } => {
                self.entries.extend(addresses.iter().copied().zip(*word..));
                if let Some(last) = addresses.last().filter(|_| *durable && in_time) {
                    self.until = self.until.max(last + 1);
                }
            }
            LogLine::Committed { number, until } if in_time => {
                self.number = self.number.max(*number);
                self.until = self.until.max(*until);
            }
            LogLine::Moving(mark, to) => {
                let [_, most] = self.marks.entry(*mark).or_default();
                *most = (*most).max(*to);
            }
            LogLine::Moved(mark, to) if in_time => {
                let [least, _] = self.marks.entry(*mark).or_default();
                *least = (*least).max(*to);
            }
            LogLine::Voiding { from } => {
                self.voids.push(Void { from: *from, least: *from, most: u64::MAX });
            }
            LogLine::Voided { from, least, most } => {
                let void = self.voids.iter_mut().find(|void| void.from == *from);
                let void = void.expect("the worker reported the begin before");
                void.most = *most;
                if in_time {
                    void.least = *least;
                }
            }
            LogLine::Committed { .. } | LogLine::Moved(..) => {}
        }
    }

    /// Compares the promises with a recovered log, whose contents the next life must keep.
    pub(crate) fn compare(&mut self, found: Found) -> Differences {
        let mut differences = Differences { lost: Vec::new(), wrong: found.wrong.clone() };
        self.compare_marks(&found, &mut differences);
        self.compare_entries(&found, &mut differences);
        self.look_for_gaps(&found, &mut differences);
        differences.lost.truncate(SHOWN);
        differences.wrong.truncate(SHOWN);
        *self = Self {
            entries: found.entries.into_iter().collect(),
            number: found.number,
            until: found.until,
            marks: found.marks.into_iter().map(|(mark, at)| (mark, [at, at])).collect(),
            voids: Vec::new(),
            start: found.until,
        };
        differences
    }

    fn compare_marks(&self, found: &Found, differences: &mut Differences) {
        if found.number < self.number || found.until < self.until {
            let (number, until) = (found.number, found.until);
            differences.lost.push(format!(
                "lost: commit {} up to {} for {number} up to {until}",
                self.number, self.until
            ));
        }
        for (mark, at) in &found.marks {
            let [least, most] = self.marks.get(mark).copied().unwrap_or_default();
            let difference = format!("{mark:?} is at {at}, not within {least}..={most}");
            if *at < least {
                differences.lost.push(format!("lost: {difference}"));
            } else if *at > most {
                differences.wrong.push(difference);
            }
        }
    }

    fn compare_entries(&self, found: &Found, differences: &mut Differences) {
        let there: BTreeMap<u64, u64> = found.entries.iter().copied().collect();
        let begin = found.marks.iter().find(|(mark, _)| *mark == Mark::Begin);
        let begin = begin.map_or(0, |(_, begin)| *begin);
        for (address, word) in self.entries.range(begin..found.until.max(begin)) {
            let may_be_gone = self.voids.iter().any(|void| void.may_have(*address));
            match there.get(address) {
                Some(other) if other == word => {}
                None if may_be_gone => {}
                other => differences.lost.push(format!(
                    "lost: {word:#x} at {address} for {other:x?}, begin {begin}, until {}",
                    found.until
                )),
            }
        }
        for (address, word) in &found.entries {
            if self.voids.iter().any(|void| void.must_have(*address)) {
                differences.lost.push(format!("lost: that {word:#x} at {address} is taken back"));
            }
            if *address < self.start && !self.entries.contains_key(address) {
                differences.wrong.push(format!("{word:#x} at {address} has come back"));
            }
        }
    }

    /// Checks that no entry of a task is missing before a later one, unless it was truncated.
    fn look_for_gaps(&self, found: &Found, differences: &mut Differences) {
        let new = found.entries.iter().filter(|(address, _)| *address >= self.start);
        let mut words: BTreeSet<u64> = new.map(|(_, word)| *word).collect();
        words.extend(self.entries.range(self.start..).map(|(_, word)| *word));
        for word in &words {
            let (_, number) = parts(*word);
            if number == 0 || number > 1 && !words.contains(&(word - 1)) {
                differences.wrong.push(format!("{word:#x} is there without the one before it"));
            }
        }
    }
}

impl Void {
    fn may_have(&self, address: u64) -> bool {
        (self.from..self.most).contains(&address)
    }

    fn must_have(&self, address: u64) -> bool {
        (self.from..self.least).contains(&address)
    }
}

/// The number of reported differences. More of them add no information.
const SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the promises of three durable entries, and of one that may be durable.
    fn promises() -> Promises {
        let mut promises = Promises::new();
        let appended = |word, addresses, durable| LogLine::Appended { word, addresses, durable };
        promises.note(&appended(1, vec![100, 200, 300], true), true);
        promises.note(&appended(4, vec![400], true), false);
        promises
    }

    fn found(entries: &[(u64, u64)], until: u64) -> Found {
        let marks = vec![(Mark::Begin, log::Address::FIRST.raw())];
        Found { number: 1, until, marks, entries: entries.to_vec(), wrong: Vec::new() }
    }

    #[track_caller]
    fn assert_differences(mut promises: Promises, found: Found, lost: usize, wrong: usize) {
        let differences = promises.compare(found);
        let counts = (differences.lost.len(), differences.wrong.len());
        assert_eq!(counts, (lost, wrong), "{differences:?}");
    }

    #[test]
    fn a_missing_entry_is_lost() {
        let all = [(100, 1), (200, 2), (300, 3), (400, 4), (500, 5)];
        assert_differences(promises(), found(&all, 600), 0, 0);
        assert_differences(promises(), found(&all[..3], 400), 0, 0);
        assert_differences(promises(), found(&all[..2], 300), 1, 0);
        // The fourth entry was not promised, but a later one exists.
        assert_differences(promises(), found(&all[..3], 500), 1, 0);
    }

    #[test]
    fn an_unknown_entry_is_wrong() {
        let mut all = vec![(100, 1), (200, 2), (300, 3), (400, 4), (500, 6)];
        assert_differences(promises(), found(&all, 600), 0, 1);
        all.pop();
        let mut promises = promises();
        let differences = promises.compare(found(&all[..3], 400));
        assert!(differences.lost.is_empty() && differences.wrong.is_empty());
        all[3] = (390, 4);
        assert_differences(promises, found(&all, 400), 0, 1);
    }

    #[test]
    fn a_reported_truncation_is_permanent() {
        let all = [(100, 1), (200, 2), (300, 3)];
        for (voided_in_time, lost) in [(None, [0, 0]), (Some(false), [0, 0]), (Some(true), [1, 0])]
        {
            for (count, lost) in [3, 2].into_iter().zip(lost) {
                let mut promises = promises();
                promises.note(&LogLine::Voiding { from: 300 }, true);
                if let Some(in_time) = voided_in_time {
                    let voided = LogLine::Voided { from: 300, least: 350, most: 380 };
                    promises.note(&voided, in_time);
                }
                assert_differences(promises, found(&all[..count], 400), lost, 0);
            }
        }
    }
}
