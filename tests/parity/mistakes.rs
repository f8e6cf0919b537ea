//! The fixture README's list of known mistakes, and those that the reference's text warns of, each made on purpose: the
//! comparison must notice.

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use wgflow::agents::AgentConfig;
use wgflow::engine::{Arena, Context, Engine, Kernel, Operation, Plan, Problem, Real, Shader};
use wgflow::kernels::adam::{Adam, AdamProblem};
use wgflow::kernels::awr_loss::AwrLossProblem;
use wgflow::kernels::bc_penalty::{BcPenalty, BcPenaltyProblem};
use wgflow::kernels::critic_loss::CriticLossProblem;
use wgflow::kernels::ema::{Ema, EmaProblem};
use wgflow::kernels::expectile_loss::ExpectileLossProblem;
use wgflow::kernels::gather::GatherProblem;
use wgflow::kernels::layer_norm::{LayerNorm, LayerNormProblem};
use wgflow::kernels::matmul_nn::{MatmulNn, MatmulNnProblem};
use wgflow::kernels::q_loss::{QLoss, QLossProblem};

use super::common::fixture::Fixture;
use super::common::limits::Limits;
use super::compare;

/// LayerNorm with PyTorch's epsilon of 1e-5 instead of flax's 1e-6.
struct TorchEpsilon;

impl Operation for TorchEpsilon {
    type Problem = LayerNormProblem;
    const NAME: &'static str = "layer_norm";
    const SHADERS: &'static [Shader] = LayerNorm::SHADERS;

    fn blocks(problem: &LayerNormProblem) -> u32 {
        LayerNorm::blocks(problem)
    }

    fn twin<R: Real>(p: &LayerNormProblem, cx: &Context<'_, R>, block: u32) {
        LayerNorm::twin(p, cx, block);
        let (scale, bias) = (cx.row(Arena::Weights, p.scale, p.cols), cx.row(Arena::Weights, p.bias, p.cols));
        for row in block * 64..p.rows.min((block + 1) * 64) {
            let x = cx.row(Arena::Activations, p.x + row * p.x_stride, p.cols);
            let n = R::of(f64::from(p.cols));
            let mean = x.iter().fold(R::ZERO, |s, v| s + *v) / n;
            let variance = x.iter().fold(R::ZERO, |s, v| s + (*v - mean) * (*v - mean)) / n;
            let inverse = R::ONE / (variance + R::of(1e-5)).sqrt();
            let out = cx.row_mut(Arena::Activations, p.out + row * p.out_stride, p.cols);
            for i in 0..x.len() {
                out[i] = (x[i] - mean) * inverse * scale[i] + bias[i];
            }
            if p.stats != wgflow::engine::NONE {
                cx.row_mut(Arena::Activations, p.stats + row * p.stats_stride, 2).copy_from_slice(&[mean, inverse]);
            }
        }
    }
}

/// GELU by the error function instead of its tanh form.
struct ErfGelu;

fn erf(x: f64) -> f64 {
    // Abramowitz and Stegun 7.1.26: 1.5e-7, far below the two forms' difference.
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let p = t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - p * (-x * x).exp()).copysign(x)
}

impl Operation for ErfGelu {
    type Problem = MatmulNnProblem;
    const NAME: &'static str = "matmul_nn";
    const SHADERS: &'static [Shader] = MatmulNn::SHADERS;

    fn blocks(problem: &MatmulNnProblem) -> u32 {
        MatmulNn::blocks(problem)
    }

    fn twin<R: Real>(p: &MatmulNnProblem, cx: &Context<'_, R>, block: u32) {
        if p.epilogue != 1 {
            return MatmulNn::twin(p, cx, block);
        }
        MatmulNn::twin(&MatmulNnProblem { epilogue: 0, second: wgflow::engine::NONE, ..*p }, cx, block);
        for row in block * 64..p.rows.min((block + 1) * 64) {
            for (i, z) in cx.row_mut(Arena::Activations, p.out + row * p.out_stride, p.cols).iter_mut().enumerate() {
                let x = z.to_f64();
                let cdf = 0.5 * (1.0 + erf(x / 2f64.sqrt()));
                *z = R::of(x * cdf);
                if p.second != wgflow::engine::NONE {
                    let pdf = (-0.5 * x * x).exp() / (std::f64::consts::TAU).sqrt();
                    cx.row_mut(Arena::Activations, p.second + row * p.second_stride + i as u32, 1)[0] = R::of(cdf + x * pdf);
                }
            }
        }
    }
}

