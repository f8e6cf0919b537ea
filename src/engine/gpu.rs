//! Replays plans through wgpu.
//!
//! [`Gpu`] is a device with what every run on it shares: one pipeline layout, compiled pipelines, limits, and the
//! knowledge whether the device still lives. [`GpuMachine`] is the state of one run.
//!
//! wgpu's defaults are unkind to a library: an error nobody asked for panics, and a destroyed device fails silently. So
//! every call that can fail runs inside error scopes (`Gpu::scoped`), and a probe tells whether the device is still
//! there (`Gpu::probe`). On a host's device its callbacks stay the host's.

mod arenas;
mod flights;
mod health;
mod machine;
mod pace;
mod pipelines;
mod replay;
mod tune;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use machine::GpuMachine;

use crate::engine::kernel::Variant;
use crate::error::{Error, Result};
use health::Health;
use pipelines::Pipelines;

/// Storage buffers of every kernel: four arenas, problems, lanes, records (`shaders/shared/memory.wgsl`).
const BINDINGS: u32 = 7;

/// Where slices of a buffer may start to be bound: what WebGPU guarantees everywhere.
const SLICE_ALIGNMENT: u64 = 256;

/// How a device is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuOptions {
    /// Keeps every run-time check of wgpu in the shaders (bounds, loops, divisions, zeroed workgroup memory). Slower; the
    /// results are the same bits.
    pub checked: bool,
    /// The variant of kernels that have several, where it is not to be chosen for the adapter. A product has the same bits in
    /// `Plain` and `Large`, and others in `Software` and `Subgroup`.
    pub variant: Option<Variant>,
    /// Whether a run measures which variant is the fastest, about a third of a second when its first plan is loaded, where
    /// `variant` leaves it open. By default on GPUs; a software adapter has a variant of its own.
    pub tune: Option<bool>,
    /// Bytes that one binding may hold at most, where less than the device allows; tests force lane groups and dataset
    /// chunks with it.
    pub binding_bytes: Option<u64>,
    /// How long one submission should keep the GPU busy. Longer ones cost less per update, but a display that shares the
    /// GPU stutters, and beyond two seconds Windows resets the device.
    pub submission_budget: Duration,
    /// How long to wait for the device before giving up with [`Error::Timeout`].
    pub wait_limit: Duration,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self {
            checked: false,
            variant: None,
            tune: None,
            binding_bytes: None,
            submission_budget: Duration::from_millis(35),
            wait_limit: Duration::from_secs(30),
        }
    }
}

impl GpuOptions {
    /// The defaults, with `checked` on if the environment variable `WGFLOW_CHECKED` is set to anything but `0`.
    pub fn from_env() -> Self {
        let checked = std::env::var_os("WGFLOW_CHECKED").is_some_and(|value| !value.is_empty() && value != "0");
        Self { checked, ..Self::default() }
    }
}

/// A device and what the runs on it share. Held in an `Arc`; every method takes `&self`, from any thread.
#[derive(Debug)]
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    options: GpuOptions,
    budget_micros: AtomicU64,
    bindings: wgpu::BindGroupLayout,
    pipelines: Pipelines,
    health: Arc<Health>,
    /// Held while commands are submitted and while the device is polled; see [`Gpu::send`].
    turn: Mutex<()>,
}

