//! The paper's picture: what the flow of Guided Flow Policy learns as its temperature filters the data harder, on a bandit
//! with three modes of data of different value, beside FQL's.
//!
//! `cargo run --release --example filtering`, under a minute on two cores; `--help` lists every setting.

mod bandit;
mod figure;
mod study;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, FromArgMatches, Parser};
use wgflow::Error;
use wgflow::cli::start;
use wgflow::cli::summary::note_on_eta;
use wgflow::cli::train::EngineFlags;

use figure::Figure;
use study::{Effort, Learned, shares};

/// More temperatures do not fit side by side.
const MOST: usize = 4;

/// Draw how GFP's temperature eta filters a bandit's data
#[derive(Parser)]
#[command(version, after_help = "Example: filtering --eta 1,1e-2,1e-4 --seed 3")]
struct Flags {
    /// Temperatures, one lane each: smaller filters harder; 0 switches the weight off (plain behaviour cloning, the opposite
    /// of eta towards 0)
    #[arg(long, value_delimiter = ',', default_value = "1e-1,1e-3,1e-5", value_name = "X[,X..]")]
    eta: Vec<f64>,
    /// Updates to train for
    #[arg(long, value_name = "N", default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Seed of weights and samples; the data is always the same
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Folder for filtering.svg and filtering.png
    #[arg(long, value_name = "DIR", default_value = "runs/filtering")]
    out: PathBuf,
    /// Where to run.
    #[command(flatten)]
    engine: EngineFlags,
}

fn main() -> ExitCode {
    // The nets are too small for a GPU to help.
    let command = Flags::command().mut_arg("engine", |arg| arg.default_value("cpu"));
    start(command, |matches| Flags::from_arg_matches(matches).unwrap_or_else(|error| error.exit()).run())
}

impl Flags {
    fn run(&self) -> Result<(), Error> {
        if self.eta.len() > MOST {
            let found = self.eta.len().to_string();
            return Err(Error::setting("--eta", format!("at most {MOST} values"), found, "draw several pictures"));
        }
        let effort = Effort { steps: self.steps, seed: self.seed, hidden: vec![64; 3], learning_rate: 1e-3, samples: 4_000 };
        let (fql, gfp) = (study::fql(&effort), study::gfp(&effort, &self.eta));
        gfp.check()?;
        note_on_eta(&gfp);
        let (engine, described) = self.engine.open()?;
        println!("engine: {described}");
        std::fs::create_dir_all(&self.out).map_err(|source| Error::Io { path: self.out.clone(), action: "create", source })?;
        let start = Instant::now();
        let (mut agent, mut learned) = study::train(&engine, &fql, 1, &effort)?;
        println!("fql: {} updates, {:.0} s", self.steps, start.elapsed().as_secs_f64());
        let (_, guided) = study::train(&engine, &gfp, self.eta.len(), &effort)?;
        println!("gfp: {} updates in {} lanes, {:.0} s in all", self.steps, self.eta.len(), start.elapsed().as_secs_f64());
        let figure = Figure {
            fql: learned.remove(0),
            gfp: self.eta.iter().copied().zip(guided).collect(),
            q: study::values(&mut agent, &figure::places())?,
            data: bandit::actions()?,
            steps: self.steps,
        };
        print_table(&figure);
        let stem = self.out.join("filtering");
        figure.draw(&stem)?;
        for suffix in ["svg", "png"] {
            println!("wrote {}", stem.with_extension(suffix).display());
        }
        Ok(())
    }
}

/// Where the policies' samples are, in percent, and the mean weights.
fn print_table(figure: &Figure) {
    println!("{:<28}{:>8}{:>8}{:>8}   mean weight", "samples nearest to", "worst", "middle", "best");
    let row = |name: String, actions: &[bandit::Action], weight: Option<f64>| {
        let [worst, middle, best] = shares(actions).map(|share| 100.0 * share);
        let weight = weight.map_or(String::new(), |weight| format!("{weight:.3}"));
        println!("{name:<28}{worst:>6.1} %{middle:>6.1} %{best:>6.1} %   {weight}");
    };
    row("data".to_owned(), &figure.data, None);
    let both = |flow: String, actor: String, learned: &Learned| {
        row(flow, learned.flow(), Some(learned.mean_weight()));
        row(actor, &learned.actor, None);
    };
    both("BC flow (FQL)".to_owned(), "FQL actor".to_owned(), &figure.fql);
    for (eta, learned) in &figure.gfp {
        both(format!("VaBC, eta {eta:e}"), format!("GFP actor, eta {eta:e}"), learned);
    }
}
