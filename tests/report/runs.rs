//! Run folders as training leaves them, with scores of the test's choice, and looks at their reports.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wgflow::agents::{AgentConfig, FqlConfig, GfpConfig};
use wgflow::report::{Kind, Lookup, Options, Report, Summary};
use wgflow::train::{RunConfig, RunFolder};

use super::folder::Folder;

impl Folder {
    pub fn report(&self, options: Options) -> Report {
        self.compared(options, &|_, _| None)
    }

    pub fn compared(&self, options: Options, published: &Lookup<'_>) -> Report {
        Report::new(std::slice::from_ref(&self.0), &options, published).unwrap()
    }
}

pub fn gfp() -> AgentConfig {
    AgentConfig::Gfp(GfpConfig::default())
}

pub fn alpha(alpha: &[f64]) -> AgentConfig {
    AgentConfig::Gfp(GfpConfig { alpha: alpha.to_vec(), ..GfpConfig::default() })
}

pub fn config(dataset: &str, task: u32, seeds: &[u64], steps: u64, agent: AgentConfig) -> RunConfig {
    RunConfig {
        task: Some(task),
        steps,
        seeds: seeds.to_vec(),
        log_every: 50,
        eval_every: 100,
        episodes: 50,
        save_every: 100,
        ..RunConfig::new(format!("somewhere/{dataset}-v0.npz"), agent)
    }
}

/// A line of training, and an evaluation: update, lane, successes of actor and flow.
pub fn lines(evaluations: &[(u64, usize, f64, f64)]) -> String {
    let line = |&(step, lane, actor, flow): &(u64, usize, f64, f64)| {
        let train = json!({"step": step, "lane": lane, "train/critic_loss": 0.5, "train/q_mean": -3.0});
        let eval = json!({"step": step, "lane": lane, "eval/actor/success": actor, "eval/actor/return": -100.0 * actor,
            "eval/actor/length": 7.0, "eval/flow/success": flow, "eval/flow/return": -9.0});
        format!("{train}\n{eval}\n")
    };
    evaluations.iter().map(line).collect()
}

pub fn write(path: &Path, config: &RunConfig, metrics: &str) {
    RunFolder::create(path, config).unwrap();
    std::fs::write(path.join("metrics.jsonl"), metrics).unwrap();
}

/// A finished run of a single lane whose actor ends with this success.
pub fn finished(path: &Path, dataset: &str, task: u32, seed: u64, agent: AgentConfig, success: f64) {
    write(path, &config(dataset, task, &[seed], 100, agent), &lines(&[(100, 0, success, 0.5)]));
}

pub fn append(file: PathBuf, text: &str) {
    let old = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::write(file, old + text).unwrap();
}

pub fn near(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, not {expected}");
}

pub fn flags(report: &Report, kind: Kind) -> Vec<&str> {
    report.flags.iter().filter(|flag| flag.kind == kind).map(|flag| flag.text.as_str()).collect()
}

/// The only summary of a method on a task.
pub fn cell<'a>(report: &'a Report, method: &str, task: &str) -> &'a Summary {
    let is = |s: &&Summary| report.methods[s.method].label == method && report.tasks[s.tasks[0]].name.contains(task);
    let found: Vec<&Summary> = report.cells.iter().filter(is).collect();
    assert_eq!(found.len(), 1, "{method} on {task}: {:?}", report.methods.iter().map(|m| &m.label).collect::<Vec<_>>());
    found[0]
}

pub fn write_expected(folder: &Folder, expected: &Value) {
    let steps: Vec<u64> = expected["steps"].as_array().unwrap().iter().map(|s| s.as_u64().unwrap()).collect();
    for run in expected["runs"].as_array().unwrap() {
        let text = |key: &str| run[key].as_str().unwrap();
        let number = |key: &str| run[key].as_u64().unwrap();
        let agent = if text("algorithm") == "gfp" { gfp() } else { AgentConfig::Fql(FqlConfig::default()) };
        let config = config(text("family"), number("task") as u32, &[number("seed")], steps[2], agent);
        let share = |policy: &str, at: usize| run["successes"][policy][at].as_f64().unwrap() / 50.0;
        let evaluations: Vec<_> = steps.iter().enumerate().map(|(i, s)| (*s, 0, share("actor", i), share("flow", i))).collect();
        let name = format!("{}/{}-{}-{}", text("family"), text("algorithm"), number("task"), number("seed"));
        write(&folder.join(&name), &config, &lines(&evaluations));
    }
}
