//! What `wgflow train`, `bench` and `plan` begin with: the algorithm's flags, and their defaults from a settings file or a
//! preset.
//!
//! From the weakest to the strongest: the algorithm's own defaults, the preset, the settings file, flags, `--set`. All of
//! them end as flags of one command, so that each value is checked and explained in one place.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use toml::{Table, Value};

use super::train::TrainFlags;
use crate::agents::NamedFlags;
use crate::error::{Error, Result, nearest};
use crate::train::presets::{self, Preset};

/// A default: the setting, its value as a flag takes it.
type Setting = (String, String);

/// Where settings come from.
#[derive(Clone, Debug, Args)]
pub struct StartFlags {
    /// Algorithm [default: gfp, or the one of --preset or --config]
    #[arg(long, value_name = "NAME", help_heading = "Start")]
    pub algo: Option<String>,
    /// Published settings by name, such as gfp/cube-single-play or gfp/cube-single-play/2 with a task: `wgflow presets` lists
    /// them; the settings file and flags win over them
    #[arg(long, value_name = "NAME", help_heading = "Start")]
    pub preset: Option<String>,
    /// Settings from a TOML file, laid out as the config.toml of a run's folder; flags win over it
    #[arg(long, value_name = "FILE", help_heading = "Start")]
    pub config: Option<PathBuf>,
    /// One setting by its name in config.toml, such as agent.alpha=3; wins over everything else
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Start")]
    pub set: Vec<String>,
}

/// The flags of `arguments` that decide which algorithm's settings there are.
#[derive(Debug, Default)]
struct Choice {
    algo: Option<String>,
    preset: Option<String>,
    config: Option<String>,
    set: Vec<Setting>,
}

impl Choice {
    fn of(arguments: &[OsString]) -> Result<Self> {
        let mut choice = Self::default();
        let mut arguments = arguments.iter().map(|a| a.to_string_lossy().into_owned());
        while let Some(argument) = arguments.next() {
            let (flag, value) = match argument.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut value = || value.clone().or_else(|| arguments.next());
            match flag.as_str() {
                "--algo" => choice.algo = value(),
                "--preset" => choice.preset = value(),
                "--config" => choice.config = value(),
                "--set" => choice.set.extend(value().map(|text| assignment(&text)).transpose()?),
                "--" => break,
                _ => {}
            }
        }
        Ok(choice)
    }
}

fn assignment(text: &str) -> Result<Setting> {
    let wrong = || Error::setting("--set", "NAME=VALUE, such as agent.alpha=3", text, "write one setting and its value");
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    // `agent.common.batch`, `agent.batch` and `batch` name the same setting.
    let name = name.trim().rsplit('.').next().unwrap_or_default();
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// The settings in a TOML file laid out as a run's `config.toml`, any part of it: the algorithm, if it is named, and the
/// rest.
fn read(path: &Path) -> Result<(Option<String>, Vec<Setting>)> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
    let remedy = "write it as the config.toml of a run's folder";
    let table: Table = toml::from_str(&text).map_err(|e| Error::content(path, "settings", "TOML", e.message(), remedy))?;
    let mut settings = Vec::new();
    flatten(&table, &mut settings);
    let algorithm = settings.iter().position(|(name, _)| name == "algorithm").map(|at| settings.remove(at).1);
    Ok((algorithm, settings))
}

