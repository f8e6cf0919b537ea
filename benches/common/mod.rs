//! What the benches share: a task of the published size, and the engines of this machine.
#![allow(dead_code, reason = "each bench uses its part")]

use wgflow::agents::{Agent, AgentConfig};
pub use wgflow::bench::PUBLISHED;
use wgflow::bench::{TRANSITIONS, records};
use wgflow::data::Layout;
use wgflow::engine::{Engine, GpuOptions, Precision, Variant, adapter};

/// An agent on the made-up task.
pub fn agent(engine: &Engine, config: &AgentConfig, layout: Layout, lanes: u64) -> Agent {
    let seeds: Vec<u64> = (0..lanes).collect();
    Agent::on_records(engine, config, layout, (records(layout, TRANSITIONS), None), &seeds).expect("the size fits")
}

/// The CPU engine at each precision that it has here, and every GPU adapter whose number stands in `WGFLOW_BENCH_ADAPTERS`
/// (as `wgflow devices` numbers them; `all` for every one). `WGFLOW_BENCH_VARIANT` (`plain`, `large` or `software`) takes that variant of the kernels that
/// have several, instead of the adapter's own.
pub fn engines() -> Vec<(String, Engine)> {
    let mut engines = vec![("cpu".to_owned(), Engine::cpu(None))];
    engines.extend(Engine::cpu(None).at(Precision::Mixed).map(|mixed| ("cpu mixed".to_owned(), mixed)));
    let wanted = std::env::var("WGFLOW_BENCH_ADAPTERS").unwrap_or_default();
    for report in adapter::list() {
        if wanted == "all" || wanted.split(',').any(|number| number == report.index.to_string()) {
            let options = GpuOptions { variant: variant(), ..GpuOptions::from_env() };
            let gpu = Engine::Gpu(adapter::open(report.index, options).expect("an adapter that was listed opens"));
            engines.push((format!("gpu {}: {}", report.index, report.name), gpu));
        }
    }
    engines
}

/// Whether everything is to be measured, for hours, and not what is worth a look after each change.
pub fn sweep() -> bool {
    std::env::var_os("WGFLOW_BENCH_SWEEP").is_some_and(|value| value != "0")
}

fn variant() -> Option<Variant> {
    let wanted = std::env::var("WGFLOW_BENCH_VARIANT").ok()?;
    Some(match &*wanted {
        "plain" => Variant::Plain,
        "large" => Variant::Large,
        "software" => Variant::Software,
        "subgroup" => Variant::Subgroup,
        _ => panic!("WGFLOW_BENCH_VARIANT is {wanted}: plain, large, software or subgroup"),
    })
}

/// Threads that the CPU engine uses by default.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
