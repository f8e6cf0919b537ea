//! The programs that are compared, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use super::Options;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// One update of FQL
    Fql,
    /// One update of GFP, target_agg actor
    GfpActor,
    /// One update of GFP, target_agg mean, as published
    GfpMean,
    /// One training step of a plain 4x512 net
    Mlp,
    /// Acting on the CPU: the one-step actor and the 10-step flow, batch 1, 16 and 256, one thread and all
    Act,
}

/// Where updates run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// wgflow's CPU engine, and the frameworks' CPU backends
    Cpu,
    /// The GPU: wgflow through wgpu, the frameworks through what they were installed with
    Gpu,
    /// A software adapter such as Mesa's lavapipe: the programs that run on wgpu
    Software,
}

/// A framework that wgflow is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    Jax,
    /// FQL's authors' own code
    Official,
    Torch,
    Burn,
    Candle,
    Numpy,
    Onnxruntime,
}

impl Family {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jax => "JAX",
            Self::Official => "FQL's own code",
            Self::Torch => "PyTorch",
            Self::Burn => "Burn",
            Self::Candle => "candle",
            Self::Numpy => "numpy",
            Self::Onnxruntime => "ONNX Runtime",
        }
    }

    /// The framework's name for `requirements-NAME.txt` and the folder of its environment; Rust programs have their own
    /// folder of that name.
    const fn folder(self) -> &'static str {
        match self {
            Self::Jax => "jax",
            Self::Official => "official",
            Self::Torch => "torch",
            Self::Burn => "burn",
            Self::Candle => "candle",
            Self::Numpy | Self::Onnxruntime => "act",
        }
    }

    /// The Python module that has to be there; none for Rust programs.
    const fn module(self) -> Option<&'static str> {
        match self {
            Self::Jax => Some("jax"),
            Self::Official => Some("flax"),
            Self::Torch => Some("torch"),
            Self::Numpy => Some("numpy"),
            Self::Onnxruntime => Some("onnxruntime"),
            Self::Burn | Self::Candle => None,
        }
    }

    /// The command that installs it where `compare` finds it.
    pub fn remedy(self) -> String {
        let folder = self.folder();
        if self.module().is_none() {
            return format!("cargo build --release --manifest-path benches/baselines/{folder}/Cargo.toml");
        }
        let install = format!(
            "python3 -m venv target/peers/{folder} && target/peers/{folder}/bin/pip install -r \
             benches/baselines/requirements-{folder}.txt"
        );
        if self == Self::Official {
            return format!("{install} && git clone https://github.com/seohongpark/fql target/peers/{folder}/fql");
        }
        install
    }

    /// The program that runs it: a Python that has the module, or the built program.
    ///
    /// # Errors
    /// Why there is none.
    pub fn program(self, root: &Path, options: &Options) -> Result<PathBuf, String> {
        let Some(module) = self.module() else {
            let folder = root.join("benches/baselines").join(self.folder());
            let built = folder.join(format!("target/release/{}-peer{}", self.folder(), std::env::consts::EXE_SUFFIX));
            return if built.is_file() { Ok(built) } else { Err("not built".to_owned()) };
        };
        let named = match self {
            Self::Jax => &options.python_jax,
            Self::Torch => &options.python_torch,
            Self::Official => &None,
            _ => &options.python_act,
        };
        let installed = root.join("target/peers").join(self.folder()).join("bin/python");
        let python = named.clone().or_else(|| options.python.clone());
        let python = python.or_else(|| installed.is_file().then_some(installed)).unwrap_or_else(|| "python3".into());
        let found = Command::new(&python).args(["-c", &looked_for(module)]).output();
        match found {
            Ok(output) if output.status.success() => Ok(python),
            Ok(output) => {
                let told = String::from_utf8_lossy(&output.stderr);
                let last = told.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given").trim();
                Err(format!("{}: {last}", python.display()))
            }
            Err(error) => Err(format!("{}: {error}", python.display())),
        }
    }
}

/// A Python program that fails where `module` is not installed. To import it would take seconds.
fn looked_for(module: &str) -> String {
    format!("import importlib.util as u, sys; sys.exit(None if u.find_spec('{module}') else 'no module {module}')")
}

/// A form of a framework that can be timed.
#[derive(Clone, Debug)]
pub struct Peer {
    pub family: Family,
    pub form: String,
    pub arguments: Vec<String>,
    /// What its environment has beside the user's own.
    pub environment: &'static [(&'static str, &'static str)],
    /// Whether it rounds the factors of its products to bfloat16, as wgflow does at mixed precision.
    rounded: bool,
}

