//! What a user sees of a run while it goes on.

use std::path::Path;
use std::time::Duration;

use indicatif::ProgressBar;

use super::bar::Bar;
use super::evaluator::Evaluator;
use super::signal;
use crate::train::{Evaluation, Observer, Progress, Stop};

/// Shows a run's progress on standard error, and its evaluations on standard output.
pub(super) struct Console {
    bar: Bar,
    evaluator: Option<Evaluator>,
}

impl Console {
    pub(super) fn new(steps: u64, evaluator: Option<Evaluator>) -> Self {
        Self { bar: Bar::new("{bar:30} {pos}/{len}  {msg}", Some(steps)), evaluator }
    }

    fn say(&self, line: &str) {
        self.bar.aside(|| println!("{line}"));
    }

    /// Waits for evaluations that are still going on.
    pub(super) fn finish(&mut self) {
        if let Some(evaluator) = &mut self.evaluator {
            evaluator.finish(&|line| println!("{line}"), &|| signal::stop().is_some());
        }
    }

    pub(super) fn close(&self) {
        self.bar.close();
    }
}

fn summary(progress: &Progress<'_>) -> String {
    let seconds = progress.training.as_secs_f64();
    let rate = progress.done as f64 / seconds.max(1e-9);
    // The rate of this sitting alone, so that it is right just after a resume.
    let left = Duration::from_secs_f64(((progress.steps - progress.step) as f64 / rate.max(1e-9)).min(1e9));
    let metric = |name: &str| progress.metrics.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let losses: String = [("critic", "critic_loss"), ("flow", "flow_loss"), ("distill", "distill_loss"), ("q", "q_mean")]
        .iter()
        .filter_map(|(label, name)| metric(name).map(|value| format!("  {label} {value:.3}")))
        .collect();
    let digits = if rate < 10.0 { 1 } else { 0 };
    format!("{rate:.digits$} updates/s, {} left{losses}", clock(left))
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

impl Observer for Console {
    fn progress(&mut self, progress: &Progress<'_>) {
        let news = self.evaluator.as_mut().map_or_else(Vec::new, Evaluator::news);
        news.iter().for_each(|line| self.say(line));
        let draw = |bar: &ProgressBar| {
            bar.set_position(progress.step);
            bar.set_message(summary(progress));
        };
        self.bar.show(draw, || format!("update {} of {}: {}", progress.step, progress.steps, summary(progress)));
    }

    fn evaluated(&mut self, step: u64, lane: usize, evaluations: &[Evaluation]) {
        let lane = if lane == 0 { String::new() } else { format!(" lane {lane}") };
        let parts: Vec<String> =
            evaluations.iter().map(|e| format!("{} {:.1} % in {:.0} steps", e.policy, 100.0 * e.success(), e.length())).collect();
        let episodes = evaluations.first().map_or(0, |e| e.episodes.len());
        self.say(&format!("update {step}{lane}: {}, {episodes} episodes", parts.join(", ")));
    }

    fn saved(&mut self, file: &Path) {
        if let Some(evaluator) = &mut self.evaluator {
            evaluator.saved(file);
        }
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("png") => self.say(&format!("drew {}", file.display())),
            Some("json") => self.say(&format!("profile: {}", file.display())),
            _ => {}
        }
    }

    fn warned(&mut self, message: &str) {
        self.bar.aside(|| eprintln!("warning: {message}"));
    }

    fn stop(&mut self) -> Option<Stop> {
        signal::stop()
    }
}
