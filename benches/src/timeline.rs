//! Throughput over time: one point for each interval, and the points as a panel of a diagram.

use std::time::Duration;

use plotters::style::{BLUE, RGBColor};
use serde::Serialize;

use crate::checkpoints::Span;
use crate::panels::{Line, Panel, Scale};

/// The operations counted during a run.
#[derive(Debug, Default)]
pub struct Timeline {
    last: (Duration, u64),
    points: Vec<Point>,
}

/// One interval of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// End of the interval, in seconds from the start of the run.
    pub seconds: f64,
    /// Operations per second within the interval.
    pub operations_per_second: f64,
}

impl Timeline {
    /// Creates an empty timeline.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the interval since the last point. `total` is the sum of operations at its end.
    pub fn push(&mut self, elapsed: Duration, total: u64) {
        let (last_elapsed, last_total) = self.last;
        debug_assert!(elapsed > last_elapsed && total >= last_total, "time and counts only grow");
        let interval = (elapsed - last_elapsed).as_secs_f64();
        let operations_per_second = (total - last_total) as f64 / interval;
        self.points.push(Point { seconds: elapsed.as_secs_f64(), operations_per_second });
        self.last = (elapsed, total);
    }

    /// Returns the points so far.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Returns two medians of the rates: of the intervals that overlap none of `spans`, and of the
    /// others. A median is `None` if there is no such interval.
    pub fn medians(&self, spans: &[Span]) -> [Option<f64>; 2] {
        let mut rates = [Vec::new(), Vec::new()];
        let mut from = Duration::ZERO;
        for point in &self.points {
            let until = Duration::from_secs_f64(point.seconds);
            let interval = Span { from, until };
            let is_within = spans.iter().any(|span| span.overlaps(&interval));
            rates[usize::from(is_within)].push(point.operations_per_second);
            from = until;
        }
        rates.map(median)
    }

    /// Returns the same run in whole seconds, without the incomplete second at its end.
    #[must_use]
    pub fn in_seconds(&self) -> Self {
        let mut coarse = Self::new();
        let (mut total, mut from, mut last) = (0.0, 0.0, 0.0);
        for point in &self.points {
            total += point.operations_per_second * (point.seconds - from);
            from = point.seconds;
            if from - last >= 1.0 {
                let operations_per_second = total / (from - last);
                coarse.points.push(Point { seconds: from, operations_per_second });
                (total, last) = (0.0, from);
            }
        }
        coarse
    }

    /// Returns the worst whole second, in operations per second; `None` if there is none.
    pub fn worst_second(&self) -> Option<f64> {
        let seconds = self.in_seconds();
        seconds.points.iter().map(|point| point.operations_per_second).reduce(f64::min)
    }

    /// Returns the timeline as a panel of a diagram, with shaded `spans`.
    pub fn panel(&self, spans: &[Span]) -> Panel<'static> {
        let shaded =
            spans.iter().map(|Span { from, until }| from.as_secs_f64()..until.as_secs_f64());
        let lines = vec![self.line(String::new(), BLUE)];
        Panel { shaded: shaded.collect(), ..panel_of(lines) }
    }

    /// Returns the timeline as a line of [`panel_of`].
    pub fn line(&self, name: String, color: RGBColor) -> Line {
        let points = self.points.iter().map(|point| (point.seconds, point.operations_per_second));
        Line { name, color, width: 2, points: points.collect(), mark: None }
    }
}

/// Returns the panel of the lines of some timelines.
pub fn panel_of(mut lines: Vec<Line>) -> Panel<'static> {
    let rates = || lines.iter().flat_map(|line| &line.points).map(|(_, rate)| *rate);
    let highest = rates().fold(0.0, f64::max);
    let (scale, unit) =
        if highest >= 1e6 { (1e6, "million operations/s") } else { (1e3, "k operations/s") };
    for (_, rate) in lines.iter_mut().flat_map(|line| &mut line.points) {
        *rate /= scale;
    }
    Panel { title: "Throughput", unit, scale: Scale::Linear, lines, shaded: Vec::new() }
}

/// Returns the median of some figures, the larger of two middle ones.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_sums_of_their_intervals() {
        let mut timeline = Timeline::new();
        for eighth in 1..=20 {
            timeline.push(Duration::from_millis(125 * eighth), 10 * eighth);
        }
        let seconds = timeline.in_seconds();
        let points = seconds.points();
        assert_eq!(points.len(), 2);
        assert!(points.iter().all(|point| (point.operations_per_second - 80.0).abs() < 1.0));
        assert_eq!(timeline.worst_second(), Some(80.0));
        assert_eq!(Timeline::new().worst_second(), None);
    }

    #[test]
    fn points_are_rates_between_readings() {
        let mut timeline = Timeline::new();
        timeline.push(Duration::from_secs(1), 100);
        timeline.push(Duration::from_secs(3), 500);
        let rates: Vec<f64> =
            timeline.points().iter().map(|point| point.operations_per_second).collect();
        assert_eq!(rates, [100.0, 200.0]);
    }

    #[test]
    fn medians_tell_intervals_within_spans_from_others() {
        let mut timeline = Timeline::new();
        let mut total = 0;
        for (second, rate) in (1..).zip([10, 2, 4, 12, 6]) {
            total += rate;
            timeline.push(Duration::from_secs(second), total);
        }
        let [from, until] = [1500, 3000].map(Duration::from_millis);
        let medians = timeline.medians(&[Span { from, until }]);
        assert_eq!(medians, [Some(10.0), Some(4.0)]);
        assert_eq!(timeline.medians(&[]), [Some(6.0), None]);
    }
}
