//! The report as a document.

use std::collections::BTreeSet;

use super::runs::{Outcome, Run};
use super::scoring::Metric;
use super::summary::Summary;
use super::table::{Block, Document, Table, WIDTH};
use super::{Flag, Report, Verdict};

/// Columns that a seed's score takes in a table at least.
const SEED_COLUMNS: usize = 10;

/// The whole report; `pictures` are the stems of the pictures beside it.
pub fn document(report: &Report, pictures: &[String]) -> Document {
    let mut blocks = vec![Block::Heading(title(report)), Block::Text(how(report))];
    for family in report.family_places() {
        let task = &report.tasks[family[0]];
        let metric = report.metrics[family[0]];
        blocks.push(Block::Heading(format!("{}, {}", task.family, metric.described())));
        let of_family = |summary: &&Summary| summary.tasks.iter().all(|task| family.contains(task));
        let summaries: Vec<&Summary> = report.cells.iter().chain(&report.families).filter(of_family).collect();
        blocks.extend(tables(report, &summaries, &seeds_of(report, &family)).into_iter().map(Block::Table));
        blocks.extend(missing(report, &summaries));
        let stem = super::pictures::curves_stem(&task.family);
        blocks.extend(pictures.contains(&stem).then_some(Block::Picture(stem)));
    }
    if !report.overall.is_empty() {
        blocks.push(Block::Heading(format!("all {} tasks", report.tasks.len())));
        let summaries: Vec<&Summary> = report.overall.iter().collect();
        blocks.push(Block::Table(scores(report, &summaries, &[])));
        blocks.extend(missing(report, &summaries));
        blocks.extend(scales(report).map(Block::Text));
    }
    let profile = super::pictures::PROFILE.to_owned();
    if pictures.contains(&profile) {
        blocks.extend([Block::Heading("performance profile".to_owned()), Block::Picture(profile)]);
    }
    blocks.extend(improvements(report));
    blocks.extend(tuned(report));
    blocks.extend(flags(&report.flags));
    Document(blocks)
}

fn title(report: &Report) -> String {
    let folders: BTreeSet<&str> = report.runs.iter().map(|run| run.folder.as_str()).collect();
    let counted = report.runs.iter().filter(|run| run.counted()).count();
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (folders, tasks) = (plural(folders.len(), "run folder"), plural(report.tasks.len(), "task"));
    format!("{folders}, {tasks}: {counted} of {} are averaged", plural(report.runs.len(), "score"))
}

/// What the numbers mean, as far as they are shown.
fn how(report: &Report) -> String {
    let summaries = || report.cells.iter().chain(&report.families).chain(&report.overall);
    let mut text = format!("Score: {}. ± is the population standard deviation over n seeds", report.how.protocol);
    if !report.families.is_empty() {
        text += "; on several tasks, of each seed's mean over the tasks, over seeds that have them all";
    }
    text += ".";
    if summaries().any(has_iqm) {
        text += " IQM: mean of all scores without the lowest and the highest quarter (their number rounded down), with a \
                 95 % stratified bootstrap interval (seeds drawn within each task, ";
        text += &format!("{} resamples).", report.how.resamples);
    }
    if summaries().any(|summary| summary.evaluation_noise.is_some()) {
        text += " Evaluation noise: Wilson's 95 % interval over the episodes of a single run; it says nothing about other seeds.";
    }
    if summaries().any(|summary| summary.comparison.is_some()) {
        let sources: BTreeSet<&str> =
            summaries().filter_map(|summary| summary.comparison.as_ref()).map(|c| c.published.source.as_str()).collect();
        text += &format!(" Published: {}.", sources.into_iter().collect::<Vec<_>>().join(", "));
        text += " A score agrees with the published one if they differ by at most 2 sqrt(s_pub^2/n_pub + s_own^2/n + 1)";
        text += if summaries().any(single) { "; a single seed is taken to spread as the published ones do." } else { "." };
    }
    text
}