/// lambda with an epsilon of 1e-6, as several ports have it.
struct EpsilonInLambda;

impl Operation for EpsilonInLambda {
    type Problem = QLossProblem;
    const NAME: &'static str = "q_loss";
    const SHADERS: &'static [Shader] = QLoss::SHADERS;

    fn blocks(problem: &QLossProblem) -> u32 {
        QLoss::blocks(problem)
    }

    fn twin<R: Real>(p: &QLossProblem, cx: &Context<'_, R>, block: u32) {
        QLoss::twin(p, cx, block);
        let lambda = &mut cx.row_mut(Arena::Activations, p.lambda, 1)[0];
        let wrong = R::ONE / (R::ONE / *lambda + R::of(1e-6));
        let factor = wrong / *lambda;
        *lambda = wrong;
        for row in 0..p.members * p.rows {
            let d = &mut cx.row_mut(Arena::Activations, p.d_q + row * p.q_stride, 1)[0];
            *d = *d * factor;
        }
    }
}

/// The targets follow in the updates in which they should not, and the other way round.
struct EmaOffByOne;

impl Operation for EmaOffByOne {
    type Problem = EmaProblem;
    const NAME: &'static str = "ema";
    const SHADERS: &'static [Shader] = Ema::SHADERS;

    fn blocks(problem: &EmaProblem) -> u32 {
        Ema::blocks(problem)
    }

    fn twin<R: Real>(p: &EmaProblem, cx: &Context<'_, R>, block: u32) {
        if (cx.words(p.clock, 1)[0] + 1).is_multiple_of(p.period) {
            Ema::twin(&EmaProblem { period: 1, ..*p }, cx, block);
        }
    }
}

/// The same for the actor.
struct PenaltyOffByOne;

impl Operation for PenaltyOffByOne {
    type Problem = BcPenaltyProblem;
    const NAME: &'static str = "bc_penalty";
    const SHADERS: &'static [Shader] = BcPenalty::SHADERS;

    fn blocks(problem: &BcPenaltyProblem) -> u32 {
        BcPenalty::blocks(problem)
    }

    fn twin<R: Real>(p: &BcPenaltyProblem, cx: &Context<'_, R>, block: u32) {
        let period = if (cx.words(p.clock, 1)[0] + 1).is_multiple_of(p.period) { 1 } else { u32::MAX };
        BcPenalty::twin(&BcPenaltyProblem { period, ..*p }, cx, block);
    }
}

/// A weight without a gradient stands still instead of drifting on by its momentum.
struct AdamWithoutDrift;

impl Operation for AdamWithoutDrift {
    type Problem = AdamProblem;
    const NAME: &'static str = "adam";
    const SHADERS: &'static [Shader] = Adam::SHADERS;

    fn blocks(_: &AdamProblem) -> u32 {
        1
    }

    fn twin<R: Real>(p: &AdamProblem, cx: &Context<'_, R>, _: u32) {
        let before = cx.row(Arena::Weights, p.start, p.count).to_vec();
        (0..Adam::blocks(p)).for_each(|block| Adam::twin(p, cx, block));
        let gradient = cx.row(Arena::Training, p.start, p.count);
        for ((weight, gradient), before) in cx.row_mut(Arena::Weights, p.start, p.count).iter_mut().zip(gradient).zip(before) {
            if *gradient == R::ZERO {
                *weight = before;
            }
        }
    }
}

