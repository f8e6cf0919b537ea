//! Every cause that `wgflow doctor` knows, seeded: it is named, with what helps.

use std::path::PathBuf;

use wgflow::cli::doctor::{Facts, Finding, FolderFacts, GraphicsFacts, Verdict, diagnose};
use wgflow::engine::adapter::AdapterReport;

fn adapter(name: &str, software: bool, shortfall: Option<&str>) -> AdapterReport {
    AdapterReport {
        index: 0,
        name: name.to_owned(),
        backend: "Vulkan".to_owned(),
        device_type: if software { "software" } else { "discrete GPU" },
        software,
        driver: "a driver 1.2".to_owned(),
        pci_id: "10de:2684".to_owned(),
        pci_bus: String::new(),
        binding_bytes: 1 << 27,
        buffer_bytes: 1 << 28,
        storage_buffers: 8,
        workgroup_bytes: 16 << 10,
        subgroup: (32, 32),
        shortfall: shortfall.map(str::to_owned),
    }
}

/// A Linux machine with an AMD card whose driver works.
fn healthy() -> GraphicsFacts {
    GraphicsFacts {
        loader: Some("/usr/lib/libvulkan.so.1".into()),
        manifests: vec!["/usr/share/vulkan/icd.d/radeon_icd.json".into()],
        render_nodes: vec![("/dev/dri/renderD128".into(), true)],
        ..Default::default()
    }
}

fn without_gpu(graphics: GraphicsFacts) -> Facts {
    Facts { graphics: Some(graphics), ..Default::default() }
}

fn folder(trouble: Option<&str>, free: u64) -> Facts {
    let facts = FolderFacts { path: PathBuf::from("runs"), trouble: trouble.map(str::to_owned), free: Some(free) };
    Facts { adapters: vec![adapter("a GPU", false, None)], folders: vec![("runs", facts)], ..Default::default() }
}

fn nvidia() -> GraphicsFacts {
    GraphicsFacts { nvidia_device: true, ..healthy() }
}

#[test]
fn every_cause_is_named_with_its_remedy() {
    let cases: Vec<(&str, Facts, &str, &str)> = vec![
        ("no loader", without_gpu(GraphicsFacts { loader: None, ..healthy() }), "libvulkan.so.1", "apt install libvulkan1"),
        ("no driver", without_gpu(GraphicsFacts { manifests: vec![], ..healthy() }), "no driver manifest", "mesa-vulkan-drivers"),
        (
            "a variable that names nothing",
            without_gpu(GraphicsFacts { missing_manifests: vec!["/gone/icd.json".into()], ..healthy() }),
            "/gone/icd.json",
            "VK_DRIVER_FILES",
        ),
        (
            "a container without the graphics capability",
            without_gpu(GraphicsFacts { container: true, nvidia_capabilities: Some("compute,utility".into()), ..nvidia() }),
            "NVIDIA_DRIVER_CAPABILITIES is compute,utility",
            "NVIDIA_DRIVER_CAPABILITIES=all",
        ),
        (
            "NVIDIA's library without a manifest",
            without_gpu(GraphicsFacts { nvidia_library: true, nvidia_capabilities: Some("all".into()), ..nvidia() }),
            "no manifest names it",
            "nvidia_icd.json",
        ),
        ("NVIDIA's device without a driver", without_gpu(nvidia()), "libGLX_nvidia.so.0", "libnvidia-gl"),
        (
            "a device that may not be opened",
            without_gpu(GraphicsFacts { render_nodes: vec![("/dev/dri/renderD128".into(), false)], ..healthy() }),
            "renderD128",
            "usermod -aG render",
        ),
        (
            "a GPU with low limits",
            Facts { adapters: vec![adapter("an old GPU", false, Some("4 storage buffers of 8"))], ..Default::default() },
            "4 storage buffers",
            "update its driver",
        ),
        ("a full disk", folder(None, 20 << 20), "20 MiB left", "free at least 1 GiB"),
        ("an unreadable folder", folder(Some("cannot be read: permission denied"), 1 << 40), "permission denied", "permissions"),
    ];
    for (name, facts, found, remedy) in cases {
        let problems: Vec<Finding> = diagnose(&facts).into_iter().filter(|f| f.verdict == Verdict::Problem).collect();
        assert_eq!(problems.len(), 1, "{name}: {problems:?}");
        assert!(problems[0].found.contains(found), "{name}: {problems:?}");
        assert!(problems[0].remedy.contains(remedy), "{name}: {problems:?}");
    }
}

#[test]
fn what_works_but_could_be_better_is_a_note() {
    let container = GraphicsFacts { container: true, render_nodes: vec![], ..healthy() };
    let cases: Vec<(Facts, &str, &str)> = vec![
        (
            Facts {
                adapters: vec![adapter("llvmpipe", true, None)],
                ..without_gpu(GraphicsFacts { render_nodes: vec![], ..healthy() })
            },
            "only a software adapter",
            "CPU engine",
        ),
        (without_gpu(container), "no GPU device is visible in this container", "--gpus all"),
        (
            Facts { overrides: vec![("WGPU_BACKEND", "gl".to_owned())], ..Default::default() },
            "WGPU_BACKEND=gl",
            "unset WGPU_BACKEND",
        ),
        (Facts::default(), "none with OGBench", "`wgflow setup`"),
        (Facts { proxies: vec![("HTTPS_PROXY", "http://gone:1".to_owned())], ..Default::default() }, "http://gone:1", "unset"),
    ];
    for (facts, found, remedy) in cases {
        let findings = diagnose(&facts);
        assert!(findings.iter().all(|f| f.verdict != Verdict::Problem), "{findings:?}");
        assert!(findings.iter().any(|f| f.found.contains(found) && f.remedy.contains(remedy)), "{found}: {findings:?}");
    }
}

#[test]
fn a_machine_with_a_gpu_and_python_has_nothing_to_tell() {
    let facts = Facts {
        adapters: vec![adapter("a GPU", false, None)],
        graphics: Some(healthy()),
        python: Some("/home/me/.local/share/wgflow/python/bin/python".into()),
        ..Default::default()
    };
    assert!(diagnose(&facts).iter().all(|finding| finding.verdict == Verdict::Good));
}