/// One table where the seeds fit beside the means, else one for the means and as many for the seeds as are needed.
fn tables(report: &Report, summaries: &[&Summary], seeds: &[u64]) -> Vec<Table> {
    let whole = scores(report, summaries, seeds);
    if whole.width() <= WIDTH {
        return vec![whole];
    }
    let names =
        |summary: &&Summary| tasks(report, summary).chars().count() + report.methods[summary.method].label.chars().count();
    let left = summaries.iter().map(names).max().unwrap_or(0) + 4;
    let column = seed_heads(seeds).map(|head| head.chars().count() + 2).fold(SEED_COLUMNS, usize::max);
    let each = WIDTH.saturating_sub(left.min(WIDTH / 2)) / column;
    let by_seed = seeds.chunks(each.max(1)).map(|seeds| {
        let row = |summary: &&Summary| names_of(report, summary).into_iter().chain(seed_cells(report, summary, seeds)).collect();
        let head = ["task", "method"].map(str::to_owned).into_iter().chain(seed_heads(seeds)).collect();
        Table { left: 2, head, rows: summaries.iter().map(row).collect() }
    });
    std::iter::once(scores(report, summaries, &[])).chain(by_seed).collect()
}

fn names_of(report: &Report, summary: &Summary) -> [String; 2] {
    [tasks(report, summary), report.methods[summary.method].label.clone()]
}

fn seed_heads(seeds: &[u64]) -> impl Iterator<Item = String> {
    seeds.iter().map(|seed| format!("seed {seed}"))
}

/// Whether a single seed is compared with a published score.
fn single(summary: &Summary) -> bool {
    summary.comparison.is_some() && summary.scores.len() == 1
}

/// The table of `summaries`, with a column for each of `seeds`, and the columns that any of them fills.
fn scores(report: &Report, summaries: &[&Summary], seeds: &[u64]) -> Table {
    let any = |has: &dyn Fn(&Summary) -> bool| summaries.iter().any(|summary| has(summary));
    let (iqm, noise) = (any(&has_iqm), any(&|s| s.evaluation_noise.is_some()));
    let published = any(&|s| s.comparison.is_some());
    let mut head = vec!["mean ± std", "n"];
    head.extend(iqm.then_some("IQM [95 %]"));
    head.extend(noise.then_some("evaluation noise"));
    head.extend(if published { &["published", "difference", "verdict"][..] } else { &[] });
    let names = ["task", "method"].map(str::to_owned).into_iter().chain(seed_heads(seeds));
    let head = names.chain(head.into_iter().map(str::to_owned)).collect();
    let row = |summary: &&Summary| {
        let mut row = names_of(report, summary).to_vec();
        row.extend(seed_cells(report, summary, seeds));
        row.push(summary.mean.map_or_else(|| "-".to_owned(), |mean| spread(mean, summary.std)));
        row.push(count(report, summary));
        let range = |[low, high]: [f64; 2]| format!("[{low:.1}, {high:.1}]");
        if iqm {
            let interval = summary.iqm_interval.map(|interval| format!(" {}", range(interval))).unwrap_or_default();
            let value = summary.iqm.filter(|_| has_iqm(summary));
            row.push(value.map_or_else(|| "-".to_owned(), |iqm| format!("{iqm:.1}{interval}")));
        }
        if noise {
            row.push(summary.evaluation_noise.map_or_else(|| "-".to_owned(), range));
        }
        if published {
            row.extend(compared(summary));
        }
        row
    };
    Table { left: 2, rows: summaries.iter().map(row).collect(), head }
}

/// Of a single run the interquartile mean is its score.
fn has_iqm(summary: &Summary) -> bool {
    summary.iqm_interval.is_some() || (summary.tasks.len() > 1 && summary.iqm.is_some())
}

fn compared(summary: &Summary) -> [String; 3] {
    summary.comparison.as_ref().map_or_else(
        || ["-", "-", "-"].map(str::to_owned),
        |c| {
            let verdict = if c.verdict == Verdict::Agrees { "agrees" } else { "differs" };
            [spread(c.published.mean, Some(c.published.std)), format!("{:+.1}", c.difference), verdict.to_owned()]
        },
    )
}

fn spread(mean: f64, std: Option<f64>) -> String {
    std.map_or_else(|| format!("{mean:.1}"), |std| format!("{mean:.1} ± {std:.1}"))
}

fn tasks(report: &Report, summary: &Summary) -> String {
    match summary.tasks.as_slice() {
        [one] => report.tasks[*one].label.clone(),
        several => format!("all {}", several.len()),
    }
}

/// `3`, or `3 of 4` where a seed is not averaged.
fn count(report: &Report, summary: &Summary) -> String {
    let own = |run: &&Run| run.method == summary.method && summary.tasks.contains(&run.task);
    let seeds: BTreeSet<u64> = report.runs.iter().filter(own).map(|run| run.seed).collect();
    let n = summary.scores.len();
    if n == seeds.len() { n.to_string() } else { format!("{n} of {}", seeds.len()) }
}

