//! A plan as the device runs it: pipelines, bind groups and grids, all made before the first run.

use std::ops::Range;

use super::arenas::{Arenas, Chunks, LaneGroup};
use super::pace::Pace;
use super::pipelines::shader_of;
use super::{BINDINGS, Gpu, SLICE_ALIGNMENT};
use crate::engine::kernel::Variant;
use crate::engine::plan::{Dispatch, Op, Plan};
use crate::error::{Error, Result};

/// Workgroups in one direction of a grid at most.
const MOST_GROUPS: u32 = 65_535;

/// One dispatch.
#[derive(Debug)]
struct Step {
    pipeline: wgpu::ComputePipeline,
    /// One for each group of lanes.
    bind_groups: Vec<wgpu::BindGroup>,
    /// Workgroups in x and y; z counts lanes.
    grid: (u32, u32),
}

/// A plan, ready to be replayed: encoding it creates no buffer and no bind group.
#[derive(Debug)]
pub(super) struct Replay {
    steps: Vec<Step>,
    /// What it replays.
    pub plan: Plan,
    /// How much of it one submission holds.
    pub pace: Pace,
}

/// The tables of problems of all dispatches, as one buffer's content.
#[derive(Default)]
struct Tables {
    words: Vec<u32>,
    /// For each dispatch its words, and its workgroups.
    dispatches: Vec<(Range<usize>, u32)>,
}

impl Tables {
    /// Appends the problems of a dispatch, with the prefix sums of their workgroups in `first_group`, the first field.
    fn push(&mut self, ops: &[Op], groups: fn(&[u32]) -> u32) -> Result<()> {
        self.words.resize(self.words.len().next_multiple_of(SLICE_ALIGNMENT as usize / 4), 0);
        let (start, mut total) = (self.words.len(), 0u32);
        for op in ops {
            let mut problem = op.problem.clone();
            let count = groups(&problem);
            if let Some(first) = problem.first_mut() {
                *first = total;
            }
            self.words.extend(problem);
            total = total.checked_add(count).ok_or_else(|| refused(op, "its workgroups cannot be counted in 32 bits"))?;
        }
        self.dispatches.push((start..self.words.len(), total));
        Ok(())
    }
}

fn refused(op: &Op, problem: &str) -> Error {
    Error::Plan { label: op.label.clone(), problem: problem.to_owned() }
}

impl Replay {
    /// Prepares `plan`, which gathers from `dataset`, in the kernels' `variant`. Every shader is compiled, every binding made and
    /// checked here.
    pub async fn new(gpu: &Gpu, arenas: &Arenas, plan: &Plan, dataset: Option<&Chunks>, variant: Variant) -> Result<Self> {
        let mut tables = Tables::default();
        let mut shaders = Vec::with_capacity(plan.dispatches.len());
        for dispatch in &plan.dispatches {
            let shader = shader_of(dispatch.kernel, variant)?;
            tables.push(&plan.ops[dispatch.ops.clone()], shader.groups)?;
            shaders.push(shader);
        }
        gpu.compile_all(&shaders)?;
        // A buffer is never empty.
        tables.words.resize(tables.words.len().max(4), 0);
        let table = gpu.constant("problems", &tables.words).await?;
        let none = gpu.constant("no records", &[0; 4]).await?;
        let mut steps = Vec::with_capacity(shaders.len());
        for ((dispatch, shader), (slice, groups)) in plan.dispatches.iter().zip(&shaders).zip(&tables.dispatches) {
            let records = records_of(plan, dispatch, dataset)?.unwrap_or(&none);
            let pipeline = gpu.pipeline(shader)?;
            let problems = (&table, slice);
            let bind = || arenas.groups.iter().map(|lanes| bind_group(gpu, lanes, problems, records)).collect();
            let bind_groups = gpu.scoped("binding a plan", bind).await?;
            steps.push(Step { pipeline, bind_groups, grid: grid(*groups) });
        }
        let pace = Pace::new(steps.len().max(1) as u32);
        Ok(Self { steps, plan: plan.clone(), pace })
    }

