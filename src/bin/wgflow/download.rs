//! `wgflow download`: a dataset by name, from this machine or from mirrors.

use std::path::PathBuf;

use indicatif::{HumanBytes, ProgressBar};
use wgflow::cli::bar::Bar;
use wgflow::fetch::{self, Event, Options, Verified};
use wgflow::{Result, cli};

/// Fetch a dataset by name, and print the path of its file
///
/// Looks into wgflow's cache folder, then into those of OGBench, D4RL and Minari, then asks the mirrors, and goes on where an
/// earlier download was cut off. Few datasets have a published sha256: of the others the first complete download is trusted and
/// its sha256 recorded beside the file, and everything later is held against that record.
///
/// Environment: WGFLOW_CACHE (the cache folder), WGFLOW_MIRRORS (as --mirror, between spaces), D4RL_DATASET_DIR,
/// MINARI_DATASETS_PATH, HTTPS_PROXY.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  wgflow download cube-single-play-v0\n  wgflow train --data $(wgflow download cube-single-play-v0) --task 2"
)]
pub struct Download {
    /// Of OGBench (cube-single-play-v0, also of a single task), of D4RL (hopper-medium-v2), a Minari id (D4RL/pen/human-v2),
    /// or an address.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Print the known names, or those that contain FILTER.
    #[arg(long, value_name = "FILTER", num_args = 0..=1, default_missing_value = "", conflicts_with = "name")]
    list: Option<String>,
    /// Ask this mirror in place of the built-in ones; may be given again, and they are tried in order.
    #[arg(long, value_name = "URL_PREFIX", action = clap::ArgAction::Append)]
    mirror: Vec<String>,
    /// Never open a connection
    #[arg(long)]
    offline: bool,
    /// Put the files into this folder, copied from another folder of this machine where one has them.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// The sha256 that the dataset's first file must have.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

impl Download {
    /// Prints the file's path as the last line of standard output; everything else goes to standard error.
    pub fn run(self) -> Result<()> {
        if let Some(filter) = self.list {
            let names: Vec<&str> = fetch::names().filter(|name| name.contains(&filter)).collect();
            return cli::print(&names.join("\n"));
        }
        let mut options = Options::from_env()?;
        if !self.mirror.is_empty() {
            options.mirrors = self.mirror;
        }
        (options.offline, options.to, options.sha256) = (self.offline, self.to, self.sha256);
        let mut console = Console::new();
        let fetched = fetch::fetch(&self.name.unwrap_or_default(), &options, |event| console.show(&event));
        console.close();
        match fetched?.paths.first() {
            Some(path) => cli::print(&path.display().to_string()),
            None => Ok(()),
        }
    }
}

/// Shows events on standard error.
struct Console {
    bar: Bar,
}

impl Console {
    fn new() -> Self {
        Self { bar: Bar::new("{bar:30} {bytes} of {total_bytes}  {bytes_per_sec}, {eta} left", None).quiet_at_first() }
    }

    fn close(&self) {
        self.bar.close();
    }

    fn say(&self, line: &str) {
        self.bar.aside(|| eprintln!("{line}"));
    }

    fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Found { path, verified } => self.say(&format!("found {} ({})", path.display(), words(*verified))),
            Event::Damaged { path, problem } => self.say(&format!("not used: {}: {problem}", path.display())),
            Event::Waiting { path } => self.say(&format!("waiting: another process downloads {}", path.display())),
            Event::Asking { url, from: 0 } => self.say(&format!("downloading {url}")),
            Event::Asking { url, from } => self.say(&format!("downloading {url}, resuming after {}", HumanBytes(*from))),
            Event::Progress { done, total } => self.progress(*done, *total),
            Event::Failed { url, problem, pause } => {
                self.say(&format!("{url}: {problem}; again in {:.0} s", pause.as_secs_f64()));
            }
            Event::Finished { path, sha256, verified } => {
                self.say(&format!("{}: sha256 {sha256} ({})", path.display(), words(*verified)));
            }
            _ => {}
        }
    }

    fn progress(&mut self, done: u64, total: Option<u64>) {
        let draw = |bar: &ProgressBar| {
            total.inspect(|total| bar.set_length(*total));
            bar.set_position(done);
        };
        let total = total.map(|total| format!(" of {}", HumanBytes(total))).unwrap_or_default();
        self.bar.show(draw, || format!("{}{total}", HumanBytes(done)));
    }
}

const fn words(verified: Verified) -> &'static str {
    match verified {
        Verified::LooksWhole => "not pinned and never recorded: it looks whole",
        Verified::FirstUse => "not pinned: recorded, and checked from now on",
        Verified::Recorded => "not pinned: as recorded at the first download",
        Verified::Pinned => "as pinned",
    }
}