fn missing(report: &Report, summaries: &[&Summary]) -> Option<Block> {
    let several = summaries.iter().filter(|summary| summary.tasks.len() > 1);
    let line = |summary: &&Summary| {
        let method = &report.methods[summary.method].label;
        (!summary.missing.is_empty()).then(|| format!("{} {method}: {}", tasks(report, summary), summary.missing.join("; ")))
    };
    let lines: Vec<String> = several.filter_map(line).collect();
    (!lines.is_empty()).then_some(Block::List(lines))
}

/// The seeds of every run on `tasks`.
fn seeds_of(report: &Report, tasks: &[usize]) -> Vec<u64> {
    let seeds: BTreeSet<u64> = report.runs.iter().filter(|run| tasks.contains(&run.task)).map(|run| run.seed).collect();
    seeds.into_iter().collect()
}

/// The score of each of `seeds`; in brackets where it is not averaged.
fn seed_cells(report: &Report, summary: &Summary, seeds: &[u64]) -> Vec<String> {
    let shown = |run: &Run| match (&run.outcome, run.score) {
        (Outcome::Counted, Some(score)) => format!("{score:.1}"),
        (Outcome::Diverged(_), _) => "diverged".to_owned(),
        (_, Some(score)) => format!("({score:.1})"),
        (_, None) => "-".to_owned(),
    };
    let own = |run: &&Run| run.method == summary.method && summary.tasks.contains(&run.task);
    let own: Vec<&Run> = report.runs.iter().filter(own).filter(|run| !matches!(run.outcome, Outcome::Duplicate(_))).collect();
    let cell = |seed: &u64| {
        let averaged = summary.seeds.iter().position(|known| known == seed).map(|at| format!("{:.1}", summary.scores[at]));
        let single =
            own.iter().find(|run| run.seed == *seed).map(|run| if summary.tasks.len() > 1 { "-".to_owned() } else { shown(run) });
        averaged.or(single).unwrap_or_default()
    };
    seeds.iter().map(cell).collect()
}

/// A warning where scores of different scales are averaged.
fn scales(report: &Report) -> Option<String> {
    let first = *report.metrics.first()?;
    let text = match (first, report.metrics.iter().all(|metric| *metric == first)) {
        (Metric::Return, _) | (_, false) if report.metrics.contains(&Metric::Return) => {
            "Returns of different tasks have different scales: means over tasks say little."
        }
        (_, false) => "Success in % and normalised returns are averaged together, as the papers do.",
        _ => return None,
    };
    Some(text.to_owned())
}

fn improvements(report: &Report) -> Vec<Block> {
    if report.improvements.is_empty() {
        return Vec::new();
    }
    let label = |method: usize| report.methods[method].label.clone();
    let rows = report.improvements.iter().map(|found| {
        let interval = found.interval.map_or_else(String::new, |[low, high]| format!(" [{low:.2}, {high:.2}]"));
        let [first, second] = found.methods.map(label);
        vec![first, second, found.tasks.len().to_string(), format!("{:.2}{interval}", found.probability)]
    });
    let head = ["a run of", "beats one of", "tasks", "probability [95 %]"].map(str::to_owned).to_vec();
    let mut blocks = vec![
        Block::Heading("probability of improvement".to_owned()),
        Block::Table(Table { left: 2, rows: rows.collect(), head }),
    ];
    if report.improvements_cut {
        blocks.push(Block::Text(format!("Only the first {} pairs are shown.", report.improvements.len())));
    }
    blocks
}

/// Methods whose settings are not the same on all tasks.
fn tuned(report: &Report) -> Vec<Block> {
    let line = |(index, method): (usize, &super::Method)| {
        let told = report.methods[..index].iter().any(|earlier| earlier.trained() == method.trained());
        let names: Vec<&str> = method.tuned.keys().map(String::as_str).collect();
        (!told && !names.is_empty()).then(|| format!("{}: {}", method.trained(), names.join(", ")))
    };
    let lines: Vec<String> = report.methods.iter().enumerate().filter_map(line).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    vec![
        Block::Heading("settings that differ between the tasks of a method (report.json lists them)".to_owned()),
        Block::List(lines),
    ]
}

fn flags(flags: &[Flag]) -> Vec<Block> {
    if flags.is_empty() {
        return Vec::new();
    }
    let lines = flags.iter().map(|flag| format!("{}: {}", flag.kind.word(), flag.text)).collect();
    vec![Block::Heading("flags".to_owned()), Block::List(lines)]
}