    /// Dispatches of one update.
    pub const fn len(&self) -> usize {
        self.steps.len()
    }

    /// Records the dispatches number `range`, counted on and on through updates, as one pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder, groups: &[LaneGroup], range: Range<u64>) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("wgflow"), timestamp_writes: None });
        let start = (range.start % self.steps.len().max(1) as u64) as usize;
        let count = (range.end - range.start) as usize;
        for step in self.steps.iter().cycle().skip(start).take(count) {
            step.encode(&mut pass, groups);
        }
    }

    /// Records dispatch number `index` as a pass of its own, which notes when it began and ended.
    pub fn encode_timed(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        groups: &[LaneGroup],
        index: usize,
        times: wgpu::ComputePassTimestampWrites<'_>,
    ) {
        let descriptor = wgpu::ComputePassDescriptor { label: Some("wgflow"), timestamp_writes: Some(times) };
        self.steps[index].encode(&mut encoder.begin_compute_pass(&descriptor), groups);
    }
}

impl Step {
    fn encode(&self, pass: &mut wgpu::ComputePass<'_>, groups: &[LaneGroup]) {
        if self.grid.0 == 0 {
            return;
        }
        pass.set_pipeline(&self.pipeline);
        // Groups of lanes share no buffer that is written, so their dispatches may overlap.
        for (bind_group, lanes) in self.bind_groups.iter().zip(groups) {
            pass.set_bind_group(0, bind_group, &[]);
            pass.dispatch_workgroups(self.grid.0, self.grid.1, lanes.lanes);
        }
    }
}

/// The chunk that a dispatch gathers from; `None` where there is no dataset.
fn records_of<'a>(plan: &Plan, dispatch: &Dispatch, dataset: Option<&'a Chunks>) -> Result<Option<&'a wgpu::Buffer>> {
    let Some(chunks) = dataset.filter(|chunks| !chunks.parts.is_empty()) else { return Ok(None) };
    let number = dispatch.chunk as usize;
    match chunks.parts.get(number) {
        Some((_, _, buffer)) => Ok(Some(buffer)),
        None => {
            let problem = format!("reads chunk {number} of a dataset of {} chunks", chunks.parts.len());
            Err(refused(&plan.ops[dispatch.ops.start], &problem))
        }
    }
}

fn bind_group(gpu: &Gpu, lanes: &LaneGroup, problems: (&wgpu::Buffer, &Range<usize>), records: &wgpu::Buffer) -> wgpu::BindGroup {
    let (table, slice) = problems;
    // The shader counts the problems by the size of the binding, so it is exact.
    let problems = wgpu::BufferBinding {
        buffer: table,
        offset: slice.start as u64 * 4,
        size: std::num::NonZero::new(slice.len() as u64 * 4),
    };
    let arenas = lanes.buffers.iter().map(wgpu::Buffer::as_entire_binding);
    let rest = [wgpu::BindingResource::Buffer(problems), lanes.table.as_entire_binding(), records.as_entire_binding()];
    let numbered = (0..BINDINGS).zip(arenas.chain(rest));
    let entries: Vec<_> = numbered.map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some("wgflow"), layout: &gpu.bindings, entries: &entries })
}

/// `groups` workgroups as (x, y). The last row may be longer than the last problem: shaders skip what is too much.
const fn grid(groups: u32) -> (u32, u32) {
    if groups == 0 {
        return (0, 0);
    }
    let y = groups.div_ceil(MOST_GROUPS);
    (groups.div_ceil(y), y)
}

#[cfg(test)]
mod tests {
    use super::grid;

    #[test]
    fn a_grid_holds_every_workgroup_and_few_more() {
        for groups in [1, 2, 65_535, 65_536, 65_537, 131_071, 1_000_003, u32::MAX / 2] {
            let (x, y) = grid(groups);
            assert!(x <= 65_535 && y <= 65_535, "{groups}");
            let total = u64::from(x) * u64::from(y);
            assert!(total >= u64::from(groups) && total < u64::from(groups) + u64::from(y), "{groups}: {x} x {y}");
        }
        assert_eq!(grid(0), (0, 0));
    }
}
