//! `wgflow setup`: makes the Python that `wgflow eval` runs real environments in.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use wgflow::envs::python::{self, Packages};
use wgflow::train::{EnvSpec, OpenOptions};
use wgflow::{Error, Result};

/// Make the Python environment that `wgflow eval` runs OGBench in, with pinned versions, in your data folder
///
/// Training needs none. Run it again to bring it up to date; delete the folder that it names to undo it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: wgflow setup --with minari")]
pub struct Setup {
    /// More environments: minari (with Gymnasium-Robotics), robosuite (in a folder of its own, since it needs MuJoCo 3)
    #[arg(long, value_name = "NAMES", value_enum, value_delimiter = ',')]
    with: Vec<Extra>,
    /// The Python that it is made with, 3.10 or newer
    #[arg(long, value_name = "PROGRAM", default_value = if cfg!(windows) { "python" } else { "python3" })]
    python: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Extra {
    Minari,
    Robosuite,
}

impl Setup {
    /// Runs the commands, and tries an environment of each kind.
    pub fn run(self) -> Result<()> {
        let mut main = vec![Packages::Ogbench];
        let mut tried = vec!["pointmaze-medium-singletask-task1-v0"];
        if self.with.contains(&Extra::Minari) {
            main.push(Packages::Minari);
            tried.push("AdroitHandPen-v1");
        }
        self.make(&main)?;
        if self.with.contains(&Extra::Robosuite) {
            self.make(&[Packages::Robosuite])?;
            tried.push("robosuite:Lift");
        }
        tried.into_iter().try_for_each(try_out)
    }

    fn make(&self, packages: &[Packages]) -> Result<()> {
        let Some(folder) = packages.first().and_then(|packages| packages.folder()) else {
            let remedy = "set HOME, or make a Python environment yourself and name it with --python";
            return Err(Error::environment("setup", "this system has no data folder", remedy));
        };
        println!("folder: {}", folder.display());
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
        }
        for command in python::setup_commands(&self.python, &folder, packages) {
            let shown: Vec<_> = command.iter().map(|part| part.to_string_lossy()).collect();
            let shown = shown.join(" ");
            println!("running: {shown}");
            let (problem, remedy) = match Command::new(&command[0]).args(&command[1..]).status() {
                Ok(status) if status.success() => continue,
                Ok(status) => {
                    let remedy = "see its own message above; Debian and Ubuntu keep venv in the package python3-venv, and \
                                  --python names another Python";
                    (format!("`{shown}` ended with {status}"), remedy)
                }
                Err(error) => {
                    let remedy = "install Python 3.10 or newer (Debian and Ubuntu: apt-get install python3 python3-venv), or \
                                  name one with --python";
                    (format!("{} cannot be run: {error}", command[0].to_string_lossy()), remedy)
                }
            };
            return Err(Error::environment("setup", problem, remedy));
        }
        Ok(())
    }
}

/// Steps are not needed: an environment that stands has loaded its libraries and its simulator.
fn try_out(env: &str) -> Result<()> {
    let python = python::Packages::of(env).folder().map(|folder| python::interpreter(Path::new(&folder)));
    let options = OpenOptions { python, parallel: Some(1), processes: Some(1), ..Default::default() };
    let opened = EnvSpec::Python(env.to_owned()).open(&options, 1)?;
    let versions: Vec<String> = opened.setting.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    println!("works: {} ({})", opened.setting.env, versions.join(", "));
    Ok(())
}
