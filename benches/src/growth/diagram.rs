//! The runs over time as one SVG: panels of throughput, latency and index, one line for each run.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::options::IndexKind;
use super::phase::{Phase, Slot};
use super::run::Run;
use super::sample::Sample;

/// The size of the diagram in pixels.
const SIZE: (u32, u32) = (1100, 1200);

/// The length of the time axis over that of the longest run. The legend has the rest.
const LEGEND: f64 = 1.18;

/// The lines of a run.
#[derive(Clone, Debug)]
pub struct Curves<'a> {
    /// The name of the run in the legend.
    pub name: String,
    /// The size of the index.
    pub index: IndexKind,
    /// The growth, then the shrink.
    pub phases: &'a [Phase],
}

/// Returns the lines of some runs. The names tell the indexes, and whether an earlier run has the
/// same.
pub fn curves(runs: &[Run]) -> Vec<Curves<'_>> {
    let name = |number: usize, run: &Run| {
        let earlier = runs[..number].iter().filter(|other| other.index == run.index).count();
        let again = if earlier > 0 { ", again" } else { "" };
        format!("index {}{again}", run.index.name())
    };
    let curves = |(number, run)| Curves {
        name: name(number, run),
        index: run.index,
        phases: run.phases.as_slice(),
    };
    runs.iter().enumerate().map(curves).collect()
}

/// A panel: a figure of each slot over time.
#[derive(Clone, Copy)]
struct Panel {
    title: &'static str,
    unit: &'static str,
    figure: fn(&Slot) -> f64,
    scale: Scale,
}

/// The values of a panel.
#[derive(Clone, Copy)]
enum Scale {
    /// Zero to the maximum.
    Linear,
    /// Zero to this value. Larger figures are drawn there.
    UpTo(f64),
    /// The decades that have figures.
    Logarithmic,
}

const PANELS: [Panel; 5] = [
    Panel {
        title: "Throughput (vertical lines: the peak, where the shrink begins)",
        unit: "million operations/s",
        figure: |slot| slot.rate() / 1e6,
        scale: Scale::Linear,
    },
    Panel {
        title: "99.9th percentile of the operations of a slot",
        unit: "us, logarithmic",
        figure: |slot| slot.tally.microseconds(0.999),
        scale: Scale::Logarithmic,
    },
    Panel {
        title: "Longest operation of a slot",
        unit: "us, logarithmic",
        figure: |slot| slot.tally.microseconds(1.0),
        scale: Scale::Logarithmic,
    },
    Panel {
        title: "Index",
        unit: "MB",
        figure: |slot| slot.sample.index_bytes as f64 / 1e6,
        scale: Scale::Linear,
    },
    Panel {
        title: "Index for each key, drawn up to 32 bytes",
        unit: "bytes",
        figure: |slot| Sample::bytes_per_key(&slot.sample),
        scale: Scale::UpTo(32.0),
    },
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Returns the diagram of some runs as SVG.
///
/// # Errors
///
/// Fails if no run has a slot.
pub fn draw(title: &str, runs: &[Curves<'_>]) -> Result<String, Box<dyn Error>> {
    let slots = || runs.iter().flat_map(|run| run.phases).flat_map(|phase| &phase.slots);
    let last = slots().map(|slot| slot.until).reduce(f64::max);
    let last = last.ok_or("the runs are too short for a diagram")?;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let area = area.margin(8, 8, 8, 16).titled(title, ("sans-serif", 16))?;
        let areas = area.split_evenly((PANELS.len(), 1));
        for (panel, area) in PANELS.iter().zip(&areas) {
            let figures = slots().map(panel.figure).filter(|figure| *figure > 0.0);
            let most = figures.clone().fold(0.001, f64::max);
            let drawn = Drawn { panel, runs, last };
            match panel.scale {
                Scale::Linear => drawn.draw(area, 0.0..most * 1.1)?,
                Scale::UpTo(top) => drawn.draw(area, 0.0..top)?,
                Scale::Logarithmic => {
                    drawn.draw(area, decades(figures.fold(most, f64::min), most).log_scale())?;
                }
            }
        }
        area.present()?;
    }
    Ok(svg)
}

/// Returns the powers of ten around two figures.
fn decades(least: f64, most: f64) -> Range<f64> {
    let power = |figure: f64| 10.0_f64.powf(figure);
    let low = least.log10().floor();
    power(low)..power(most.log10().ceil().max(low + 1.0))
}

/// The contents of a panel.
struct Drawn<'a> {
    panel: &'a Panel,
    runs: &'a [Curves<'a>],
    /// The end of the longest run, in seconds.
    last: f64,
}

