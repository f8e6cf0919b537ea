//! Steps that several agents share: each records one loss, its gradient and its metrics.

use super::recorder::Recorder;
use crate::engine::Region;
use crate::kernels::critic_loss::Reduction;
use crate::kernels::flow_loss::Gate;
use crate::kernels::matmul_nn::Epilogue;
use crate::kernels::metric::Statistic;
use crate::kernels::random::stream;
use crate::kernels::td_target::Penalty;
use crate::kernels::{
    Aggregate, critic_loss, distill, expectile_loss, flow_loss, interpolate, q_loss, td_target, time_embedding,
};
use crate::nets::ensemble::Pair;
use crate::nets::flow::Condition;
use crate::nets::{Ensemble, Flow, Keep, Mlp};

/// A noise's name and stream.
pub(super) type Noise = (&'static str, u32);

/// The actor's input [s | z], or [s' | z].
fn actor_input(r: &mut Recorder<'_>, actor: &Mlp, next: bool, (name, stream): Noise) -> Region {
    let input = actor.input(r.plan, r.batch());
    let observation = actor.segment(input, 0);
    if next {
        r.next_observation(observation)
    } else {
        r.observation(observation)
    }
    r.normal(name, stream, actor.segment(input, 1));
    input
}

/// What a flow's integrations of `flow_steps` steps, given s (or s'), share.
pub(super) fn condition(r: &mut Recorder<'_>, flow: &Flow, label: &str, next: bool, flow_steps: u32) -> Condition {
    let states = flow.states(r.plan, r.batch());
    if next {
        r.next_observation(states)
    } else {
        r.observation(states)
    }
    flow.condition(r.plan, label, states, flow_steps, &mut r.outcome.constants)
}

/// A flow's action from noise, into `out`.
pub(super) fn integrate(
    r: &mut Recorder<'_>,
    flow: &Flow,
    label: &str,
    condition: Condition,
    (name, stream): Noise,
    out: Region,
) {
    let noise = r.plan.activations(out.rows, out.cols);
    r.normal(name, stream, noise);
    flow.integrate(r.plan, label, condition, noise, out);
}

/// [s' | clip(mu(s', z'))], the one-step actor's next action as a critic's input.
pub(super) fn next_action(r: &mut Recorder<'_>, critic: &Ensemble, actor: &Mlp, noise: Noise) -> Pair {
    let pair = critic.input(r.plan, r.batch());
    r.next_observation(pair.observation);
    let input = actor_input(r, actor, true, noise);
    actor.forward(r.plan, "target/actor", input, (pair.action, Epilogue::Clip { raw: None }));
    r.probe("next_action_actor", pair.action);
    pair
}

/// What the Bellman target is made of.
pub(super) struct Target<'a> {
    /// Values at one or two candidate actions, each under the name of its probe.
    pub next_q: &'a [(&'static str, Region)],
    /// Over the critics, and over the candidates.
    pub aggregates: (Aggregate, Aggregate),
    /// What is taken off the next value.
    pub penalty: Option<Penalty>,
}

/// The critics' Bellman loss. Returns their values at the data's actions.
///
/// Gradient reaches: critic. Stopped at: the target.
pub(super) fn bellman(
    r: &mut Recorder<'_>,
    critic: &Ensemble,
    data: Pair,
    Target { next_q, aggregates, penalty }: Target<'_>,
    reduction: Reduction,
) -> Region {
    let reward_mask = r.reward_mask();
    let target = r.plan.activations(r.batch(), 4);
    let discount = r.plan.scalar("discount");
    let candidates: Vec<Region> = next_q.iter().map(|&(_, q)| q).collect();
    td_target::record(r.plan, "target", &candidates, aggregates, penalty, (reward_mask, discount), target);

    let keep = if r.training() { Keep::Gradients } else { Keep::Nothing };
    let values = critic.forward(r.plan, "critic", data, keep);
    let (d_q, terms) = (r.plan.activations(values.q.rows, 1), r.plan.activations(r.batch(), 1));
    critic_loss::record(r.plan, "critic", (values.q, target), reduction, (d_q, terms));
    if r.training() {
        critic.backward(r.plan, "critic", &values, d_q);
    }
    r.probe("q", values.q);
    r.probe("bellman_target", target.column(0));
    r.probe("next_q", target.column(1));
    for (i, &(name, _)) in next_q.iter().enumerate() {
        r.probe(name, target.column(2 + i as u32));
    }
    r.metric("critic_loss", terms, 0, Statistic::Mean);
    r.metric("q_mean", values.q, 0, Statistic::Mean);
    r.metric("q_min", values.q, 0, Statistic::Min);
    r.metric("q_max", values.q, 0, Statistic::Max);
    r.metric("target_q", target, 0, Statistic::Mean);
    values.q
}

