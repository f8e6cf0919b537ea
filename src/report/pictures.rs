//! The pictures of a report: learning curves of each family, and performance profiles.

use std::collections::BTreeMap;
use std::path::Path;

use super::Report;
use super::runs::{Outcome, Run};
use super::scoring::Metric;
use super::statistics::{mean, population_std};
use super::summary::Profile;
use crate::error::Result;
use crate::train::plot::{Panel, Series, learning_curves};

/// Stem of the performance profiles' files.
pub const PROFILE: &str = "profile";

/// Stem of the files of a family's curves.
pub fn curves_stem(family: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    format!("curves-{}", family.chars().map(safe).collect::<String>())
}

/// Draws everything that there are values for into `folder`. Returns the stems of the files.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn draw(report: &Report, folder: &Path) -> Result<Vec<String>> {
    let mut stems = Vec::new();
    for family in report.family_places() {
        let panels: Vec<Panel> = family.iter().map(|task| curves(report, *task)).collect();
        if panels.iter().all(|panel| panel.series.is_empty()) {
            continue;
        }
        let (name, stem) = (&report.tasks[family[0]].family, curves_stem(&report.tasks[family[0]].family));
        let banded = panels.iter().flat_map(|panel| &panel.series).any(|series| !series.band.is_empty());
        let title = if banded { format!("{name}: mean ± std over seeds") } else { name.clone() };
        learning_curves(folder.join(&stem), &title, &panels)?;
        stems.push(stem);
    }
    if !report.profiles.is_empty() {
        let title = format!("Performance profile, {} tasks", report.tasks.len());
        learning_curves(folder.join(PROFILE), &title, &[profile(report)])?;
        stems.push(PROFILE.to_owned());
    }
    Ok(stems)
}

/// A task's panel: for each method the mean over seeds, with a band of one standard deviation, and the published scores.
fn curves(report: &Report, task: usize) -> Panel {
    let mut series = Vec::new();
    for (method, of) in report.methods.iter().enumerate() {
        let runs = shown(report, method, task);
        let (points, band) = curve(&runs);
        if !points.is_empty() {
            let state = if runs.iter().any(|run| run.counted()) { "" } else { " (unfinished)" };
            series.push(Series::new(format!("{}{state}", of.label), points).with_band(band).with_markers().with_colour(method));
        }
    }
    let furthest = series.iter().flat_map(|series| &series.points).map(|[step, _]| *step).fold(0.0, f64::max);
    // Variants of an algorithm share a published score, which is drawn once.
    let mut told: Vec<String> = Vec::new();
    for cell in report.cells.iter().filter(|cell| cell.tasks == [task]) {
        let (Some(comparison), method) = (&cell.comparison, &report.methods[cell.method]) else { continue };
        let label = format!("{} {}, published", method.algorithm, method.policy);
        if !told.contains(&label) {
            let level = comparison.published.mean;
            told.push(label.clone());
            series.push(Series::new(label, vec![[0.0, level], [furthest, level]]).with_dashes().with_colour(cell.method));
        }
    }
    let metric = report.metrics[task];
    let y_range = (metric == Metric::Success).then_some([0.0, 100.0]);
    Panel { title: report.tasks[task].label.clone(), y_label: metric.described().to_owned(), y_range, series, ..Panel::default() }
}

/// The runs that are averaged; where there are none yet, those that are still going.
fn shown(report: &Report, method: usize, task: usize) -> Vec<&Run> {
    let own = report.runs.iter().filter(|run| run.method == method && run.task == task && !run.evaluations.is_empty());
    let own: Vec<&Run> = own.filter(|run| matches!(run.outcome, Outcome::Counted | Outcome::Missing(_))).collect();
    let counted: Vec<&Run> = own.iter().copied().filter(|run| run.counted()).collect();
    if counted.is_empty() { own } else { counted }
}

/// The mean at each update that all of `runs` have evaluated, and a band of one standard deviation.
fn curve(runs: &[&Run]) -> (Vec<[f64; 2]>, Vec<[f64; 2]>) {
    let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for point in runs.iter().flat_map(|run| &run.evaluations) {
        at.entry(point.step).or_default().push(point.value);
    }
    at.retain(|_, values| values.len() == runs.len());
    let means = at.iter().map(|(step, values)| [*step as f64, mean(values).unwrap_or(f64::NAN)]).collect();
    let band = |values: &Vec<f64>| {
        let (mean, std) = (mean(values).unwrap_or(f64::NAN), population_std(values).unwrap_or(0.0));
        [mean - std, mean + std]
    };
    (means, if runs.len() > 1 { at.values().map(band).collect() } else { Vec::new() })
}

/// The profiles' panel. A method that lacks tasks says so: its curve is of easier or harder ones.
fn profile(report: &Report) -> Panel {
    let series = |profile: &Profile| {
        let points =
            profile.thresholds.iter().zip(&profile.shares).map(|(threshold, share)| [*threshold, 100.0 * share]).collect();
        let label = &report.methods[profile.method].label;
        let label = match (profile.tasks.len(), report.tasks.len()) {
            (some, all) if some < all => format!("{label} ({some} of {all} tasks)"),
            _ => label.clone(),
        };
        let band = profile.band.iter().flatten().map(|interval| interval.map(|share| 100.0 * share)).collect();
        Series::new(label, points).with_band(band).with_colour(profile.method)
    };
    let metric = report.metrics.iter().all(|metric| *metric == report.metrics[0]).then(|| report.metrics[0].described());
    Panel {
        title: "Share of runs that score above a threshold, with 95 % intervals".to_owned(),
        x_label: format!("threshold ({})", metric.unwrap_or("score")),
        y_label: "% of runs".to_owned(),
        y_range: Some([0.0, 100.0]),
        series: report.profiles.iter().map(series).collect(),
        ..Panel::default()
    }
}
