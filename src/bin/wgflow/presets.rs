//! `wgflow presets`: published settings, and the scores that were reached with them.

use serde::Serialize;
use wgflow::train::presets::{self, Preset};
use wgflow::train::published::{FamilyScore, Score};
use wgflow::{Result, cli};

/// Columns that fit a terminal.
const WIDTH: usize = 120;

/// Settings that the list shows, where a series has them.
const LISTED: [&str; 8] = ["batch", "discount", "alpha", "eta", "expectile", "num_samples", "alpha_actor", "alpha_critic"];

const LEGEND: &str = "Scores are percent, the mean ± standard deviation over seeds (their number) of all tasks together:
success for OGBench, the normalised return for D4RL and Minari. \"wgflow presets NAME\" shows all about one preset.";

/// List published settings with the scores to expect; one preset's name shows all of it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  wgflow presets cube\n  wgflow presets gfp/cube-single-play")]
pub struct Presets {
    /// Part of a name or a benchmark (cube, minari), or one whole name (gfp/cube-single-play)
    filter: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The JSON form of a preset.
#[derive(Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    preset: &'static Preset,
    expected: Expected,
    scores: Vec<&'static Score>,
}

/// The scores over all tasks.
#[derive(Debug, Serialize)]
struct Expected {
    actor: Option<FamilyScore>,
    flow: Option<FamilyScore>,
}

impl Presets {
    /// Prints to standard output.
    pub fn run(self) -> Result<()> {
        let filter = self.filter.unwrap_or_default();
        let one = presets::resolve(&filter);
        let chosen = one.as_ref().map_or_else(|_| matching(&filter), |(preset, _)| vec![*preset]);
        let text = match one {
            Err(error) if chosen.is_empty() => return Err(error),
            _ if self.json => return json(&chosen),
            Ok((preset, task)) => detail(preset, task),
            Err(_) => list(&chosen),
        };
        cli::print(&text)
    }
}

/// The presets whose name or benchmark contains the filter, in any case.
fn matching(filter: &str) -> Vec<&'static Preset> {
    let wanted = filter.to_lowercase();
    let fits = |text: &str| text.to_lowercase().contains(&wanted);
    presets::all().iter().filter(|preset| fits(&preset.name) || fits(&preset.benchmark)).collect()
}

fn json(chosen: &[&'static Preset]) -> Result<()> {
    let entries: Vec<Entry> = chosen
        .iter()
        .map(|preset| Entry {
            preset,
            expected: Expected { actor: preset.expected("actor"), flow: preset.expected("flow") },
            scores: tasks(preset, None).iter().flat_map(|task| both(preset, *task)).flatten().collect(),
        })
        .collect();
    cli::print_json(&entries, false)
}

/// The tasks to show scores of: the one asked for, or all; for a dataset without tasks the dataset itself.
fn tasks(preset: &Preset, asked: Option<u32>) -> Vec<Option<u32>> {
    match asked {
        Some(task) => vec![Some(task)],
        None if preset.tasks.is_empty() => vec![None],
        None => preset.tasks.iter().copied().map(Some).collect(),
    }
}

/// The scores of the judged policy and of the flow.
fn both(preset: &Preset, task: Option<u32>) -> [Option<&'static Score>; 2] {
    ["actor", "flow"].map(|policy| preset.score(policy, task))
}

/// A table for each series, with its source above it.
fn list(chosen: &[&Preset]) -> String {
    let mut text = String::new();
    for series in chosen.chunk_by(|a, b| a.series == b.series) {
        let first = series[0];
        let shared = series.iter().all(|preset| preset.note == first.note);
        let note = if shared { format!("; {}", first.note) } else { String::new() };
        text += &wrapped(&format!("{}:", first.series), &format!("{}{note}", first.source));
        let listed: Vec<&str> =
            LISTED.into_iter().filter(|name| series.iter().any(|preset| setting(preset, name) != "-")).collect();
        let head = ["name"].into_iter().chain(listed.iter().copied()).chain(["actor", "flow", "figures"]);
        let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
        for preset in series {
            let scores = ["actor", "flow"].map(|policy| preset.expected(policy).map_or_else(dash, over_tasks));
            let settings = listed.iter().map(|name| setting(preset, name).to_owned());
            let row = [preset.name.clone()].into_iter().chain(settings).chain(scores).chain([preset.status().to_owned()]);
            rows.push(row.collect());
        }
        text += &table(&without_empty_columns(rows));
        text.push('\n');
    }
    text + &format!("{} presets.\n{LEGEND}\n", chosen.len())
}

fn setting<'a>(preset: &'a Preset, name: &str) -> &'a str {
    preset.settings.iter().find(|(known, _)| known == name).map_or("-", |(_, value)| value)
}

