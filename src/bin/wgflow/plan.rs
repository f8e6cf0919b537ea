//! `wgflow plan`

use std::path::PathBuf;

use clap::{ArgMatches, Args};
use serde::Serialize;
use wgflow::agents::Blueprint;
use wgflow::bench::{self, Work};
use wgflow::cli::train::located;
use wgflow::data::{self, Layout, LoadOptions, replay};
use wgflow::engine::{Engine, Footprint, Records};
use wgflow::{Result, cli};

use super::work::WorkFlags;

/// Show what an update does and what memory it takes, before anything is allocated
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Plan {
    #[command(flatten)]
    work: WorkFlags,
    /// Dataset to plan for, as for wgflow train; else 10,000 made-up transitions, as in wgflow bench
    #[arg(long, value_name = "FILE", help_heading = "Plan")]
    data: Option<PathBuf>,
    /// Print every dispatch and operation too
    #[arg(long, help_heading = "Plan")]
    print: bool,
    /// Print JSON
    #[arg(long, help_heading = "Plan")]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  wgflow plan --algo gfp --engine cpu --seeds 8
  wgflow plan --preset fql/cube-single-play --data cube-single-play-v0.npz --json
  wgflow plan --algo bc --batch 1024 --print";

/// Bytes of a part of the memory.
#[derive(Debug, Serialize)]
struct Bytes {
    lane: u64,
    all: u64,
}

/// What a run takes.
#[derive(Debug, Serialize)]
struct Report {
    algo: &'static str,
    obs_dim: u32,
    action_dim: u32,
    batch: u32,
    lanes: u64,
    device: String,
    transitions: usize,
    operations: usize,
    levels: u32,
    dispatches: usize,
    /// Floating-point operations of an update's matrix products, all lanes, in thousand millions.
    gflop: f64,
    weights: Bytes,
    training: Bytes,
    activations: Bytes,
    words: Bytes,
    /// Weights copied for the CPU engine's products.
    packed: Bytes,
    tables_bytes: u64,
    dataset_bytes: u64,
    total_bytes: u64,
    /// Every dispatch and operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
}

impl Plan {
    pub fn run(&self, algorithm: &str, matches: &ArgMatches) -> Result<()> {
        let (work, seeds) = self.work.read(algorithm, matches)?;
        let (engine, device) = self.work.engine.open()?;
        let (layout, records) = self.records()?;
        let blueprint = work.blueprint(layout, (&records, None), engine.max_chunk_bytes())?;
        let report = self.report(&work, (layout, &records), &blueprint, (&engine, device), seeds.len());
        if self.json { cli::print_json(&report, false) } else { cli::print(&report.text()) }
    }

    fn records(&self) -> Result<(Layout, Records)> {
        let Some(file) = &self.data else {
            return Ok((self.work.layout(), bench::records(self.work.layout(), bench::TRANSITIONS)));
        };
        let dataset = data::load(located("--data", file)?, &LoadOptions::default())?;
        let layout = Layout { obs_dim: dataset.obs_dim as u32, action_dim: dataset.action_dim as u32 };
        Ok((layout, replay::records(&dataset)))
    }

    fn report(
        &self,
        work: &Work,
        (layout, records): (Layout, &Records),
        blueprint: &Blueprint,
        (engine, device): (&Engine, String),
        lanes: usize,
    ) -> Report {
        let plan = &blueprint.update;
        let state = (&blueprint.memory, lanes, blueprint.scalars.len());
        let footprint = engine.footprint(state, &[plan], &[records]);
        let bytes = |lane: u64| Bytes { lane, all: lane * footprint.lanes };
        let Footprint { arenas: [weights, training, activations, words], packed, tables, .. } = footprint;
        Report {
            algo: work.name(),
            obs_dim: layout.obs_dim,
            action_dim: layout.action_dim,
            batch: work.common().batch,
            lanes: footprint.lanes,
            device,
            transitions: records.len(),
            operations: plan.ops.len(),
            levels: plan.levels,
            dispatches: plan.dispatches.len(),
            gflop: (plan.product_flops() * footprint.lanes) as f64 / 1e9,
            weights: bytes(weights),
            training: bytes(training),
            activations: bytes(activations),
            words: bytes(words),
            packed: bytes(packed),
            tables_bytes: tables,
            dataset_bytes: footprint.datasets.iter().sum(),
            total_bytes: footprint.total(),
            plan: self.print.then(|| plan.to_string()),
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = self.plan.as_ref().map_or_else(String::new, |plan| format!("{plan}\n"));
        text += &format!(
            "{}: observations of {}, actions of {}, batch {}; {}\n",
            self.algo, self.obs_dim, self.action_dim, self.batch, self.device
        );
        text += &format!(
            "{} operations, {} levels, {} dispatches, {:.1} GFLOP of products an update\n\n",
            self.operations, self.levels, self.dispatches, self.gflop
        );
        let lanes = if self.lanes == 1 { "1 lane".to_owned() } else { format!("{} lanes", self.lanes) };
        text += &format!("{:<24}{:>16}{:>18}\n", "bytes", "a lane", lanes);
        let parts = [
            ("weights and targets", &self.weights),
            ("gradients and moments", &self.training),
            ("activations", &self.activations),
            ("words", &self.words),
            ("packed weights", &self.packed),
        ];
        for (name, bytes) in parts.iter().filter(|(_, bytes)| bytes.all > 0) {
            text += &format!("{name:<24}{:>16}{:>18}\n", bytes.lane, bytes.all);
        }
        let dataset = format!("{} transitions", self.transitions);
        for (name, bytes) in [("tables", self.tables_bytes), (&dataset, self.dataset_bytes), ("total", self.total_bytes)] {
            text += &format!("{name:<24}{:>16}{bytes:>18}\n", "");
        }
        text
    }
}
