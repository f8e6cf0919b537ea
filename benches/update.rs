//! One update at the published size, beside the machine's own matrix-product peak.
//!
//! `cargo bench --bench update`; with `WGFLOW_BENCH_ADAPTERS=0` also on GPU adapter 0. Throughput is in floating-point
//! operations of the update's matrix products (padding counted), so "elem/s" reads as FLOP/s and divides by the peak's.

mod common;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wgflow::agents::gfp::PolicyAggregate;
use wgflow::agents::{AgentConfig, FqlConfig, GfpConfig};
use wgflow::engine::product::{MutOperand, Operand, Right, product};

/// Width of the square product that stands for the peak.
const WIDTH: usize = 512;

/// Products of 512 x 512 matrices on every core at once, each core on its own: what the CPU engine could reach if an
/// update were nothing but products.
fn peak(c: &mut Criterion) {
    let flops = 2 * WIDTH.pow(3) as u64;
    let threads = common::threads();
    let mut group = c.benchmark_group("peak");
    group.throughput(Throughput::Elements(flops * threads as u64));
    group.bench_function(format!("sgemm 512 on {threads} threads"), |b| {
        b.iter_custom(|rounds| {
            let start = std::time::Instant::now();
            std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(move || products(rounds)))));
            start.elapsed()
        });
    });
    group.finish();
}

fn products(rounds: u64) {
    let (a, b) = (vec![0.5f32; WIDTH * WIDTH], vec![0.25f32; WIDTH * WIDTH]);
    let mut out = vec![0f32; WIDTH * WIDTH];
    let operand = |m: &[f32]| Operand { data: m.as_ptr(), shape: (WIDTH, WIDTH), strides: (WIDTH, 1) };
    for _ in 0..rounds {
        let to = MutOperand { data: out.as_mut_ptr(), shape: (WIDTH, WIDTH), stride: WIDTH };
        // SAFETY: three buffers of 512 x 512 elements, none of them shared.
        unsafe { product(to, operand(&a), Right::Plain(operand(&b))) };
    }
    std::hint::black_box(&out);
}

fn updates(c: &mut Criterion) {
    let gfp = |target_agg| AgentConfig::Gfp(GfpConfig { target_agg, ..Default::default() });
    let agents = [
        ("fql", AgentConfig::Fql(FqlConfig::default())),
        ("gfp, target actor", gfp(PolicyAggregate::Actor)),
        ("gfp, target mean", gfp(PolicyAggregate::Mean)),
    ];
    for (engine_name, engine) in common::engines() {
        let mut group = c.benchmark_group(format!("update on {engine_name}"));
        for (name, config) in &agents {
            for lanes in [1, 4] {
                let mut agent = common::agent(&engine, config, lanes);
                group.throughput(Throughput::Elements(agent.blueprint().update.product_flops() * lanes));
                group.bench_function(BenchmarkId::new(*name, format!("{lanes} lanes")), |b| {
                    b.iter(|| agent.update(1).expect("the device lives"));
                });
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    targets = peak, updates
}
criterion_main!(benches);