static EMA_OFF_BY_ONE: Kernel = Kernel::of::<EmaOffByOne>();
static PENALTY_OFF_BY_ONE: Kernel = Kernel::of::<PenaltyOffByOne>();
static ADAM_WITHOUT_DRIFT: Kernel = Kernel::of::<AdamWithoutDrift>();
static TORCH_EPSILON: Kernel = Kernel::of::<TorchEpsilon>();
static ERF_GELU: Kernel = Kernel::of::<ErfGelu>();
static EPSILON_IN_LAMBDA: Kernel = Kernel::of::<EpsilonInLambda>();

fn with_kernel(mut plan: Plan, kernel: &'static Kernel) -> Plan {
    for dispatch in plan.dispatches.iter_mut().filter(|d| d.kernel.name == kernel.name) {
        dispatch.kernel = kernel;
    }
    for op in plan.ops.iter_mut().filter(|op| op.kernel.name == kernel.name) {
        op.kernel = kernel;
    }
    plan
}

/// The plan with every problem of kernel `name` changed.
fn with_problem<P: Problem>(mut plan: Plan, name: &str, change: impl Fn(&mut P)) -> Plan {
    let mut found = false;
    for op in plan.ops.iter_mut().filter(|op| op.kernel.name == name) {
        let mut problem: P = wgflow::engine::kernel::typed(&op.problem);
        change(&mut problem);
        op.problem = bytemuck::cast_slice(bytemuck::bytes_of(&problem)).to_vec();
        found = true;
    }
    assert!(found, "no {name} to spoil");
    plan
}

/// The advantage by the target critics, which the state's value is fitted to.
fn advantage_of_the_targets(plan: Plan) -> Plan {
    let at = |name: &str| plan.ops.iter().position(|op| op.kernel.name == name).unwrap();
    let (expectile, awr) = (at("expectile_loss"), at("awr_loss"));
    assert!(expectile < awr, "the targets' values are there in time");
    let q = wgflow::engine::kernel::typed::<ExpectileLossProblem>(&plan.ops[expectile].problem).q;
    with_problem(plan, "awr_loss", |p: &mut AwrLossProblem| p.q = q)
}

/// Adam before the target's average: the target would follow the critic as it is after the step.
fn target_after_step(mut plan: Plan) -> Plan {
    let at = |plan: &Plan, name: &str| plan.dispatches.iter().position(|d| d.kernel.name == name).unwrap();
    let (ema, adam) = (at(&plan, "ema"), at(&plan, "adam"));
    assert!(ema < adam);
    let moved = plan.dispatches.remove(ema);
    plan.dispatches.insert(adam, moved);
    plan
}

type Alter = fn(Plan) -> Plan;