impl Drawn<'_> {
    fn draw<Y>(&self, area: &Area<'_>, values: Y) -> Result<(), Box<dyn Error>>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .caption(self.panel.title, ("sans-serif", 14))
            .margin(4)
            .x_label_area_size(32)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..self.last * LEGEND, values)?;
        let values = chart.y_range();
        chart
            .configure_mesh()
            .x_desc("seconds")
            .y_desc(self.panel.unit)
            .y_labels(6)
            .y_label_formatter(&|figure| label(*figure))
            .light_line_style(WHITE)
            .draw()?;
        for (number, run) in self.runs.iter().enumerate() {
            let color = color(number, run.index);
            let points = run.phases.iter().flat_map(|phase| &phase.slots).map(|slot| {
                let middle = f64::midpoint(slot.from, slot.until);
                (middle, (self.panel.figure)(slot).clamp(values.start, values.end))
            });
            let mark = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2));
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(1)))?
                .label(run.name.as_str())
                .legend(mark);
            if let Some(peak) = run.phases.last().and_then(|phase| phase.slots.first()) {
                let line = [(peak.from, values.start), (peak.from, values.end)];
                chart.draw_series([PathElement::new(line, color.mix(0.5))])?;
            }
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        Ok(())
    }
}

fn color(number: usize, index: IndexKind) -> RGBColor {
    match (index, number) {
        (IndexKind::Following, _) => BLUE,
        (IndexKind::Fixed, 0) => full_palette::ORANGE_800,
        (IndexKind::Fixed, _) => full_palette::GREY_600,
    }
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
    use super::super::frontier::Direction;
    use super::super::phase::tests::phase;
    use super::*;

    fn phases() -> [Phase; 2] {
        let slots = [(2000, 300), (4000, 900), (2000, 80_000), (0, 0)];
        [phase(Direction::Grow, 1000, &slots), phase(Direction::Shrink, 5000, &slots)]
    }

    #[test]
    fn every_panel_has_a_line_and_a_legend_for_each_run() {
        let phases = phases();
        let curves = |name: &str, index| Curves { name: name.to_owned(), index, phases: &phases };
        let runs = [curves("fixed", IndexKind::Fixed), curves("following", IndexKind::Following)];
        let svg = draw("A title", &runs).unwrap();
        let lines = |color: RGBColor| {
            let RGBColor(red, green, blue) = color;
            let color = format!("stroke=\"#{red:02X}{green:02X}{blue:02X}\"");
            let is_line = |line: &&str| line.starts_with("<polyline") && line.contains(&color);
            svg.lines().filter(is_line).count()
        };
        // The line, its peak and its mark in the legend.
        assert_eq!(lines(BLUE), 3 * PANELS.len());
        assert_eq!(lines(full_palette::ORANGE_800), 3 * PANELS.len());
        for text in ["A title", "seconds", "following", "fixed"] {
            assert!(svg.lines().any(|line| line.trim() == text), "{text}");
        }
        for panel in &PANELS {
            for text in [panel.title, panel.unit] {
                assert!(svg.lines().any(|line| line.trim() == text), "{text}");
            }
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn the_same_runs_draw_the_same_diagram() {
        let phases = phases();
        let run = Curves { name: "one".to_owned(), index: IndexKind::Following, phases: &phases };
        let draw = || draw("t", std::slice::from_ref(&run)).unwrap();
        assert_eq!(draw(), draw());
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
    fn no_slots_are_an_error() {
        assert!(draw("t", &[]).is_err());
    }
}