impl Peer {
    fn new(family: Family, form: impl Into<String>, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self { family, form: form.into(), arguments, environment: &[], rounded: false }
    }

    /// The framework; those that round are one of their own, of which the fastest form is sought apart.
    pub const fn group(&self) -> &'static str {
        match (self.family, self.rounded) {
            (Family::Jax, true) => "JAX, bfloat16",
            (family, _) => family.name(),
        }
    }

    /// The framework and the form.
    pub fn name(&self) -> String {
        if self.form.is_empty() { self.family.name().to_owned() } else { format!("{}, {}", self.family.name(), self.form) }
    }
}

/// Says on how many bits Mesa's software driver works at a time; 256 if nothing does. wgflow asks for 512 itself, and so does this
/// repository's cargo, from which a peer is not to inherit it.
pub const VECTOR_BITS: &str = "LP_NATIVE_VECTOR_WIDTH";

/// Every form in which a framework can make an update of `work`.
pub fn updates(work: Work, options: &Options) -> Vec<Peer> {
    let mut peers = Vec::new();
    if options.device != Device::Software {
        peers.extend(forms(Family::Jax, jax_forms(work), work, options));
        if options.device == Device::Cpu {
            peers.extend(jax_rounded(work, options));
        }
        if work == Work::Fql && options.lanes == 1 {
            peers.extend(forms(Family::Official, &["update"], work, options));
        }
        let torch: &[&str] =
            if options.device == Device::Gpu { &["eager", "compile", "cuda graph"] } else { &["eager", "compile"] };
        peers.extend(forms(Family::Torch, torch, work, options));
    }
    if work == Work::Mlp {
        let burn = |form: &str, arguments: &[&str]| Peer::new(Family::Burn, form, arguments);
        match options.device {
            Device::Cpu => peers.push(burn("flex", &["--backend", "flex"])),
            Device::Gpu => peers.push(burn("wgpu", &["--backend", "wgpu"])),
            Device::Software => {
                let software = ["--backend", "wgpu", "--adapter", "software"];
                let wide = Peer { environment: &[(VECTOR_BITS, "512")], ..burn("wgpu, 512 bits", &software) };
                peers.extend([burn("wgpu", &software), wide]);
            }
        }
    }
    if work == Work::Mlp && options.device == Device::Cpu {
        peers.push(Peer::new(Family::Candle, "", &[]));
    }
    peers
}

/// A plain step is one compiled function, with nothing to scan over; only target_agg mean has two Euler runs to merge.
const fn jax_forms(work: Work) -> &'static [&'static str] {
    match work {
        Work::Mlp => &["step"],
        Work::GfpMean => &["scan", "scan merged", "step"],
        _ => &["scan", "step"],
    }
}

/// JAX with products of factors rounded to bfloat16, in one form: what wgflow's mixed precision is to be compared with.
fn jax_rounded(work: Work, options: &Options) -> Option<Peer> {
    let mut peer = forms(Family::Jax, &jax_forms(work)[..1], work, options).pop()?;
    peer.form += ", bfloat16";
    // Of a flag that comes twice the later counts.
    peer.arguments.extend(["--precision".to_owned(), "bfloat16".to_owned()]);
    peer.rounded = true;
    Some(peer)
}

/// A Python framework's forms, on a GPU at each precision of its products.
fn forms(family: Family, forms: &[&str], work: Work, options: &Options) -> Vec<Peer> {
    let (script, gpu) = (format!("{}_peer.py", family.folder()), options.device == Device::Gpu);
    let (work, lanes, threads) = (name(work), options.lanes.to_string(), options.threads.unwrap_or(0).to_string());
    let mut peers = Vec::new();
    for precision in if gpu { ["default", "highest"].as_slice() } else { &["default"] } {
        for form in forms {
            let told = if gpu { format!("{form}, {precision} precision") } else { (*form).to_owned() };
            let device = if gpu { "gpu" } else { "cpu" };
            let arguments = [&script, "--algo", &work, "--form", form, "--device", device, "--precision", precision];
            peers.push(Peer::new(family, told, &[&arguments[..], &["--lanes", &lanes, "--threads", &threads]].concat()));
        }
    }
    peers
}

