//! Which adapters there are, and which one to take.
//!
//! A software adapter (lavapipe, SwiftShader, WARP) runs shaders on the processor, 10 to 50 times slower than the CPU
//! engine on the same cores. It is there to test shaders, so it is never taken unless it is asked for.

use std::fmt::Write;

use serde::Serialize;

use super::gpu::{Gpu, GpuOptions, shortfall};
use super::machine::Engine;
use crate::error::{Error, Result};

/// What is known of an adapter before it is opened.
#[derive(Clone, Debug, Serialize)]
pub struct AdapterReport {
    /// Its place in [`list`]: real GPUs first.
    pub index: usize,
    /// The driver's name for it.
    pub name: String,
    /// Vulkan, Metal or Dx12.
    pub backend: String,
    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `software` or `unknown`.
    pub device_type: &'static str,
    /// Whether it is a program on the processor.
    pub software: bool,
    /// Name and version of the driver.
    pub driver: String,
    /// Vendor and device number, as `10de:2684`.
    pub pci_id: String,
    /// Where it is plugged in, as `0000:01:00.0`; empty where the driver does not tell.
    pub pci_bus: String,
    /// Bytes that one binding may hold: larger arenas form lane groups, larger datasets are cut into chunks.
    pub binding_bytes: u64,
    /// Bytes that one buffer may hold.
    pub buffer_bytes: u64,
    /// Storage buffers that a shader may use.
    pub storage_buffers: u32,
    /// Bytes of memory that a workgroup shares.
    pub workgroup_bytes: u32,
    /// Smallest and largest number of invocations that run in step.
    pub subgroup: (u32, u32),
    /// What kernels need and the adapter lacks; `None` if it can be used.
    pub shortfall: Option<String>,
}

impl AdapterReport {
    fn of(index: usize, adapter: &wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        Self {
            index,
            software: info.device_type == wgpu::DeviceType::Cpu,
            device_type: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => "discrete GPU",
                wgpu::DeviceType::IntegratedGpu => "integrated GPU",
                wgpu::DeviceType::VirtualGpu => "virtual GPU",
                wgpu::DeviceType::Cpu => "software",
                wgpu::DeviceType::Other => "unknown",
            },
            backend: format!("{:?}", info.backend),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            pci_id: format!("{:04x}:{:04x}", info.vendor, info.device),
            name: info.name,
            pci_bus: info.device_pci_bus_id,
            binding_bytes: limits.max_storage_buffer_binding_size,
            buffer_bytes: limits.max_buffer_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            subgroup: (info.subgroup_min_size, info.subgroup_max_size),
            shortfall: shortfall(&limits),
        }
    }

    /// One line: `0: NVIDIA RTX 4090 (Vulkan, discrete GPU, 10de:2684 at 0000:01:00.0)`.
    pub fn line(&self) -> String {
        let bus = if self.pci_bus.is_empty() { String::new() } else { format!(" at {}", self.pci_bus) };
        format!("{}: {} ({}, {}, {}{bus})", self.index, self.name, self.backend, self.device_type, self.pci_id)
    }

    /// Whether `selector` names it by a part of its name or by a PCI id.
    fn matches(&self, selector: &str) -> bool {
        let selector = selector.to_lowercase();
        let bus = self.pci_bus.to_lowercase();
        // The domain of a bus address is nearly always 0000 and seldom typed.
        let address = !bus.is_empty() && (bus == selector || bus.split_once(':').is_some_and(|(_, rest)| rest == selector));
        self.name.to_lowercase().contains(&selector) || self.pci_id == selector || address
    }

    /// Whether the two are one piece of hardware behind two backends.
    fn same_hardware(&self, other: &Self) -> bool {
        self.pci_id == other.pci_id && self.pci_bus == other.pci_bus && self.backend != other.backend
    }
}

/// Every adapter, best first: discrete, integrated, virtual, unknown, software.
pub fn list() -> Vec<AdapterReport> {
    let adapters = pollster::block_on(adapters());
    adapters.iter().enumerate().map(|(index, adapter)| AdapterReport::of(index, adapter)).collect()
}

async fn adapters() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    // It costs a pipeline for indirect dispatches, of which there are none.
    descriptor.flags.remove(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
    let backends = descriptor.backends;
    let mut adapters = wgpu::Instance::new(descriptor).enumerate_adapters(backends).await;
    let place = |kind| match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    // Stable, so adapters of one kind stay in the driver's order.
    adapters.sort_by_key(|adapter| place(adapter.get_info().device_type));
    adapters
}

/// The adapter that [`Engine::auto`] tries first, if any, and the reason in a sentence.
pub fn choose(reports: &[AdapterReport]) -> (Option<usize>, String) {
    let usable = |report: &&AdapterReport| !report.software && report.shortfall.is_none();
    if let Some(best) = reports.iter().find(usable) {
        let gpus = reports.iter().filter(usable).filter(|other| !other.same_hardware(best)).count();
        let why =
            if gpus == 1 { "the only GPU".to_owned() } else { format!("the first of {gpus} GPUs, discrete before integrated") };
        return (Some(best.index), format!("GPU {}: {why}", best.line()));
    }
    let mut reason = "CPU: ".to_owned();
    match reports.first() {
        None => reason.push_str("no GPU adapter was found"),
        Some(first) if !first.software => {
            let lacks = first.shortfall.as_deref().unwrap_or("too little");
            // Writing to a string does not fail.
            let _ = write!(reason, "{} offers {lacks}", first.line());
        }
        Some(first) => {
            let _ = write!(
                reason,
                "no GPU was found, only the software adapter {}, which is slower than the CPU engine and taken only by name",
                first.line()
            );
        }
    }
    (None, reason)
}

