//! The runs over time as one SVG: panels of throughput, latency and index, one line for each run.

use std::error::Error;

use plotters::style::{BLUE, RGBColor, full_palette};

use super::options::IndexKind;
use super::phase::{Phase, Slot};
use super::run::Run;
use super::sample::Sample;
use crate::panels::{self, Line, Panel, Scale};

/// The size of the diagram in pixels.
const SIZE: (u32, u32) = (1100, 1200);

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
struct Figure {
    title: &'static str,
    unit: &'static str,
    of: fn(&Slot) -> f64,
    scale: Scale,
}

const FIGURES: [Figure; 5] = [
    Figure {
        title: "Throughput (vertical lines: the peak, where the shrink begins)",
        unit: "million operations/s",
        of: |slot| slot.rate() / 1e6,
        scale: Scale::Linear,
    },
    Figure {
        title: "99.9th percentile of the operations of a slot",
        unit: "us, logarithmic",
        of: |slot| slot.tally.microseconds(0.999),
        scale: Scale::Logarithmic,
    },
    Figure {
        title: "Longest operation of a slot",
        unit: "us, logarithmic",
        of: |slot| slot.tally.microseconds(1.0),
        scale: Scale::Logarithmic,
    },
    Figure {
        title: "Index",
        unit: "MB",
        of: |slot| slot.sample.index_bytes as f64 / 1e6,
        scale: Scale::Linear,
    },
    Figure {
        title: "Index for each key, drawn up to 32 bytes",
        unit: "bytes",
        of: |slot| Sample::bytes_per_key(&slot.sample),
        scale: Scale::UpTo(32.0),
    },
];

/// Returns the diagram of some runs as SVG.
///
/// # Errors
///
/// Fails if no run has a slot.
pub fn draw(title: &str, runs: &[Curves<'_>]) -> Result<String, Box<dyn Error>> {
    let panels = FIGURES.map(|Figure { title, unit, of, scale }| {
        let lines = (0..).zip(runs).map(|(number, run)| line(number, run, of));
        Panel { title, unit, scale, lines: lines.collect(), shaded: Vec::new() }
    });
    panels::draw(title, SIZE, &panels)
}

fn line(number: usize, run: &Curves<'_>, figure: fn(&Slot) -> f64) -> Line {
    let slots = run.phases.iter().flat_map(|phase| &phase.slots);
    let points = slots.map(|slot| (f64::midpoint(slot.from, slot.until), figure(slot)));
    let peak = run.phases.last().and_then(|phase| phase.slots.first());
    Line {
        name: run.name.clone(),
        color: color(number, run.index),
        width: 1,
        points: points.collect(),
        mark: peak.map(|peak| peak.from),
    }
}

fn color(number: usize, index: IndexKind) -> RGBColor {
    match (index, number) {
        (IndexKind::Following, _) => BLUE,
        (IndexKind::Fixed, 0) => full_palette::ORANGE_800,
        (IndexKind::Fixed, _) => full_palette::GREY_600,
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
        assert_eq!(lines(BLUE), 3 * FIGURES.len());
        assert_eq!(lines(full_palette::ORANGE_800), 3 * FIGURES.len());
        for text in ["A title", "seconds", "following", "fixed"] {
            assert!(svg.lines().any(|line| line.trim() == text), "{text}");
        }
        for panel in &FIGURES {
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
    fn no_slots_are_an_error() {
        assert!(draw("t", &[]).is_err());
    }
}
