//! `wgflow doctor`: what keeps wgflow from running well here, and what helps.

use std::path::PathBuf;

use wgflow::cli::doctor::{Facts, Finding, Verdict, diagnose};
use wgflow::envs::python;
use wgflow::fetch::Folders;
use wgflow::{Error, Result, cli};

/// One of the environments that most runs are evaluated in.
const OGBENCH: &str = "cube-single-singletask-v0";

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
        let python = python::find(None, OGBENCH).ok();
        let findings = diagnose(&Facts::gather(&[("runs", self.out), ("cache", cache)], python));
        if self.json {
            cli::print_json(&findings, false)?;
        } else {
            cli::print(&findings.iter().map(told).collect::<String>())?;
        }
        match findings.iter().find(|finding| finding.verdict == Verdict::Problem) {
            None => Ok(()),
            Some(first) => Err(Error::Adapter { problem: first.found.clone(), remedy: first.remedy.clone() }),
        }
    }
}

fn told(finding: &Finding) -> String {
    let mark = match finding.verdict {
        Verdict::Good => "ok     ",
        Verdict::Note => "note   ",
        Verdict::Problem => "PROBLEM",
    };
    let remedy = if finding.remedy.is_empty() { String::new() } else { format!("{:21}{}\n", "", finding.remedy) };
    format!("{mark}  {:10}  {}\n{remedy}", finding.subject, finding.found)
}
