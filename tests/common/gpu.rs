//! A GPU adapter for tests: a real one if there is one, else a software one. Where there is none, tests are ignored.

use std::sync::Arc;

use wgflow::engine::adapter::{list, open};
use wgflow::engine::{Engine, GpuOptions};

pub type EngineOf = Arc<dyn Fn() -> Engine + Send + Sync>;

/// Opens a device of the best adapter each time it is called; `None` if the machine has no adapter at all.
pub fn any_gpu() -> Option<EngineOf> {
    let index = list().iter().find(|report| report.shortfall.is_none())?.index;
    Some(Arc::new(move || Engine::Gpu(open(index, GpuOptions::from_env()).expect("an adapter that was listed opens"))))
}
