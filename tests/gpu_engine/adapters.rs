//! Which adapter is taken, and which selectors are refused.

use wgflow::Error;
use wgflow::engine::adapter::{self, AdapterReport, choose, select};
use wgflow::engine::{Engine, Machine, Memory};

use crate::{Outcome, ensure};

/// A test and its name.
type Named = (&'static str, fn() -> Outcome);

/// Tests that need no adapter.
pub const PURE: &[Named] = &[
    ("adapters::the_best_gpu_is_taken_and_never_a_software_adapter", the_best_gpu_is_taken_and_never_a_software_adapter),
    ("adapters::selectors_name_one_adapter_or_are_refused", selectors_name_one_adapter_or_are_refused),
    ("adapters::one_card_behind_two_backends_is_one_card", one_card_behind_two_backends_is_one_card),
];

fn report(index: usize, name: &str, device_type: &'static str, pci: (&str, &str)) -> AdapterReport {
    AdapterReport {
        index,
        name: name.to_owned(),
        backend: "Vulkan".to_owned(),
        device_type,
        software: device_type == "software",
        driver: "test".to_owned(),
        pci_id: pci.0.to_owned(),
        pci_bus: pci.1.to_owned(),
        binding_bytes: 1 << 27,
        buffer_bytes: 1 << 28,
        storage_buffers: 8,
        workgroup_bytes: 16_384,
        subgroup: (32, 32),
        shortfall: None,
    }
}

/// A workstation: two equal cards, an integrated GPU, lavapipe.
fn workstation() -> Vec<AdapterReport> {
    vec![
        report(0, "NVIDIA RTX 4090", "discrete GPU", ("10de:2684", "0000:01:00.0")),
        report(1, "NVIDIA RTX 4090", "discrete GPU", ("10de:2684", "0000:41:00.0")),
        report(2, "AMD Radeon Graphics", "integrated GPU", ("1002:164e", "0000:0a:00.0")),
        report(3, "llvmpipe (LLVM 15.0.6, 256 bits)", "software", ("10005:0000", "")),
    ]
}

fn the_best_gpu_is_taken_and_never_a_software_adapter() -> Outcome {
    let all = workstation();
    let (index, reason) = choose(&all);
    ensure(index == Some(0) && reason.contains("3 GPUs") && reason.contains("RTX 4090"), || reason)?;
    let (index, reason) = choose(&all[2..]);
    ensure(index == Some(2) && reason.contains("only GPU"), || reason)?;
    let (index, reason) = choose(&all[3..]);
    ensure(index.is_none() && reason.starts_with("CPU") && reason.contains("llvmpipe"), || reason)?;
    let (index, reason) = choose(&[]);
    ensure(index.is_none() && reason.contains("no GPU adapter"), || reason)?;
    let weak = AdapterReport { shortfall: Some("4 storage buffers a stage, kernels need 7".to_owned()), ..all[2].clone() };
    let (index, reason) = choose(&[weak]);
    ensure(index.is_none() && reason.contains("4 storage buffers"), || reason)
}

fn selectors_name_one_adapter_or_are_refused() -> Outcome {
    let all = workstation();
    let named = [("1", 1), ("radeon", 2), ("1002:164E", 2), ("0000:41:00.0", 1), ("41:00.0", 1), ("LLVMpipe", 3)];
    for (selector, index) in named {
        let found = select(&all, selector);
        ensure(matches!(found, Ok(i) if i == index), || format!("{selector}: {found:?}"))?;
    }
    // 4090 is no index here, but a part of two names.
    for selector in ["4090", "nvidia", "10de:2684", "", "9", "intel", "-1", "a"] {
        let found = select(&all, selector);
        let listed =
            matches!(&found, Err(Error::Adapter { remedy, .. }) if remedy.contains("Radeon") && remedy.contains("llvmpipe"));
        ensure(listed, || format!("{selector}: {found:?}"))?;
    }
    let none = select(&[], "nvidia");
    ensure(matches!(&none, Err(Error::Adapter { remedy, .. }) if remedy.contains("driver")), || format!("{none:?}"))
}

fn one_card_behind_two_backends_is_one_card() -> Outcome {
    let mut all = workstation();
    all.remove(1);
    all.push(AdapterReport { index: 3, backend: "Dx12".to_owned(), ..all[0].clone() });
    let found = select(&all, "4090");
    ensure(matches!(found, Ok(0)), || format!("{found:?}"))?;
    let (_, reason) = choose(&all);
    ensure(reason.contains("2 GPUs"), || reason)
}

pub fn every_listed_adapter_can_be_named_by_its_index() -> Outcome {
    for report in adapter::list() {
        let engine = Engine::gpu(Some(&report.index.to_string()))?;
        ensure(engine.describe().contains(&report.name), || engine.describe())?;
        let machine = engine.machine(&Memory::new(), 1, &[], Vec::new())?;
        ensure(matches!(machine, Machine::Gpu(_)), || "not on the GPU".to_owned())?;
    }
    Ok(())
}

pub fn unknown_selectors_are_refused_with_a_list() -> Outcome {
    let refused = Engine::gpu(Some("no such adapter"));
    let first = adapter::list().first().map(AdapterReport::line).unwrap_or_default();
    ensure(matches!(&refused, Err(Error::Adapter { remedy, .. }) if remedy.contains(&first)), || format!("{refused:?}"))
}

pub fn a_software_adapter_is_never_taken_silently() -> Outcome {
    let real = adapter::list().iter().any(|report| !report.software);
    let (engine, reason) = Engine::auto();
    ensure(matches!(engine, Engine::Gpu(_)) == real, || reason)?;
    let best = Engine::gpu(None);
    ensure(best.is_ok() == real, || format!("{best:?}"))
}
