//! Finding, or making, the Python that has the environments.
//!
//! Looked for, in this order: what the caller names (`--python`), what `WGFLOW_PYTHON` names, and the virtual environment
//! that `wgflow setup` makes in the user's data folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Packages that are installed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packages {
    /// OGBench and its simulator; everything else is added to it.
    Ogbench,
    /// Minari and Gymnasium-Robotics.
    Minari,
    /// robosuite, in an environment of its own, since it needs another MuJoCo.
    Robosuite,
}

impl Packages {
    /// What an environment of this id needs.
    pub fn of(env: &str) -> Self {
        match env.split_once(':') {
            Some(("robosuite", _)) => Self::Robosuite,
            Some(("minari", _)) => Self::Minari,
            _ => Self::Ogbench,
        }
    }

    /// Packages and versions as pip takes them: `ogbench==1.2.2`.
    pub fn requirements(self) -> Vec<&'static str> {
        let lines = match self {
            Self::Ogbench => include_str!("../../python/requirements.txt"),
            Self::Minari => include_str!("../../python/requirements-minari.txt"),
            Self::Robosuite => include_str!("../../python/requirements-robosuite.txt"),
        };
        lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }

    /// The version that [`Packages::requirements`] asks for.
    pub fn version(self, package: &str) -> Option<&'static str> {
        self.requirements().into_iter().find_map(|line| line.strip_prefix(package)?.strip_prefix("=="))
    }

    /// The command that installs them.
    pub const fn setup_command(self) -> &'static str {
        match self {
            Self::Ogbench => "wgflow setup",
            Self::Minari => "wgflow setup --with minari",
            Self::Robosuite => "wgflow setup --with robosuite",
        }
    }

    /// The virtual environment they are installed in: a folder in the user's data folder; `None` on a system without one.
    pub fn folder(self) -> Option<PathBuf> {
        let name = if self == Self::Robosuite { "python-robosuite" } else { "python" };
        Some(data_folder()?.join(name))
    }
}

/// The program `python` of a virtual environment.
pub fn interpreter(folder: &Path) -> PathBuf {
    if cfg!(windows) { folder.join("Scripts").join("python.exe") } else { folder.join("bin").join("python") }
}

/// The Python for an environment of this id.
///
/// # Errors
/// [`Error::Environment`] if there is none, saying where it was looked for.
pub fn find(named: Option<&Path>, env: &str) -> Result<PathBuf> {
    if let Some(python) = named {
        return Ok(python.to_path_buf());
    }
    if let Some(python) = std::env::var_os("WGFLOW_PYTHON").filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(python));
    }
    let packages = Packages::of(env);
    let made = packages.folder().map(|folder| interpreter(&folder));
    match made {
        Some(python) if python.is_file() => Ok(python),
        made => {
            let place = made.map_or_else(String::new, |python| format!(" and there is no {}", python.display()));
            let problem = format!("it needs Python: neither --python nor WGFLOW_PYTHON names one{place}");
            let remedy = format!("make one with `{}`, or name one that has the packages", packages.setup_command());
            Err(Error::environment(env, problem, remedy))
        }
    }
}

/// What to do about a module that `python` lacks.
pub(super) fn install_advice(env: &str, module: &str, python: &str) -> String {
    let packages = match module {
        "minari" | "gymnasium_robotics" | "h5py" => Packages::Minari,
        "robosuite" => Packages::Robosuite,
        "ogbench" | "gymnasium" | "mujoco" | "dm_control" => Packages::Ogbench,
        "d4rl" | "gym" => return "follow d4rl's own instructions, and name that Python with --python".to_owned(),
        _ => Packages::of(env),
    };
    let listed = match packages {
        Packages::Minari => [Packages::Ogbench.requirements(), packages.requirements()].concat(),
        _ => packages.requirements(),
    };
    // Shells have a use of their own for brackets.
    let quoted = listed.iter().map(|line| if line.contains('[') { format!("'{line}'") } else { (*line).to_owned() });
    let (setup, listed) = (packages.setup_command(), quoted.collect::<Vec<_>>().join(" "));
    format!("run `{setup}`, which makes a Python of its own, or `{python} -m pip install {listed}`")
}

/// The commands that make a virtual environment in `folder`, or bring it up to date, each as program and arguments.
pub fn setup_commands(python: &Path, folder: &Path, packages: &[Packages]) -> Vec<Vec<OsString>> {
    let own = interpreter(folder);
    let mut commands = Vec::new();
    if !own.is_file() {
        commands.push(vec![python.into(), "-m".into(), "venv".into(), folder.into()]);
    }
    let requirements = packages.iter().flat_map(|group| group.requirements()).map(OsString::from);
    let install: [OsString; 4] = [own.into(), "-m".into(), "pip".into(), "install".into()];
    commands.push(install.into_iter().chain(requirements).collect());
    commands
}

/// Where programs keep a user's data.
fn data_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library").join("Application Support"))
    } else {
        variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local").join("share")))
    };
    Some(base?.join("wgflow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_pinned() {
        for packages in [Packages::Ogbench, Packages::Minari, Packages::Robosuite] {
            assert!(packages.requirements().iter().all(|line| line.contains("==")), "{packages:?}");
        }
        assert_eq!(Packages::Ogbench.version("ogbench"), Some("1.2.2"));
        assert_eq!(Packages::Robosuite.version("mujoco"), Some("3.3.7"));
        assert_eq!(Packages::Ogbench.version("muj"), None);
    }

    #[test]
    fn an_environment_names_its_packages_and_a_missing_module_the_command_that_brings_it() {
        assert_eq!(Packages::of("cube-single-singletask-v0"), Packages::Ogbench);
        assert_eq!(Packages::of("minari:D4RL/pen/human-v2"), Packages::Minari);
        let advice = install_advice("AdroitHandPen-v1", "gymnasium_robotics", "/opt/python");
        assert!(advice.contains("`wgflow setup --with minari`"), "{advice}");
        assert!(advice.contains("`/opt/python -m pip install ogbench==") && advice.contains(" 'minari[hdf5]=="), "{advice}");
        assert!(install_advice("robosuite:Lift", "robosuite", "p").contains("`wgflow setup --with robosuite`"));
    }

    #[test]
    fn a_named_python_is_taken_as_it_is() {
        let named = Path::new("/opt/python");
        assert_eq!(find(Some(named), "x").unwrap(), named);
    }

    #[test]
    fn setting_up_makes_the_folder_only_once() {
        let folder = std::env::temp_dir().join(format!("wgflow-venv-{}", std::process::id()));
        let commands = |folder: &Path| setup_commands(Path::new("python3"), folder, &[Packages::Ogbench]);
        let first = commands(&folder);
        assert_eq!((first.len(), first[0][2].to_str()), (2, Some("venv")));
        assert_eq!(first[1][4].to_str(), Some("ogbench==1.2.2"));
        let own = interpreter(&folder);
        std::fs::create_dir_all(own.parent().unwrap()).unwrap();
        std::fs::write(&own, "").unwrap();
        assert_eq!(commands(&folder).len(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
