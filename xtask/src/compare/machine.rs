//! What the figures were measured on.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// The machine and the code.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Of the day on which the comparison began (UTC), `2026-11-28`.
    pub date: String,
    pub processor: String,
    /// Logical cores that this process may use.
    pub cores: usize,
    /// NVIDIA GPUs and their driver, where there are any.
    pub gpus: Vec<String>,
    pub system: String,
    /// Of the repository, with `+` where tracked files were changed since.
    pub commit: String,
    pub rustc: String,
    /// Processes that wanted to run, over the last minute, at the beginning and at the end (Linux): what else the machine
    /// did, and what the comparison did.
    pub load: Vec<f64>,
}

impl Machine {
    pub fn look(root: &Path) -> Self {
        let changed = !output(Command::new("git").arg("-C").arg(root).args(["status", "--porcelain", "-uno"])).is_empty();
        let commit = output(Command::new("git").arg("-C").arg(root).args(["rev-parse", "--short=8", "HEAD"]));
        let gpus = output(Command::new("nvidia-smi").args(["--query-gpu=name,driver_version", "--format=csv,noheader"]));
        let kernel = output(Command::new("uname").args(["-sr"]));
        let mut machine = Self {
            date: date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() / 86_400)),
            processor: processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            gpus: gpus.lines().map(str::to_owned).collect(),
            system: if kernel.is_empty() { std::env::consts::OS.to_owned() } else { kernel },
            commit: format!("{}{}", if commit.is_empty() { "unknown" } else { &commit }, if changed { "+" } else { "" }),
            rustc: output(Command::new("rustc").arg("--version")),
            load: Vec::new(),
        };
        machine.note_load();
        machine
    }

    /// Adds the present load.
    pub fn note_load(&mut self) {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        self.load.extend(text.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()));
    }

    /// The lines that stand above the tables.
    pub fn lines(&self, versions: &BTreeMap<String, String>) -> Vec<String> {
        let versions: Vec<String> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let load: Vec<String> = self.load.iter().map(|load| format!("{load:.1}")).collect();
        let mut lines = vec![
            format!("Machine: {}, {} logical cores, {}.", self.processor, self.cores, self.system),
            format!(
                "Commit {}, {}{}{}.",
                self.commit,
                self.rustc,
                if versions.is_empty() { "" } else { "; " },
                versions.join(", ")
            ),
        ];
        lines.extend(self.gpus.iter().map(|gpu| format!("GPU: {gpu}.")));
        if !load.is_empty() {
            lines.push(format!("Load of the machine at the beginning and at the end: {}.", load.join(", ")));
        }
        lines
    }
}

/// The date of a day counted from 1970-01-01.
fn date(mut days: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let name = named.map(|(_, name)| name.trim().to_owned());
    name.unwrap_or_else(|| {
        let told = output(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]));
        if told.is_empty() { std::env::consts::ARCH.to_owned() } else { told }
    })
}

/// What a program prints; nothing if it is not there or fails.
fn output(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    output.map_or_else(String::new, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A name for files: what is no letter and no digit becomes a hyphen, one at a time.
pub fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        let dates = [0, 59, 11_016, 11_017, 20_785, 20_786].map(date);
        assert_eq!(dates, ["1970-01-01", "1970-03-01", "2000-02-29", "2000-03-01", "2026-11-28", "2026-11-29"]);
    }

    #[test]
    fn names_of_files() {
        assert_eq!(slug("AMD EPYC 9V74 (80-Core), NVIDIA H100"), "amd-epyc-9v74-80-core-nvidia-h100");
    }
}
