//! What `wgflow eval` prints: what is measured, a row for each evaluation, and what a protocol makes of them.

use wgflow::envs::python::Packages;
use wgflow::train::environment::Setting;
use wgflow::train::statistics::wilson;
use wgflow::train::{EnvSpec, Opened, Protocol, Record};
use wgflow::{Result, cli};

/// What may make scores differ from others.
pub fn notes(spec: &EnvSpec, setting: &Setting, protocol: Option<Protocol>) -> Vec<String> {
    let mut notes = Vec::new();
    for package in ["ogbench", "mujoco"] {
        let usual = Packages::of(&spec.id()).version(package);
        if let (Some(found), Some(usual)) = (setting.versions.get(package), usual)
            && found != usual
        {
            notes.push(format!("{package} {found} is used, not {usual}: scores may differ"));
        }
    }
    if protocol.is_some() && setting.success_timing.as_deref() == Some("pre") {
        let rule = "the papers ran OGBench below 1.2, which looked for success after the action: --success-timing post";
        notes.push(rule.to_owned());
    }
    notes
}

/// What is measured, and the head of the table.
pub fn head(spec: &EnvSpec, opened: &Opened, episodes: usize) -> Result<()> {
    let Setting { env, success_timing, versions } = &opened.setting;
    let built_in = if matches!(spec, EnvSpec::BuiltIn(_)) { ", built in (--env runs OGBench's own)" } else { "" };
    let timing = success_timing.as_ref().map_or_else(String::new, |timing| format!(", success timing {timing}"));
    let versions: Vec<String> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    cli::print(&format!("env: {env}{built_in}{timing}"))?;
    cli::print(&format!("versions: {}", versions.join(", ")))?;
    cli::print(&format!("episodes: {episodes}, {} environments side by side", opened.envs.count()))?;
    cli::print("intervals: 95 % over episodes, Wilson for success, Student t for the others")?;
    cli::print(&line(["update", "lane"], ["policy", "success %", "return", "length", "normalised", ""]))
}

/// An evaluation's row; `mark` says more about it.
pub fn row(record: &Record, mark: &str) -> Result<()> {
    let Record { step, lane, policy, intervals, .. } = record;
    let percent = |rate: f64| 100.0 * rate;
    let success = cell(record.success.map(percent), intervals.success.map(|interval| interval.map(percent)), 1);
    let total_reward = cell(Some(record.total_reward), intervals.total_reward, 2);
    let length = cell(Some(record.length), intervals.length, 1);
    let normalised = cell(record.normalized, intervals.normalized, 1);
    let numbers = [step.to_string(), lane.to_string()];
    cli::print(&line(numbers.each_ref().map(String::as_str), [policy, &success, &total_reward, &length, &normalised, mark]))
}

fn line([update, lane]: [&str; 2], [policy, success, total_reward, length, normalised, mark]: [&str; 6]) -> String {
    let left = format!("{update:>9} {lane:>5}  {policy:<8}{success:<22}{total_reward:<30}{length:<26}");
    format!("{left}{normalised:<22}{mark}").trim_end().to_owned()
}

/// What a protocol makes of its evaluations: a line for each lane and policy.
pub fn summary(protocol: Protocol, records: &[Record]) -> Result<()> {
    let mut seen: Vec<(usize, &str)> = Vec::new();
    for record in records {
        let whose = (record.lane, record.policy.as_str());
        if seen.contains(&whose) {
            continue;
        }
        seen.push(whose);
        let own: Vec<&Record> = records.iter().filter(|r| (r.lane, r.policy.as_str()) == whose).collect();
        cli::print(&format!("{} lane {} {}: {}", protocol.name(), whose.0, whose.1, score(&own)))?;
    }
    Ok(())
}

/// The score of evaluations that are averaged. They share their starts and their noise, so that together they may tell no
/// more than one of them: the interval counts the episodes of one.
fn score(own: &[&Record]) -> String {
    let steps = own.iter().map(|record| record.step.to_string()).collect::<Vec<_>>().join(", ");
    let over = if own.len() > 1 { format!("mean of updates {steps}") } else { format!("update {steps}") };
    if let [Record { normalized: Some(normalized), intervals, .. }] = own {
        return format!("normalised {} ({over})", cell(Some(*normalized), intervals.normalized, 1));
    }
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    match own.iter().map(|record| record.success).collect::<Option<Vec<f64>>>() {
        Some(rates) => {
            let (rate, episodes) = (mean(rates), own.first().map_or(0, |record| record.episodes));
            let interval = wilson(rate * episodes as f64, episodes).map(|interval| interval.map(|rate| 100.0 * rate));
            format!("success {} % ({over})", cell(Some(100.0 * rate), interval, 1))
        }
        None => format!("return {} ({over})", cell(Some(mean(own.iter().map(|r| r.total_reward).collect())), None, 2)),
    }
}

/// `96.0 [86.5, 98.9]`
fn cell(value: Option<f64>, interval: Option<[f64; 2]>, digits: usize) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let interval = interval.map_or_else(String::new, |[low, high]| format!(" [{low:.digits$}, {high:.digits$}]"));
    format!("{value:.digits$}{interval}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, success: Option<f64>, normalized: Option<f64>) -> Record {
        let intervals = serde_json::json!({ "normalized": [40.0, 60.0] });
        let record = serde_json::json!({
            "step": step, "lane": 0, "policy": "actor", "env": "x", "episodes": 100, "success": success, "return": -5.0,
            "length": 9.0, "normalized": normalized, "seed": 0, "protocol": "gfp", "versions": {}, "intervals": intervals,
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn averaged_evaluations_count_once_in_the_interval() {
        let [a, b, c] = [(8, 0.9), (9, 1.0), (10, 0.8)].map(|(step, rate)| record(step, Some(rate), None));
        assert_eq!(score(&[&a, &b, &c]), "success 90.0 [82.6, 94.5] % (mean of updates 8, 9, 10)");
        assert_eq!(score(&[&record(7, Some(1.0), Some(50.0))]), "normalised 50.0 [40.0, 60.0] (update 7)");
        assert_eq!(score(&[&record(7, None, None)]), "return -5.00 (update 7)");
    }
}
