//! `cargo xtask scale`: what an update costs against batch, width, Euler steps, lanes and the size of the dataset.
//!
//! Each point is a `wgflow bench` of its own. The points take turns, round after round, each round beginning with another one,
//! so that what slows the machine down for a while does not bend a curve.

mod chart;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use serde::{Deserialize, Serialize};

use crate::compare::figures::Spread;
use crate::compare::machine::{Machine, slug};
use crate::compare::{build, parsed, report, root};

/// Time one update of GFP at the published size, and with one number of it changed at a time
///
/// Prints tables and writes them as Markdown, JSON and SVG.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask scale")]
struct Options {
    /// Rounds of each point
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a round; at least one update is made
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
    /// A wgflow that is built already [default: the present code is built]
    #[arg(long, value_name = "PROGRAM")]
    wgflow: Option<PathBuf>,
    /// Folder of the results
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Flags of `wgflow bench` for every point, such as `--engine gpu`
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// A number that is changed, and the values it takes; the published one is among them.
struct Axis {
    name: &'static str,
    flag: &'static str,
    values: &'static [u64],
    published: u64,
}

const AXES: [Axis; 5] = [
    Axis { name: "batch", flag: "--batch", values: &[32, 64, 128, 256, 512, 1024, 2048, 4096], published: 256 },
    Axis { name: "width", flag: "--hidden", values: &[32, 64, 128, 256, 512, 1024], published: 512 },
    Axis { name: "Euler steps", flag: "--flow-steps", values: &[1, 2, 5, 10, 20, 30], published: 10 },
    Axis { name: "lanes", flag: "--seeds", values: &[1, 2, 4, 8, 16], published: 1 },
    Axis { name: "transitions", flag: "--transitions", values: &[1_000, 10_000, 100_000, 1_000_000], published: 10_000 },
];

impl Axis {
    /// The flags of a point; a width is that of four layers.
    fn flags(&self, value: u64) -> [String; 2] {
        let layers = if self.flag == "--hidden" { 4 } else { 1 };
        [self.flag.to_owned(), vec![value.to_string(); layers].join(",")]
    }
}

/// What `wgflow bench --json` says that is used here.
#[derive(Debug, Deserialize)]
struct Answer {
    median_ms: f64,
    gflop: f64,
    device: String,
    share_of_peak: Option<f64>,
}

/// A value of an axis and its rounds.
#[derive(Clone, Debug, Serialize)]
struct Point {
    value: u64,
    /// Floating-point operations of the products, in thousand millions.
    gflop: f64,
    /// Milliseconds of an update, round by round.
    rounds_ms: Vec<f64>,
    /// Rates as shares of what products alone reach, round by round; of the CPU engine.
    shares: Vec<f64>,
}

impl Point {
    fn ms(&self) -> Spread {
        Spread::of(&self.rounds_ms)
    }

    /// GFLOP/s of the products over the whole update.
    fn rate(&self) -> f64 {
        self.gflop / self.ms().median * 1e3
    }
}

/// One number changed.
#[derive(Clone, Debug, Serialize)]
struct Curve {
    name: &'static str,
    published: u64,
    points: Vec<Point>,
}

impl Curve {
    /// The point of the published size.
    fn reference(&self) -> &Point {
        self.points.iter().find(|point| point.value == self.published).unwrap_or(&self.points[0])
    }
}

/// The JSON form.
#[derive(Serialize)]
struct Results<'a> {
    command: &'a str,
    machine: &'a Machine,
    device: &'a str,
    curves: &'a [Curve],
}

/// Runs the command with `arguments`.
pub fn run(arguments: &[&str]) -> Result<(), String> {
    let Some(options) = parsed::<Options>("cargo xtask scale", arguments)? else { return Ok(()) };
    let root = root()?;
    let mut machine = Machine::look(&root);
    let wgflow = match &options.wgflow {
        Some(program) => program.clone(),
        None => build(&root, &machine.commit)?,
    };
    let (curves, device) = measure(&wgflow, &options)?;
    machine.note_load();
    let command = format!("cargo xtask scale {}", arguments.join(" ")).trim().to_owned();
    publish(&Results { command: &command, machine: &machine, device: &device, curves: &curves }, &options, &root)
}

