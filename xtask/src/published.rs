//! `cargo xtask published FOLDER`: the project's tables of published settings and scores, written from the official ones.
//!
//! Figures are copied as text, so that none is typed and none is rounded. Read are FOLDER/hyperparameters.csv and
//! FOLDER/scores.csv, and from data/published the few things that no official table holds: fixed.csv and the recalled
//! figures. Written are presets.csv and scores.csv beside them. The same inputs give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

/// Name of a column of hyperparameters.csv, and of the setting it holds; in the order in which presets list them.
const SETTINGS: [(&str, &str); 11] = [
    ("batch_size", "batch"),
    ("discount", "discount"),
    ("flow_steps", "flow_steps"),
    ("q_agg", "q_agg"),
    ("target_agg", "target_agg"),
    ("guidance_agg", "guidance_agg"),
    ("alpha", "alpha"),
    ("eta_temperature", "eta"),
    ("expectile", "expectile"),
    ("alpha_actor", "alpha_actor"),
    ("alpha_critic", "alpha_critic"),
];

/// Columns of hyperparameters.csv that are no settings.
const IDENTITY: [&str; 4] = ["agent", "benchmark", "env", "offline_steps"];

/// A policy in the official scores, and its name here: the series alone is the judged policy, `-flow` its flow.
const POLICIES: [(&str, &str); 8] = [
    ("gfp", "gfp"),
    ("gfp-vabc", "gfp-flow"),
    ("gfp-advantage", "gfp-advantage"),
    ("gfp-advantage-vabc", "gfp-advantage-flow"),
    ("fql", "fql"),
    ("fql-bc-flow", "fql-flow"),
    ("rebrac", "rebrac"),
    ("iql", "iql"),
];

/// A row of the official scores.csv.
#[derive(Deserialize)]
struct OfficialScore {
    policy: String,
    benchmark: String,
    task: String,
    mean: String,
    std: String,
    n_seeds: String,
    seeds: String,
}

/// A row of fixed.csv.
#[derive(Deserialize)]
struct Fixed {
    series: String,
    agent: String,
    settings: String,
    note: String,
}

/// A row of recalled_presets.csv: one preset for each dataset.
#[derive(Deserialize)]
struct RecalledPresets {
    series: String,
    agent: String,
    benchmark: String,
    steps: String,
    tasks: String,
    datasets: String,
    settings: String,
    note: String,
}

/// A row of recalled_scores.csv: one score for each task of each dataset.
#[derive(Deserialize)]
struct RecalledScores {
    policy: String,
    benchmark: String,
    n_seeds: String,
    tasks: String,
    datasets: String,
    scores: String,
}

/// A row of presets.csv.
#[derive(Serialize)]
struct Preset {
    series: String,
    agent: String,
    benchmark: String,
    dataset: String,
    tasks: String,
    steps: String,
    settings: String,
    source: &'static str,
    note: String,
}

/// A row of scores.csv.
#[derive(Serialize)]
struct Score {
    policy: String,
    benchmark: String,
    task: String,
    mean: String,
    std: String,
    n_seeds: String,
    seeds: String,
    source: &'static str,
}

/// Writes both tables.
pub fn generate(folder: &Path) -> Result<(), String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/published");
    let inputs = [
        folder.join("hyperparameters.csv"),
        folder.join("scores.csv"),
        own.join("fixed.csv"),
        own.join("recalled_presets.csv"),
        own.join("recalled_scores.csv"),
    ];
    let mut head = "# Written by `cargo xtask published`; do not edit. What it was written from:\n".to_owned();
    for input in &inputs {
        let bytes = std::fs::read(input).map_err(told(input))?;
        let name = input.file_name().unwrap_or_default().to_string_lossy();
        let origin = if input.starts_with(&own) { "" } else { "official " };
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        head += &format!("# {origin}{name} sha256 {digest}\n");
    }
    let [parameters, scores, fixed, presets, recalled] = &inputs;
    let official: Vec<OfficialScore> = rows(scores)?;
    let mut all = official_presets(&rows(parameters)?, &rows(fixed)?, &official)?;
    all.extend(rows(presets)?.iter().flat_map(recalled_presets));
    write(&own.join("presets.csv"), &head, &all)?;
    let mut all = official.iter().map(official_score).collect::<Result<Vec<_>, _>>()?;
    for row in rows(recalled)? {
        all.extend(recalled_scores(&row)?);
    }
    write(&own.join("scores.csv"), &head, &all)
}

/// The presets of the official table, series by series in the order of fixed.csv.
fn official_presets(
    table: &[BTreeMap<String, String>],
    fixed: &[Fixed],
    scores: &[OfficialScore],
) -> Result<Vec<Preset>, String> {
    let expected: BTreeSet<&str> = IDENTITY.into_iter().chain(SETTINGS.map(|(column, _)| column)).collect();
    if let Some(row) = table.iter().find(|row| !row.keys().map(String::as_str).eq(expected.iter().copied())) {
        return Err(format!("hyperparameters.csv: expected the columns {expected:?}, found {:?}", row.keys()));
    }
    let mut presets = Vec::new();
    for series in fixed {
        for row in table.iter().filter(|row| row["agent"] == series.series) {
            presets.push(official_preset(row, series, scores)?);
        }
    }
    if presets.len() == table.len() { Ok(presets) } else { Err("hyperparameters.csv: an agent is not in fixed.csv".to_owned()) }
}

