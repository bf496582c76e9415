//! Figures over time as one SVG: panels above each other, each with some lines.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

/// The length of the time axis over that of the longest line. The legend has the rest.
const LEGEND: f64 = 1.18;

/// One diagram of figures over time.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// The title.
    pub title: &'a str,
    /// The unit of the figures.
    pub unit: &'a str,
    /// The scale of the figures.
    pub scale: Scale,
    /// The lines.
    pub lines: Vec<Line>,
    /// Shaded times, in seconds.
    pub shaded: Vec<Range<f64>>,
}

/// The scale of the figures of a panel.
#[derive(Clone, Copy, Debug)]
pub enum Scale {
    /// Zero to the maximum.
    Linear,
    /// Zero to this value. Larger figures are drawn there.
    UpTo(f64),
    /// The decades that have figures.
    Logarithmic,
}

/// One line of a panel.
#[derive(Clone, Debug)]
pub struct Line {
    /// The name in the legend. A panel whose lines have no names has no legend.
    pub name: String,
    /// The color.
    pub color: RGBColor,
    /// The width in pixels.
    pub width: u32,
    /// Seconds, and the figure at that time.
    pub points: Vec<(f64, f64)>,
    /// A vertical line at this second.
    pub mark: Option<f64>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Returns the panels as SVG, of a `size` in pixels.
///
/// # Errors
///
/// Fails if no line has a point.
pub fn draw(title: &str, size: (u32, u32), panels: &[Panel<'_>]) -> Result<String, Box<dyn Error>> {
    let lines = || panels.iter().flat_map(|panel| &panel.lines);
    let last = lines().flat_map(|line| &line.points).map(|(second, _)| *second).reduce(f64::max);
    let last = last.ok_or("the runs are too short for a diagram")?;
    let has_legend = lines().any(|line| !line.name.is_empty());
    let seconds = 0.0..last * if has_legend { LEGEND } else { 1.0 };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let area = area.margin(8, 8, 8, 16).titled(title, ("sans-serif", 16))?;
        let areas = area.split_evenly((panels.len(), 1));
        for (panel, area) in panels.iter().zip(&areas) {
            panel.draw(area, seconds.clone())?;
        }
        area.present()?;
    }
    Ok(svg)
}

impl Panel<'_> {
    fn draw(&self, area: &Area<'_>, seconds: Range<f64>) -> Result<(), Box<dyn Error>> {
        let points = self.lines.iter().flat_map(|line| &line.points);
        let figures = points.map(|(_, figure)| *figure).filter(|figure| *figure > 0.0);
        let most = figures.clone().fold(0.001, f64::max);
        match self.scale {
            Scale::Linear => self.draw_within(area, seconds, 0.0..most * 1.1),
            Scale::UpTo(top) => self.draw_within(area, seconds, 0.0..top),
            Scale::Logarithmic => {
                let values = decades(figures.fold(most, f64::min), most).log_scale();
                self.draw_within(area, seconds, values)
            }
        }
    }

    fn draw_within<Y>(
        &self,
        area: &Area<'_>,
        seconds: Range<f64>,
        values: Y,
    ) -> Result<(), Box<dyn Error>>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 14))
            .margin(4)
            .x_label_area_size(32)
            .y_label_area_size(64)
            .build_cartesian_2d(seconds, values)?;
        let (seconds, values) = (chart.x_range(), chart.y_range());
        chart
            .configure_mesh()
            .x_desc("seconds")
            .y_desc(self.unit)
            .y_labels(6)
            .y_label_formatter(&|figure| label(*figure))
            .light_line_style(WHITE)
            .draw()?;
        chart.draw_series(self.shaded.iter().map(|time| {
            let corners = [(time.start, values.start), (time.end.min(seconds.end), values.end)];
            Rectangle::new(corners, RED.mix(0.2).filled())
        }))?;
        for Line { name, color, width, points, mark } in &self.lines {
            let (color, width) = (*color, *width);
            let drawn = points
                .iter()
                .map(|(second, figure)| (*second, figure.clamp(values.start, values.end)));
            let series = chart.draw_series(LineSeries::new(drawn, color.stroke_width(width)))?;
            if !name.is_empty() {
                let sign =
                    move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2));
                series.label(name.as_str()).legend(sign);
            }
            if let Some(second) = mark {
                let line = [(*second, values.start), (*second, values.end)];
                chart.draw_series([PathElement::new(line, color.mix(0.5))])?;
            }
        }
        if self.lines.iter().any(|line| !line.name.is_empty()) {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperRight)
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK.mix(0.3))
                .draw()?;
        }
        Ok(())
    }
}

/// Returns the powers of ten around two figures.
fn decades(least: f64, most: f64) -> Range<f64> {
    let power = |figure: f64| 10.0_f64.powf(figure);
    let low = least.log10().floor();
    power(low)..power(most.log10().ceil().max(low + 1.0))
}

/// Writes a figure with as many digits as an axis needs.
fn label(figure: f64) -> String {
    match figure {
        figure if figure >= 10.0 => format!("{figure:.0}"),
        figure if figure >= 1.0 => format!("{figure:.1}"),
        figure => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(name: &str, points: &[(f64, f64)]) -> Panel<'static> {
        let line = Line {
            name: name.to_owned(),
            color: BLUE,
            width: 1,
            points: points.to_vec(),
            mark: None,
        };
        let shaded = vec![0.5..9.0];
        Panel { title: "A panel", unit: "MB", scale: Scale::Linear, lines: vec![line], shaded }
    }

    #[test]
    fn names_make_a_legend_and_times_are_shaded() {
        let points = [(1.0, 2.0), (2.0, 3.0)];
        for (name, lines) in [("a line", 2), ("", 1)] {
            let svg = draw("A title", (400, 200), &[panel(name, &points)]).unwrap();
            let blue = |line: &&str| line.starts_with("<polyline") && line.contains("#0000FF");
            assert_eq!(svg.lines().filter(blue).count(), lines, "{name}");
            assert_eq!(svg.lines().any(|line| line.trim() == "a line"), !name.is_empty());
            assert!(svg.contains("fill=\"#FF0000\""), "it is shaded");
            for text in ["A title", "A panel", "MB", "seconds"] {
                assert!(svg.lines().any(|line| line.trim() == text), "{text}");
            }
        }
    }

    #[test]
    fn logarithmic_axes_have_whole_decades() {
        let ends = |least, most| {
            let range = decades(least, most);
            [range.start.log10().round(), range.end.log10().round()]
        };
        assert_eq!(ends(3.0, 30_000.0), [0.0, 5.0]);
        assert_eq!(ends(0.5, 0.5), [-1.0, 0.0]);
        assert_eq!(ends(10.0, 10.0), [1.0, 2.0]);
    }

    #[test]
    fn no_points_are_an_error() {
        assert!(draw("t", (400, 200), &[panel("a line", &[])]).is_err());
        assert!(draw("t", (400, 200), &[]).is_err());
    }
}
