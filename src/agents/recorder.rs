//! What an agent needs to write its update down: the batch, the noise, the optimiser, and names for what matters.

use crate::data::Layout;
use crate::engine::{Arena, PlanBuilder, Records, Region};
use crate::kernels::gather::Segment;
use crate::kernels::metric::{Ring, Statistic};
use crate::kernels::noise::Distribution;
use crate::kernels::random::stream;
use crate::kernels::{Turn, adam, clock, ema, gather, metric, noise, sample_batch};
use crate::nets::flow::Constant;

/// Scalar names of Adam and the layer norms, with the official values: `optax.adam` and flax `LayerNorm`.
pub const FIXED_SCALARS: [(&str, f64); 4] =
    [("adam_beta1", 0.9), ("adam_beta2", 0.999), ("adam_epsilon", 1e-8), (crate::nets::mlp::LAYER_NORM_EPSILON, 1e-6)];

/// The value of a scalar that no setting changes; NaN for another, so that a mistake shows.
pub fn fixed_scalar(name: &str) -> f64 {
    FIXED_SCALARS.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| *value)
}

/// Rows of the metrics ring: as many updates may pass between two reads.
pub const RING_PERIOD: u32 = 256;

/// Places that outlive an update: the clock, and the ring of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// Words: [step, seed low, seed high, 0].
    pub clock: Region,
    /// [1 - beta1^step, 1 - beta2^step].
    pub corrections: Region,
    /// Metrics of training updates.
    pub ring: Region,
    /// Metrics of the last validation batch.
    pub validation_ring: Region,
}

impl Registers {
    /// Allocates them, with room for `metrics` metrics.
    pub fn new(plan: &mut PlanBuilder, metrics: u32) -> Self {
        Self {
            clock: plan.memory.alloc(Arena::Words, 1, 4),
            corrections: plan.activations(1, 2),
            ring: plan.activations(RING_PERIOD, 4 * metrics),
            validation_ring: plan.activations(1, 4 * metrics),
        }
    }
}

/// What a recording is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Losses, gradients, steps.
    Training,
    /// Losses only, on the validation set, with noise of its own.
    Validation,
}

/// What an agent's recording leaves behind besides operations.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Rows of the dataset in the batch.
    pub indices: Option<Region>,
    /// Every place that receives noise, by the noise's name.
    pub noise: Vec<(&'static str, Region)>,
    /// Intermediate values by the names of the official code.
    pub probes: Vec<(&'static str, Region)>,
    /// Metrics in the order of their slots.
    pub metrics: Vec<&'static str>,
    /// Regions the host writes once.
    pub constants: Vec<Constant>,
}

/// Records one update of an agent.
#[derive(Debug)]
pub struct Recorder<'a> {
    /// The plan itself.
    pub plan: &'a mut PlanBuilder,
    /// What the recording leaves behind.
    pub outcome: Outcome,
    layout: Layout,
    batch: u32,
    pass: Pass,
    registers: Registers,
    indices: Region,
    transitions: u32,
    chunks: Vec<(u32, u32)>,
}

impl<'a> Recorder<'a> {
    /// Starts an update: the clock advances (in training), and the batch is sampled from `records`, which an engine
    /// holds in chunks of at most `chunk_bytes`.
    pub fn new(
        plan: &'a mut PlanBuilder,
        (registers, pass): (Registers, Pass),
        (records, layout): (&Records, Layout),
        (batch, chunk_bytes): (u32, u64),
    ) -> Self {
        let indices = plan.memory.alloc(Arena::Words, 1, batch);
        if pass == Pass::Training {
            let (beta1, beta2) = (plan.scalar("adam_beta1"), plan.scalar("adam_beta2"));
            clock::record(plan, registers.clock, registers.corrections, beta1, beta2);
        }
        let stream = stream::BATCH + Self::stream_offset(pass);
        let transitions = records.len() as u32;
        plan.sampling(|plan| sample_batch::record(plan, registers.clock, indices, transitions, stream));
        let outcome = Outcome { indices: Some(indices), ..Outcome::default() };
        Self { plan, outcome, layout, batch, pass, registers, indices, transitions, chunks: records.chunks(chunk_bytes) }
    }

    const fn stream_offset(pass: Pass) -> u32 {
        match pass {
            Pass::Training => 0,
            Pass::Validation => stream::VALIDATION,
        }
    }

    /// Whether gradients are wanted.
    pub fn training(&self) -> bool {
        self.pass == Pass::Training
    }