/// Every point in every round, and what it ran on.
fn measure(wgflow: &Path, options: &Options) -> Result<(Vec<Curve>, String), String> {
    let point = |value| Point { value, gflop: 0.0, rounds_ms: Vec::new(), shares: Vec::new() };
    let curve = |axis: &Axis| Curve {
        name: axis.name,
        published: axis.published,
        points: axis.values.iter().copied().map(point).collect(),
    };
    let mut curves: Vec<Curve> = AXES.iter().map(curve).collect();
    let places: Vec<(usize, usize)> =
        AXES.iter().enumerate().flat_map(|(axis, of)| (0..of.values.len()).map(move |i| (axis, i))).collect();
    let mut device = String::new();
    for round in 0..options.rounds as usize {
        for turn in 0..places.len() {
            let (axis, index) = places[(turn + round * places.len() / options.rounds as usize) % places.len()];
            let point = &mut curves[axis].points[index];
            let answer = ask(wgflow, options, &AXES[axis].flags(point.value))?;
            eprintln!("round {}: {} {}: {:.2} ms", round + 1, AXES[axis].name, point.value, answer.median_ms);
            point.gflop = answer.gflop;
            point.rounds_ms.push(answer.median_ms);
            point.shares.extend(answer.share_of_peak);
            // Why the CPU was taken, in brackets, says nothing about a figure.
            let reason = if answer.device.starts_with("CPU") { answer.device.find(" (") } else { None };
            device = answer.device[..reason.unwrap_or(answer.device.len())].to_owned();
        }
    }
    Ok((curves, device))
}

/// One round of one point.
fn ask(wgflow: &Path, options: &Options, flags: &[String]) -> Result<Answer, String> {
    let mut command = Command::new(wgflow);
    command.args(["bench", "--algo", "gfp", "--json", "--rounds", "1", "--seconds", &options.seconds.to_string()]);
    command.args(flags).args(&options.flags);
    let output = command.output().map_err(|error| format!("{} cannot be started: {error}", wgflow.display()))?;
    if !output.status.success() {
        return Err(format!("wgflow bench {}: {}", flags.join(" "), String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("wgflow bench {}: {error}", flags.join(" ")))
}

/// Prints the tables and writes the three files.
fn publish(results: &Results<'_>, options: &Options, root: &Path) -> Result<(), String> {
    let text = table::markdown(results);
    println!("{text}");
    let name = if results.device.starts_with("CPU") { &results.machine.processor } else { results.device };
    let stem = format!("{}-{}-scale", results.machine.date, slug(name));
    report::write(&stem, (&text, results, &chart::svg(results)), options.out.as_deref(), root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_size_is_a_point_of_every_curve() {
        assert!(AXES.iter().all(|axis| axis.values.contains(&axis.published) && axis.values.is_sorted()));
        assert_eq!(AXES[1].flags(64), ["--hidden", "64,64,64,64"]);
    }

    #[cfg(unix)]
    #[test]
    fn every_point_is_asked_in_every_round_each_beginning_with_another() {
        use std::os::unix::fs::PermissionsExt;

        let folder = std::env::temp_dir().join(format!("wgflow-scale-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (program, asked) = (folder.join("wgflow"), folder.join("asked"));
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {}\necho '{{\"median_ms\": 2, \"gflop\": 3, \"device\": \"CPU, f32 (no GPU was found)\", \"share_of_peak\": 0.5}}'\n",
            asked.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let options = Options::parse_from(["scale", "--rounds", "2", "--", "--threads", "2"]);
        let (curves, device) = measure(&program, &options).unwrap();
        let lines = std::fs::read_to_string(&asked).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let points: Vec<&Point> = curves.iter().flat_map(|curve| &curve.points).collect();
        assert!(points.iter().all(|point| point.rounds_ms == [2.0, 2.0] && point.shares == [0.5, 0.5]), "{points:?}");
        assert_eq!((device.as_str(), points[0].rate()), ("CPU, f32", 1500.0));
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 2 * points.len());
        assert!(lines[0].ends_with("--batch 32 --threads 2"), "{}", lines[0]);
        assert_ne!(lines[0], lines[points.len()]);
    }
}
