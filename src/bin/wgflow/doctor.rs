//! `wgflow doctor`: what keeps wgflow from running well here, and what helps.

use std::path::PathBuf;

use wgflow::cli::doctor::{Facts, Finding, Verdict, diagnose};
use wgflow::fetch::Folders;
use wgflow::{Error, Result};

/// Look at this machine, and name what keeps wgflow from running well and what helps
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: wgflow doctor --out /scratch/runs\nExit code 69 if something will fail.")]
pub struct Doctor {
    /// Folder that runs will be written to
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub fn run(self) -> Result<()> {
        let cache = Folders::from_env()?.cache;
        let findings = diagnose(&Facts::gather(&[("runs", self.out), ("cache", cache)]));
        if self.json {
            let text = serde_json::to_string_pretty(&findings).map_err(std::io::Error::other);
            println!("{}", text.map_err(Error::io("standard output", "write"))?);
        } else {
            findings.iter().for_each(print);
        }
        match findings.iter().find(|finding| finding.verdict == Verdict::Problem) {
            None => Ok(()),
            Some(first) => Err(Error::Adapter { problem: first.found.clone(), remedy: first.remedy.clone() }),
        }
    }
}

fn print(finding: &Finding) {
    let mark = match finding.verdict {
        Verdict::Good => "ok     ",
        Verdict::Note => "note   ",
        Verdict::Problem => "PROBLEM",
    };
    println!("{mark}  {:10}  {}", finding.subject, finding.found);
    if !finding.remedy.is_empty() {
        println!("{:21}{}", "", finding.remedy);
    }
}
