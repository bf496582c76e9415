//! Throughput over time: one point for each interval, and a diagram of the points as SVG.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;
use serde::Serialize;

use crate::checkpoints::Span;

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

    /// Draws the timeline into an SVG file, with shaded `spans`.
    ///
    /// # Errors
    ///
    /// Fails if there are no points or the file cannot be written.
    pub fn draw(&self, file: &Path, title: &str, spans: &[Span]) -> Result<(), Box<dyn Error>> {
        let last = self.points.last().ok_or("the run is too short for a timeline")?;
        let highest =
            self.points.iter().map(|point| point.operations_per_second).fold(1.0, f64::max);
        let (unit, name) =
            if highest >= 1e6 { (1e6, "million operations/s") } else { (1e3, "k operations/s") };
        let top = highest / unit * 1.1;
        let area = SVGBackend::new(file, (960, 360)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..last.seconds, 0.0..top)?;
        chart.configure_mesh().x_desc("seconds").y_desc(name).light_line_style(WHITE).draw()?;
        chart.draw_series(spans.iter().map(|span| {
            let [from, until] = [span.from, span.until].map(|time| time.as_secs_f64());
            let until = until.min(last.seconds);
            Rectangle::new([(from, 0.0), (until, top)], RED.mix(0.2).filled())
        }))?;
        let line =
            self.points.iter().map(|point| (point.seconds, point.operations_per_second / unit));
        chart.draw_series(LineSeries::new(line, BLUE.stroke_width(2)))?;
        area.present()?;
        Ok(())
    }
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
