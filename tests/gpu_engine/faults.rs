//! Whatever happens to the device ends in a typed error, soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wgflow::Error;
use wgflow::engine::{
    Arena, Gpu, GpuMachine, GpuOptions, Kernel, Memory, NONE, Operation, Plan, PlanBuilder, Real, Records, Region,
};
use wgflow::engine::{Context, Shader, Variant, problem};

use crate::kernels::{fetch, spin, tick};
use crate::{Outcome, ensure, gpu, gpu_with};

/// A run with everything: a dataset, a plan that takes a while, several lanes.
struct Script {
    memory: Memory,
    plan: Plan,
    records: Records,
    out: Region,
    indices: Region,
}

fn script() -> Result<Script, Error> {
    let mut plan = PlanBuilder::new(Memory::new());
    let indices = plan.memory.alloc(Arena::Words, 1, 8);
    let word = plan.memory.alloc(Arena::Words, 1, 1);
    let out = plan.activations(8, 4);
    fetch(&mut plan, indices, out, (0, 100));
    spin(&mut plan, word, 10_000);
    tick(&mut plan, word);
    let schedule = plan.finish()?;
    let records = Records { values: vec![1.0; 400].into(), record: 4 };
    Ok(Script { memory: plan.memory, plan: schedule, records, out, indices })
}

/// Points of a run at which the device may go.
const POINTS: usize = 11;

impl Script {
    /// Runs everything; before step `fatal` the device is destroyed.
    fn run(&self, gpu: &Arc<Gpu>, fatal: usize) -> Result<(), Error> {
        let step = |number: usize| {
            if number == fatal {
                gpu.device().destroy();
            }
        };
        step(0);
        let mut machine = GpuMachine::new(gpu, &self.memory, 3, &[], std::slice::from_ref(&self.records))?;
        step(1);
        machine.write_words(self.indices, 2, &[1, 2, 3, 4, 5, 6, 7, 8])?;
        step(2);
        let id = machine.load(&self.plan, 0)?;
        step(3);
        machine.submit(id, 1)?;
        step(4);
        machine.submit(id, 50)?;
        step(5);
        machine.submit(id, 500)?;
        step(6);
        machine.wait()?;
        step(7);
        machine.read(self.out, 2)?;
        step(8);
        machine.write(self.out, 0, &[0.0; 32])?;
        step(9);
        machine.submit(id, 3)?;
        step(10);
        machine.read_words(self.indices, 0)?;
        Ok(())
    }
}

pub fn a_device_destroyed_at_any_point_gives_a_typed_error() -> Outcome {
    let script = script()?;
    script.run(&gpu()?, usize::MAX)?;
    for point in 0..POINTS {
        let gpu = gpu()?;
        let began = Instant::now();
        let outcome = script.run(&gpu, point);
        let took = began.elapsed();
        ensure(matches!(outcome, Err(Error::DeviceLost { .. })), || format!("point {point}: {outcome:?}"))?;
        ensure(took < Duration::from_secs(5), || format!("point {point}: {took:?}"))?;
        ensure(gpu.device_lost(), || format!("point {point}: the engine does not know"))?;
    }
    // While the run goes on, at times that nobody chose.
    for millis in (0..40).step_by(2) {
        let gpu = gpu()?;
        let device = gpu.device().clone();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(millis));
            device.destroy();
        });
        let outcome = (0..1_000).try_for_each(|_| script.run(&gpu, usize::MAX));
        killer.join().map_err(|_| "the thread that destroys the device panicked")?;
        ensure(matches!(outcome, Err(Error::DeviceLost { .. })), || format!("after {millis} ms: {outcome:?}"))?;
    }
    Ok(())
}

pub fn a_destroyed_device_loses_every_machine_on_it() -> Outcome {
    let (script, gpu) = (script()?, gpu()?);
    let new = || GpuMachine::new(&gpu, &script.memory, 1, &[], std::slice::from_ref(&script.records));
    let mut machines = [new()?, new()?];
    ensure(!gpu.device_lost(), || "lost too early".to_owned())?;
    gpu.device().destroy();
    for machine in &mut machines {
        let id = machine.load(&script.plan, 0);
        ensure(matches!(id, Err(Error::DeviceLost { .. })), || format!("{id:?}"))?;
        let read = machine.read(script.out, 0);
        ensure(matches!(read, Err(Error::DeviceLost { .. })), || format!("{read:?}"))?;
        let read = pollster::block_on(machine.read_async(script.out, 0));
        ensure(matches!(read, Err(Error::DeviceLost { .. })), || format!("{read:?}"))?;
    }
    // A fresh device on the same adapter is not affected.
    Ok(script.run(&crate::gpu()?, usize::MAX)?)
}

/// A device as a host makes it.
fn host_device() -> Result<(wgpu::Device, wgpu::Queue), Box<dyn std::error::Error>> {
    pollster::block_on(async {
        let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        let adapters = wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::all()).await;
        let adapter = adapters.first().ok_or("no adapter")?;
        Ok(adapter.request_device(&wgpu::DeviceDescriptor::default()).await?)
    })
}

