//! Compiled shaders, once per device.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use super::Gpu;
use crate::engine::kernel::{Kernel, Shader, Variant};
use crate::error::{Error, Result};

/// Entry point, and a hash of the text.
type Key = (&'static str, u64);

/// The pipelines of a device, and the layout they share.
#[derive(Debug)]
pub(super) struct Pipelines {
    layout: wgpu::PipelineLayout,
    checked: bool,
    compiled: Mutex<HashMap<Key, wgpu::ComputePipeline>>,
}

fn key(shader: &Shader) -> Key {
    let mut hasher = DefaultHasher::new();
    shader.source.hash(&mut hasher);
    (shader.entry, hasher.finish())
}

impl Pipelines {
    pub fn new(layout: wgpu::PipelineLayout, checked: bool) -> Self {
        Self { layout, checked, compiled: Mutex::default() }
    }

    fn get(&self, shader: &Shader) -> Option<wgpu::ComputePipeline> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).get(&key(shader)).cloned()
    }

    fn compile(&self, gpu: &Gpu, shader: &Shader) -> wgpu::ComputePipeline {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(shader.entry),
            source: wgpu::ShaderSource::Wgsl(shader.source.concat().into()),
        };
        let module = if self.checked {
            gpu.device.create_shader_module(descriptor)
        } else {
            // SAFETY: the kernels' own shaders, tested with and without checks: their indices stay inside the bindings,
            // their loops end, and they divide by sizes that are never zero.
            unsafe { gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(shader.entry),
            layout: Some(&self.layout),
            module: &module,
            entry_point: Some(shader.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[],
                zero_initialize_workgroup_memory: self.checked,
            },
            cache: None,
        })
    }
}

/// The program of `kernel` in this variant, or the next that it has.
pub(super) fn shader_of(kernel: &'static Kernel, variant: Variant) -> Result<&'static Shader> {
    let of = |variant| kernel.shaders.iter().find(move |shader| shader.variant == variant);
    let next = || if variant == Variant::Subgroup { of(Variant::Software) } else { None };
    let found = of(variant).or_else(next).or_else(|| kernel.shaders.first());
    found.ok_or_else(|| Error::Plan { label: kernel.name.to_owned(), problem: "the kernel has no shader".to_owned() })
}

impl Gpu {
    /// The variant of kernels that have several, where that is settled: the one asked for, or the one of software adapters.
    /// `None`: each run measures.
    pub fn variant(&self) -> Option<Variant> {
        let measures = self.options.tune.unwrap_or(!self.is_software());
        let own = match (self.is_software(), self.has_subgroups()) {
            (false, _) => Variant::Plain,
            (true, false) => Variant::Software,
            (true, true) => Variant::Subgroup,
        };
        self.options.variant.or_else(|| (!measures).then_some(own))
    }

    /// Whether the device runs [`Variant::Subgroup`].
    pub fn has_subgroups(&self) -> bool {
        self.device.features().contains(wgpu::Features::SUBGROUP) && self.info.subgroup_min_size >= 16
    }

    /// The pipeline of `shader`, compiled on its first use.
    pub(super) fn pipeline(&self, shader: &'static Shader) -> Result<wgpu::ComputePipeline> {
        if let Some(pipeline) = self.pipelines.get(shader) {
            return Ok(pipeline);
        }
        let pipeline =
            self.scoped_now("compiling a shader", || self.pipelines.compile(self, shader)).map_err(|error| match error {
                Error::Device { during, message } => Error::Device { during, message: format!("{}: {message}", shader.entry) },
                other => other,
            })?;
        let mut compiled = self.pipelines.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(compiled.entry(key(shader)).or_insert(pipeline).clone())
    }

    /// Compiles what `shaders` still lack, on all cores: a driver takes up to a second for each.
    pub(super) fn compile_all(&self, shaders: &[&'static Shader]) -> Result<()> {
        let mut missing: Vec<&'static Shader> = shaders.iter().copied().filter(|s| self.pipelines.get(s).is_none()).collect();
        missing.sort_by_key(|shader| key(shader));
        missing.dedup_by_key(|shader| key(shader));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = missing.len().div_ceil(cores).max(1);
        std::thread::scope(|scope| {
            let compile = |part: &[&'static Shader]| part.iter().try_for_each(|shader| self.pipeline(shader).map(drop));
            let threads: Vec<_> = missing.chunks(share).map(|part| scope.spawn(move || compile(part))).collect();
            threads.into_iter().try_for_each(|thread| {
                let panicked = |_| Error::Device { during: "compiling a shader", message: "the compiler panicked".to_owned() };
                thread.join().map_err(panicked)?
            })
        })
    }
}
