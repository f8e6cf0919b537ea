//! Memory holds what was written, and needs that do not fit are refused.

use wgflow::Error;
use wgflow::engine::{Arena, Engine, GpuMachine, Memory, Records, Region};

use crate::{Outcome, binding, contents, ensure, gpu, gpu_with};

pub fn new_memory_is_zero() -> Outcome {
    let mut memory = Memory::new();
    for arena in Arena::ALL {
        memory.alloc(arena, 1000, 37);
    }
    let mut machine = Engine::Gpu(gpu()?).machine(&memory, 3, &[], Vec::new())?;
    for lane in 0..3 {
        let found = contents(&mut machine, &memory, lane)?;
        ensure(found.iter().all(|&x| x == 0.0), || format!("lane {lane} is not zero"))?;
    }
    Ok(())
}

pub fn what_is_written_is_read_back() -> Outcome {
    let mut memory = Memory::new();
    let mut machine = None;
    for arena in [Arena::Weights, Arena::Training, Arena::Activations] {
        for (rows, cols) in [(1, 1), (1, 4), (3, 5), (64, 128), (100, 1), (7, 3)] {
            memory.alloc(arena, rows, cols);
        }
    }
    let engine = Engine::Gpu(gpu()?);
    let machine = machine.get_or_insert(engine.machine(&memory, 2, &[], Vec::new())?);
    let mut again = Memory::new();
    for arena in [Arena::Weights, Arena::Training, Arena::Activations] {
        for (rows, cols) in [(1, 1), (1, 4), (3, 5), (64, 128), (100, 1), (7, 3)] {
            let region = again.alloc(arena, rows, cols);
            for lane in 0..2 {
                let values: Vec<f64> = (0..region.len()).map(|i| i as f64 - 7.5 * lane as f64).collect();
                machine.write(region, lane, &values)?;
                let found = machine.read(region, lane)?;
                ensure(found == values, || format!("{region:?} of lane {lane}: {found:?}"))?;
            }
        }
    }
    Ok(())
}

pub fn a_view_of_columns_leaves_its_neighbours_alone() -> Outcome {
    let mut memory = Memory::new();
    let parent = memory.alloc(Arena::Activations, 5, 16);
    let after = memory.alloc(Arena::Activations, 1, 8);
    let mut machine = Engine::Gpu(gpu()?).machine(&memory, 2, &[], Vec::new())?;
    machine.write(parent, 1, &[-1.0; 80])?;
    machine.write(after, 1, &[-2.0; 8])?;
    let view = parent.columns(4, 3);
    let values: Vec<f64> = (0..15).map(f64::from).collect();
    machine.write(view, 1, &values)?;
    machine.write(view.rows(4, 1), 1, &[50.0, 51.0, 52.0])?;
    let mut expected = [-1.0; 80];
    for (i, value) in values.iter().enumerate() {
        expected[i / 3 * 16 + 4 + i % 3] = *value;
    }
    expected[4 * 16 + 4..4 * 16 + 7].copy_from_slice(&[50.0, 51.0, 52.0]);
    let found = machine.read(parent, 1)?;
    ensure(found == expected, || format!("{found:?}"))?;
    ensure(machine.read(after, 1)? == [-2.0; 8], || "the region behind was overwritten".to_owned())?;
    ensure(machine.read(view.rows(4, 1), 1)? == [50.0, 51.0, 52.0], || "the view reads something else".to_owned())?;
    ensure(contents(&mut machine, &memory, 0)?.iter().all(|&x| x == 0.0), || "the other lane was written".to_owned())
}

pub fn long_regions_cross_staging_buffers() -> Outcome {
    let mut memory = Memory::new();
    // 9,000,000 words, where a staging buffer holds 8,388,608.
    let region = memory.alloc(Arena::Weights, 9_000, 1_000);
    let ragged = memory.alloc(Arena::Weights, 9, 1_000_001);
    let mut machine = Engine::Gpu(gpu()?).machine(&memory, 1, &[], Vec::new())?;
    for region in [region, ragged] {
        let values: Vec<f64> = (0..region.len()).map(|i| (i % 65_521) as f64).collect();
        machine.write(region, 0, &values)?;
        ensure(machine.read(region, 0)? == values, || format!("{region:?} came back changed"))?;
    }
    Ok(())
}

