//! Latency of acting at the published size (obs 28, act 5, 4x512): the one-step actor, the 10-step flow, IFQL's best of 32.
//!
//! `cargo bench --bench act`. One iteration is one call of `Policy::act`, from observations and noise to clipped actions.

use std::collections::BTreeSet;

mod common;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wgflow::agents::{AgentConfig, GfpConfig, IfqlConfig};
use wgflow::engine::Engine;

/// States acted on at once.
const BATCHES: [u32; 3] = [1, 16, 256];

fn acting(c: &mut Criterion) {
    let gfp = || AgentConfig::Gfp(GfpConfig::default());
    let policies = [
        ("actor", gfp(), "actor"),
        ("flow", gfp(), "flow"),
        ("best of 32", AgentConfig::Ifql(IfqlConfig::default()), "best_of_n"),
    ];
    for threads in BTreeSet::from([1, common::threads()]) {
        let mut group = c.benchmark_group(format!("act on {threads} CPU threads"));
        for (name, config, policy) in &policies {
            let mut agent = common::agent(&Engine::cpu(Some(threads)), config, common::PUBLISHED, 1);
            for batch in BATCHES {
                let mut policy = agent.policy(policy, 0, batch).expect("the policy is the algorithm's");
                let observations = vec![0.1; (batch * common::PUBLISHED.obs_dim) as usize];
                let noise: Vec<f64> = (0..policy.noise_cols() * batch as usize).map(|i| (i % 7) as f64 / 3.0 - 1.0).collect();
                group.throughput(Throughput::Elements(u64::from(batch)));
                group.bench_function(BenchmarkId::new(*name, format!("batch {batch}")), |b| {
                    b.iter(|| policy.act(&observations, &noise).expect("the slices have the right lengths"));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, acting);
criterion_main!(benches);
