//! Every kernel of `kernels::ALL`, on the problems that one GFP update of the published size gives it.
//!
//! `cargo bench --bench kernels`; with `WGFLOW_BENCH_ADAPTERS=0` also on GPU adapter 0. A time is that of all the
//! kernel's dispatches in an update; for products the throughput is in floating-point operations.

mod common;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wgflow::agents::gfp::PolicyAggregate;
use wgflow::agents::{AgentConfig, GfpConfig};
use wgflow::kernels::ALL;

fn kernels(c: &mut Criterion) {
    let config = AgentConfig::Gfp(GfpConfig { target_agg: PolicyAggregate::Actor, ..Default::default() });
    for (engine_name, engine) in common::engines() {
        let mut group = c.benchmark_group(format!("kernel on {engine_name}"));
        let mut agent = common::agent(&engine, &config, 1);
        let whole = agent.blueprint().update.clone();
        for kernel in ALL {
            let mut plan = whole.clone();
            plan.dispatches.retain(|dispatch| dispatch.kernel.name == kernel.name);
            assert!(!plan.dispatches.is_empty(), "no update uses {}: give it a bench of its own", kernel.name);
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