/// The one adapter that `selector` names: an index, a part of the name, or a PCI id (`10de:2684` or `0000:01:00.0`).
///
/// # Errors
/// [`Error::Adapter`] if there is none or more than one; it lists what there is.
pub fn select(reports: &[AdapterReport], selector: &str) -> Result<usize> {
    if let Some(report) = selector.parse().ok().and_then(|index: usize| reports.get(index)) {
        return Ok(report.index);
    }
    let matching: Vec<&AdapterReport> =
        reports.iter().filter(|report| !selector.is_empty() && report.matches(selector)).collect();
    let refuse = |problem: String| Err(Error::Adapter { problem, remedy: format!("choose one of {}", listing(reports)) });
    match matching.as_slice() {
        [] => refuse(format!("`{selector}` names none")),
        // One card that two backends offer is one card; the list's order prefers a backend.
        [first, rest @ ..] if rest.iter().all(|other| first.same_hardware(other)) => Ok(first.index),
        several => {
            let names: Vec<String> = several.iter().map(|report| report.line()).collect();
            refuse(format!("`{selector}` names {}: {}", several.len(), names.join(", ")))
        }
    }
}

fn listing(reports: &[AdapterReport]) -> String {
    if reports.is_empty() {
        return "none: no adapter was found; install a driver (`wgflow devices` says which) or use the CPU engine".to_owned();
    }
    reports.iter().map(AdapterReport::line).collect::<Vec<_>>().join(", ")
}

/// Opens a device on adapter `index` of [`list`].
///
/// # Errors
/// [`Error::Adapter`] if it is not there, lacks what kernels need, or its driver refuses.
pub fn open(index: usize, options: GpuOptions) -> Result<std::sync::Arc<Gpu>> {
    pollster::block_on(async {
        let adapters = adapters().await;
        let found = adapters.len();
        let Some(adapter) = adapters.into_iter().nth(index) else {
            let problem = format!("number {index} was asked for, {found} were found");
            return Err(Error::Adapter { problem, remedy: "run `wgflow devices`".to_owned() });
        };
        let refused = |problem: String| Error::Adapter {
            problem: format!("{}: {problem}", adapter.get_info().name),
            remedy: "update its driver, choose another adapter, or use the CPU engine".to_owned(),
        };
        let offered = adapter.limits();
        if let Some(shortfall) = shortfall(&offered) {
            return Err(refused(format!("offers {shortfall}")));
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgflow"),
            required_features: adapter.features() & features(&adapter.get_info()),
            required_limits: wanted(&offered),
            ..Default::default()
        };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|error| refused(error.to_string()))?;
        Gpu::owning(device, queue, options).await
    })
}

/// What is used where an adapter has it: timestamps, for profiles, which cost nothing otherwise, and subgroups, for which only
/// software adapters have kernels.
fn features(info: &wgpu::AdapterInfo) -> wgpu::Features {
    let subgroups = if info.device_type == wgpu::DeviceType::Cpu { wgpu::Features::SUBGROUP } else { wgpu::Features::empty() };
    wgpu::Features::TIMESTAMP_QUERY | subgroups
}

/// WebGPU's default limits, where the adapter has them, and its own where more is used: larger bindings make fewer lane
/// groups and dataset chunks.
fn wanted(offered: &wgpu::Limits) -> wgpu::Limits {
    wgpu::Limits {
        max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
        max_buffer_size: offered.max_buffer_size,
        ..wgpu::Limits::default().or_worse_values_from(offered)
    }
}

impl Engine {
    /// A real GPU if there is one that works, else the CPU on all cores; and a sentence that says which, and why. A
    /// software adapter is never taken.
    pub fn auto() -> (Self, String) {
        let reports = list();
        let mut failures = String::new();
        for report in reports.iter().filter(|report| !report.software && report.shortfall.is_none()) {
            match open(report.index, GpuOptions::from_env()) {
                Ok(gpu) => {
                    let reason = if failures.is_empty() { choose(&reports).1 } else { format!("GPU {}", report.line()) };
                    return (Self::Gpu(gpu), reason + &failures);
                }
                Err(error) => {
                    // Writing to a string does not fail.
                    let _ = write!(failures, "; GPU {} cannot be used: {error}", report.line());
                }
            }
        }
        let reason = if failures.is_empty() { choose(&reports).1 } else { "CPU".to_owned() };
        (Self::cpu(None), reason + &failures)
    }

    /// The GPU that `selector` names, as [`select`] reads it, or the best one. A software adapter has to be named.
    ///
    /// # Errors
    /// [`Error::Adapter`], which lists what there is.
    pub fn gpu(selector: Option<&str>) -> Result<Self> {
        let reports = list();
        let index = match selector {
            Some(selector) => select(&reports, selector)?,
            None => choose(&reports).0.ok_or_else(|| Error::Adapter {
                problem: choose(&reports).1.trim_start_matches("CPU: ").to_owned(),
                remedy: format!("choose one of {}", listing(&reports)),
            })?,
        };
        open(index, GpuOptions::from_env()).map(Self::Gpu)
    }

    /// A host's own device. It stays the host's: see [`Gpu::from_device`].
    ///
    /// # Errors
    /// As [`Gpu::from_device`].
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Gpu::from_device(device, queue).map(Self::Gpu)
    }
}