/// The state's value of implicit Q-learning: L = mean_b w (min_j Qbar_j(s,a) - V(s))^2, w = kappa where the difference is
/// not negative, else 1 - kappa. Returns V(s).
///
/// Gradient reaches: value. Stopped at: the target critic.
pub(super) fn expectile_value(r: &mut Recorder<'_>, value: &Mlp, target_critic: &Ensemble, data: Pair) -> Region {
    let v = r.plan.activations(r.batch(), 1);
    let tape = value.forward_kept(r.plan, "value", data.observation, (v, Epilogue::None));
    let q = target_critic.forward(r.plan, "value/target q", data, Keep::Nothing).q;
    let expectile = r.plan.scalar("expectile");
    let (d_v, out) = (r.plan.activations(r.batch(), 1), r.plan.activations(r.batch(), 2));
    expectile_loss::record(r.plan, "value", (q, v), Aggregate::Min, expectile, (d_v, out));
    if r.training() {
        value.backward(r.plan, "value", &tape, d_v);
    }
    r.probe("v", v);
    r.probe("target_q", out.column(1));
    r.metric("value_loss", out, 0, Statistic::Mean);
    r.metric("v_mean", v, 0, Statistic::Mean);
    r.metric("v_min", v, 0, Statistic::Min);
    r.metric("v_max", v, 0, Statistic::Max);
    v
}

/// The critics of implicit Q-learning: L = mean_b sum_j (Q_j(s,a) - (r + discount mask V(s')))^2, with the value net as it
/// is: it has no target. Returns Q(s, a).
///
/// Gradient reaches: critic. Stopped at: V(s').
pub(super) fn implicit_critic(r: &mut Recorder<'_>, critic: &Ensemble, value: &Mlp, data: Pair) -> Region {
    let input = value.input(r.plan, r.batch());
    r.next_observation(value.segment(input, 0));
    let next_v = r.plan.activations(r.batch(), 1);
    value.forward(r.plan, "target/value", input, (next_v, Epilogue::None));
    let target = Target { next_q: &[("next_v", next_v)], aggregates: (Aggregate::First, Aggregate::First), penalty: None };
    bellman(r, critic, data, target, Reduction::Sum)
}

/// The one-step actor's loss: alpha mean_(b,d) (u - T)^2 - scale mean_b Q(s, clip(u)) with u = mu(s, z), scale lambda or
/// 1. `value` is the aggregate over the critics and whether lambda scales the loss. Returns [s | clip(u)] and lambda.
///
/// Gradient reaches: actor. Stopped at: T, lambda, critic.
pub(super) fn distilled_actor(
    r: &mut Recorder<'_>,
    (actor, critic): (&Mlp, &Ensemble),
    noise: Noise,
    target: Region,
    value: (Aggregate, bool),
) -> (Pair, Region) {
    let pair = critic.input(r.plan, r.batch());
    r.observation(pair.observation);
    let u = r.plan.activations(r.batch(), r.action_dim());
    let input = actor_input(r, actor, false, noise);
    let tape = actor.forward_kept(r.plan, "actor", input, (pair.action, Epilogue::Clip { raw: Some(u) }));
    let ascent = ascend(r, critic, pair, value);
    let (d_u, terms) = (r.plan.activations(u.rows, u.cols), r.plan.activations(u.rows, 1));
    let alpha = r.plan.scalar("alpha");
    distill::record(r.plan, "distill", (u, target), ascent.d_action, alpha, (d_u, terms));
    if r.training() {
        actor.backward(r.plan, "actor", &tape, d_u);
    }
    r.probe("actor_action", u);
    r.probe("flow_action", target);
    log_ascent(r, ascent);
    r.metric("distill_loss", terms, 0, Statistic::Mean);
    (pair, ascent.lambda)
}

