//! Progress on a terminal as a bar, elsewhere as a plain line now and then.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::evaluator::Evaluator;
use super::signal;
use crate::train::{Evaluation, Observer, Progress, Stop};

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows a run's progress on standard error, and its evaluations on standard output.
pub(super) struct Console {
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    evaluator: Option<Evaluator>,
}

impl Console {
    pub(super) fn new(steps: u64, evaluator: Option<Evaluator>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(steps).with_style(style)
        });
        Self { bar, last_line: None, evaluator }
    }

    /// Prints a line without tearing the bar.
    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| println!("{line}")),
            None => println!("{line}"),
        }
    }

    /// Waits for evaluations that are still going on.
    pub(super) fn finish(&mut self) {
        if let Some(evaluator) = &mut self.evaluator {
            evaluator.finish(&|line| println!("{line}"), &|| signal::stop().is_some());
        }
    }

    pub(super) fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
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
    format!("{rate:.0} updates/s, {} left{losses}", clock(left))
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
        if let Some(bar) = &self.bar {
            bar.set_position(progress.step);
            bar.set_message(summary(progress));
        } else if self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            self.last_line = Some(Instant::now());
            eprintln!("update {} of {}: {}", progress.step, progress.steps, summary(progress));
        }
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
        if file.extension().is_some_and(|e| e == "png") {
            self.say(&format!("drew {}", file.display()));
        }
    }

    fn warned(&mut self, message: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("warning: {message}")),
            None => eprintln!("warning: {message}"),
        }
    }

    fn stop(&mut self) -> Option<Stop> {
        signal::stop()
    }
}
