//! A progress bar on a terminal; elsewhere a plain line now and then.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between the first two plain lines; it doubles from line to line, so that the log of a long run stays short.
const FIRST_WAIT: Duration = Duration::from_secs(10);

/// The longest that time gets.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The bar on standard error, if that is a terminal.
pub struct Bar {
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    wait: Duration,
}

impl Bar {
    /// A bar drawn by `template` (indicatif's), up to `length` where that is known.
    pub fn new(template: &str, length: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            length.map_or_else(ProgressBar::no_length, ProgressBar::new).with_style(style)
        });
        Self { bar, last_line: None, wait: FIRST_WAIT }
    }

    /// The same, whose first plain line comes only after a while.
    #[must_use]
    pub fn quiet_at_first(self) -> Self {
        Self { last_line: Some(Instant::now()), ..self }
    }

    /// Lets `write` write lines without tearing the bar.
    pub fn aside(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Moves the bar; without one, writes `line` if the last one was long enough ago.
    pub fn show(&mut self, draw: impl FnOnce(&ProgressBar), line: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            draw(bar);
            return;
        }
        if self.last_line.is_some_and(|last| last.elapsed() < self.wait) {
            return;
        }
        if self.last_line.replace(Instant::now()).is_some() {
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        }
        eprintln!("{}", line());
    }

    /// Takes the bar away.
    pub fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
