//! From facts to findings.

use std::path::Path;

use super::Finding;
use super::facts::{Facts, FolderFacts, GraphicsFacts};
use crate::engine::adapter::choose;

/// Below this a disk is called full: a run of the published size keeps three checkpoints of 50 MB and its pictures.
const LITTLE_SPACE: u64 = 1 << 30;

/// Every finding, in the order in which a user would go through them.
pub fn diagnose(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![Finding::good("CPU engine", facts.cpu.clone())];
    findings.extend(graphics(facts));
    findings.extend(facts.overrides.iter().map(|(name, value)| {
        Finding::note("variable", format!("{name}={value} limits what is found"), format!("unset {name} if that is not meant"))
    }));
    findings.extend(facts.folders.iter().flat_map(|(purpose, folder)| of_folder(purpose, folder)));
    findings.push(facts.python.as_ref().map_or_else(
        || {
            Finding::note(
                "Python",
                "none with OGBench",
                "`wgflow setup` makes one; only evaluation outside the point mazes needs it",
            )
        },
        |python| Finding::good("Python", python.display().to_string()),
    ));
    findings.extend(facts.proxies.iter().map(|(name, value)| {
        Finding::note("network", format!("downloads go through {name}={value}"), format!("unset {name} if that proxy is gone"))
    }));
    findings
}

fn graphics(facts: &Facts) -> Vec<Finding> {
    let (chosen, reason) = choose(&facts.adapters);
    if chosen.is_some() {
        return vec![Finding::good("GPU", reason)];
    }
    let real = facts.adapters.iter().find(|adapter| !adapter.software);
    if let Some((adapter, lacks)) = real.and_then(|a| Some((a, a.shortfall.as_ref()?))) {
        let remedy = "update its driver; a GPU that lacks this cannot run the kernels, but the CPU engine serves";
        return vec![Finding::problem("GPU", format!("{} offers {lacks}", adapter.line()), remedy)];
    }
    let software = facts.adapters.first().map(|adapter| {
        let remedy = "it serves to test shaders (--engine gpu --adapter with a part of its name); train on the CPU engine";
        Finding::note("GPU", format!("only a software adapter: {}", adapter.line()), remedy)
    });
    let none = || Finding::note("GPU", "no adapter", "none is needed: the CPU engine serves");
    let mut findings = vec![software.unwrap_or_else(none)];
    findings.extend(facts.graphics.as_ref().and_then(cause));
    findings
}

/// Why a Linux machine offers no real GPU, if anything tells.
fn cause(graphics: &GraphicsFacts) -> Option<Finding> {
    let in_container = if graphics.container { " in this container" } else { "" };
    if let Some(path) = graphics.missing_manifests.first() {
        let remedy = "correct or unset VK_DRIVER_FILES (or VK_ICD_FILENAMES)";
        return Some(Finding::problem("Vulkan", format!("{} is named by a variable and is not there", path.display()), remedy));
    }
    if graphics.loader.is_none() {
        let found = format!("the Vulkan loader libvulkan.so.1 is not installed{in_container}");
        return Some(Finding::problem("Vulkan", found, "install it: apt install libvulkan1, or vulkan-loader on Fedora"));
    }
    if graphics.nvidia_device && !(graphics.nvidia_library && has_nvidia(&graphics.manifests)) {
        return Some(nvidia(graphics));
    }
    if let Some((node, _)) = graphics.render_nodes.iter().find(|(_, allowed)| !allowed) {
        let remedy =
            "add yourself to its group (usermod -aG render,video YOU, then log in again); in a container pass the device";
        return Some(Finding::problem("Vulkan", format!("{} may not be opened by this user", node.display()), remedy));
    }
    if graphics.manifests.is_empty() {
        let found = format!("the Vulkan loader is there, but no driver manifest{in_container}");
        let remedy = "install the GPU's driver: NVIDIA's own, or mesa-vulkan-drivers for AMD and Intel";
        return Some(Finding::problem("Vulkan", found, remedy));
    }
    if graphics.render_nodes.is_empty() && !graphics.nvidia_device {
        let found = format!("no GPU device is visible{in_container}: neither /dev/dri nor /dev/nvidia*");
        let remedy = if graphics.container {
            "start the container with the device: --gpus all for NVIDIA, --device /dev/dri for AMD and Intel"
        } else {
            "nothing to do on a machine without a GPU"
        };
        return Some(Finding::note("Vulkan", found, remedy));
    }
    None
}

/// NVIDIA's device is there, its Vulkan driver is not.
fn nvidia(graphics: &GraphicsFacts) -> Finding {
    let capable = |text: &str| text.split(',').any(|word| ["all", "graphics"].contains(&word.trim()));
    if graphics.nvidia_capabilities.as_deref().is_some_and(|text| !capable(text))
        || (graphics.container && !graphics.nvidia_library)
    {
        let set = graphics.nvidia_capabilities.as_deref().unwrap_or("not set");
        return Finding::problem(
            "Vulkan",
            format!("an NVIDIA GPU without its graphics driver: NVIDIA_DRIVER_CAPABILITIES is {set}, Vulkan needs `graphics`"),
            "start the container with -e NVIDIA_DRIVER_CAPABILITIES=all (Slurm and Kubernetes: in the image or the job)",
        );
    }
    if graphics.nvidia_library {
        let remedy = "reinstall the driver's Vulkan part, or write nvidia_icd.json, which names libGLX_nvidia.so.0, into /etc/vulkan/icd.d; \
                      a container without X needs the one that names libEGL_nvidia.so.0";
        return Finding::problem("Vulkan", "NVIDIA's library is there, but no manifest names it to the Vulkan loader", remedy);
    }
    let remedy = "install NVIDIA's driver with its Vulkan part (libnvidia-gl-* on Debian and Ubuntu)";
    Finding::problem("Vulkan", "an NVIDIA device without NVIDIA's Vulkan library libGLX_nvidia.so.0", remedy)
}

fn has_nvidia(manifests: &[impl AsRef<Path>]) -> bool {
    manifests.iter().any(|m| m.as_ref().file_name().is_some_and(|name| name.to_string_lossy().contains("nvidia")))
}

fn of_folder(purpose: &'static str, folder: &FolderFacts) -> Vec<Finding> {
    let path = folder.path.display();
    if let Some(trouble) = &folder.trouble {
        let remedy = "correct its owner and permissions, or choose another folder";
        return vec![Finding::problem(purpose, format!("{path} {trouble}"), remedy)];
    }
    match folder.free {
        Some(free) if free < LITTLE_SPACE => {
            let found = format!("{path} has {} MiB left", free >> 20);
            vec![Finding::problem(purpose, found, "free at least 1 GiB, or choose a folder on another disk")]
        }
        Some(free) => vec![Finding::good(purpose, format!("{path}: {} GiB free", free >> 30))],
        None => vec![Finding::good(purpose, format!("{path}"))],
    }
}
