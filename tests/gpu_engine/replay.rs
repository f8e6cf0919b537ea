//! Replays equal the CPU twin's.

use std::time::{Duration, Instant};

use wgflow::engine::{Arena, Engine, GpuMachine, GpuOptions, Machine, Memory, Plan, PlanBuilder, Records, Region};

use crate::kernels::{blend, fetch, spin, tick};
use crate::{Outcome, binding, contents, ensure, gpu, gpu_with, pair};

/// A small program with hazards, merged operations and views of columns, and the regions it starts from.
struct Program {
    memory: Memory,
    plan: Plan,
    starts: Vec<Region>,
    counter: Region,
}

/// `rows` x 10 matrices `a` and `b`; each update: a <- s0 a + b and b's columns 4.. <- s1 c + a's, twice, side by side.
fn program(rows: u32) -> Result<Program, wgflow::Error> {
    let mut plan = PlanBuilder::new(Memory::new());
    let counter = plan.memory.alloc(Arena::Words, 1, 4);
    let mut starts = Vec::new();
    for _ in 0..2 {
        let a = plan.activations(rows, 10);
        let b = plan.activations(rows, 10);
        let c = plan.activations(rows, 6);
        blend(&mut plan, a, b, a, 0);
        blend(&mut plan, c, a.columns(4, 6), b.columns(4, 6), 1);
        starts.extend([a, b, c]);
    }
    tick(&mut plan, counter);
    let schedule = plan.finish()?;
    Ok(Program { memory: plan.memory, plan: schedule, starts, counter })
}

impl Program {
    /// Writes starting values that differ by lane, loads the plan, and runs it `updates` times.
    fn run(&self, machine: &mut Machine, updates: &[u32]) -> Result<(), wgflow::Error> {
        for lane in 0..machine.lanes() {
            for (number, region) in self.starts.iter().enumerate() {
                let values: Vec<f64> = (0..region.len()).map(|i| ((i + 3 * number + 7 * lane) % 5) as f64).collect();
                machine.write(*region, lane, &values)?;
            }
            machine.write_words(self.counter, lane, &[100 * lane as u32, 0, 0, 0])?;
        }
        let id = machine.load(&self.plan, 0)?;
        updates.iter().try_for_each(|&updates| machine.submit(id, updates))?;
        machine.wait()
    }
}

/// Scalars of `lanes` lanes: the factors stay whole, so that every value does.
fn scalars(lanes: usize) -> Vec<f64> {
    (0..lanes).flat_map(|lane| [f64::from((lane % 3) as u32) - 1.0, 1.0]).collect()
}

/// Runs the program on a device and on the CPU, and compares all memory of all lanes.
fn same_as_cpu(options: GpuOptions, rows: u32, lanes: usize, updates: &[u32]) -> Outcome {
    let program = program(rows)?;
    let mut machines = pair(&gpu_with(options)?, &program.memory, lanes, &scalars(lanes))?;
    for machine in &mut machines {
        program.run(machine, updates)?;
    }
    let [device, cpu] = &mut machines;
    for lane in 0..lanes {
        let (found, expected) = (contents(device, &program.memory, lane)?, contents(cpu, &program.memory, lane)?);
        let first = found.iter().zip(&expected).position(|(a, b)| a != b);
        ensure(first.is_none() && expected.iter().any(|&x| x != 0.0), || {
            format!("lane {lane}: element {first:?} differs, {:?}", first.map(|i| (found[i], expected[i])))
        })?;
    }
    Ok(())
}

pub fn an_update_gives_the_same_values_as_the_cpu() -> Outcome {
    same_as_cpu(GpuOptions::default(), 7, 1, &[1])
}

pub fn many_updates_run_in_order_however_they_are_cut_into_submissions() -> Outcome {
    for budget in [1, 1_000, 35_000] {
        let options = GpuOptions { submission_budget: Duration::from_micros(budget), ..GpuOptions::default() };
        same_as_cpu(options, 9, 1, &[1, 1, 5, 2, 1, 8])?;
    }
    Ok(())
}

pub fn each_lane_has_its_own_memory_and_scalars() -> Outcome {
    same_as_cpu(GpuOptions::default(), 5, 4, &[3, 2])
}

pub fn lanes_beyond_a_binding_form_groups_and_change_nothing() -> Outcome {
    let program = program(33)?;
    let lane = u64::from(program.memory.used()[Arena::Activations.index()].next_multiple_of(64)) * 4;
    for (bytes, groups) in [(lane, 7), (2 * lane + 60, 4), (3 * lane, 3), (7 * lane, 1)] {
        let gpu = gpu_with(binding(bytes))?;
        let machine = GpuMachine::new(&gpu, &program.memory, 7, &scalars(7), &[])?;
        ensure(machine.lane_groups() == groups, || format!("{} groups at {bytes} bytes", machine.lane_groups()))?;
        same_as_cpu(binding(bytes), 33, 7, &[2, 3])?;
    }
    Ok(())
}

/// Fetches rows of a dataset in as many chunks as the engine asks for.
fn fetched(engine: &Engine, records: &Records, rows: &[u32]) -> Result<(Vec<f64>, usize), wgflow::Error> {
    let mut plan = PlanBuilder::new(Memory::new());
    let indices = plan.memory.alloc(Arena::Words, 1, rows.len() as u32);
    let out = plan.activations(rows.len() as u32, records.record);
    let chunks = records.chunks(engine.max_chunk_bytes());
    for (number, chunk) in chunks.iter().enumerate() {
        plan.on_chunk(number as u32, |plan| fetch(plan, indices, out, *chunk));
    }
    let schedule = plan.finish()?;
    let mut machine = engine.machine(&plan.memory, 1, &[], vec![Records::default(), records.clone()])?;
    let id = machine.load(&schedule, 1)?;
    machine.write_words(indices, 0, rows)?;
    machine.submit(id, 1)?;
    Ok((machine.read(out, 0)?, chunks.len()))
}

