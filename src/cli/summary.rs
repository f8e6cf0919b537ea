//! What a run says of itself before it begins and after it ends.

use crate::agents::AgentConfig;
use crate::engine::Arena;
use crate::train::{Evaluation, Trainer, sweep};

/// What is about to run: the first lines of every log. `environment` is the one in Python that --eval-env named.
pub(super) fn describe(trainer: &Trainer, environment: Option<&str>) {
    let (config, blueprint) = (trainer.config(), trainer.agent().blueprint());
    let lanes = config.seeds.len();
    let data = config.data.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let judged = match (environment, trainer.task()) {
        (Some(id), _) => format!("evaluated in {id}"),
        (None, Some(task)) => format!("evaluated in {} task {}", task.env, task.task),
        (None, None) => "no built-in environment and no --eval-env: not evaluated".to_owned(),
    };
    println!("data: {data}, {judged}");
    let plan = &blueprint.update;
    println!(
        "{}: {} parameters, an update is {} operations in {} dispatches ({} levels), {:.2} GFLOP of products",
        config.agent.name(),
        blueprint.parameters.count(""),
        plan.ops.len(),
        plan.dispatches.len(),
        plan.levels,
        plan.product_flops() as f64 / 1e9
    );
    let mib = |arena: Arena| f64::from(blueprint.memory.used()[arena.index()]) * 4.0 / f64::from(1 << 20);
    println!(
        "memory: {:.1} MiB a lane (weights {:.1}, gradients and moments {:.1}, activations {:.1}), {lanes} lane{}",
        blueprint.memory.bytes() as f64 / f64::from(1 << 20),
        mib(Arena::Weights),
        mib(Arena::Training),
        mib(Arena::Activations),
        if lanes == 1 { "" } else { "s" },
    );
    println!("folder: {}", trainer.folder().path().display());
    if trainer.agent().step() > 0 {
        println!("resuming after update {}", trainer.agent().step());
    }
    for note in trainer.notes() {
        eprintln!("warning: {note}");
    }
    note_on_eta(&config.agent);
}

/// Tells whoever set eta to 0 what that does.
pub fn note_on_eta(agent: &AgentConfig) {
    if agent.scalars().iter().any(|(name, values)| *name == "eta" && values.contains(&0.0)) {
        println!(
            "note: eta 0 switches the weight off (weight 1, plain behaviour cloning): the opposite limit of eta towards 0, \
             which filters hardest"
        );
    }
}

/// `success NN.N % (actor) NN.N % (flow), N episodes`; with several lanes a line for each, then their mean.
pub(super) fn print_result(trainer: &Trainer, lanes: &[Vec<Evaluation>]) {
    let Some(first) = lanes.first() else {
        return println!("done: {} updates, no built-in environment to evaluate in", trainer.agent().step());
    };
    let line = |success: &dyn Fn(usize) -> f64| {
        let parts = first.iter().enumerate().map(|(i, e)| format!("{:.1} % ({})", 100.0 * success(i), e.policy));
        parts.collect::<Vec<_>>().join(" ")
    };
    let episodes = first.first().map_or(0, |e| e.episodes.len());
    if lanes.len() > 1 {
        for (lane, evaluations) in lanes.iter().enumerate() {
            let config = trainer.config();
            let own = sweep::label(&config.agent, &config.seeds, lane);
            println!("lane {lane} ({own}): {}", line(&|i| evaluations[i].success()));
        }
    }
    let mean = |i: usize| lanes.iter().map(|e| e[i].success()).sum::<f64>() / lanes.len() as f64;
    let over = if lanes.len() > 1 { format!(" in each of {} lanes", lanes.len()) } else { String::new() };
    println!("success {}, {episodes} episodes{over}", line(&mean));
}
