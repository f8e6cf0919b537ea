//! One update, beside the machine's own matrix-product peak.
//!
//! `cargo bench --bench update`: FQL and GFP at the published size. `WGFLOW_BENCH_SWEEP=1 cargo bench --bench update`: every
//! agent, and GFP's cost against lanes, batch and Euler steps. With `WGFLOW_BENCH_ADAPTERS=0` also on GPU adapter 0.
//! GFLOP/s are those of the update's matrix products, padding counted, to be held against the peak. Bytes and dispatches are those
//! of `wgflow plan`.

mod common;

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use wgflow::agents::gfp::PolicyAggregate;
use wgflow::agents::{ALL as AGENTS, Agent, AgentConfig, FqlConfig, GfpConfig};
use wgflow::bench::{peak, rounds::median};
use wgflow::engine::Engine;

/// Products of 512 x 512 matrices on every core at once, each core on its own: what the CPU engine could reach if an
/// update were nothing but products.
fn peak(c: &mut Criterion) {
    let threads = common::threads();
    let mut group = c.benchmark_group("peak");
    group.throughput(Throughput::Elements(peak::FLOPS * threads as u64));
    for (name, engine) in common::engines() {
        if let Engine::Cpu { threads, precision } = engine {
            let name = format!("512 x 512 products, {name}, {threads} threads");
            group.bench_function(name, |b| b.iter_custom(|rounds| peak::time(threads, precision, rounds)));
        }
    }
    group.finish();
}

/// A name, settings, and a number of lanes.
type Case = (String, AgentConfig, u64);

fn gfp(target_agg: PolicyAggregate) -> AgentConfig {
    AgentConfig::Gfp(GfpConfig { target_agg, ..Default::default() })
}

/// What is worth a look after each change.
fn short() -> Vec<Case> {
    let agents = [
        ("fql", AgentConfig::Fql(FqlConfig::default())),
        ("gfp, target actor", gfp(PolicyAggregate::Actor)),
        ("gfp, target mean", gfp(PolicyAggregate::Mean)),
    ];
    let of_agent =
        |(name, config): (&str, AgentConfig)| [1, 4].map(|lanes| (format!("{name}/{lanes} lanes"), config.clone(), lanes));
    agents.into_iter().flat_map(of_agent).collect()
}

/// Every agent; then GFP's cost against one number at a time.
fn sweep() -> Vec<Case> {
    let mut cases: Vec<Case> = AGENTS
        .iter()
        .flat_map(|entry| [1, 8].map(|lanes| (format!("{}/{lanes} lanes", entry.name), entry.defaults(), lanes)))
        .collect();
    let published = || gfp(PolicyAggregate::Mean);
    cases.extend([1, 2, 4, 8, 16].map(|lanes| (format!("gfp by lanes/{lanes}"), published(), lanes)));
    let mut vary = |axis: &str, values: &[u32], set: fn(&mut AgentConfig, u32)| {
        for &value in values {
            let mut config = published();
            set(&mut config, value);
            cases.push((format!("gfp by {axis}/{value}"), config, 1));
        }
    };
    vary("batch", &[64, 256, 1024, 4096], |config, batch| config.common_mut().batch = batch);
    vary("Euler steps", &[1, 5, 10, 30], |config, steps| config.common_mut().flow_steps = steps);
    vary("width", &[64, 128, 256, 512, 1024], |config, width| config.common_mut().hidden = vec![width; 4]);
    cases
}

fn updates(c: &mut Criterion) {
    let cases = if common::sweep() { sweep() } else { short() };
    for (engine_name, engine) in common::engines() {
        let mut group = c.benchmark_group(format!("update on {engine_name}"));
        for (name, config, lanes) in &cases {
            // The agent is made where it is timed, so that a filter saves the others' memory and time.
            measure(&mut group, (name, *lanes), &engine, || common::agent(&engine, config, common::PUBLISHED, *lanes));
        }
        group.finish();
    }
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, (name, lanes): (&str, u64), engine: &Engine, make: impl Fn() -> Agent) {
    let mut agent: Option<Agent> = None;
    let mut times = Vec::new();
    group.bench_function(name, |b| {
        let agent = agent.get_or_insert_with(&make);
        b.iter_custom(|count| {
            let start = Instant::now();
            agent.update(count as u32).expect("the device lives");
            times.push(start.elapsed().as_secs_f64() / count as f64);
            start.elapsed()
        });
    });
    let Some(agent) = agent else { return };
    let blueprint = agent.blueprint();
    let bytes = engine.footprint((&blueprint.memory, lanes as usize, blueprint.scalars.len()), &[&blueprint.update], &[]).total();
    let (seconds, flops) = (median(&times), blueprint.update.product_flops() * lanes);
    println!(
        "{:24}{:.1} updates/s, {:.1} GFLOP/s, {} dispatches, {:.0} MB\n",
        "",
        lanes as f64 / seconds,
        flops as f64 / seconds / 1e9,
        blueprint.update.dispatches.len(),
        bytes as f64 / 1e6
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    targets = peak, updates
}
criterion_main!(benches);