/// Everything about one preset, or about one task of it.
fn detail(preset: &Preset, asked: Option<u32>) -> String {
    let names: Vec<String> = preset.tasks.iter().map(u32::to_string).collect();
    let of_tasks = if names.is_empty() { String::new() } else { format!(", of its tasks {}", names.join(", ")) };
    let mut text = format!("{}\n\n", preset.name);
    for (label, value) in [
        ("dataset", format!("{} ({}){of_tasks}", preset.dataset, preset.benchmark)),
        ("agent", preset.agent.clone()),
        ("updates", preset.steps.to_string()),
        ("figures", preset.status().to_owned()),
        ("source", preset.source.clone()),
        ("", preset.note.clone()),
    ] {
        text += &wrapped(&format!("  {label:9}"), &value);
    }
    let settings: Vec<Vec<String>> =
        preset.settings.iter().map(|(name, value)| vec![format!("  {name}"), value.clone()]).collect();
    text += &format!("\nsettings\n{}", table(&settings));
    text += &scores(preset, asked);
    text + &command(preset, asked)
}

/// The published scores, task by task.
fn scores(preset: &Preset, asked: Option<u32>) -> String {
    let mut rows = vec![["  task", "actor", "flow"].map(str::to_owned).to_vec()];
    for task in tasks(preset, asked) {
        let found = both(preset, task);
        let name = task.map_or_else(|| preset.dataset.clone(), |task| format!("task {task}"));
        let cells = found.map(|score| score.map_or_else(dash, |s| format!("{} ({})", spread(s.mean, Some(s.std)), s.n_seeds)));
        rows.push([format!("  {name}")].into_iter().chain(cells).collect());
    }
    if rows.len() > 2 {
        let cells = ["actor", "flow"].map(|policy| preset.expected(policy).map_or_else(dash, over_tasks));
        rows.push(["  all tasks".to_owned()].into_iter().chain(cells).collect());
    }
    let rows = without_empty_columns(rows);
    let label = format!("published scores, percent, mean ± standard deviation over seeds (their number), {}", preset.status());
    let rows = if rows[0].len() > 1 { table(&rows) } else { "  none\n".to_owned() };
    format!("\n{label}\n{rows}")
}

/// How to train with it.
fn command(preset: &Preset, asked: Option<u32>) -> String {
    if preset.has_pixels() {
        return "\nIts observations are images: wgflow trains on states only.\n".to_owned();
    }
    let file = match preset.benchmark.as_str() {
        "Minari" => format!("{}/data/main_data.hdf5", preset.dataset),
        "D4RL" => format!("{}.hdf5", preset.dataset),
        _ => format!("{}.npz", preset.dataset),
    };
    let task = asked.or_else(|| preset.default_task()).map_or_else(String::new, |task| format!(" --task {task}"));
    format!("\ntrain with it\n  wgflow train --preset {}{task} --data {file}\n", preset.name)
}

fn dash() -> String {
    "-".to_owned()
}

fn over_tasks(score: FamilyScore) -> String {
    format!("{} ({})", spread(score.mean, score.std), score.n_seeds)
}

/// `98.8 ± 0.4`; never a negative zero.
fn spread(mean: f64, std: Option<f64>) -> String {
    let mean = (mean * 10.0).round() / 10.0 + 0.0;
    std.map_or_else(|| format!("{mean:.1}"), |std| format!("{mean:.1} ± {std:.1}"))
}

/// The rows without the columns that hold nothing but dashes below their head.
fn without_empty_columns(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let columns = rows.first().map_or(0, Vec::len);
    let kept: Vec<bool> = (0..columns).map(|c| rows.iter().skip(1).any(|row| row[c] != "-")).collect();
    for row in &mut rows {
        let mut keep = kept.iter();
        row.retain(|_| keep.next().copied().unwrap_or(true));
    }
    rows
}

/// Rows as lines with aligned columns.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// `label` and `text`, broken between words where a line would leave the terminal.
fn wrapped(label: &str, text: &str) -> String {
    let indent = " ".repeat(label.len());
    let mut lines = vec![label.to_owned()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last + 1 + word.chars().count() > WIDTH {
            lines.push(indent.clone());
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    format!("{}\n", lines.join("\n"))
}