pub fn a_host_keeps_its_callbacks() -> Outcome {
    let (device, queue) = host_device().map_err(|error| error.to_string())?;
    let [lost, rejected] = [0, 1].map(|_| Arc::new(AtomicBool::new(false)));
    let (on_lost, on_error) = (Arc::clone(&lost), Arc::clone(&rejected));
    device.set_device_lost_callback(move |_, _| on_lost.store(true, Ordering::Release));
    device.on_uncaptured_error(Arc::new(move |_| on_error.store(true, Ordering::Release)));
    let gpu = Gpu::from_device(device.clone(), queue)?;
    let script = script()?;
    script.run(&gpu, usize::MAX)?;
    // A mistake of the host's is reported to the host, and is no concern of the engine.
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::STORAGE;
    drop(device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: false }));
    ensure(rejected.load(Ordering::Acquire), || "the host's handler was not called".to_owned())?;
    script.run(&gpu, usize::MAX)?;
    let outcome = script.run(&gpu, 5);
    ensure(matches!(outcome, Err(Error::DeviceLost { .. })), || format!("{outcome:?}"))?;
    // It is called by whoever polls the device after the queue has drained.
    let _ = device.poll(wgpu::PollType::wait_indefinitely());
    ensure(lost.load(Ordering::Acquire), || "the host's lost callback was not called".to_owned())
}

pub fn a_wait_that_takes_too_long_times_out() -> Outcome {
    let mut plan = PlanBuilder::new(Memory::new());
    let words = plan.memory.alloc(Arena::Words, 1, 512);
    // One dispatch, so that nothing can be cut, of at least five milliseconds on any device.
    (0..512).for_each(|i| spin(&mut plan, Region { offset: words.offset + i, cols: 1, ..words }, 60_000));
    let schedule = plan.finish()?;
    let gpu = gpu_with(GpuOptions { wait_limit: Duration::from_micros(100), ..GpuOptions::default() })?;
    let mut machine = GpuMachine::new(&gpu, &plan.memory, 1, &[], &[])?;
    let id = machine.load(&schedule, 0)?;
    machine.submit(id, 1)?;
    let waited = machine.wait();
    ensure(matches!(waited, Err(Error::Timeout { .. })), || format!("{waited:?}"))?;
    let read = machine.read_words(words, 0);
    ensure(matches!(read, Err(Error::Timeout { .. })), || format!("{read:?}"))?;
    // Lavapipe lets a second submission wait inside the driver, so these may find everything done.
    let read = pollster::block_on(machine.read_words_async(words, 0));
    ensure(matches!(read, Ok(_) | Err(Error::Timeout { .. })), || format!("{read:?}"))?;
    let queued = machine.submit(id, 5);
    ensure(matches!(queued, Ok(()) | Err(Error::Timeout { .. })), || format!("{queued:?}"))?;
    ensure(machine.in_flight() <= 3, || format!("{} in flight", machine.in_flight()))
}

problem! {
    /// Nothing.
    pub struct BrokenProblem {
        /// Not used.
        pub unused: u32,
    }
}

/// A kernel whose shader does not compile.
struct Broken;

impl Operation for Broken {
    type Problem = BrokenProblem;
    const NAME: &'static str = "broken";
    const SHADERS: &'static [Shader] =
        &[Shader { entry: "broken", source: &["@compute fn broken() { nonsense }"], groups: |_| 1, variant: Variant::Plain }];

    fn blocks(_: &BrokenProblem) -> u32 {
        1
    }

    fn twin<R: Real>(_: &BrokenProblem, _: &Context<'_, R>, _: u32) {}
}

static BROKEN: Kernel = Kernel::of::<Broken>();

pub fn a_refused_shader_is_named() -> Outcome {
    let mut plan = PlanBuilder::new(Memory::new());
    let out = plan.activations(1, 4);
    plan.push("breaks", &BROKEN, &BrokenProblem { unused: NONE, ..Default::default() }, &[], &[out]);
    let schedule = plan.finish()?;
    let gpu = gpu()?;
    let mut machine = GpuMachine::new(&gpu, &plan.memory, 1, &[], &[])?;
    let refused = machine.load(&schedule, 0);
    ensure(matches!(&refused, Err(Error::Device { message, .. }) if message.contains("broken")), || format!("{refused:?}"))?;
    ensure(!gpu.device_lost(), || "a refused shader lost the device".to_owned())?;
    Ok(machine.write(out, 0, &[1.0; 4])?)
}

pub fn a_chunk_that_is_not_there_is_refused() -> Outcome {
    let mut plan = PlanBuilder::new(Memory::new());
    let indices = plan.memory.alloc(Arena::Words, 1, 8);
    let out = plan.activations(8, 4);
    plan.on_chunk(1, |plan| fetch(plan, indices, out, (0, 100)));
    let schedule = plan.finish()?;
    let records = Records { values: vec![1.0; 400].into(), record: 4 };
    let mut machine = GpuMachine::new(&gpu()?, &plan.memory, 1, &[], &[records])?;
    let refused = machine.load(&schedule, 0);
    ensure(matches!(&refused, Err(Error::Plan { label, .. }) if label == "fetch"), || format!("{refused:?}"))
}