/// Every program that can act with a policy exported to `files`: `FILES.safetensors` and `FILES.onnx`.
pub fn acting(files: &Path, batch: u32, threads: usize) -> Vec<Peer> {
    let peer = |family, extension| {
        let file = files.with_extension(extension).display().to_string();
        let (batch, threads) = (batch.to_string(), threads.to_string());
        Peer::new(family, "", &["act_peer.py", &file, "--batch", &batch, "--threads", &threads])
    };
    vec![peer(Family::Numpy, "safetensors"), peer(Family::Onnxruntime, "onnx")]
}

/// The work's name on the command line.
pub fn name(work: Work) -> String {
    work.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Flags of `wgflow bench` for an update.
pub fn own(work: Work, options: &Options) -> Vec<String> {
    let algorithm: &[&str] = match work {
        Work::Fql => &["--algo", "fql"],
        Work::GfpActor => &["--algo", "gfp", "--target-agg", "actor"],
        Work::GfpMean => &["--algo", "gfp", "--target-agg", "mean"],
        Work::Mlp => &["--algo", "mlp"],
        Work::Act => &[],
    };
    let engine = if options.device == Device::Cpu { "cpu" } else { "gpu" };
    let lanes = options.lanes.to_string();
    let mut flags = vec!["bench".to_owned(), "--serve".to_owned()];
    flags.extend(algorithm.iter().chain(&["--engine", engine, "--seeds", &lanes]).map(|&flag| flag.to_owned()));
    if let (Some(threads), Device::Cpu) = (options.threads, options.device) {
        flags.extend(["--threads".to_owned(), threads.to_string()]);
    }
    // A software adapter is never taken by itself; Mesa's is the one there is.
    let software = (options.device == Device::Software).then(|| "llvmpipe".to_owned());
    flags.extend(options.adapter.clone().or(software).into_iter().flat_map(|adapter| ["--adapter".to_owned(), adapter]));
    flags
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn options(line: &str) -> Options {
        Options::parse_from(std::iter::once("compare").chain(line.split_whitespace()))
    }

    #[test]
    fn each_work_has_its_forms() {
        let names = |work, line: &str| updates(work, &options(line)).iter().map(Peer::name).collect::<Vec<_>>();
        assert_eq!(
            names(Work::Fql, ""),
            ["JAX, scan", "JAX, step", "JAX, scan, bfloat16", "FQL's own code, update", "PyTorch, eager", "PyTorch, compile"]
        );
        assert!(!names(Work::Fql, "--lanes 2").contains(&"FQL's own code, update".to_owned()));
        assert!(names(Work::GfpMean, "").contains(&"JAX, scan merged".to_owned()));
        let all = ["JAX, step", "JAX, step, bfloat16", "PyTorch, eager", "PyTorch, compile", "Burn, flex", "candle"];
        assert_eq!(names(Work::Mlp, ""), all);
        let groups: Vec<_> = updates(Work::Mlp, &options("")).iter().map(Peer::group).collect();
        assert_eq!(groups, ["JAX", "JAX, bfloat16", "PyTorch", "PyTorch", "Burn", "candle"]);
        assert_eq!(names(Work::Mlp, "--device software"), ["Burn, wgpu", "Burn, wgpu, 512 bits"]);
        assert!(names(Work::Fql, "--device software").is_empty());
        assert_eq!(own(Work::Mlp, &options("--device software")).last().map(String::as_str), Some("llvmpipe"));
        let gpu = names(Work::Mlp, "--device gpu");
        assert!(gpu.contains(&"PyTorch, cuda graph, default precision".to_owned()), "{gpu:?}");
        assert!(gpu.contains(&"JAX, step, highest precision".to_owned()) && gpu.contains(&"Burn, wgpu".to_owned()), "{gpu:?}");
    }

    #[test]
    fn a_program_that_is_not_there_comes_with_its_remedy() {
        let elsewhere = Path::new("/nonexistent");
        assert_eq!(Family::Burn.program(elsewhere, &options("")).unwrap_err(), "not built");
        assert!(Family::Burn.remedy().ends_with("--manifest-path benches/baselines/burn/Cargo.toml"));
        let missing = Family::Jax.program(elsewhere, &options("--python-jax /nonexistent/python")).unwrap_err();
        assert!(missing.starts_with("/nonexistent/python: "), "{missing}");
        assert!(Family::Jax.remedy().ends_with("-r benches/baselines/requirements-jax.txt"));
        assert!(Family::Official.remedy().ends_with("seohongpark/fql target/peers/official/fql"));
    }
}
