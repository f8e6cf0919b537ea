//! `wgflow devices`: what there is to run on.

use std::fmt::Write as _;

use serde::Serialize;
use wgflow::engine::Engine;
use wgflow::engine::adapter::{self, AdapterReport};
use wgflow::{Result, cli};

/// List every adapter, and say which one `--engine auto` takes and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: wgflow devices --json")]
pub struct Devices {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The JSON form.
#[derive(Debug, Serialize)]
struct Report<'a> {
    adapters: &'a [AdapterReport],
    auto: Auto<'a>,
}

/// What `--engine auto` takes.
#[derive(Debug, Serialize)]
struct Auto<'a> {
    engine: &'static str,
    adapter: Option<usize>,
    reason: &'a str,
}

impl Devices {
    /// Lists the adapters on standard output.
    pub fn run(self) -> Result<()> {
        let adapters = adapter::list();
        let (adapter, reason) = adapter::choose(&adapters);
        if self.json {
            let engine = if adapter.is_some() { "gpu" } else { "cpu" };
            let report = Report { adapters: &adapters, auto: Auto { engine, adapter, reason: &reason } };
            return cli::print_json(&report, false);
        }
        cli::print(&table(&adapters, adapter, &reason))
    }
}

fn table(adapters: &[AdapterReport], chosen: Option<usize>, reason: &str) -> String {
    let mut text = String::new();
    for adapter in adapters {
        entry(&mut text, adapter);
    }
    // Writing to a string does not fail.
    let _ = writeln!(text, "auto takes {reason}");
    if chosen.is_none() {
        let _ = writeln!(text, "The CPU engine serves: {}.", Engine::cpu(None).describe());
        let _ = writeln!(text, "{}", driver_advice());
    }
    text
}

fn entry(text: &mut String, adapter: &AdapterReport) {
    let mib = |bytes: u64| bytes >> 20;
    let _ = writeln!(text, "{}", adapter.line());
    let _ = writeln!(text, "   driver    {}", adapter.driver);
    let _ =
        writeln!(text, "   limits    {} MiB a binding, {} MiB a buffer", mib(adapter.binding_bytes), mib(adapter.buffer_bytes));
    let _ = writeln!(
        text,
        "             {} storage buffers a shader, {} KiB a workgroup, subgroups of {} to {}",
        adapter.storage_buffers,
        adapter.workgroup_bytes >> 10,
        adapter.subgroup.0,
        adapter.subgroup.1
    );
    let usable = match &adapter.shortfall {
        Some(shortfall) => format!("cannot be used: it offers {shortfall}"),
        None if adapter.software => "usable, but never taken by itself: it runs shaders on the processor".to_owned(),
        None => "usable".to_owned(),
    };
    let _ = writeln!(text, "   use       {usable}\n");
}

const fn driver_advice() -> &'static str {
    if cfg!(target_os = "linux") {
        "To use a GPU, install its Vulkan driver and the loader libvulkan1: NVIDIA's own driver (in a container also
NVIDIA_DRIVER_CAPABILITIES=all), or mesa-vulkan-drivers for AMD and Intel. The user must be allowed to open /dev/dri."
    } else if cfg!(target_os = "windows") {
        "To use a GPU, install the driver of its maker; it brings DX12 and Vulkan."
    } else {
        "To use a GPU, the system has to offer Metal or Vulkan."
    }
}
