//! Every loss against central differences, at f64: each analytic gradient is the slope of its own loss, and what the docs
//! call stopped has none.

use std::sync::Arc;

use wgflow::agents::config::QAggregate;
use wgflow::agents::gfp::{GuidanceFn, PolicyAggregate};
use wgflow::agents::{Agent, AgentConfig, BcConfig, FqlConfig, GfpConfig, IfqlConfig, IqlConfig, RebracConfig};
use wgflow::data::Layout;
use wgflow::engine::{Arena, Engine, Memory, Records};

const LAYOUT: Layout = Layout { obs_dim: 3, action_dim: 2 };

fn records() -> Records {
    let record = LAYOUT.record() as usize;
    let values = (0..40 * record).map(|i| ((i * 7919 % 1009) as f32 / 1009.0 - 0.5) * 1.2).collect();
    Records { values: Arc::new(values), record: LAYOUT.record() }
}

fn small(common: &mut wgflow::agents::Common) {
    common.batch = 7;
    common.hidden = vec![9, 8];
    common.flow_steps = 3;
}

/// The agent after its first update's losses, without any step: its sampling is frozen, so every replay sees one batch.
fn frozen(config: &AgentConfig) -> Agent {
    let mut agent = Agent::on_records(&Engine::Oracle, config, LAYOUT, (records(), None), &[5]).unwrap();
    widen_small_heads(&mut agent);
    agent.update(1).unwrap(); // fills batch and noise
    let mut plan = agent.blueprint().update.without_sampling();
    plan.dispatches.retain(|d| !["adam", "ema", "clock"].contains(&d.kernel.name));
    agent.replace_update(&plan).unwrap();
    agent
}

/// Gaussian policies start with actions next to 0, where a tangent is hardly bent.
fn widen_small_heads(agent: &mut Agent) {
    let entries = agent.blueprint().parameters.entries().to_vec();
    for entry in entries.iter().filter(|e| e.source.is_none() && e.scale < 1.0) {
        let wide: Vec<f64> = agent.machine().read(entry.tensor.region, 0).unwrap().iter().map(|w| 20.0 * w).collect();
        agent.machine().write(entry.tensor.region, 0, &wide).unwrap();
    }
}

/// The value of a metric at the present weights.
fn loss(agent: &mut Agent, name: &str) -> f64 {
    let at = agent.blueprint().outcome.metrics.iter().position(|n| *n == name).unwrap();
    agent.submit(1).unwrap();
    agent.set_step(1).unwrap();
    let ring = agent.blueprint().registers.ring;
    agent.machine().read(ring, 0).unwrap()[4 * at]
}

/// The loss that each net descends: the official total, restricted to the terms whose gradient reaches it.
fn reaching(config: &AgentConfig, net: &str) -> Vec<(&'static str, f64)> {
    let distilled = |alpha: f64| vec![("distill_loss", alpha), ("q_loss", 1.0)];
    match (net, config) {
        ("critic", _) => vec![("critic_loss", 1.0)],
        ("value", _) => vec![("value_loss", 1.0)],
        ("actor", AgentConfig::Gfp(c)) => distilled(c.alpha[0]),
        ("actor", AgentConfig::Fql(c)) => distilled(c.alpha[0]),
        ("actor", AgentConfig::Rebrac(_)) => vec![("q_loss", 1.0), ("bc_loss", 1.0)],
        ("actor", _) => vec![("actor_loss", 1.0)],
        _ => vec![("flow_loss", 1.0)],
    }
}

fn check(config: &AgentConfig) {
    let mut agent = frozen(config);
    let parameters = agent.blueprint().parameters.clone();
    let training = parameters.whole(Arena::Training);
    agent.submit(1).unwrap();
    agent.set_step(1).unwrap();
    let gradients = agent.machine().read(training, 0).unwrap();
    let weights = parameters.whole(Arena::Weights);
    let original = agent.machine().read(weights, 0).unwrap();
    let lambda = (!normalised(config)).then_some(1.0);
    let mut checked = 0;
    for entry in parameters.entries().iter().filter(|e| e.source.is_none()) {
        let net = entry.name.split('/').next().unwrap();
        let analytic = entry.tensor.pick(Memory::gradient_of(entry.tensor.region), &gradients);
        let base = entry.tensor.pick(entry.tensor.region, &original);
        for i in (0..base.len()).step_by(base.len().div_ceil(5).max(1)) {
            let mut slope = 0.0;
            for (name, factor) in reaching(config, net) {
                let mut at = |shift: f64| {
                    let mut values = base.clone();
                    values[i] += shift;
                    let mut arena = original.clone();
                    entry.tensor.place(entry.tensor.region, &values, &mut arena);
                    agent.machine().write(weights, 0, &arena).unwrap();
                    value(&mut agent, name, lambda)
                };
                let h = 1e-6;
                slope += factor * (at(h) - at(-h)) / (2.0 * h);
            }
            let error = (slope - analytic[i]).abs();
            let scale = analytic.iter().fold(1e-3, |m: f64, g| m.max(g.abs()));
            assert!(error < 2e-6 * scale.max(1.0), "{} [{i}]: analytic {}, slope {slope}", entry.name, analytic[i]);
            checked += 1;
        }
    }
    assert!(checked > 20);
}

