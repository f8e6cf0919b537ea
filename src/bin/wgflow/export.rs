//! `wgflow export`: a trained policy as a file for other programs.

use std::path::PathBuf;

use wgflow::cli;
use wgflow::export::{Exported, Format, Metadata, Observations, Request, export};
use wgflow::train::{RunFolder, Saved};
use wgflow::{Error, Result};

/// Write a trained policy as safetensors or ONNX
///
/// The file is read back and compared with our own forward on 1,000 observations before it gets its name.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    /// A run's folder, or a checkpoint file inside one
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The file's format
    #[arg(long, value_enum)]
    format: Format,
    /// The policy: actor, flow, ... [default: the one that the agent is judged by]
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// The lane
    #[arg(long, value_name = "N", default_value_t = 0)]
    lane: usize,
    /// The checkpoint after this many updates [default: the last]
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// Dataset whose observations to check on [default: the run's own if it is there, else standard normal numbers]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The file to write [default: RUN/export/POLICY.FORMAT, for a lane other than 0 RUN/export/POLICY-laneN.FORMAT]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "Examples:
  wgflow export runs/cube --format onnx
  wgflow export runs/cube --format safetensors --policy flow --step 500000 --out flow.safetensors";

impl Export {
    /// Writes the file and says what it is.
    pub fn run(self) -> Result<()> {
        let saved = self.open()?;
        let policy = self.policy.as_deref().unwrap_or(saved.config.agent.policies()[0]);
        let out = self.out.clone().unwrap_or_else(|| self.default_file(&saved, policy));
        if out.exists() && !self.force {
            let found = format!("{} is there already", out.display());
            return Err(Error::setting("--out", "a new file", found, "choose another, or replace it with --force"));
        }
        let observations = Observations::of(&saved, self.data.as_deref())?;
        let request = Request { policy, lane: self.lane, format: self.format, out: &out };
        cli::print(&description(self.format, &export(&saved, &request, &observations)?))
    }

    /// The last checkpoint, or the one of `--step`.
    fn open(&self) -> Result<Saved> {
        let Some(step) = self.step else { return Saved::open(&self.run) };
        let (folder, _) = RunFolder::open(&self.run)?;
        Saved::open(&folder.checkpoint(step)?.path)
    }

    fn default_file(&self, saved: &Saved, policy: &str) -> PathBuf {
        let lane = if self.lane == 0 { String::new() } else { format!("-lane{}", self.lane) };
        saved.folder.path().join("export").join(format!("{policy}{lane}.{}", self.format.extension()))
    }
}

fn description(format: Format, exported: &Exported) -> String {
    let Exported { file, bytes, metadata, parity } = exported;
    let head = format!(
        "{}: {:.1} KiB\n{}\nparity: largest difference {:.1e} ({:.0e} allowed), {:.0} % of the elements at -1 or 1\n        on {}",
        file.display(),
        *bytes as f64 / 1024.0,
        metadata.summary(),
        parity.worst,
        parity.limit,
        100.0 * parity.clipped,
        parity.source
    );
    let path = file.display().to_string();
    let usage = match format {
        Format::Onnx => onnx_usage(&path, metadata),
        Format::Safetensors => safetensors_usage(&path, metadata),
    };
    format!("{head}\n{usage}")
}

fn onnx_usage(path: &str, about: &Metadata) -> String {
    let Metadata { obs_dim, action_dim, candidates, .. } = about;
    let noise = if *candidates > 1 { format!("{candidates}, {action_dim}") } else { action_dim.to_string() };
    let (input, feed) = match about.noise_cols() {
        0 => (String::new(), String::new()),
        _ => (
            format!(", noise [batch, {noise}] (standard normal, fresh for each action)"),
            format!(", \"noise\": np.random.randn(len(observation), {noise}).astype(\"f4\")"),
        ),
    };
    format!(
        "inputs: observation [batch, {obs_dim}]{input}
output: action [batch, {action_dim}]
in Python:
  import numpy as np, onnxruntime
  policy = onnxruntime.InferenceSession({path:?})
  action, = policy.run(None, {{\"observation\": observation{feed}}})"
    )
}

fn safetensors_usage(path: &str, about: &Metadata) -> String {
    let (input, output, columns) = (about.input.join(", "), &about.output, about.time_columns);
    let mut notes = String::new();
    if about.layer_norm {
        notes += "note: with layer norm after each GELU (norm_scale0, norm_bias0, ...): a reader of w and b alone is wrong\n";
    }
    if columns > 1 {
        notes +=
            &format!("note: the time enters as {columns} sines and cosines: a reader that feeds t itself cannot use this file\n");
    }
    format!(
        "input: {input}; x @ w0 + b0, GELU (tanh form), x @ w1 + b1, ..., at the end {output}
{notes}in Python:
  import json, safetensors
  file = safetensors.safe_open({path:?}, \"numpy\")
  about, w0 = json.loads(file.metadata()[\"wgflow\"]), file.get_tensor(\"w0\")"
    )
}