/// The Q loss of an actor, up to its action.
#[derive(Clone, Copy)]
pub(super) struct Ascent {
    /// The critics at the actor's action, [members * batch, 1].
    q: Region,
    /// 1 / mean|Q|.
    lambda: Region,
    /// Each row's share of the loss.
    terms: Region,
    /// The gradient at the action, [members * batch, action_dim].
    pub d_action: Region,
}

/// -scale mean_b Q(s, a) at the actor's action in `pair`. `value` is the aggregate over the critics and whether scale is
/// lambda or 1.
///
/// Gradient reaches: the action. Stopped at: lambda, critic.
pub(super) fn ascend(
    r: &mut Recorder<'_>,
    critic: &Ensemble,
    pair: Pair,
    (over_members, normalize): (Aggregate, bool),
) -> Ascent {
    let values = critic.forward(r.plan, "critic at actor", pair, Keep::InputGradient);
    let to = q_loss::Results {
        d_q: r.plan.activations(values.q.rows, 1),
        lambda: r.plan.activations(1, 1),
        terms: r.plan.activations(r.batch(), 1),
    };
    q_loss::record(r.plan, "q loss", values.q, over_members, normalize, to);
    let d_action = critic.backward_action(r.plan, "critic at actor", &values, to.d_q, r.action_dim());
    Ascent { q: values.q, lambda: to.lambda, terms: to.terms, d_action }
}

/// Probes and metrics of an actor's Q loss.
pub(super) fn log_ascent(r: &mut Recorder<'_>, ascent: Ascent) {
    r.probe("q_actor", ascent.q);
    r.probe("lambda", ascent.lambda);
    r.metric("q_loss", ascent.terms, 0, Statistic::Mean);
    r.metric("lambda", ascent.lambda, 0, Statistic::Mean);
}

/// Flow matching on straight paths from noise x0 to the data's `action`, weighted by `gate` or not at all. Returns
/// [g e, e, g, q_data, q_ref] of each row.
///
/// Gradient reaches: the flow. Stopped at: the gate.
pub(super) fn flow_matching(
    r: &mut Recorder<'_>,
    flow: &Flow,
    label: &'static str,
    action: Region,
    gate: Option<Gate>,
) -> Region {
    let (batch, dim) = (r.batch(), r.action_dim());
    let input = flow.input(r.plan, batch);
    r.observation(input.observation);
    let x0 = r.plan.activations(batch, dim);
    r.normal("x0", stream::X0, x0);
    let t = if flow.embeds_time() { r.plan.activations(batch, 1) } else { input.time };
    r.uniform("t", stream::T, t);
    if flow.embeds_time() {
        let constant = flow.frequencies(r.plan);
        time_embedding::record(r.plan, label, t, constant.0, input.time);
        r.outcome.constants.push(constant);
    }
    let velocity = r.plan.activations(batch, dim);
    interpolate::record(r.plan, label, x0, action, t, input.x, velocity);
    let prediction = r.plan.activations(batch, dim);
    let tape = flow.velocity(r.plan, label, input, prediction);
    let (d_prediction, out) = (r.plan.activations(batch, dim), r.plan.activations(batch, 5));
    flow_loss::record(r.plan, label, (prediction, velocity), gate, (d_prediction, out));
    if r.training() {
        flow.net.backward(r.plan, label, &tape, d_prediction);
    }
    r.probe("flow_pred", prediction);
    r.probe("flow_error", out.column(1));
    r.metric("flow_loss", out, 0, Statistic::Mean);
    out
}