fn normalised(config: &AgentConfig) -> bool {
    match config {
        AgentConfig::Gfp(c) => c.normalize_q,
        AgentConfig::Fql(c) => c.normalize_q,
        AgentConfig::Rebrac(_) => true,
        _ => false,
    }
}

/// A loss with what is stopped held still. lambda moves with the actor, so the normalised Q loss is taken apart:
/// -mean Q is differentiated and scaled by the lambda at the unmoved weights.
fn value(agent: &mut Agent, name: &str, unscaled: Option<f64>) -> f64 {
    if name != "q_loss" || unscaled.is_some() {
        return loss(agent, name);
    }
    loss(agent, "q_loss") / loss(agent, "lambda") * still_lambda(agent)
}

fn still_lambda(agent: &Agent) -> f64 {
    STILL.with(|cell| cell.get()).unwrap_or_else(|| panic!("no lambda for {}", agent.config().name()))
}

thread_local! {
    static STILL: std::cell::Cell<Option<f64>> = const { std::cell::Cell::new(None) };
}

fn with_lambda(config: &AgentConfig) {
    let mut agent = frozen(config);
    let lambda = loss(&mut agent, "lambda");
    STILL.with(|cell| cell.set(Some(lambda)));
    check(config);
}

#[test]
fn fql_gradients_are_slopes() {
    for (q_agg, normalize_q) in [(QAggregate::Mean, false), (QAggregate::Min, true)] {
        let mut config = FqlConfig { q_agg, normalize_q, alpha: vec![0.7], ..Default::default() };
        small(&mut config.common);
        with_lambda(&AgentConfig::Fql(config));
    }
}

#[test]
fn gradients_are_slopes_with_the_layer_norms_the_other_way_round() {
    let mut config = GfpConfig { target_agg: PolicyAggregate::Actor, eta: vec![0.5], ..Default::default() };
    small(&mut config.common);
    (config.common.layer_norm, config.common.actor_layer_norm) = (false, true);
    with_lambda(&AgentConfig::Gfp(config));
}

#[test]
fn gfp_gradients_are_slopes() {
    use PolicyAggregate::{Actor, Max, Mean, Min, Vabc};
    // With the flow's own action in the guidance, g moves with the flow although its gradient is stopped: those are
    // covered by the official dumps. Here the reference is the actor, or the weight is off.
    for (target_agg, q_agg, guidance_fn, eta) in [
        (Actor, QAggregate::Mean, GuidanceFn::Softmax, 0.5),
        (Mean, QAggregate::Min, GuidanceFn::Advantage, 2.0),
        (Vabc, QAggregate::Mean, GuidanceFn::Softmax, 0.0),
        (Max, QAggregate::Min, GuidanceFn::Softmax, 0.3),
        (Min, QAggregate::Mean, GuidanceFn::Softmax, 1.0),
    ] {
        let mut config =
            GfpConfig { target_agg, q_agg, guidance_fn, eta: vec![eta], alpha: vec![0.4], time_dim: 6, ..Default::default() };
        small(&mut config.common);
        with_lambda(&AgentConfig::Gfp(config));
    }
}

#[test]
fn iql_gradients_are_slopes() {
    // At the second some weights lie at their cap, at the first none.
    for (expectile, alpha) in [(0.9, 0.7), (0.3, 50.0)] {
        let mut config = IqlConfig { expectile: vec![expectile], alpha: vec![alpha], ..Default::default() };
        small(&mut config.common);
        check(&AgentConfig::Iql(config));
    }
}

#[test]
fn ifql_gradients_are_slopes() {
    let mut config = IfqlConfig { time_dim: 6, ..Default::default() };
    small(&mut config.common);
    check(&AgentConfig::Ifql(config));
}

#[test]
fn rebrac_gradients_are_slopes() {
    for (q_agg, alpha_actor) in [(QAggregate::Min, 0.4), (QAggregate::Mean, 0.03)] {
        // The actor takes part in every update, hence in the one that is frozen.
        let (alpha_actor, alpha_critic) = (vec![alpha_actor], vec![0.2]);
        let mut config = RebracConfig { q_agg, alpha_actor, alpha_critic, actor_freq: 1, ..Default::default() };
        small(&mut config.common);
        with_lambda(&AgentConfig::Rebrac(config));
    }
}

#[test]
fn bc_gradients_are_slopes() {
    let mut config = BcConfig::default();
    small(&mut config.common);
    check(&AgentConfig::Bc(config));
}