fn flatten(table: &Table, settings: &mut Vec<Setting>) {
    for (name, value) in table {
        match value {
            Value::Table(inner) => flatten(inner, settings),
            // One seed in brackets stays a list of one, which is not the same as a count.
            Value::Array(values) if name == "seeds" && values.len() == 1 => settings.push(("seed".to_owned(), word(&values[0]))),
            Value::Array(values) => settings.push((name.clone(), values.iter().map(word).collect::<Vec<_>>().join(","))),
            value => settings.push((name.clone(), word(value))),
        }
    }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Completes a subcommand that has [`StartFlags`] for what `arguments` choose, and the arguments themselves by those that
/// `--set` stands for. `find` knows the algorithms. Returns the chosen one's name too.
///
/// # Errors
/// [`Error::Setting`] for an unknown algorithm, preset or setting; [`Error::Io`] and [`Error::Content`] for a settings file.
pub fn complete(
    command: Command,
    arguments: &[OsString],
    find: impl Fn(&str) -> Result<NamedFlags>,
) -> Result<(Command, Vec<OsString>, &'static str)> {
    let choice = Choice::of(arguments)?;
    let file = choice.config.as_ref().map(|path| read(Path::new(path)).map(|read| (path, read))).transpose()?;
    let preset = choice.preset.as_ref().map(|name| presets::resolve(name)).transpose()?;
    let (algorithm, flags) =
        find(algorithm(&choice, file.as_ref().and_then(|(_, (name, _))| name.as_deref()), preset.map(|(p, _)| p))?)?;
    // An argument struct brings its own description, which would replace the command's.
    let about = command.get_about().cloned().unwrap_or_default();
    let long_about = command.get_long_about().cloned().unwrap_or_default();
    let help = format!("wgflow {} --help", command.get_name());
    let mut command = flags(command).about(about).long_about(long_about);
    if let Some((preset, task)) = preset {
        command = with_preset(command, preset, task);
    }
    if let Some((path, (_, settings))) = file {
        command = with_file(command, (Path::new(path), settings), algorithm, &help)?;
    }
    let mut arguments = arguments.to_vec();
    for (name, value) in choice.set {
        let refuse = |expected: String| Error::setting("--set", expected, name.clone(), format!("see {help}"));
        known(&command, &name, algorithm).map_err(refuse)?;
        let flag = format!("--{}", name.replace('_', "-"));
        arguments = without(arguments, &flag);
        arguments.push(format!("{flag}={value}").into());
    }
    Ok((command, arguments, algorithm))
}

fn with_preset(command: Command, preset: &Preset, task: Option<u32>) -> Command {
    let of_task = task.map(|task| ("task".to_owned(), task.to_string()));
    let of_run = [("steps".to_owned(), preset.steps.to_string())].into_iter().chain(of_task);
    // A command that does not train has no use for these.
    let of_run: Vec<_> = of_run.filter(|(name, _)| known(&command, name, &preset.agent).is_ok()).collect();
    preset.settings.iter().cloned().chain(of_run).fold(command, with_default)
}

fn with_file(mut command: Command, (path, settings): (&Path, Vec<Setting>), algorithm: &str, help: &str) -> Result<Command> {
    let training = TrainFlags::augment_args(Command::new("train"));
    for (name, value) in settings {
        match known(&command, &name, algorithm) {
            Ok(()) => command = with_default(command, (name, value)),
            // A run's config.toml says more than this command asks.
            Err(_) if known(&training, &name, algorithm).is_ok() => {}
            Err(expected) => {
                let remedy = format!("the settings are the long flags of {help}, with _ for -");
                return Err(Error::content(path, name, expected, "an unknown setting", remedy));
            }
        }
    }
    Ok(command)
}

fn with_default(command: Command, (name, value): Setting) -> Command {
    command.mut_arg(name, |arg| arg.required(false).default_value(value))
}

/// The algorithm: the flag's, the settings file's, the preset's, or GFP. A preset's settings mean nothing to another one.
fn algorithm<'a>(choice: &'a Choice, of_file: Option<&'a str>, preset: Option<&'a Preset>) -> Result<&'a str> {
    let named = choice.algo.as_deref().or(of_file);
    match (named, preset) {
        (Some(name), Some(preset)) if name != preset.agent => {
            let expected = format!("{}, the algorithm of {}", preset.agent, preset.name);
            Err(Error::setting("--algo", expected, name, "leave out one of the two"))
        }
        (name, preset) => Ok(name.or(preset.map(|p| p.agent.as_str())).unwrap_or("gfp")),
    }
}

/// `arguments` without `flag`: given twice, a list would become longer.
fn without(arguments: Vec<OsString>, flag: &str) -> Vec<OsString> {
    let mut value_follows = false;
    let mut kept = arguments;
    kept.retain(|argument| {
        let text = argument.to_string_lossy();
        let of_flag = text == flag || text.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='));
        let dropped = of_flag || value_follows;
        value_follows = text == flag;
        !dropped
    });
    kept
}

/// Whether `command` has a setting called `name`; if not, what it has instead.
fn known(command: &Command, name: &str, algorithm: &str) -> std::result::Result<(), String> {
    let names: Vec<&str> =
        command.get_arguments().filter(|arg| arg.get_long().is_some()).map(|arg| arg.get_id().as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    Err(format!("a setting of {algorithm}, such as `{}`", nearest(name, names, 3).join("`, `")))
}
