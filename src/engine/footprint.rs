//! What a run takes, in bytes, before anything is allocated.

use super::gpu::Gpu;
use super::machine::{Engine, Records};
use super::memory::{Arena, Memory};
use super::packed::Packed;
use super::plan::Plan;
use super::precision::Precision;
use super::product::Element;

/// Bytes that a run takes on its engine. What a program takes besides, code and the driver's own memory, is not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Number of lanes.
    pub lanes: u64,
    /// A lane's share of each arena, in the order of [`Arena::ALL`].
    pub arenas: [u64; 4],
    /// A lane's packed weights, on the CPU engine.
    pub packed: u64,
    /// Tables of scalars and, on a GPU, of problems.
    pub tables: u64,
    /// Each dataset's records.
    pub datasets: Vec<u64>,
}

impl Footprint {
    /// All that one more lane adds, tables aside.
    pub fn lane(&self) -> u64 {
        self.arenas.iter().sum::<u64>() + self.packed
    }

    /// Everything.
    pub fn total(&self) -> u64 {
        self.lane() * self.lanes + self.tables + self.datasets.iter().sum::<u64>()
    }
}

impl Engine {
    /// What `lanes` lanes of `memory`, with `scalars` scalars each, take here with `plans` loaded and `datasets`.
    pub fn footprint(
        &self,
        (memory, lanes, scalars): (&Memory, usize, usize),
        plans: &[&Plan],
        datasets: &[&Records],
    ) -> Footprint {
        // On a GPU a buffer is never empty.
        let least = if matches!(self, Self::Gpu(_)) { 64 } else { 0 };
        let used = memory.used().map(|elements| u64::from(elements).next_multiple_of(64).max(least));
        let real = if matches!(self, Self::Oracle) { 8 } else { 4 };
        let arenas = Arena::ALL.map(|arena| used[arena.index()] * if arena == Arena::Words { 4 } else { real });
        let (lanes, scalars) = (lanes as u64, scalars as u64);
        let (packed, tables) = match self {
            Self::Gpu(gpu) => {
                let widest = arenas.iter().copied().max().unwrap_or(1);
                (0, lane_tables(gpu, widest, lanes, scalars) + plans.iter().map(|plan| problem_table(plan)).sum::<u64>())
            }
            Self::Cpu { precision, .. } => (packed::<f32>(plans, *precision), real * lanes * scalars),
            Self::Oracle => (packed::<f64>(plans, Precision::Plain), real * lanes * scalars),
        };
        let datasets = datasets.iter().map(|records| records.values.len() as u64 * 4).collect();
        Footprint { lanes, arenas, packed, tables, datasets }
    }
}

/// A lane's packed weights.
fn packed<R: Element>(plans: &[&Plan], precision: Precision) -> u64 {
    let mut packed = Packed::<R>::new(1, precision);
    plans.iter().for_each(|plan| packed.lay_out(&plan.ops));
    packed.lane_bytes()
}

/// The tables of lanes and their scalars: one for each group of lanes that fits a binding.
fn lane_tables(gpu: &Gpu, widest: u64, lanes: u64, scalars: u64) -> u64 {
    let groups = lanes.div_ceil((gpu.binding_bytes() / widest).clamp(1, 65_535));
    let most = lanes.div_ceil(groups.max(1));
    let table = |lanes: u64| (8 + lanes * scalars).max(9).next_multiple_of(4) * 4;
    let full = lanes / most.max(1);
    let rest = lanes % most.max(1);
    full * table(most) + if rest > 0 { table(rest) } else { 0 }
}

/// A plan's table of problems, each dispatch's at a place where a binding may start.
fn problem_table(plan: &Plan) -> u64 {
    let words = plan.dispatches.iter().fold(0u64, |words, dispatch| {
        let problems = plan.ops[dispatch.ops.clone()].iter().map(|op| op.problem.len() as u64).sum::<u64>();
        words.next_multiple_of(64) + problems
    });
    // With it goes a buffer that stands for no dataset.
    words.max(4) * 4 + 16
}
