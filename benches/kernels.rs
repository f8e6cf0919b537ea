//! Every kernel of `kernels::ALL`, on the problems that one update gives it: GFP's, or for a kernel that GFP does not use
//! that of the first agent that does; once at the published size, once at a ragged one. `best_candidate` only acts, and is
//! given 32 candidates for each state of a batch.
//!
//! `cargo bench --bench kernels`; with `WGFLOW_BENCH_ADAPTERS=0` also on GPU adapter 0, timed by its own clock where it has
//! timestamp queries. A time is that of all the kernel's dispatches in an update. Products are counted in floating-point
//! operations, the rest in bytes of what is read and written; after each kernel of the CPU engine stands the share of what
//! this machine reaches by products alone, or by copying memory too large for caches, measured just before. Kernels whose
//! operands lie in caches may exceed the latter.

mod common;

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use wgflow::agents::gfp::PolicyAggregate;
use wgflow::agents::{ALL as AGENTS, AgentConfig, GfpConfig};
use wgflow::bench::{peak, rounds::median};
use wgflow::data::Layout;
use wgflow::engine::{Engine, Machine, Memory, Plan, PlanBuilder, PlanId, Precision};
use wgflow::kernels::{ALL, Aggregate, best_candidate};

/// A name, the task's dimensions, the batch and the hidden widths.
const SIZES: [(&str, Layout, u32, &[u32]); 2] = [
    ("published", common::PUBLISHED, 256, &[512, 512, 512, 512]),
    ("ragged", Layout { obs_dim: 27, action_dim: 3 }, 253, &[509, 317, 131, 61]),
];

/// What this machine reaches: products in GFLOP/s, copies in GB/s; only known of the CPU.
type Peaks = Option<(f64, f64)>;

fn kernels(c: &mut Criterion) {
    for (engine_name, engine) in common::engines() {
        for (size, layout, batch, hidden) in SIZES {
            let mut group = c.benchmark_group(format!("kernel on {engine_name}, {size}"));
            let gfp = AgentConfig::Gfp(GfpConfig { target_agg: PolicyAggregate::Actor, ..Default::default() });
            let configs = [gfp].into_iter().chain(AGENTS.iter().map(|entry| entry.defaults())).map(|mut config| {
                let common = config.common_mut();
                (common.batch, common.hidden) = (batch, hidden.to_vec());
                config
            });
            let mut agents: Vec<_> = configs.map(|config| common::agent(&engine, &config, layout, 1)).collect();
            let peaks = if let Engine::Cpu { threads, precision } = engine { Some(peaks(threads, precision)) } else { None };
            for kernel in ALL {
                if kernel.name == "best_candidate" {
                    let (plan, memory) = acting(batch, layout.action_dim);
                    let mut machine = engine.machine(&memory, 1, &[], Vec::new()).expect("it fits");
                    measure(&mut group, (kernel.name, &plan), &mut machine, peaks);
                    continue;
                }
                let uses = |plan: &Plan| plan.ops.iter().any(|op| op.kernel.name == kernel.name);
                let agent = agents.iter_mut().find(|agent| uses(&agent.blueprint().update));
                let agent = agent.unwrap_or_else(|| panic!("no update uses {}: give it a bench of its own", kernel.name));
                let plan = agent.blueprint().update.only(|other| other.name == kernel.name);
                measure(&mut group, (kernel.name, &plan), agent.machine(), peaks);
            }
            group.finish();
        }
    }
}

fn peaks(threads: usize, precision: Precision) -> (f64, f64) {
    let length = Duration::from_millis(500);
    (peak::gflops(threads, precision, length), peak::copy_gbs(threads, length))
}

/// The best of 32 actions by two critics.
fn acting(batch: u32, action_dim: u32) -> (Plan, Memory) {
    let mut plan = PlanBuilder::new(Memory::new());
    let q = plan.activations(2 * 32 * batch, 1);
    let (candidates, out) = (plan.activations(32 * batch, action_dim), plan.activations(batch, action_dim));
    best_candidate::record(&mut plan, "best", q, Aggregate::Min, candidates, out);
    (plan.finish().expect("the shapes fit"), plan.memory)
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, (name, plan): (&str, &Plan), machine: &mut Machine, peaks: Peaks) {
    let id = machine.load(plan, 0).expect("the device lives");
    let flops = plan.product_flops();
    let bytes = plan.ops.iter().flat_map(|op| op.reads.iter().chain(&op.writes)).map(|region| 4 * region.len() as u64).sum();
    group.throughput(if flops > 0 { Throughput::Elements(flops) } else { Throughput::Bytes(bytes) });
    let mut times = Vec::new();
    group.bench_function(name, |b| {
        b.iter_custom(|count| {
            let took = replays(machine, id, count as u32);
            times.push(took.as_secs_f64() / count as f64);
            took
        });
    });
    // The warm-up comes first and its last turns are as good as the rest; with a filter there may be none.
    if let (Some((products, copies)), false) = (peaks, times.is_empty()) {
        let (work, unit, best) = if flops > 0 { (flops, "GFLOP/s", products) } else { (bytes, "GB/s", copies) };
        let rate = work as f64 / median(&times) / 1e9;
        println!("{:24}{rate:.1} {unit}, {:.0} % of {best:.1}\n", "", 100.0 * rate / best);
    }
}

/// The time of `count` replays: by the GPU's own clock where it has one, else from submitting to the end.
fn replays(machine: &mut Machine, plan: PlanId, count: u32) -> Duration {
    if let Machine::Gpu(gpu) = machine
        && let Ok(profile) = gpu.profile(plan, count)
    {
        return Duration::from_secs_f64(profile.spans.iter().map(|span| span.length).sum::<f64>() / 1e6);
    }
    let start = Instant::now();
    machine.submit(plan, count).and_then(|()| machine.wait()).expect("the device lives");
    start.elapsed()
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500));
    targets = kernels
}
criterion_main!(benches);