impl Gpu {
    /// The engine on a host's device. It never creates or recreates a device, and leaves the callbacks for lost devices
    /// and uncaptured errors to the host.
    ///
    /// # Errors
    /// [`Error::Adapter`] if the device offers less than WebGPU's default limits where kernels need them, and
    /// [`Error::DeviceLost`] if it is already gone.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Result<Arc<Self>> {
        Self::with_options(device, queue, GpuOptions::from_env())
    }

    /// As [`Gpu::from_device`], used as `options` say.
    ///
    /// # Errors
    /// As [`Gpu::from_device`].
    pub fn with_options(device: wgpu::Device, queue: wgpu::Queue, options: GpuOptions) -> Result<Arc<Self>> {
        pollster::block_on(Self::with_health(device, queue, options, Arc::default()))
    }

    /// The engine on a device of our own: its callbacks report to [`Health`].
    pub(super) async fn owning(device: wgpu::Device, queue: wgpu::Queue, options: GpuOptions) -> Result<Arc<Self>> {
        let health = Arc::new(Health::default());
        let on_lost = Arc::clone(&health);
        device.set_device_lost_callback(move |reason, message| on_lost.lose(&format!("{reason:?}: {message}")));
        let on_error = Arc::clone(&health);
        // Without a handler an error outside every scope would panic.
        device.on_uncaptured_error(Arc::new(move |error| on_error.reject(error.to_string())));
        Self::with_health(device, queue, options, health).await
    }

    async fn with_health(
        device: wgpu::Device,
        queue: wgpu::Queue,
        options: GpuOptions,
        health: Arc<Health>,
    ) -> Result<Arc<Self>> {
        let (info, limits) = (device.adapter_info(), device.limits());
        if let Some(problem) = shortfall(&limits) {
            return Err(Error::Adapter {
                problem: format!("{} offers {problem}", info.name),
                remedy: "create the device with `wgpu::Limits::default()` or more, or use the CPU engine".to_owned(),
            });
        }
        let scopes = health::Scopes::open(&device);
        let bindings = bind_group_layout(&device);
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("wgflow"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        let rejected = scopes.close().await;
        let budget_micros = AtomicU64::new(options.submission_budget.as_micros() as u64);
        let pipelines = Pipelines::new(layout, options.checked);
        let gpu =
            Self { device, queue, info, limits, options, budget_micros, bindings, pipelines, health, turn: Mutex::default() };
        gpu.judge(rejected, "setting up").await?;
        gpu.probe("setting up").await?;
        Ok(Arc::new(gpu))
    }

    /// The device.
    pub const fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Its queue.
    pub const fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// Submits `commands`. Not while another thread polls: wgpu 30.0.1 then asserts that the queue's numbers are in order,
    /// which between its two steps of a submission they are not, and panics.
    pub(in crate::engine) fn send(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        let _turn = self.turn();
        self.queue.submit([commands])
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the driver says of the adapter.
    pub const fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// How the device is used.
    pub const fn options(&self) -> &GpuOptions {
        &self.options
    }

    /// Whether the adapter is a program on the processor (lavapipe, SwiftShader, WARP) and not a GPU.
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// Whether the device is gone. After that every call fails with [`Error::DeviceLost`].
    pub fn device_lost(&self) -> bool {
        matches!(pollster::block_on(self.probe("asking whether it is there")), Err(Error::DeviceLost { .. }))
    }

    /// How long one submission should keep the GPU busy.
    pub fn submission_budget(&self) -> Duration {
        Duration::from_micros(self.budget_micros.load(Ordering::Relaxed))
    }

    /// Sets how long one submission should keep the GPU busy: a host that draws frames wants a few milliseconds.
    pub fn set_submission_budget(&self, budget: Duration) {
        self.budget_micros.store(budget.as_micros().max(1) as u64, Ordering::Relaxed);
    }

    /// Bytes that one binding, and so one lane's share of an arena or one chunk of a dataset, may hold.
    pub fn binding_bytes(&self) -> u64 {
        let device = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
        // Buffers are made of vec4s, and a limit may be anything.
        device.min(self.options.binding_bytes.unwrap_or(u64::MAX)) / 16 * 16
    }

    /// Name, backend and driver, for the first line of a log.
    pub fn describe(&self) -> String {
        let info = &self.info;
        let kind = if self.is_software() { "software adapter" } else { "GPU" };
        let checked = if self.options.checked { ", checked shaders" } else { "" };
        format!("{kind} {} ({:?}, {} {}){checked}", info.name, info.backend, info.driver, info.driver_info)
    }
}

/// The layout that every kernel shares, so that switching pipelines keeps bindings valid.
fn bind_group_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let entry = |binding| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: binding >= 4 },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let entries: Vec<_> = (0..BINDINGS).map(entry).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some("wgflow"), entries: &entries })
}

/// What a device lacks, if anything: kernels are written for WebGPU's default limits.
pub(super) fn shortfall(limits: &wgpu::Limits) -> Option<String> {
    let needs = [
        ("storage buffers a stage", BINDINGS, limits.max_storage_buffers_per_shader_stage),
        ("bindings a group", BINDINGS, limits.max_bindings_per_bind_group),
        ("bytes of workgroup memory", 16_384, limits.max_compute_workgroup_storage_size),
        ("invocations a workgroup", 256, limits.max_compute_invocations_per_workgroup),
        ("invocations in x", 256, limits.max_compute_workgroup_size_x),
        ("invocations in y", 256, limits.max_compute_workgroup_size_y),
        ("workgroups in each direction", 65_535, limits.max_compute_workgroups_per_dimension),
    ];
    let missing = needs.iter().find(|(_, needed, offered)| offered < needed);
    let alignment = limits.min_storage_buffer_offset_alignment;
    match missing {
        Some((what, needed, offered)) => Some(format!("{offered} {what}, kernels need {needed}")),
        None if u64::from(alignment) > SLICE_ALIGNMENT => Some(format!("slices of buffers every {alignment} bytes only")),
        None => None,
    }
}