pub fn a_dataset_beyond_a_binding_is_cut_into_chunks_and_changes_nothing() -> Outcome {
    let values: Vec<f32> = (0..1003 * 12).map(|i| i as f32).collect();
    let records = Records { values: values.into(), record: 12 };
    let rows = [0, 1002, 5, 340, 341, 342, 682, 683, 7, 1001];
    let (expected, _) = fetched(&Engine::cpu(Some(1)), &records, &rows)?;
    for (bytes, chunks) in [(16 << 10, 3), (4096, 12), (48_144, 1)] {
        let engine = Engine::Gpu(gpu_with(binding(bytes))?);
        let (found, cut) = fetched(&engine, &records, &rows)?;
        ensure(found == expected && cut == chunks, || format!("{bytes} bytes, {cut} chunks: {found:?}"))?;
    }
    Ok(())
}

pub fn more_workgroups_than_a_row_of_the_grid_holds_all_run() -> Outcome {
    // 40,000 workgroups of 64 vec4s each, and one more: the second problem reaches into the second row of the grid.
    let rows = 40_000 * 16 + 1;
    let mut plan = PlanBuilder::new(Memory::new());
    let regions = [0, 1].map(|_| plan.activations(rows, 16));
    regions.iter().for_each(|region| blend(&mut plan, *region, *region, *region, 0));
    let schedule = plan.finish()?;
    ensure(schedule.dispatches.len() == 1, || "two dispatches".to_owned())?;
    let mut machine = Engine::Gpu(gpu()?).machine(&plan.memory, 1, &[1.0], Vec::new())?;
    let ends: Vec<Region> = regions.iter().flat_map(|region| [region.rows(0, 1), region.rows(rows - 1, 1)]).collect();
    for (end, value) in ends.iter().zip(1..) {
        machine.write(*end, 0, &[f64::from(value); 16])?;
    }
    let id = machine.load(&schedule, 0)?;
    machine.submit(id, 1)?;
    for (end, value) in ends.iter().zip(1..) {
        let found = machine.read(*end, 0)?;
        ensure(found == [f64::from(2 * value); 16], || format!("{end:?}: {found:?}"))?;
    }
    Ok(())
}

pub fn submissions_settle_near_their_budget() -> Outcome {
    let mut plan = PlanBuilder::new(Memory::new());
    let word = plan.memory.alloc(Arena::Words, 1, 1);
    spin(&mut plan, word, 20_000);
    let schedule = plan.finish()?;
    let budget = Duration::from_millis(20);
    let gpu = gpu_with(GpuOptions { submission_budget: budget, ..GpuOptions::default() })?;
    let mut machine = GpuMachine::new(&gpu, &plan.memory, 1, &[], &[])?;
    let id = machine.load(&schedule, 0)?;
    ensure(machine.submission_dispatches(id) == 1, || "the first submission is not one update".to_owned())?;
    machine.submit(id, 2_000)?;
    ensure((1..=3).contains(&machine.in_flight()), || format!("{} in flight", machine.in_flight()))?;
    machine.wait()?;
    let dispatches = machine.submission_dispatches(id);
    let began = Instant::now();
    machine.submit(id, dispatches)?;
    machine.wait()?;
    let took = began.elapsed();
    // A busy machine makes it slower, never faster.
    ensure(dispatches > 1 && took > budget / 8, || format!("{dispatches} dispatches took {took:?}"))
}

pub fn a_host_encodes_updates_into_its_own_commands() -> Outcome {
    let mut plan = PlanBuilder::new(Memory::new());
    let counter = plan.memory.alloc(Arena::Words, 1, 1);
    tick(&mut plan, counter);
    let schedule = plan.finish()?;
    let gpu = gpu()?;
    let mut machine = GpuMachine::new(&gpu, &plan.memory, 1, &[], &[])?;
    let id = machine.load(&schedule, 0)?;
    machine.write_words(counter, 0, &[5])?;
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    machine.encode_updates(&mut encoder, id, 4);
    gpu.queue().submit([encoder.finish()]);
    machine.submit(id, 1)?;
    let found = machine.read_words(counter, 0)?;
    ensure(found == [10], || format!("{found:?}"))
}

pub fn a_plan_without_operations_runs() -> Outcome {
    let mut machine = Engine::Gpu(gpu()?).machine(&Memory::new(), 2, &[], Vec::new())?;
    let id = machine.load(&Plan::default(), 0)?;
    machine.submit(id, 1_000)?;
    Ok(machine.wait()?)
}

pub fn checked_shaders_give_the_same_bits() -> Outcome {
    same_as_cpu(GpuOptions { checked: true, ..GpuOptions::default() }, 9, 2, &[4])
}

pub fn several_plans_share_one_memory() -> Outcome {
    let mut plan = PlanBuilder::new(Memory::new());
    let counters = plan.memory.alloc(Arena::Words, 1, 2);
    let [first, second] = [0, 1].map(|i| Region { offset: counters.offset + i, cols: 1, ..counters });
    tick(&mut plan, first);
    let one = plan.finish()?;
    tick(&mut plan, second);
    let other = plan.finish()?;
    let mut machine = Engine::Gpu(gpu()?).machine(&plan.memory, 1, &[], Vec::new())?;
    let ids = [machine.load(&one, 0)?, machine.load(&other, 0)?];
    for (id, updates) in [(ids[0], 3), (ids[1], 4), (ids[0], 2), (ids[1], 0)] {
        machine.submit(id, updates)?;
    }
    let found = machine.read_words(counters, 0)?;
    ensure(found == [5, 4], || format!("{found:?}"))
}
