//! Looks at the machine.

use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::engine::adapter::{self, AdapterReport};
use crate::files::{existing, free_space};

/// What is known of the machine.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Every adapter.
    pub adapters: Vec<AdapterReport>,
    /// The CPU engine in words.
    pub cpu: String,
    /// Drivers and devices; only looked at on Linux.
    pub graphics: Option<GraphicsFacts>,
    /// Folders that runs and downloads need, with what they are for.
    pub folders: Vec<(&'static str, FolderFacts)>,
    /// Environment variables that change what wgpu and the loader see, and their values.
    pub overrides: Vec<(&'static str, String)>,
    /// The Python that OGBench's environments would run in, if one was made or named.
    pub python: Option<PathBuf>,
    /// Whether the network is reached through a proxy, by variable.
    pub proxies: Vec<(&'static str, String)>,
}

/// How Vulkan is installed on a Linux machine.
#[derive(Clone, Debug, Default)]
pub struct GraphicsFacts {
    /// The Vulkan loader's library, if it was found.
    pub loader: Option<PathBuf>,
    /// Driver manifests that the loader reads.
    pub manifests: Vec<PathBuf>,
    /// Manifests that a variable names and that are not there.
    pub missing_manifests: Vec<PathBuf>,
    /// Whether there is an NVIDIA device file.
    pub nvidia_device: bool,
    /// Whether NVIDIA's Vulkan library is there.
    pub nvidia_library: bool,
    /// `NVIDIA_DRIVER_CAPABILITIES`, which containers set.
    pub nvidia_capabilities: Option<String>,
    /// Whether this is a container.
    pub container: bool,
    /// Render nodes below /dev/dri, and whether this user may open them.
    pub render_nodes: Vec<(PathBuf, bool)>,
}

/// What can be done with a folder.
#[derive(Clone, Debug)]
pub struct FolderFacts {
    /// The folder.
    pub path: PathBuf,
    /// Why it cannot be read or written, if so.
    pub trouble: Option<String>,
    /// Bytes free on its disk.
    pub free: Option<u64>,
}

impl Facts {
    /// Looks at this machine, and at the folders that `folders` name; `python` as in [`Facts::python`].
    pub fn gather(folders: &[(&'static str, PathBuf)], python: Option<PathBuf>) -> Self {
        let set = |names: &[&'static str]| {
            names.iter().filter_map(|name| std::env::var(name).ok().map(|value| (*name, value))).collect::<Vec<_>>()
        };
        Self {
            adapters: adapter::list(),
            cpu: Engine::cpu(None).describe(),
            graphics: cfg!(target_os = "linux").then(GraphicsFacts::gather),
            folders: folders.iter().map(|(purpose, path)| (*purpose, FolderFacts::of(path))).collect(),
            overrides: set(&[
                "WGPU_BACKEND",
                "VK_DRIVER_FILES",
                "VK_ICD_FILENAMES",
                "VK_LOADER_DRIVERS_DISABLE",
                "DISABLE_LAYER_NV_OPTIMUS_1",
            ]),
            python,
            proxies: set(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
        }
    }
}

impl GraphicsFacts {
    fn gather() -> Self {
        let (named, missing_manifests) = named_manifests();
        let manifests = if named.is_empty() && missing_manifests.is_empty() { installed_manifests() } else { named };
        Self {
            loader: library("libvulkan.so.1"),
            manifests,
            missing_manifests,
            nvidia_device: Path::new("/dev/nvidiactl").exists() || Path::new("/dev/nvidia0").exists(),
            nvidia_library: library("libGLX_nvidia.so.0").is_some() || library("libEGL_nvidia.so.0").is_some(),
            nvidia_capabilities: std::env::var("NVIDIA_DRIVER_CAPABILITIES").ok(),
            container: Path::new("/.dockerenv").exists()
                || Path::new("/run/.containerenv").exists()
                || std::env::var_os("SINGULARITY_NAME").is_some()
                || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
            render_nodes: render_nodes(),
        }
    }
}

/// Where the dynamic linker finds `name`, as far as its usual folders tell.
fn library(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("LD_LIBRARY_PATH");
    let given = given.iter().flat_map(|paths| std::env::split_paths(paths).collect::<Vec<_>>());
    let machine = std::env::consts::ARCH;
    let usual = [
        format!("/usr/lib/{machine}-linux-gnu"),
        format!("/lib/{machine}-linux-gnu"),
        "/usr/lib64".to_owned(),
        "/lib64".to_owned(),
        "/usr/lib".to_owned(),
        "/usr/local/lib".to_owned(),
        "/run/opengl-driver/lib".to_owned(),
    ];
    given.chain(usual.map(PathBuf::from)).map(|folder| folder.join(name)).find(|path| path.exists())
}

/// Manifests that variables name: those there, those not.
fn named_manifests() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let variable = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().find_map(std::env::var_os);
    let paths: Vec<PathBuf> = variable.iter().flat_map(|paths| std::env::split_paths(paths).collect::<Vec<_>>()).collect();
    paths.into_iter().partition(|path| path.exists())
}

fn installed_manifests() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let folders = ["/etc", "/usr/share", "/usr/local/share", "/run/opengl-driver/share"].map(PathBuf::from);
    let files = folders.into_iter().chain(home).flat_map(|folder| entries(&folder.join("vulkan/icd.d")));
    files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect()
}

fn render_nodes() -> Vec<(PathBuf, bool)> {
    let nodes = entries(Path::new("/dev/dri"));
    let render = nodes.into_iter().filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("renderD")));
    render.map(|path| (path.clone(), std::fs::OpenOptions::new().read(true).write(true).open(path).is_ok())).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

impl FolderFacts {
    /// Looks at `path`, or at the nearest folder above it that exists.
    fn of(path: &Path) -> Self {
        let there = existing(path);
        let readable = std::fs::read_dir(there).map(drop).map_err(|error| format!("cannot be read: {error}"));
        let trouble = readable.and_then(|()| writable(there)).err();
        Self { path: path.to_path_buf(), trouble, free: free_space(path) }
    }
}

/// Tries, since permissions do not tell of read-only mounts and quotas.
fn writable(folder: &Path) -> Result<(), String> {
    let trial = folder.join(format!(".wgflow-doctor-{}", std::process::id()));
    let written = std::fs::write(&trial, b"a line, since some full disks still make empty files\n");
    // What could not be made cannot be removed.
    let _ = std::fs::remove_file(&trial);
    written.map_err(|error| format!("cannot be written: {error}"))
}