pub fn reads_are_futures_too() -> Outcome {
    let mut memory = Memory::new();
    let region = memory.alloc(Arena::Activations, 3, 5);
    let words = memory.alloc(Arena::Words, 1, 5);
    let mut machine = GpuMachine::new(&gpu()?, &memory, 1, &[], &[])?;
    let values: Vec<f64> = (0..15).map(f64::from).collect();
    machine.write(region, 0, &values)?;
    machine.write_words(words, 0, &[1, 2, 3, 4, u32::MAX])?;
    // A future that is dropped half-way leaves the machine usable.
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    drop(std::pin::pin!(machine.read_async(region, 0)).as_mut().poll(&mut context));
    let found = pollster::block_on(async { (machine.read_async(region, 0).await, machine.read_words_async(words, 0).await) });
    let (floats, integers) = (found.0?, found.1?);
    ensure(floats == values && integers == [1, 2, 3, 4, u32::MAX], || format!("{floats:?} {integers:?}"))
}

pub fn regions_outside_the_memory_are_refused() -> Outcome {
    let mut memory = Memory::new();
    let region = memory.alloc(Arena::Activations, 4, 8);
    let words = memory.alloc(Arena::Words, 1, 8);
    let mut machine = Engine::Gpu(gpu()?).machine(&memory, 2, &[], Vec::new())?;
    let beyond = Region { offset: 64, ..region };
    let refused = [
        machine.read(region, 2).err(),
        machine.read(beyond, 0).err(),
        machine.read(words, 0).err(),
        machine.write(words, 0, &[0.0; 8]).err(),
        machine.write(region, 0, &[0.0; 31]).err(),
        machine.write_words(region, 0, &[0; 32]).err(),
        machine.write_words(words, 5, &[0; 8]).err(),
    ];
    ensure(refused.iter().all(|error| matches!(error, Some(Error::Plan { .. }))), || format!("{refused:?}"))
}

pub fn needs_beyond_the_limits_are_named_before_anything_is_allocated() -> Outcome {
    let mut memory = Memory::new();
    memory.alloc(Arena::Activations, 1_000, 100);
    let engine = Engine::Gpu(gpu_with(binding(399_999))?);
    let error = engine.machine(&memory, 1, &[], Vec::new()).err();
    let named = matches!(&error, Some(Error::Limit { need, needed, allowed, .. })
        if need.contains("activations") && *needed == 400_128 && *allowed == 399_984);
    ensure(named, || format!("{error:?}"))?;
    let records = Records { values: vec![0.0; 200_000].into(), record: 100_000 };
    let error = engine.machine(&Memory::new(), 1, &[], vec![records]).err();
    let named = matches!(&error, Some(Error::Limit { need, needed: 400_000, .. }) if need.contains("record"));
    ensure(named, || format!("{error:?}"))?;
    // More than any device has: two gibibytes for each of a thousand lanes.
    let mut memory = Memory::new();
    memory.alloc(Arena::Weights, 1 << 14, 1 << 15);
    let error = Engine::Gpu(gpu()?).machine(&memory, 1_000, &[], Vec::new()).err();
    ensure(matches!(&error, Some(Error::Limit { .. } | Error::OutOfMemory { .. })), || format!("{error:?}"))?;
    let uneven = engine.machine(&Memory::new(), 2, &[1.0; 3], Vec::new()).err();
    let none = engine.machine(&Memory::new(), 0, &[], Vec::new()).err();
    ensure(matches!((&uneven, &none), (Some(Error::Setting { .. }), Some(Error::Setting { .. }))), || format!("{uneven:?}"))
}

pub fn dropping_machines_frees_their_memory() -> Outcome {
    let gpu = gpu()?;
    let mut memory = Memory::new();
    let region = memory.alloc(Arena::Weights, 1_000, 1_000);
    let allocated = || gpu.device().generate_allocator_report().map(|report| report.total_allocated_bytes);
    let mut settled = None;
    for round in 0..20 {
        let mut machine = GpuMachine::new(&gpu, &memory, 1, &[], &[])?;
        machine.write(region, 0, &vec![1.0; region.len()])?;
        machine.wait()?;
        drop(machine);
        // Freed buffers are given back when the device is polled.
        let _ = gpu.device().poll(wgpu::PollType::wait_indefinitely());
        let now = allocated();
        // What the first rounds leave behind (the allocator's blocks) stays, and is used again; when exactly a staging
        // buffer is freed depends on the driver's timing. A leak would be four megabytes a round.
        if round < 3 {
            settled = now.map(|bytes| bytes + (8 << 20));
        }
        ensure(now <= settled, || format!("round {round}: {now:?} bytes after {settled:?}"))?;
    }
    Ok(())
}