    /// Rows of the batch.
    pub const fn batch(&self) -> u32 {
        self.batch
    }

    /// Dimensions of an action.
    pub const fn action_dim(&self) -> u32 {
        self.layout.action_dim
    }

    fn gather(&mut self, label: &str, (column, shift): (u32, u32), out: Region) {
        let (record, last) = (self.layout.record(), self.transitions - 1);
        let segment = Segment { column, cols: out.cols, record, shift, last };
        for (number, &chunk) in self.chunks.iter().enumerate() {
            let indices = self.indices;
            self.plan.on_chunk(number as u32, |plan| gather::record(plan, label, indices, segment, chunk, out));
        }
    }

    /// Puts the batch's observations s into `out`.
    pub fn observation(&mut self, out: Region) {
        self.gather("batch/s", (self.layout.observation(), 0), out);
    }

    /// Puts the batch's next observations s' into `out`.
    pub fn next_observation(&mut self, out: Region) {
        self.gather("batch/s'", (self.layout.next_observation(), 0), out);
    }

    /// Puts the batch's actions a into `out`.
    pub fn action(&mut self, out: Region) {
        self.gather("batch/a", (self.layout.action(), 0), out);
    }

    /// Puts the data's next actions a' into `out`: those of the transition that follows in the dataset. At the end of a
    /// trajectory that is the next one's first action, a quirk of fql `utils/datasets.py` that its numbers depend on; the
    /// last transition's is its own.
    pub fn next_action(&mut self, out: Region) {
        self.gather("batch/a'", (self.layout.action(), 1), out);
    }

    /// [reward, mask] of the batch, [batch, 2].
    pub fn reward_mask(&mut self) -> Region {
        let out = self.plan.activations(self.batch, 2);
        self.gather("batch/r, mask", (self.layout.reward_mask(), 0), out);
        out
    }

    /// Puts standard normals into `out`; the same stream gives the same numbers in every place.
    pub fn normal(&mut self, name: &'static str, stream: u32, out: Region) {
        self.draw(name, stream, Distribution::Normal, out);
    }

    /// Puts uniforms in [0, 1) into `out`.
    pub fn uniform(&mut self, name: &'static str, stream: u32, out: Region) {
        self.draw(name, stream, Distribution::Uniform, out);
    }

    fn draw(&mut self, name: &'static str, stream: u32, law: Distribution, out: Region) {
        let (clock, stream) = (self.registers.clock, stream + Self::stream_offset(self.pass));
        self.plan.sampling(|plan| noise::record(plan, &format!("noise/{name}"), clock, stream, law, out));
        self.outcome.noise.push((name, out));
    }

    /// Gives an intermediate value the name it has in the official code.
    pub fn probe(&mut self, name: &'static str, region: Region) {
        self.outcome.probes.push((name, region));
    }

    /// Logs a statistic of column `column` of `x` under `name`. Metrics recorded first are named first when a run
    /// diverges, so record them in the order of the update.
    pub fn metric(&mut self, name: &'static str, x: Region, column: u32, statistic: Statistic) {
        let region = if self.training() { self.registers.ring } else { self.registers.validation_ring };
        let ring = Ring { region, clock: self.registers.clock };
        metric::record(self.plan, name, (x, column), statistic, ring, self.outcome.metrics.len() as u32);
        self.outcome.metrics.push(name);
    }

    /// The updates whose number, counted from 1, is a multiple of `period`, for what takes part in those only. A validation
    /// always counts.
    pub fn every(&self, period: u32) -> Option<Turn> {
        self.training().then_some(Turn { clock: self.registers.clock, period })
    }

    /// Moves target weights towards their source as it is before this update's step; in the updates of `turn` only, where
    /// given.
    pub fn follow(&mut self, label: &str, source: Region, target: Region, turn: Option<Turn>) {
        if self.training() {
            let tau = self.plan.scalar("tau");
            ema::record(self.plan, label, source, target, tau, turn);
        }
    }

    /// Steps every trained weight.
    pub fn optimise(&mut self) {
        if self.training() {
            let constants = adam::Constants {
                learning_rate: self.plan.scalar("learning_rate"),
                beta1: self.plan.scalar("adam_beta1"),
                beta2: self.plan.scalar("adam_beta2"),
                epsilon: self.plan.scalar("adam_epsilon"),
            };
            adam::record(self.plan, self.registers.corrections, constants);
        }
    }
}
