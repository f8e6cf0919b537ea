//! The results as a person and a program read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::figures::{Comparison, Row, Spread};
use super::machine::{Machine, slug};
use super::text::short;
use super::{Device, Options, chart};

/// The JSON form.
#[derive(Serialize)]
struct Results<'a> {
    /// Of the command, to make it again.
    command: String,
    machine: &'a Machine,
    comparisons: &'a [Comparison],
}

/// Prints the tables and writes the three files.
pub fn publish(machine: &Machine, comparisons: &[Comparison], options: &Options, root: &Path) -> Result<(), String> {
    let command = std::env::args().skip(2).collect::<Vec<_>>().join(" ");
    let command = format!("cargo xtask compare {command}").trim().to_owned();
    let text = markdown(machine, comparisons, &command);
    println!("{text}");
    let device = match (options.device, machine.gpus.first()) {
        (Device::Cpu, _) => machine.processor.clone(),
        (Device::Gpu, Some(gpu)) => gpu.split(',').next().unwrap_or(gpu).to_owned(),
        (Device::Gpu | Device::Software, _) => {
            comparisons.first().map_or_else(String::new, |c| c.reference().facts.device.clone())
        }
    };
    let lanes = if options.lanes == 1 { String::new() } else { format!("-{}-lanes", options.lanes) };
    let json = Results { command, machine, comparisons };
    let stem = format!("{}-{}{lanes}", machine.date, slug(&device));
    write(&stem, (&text, &json, &chart::svg(machine, comparisons)), options.out.as_deref(), root)
}

/// Writes a table, figures and a picture to `folder`, or to `benches/results/`, under the first name from `stem` on that is free.
pub fn write(
    stem: &str,
    (text, figures, picture): (&str, &impl Serialize, &str),
    folder: Option<&Path>,
    root: &Path,
) -> Result<(), String> {
    let folder = folder.map_or_else(|| root.join("benches/results"), Path::to_owned);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let stem = unused(&folder, stem);
    let json = serde_json::to_string_pretty(figures).map_err(|error| error.to_string())? + "\n";
    for (extension, content) in [("md", text), ("json", &json), ("svg", picture)] {
        let file = folder.join(format!("{stem}.{extension}"));
        std::fs::write(&file, content).map_err(|error| format!("{}: {error}", file.display()))?;
        println!("{}", file.display());
    }
    Ok(())
}

/// `stem`, or the first of `stem-2`, `stem-3`, ... that no results have yet.
fn unused(folder: &Path, stem: &str) -> String {
    let names = std::iter::once(stem.to_owned()).chain((2..).map(|n| format!("{stem}-{n}")));
    names.into_iter().find(|name| !folder.join(format!("{name}.md")).exists()).unwrap_or_default()
}

fn markdown(machine: &Machine, comparisons: &[Comparison], command: &str) -> String {
    let mut versions = BTreeMap::new();
    for row in comparisons.iter().flat_map(|comparison| &comparison.rows) {
        versions.extend(row.facts.versions.iter().filter(|(name, _)| *name != "commit").map(|(n, v)| (n.clone(), v.clone())));
    }
    let mut text = format!("# Side by side, {}\n\n`{command}`\n\n", machine.date);
    for line in machine.lines(&versions) {
        text += &format!("{line}\n");
    }
    text += "\nMedian, and the least and the largest, of all rounds. Programs take turns within a round; a ratio is a program's \
             time over\nwgflow's in the same round, above 1 where wgflow is faster.\n";
    for comparison in comparisons {
        section(&mut text, comparison);
    }
    text
}

/// One kind of work. Writing to a string does not fail.
fn section(text: &mut String, comparison: &Comparison) {
    let reference = comparison.reference();
    let rounds = reference.rounds_ms.len();
    let _ = writeln!(text, "\n## {}\n\n{}; {rounds} rounds.\n", comparison.work, comparison.about);
    let _ = writeln!(text, "| program | device | ms | least to largest | ratio to wgflow | least to largest |");
    let _ = writeln!(text, "|---|---|---|---|---|---|");
    for row in &comparison.rows {
        let (ms, ratio) = (row.ms(), row.ratio(reference));
        let ratio = if std::ptr::eq(row, reference) {
            "1 |".to_owned()
        } else {
            format!("{:.2} | {:.2} to {:.2}", ratio.median, ratio.min, ratio.max)
        };
        let range = format!("{} to {}", short(ms.min), short(ms.max));
        let _ = writeln!(text, "| {} | {} | {} | {range} | {ratio} |", row.program, row.facts.device, short(ms.median));
    }
    let best = comparison.best();
    if !best.is_empty() {
        let _ = writeln!(text);
    }
    for row in best {
        let _ = writeln!(text, "{}", verdict(row, row.ratio(reference)));
    }
    if let Some(distance) = comparison.action_distance() {
        let _ = writeln!(text, "The programs' actions differ from wgflow's by at most {distance:.1e}.");
    }
    for absent in &comparison.absent {
        let _ = writeln!(text, "\nNot timed: {}: {} ({}).", absent.program, absent.reason, absent.remedy);
    }
}

/// A sentence on the fastest form of a framework.
fn verdict(row: &Row, ratio: Spread) -> String {
    let (times, comparative) = if ratio.median >= 1.0 { (ratio.median, "faster") } else { (1.0 / ratio.median, "slower") };
    format!("wgflow is {times:.2} times {comparative} than {}.", row.program)
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::comparison;
    use super::*;

    fn machine() -> Machine {
        Machine {
            date: "2026-11-28".to_owned(),
            processor: "Some CPU".to_owned(),
            cores: 2,
            gpus: Vec::new(),
            system: "Linux 6".to_owned(),
            commit: "abcdef12+".to_owned(),
            rustc: "rustc 1.95.0".to_owned(),
            load: vec![0.5, 2.0],
        }
    }

    #[test]
    fn the_table_tells_every_program_and_who_is_missing() {
        let text = markdown(&machine(), &[comparison()], "cargo xtask compare fql");
        for expected in [
            "`cargo xtask compare fql`",
            "Commit abcdef12+, rustc 1.95.0; JAX 1.0, wgflow 1.0.",
            "| wgflow | cpu | 10.0 | 10.0 to 20.0 | 1 | |",
            "| JAX, scan | cpu | 15.0 | 12.0 to 40.0 | 1.50 | 1.20 to 2.00 |",
            "wgflow is 1.40 times faster than JAX, step.",
            "Not timed: Burn: not built (cargo build).",
        ] {
            assert!(text.contains(expected), "{expected}\n---\n{text}");
        }
        assert!(!text.contains("than JAX, scan"), "only the best form is told about:\n{text}");
    }

    #[test]
    fn a_slower_wgflow_is_called_slower() {
        let mut slow = comparison();
        slow.rows[0].rounds_ms = vec![30.0, 40.0, 28.0];
        let text = markdown(&machine(), &[slow], "");
        assert!(text.contains("wgflow is 2.00 times slower than JAX, step."), "{text}");
    }

    #[test]
    fn results_are_never_written_over() {
        let folder = std::env::temp_dir().join(format!("wgflow-results-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(unused(&folder, "day"), "day");
        std::fs::write(folder.join("day.md"), "").unwrap();
        std::fs::write(folder.join("day-2.md"), "").unwrap();
        assert_eq!(unused(&folder, "day"), "day-3");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