/// A mistake in a plan: its name, the fixtures that must show it, how to make it, and whether it shows at f32.
type InPlan = (&'static str, &'static [&'static str], Alter, bool);

const IN_PLANS: &[InPlan] = &[
    ("target follows the critic after the step", &["gfp_manipulation", "fql_min_norm", "iql", "rebrac"], target_after_step, true),
    (
        "layer norm epsilon 1e-5",
        &["gfp_manipulation", "fql_min_norm", "iql", "rebrac"],
        |plan| with_kernel(plan, &TORCH_EPSILON),
        true,
    ),
    ("erf GELU", &["gfp_manipulation", "fql_min_norm", "iql", "rebrac"], |plan| with_kernel(plan, &ERF_GELU), true),
    (
        "epsilon 1e-6 in lambda",
        &["gfp_manipulation", "fql_min_norm", "rebrac"],
        |plan| with_kernel(plan, &EPSILON_IN_LAMBDA),
        false,
    ),
    (
        "critic loss averaged instead of summed",
        &["iql", "ifql"],
        |plan| with_problem(plan, "critic_loss", |p: &mut CriticLossProblem| p.divisor = p.members),
        true,
    ),
    (
        "critic loss summed instead of averaged",
        &["rebrac"],
        |plan| with_problem(plan, "critic_loss", |p: &mut CriticLossProblem| p.divisor = 1),
        true,
    ),
    ("advantage of the target critics", &["iql"], advantage_of_the_targets, true),
    ("no cap on the weights", &["iql"], |plan| with_problem(plan, "awr_loss", |p: &mut AwrLossProblem| p.cap = u32::MAX), true),
    ("targets follow in the other updates", &["rebrac", "rebrac_qmean"], |plan| with_kernel(plan, &EMA_OFF_BY_ONE), true),
    ("targets follow in every update", &["rebrac"], |plan| with_problem(plan, "ema", |p: &mut EmaProblem| p.period = 1), true),
    ("the actor learns in the other updates", &["rebrac", "rebrac_qmean"], |plan| with_kernel(plan, &PENALTY_OFF_BY_ONE), true),
    ("no drift in skipped updates", &["rebrac", "rebrac_qmean"], |plan| with_kernel(plan, &ADAM_WITHOUT_DRIFT), true),
    (
        "the data's own action for its next",
        &["rebrac", "rebrac_qmean"],
        |plan| with_problem(plan, "gather", |p: &mut GatherProblem| p.shift = 0),
        true,
    ),
];

/// A mistake in the settings: its name, the fixture that must show it, and how to make it.
type InSettings = (&'static str, &'static str, fn(&mut AgentConfig));

const IN_SETTINGS: &[InSettings] = &[
    ("flow action on the wrong state", "gfp_manipulation", |config| {
        if let AgentConfig::Gfp(c) = config {
            c.target_use_next = !c.target_use_next;
        }
    }),
    ("the actor's penalty as a mean over dimensions", "rebrac", |config| {
        if let AgentConfig::Rebrac(c) = config {
            c.alpha_actor[0] /= 3.0;
        }
    }),
    ("the critic's penalty as a mean over dimensions", "rebrac", |config| {
        if let AgentConfig::Rebrac(c) = config {
            c.alpha_critic[0] /= 3.0;
        }
    }),
    ("the target's noise is not bounded", "rebrac", |config| {
        if let AgentConfig::Rebrac(c) = config {
            c.actor_noise_clip[0] = 10.0;
        }
    }),
    ("the expectile the other way round", "ifql", |config| {
        if let AgentConfig::Ifql(c) = config {
            c.expectile[0] = 1.0 - c.expectile[0];
        }
    }),
];

pub fn trials(bundled: &[Arc<Fixture>]) -> Vec<Trial> {
    let find = |name: &str| Arc::clone(bundled.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no fixture {name}")));
    let mut trials = Vec::new();
    for &(name, fixtures, alter, also_single) in IN_PLANS {
        for fixture in fixtures.iter().map(|name| find(name)) {
            trials.push(must_fail(name, &fixture, "f64", || Engine::Oracle, Limits::double(), (|_| (), alter)));
            if also_single {
                let limits = Limits::single(&fixture);
                trials.push(must_fail(name, &fixture, "f32", || Engine::cpu(Some(1)), limits, (|_| (), alter)));
            }
        }
    }
    for &(name, fixture, change) in IN_SETTINGS {
        let fixture = find(fixture);
        trials.push(must_fail(name, &fixture, "f64", || Engine::Oracle, Limits::double(), (change, |plan| plan)));
        let limits = Limits::single(&fixture);
        trials.push(must_fail(name, &fixture, "f32", || Engine::cpu(Some(1)), limits, (change, |plan| plan)));
    }
    trials
}

fn must_fail(
    name: &str,
    fixture: &Arc<Fixture>,
    kind: &str,
    engine: fn() -> Engine,
    limits: Limits,
    (change, alter): (fn(&mut AgentConfig), Alter),
) -> Trial {
    let fixture = Arc::clone(fixture);
    Trial::test(format!("mistake seen/{name}/{}/{kind}", fixture.name), move || {
        let mut config = fixture.agent_config().ok_or("agent not built")?;
        change(&mut config);
        seen(compare(&fixture, &config, &engine(), &limits, alter))
    })
}

fn seen<T>(result: Result<T, String>) -> Result<(), Failed> {
    match result {
        Err(_) => Ok(()),
        Ok(_) => Err("the comparison did not notice".into()),
    }
}
