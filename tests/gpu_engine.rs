//! The GPU engine: replays equal the CPU twin's, memory is what was written, and whatever happens to the device ends in
//! a typed error. On a machine without an adapter the tests that need one are reported as ignored.

#[path = "gpu_engine/adapters.rs"]
mod adapters;
#[path = "gpu_engine/faults.rs"]
mod faults;
#[path = "gpu_engine/kernels.rs"]
mod kernels;
#[path = "gpu_engine/memory.rs"]
mod memory;
#[path = "gpu_engine/profile.rs"]
mod profile;
#[path = "gpu_engine/replay.rs"]
mod replay;

use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use wgflow::engine::{Arena, Engine, Gpu, GpuOptions, Machine, Memory, Region, adapter};

/// What a test returns.
type Outcome = Result<(), Failed>;

/// A test that needs an adapter.
struct GpuTest {
    name: &'static str,
    run: fn() -> Outcome,
}

/// Names a test by its function.
macro_rules! gpu_tests {
    ($($module:ident::$name:ident,)*) => {
        &[$(GpuTest { name: concat!(stringify!($module), "::", stringify!($name)), run: $module::$name },)*]
    };
}

static GPU_TESTS: &[GpuTest] = gpu_tests![
    replay::an_update_gives_the_same_values_as_the_cpu,
    replay::many_updates_run_in_order_however_they_are_cut_into_submissions,
    replay::each_lane_has_its_own_memory_and_scalars,
    replay::lanes_beyond_a_binding_form_groups_and_change_nothing,
    replay::a_dataset_beyond_a_binding_is_cut_into_chunks_and_changes_nothing,
    replay::more_workgroups_than_a_row_of_the_grid_holds_all_run,
    replay::submissions_settle_near_their_budget,
    replay::a_host_encodes_updates_into_its_own_commands,
    replay::a_plan_without_operations_runs,
    replay::checked_shaders_give_the_same_bits,
    replay::several_plans_share_one_memory,
    memory::new_memory_is_zero,
    memory::what_is_written_is_read_back,
    memory::a_view_of_columns_leaves_its_neighbours_alone,
    memory::long_regions_cross_staging_buffers,
    memory::reads_are_futures_too,
    memory::regions_outside_the_memory_are_refused,
    memory::needs_beyond_the_limits_are_named_before_anything_is_allocated,
    memory::dropping_machines_frees_their_memory,
    profile::a_profile_holds_every_dispatch_and_changes_no_bit,
    profile::the_footprint_is_what_is_allocated,
    faults::a_device_destroyed_at_any_point_gives_a_typed_error,
    faults::a_destroyed_device_loses_every_machine_on_it,
    faults::a_host_keeps_its_callbacks,
    faults::a_wait_that_takes_too_long_times_out,
    faults::a_refused_shader_is_named,
    faults::a_chunk_that_is_not_there_is_refused,
    adapters::every_listed_adapter_can_be_named_by_its_index,
    adapters::unknown_selectors_are_refused_with_a_list,
    adapters::a_software_adapter_is_never_taken_silently,
];

fn main() {
    let arguments = Arguments::from_args();
    let found = !adapter::list().is_empty();
    let on_gpu = GPU_TESTS.iter().map(|test| Trial::test(test.name, test.run).with_ignored_flag(!found));
    let pure = adapters::PURE.iter().map(|(name, run)| Trial::test(*name, run));
    let trials: Vec<Trial> = on_gpu.chain(pure).collect();
    if !found {
        eprintln!("no adapter: {} tests of the GPU engine are ignored", GPU_TESTS.len());
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A device of our own on the best adapter, software or not.
fn gpu_with(options: GpuOptions) -> Result<Arc<Gpu>, Failed> {
    Ok(adapter::open(0, options)?)
}

/// As [`gpu_with`], with the defaults.
fn gpu() -> Result<Arc<Gpu>, Failed> {
    gpu_with(GpuOptions::default())
}

/// Options under which a binding holds so many bytes.
fn binding(bytes: u64) -> GpuOptions {
    GpuOptions { binding_bytes: Some(bytes), ..GpuOptions::default() }
}

/// A fresh run on each engine: the device, and the CPU twin at f32.
fn pair(gpu: &Arc<Gpu>, memory: &Memory, lanes: usize, scalars: &[f64]) -> Result<[Machine; 2], Failed> {
    let on = |engine: Engine| engine.machine(memory, lanes, scalars, Vec::new());
    Ok([on(Engine::Gpu(Arc::clone(gpu)))?, on(Engine::cpu(Some(1)))?])
}

/// Everything a lane's memory holds, padding included: floats as they are, words as floats.
fn contents(machine: &mut Machine, memory: &Memory, lane: usize) -> Result<Vec<f64>, Failed> {
    let mut all = Vec::new();
    for (arena, cols) in Arena::ALL.into_iter().zip(memory.used()).filter(|(_, cols)| *cols > 0) {
        let region = Region { arena, offset: 0, rows: 1, cols, stride: cols.next_multiple_of(4) };
        match arena {
            Arena::Words => all.extend(machine.read_words(region, lane)?.into_iter().map(f64::from)),
            _ => all.extend(machine.read(region, lane)?),
        }
    }
    Ok(all)
}

/// Fails with `message` unless `fits`.
fn ensure(fits: bool, message: impl FnOnce() -> String) -> Outcome {
    if fits { Ok(()) } else { Err(message().into()) }
}
