//! Every kernel of `kernels::ALL`, on the problems that one update of the published size gives it: GFP's, or for a kernel
//! that GFP does not use that of the first agent that does. `best_candidate` only acts, on the CPU: it has no bench.
//!
//! `cargo bench --bench kernels`; with `WGFLOW_BENCH_ADAPTERS=0` also on GPU adapter 0. A time is that of all the
//! kernel's dispatches in an update; for products the throughput is in floating-point operations.

mod common;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wgflow::agents::gfp::PolicyAggregate;
use wgflow::agents::{ALL as AGENTS, Agent, AgentConfig, GfpConfig};
use wgflow::kernels::ALL;

fn kernels(c: &mut Criterion) {
    let gfp = AgentConfig::Gfp(GfpConfig { target_agg: PolicyAggregate::Actor, ..Default::default() });
    for (engine_name, engine) in common::engines() {
        let mut group = c.benchmark_group(format!("kernel on {engine_name}"));
        let configs = [gfp.clone()].into_iter().chain(AGENTS.iter().map(|entry| entry.defaults()));
        let mut agents: Vec<_> = configs.map(|config| common::agent(&engine, &config, 1)).collect();
        for kernel in ALL.iter().filter(|kernel| kernel.name != "best_candidate") {
            let uses = |agent: &&mut Agent| agent.blueprint().update.ops.iter().any(|op| op.kernel.name == kernel.name);
            let agent = agents.iter_mut().find(uses);
            let agent = agent.unwrap_or_else(|| panic!("no update uses {}: give it a bench of its own", kernel.name));
            let mut plan = agent.blueprint().update.clone();
            plan.dispatches.retain(|dispatch| dispatch.kernel.name == kernel.name);
            plan.ops.retain(|op| op.kernel.name == kernel.name);
            // The dispatches' ranges name the whole plan's operations: number them anew.
            let mut start = 0;
            for dispatch in &mut plan.dispatches {
                let len = dispatch.ops.len();
                dispatch.ops = start..start + len;
                start += len;
            }
            let problems = plan.ops.len() as u64;
            let flops = plan.product_flops();
            group.throughput(Throughput::Elements(if flops > 0 { flops } else { problems }));
            agent.replace_update(&plan).expect("the device lives");
            group.bench_function(kernel.name, |b| b.iter(|| agent.update(1).expect("the device lives")));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(1));
    targets = kernels
}
criterion_main!(benches);