/// One preset; its tasks, and the version of its dataset, are those of its scores.
fn official_preset(row: &BTreeMap<String, String>, fixed: &Fixed, scores: &[OfficialScore]) -> Result<Preset, String> {
    let (benchmark, env) = (&row["benchmark"], stem(&row["env"]));
    let scores = scores.iter().filter(|s| s.policy == fixed.series && &s.benchmark == benchmark && stem(&s.task) == env);
    let names: Vec<&str> = scores.map(|s| s.task.as_str()).collect();
    let first = names.first().ok_or_else(|| format!("scores.csv: no score of {} on {env}", fixed.series))?;
    let version = first.split_once("_singletask").map_or("", |(_, rest)| rest.rsplit_once("_v").map_or("", |(_, v)| v));
    let dataset = if version.is_empty() { name(benchmark, env) } else { format!("{}-v{version}", name(benchmark, env)) };
    let tasks = names.iter().filter_map(|name| name.split_once("_singletask_task")?.1.split('_').next());
    let given = SETTINGS.iter().filter(|(column, _)| !row[*column].is_empty());
    let settings = given.map(|(column, setting)| format!("{setting}={}", row[*column]));
    let fixed_settings = fixed.settings.split_whitespace().map(str::to_owned);
    Ok(Preset {
        series: fixed.series.clone(),
        agent: fixed.agent.clone(),
        benchmark: benchmark.clone(),
        dataset,
        tasks: tasks.collect::<Vec<_>>().join(" "),
        steps: row["offline_steps"].clone(),
        settings: settings.chain(fixed_settings).collect::<Vec<_>>().join(" "),
        source: "gfp-release",
        note: fixed.note.clone(),
    })
}

/// An environment's name without the task: `cube_single_play` of `cube_single_play_singletask_task2_v0`.
fn stem(env: &str) -> &str {
    env.split_once("_singletask").map_or(env, |(stem, _)| stem)
}

/// A name as its benchmark writes it: `cube-single-play`, or `D4RL/pen/human-v2` for Minari.
fn name(benchmark: &str, env: &str) -> String {
    let name = env.replace('_', "-");
    if benchmark == "Minari" { name.replacen('-', "/", 2) } else { name }
}

fn recalled_presets(row: &RecalledPresets) -> Vec<Preset> {
    let preset = |dataset: &str| Preset {
        series: row.series.clone(),
        agent: row.agent.clone(),
        benchmark: row.benchmark.clone(),
        dataset: dataset.to_owned(),
        tasks: row.tasks.clone(),
        steps: row.steps.clone(),
        settings: row.settings.clone(),
        source: "fql-paper",
        note: row.note.clone(),
    };
    row.datasets.split_whitespace().map(preset).collect()
}

fn official_score(row: &OfficialScore) -> Result<Score, String> {
    let policy = POLICIES.iter().find(|(official, _)| *official == row.policy);
    let (_, policy) = policy.ok_or_else(|| format!("scores.csv: nobody told what policy `{}` is", row.policy))?;
    Ok(Score {
        policy: (*policy).to_owned(),
        benchmark: row.benchmark.clone(),
        task: name(&row.benchmark, &row.task),
        mean: row.mean.clone(),
        std: row.std.clone(),
        n_seeds: row.n_seeds.clone(),
        seeds: row.seeds.clone(),
        source: "gfp-release",
    })
}

fn recalled_scores(row: &RecalledScores) -> Result<Vec<Score>, String> {
    let mut tasks = Vec::new();
    for dataset in row.datasets.split_whitespace() {
        let (family, version) = dataset.rsplit_once("-v").ok_or_else(|| format!("{dataset}: no version"))?;
        tasks.extend(row.tasks.split_whitespace().map(|task| format!("{family}-singletask-task{task}-v{version}")));
        if row.tasks.is_empty() {
            tasks.push(dataset.to_owned());
        }
    }
    let scores: Vec<&str> = row.scores.split_whitespace().collect();
    if tasks.len() != scores.len() {
        return Err(format!("recalled_scores.csv: {} scores for {} tasks of {}", scores.len(), tasks.len(), row.datasets));
    }
    let score = |(task, score): (String, &&str)| {
        let (mean, std) = score.split_once('±').unwrap_or((score, "0"));
        Score {
            policy: row.policy.clone(),
            benchmark: row.benchmark.clone(),
            task,
            mean: mean.to_owned(),
            std: std.to_owned(),
            n_seeds: row.n_seeds.clone(),
            seeds: String::new(),
            source: "fql-paper",
        }
    };
    Ok(tasks.into_iter().zip(&scores).map(score).collect())
}

/// The rows of a table; lines that begin with `#` are comments.
fn rows<R: DeserializeOwned>(file: &Path) -> Result<Vec<R>, String> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_path(file).map_err(told(file))?;
    reader.deserialize().collect::<Result<_, _>>().map_err(told(file))
}

fn write<R: Serialize>(file: &Path, head: &str, rows: &[R]) -> Result<(), String> {
    let mut writer = csv::Writer::from_writer(head.as_bytes().to_vec());
    rows.iter().try_for_each(|row| writer.serialize(row)).map_err(told(file))?;
    let bytes = writer.into_inner().map_err(told(file))?;
    std::fs::write(file, bytes).map_err(told(file))?;
    println!("{}: {} rows", file.display(), rows.len());
    Ok(())
}

/// An error with the file it is about.
fn told<E: Display>(file: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", file.display())
}
